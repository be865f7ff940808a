//! Anything at all may come as an expression and as an answer.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;
use watchpost_expr::EvalErrorKind;
use watchpost_expr::fuzz::compile_and_evaluate;

use crate::support::{evaluate_with, refused};

/// Pieces that expressions are made of, to be thrown together.
const PIECES: &[&str] = &[
    "status",
    "load",
    "ready",
    "codes",
    "headers",
    "body",
    "tls",
    "json",
    "text",
    "chain",
    "days_left",
    "subject",
    "x",
    "y",
    ".",
    "[",
    "]",
    "(",
    ")",
    ",",
    "{",
    "}",
    "?",
    ":",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "!",
    "+",
    "-",
    "*",
    "/",
    "%",
    "in",
    "true",
    "false",
    "null",
    "size",
    "contains",
    "startsWith",
    "lowerAscii",
    "matches",
    "has",
    "all",
    "exists",
    "filter",
    "int",
    "double",
    "string",
    "0",
    "1",
    "200",
    "9223372036854775807",
    "0x7f",
    "1.5",
    "1e9",
    "''",
    "'a'",
    "\"\\u00e4\"",
    "r'\\d+'",
    "'",
    "\"",
    "\\",
    "//",
    "\n",
    "ä",
    "=",
    "&",
    "|",
    "0x",
    "1e",
    "b'",
    "$",
];

/// Pieces that fit together more often.
const CHUNKS: &[&str] = &[
    "status",
    "body.json",
    "body.json.a",
    "tls.days_left",
    "body.text",
    "x",
    "headers",
    "codes",
    "tls.chain",
    "[0]",
    ".a",
    ".size()",
    ".all(x, ",
    ".exists(y, ",
    ".filter(x, ",
    ".matches('a')",
    ".contains('a')",
    "has(",
    ")",
    " == ",
    " < ",
    " && ",
    " || ",
    " + ",
    " * ",
    " in ",
    " ? ",
    " : ",
    "(",
    "!",
    "-",
    "1",
    "'a'",
    "[1, 2]",
    "null",
    "true",
];

fn text_of(pieces: &'static [&'static str], separator: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(move |pieces| pieces.join(separator))
}

fn json() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        (-3_i64..4).prop_map(Json::from),
        "[ab]{0,3}".prop_map(Json::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Expressions that fit their types: `bools` come to a bool, and so on.
fn bools() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("ready".to_owned()),
        Just("true".to_owned()),
        (anything(), anything()).prop_map(|(a, b)| format!("{a} == {b}")),
        (numbers(), numbers()).prop_map(|(a, b)| format!("{a} < {b}")),
        (texts(), texts()).prop_map(|(a, b)| format!("{a} >= {b}")),
        (numbers(), numbers()).prop_map(|(a, b)| format!("{a} in [{b}, 3]")),
        (anything(), lists()).prop_map(|(a, b)| format!("{a} in {b}")),
        texts().prop_map(|a| format!("{a}.contains(names[0]) || {a}.matches('[ab]+')")),
        Just("has(body.json.a.b) && has(body.json.b[1])".to_owned()),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
        ]
    })
}

/// A condition on the entry `i` of a loop.
fn entry_conditions() -> impl Strategy<Value = String> {
    prop_oneof![
        anything().prop_map(|a| format!("i.a == {a}")),
        numbers().prop_map(|a| format!("i < {a}")),
        Just("has(i.b)".to_owned()),
        Just("i.all(j, j == i || j in body.json) == false".to_owned()),
    ]
}

fn loops() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(["all", "exists"].as_slice());
    (lists(), kind, entry_conditions()).prop_map(|(list, kind, condition)| format!("{list}.{kind}(i, {condition})"))
}

fn anything() -> impl Strategy<Value = String> {
    prop::sample::select(["body.json", "body.json.a", "body.json.b[0]", "body.json['c']"].as_slice())
        .prop_map(str::to_owned)
}

fn lists() -> impl Strategy<Value = String> {
    prop_oneof![anything(), anything().prop_map(|list| format!("{list}.filter(f, f == 1 || f in body.json)"))]
}

fn numbers() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-9_i64..9).prop_map(|n| format!("({n})")),
        prop::sample::select(
            ["status", "load", "9223372036854775807", "size(body.json)", "int(body.json.a)"].as_slice()
        )
        .prop_map(str::to_owned),
        anything(),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), prop::sample::select(["+", "-", "*", "/"].as_slice()), inner)
            .prop_map(|(a, operator, b)| format!("({a} {operator} {b})"))
    })
}

fn texts() -> impl Strategy<Value = String> {
    prop::sample::select(
        ["body.text", "'a'", "(names[0] + 'b')", "string(status)", "headers.server.lowerAscii()"].as_slice(),
    )
    .prop_map(str::to_owned)
}

/// The tests of what fits its types would be empty if hardly anything came to an answer.
#[test]
fn much_of_what_fits_its_types_has_an_answer() {
    let mut runner = TestRunner::deterministic();
    let (mut held, mut failed, mut seen) = (0, 0, 0);
    for _ in 0..300 {
        let (source, json) = (prop_oneof![bools(), loops()], json()).new_tree(&mut runner).unwrap().current();
        if let Ok(evaluation) = evaluate_with(&source, &json) {
            held += usize::from(evaluation.holds);
            failed += usize::from(!evaluation.holds);
            seen += evaluation.seen.len();
        }
    }
    assert!(held > 30 && failed > 30 && seen > 100, "of 300, {held} held, {failed} did not, {seen} values were seen");
}

proptest! {
    #[test]
    fn bytes_never_panic(source in prop::collection::vec(any::<u8>(), 0..200), body in prop::collection::vec(any::<u8>(), 0..50)) {
        let _outcome = compile_and_evaluate(&source, &body);
    }

    #[test]
    fn token_soup_never_panics(source in prop_oneof![text_of(PIECES, ""), text_of(PIECES, " "), text_of(CHUNKS, "")], json in json()) {
        let _outcome = compile_and_evaluate(source.as_bytes(), json.to_string().as_bytes());
    }

    #[test]
    fn characters_never_panic(source in "\\PC{0,60}") {
        let _outcome = compile_and_evaluate(source.as_bytes(), b"{}");
    }

    #[test]
    fn what_fits_its_types_is_evaluated_within_the_budget(source in prop_oneof![bools(), loops()], json in json()) {
        // More than a few levels of these are beyond the bounds of an expression, which is another test's matter.
        prop_assume!(source.len() < 1500);
        match evaluate_with(&source, &json) {
            Ok(evaluation) => prop_assert!(evaluation.seen.len() <= 8),
            Err(error) => {
                prop_assert_ne!(error.kind, EvalErrorKind::Limit, "{}", source);
                prop_assert!(error.position.offset <= source.len());
                prop_assert!(error.message.len() < 1000);
            }
        }
    }

    #[test]
    fn an_expression_cut_short_is_refused_within_its_text(source in bools(), at in any::<prop::sample::Index>()) {
        let cut = at.index(source.len().max(1));
        // What has an open bracket at its end, whatever came before.
        let cut = format!("({}", &source[..cut]);
        let error = refused(&cut);
        prop_assert!(error.position.offset + error.length <= cut.len());
        prop_assert!(!error.message.is_empty());
    }
}
