//! What is absent: an error that says so, unless it is asked for or does not matter.

use watchpost_expr::EvalErrorKind;

use crate::support::{evaluate, evaluate_sparse, holds};

#[test]
fn reading_what_is_absent_is_an_error_that_says_so() {
    let cases = [
        ("tls.days_left > 14", "tls.days_left: the answer has no tls"),
        ("tls.chain[0].subject == ''", "tls.chain[0].subject: the answer has no tls"),
        ("phases.first_byte_ms < 300", "phases.first_byte_ms: the answer has no phases.first_byte_ms"),
        ("body.json.items.size() > 0", "body.json.items: the body is not JSON"),
        ("headers['x-a'] == ''", "headers[\"x-a\"]: the answer has no headers[\"x-a\"]"),
        ("headers.server == ''", "headers.server: the answer has no headers.server"),
        ("tls.days_left > 14 && ready == false", "tls.days_left: the answer has no tls"),
        ("tls.days_left > 14 || body.json == 1 || ready", "tls.days_left: the answer has no tls"),
    ];
    for (source, message) in cases {
        let error = evaluate_sparse(source).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (EvalErrorKind::Absent, message), "{source}");
    }
    let cases = [
        ("numbers[3] == 1", "numbers[3]: the answer has no numbers[3]"),
        ("numbers[-1] == 1", "numbers[-1]: the answer has no numbers[-1]"),
        ("body.json.items[status].id == 1", "body.json.items[status].id: the answer has no body.json.items[status]"),
        (
            "body.json.count.max == 1 || body.json.x.y == 1",
            "body.json.count.max: `body.json.count` is an int, expected an object",
        ),
        ("body.json.x.y == 1", "body.json.x.y: the answer has no body.json.x"),
        ("tls.chain.all(c, c.issuer == 'CN=root')", "tls.chain[1].issuer: the answer has no tls.chain[1].issuer"),
    ];
    for (source, message) in cases {
        assert_eq!(evaluate(source).unwrap_err().message, message, "{source}");
    }
}

#[test]
fn a_side_that_decides_absorbs_the_error_of_another() {
    for source in [
        "has(tls) ? tls.days_left > 14 : true",
        "!has(tls) || tls.days_left > 14",
        "!(has(tls) && tls.days_left > 14)",
        // As in CEL the order does not matter.
        "tls.days_left > 14 || status == 204",
        "!(tls.days_left > 14 && status == 200)",
        "status / 0 > 1 || body.json.a == 1 || true",
    ] {
        assert!(evaluate_sparse(source).unwrap().holds, "{source}");
    }
}

#[test]
fn has_never_fails() {
    for source in [
        "!has(tls) && !has(tls.days_left) && !has(tls.chain[0].issuer) && has(status) && has(body.text)",
        "!has(body.json) && !has(body.json.a.b[0]) && !has(headers['a']) && !has(phases.first_byte_ms)",
    ] {
        assert!(evaluate_sparse(source).unwrap().holds, "{source}");
    }
    for source in [
        "has(tls) && has(tls.chain[0].issuer) && !has(tls.chain[1].issuer) && !has(tls.chain[2])",
        // What is null is there; what would have to be within a number is not.
        "has(body.json.nothing) && !has(body.json.nothing.a) && !has(body.json.count.a) && !has(body.json.x.y)",
        "has(body.json.items[2]) && !has(body.json.items[3]) && has(headers.server) && !has(headers[names[0]])",
        "tls.chain.exists(c, !has(c.issuer)) && body.json.items.filter(i, has(i.state)).size() == 2",
    ] {
        assert!(holds(source), "{source}");
    }
}
