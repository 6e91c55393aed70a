#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| protocols::fuzz::libvirt_dissect(data));
