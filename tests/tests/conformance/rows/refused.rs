//! Checks that cannot be what somebody meant: refused with their place before anything is run.

use crate::row::{Row, row};

pub fn rows() -> Vec<Row> {
    [
        ("url-of-another-scheme", "http: { url: 'ftp://a/' }", "has the scheme `ftp`: expected `http` or `https`"),
        ("url-without-a-host", "http: { url: 'http://' }", "is not a URL"),
        ("url-with-a-password", "http: { url: 'http://u:hunter2@a/' }", "`http://a/` carries a user or password"),
        ("url-with-port-0", "http: { url: 'http://a:0/' }", "has port 0: expected 1 to 65535"),
        ("url-with-a-space", "http: { url: 'http://a/b c' }", "expected them percent-encoded"),
        ("method-connect", "http: { url: 'http://a/', method: CONNECT }", "the method CONNECT opens a tunnel"),
        ("method-in-lower-case", "http: { url: 'http://a/', method: get }", "`get` is not a method"),
        ("eleven-redirects", "http: { url: 'http://a/', max_redirects: 11 }", "11 is out of range: expected 0 to 10"),
        ("header-of-the-connection", "http: { url: 'http://a/', headers: { Connection: close } }", "sets `connection`"),
        ("header-with-a-line-feed", "http: { url: 'http://a/', headers: { X: \"a\\nb\" } }", "not allowed there"),
        ("header-with-a-bad-name", "http: { url: 'http://a/', headers: { 'a b': c } }", "`a b` is not a header name"),
        ("unknown-setting", "http: { url: 'http://a/', retries: 3 }", "unknown field `retries`.*expected one of"),
        ("address-without-a-port", "tcp: { address: 'a' }", "no port"),
        ("pattern-that-is-none", "tcp: { address: 'a:1', expect: '(' }", r"`\(` is not a regular expression"),
        (
            "two-types",
            "http: { url: 'http://a/' }\ntcp: { address: 'a:1' }",
            "it has `http:` and `tcp:`: expected exactly one type",
        ),
        ("no-type", "interval: 1m", "`http:`"),
        (
            "status-of-tcp",
            "tcp: { address: 'a:1' }\nexpect: { status: 200 }",
            "`expect.status` has no meaning for a check of the type tcp",
        ),
        (
            "status-of-four-digits",
            "http: { url: 'http://a/' }\nexpect: { status: 2000 }",
            "status 2000-2000 is out of range: expected codes from 100 to 999",
        ),
        ("nothing-to-look-for", "http: { url: 'http://a/' }\nexpect: { body_contains: '' }", "is empty"),
    ]
    .into_iter()
    .map(|(name, check, says)| {
        // A place is a file, a line and a column.
        row(format!("refused-{name}")).check(check).refused(&format!(r"watchpost.yaml:\d+:\d+: (.*\n)*?.*(?:{says})"))
    })
    .collect()
}
