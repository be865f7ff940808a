//! The configurations of other monitors.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = watchpost_import::Source { name: "input", text };
    if let Ok(imported) = watchpost_import::import(&[source], None) {
        let _yaml = imported.to_yaml(false);
    }
});
