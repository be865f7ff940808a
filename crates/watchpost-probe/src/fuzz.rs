//! Ways in for whoever looks for inputs that break what reads them.

use crate::exec::read_output;

/// Reads what a plugin printed.
///
/// # Panics
/// If that breaks a promise: this is what it looks for.
pub fn plugin_output(text: &str) {
    let data = read_output(text);
    assert!(data.iter().all(|datum| datum.value.is_none_or(f64::is_finite)), "a value that is no number: {data:?}");
    assert!(data.iter().all(|datum| !datum.label.contains(['\r', '\n'])), "a label of several lines: {data:?}");
}
