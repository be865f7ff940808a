//! What a plugin prints.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| watchpost_probe::fuzz::plugin_output(text));
