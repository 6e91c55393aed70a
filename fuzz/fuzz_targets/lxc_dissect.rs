#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| protocols::fuzz::lxc_dissect(data));
