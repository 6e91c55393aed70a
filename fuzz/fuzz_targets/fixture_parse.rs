#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| transcript::fuzz::parse(data));
