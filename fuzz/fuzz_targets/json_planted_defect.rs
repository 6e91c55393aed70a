#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzz::json_planted_defect(data));
