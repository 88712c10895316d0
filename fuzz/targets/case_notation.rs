#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::case_notation::check(data));
