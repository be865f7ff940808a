//! The expression language of assertions: a strictly typed subset of CEL.
//!
//! An expression is compiled once, when a check is loaded, against the variables that its type of
//! check has; what is wrong with it is known then, with its position. It is evaluated against each
//! answer. docs/expressions.md describes the language to those who write checks.
//!
//! It refuses to do anything: no I/O, no clock, no randomness, no runtime.
//!
//! Invariants:
//! - Neither compiling nor evaluating panics, whatever the text and the values are.
//! - Everything is bounded by [`limits`]: what a program holds, the steps of an evaluation, what it
//!   makes on the way, what it reports. The depth of recursion is bounded by [`limits::DEPTH_MAX`].
//! - Messages of errors quote the expression, never a value.
//!
//! ```
//! use watchpost_expr::{Bindings, Environment, Field, RecordType, Type, Value, compile};
//!
//! static TLS: RecordType =
//!     RecordType { name: "record tls", fields: &[Field::new("days_left", Type::Int, "until it expires, in days")] };
//! static HTTP: &[Field] = &[
//!     Field::new("status", Type::Int, "the status code"),
//!     Field::new("tls", Type::Record(&TLS), "the handshake").absent_because("the answer came without TLS"),
//! ];
//! static ENVIRONMENT: Environment = Environment::new(&[HTTP]);
//!
//! let program = compile("status in [200, 204] && tls.days_left > 14", &ENVIRONMENT)?;
//!
//! let tls = Bindings::new().with("days_left", 3);
//! let evaluation = program.evaluate(&Bindings::new().with("status", 200).with("tls", Value::Record(&tls)))?;
//! assert!(!evaluation.holds);
//! let seen: Vec<String> = evaluation.seen.iter().map(|seen| seen.to_string()).collect();
//! assert_eq!(seen, ["status = 200", "tls.days_left = 3"]);
//!
//! let error = program.evaluate(&Bindings::new().with("status", 200)).unwrap_err();
//! assert_eq!(error.message, "tls.days_left: the answer came without TLS");
//!
//! let error = compile("status = 200", &ENVIRONMENT).unwrap_err();
//! assert_eq!(error.to_string(), "column 8: `=` is not an operator: expected `==`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod check;
mod error;
mod eval;
mod functions;
pub mod fuzz;
mod lexer;
pub mod limits;
mod node;
mod parser;
mod program;
mod seen;
mod text;
mod types;
mod value;

pub use error::{CompileError, EvalError, EvalErrorKind, Position};
pub use program::{Evaluation, Program, compile};
pub use seen::{Redact, Seen};
pub use text::similar;
pub use types::{Environment, Field, RecordType, Type, Variable};
pub use value::{Bindings, Entries, Items, Value, Values};
