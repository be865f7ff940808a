//! Expressions and JSON paths, holding and not, and those that are refused.

use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::is;
use crate::row::{Row, row};
use crate::server::{Server, Tls, ok};

const JSON: &str = r#"{"state": "up", "n": 3, "items": [{"state": "up"}, {"state": "down"}], "none": null}"#;

pub fn rows() -> Vec<Row> {
    let mut rows = json_paths();
    rows.extend(not_json());
    rows.extend(expressions());
    rows.extend(of_other_answers());
    rows.extend(refused());
    rows
}

fn get(expect: &str) -> String {
    format!("http: {{ url: 'http://{{addr}}/' }}\nexpect: {{ {expect} }}")
}

fn that(expression: &str) -> String {
    get(&format!("that: \"{expression}\""))
}

fn row_of(name: String, check: String, failed: Option<&str>) -> Row {
    let row = row(name)
        .server(ok(&["X-Kind: a", "X-Kind: b", "Set-Cookie: sid=hunter2"], JSON))
        .check(check)
        .at("assertions.0.passed", is(true))
        .at("assertions.1.passed", is(failed.is_none()));
    match failed {
        None => row.pass(),
        Some(told) => row.fail("assertion_failed").says(told),
    }
}

fn json_paths() -> Vec<Row> {
    [
        ("text", "'$.state': up", None),
        ("number", "'$.n': 3", None),
        ("null", "'$.none': null", None),
        ("present", "'$.items[1]': { present: true }", None),
        ("absent", "'$.gone': { present: false }", None),
        ("one-of-several", "'$.items[*].state': down", None),
        ("matches", "'$.state': { matches: '^u' }", None),
        ("text-not", "'$.state': down", Some(r#"^\$.state in the body is "up", expected that it equals "down"$"#)),
        ("number-as-text", "'$.n': '3'", Some(r"^\$.n in the body is 3, ")),
        (
            "absent-not",
            "'$.state': { present: false }",
            Some("^\\$.state in the body is \"up\", expected that it is absent$"),
        ),
        ("that-is-gone", "'$.gone': x", Some(r"^\$.gone in the body is absent, ")),
        ("matches-not", "'$.state': { matches: '^d' }", Some(r"^\$.state in the body is ")),
        ("none-of-several", "'$.items[*].state': broken", Some(r"\$.items\[\*\].state in the body is .* and 1 more, ")),
    ]
    .into_iter()
    .map(|(name, expect, failed)| {
        row_of(format!("json-path-{name}"), get(&format!("json_path: {{ {expect} }}")), failed)
    })
    .collect()
}

fn not_json() -> Vec<Row> {
    [
        ("html", "<html>".to_owned(), "the body is not JSON"),
        ("nothing", String::new(), "the body is not JSON"),
        ("half-of-it", "{\"a\": ".to_owned(), "the body is not JSON"),
        ("too-deep", "[".repeat(50_000), "the body is not JSON .recursion limit exceeded"),
        ("too-long", format!("[{}", "1,".repeat(100_000)), "goes on beyond what is read, and is no JSON so far"),
    ]
    .into_iter()
    .map(|(name, body, says)| {
        row(format!("json-path-in-{name}"))
            .server(ok(&[], body))
            .check(get("json_path: { '$.a': 1 }"))
            .fail("assertion_failed")
            .says(says)
    })
    .collect()
}

fn expressions() -> Vec<Row> {
    [
        ("status", "status in [200, 204]", None),
        ("header", "headers['X-KIND'] == 'a, b' && !('x-none' in headers)", None),
        ("text", "body.text.startsWith('{') && !body.truncated", None),
        ("json", "body.json.items.size() == 2 && body.json.n > 2", None),
        ("any-of-several", "body.json.items.exists(i, i.state == 'down')", None),
        ("phases", "phases.total_ms < 30000.0", None),
        ("address", "address == '{addr}'", None),
        ("no-tls", "!has(tls)", None),
        ("arithmetic", "body.json.n * 2 == 6 || status == 1", None),
        ("status-not", "status == 503", Some("^`status == 503` does not hold: status = 200$")),
        ("all-of-several-not", "body.json.items.all(i, i.state == 'up')", Some(r#"items\[1\].state = "down""#)),
        ("of-what-is-not-there", "body.json.gone == 1", Some("does not hold: body.json.gone: ")),
        ("of-tls-without-tls", "tls.days_left > 14.0", Some("tls.days_left: the answer came without TLS$")),
        ("of-a-secret", "headers['set-cookie'] == 'x'", Some(r#"headers\["set-cookie"\] = "\[redacted\]"$"#)),
        ("of-another-type", "body.json.state > 3", Some("does not hold: ")),
        ("beyond-a-list", "body.json.items[7].state == 'up'", Some("does not hold: ")),
        ("by-zero", "body.json.n / 0 == 1", Some("does not hold: .*(zero|0)")),
    ]
    .into_iter()
    .map(|(name, expression, failed)| row_of(format!("expression-{name}"), that(expression), failed))
    .collect()
}

fn of_other_answers() -> Vec<Row> {
    vec![
        row("expression-of-a-certificate")
            .server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .check(
                "http: { url: 'https://{host}:{port}/ok' }\n\
                 expect: { that: \"tls.days_left > 14.0 && '{host}' in tls.sans && tls.version == 'TLSv1.3'\" }",
            )
            .pass(),
        row("expression-of-a-certificate-that-ends-too-soon")
            .server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .check("http: { url: 'https://{host}:{port}/ok' }\nexpect: { that: 'tls.days_left > 99999.0' }")
            .fail("assertion_failed")
            .says("^`tls.days_left > 99999.0` does not hold: tls.days_left = [0-9.]+$"),
        row("expression-of-a-body-that-is-no-json")
            .server(ok(&[], "hello"))
            .check(that("body.json.a == 1"))
            .fail("assertion_failed")
            .says("does not hold: "),
        row("expression-of-a-redirect")
            .server(Server::Paths)
            .check(
                "http: { url: 'http://{addr}/redirect?to=/ok', max_redirects: 1 }\n\
                 expect: { that: \"redirects.size() == 1 && redirects[0].endsWith('/ok')\" }",
            )
            .pass(),
        row("expression-of-a-name")
            .server(ok(&[], ""))
            .check("http: { url: 'http://{host}:{port}/' }\nexpect: { that: \"resolved == ['127.0.0.1']\" }")
            .pass(),
        row("expression-of-tcp")
            .server(Server::Tcp(Behaviour::Silent))
            .check("tcp: { address: '{addr}' }\nexpect: { that: 'phases.connect_ms < 30000.0' }")
            .pass(),
        row("several-expressions")
            .server(ok(&[], "ok"))
            .check(get("that: ['status == 200', 'status == 201', 'status == 202']"))
            .fail("assertion_failed")
            .says(r"^`status == 201` does not hold: status = 200 \(and 1 more\)$"),
    ]
}

fn refused() -> Vec<Row> {
    let too_deep = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    [
        ("that-is-none", "status ==", "column 10: expected a value, found the end of the expression"),
        ("of-an-unknown-name", "statos == 200", "column 1: there is no variable `statos`; did you mean `status`?"),
        ("of-an-unknown-field", "tls.days_lef > 1.0", "column 5: .* no field `days_lef`; did you mean `days_left`?"),
        ("of-types-that-do-not-fit", "status == 'ok'", "column 1: .* found an int and a string"),
        ("that-is-no-condition", "status + 1", "column 1: the expression must come to a bool"),
        ("that-is-too-deep", &too_deep, "the expression is nested too deep: expected at most"),
        ("with-a-bad-regex", "body.text.matches('(')", "column 19: .* is not a regular expression"),
    ]
    .into_iter()
    .map(|(name, expression, says)| {
        row(format!("refused-expression-{name}"))
            .server(ok(&[], ""))
            .check(that(expression))
            .refused(&format!(r"^error: watchpost.yaml:\d+:\d+: .*`expect.that`: .*{says}"))
    })
    .collect()
}
