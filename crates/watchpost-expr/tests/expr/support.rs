//! Variables of every type, an answer that has them all, and helpers that ask about it.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use watchpost_expr::{
    Bindings, CompileError, Environment, EvalError, Evaluation, Field, Program, RecordType, Type, Value, compile,
};

static CERTIFICATE: RecordType = RecordType {
    name: "record certificate",
    fields: &[
        Field::new("subject", Type::String, "whom it is for"),
        Field::new("days_left", Type::Int, "until it expires, in days"),
        Field::new("issuer", Type::String, "who signed it").optional(),
    ],
};

static TLS: RecordType = RecordType {
    name: "record tls",
    fields: &[
        Field::new("days_left", Type::Int, "until the first expires, in days"),
        Field::new("version", Type::String, "the version of the protocol"),
        Field::new("chain", Type::List(&Type::Record(&CERTIFICATE)), "the certificates"),
    ],
};

static BODY: RecordType = RecordType {
    name: "record body",
    fields: &[
        Field::new("text", Type::String, "the body as a text"),
        Field::new("bytes", Type::Int, "its length"),
        Field::new("json", Type::Dyn, "the body as JSON").absent_because("the body is not JSON"),
    ],
};

static PHASES: RecordType = RecordType {
    name: "record phases",
    fields: &[
        Field::new("first_byte_ms", Type::Int, "until the first byte, in ms").optional(),
        Field::new("total_ms", Type::Int, "in all, in ms"),
    ],
};

static COMMON: &[Field] = &[
    Field::new("phases", Type::Record(&PHASES), "how long each phase took"),
    Field::new("load", Type::Double, "a number"),
    Field::new("ready", Type::Bool, "a truth value"),
    Field::new("numbers", Type::List(&Type::Int), "whole numbers"),
    Field::new("names", Type::List(&Type::String), "texts"),
];

static HTTP: &[Field] = &[
    Field::new("status", Type::Int, "the status code"),
    Field::new("headers", Type::Map(&Type::String), "the headers"),
    Field::new("body", Type::Record(&BODY), "the body"),
    Field::new("tls", Type::Record(&TLS), "the handshake").optional(),
];

pub static ENVIRONMENT: Environment = Environment::new(&[COMMON, HTTP]);

/// What the JSON body is, unless a test says otherwise.
pub fn body() -> Json {
    json!({
        "ok": true,
        "nothing": null,
        "count": 3,
        "huge": 18_446_744_073_709_551_615_u64,
        "ratio": 0.75,
        "name": "Näme",
        "items": [
            {"id": 1, "state": "ok", "parts": [1, 2]},
            {"id": 2, "state": "bad", "parts": [3]},
            {"id": 3, "parts": []},
        ],
        "by-key": {"a": 1, "b": 2},
        "same": {"b": 2, "a": 1.0},
    })
}

pub fn compiled(source: &str) -> Program {
    compile(source, &ENVIRONMENT).unwrap_or_else(|e| panic!("`{source}`: {e}"))
}

pub fn refused(source: &str) -> CompileError {
    match compile(source, &ENVIRONMENT) {
        Ok(_) => panic!("`{source}` was taken"),
        Err(error) => error,
    }
}

/// Evaluates with an answer that has everything, but for an issuer of the second certificate.
pub fn evaluate(source: &str) -> Result<Evaluation, EvalError> {
    evaluate_with(source, &body())
}

/// The same with another JSON body.
pub fn evaluate_with(source: &str, json: &Json) -> Result<Evaluation, EvalError> {
    evaluate_program(&compiled(source), json)
}

pub fn evaluate_program(program: &Program, json: &Json) -> Result<Evaluation, EvalError> {
    let leaf = Bindings::new().with("subject", "CN=leaf").with("days_left", 3).with("issuer", "CN=root");
    let root = Bindings::new().with("subject", "CN=root").with("days_left", 300);
    let chain = vec![Value::Record(&leaf), Value::Record(&root)];
    let tls = Bindings::new().with("days_left", 3).with("version", "1.3").with("chain", chain);
    let page = Bindings::new().with("text", "Hello, World").with("bytes", 12).with("json", json);
    let phases = Bindings::new().with("first_byte_ms", 120).with("total_ms", 150);
    let headers = BTreeMap::from([("content-type", "text/html"), ("server", "nginx")]);
    let values = Bindings::new()
        .with("status", 200)
        .with("phases", Value::Record(&phases))
        .with("load", 0.5)
        .with("ready", true)
        .with("numbers", vec![Value::Int(1), Value::Int(2), Value::Int(3)])
        .with("names", vec!["a".into(), "b".into()])
        .with("headers", Value::Map(&headers))
        .with("body", Value::Record(&page))
        .with("tls", Value::Record(&tls));
    program.evaluate(&values)
}

/// Evaluates with an answer that has nothing of what is optional.
pub fn evaluate_sparse(source: &str) -> Result<Evaluation, EvalError> {
    let page = Bindings::new().with("text", "").with("bytes", 0);
    let phases = Bindings::new().with("total_ms", 40);
    let headers = BTreeMap::<String, String>::new();
    let values = Bindings::new()
        .with("status", 204)
        .with("phases", Value::Record(&phases))
        .with("load", 1.0)
        .with("ready", false)
        .with("headers", Value::Map(&headers))
        .with("body", Value::Record(&page));
    compiled(source).evaluate(&values)
}

pub fn holds(source: &str) -> bool {
    evaluate(source).unwrap_or_else(|e| panic!("`{source}`: {e}")).holds
}

/// What an evaluation saw, as its report shows it.
pub fn seen(evaluation: &Evaluation) -> Vec<String> {
    evaluation.seen.iter().map(ToString::to_string).collect()
}
