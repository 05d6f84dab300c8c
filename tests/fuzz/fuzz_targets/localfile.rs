#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    log_drivers::fuzz::file(input);
});
