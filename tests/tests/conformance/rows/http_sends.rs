//! What a check sends: bodies, logins, cookies.

use crate::expected::{has, is};
use crate::row::{Row, row};
use crate::server::Server;

/// A check of what the server heard.
fn echo(name: &str, settings: &str, heard: &str) -> Row {
    row(format!("sends-{name}")).server(Server::Paths).check(format!(
        "http: {{ url: 'http://{{addr}}/echo', method: POST, {settings} }}\nexpect: {{ body_contains: ['{heard}'] }}"
    ))
}

fn refused(name: &str, settings: &str, told: &str) -> Row {
    row(format!("sends-{name}")).check(format!("http: {{ url: 'http://{{host}}/', {settings} }}")).refused(told)
}

pub fn rows() -> Vec<Row> {
    let cookies = |name: &str, path: &str, heard: &str| {
        row(format!("cookie-{name}"))
            .server(Server::Paths)
            .check(format!(
                "http: {{ url: 'http://{{addr}}{path}', max_redirects: 3 }}\nexpect: {{ body_matches: '{heard}' }}"
            ))
            .pass()
    };
    vec![
        echo("a-text", "body: 'häh?'", "\"body\":\"häh?\"").pass(),
        echo("base64", "body: {base64: aMOkaD8=}", "\"body\":\"häh?\"").pass(),
        echo("a-file", "body: {file: '{dir}/body'}", "\"body\":\"from a file\"").file("body", "from a file").pass(),
        echo("no-file", "body: {file: '{dir}/none'}", "x")
            .cancelled("file_unusable")
            .says("none cannot be read")
            .connections(0),
        refused("two-bodies", "body: {hex: '00', base64: eA==}", "expected one of `hex`, `base64` and `file`"),
        refused("no-base64", "body: {base64: x}", "`x` is not base64"),
        echo(
            "a-login",
            "auth: { basic: { username: Aladdin, password: open sesame } }",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        )
        .pass()
        .at("assertions.1.actual", has("[redacted]")),
        echo("a-token", "auth: { bearer: mF_9.B5f-4.1JqM }", "\"authorization\":\"Bearer mF_9.B5f-4.1JqM\"").pass(),
        refused(
            "two-logins",
            "auth: { bearer: x }, headers: { Authorization: y }",
            "`http.auth`: expected one of them",
        ),
        refused("a-name-with-a-colon", "auth: { basic: { username: 'a:b' } }", "the username holds a colon"),
        cookies("goes-along", "/redirect?set=a=1&to=/echo", "\"cookie\":\"a=1\""),
        cookies("of-another-path-stays", "/redirect?set=a=1%3BPath=/x|b=2&to=/echo", "\"cookie\":\"b=2\""),
        cookies(
            "is-taken-back",
            "/redirect?set=a=1|b=2&to=/redirect%3Fset=a=%253BMax-Age=0%26to=/echo",
            "\"cookie\":\"b=2\"",
        ),
        row("unpacks-nothing-if-told")
            .server(Server::Paths)
            .check("http: { url: 'http://{addr}/bad-gzip', decompress: false }\nexpect: { body_contains: 'not gzip' }")
            .pass(),
        row("offers-what-it-unpacks")
            .server(Server::Paths)
            .get_expecting("http://{addr}/echo", "body_contains: '\"accept-encoding\":\"gzip, deflate, br, zstd\"'")
            .pass()
            .at("http.status", is(200)),
    ]
}
