//! Configuration files, by the binary's own reader.

#![no_main]

#[path = "../../crates/watchpost/src/config/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a part of the binary, of which only the reader is used here")]
mod config;
#[path = "../../crates/watchpost/src/failure.rs"]
#[allow(dead_code, unused_imports, reason = "a part of the binary")]
mod failure;

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// Where the reader finds the input. In memory, where the system has such a place.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("watchpost-fuzz-{}.yaml", std::process::id()))
});

fuzz_target!(|text: &[u8]| {
    std::fs::write(&*FILE, text).expect("a file for the input");
    if let Err(error) = config::load(&FILE) {
        let told = error.to_string();
        assert!(told.len() < 4_000, "{told}");
    }
});
