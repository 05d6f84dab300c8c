#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _refused = registry::fuzz::manifest(input);
});
