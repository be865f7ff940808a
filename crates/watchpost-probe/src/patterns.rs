//! Regular expressions and expressions, compiled once.

use std::sync::Arc;

use regex::bytes::Regex;
use watchpost_expr::{CompileError, Program};
use watchpost_model::{
    CheckType, Expression, JsonPath, LinePattern, Pattern, compile_expression, compile_json_path, compile_lines,
    compile_pattern,
};

use crate::cache::Cache;

/// Compiled patterns by their text. A compiled pattern takes at most 256 KiB, most take a few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    patterns: Cache<Box<str>, Arc<Regex>>,
    json_paths: Cache<Box<str>, Arc<serde_json_path::JsonPath>>,
    programs: [Cache<Box<str>, Program>; CheckType::ALL.len()],
}

impl Patterns {
    /// The compiled form of `pattern`.
    pub(crate) fn compiled(&self, pattern: &Pattern) -> Arc<Regex> {
        self.patterns.get_or(pattern.as_str(), || (pattern.as_str().into(), Arc::new(compile_pattern(pattern))))
    }

    /// The compiled form of a pattern of a step.
    pub(crate) fn compiled_lines(&self, pattern: &LinePattern) -> Arc<Regex> {
        // It is known by the text with its flags, which means the same wherever it is from.
        let flagged = pattern.flagged();
        self.patterns.get_or(flagged.as_str(), || (flagged.as_str().into(), Arc::new(compile_lines(pattern))))
    }

    /// The form of `path` that finds nodes.
    pub(crate) fn json_path(&self, path: &JsonPath) -> Arc<serde_json_path::JsonPath> {
        self.json_paths.get_or(path.as_str(), || (path.as_str().into(), Arc::new(compile_json_path(path))))
    }

    /// The compiled form of an expression about an answer to a check of the type `check_type`.
    ///
    /// # Errors
    /// What is wrong with it. The model validates expressions, so this would be a defect.
    pub(crate) fn program(&self, expression: &Expression, check_type: CheckType) -> Result<Program, CompileError> {
        let Some(programs) = self.programs.get(check_type as usize) else {
            return compile_expression(expression, check_type);
        };
        programs.get_or_try(expression.as_str(), || {
            Ok((expression.as_str().into(), compile_expression(expression, check_type)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::KEPT_MAX;

    #[test]
    fn the_number_of_kept_patterns_is_bounded() {
        let patterns = Patterns::default();
        for i in 0..KEPT_MAX * 2 {
            assert!(patterns.compiled(&format!("^a{i}$").parse().unwrap()).is_match(format!("a{i}").as_bytes()));
        }
        assert_eq!(patterns.patterns.len(), KEPT_MAX);
    }

    #[test]
    fn a_known_pattern_is_not_compiled_again() {
        let patterns = Patterns::default();
        let pattern: Pattern = "^ok$".parse().unwrap();
        assert!(Arc::ptr_eq(&patterns.compiled(&pattern), &patterns.compiled(&pattern)));
    }

    /// The same text may be an expression about one type, and none about another.
    #[test]
    fn expressions_are_kept_by_type() {
        let patterns = Patterns::default();
        let expression: Expression = "status == 200".parse().unwrap();
        assert!(patterns.program(&expression, CheckType::Http).is_ok());
        assert!(patterns.program(&expression, CheckType::Tcp).is_err());
        assert!(patterns.program(&expression, CheckType::Http).is_ok());
    }
}
