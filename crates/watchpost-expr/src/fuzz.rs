//! One way in for whoever looks for inputs that break the crate's invariants.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::limits::{SEEN_CHARS_MAX, SEEN_MAX};
use crate::{Bindings, CompileError, Environment, EvalError, Evaluation, Field, RecordType, Type, Value, compile};

static CERTIFICATE: RecordType = RecordType {
    name: "record certificate",
    fields: &[
        Field::new("subject", Type::String, "whom it is for"),
        Field::new("days_left", Type::Int, "until it expires, in days").optional(),
    ],
};

static TLS: RecordType = RecordType {
    name: "record tls",
    fields: &[
        Field::new("days_left", Type::Int, "until the first certificate expires, in days"),
        Field::new("chain", Type::List(&Type::Record(&CERTIFICATE)), "the certificates"),
    ],
};

static BODY: RecordType = RecordType {
    name: "record body",
    fields: &[
        Field::new("text", Type::String, "the body as a text"),
        Field::new("json", Type::Dyn, "the body as JSON").absent_because("the body is not JSON"),
    ],
};

static VARIABLES: &[Field] = &[
    Field::new("status", Type::Int, "the status code"),
    Field::new("load", Type::Double, "a number"),
    Field::new("ready", Type::Bool, "a truth value"),
    Field::new("codes", Type::List(&Type::Int), "a list"),
    Field::new("headers", Type::Map(&Type::String), "texts by name"),
    Field::new("body", Type::Record(&BODY), "the body"),
    Field::new("tls", Type::Record(&TLS), "the handshake").optional(),
];

/// Variables of every type, some of them optional.
pub static ENVIRONMENT: Environment = Environment::new(&[VARIABLES]);

/// Compiles `source` for [`ENVIRONMENT`] and, if it is an expression, evaluates it with `body` as
/// the body of the answer, once with and once without what is optional.
///
/// # Panics
///
/// If an invariant of the crate does not hold: that is what it looks for.
pub fn compile_and_evaluate(source: &[u8], body: &[u8]) -> Result<Result<Evaluation, EvalError>, CompileError> {
    let source = String::from_utf8_lossy(source);
    let program = compile(&source, &ENVIRONMENT).inspect_err(|error| {
        let start = error.position.offset;
        assert!(source.get(start..start + error.length).is_some(), "{error:?} lies outside of the expression");
    })?;

    let text = String::from_utf8_lossy(body);
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let headers = BTreeMap::from([("content-type", "text/plain"), ("x-text", text.as_ref())]);
    let leaf = Bindings::new().with("subject", "CN=leaf").with("days_left", 3);
    let root = Bindings::new().with("subject", text.as_ref());
    let chain = vec![Value::Record(&leaf), Value::Record(&root)];
    let tls = Bindings::new().with("days_left", 3).with("chain", chain);
    let mut page = Bindings::new().with("text", Value::String(Cow::Borrowed(&text)));
    if let Some(json) = &json {
        page = page.with("json", json);
    }
    let values = Bindings::new()
        .with("status", 200)
        .with("load", 0.5)
        .with("ready", true)
        .with("codes", vec![Value::Int(1), Value::Int(i64::MAX), Value::Int(i64::MIN)])
        .with("headers", Value::Map(&headers))
        .with("body", Value::Record(&page));

    examined(&source, &program.evaluate(&values));
    let evaluated = program.evaluate(&values.with("tls", Value::Record(&tls)));
    examined(&source, &evaluated);
    Ok(evaluated)
}

fn examined(source: &str, evaluated: &Result<Evaluation, EvalError>) {
    let seen = match evaluated {
        Ok(evaluation) => &evaluation.seen,
        Err(error) => {
            assert!(source.is_char_boundary(error.position.offset), "{error:?} lies outside of the expression");
            &error.seen
        }
    };
    assert!(seen.len() <= SEEN_MAX);
    for seen in seen {
        assert!(seen.value.chars().count() <= SEEN_CHARS_MAX + 1, "{seen} is too long");
    }
}
