//! Compiled expressions.

use std::fmt;
use std::sync::Arc;

use crate::check::check;
use crate::error::{CompileError, EvalError};
use crate::eval::run;
use crate::node::Node;
use crate::parser::parse;
use crate::seen::{NothingSecret, Redact, Seen};
use crate::types::Environment;
use crate::value::Values;

/// Compiles `source`, whose variables are those of `environment`.
///
/// # Errors
///
/// If it is not an expression of the language, does not fit the types of its variables, is not
/// itself a `bool`, or is beyond a bound of [`limits`](crate::limits).
pub fn compile(source: &str, environment: &Environment) -> Result<Program, CompileError> {
    let expr = parse(source)?;
    let checked = check(source, &expr, environment)?;
    Ok(Program(Arc::new(Inner { source: source.into(), root: checked.root, reads: checked.reads })))
}

/// An expression that was compiled: valid, and of type `bool`. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    source: Box<str>,
    root: Node,
    /// Sorted, each once.
    reads: Vec<String>,
}

impl Program {
    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What it may read: variables, and fields of records, by their paths (`status`,
    /// `tls.days_left`), as far as they are declared. What lies within a map, a list or JSON is not
    /// told apart. Sorted, each once.
    pub fn reads(&self) -> &[String] {
        &self.0.reads
    }

    /// Whether it may read `path` or something within it.
    ///
    /// ```
    /// # use watchpost_expr::{Environment, Field, RecordType, Type, compile};
    /// # static BODY: RecordType = RecordType { name: "record body", fields: &[Field::new("json", Type::Dyn, "")] };
    /// # static HTTP: &[Field] = &[Field::new("body", Type::Record(&BODY), "")];
    /// # static ENVIRONMENT: Environment = Environment::new(&[HTTP]);
    /// let program = compile("body.json.ready == true", &ENVIRONMENT)?;
    /// assert_eq!(program.reads(), ["body.json"]);
    /// assert!(program.uses("body") && program.uses("body.json") && !program.uses("body.text"));
    /// # Ok::<(), watchpost_expr::CompileError>(())
    /// ```
    pub fn uses(&self, path: &str) -> bool {
        self.reads().iter().any(|read| match read.strip_prefix(path) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        })
    }

    /// Evaluates the expression within [`STEPS_MAX`](crate::limits::STEPS_MAX) steps; values are
    /// asked for as they are needed. Never panics, unless `values` does.
    ///
    /// # Errors
    ///
    /// If a value that decides is absent, is not of the type that its use needs, or if a bound was
    /// reached. Such an expression does not hold, and the error says why in one sentence.
    pub fn evaluate(&self, values: &dyn Values) -> Result<Evaluation, EvalError> {
        self.evaluate_redacted(values, &NothingSecret)
    }

    /// The same; each text among the values that were seen passes through `redact` first.
    ///
    /// # Errors
    ///
    /// As of [`evaluate`](Self::evaluate).
    pub fn evaluate_redacted(&self, values: &dyn Values, redact: &dyn Redact) -> Result<Evaluation, EvalError> {
        run(self.source(), &self.0.root, values, redact)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source()).finish()
    }
}

/// Programs are equal if they were written alike.
impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Program {}

/// What an evaluation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether the expression holds.
    pub holds: bool,
    /// The values that were read, in the order of first reading: at most
    /// [`SEEN_MAX`](crate::limits::SEEN_MAX). Of entries that a loop went through, those of the one
    /// that decided it.
    pub seen: Vec<Seen>,
}
