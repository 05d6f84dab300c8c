#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| network::fuzz::dns(input));
