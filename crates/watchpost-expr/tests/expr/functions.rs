//! What functions come to.

use crate::support::{evaluate, holds};

#[test]
fn each_of_these_holds() {
    for source in [
        "size('äöü') == 3 && 'äöü'.size() == 3 && names.size() == 2 && size([]) == 0 && headers.size() == 2",
        "body.json.items.size() == 3 && body.json.size() == 9 && body.json.name.size() == 4",
        "body.text.contains('lo, W') && !body.text.contains('world') && body.text.contains('')",
        "body.text.startsWith('Hello') && !body.text.startsWith('World') && body.text.endsWith('World')",
        "body.text.lowerAscii() == 'hello, world' && 'ÄB'.lowerAscii() == 'Äb' && body.json.name.lowerAscii() == 'näme'",
        "body.text.matches('World$') && body.text.matches(r'^\\w+, \\w+$') && !body.text.matches('^World')",
        "body.text.matches('(?i)WORLD') && headers['content-type'].matches('^text/')",
        "int('-12') == -12 && int(2.9) == 2 && int(-2.9) == -2 && int(5) == 5 && int(body.json.ratio) == 0",
        "double('2.5') == 2.5 && double(2) / 4 == 0.5 && double(load) == 0.5",
        "string(12) == '12' && string(0.5) == '0.5' && string(true) == 'true' && string('a') == 'a'",
        "string(status).startsWith('2') && string(body.json.count) + '!' == '3!'",
        "numbers.all(n, n > 0) && !numbers.all(n, n > 1) && numbers.exists(n, n == 3) && !numbers.exists(n, n == 4)",
        "[].all(x, x == 1) && ![].exists(x, x == 1) && numbers.filter(n, n > 1) == [2, 3]",
        "headers.exists(h, h == 'server') && headers.all(h, h == h.lowerAscii()) && headers.filter(h, h > 'd') == ['server']",
        "body.json['by-key'].all(k, body.json['by-key'][k] > 0) && body.json['by-key'].filter(k, true) == ['a', 'b']",
        "body.json.items.exists(i, i.parts.exists(p, p == 3 && i.id == 2))",
        "body.json.items.filter(i, i.parts.size() > 0).size() == 2",
        "body.json.items.filter(i, i.id > 1)[0].state == 'bad' && body.json.items.filter(i, i.id > 1).all(i, i.id > 1)",
        "tls.chain.exists(c, c.subject == 'CN=root' && c.days_left > 14) && tls.chain.filter(c, has(c.issuer)).size() == 1",
        "['a', 'b'].exists(x, x in names) && names.all(n, n in ['a', 'b', 'c'])",
    ] {
        assert!(holds(source), "{source}");
    }
}

#[test]
fn an_error_in_a_loop_counts_only_if_nothing_decides() {
    // The third item has no state.
    assert!(holds("body.json.items.exists(i, i.state == 'bad')"));
    assert!(holds("!body.json.items.all(i, i.state == 'ok')"));
    assert!(holds("!body.json.items.all(i, i.state != 'bad' && i.id > 0)"));
    let error = evaluate("body.json.items.exists(i, i.state == 'worse')").unwrap_err();
    assert_eq!(error.message, "body.json.items[2].state: the answer has no body.json.items[2].state");
    let error = evaluate("body.json.items.filter(i, i.state == 'ok').size() == 1").unwrap_err();
    assert_eq!(error.message, "body.json.items[2].state: the answer has no body.json.items[2].state");
}
