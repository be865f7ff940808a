//! The values that an evaluation saw, for its report.

use serde_json::json;
use watchpost_expr::{Bindings, Environment, Field, Type, Value, compile};

use crate::support::{evaluate, evaluate_sparse, evaluate_with, seen};

fn check(source: &str, expected: &[&str]) {
    assert_eq!(seen(&evaluate(source).unwrap()), expected, "{source}");
}

#[test]
fn paths_that_were_read_are_reported_in_their_order_and_once() {
    check("status == 200 && tls.days_left > 14", &["status = 200", "tls.days_left = 3"]);
    check("status == 503 && tls.days_left > 14", &["status = 200"]);
    check("status > 100 && status < 300", &["status = 200"]);
    check("load < 1 && ready && names == []", &["load = 0.5", "ready = true", "names = [\"a\", \"b\"]"]);
    check(
        "headers['server'] == headers.server && headers[names[0] + 'x'] == 'z' || true",
        &[
            "headers[\"server\"] = \"nginx\"",
            "headers.server = \"nginx\"",
            "names[0] = \"a\"",
            "headers[names[0] + 'x'] = absent",
        ],
    );
    check("body.json.items[1].parts.size() == 1", &["body.json.items[1].parts = [3]"]);
    check("body.json['by-key'] == null", &["body.json[\"by-key\"] = {\"a\": 1, \"b\": 2}"]);
    check("1 == 1", &[]);
}

#[test]
fn presence_is_reported_as_such() {
    check("has(tls) && has(body.json.x.y)", &["tls = present", "body.json.x = absent"]);
    let absent = evaluate_sparse("has(tls) || !has(body.json)").unwrap();
    assert_eq!(seen(&absent), ["tls = absent", "body.json = absent"]);
    let error = evaluate_sparse("status == 204 && tls.days_left > 14").unwrap_err();
    let seen: Vec<String> = error.seen.iter().map(ToString::to_string).collect();
    assert_eq!(seen, ["status = 204", "tls = absent"]);
    let error = evaluate("body.json.count.a == 1").unwrap_err();
    assert_eq!(error.seen[0].to_string(), "body.json.count = 3");
}

#[test]
fn of_a_loop_the_entry_that_decided_is_reported() {
    check("numbers.all(n, n < 2)", &["numbers = [1, 2, 3]", "numbers[1] = 2"]);
    check("numbers.all(n, n < 9)", &["numbers = [1, 2, 3]"]);
    check("names.exists(n, n > 'a' && status == 200)", &["names = [\"a\", \"b\"]", "status = 200", "names[1] = \"b\""]);
    check(
        "headers.all(h, headers[h] == 'text/html')",
        &[
            "headers = {\"content-type\": \"text/html\", \"server\": \"nginx\"}",
            "headers[h] = \"text/html\"",
            "h = \"server\"",
        ],
    );
    check("tls.chain.exists(c, c.days_left > 100)", &["tls.chain = [{…}, {…}]", "tls.chain[1].days_left = 300"]);
    let nested = evaluate("body.json.items.all(i, i.parts.all(p, p != 3))").unwrap();
    assert_eq!(seen(&nested)[1..], ["body.json.items[1].parts = [3]", "body.json.items[1].parts[0] = 3"]);
    let filtered = evaluate("body.json.items.filter(i, i.id > 1).all(j, j.id > 2)").unwrap();
    assert_eq!(seen(&filtered)[1..], ["j.id = 2"]);
    let error = evaluate("body.json.items.exists(i, i.state == 'worse')").unwrap_err();
    assert_eq!(error.seen[1].to_string(), "body.json.items[2].state = absent");
}

#[test]
fn values_are_short_and_few() {
    let json = json!({ "long": "ä".repeat(500), "exact": "x".repeat(78), "control": "a\"\u{1b}[31m\n" });
    let of = |source: &str| evaluate_with(source, &json).unwrap().seen[0].value.clone();
    assert_eq!(of("body.json.long == ''"), format!("\"{}…", "ä".repeat(79)));
    assert_eq!(of("body.json.exact == ''"), format!("\"{}\"", "x".repeat(78)));
    assert_eq!(of("body.json.control == ''"), r#""a\"\u{1b}[31m\n""#);
    let many = evaluate_with("body.json == 1", &json!((0..1000).collect::<Vec<_>>())).unwrap();
    assert_eq!(many.seen[0].value.chars().count(), 81);
    assert!(many.seen[0].value.starts_with("[0, 1, 2, ") && many.seen[0].value.ends_with('…'));

    let ten: Vec<String> = (0..10).map(|i| format!("body.json[{i}] == {i}")).collect();
    let evaluation = evaluate_with(&ten.join(" && "), &json!((0..10).collect::<Vec<_>>())).unwrap();
    assert!(evaluation.holds);
    let first: Vec<String> = (0..8).map(|i| format!("body.json[{i}] = {i}")).collect();
    assert_eq!(seen(&evaluation), first);
}

#[test]
fn texts_are_redacted_before_they_are_cut() {
    static VARIABLES: &[Field] = &[Field::new("a", Type::String, ""), Field::new("json", Type::Dyn, "")];
    static ENVIRONMENT: Environment = Environment::new(&[VARIABLES]);
    let program = compile("a == '' || json == null || size(a) == 0", &ENVIRONMENT).unwrap();
    // The secret has a quote in it, which the report escapes, and reaches beyond what it shows.
    let secret = "hunter\"2".repeat(12);
    let text = format!("user alice {secret} and more");
    let json = json!({"n": 1, "token": secret, (secret.clone()): [text]});
    let values = Bindings::new().with("a", text.as_str()).with("json", Value::Json(&json));
    let hide = |_: &str, text: &str| text.contains(&secret).then(|| text.replace(&secret, "[redacted]"));
    let evaluation = program.evaluate_redacted(&values, &hide).unwrap();
    assert_eq!(
        seen(&evaluation),
        [
            "a = \"user alice [redacted] and more\"",
            "json = {\"[redacted]\": [\"user alice [redacted] and more\"], \"n\": 1, \"token\": \"[redacted]\"…",
        ]
    );
    let by_path = |path: &str, _: &str| (path == "a").then(|| "[redacted]".to_owned());
    assert_eq!(program.evaluate_redacted(&values, &by_path).unwrap().seen[0].to_string(), "a = \"[redacted]\"");
}
