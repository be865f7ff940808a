//! Regular expressions, compiled once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use regex::bytes::Regex;
use watchpost_model::{LinePattern, Pattern, compile_lines, compile_pattern};

/// The most patterns that are kept compiled. A compiled pattern takes at most 256 KiB, most take a
/// few; beyond this number one is dropped for each that is added.
const KEPT_MAX: usize = 256;

/// Compiled patterns by their text, shared by the probes of a process: compiling costs more than
/// most checks, and every worker sees the same few patterns. Clones share the patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns(Arc<Mutex<HashMap<Box<str>, Arc<Regex>>>>);

impl Patterns {
    /// The compiled form of `pattern`.
    pub(crate) fn compiled(&self, pattern: &Pattern) -> Arc<Regex> {
        self.known_or(pattern.as_str(), || compile_pattern(pattern))
    }

    /// The compiled form of a pattern of a step.
    pub(crate) fn compiled_lines(&self, pattern: &LinePattern) -> Arc<Regex> {
        // It is known by the text with its flags, which means the same wherever it is from.
        self.known_or(&pattern.flagged(), || compile_lines(pattern))
    }

    fn known_or(&self, text: &str, compile: impl FnOnce() -> Regex) -> Arc<Regex> {
        if let Some(known) = self.0.lock().get(text) {
            return Arc::clone(known);
        }
        // Compiled outside the lock: two workers may do it at once, and nobody waits for them.
        let compiled = Arc::new(compile());
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX
            && let Some(any) = kept.keys().next().cloned()
        {
            kept.remove(&any);
        }
        kept.insert(text.into(), Arc::clone(&compiled));
        compiled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_kept_patterns_is_bounded() {
        let patterns = Patterns::default();
        for i in 0..KEPT_MAX * 2 {
            assert!(patterns.compiled(&format!("^a{i}$").parse().unwrap()).is_match(format!("a{i}").as_bytes()));
        }
        assert_eq!(patterns.0.lock().len(), KEPT_MAX);
    }

    #[test]
    fn a_known_pattern_is_not_compiled_again() {
        let patterns = Patterns::default();
        let pattern: Pattern = "^ok$".parse().unwrap();
        assert!(Arc::ptr_eq(&patterns.compiled(&pattern), &patterns.compiled(&pattern)));
    }
}
