#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let _refused = storage::fuzz::archive(input, folder.path());
});
