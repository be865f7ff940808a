//! Flows of HTTP requests: what is carried from step to step, and where they end.

use watchpost_tests::flow_fixture::FlowFixture;

use crate::expected::{absent, at_least, has, is};
use crate::row::{Row, STUCK, row};
use crate::server::{Running, Server};

pub fn rows() -> Vec<Row> {
    let mut rows = carried();
    rows.extend(ended());
    rows.extend(written());
    rows.extend(refused());
    rows
}

/// A server that remembers who logged in.
fn shop() -> Server {
    Server::Other(Box::new(|_| {
        Box::pin(async {
            let server = FlowFixture::start().await?;
            Ok(Running::counted(server.address(), &server.counts().clone(), server))
        })
    }))
}

/// A flow of these steps against that server.
fn flow(name: &str, steps: &[&str]) -> Row {
    row(format!("steps-{name}")).server(shop()).check(yaml(steps))
}

fn yaml(steps: &[&str]) -> String {
    steps.iter().fold("steps:".to_owned(), |yaml, step| format!("{yaml}\n  - {{ {step} }}"))
}

const LOGIN: &str = "name: login, http: { url: 'http://{host}:{port}/login', method: POST, \
    headers: { Content-Type: application/json }, body: '{\"password\": \"open sesame\"}' }, \
    capture: { token: { json_path: $.token }, user: { json_path: $.user, show: true } }";
const ORDERS: &str = "name: orders, http: { url: 'http://{host}:{port}/orders/${user}', \
    headers: { Authorization: 'Bearer ${token}' } }, expect: { json_path: { $.user: '${user}' } }";
const LOGOUT: &str = "http: { url: 'http://{host}:{port}/logout', method: POST, auth: { bearer: '${token}' } }";
const FORM: &str = "http: { url: 'http://{host}:{port}/form' }, capture: { csrf: { regex: 'value=\"([^\"]+)\"' } }";
const SUBMIT: &str = "http: { url: 'http://{host}:{port}/form', method: POST, max_redirects: 1, \
    headers: { Content-Type: application/x-www-form-urlencoded }, body: 'csrf=${csrf}' }, \
    expect: { status: 200, body_contains: welcome }";

/// A step that captures what the server says as `x`.
fn says(encoded: &str) -> String {
    format!("http: {{ url: 'http://{{addr}}/value?v={encoded}' }}, capture: {{ x: {{ json_path: $.value }} }}")
}

fn carried() -> Vec<Row> {
    vec![
        flow("token-of-a-login", &[LOGIN, ORDERS, LOGOUT])
            .pass()
            .at("hops", at_least(3.0))
            .at("hops.1.step", is("step 2 (orders)"))
            .at("hops.1.target", is("http://{host}:{port}/orders/17"))
            .at("http.status", is(204))
            .at("evidence.steps.steps_done", is(3))
            .at("evidence.steps.captures.user", is("17"))
            .at("evidence.steps.captures.token", absent())
            .connections(3),
        flow("session-by-a-cookie", &[FORM, SUBMIT]).pass().at("hops.2.step", is("step 2")).connections(3),
        flow("one-step", &["http: { url: 'http://{addr}/echo' }"]).pass().at("hops.0.step", is("step 1")),
        flow("cookie-as-a-value", &[
            "http: { url: 'http://{addr}/form' }, capture: { sid: { cookie: sid, regex: '^(.*)-' } }",
            "http: { url: 'http://{addr}/echo?${sid}=1' }, expect: { json_path: { $.query.session: '1' } }",
        ])
        .pass(),
        flow("header-as-a-value", &[
            "http: { url: 'http://{addr}/location?to=/jobs/17' }, capture: { job: { header: location, regex: '(\\d+)$' } }",
            "http: { url: 'http://{addr}/echo/${job}' }, expect: { that: \"captures.job == '17'\", json_path: { $.path: '/echo/${job}' } }",
        ])
        .pass(),
        flow("that-of-the-whole", &[LOGIN, ORDERS])
            .check(format!("{}\nexpect: {{ that: \"captures.user == 'x'\" }}", yaml(&[LOGIN, ORDERS])))
            .fail("assertion_failed")
            .says("^`captures.user == 'x'` does not hold: "),
    ]
}

fn ended() -> Vec<Row> {
    let wrong = LOGIN.replace("open sesame", "sesame");
    vec![
        flow("wrong-password", &[&wrong, ORDERS])
            .fail("http_status")
            .says(r"^step 1 \(login\): status is 401, expected a status below 400 \(and 1 more\)$")
            .at("http.status", is(401))
            .at("evidence.steps.steps_done", is(0))
            .connections(1),
        flow("token-used-up", &[LOGIN, LOGOUT, ORDERS])
            .fail("http_status")
            .says(r"^step 3 \(orders\): status is 401")
            .at("http.body_excerpt", has("\"authorization\":\"Bearer [redacted]\""))
            .connections(3),
        flow("form-without-its-secret", &[FORM, &SUBMIT.replace("${csrf}", "guess")])
            .fail("http_status")
            .says("^step 2: status is 403, expected 200"),
        flow(
            "nothing-to-capture",
            &["http: { url: 'http://{addr}/echo' }, capture: { x: { json_path: $.token } }", LOGIN],
        )
        .fail("assertion_failed")
        .says(r"^step 1: the answer has no `x`: `\$.token` is not in the body$")
        .connections(1),
        flow("second-step-hangs", &[&says("1"), "name: wait, http: { url: 'http://{addr}/hang' }"])
            .timeout("first_byte_timeout")
            .within(STUCK)
            .says(r"^step 2 \(wait\): no first byte within [0-9.]+m?s")
            .at("evidence.steps.steps_done", is(1)),
        flow("second-step-is-closed", &[&says("1"), "http: { url: 'http://{addr}/close' }"])
            .error("connection_closed")
            .says("^step 2: {addr} closed the connection")
            .at("http", absent()),
    ]
}

fn written() -> Vec<Row> {
    vec![
        flow(
            "value-with-a-line-break",
            &[&says("a%0d%0aX-Evil:1"), "http: { url: 'http://{addr}/echo', headers: { X-A: '${x}' } }"],
        )
        .error("invalid_target")
        .says("^step 2: no request can be made with what was captured as `x`: `http.headers.x-a`: ")
        .connections(1),
        flow("value-that-leads-elsewhere", &[&says(".."), "http: { url: 'http://{addr}/echo/${x}/y' }"])
            .error("invalid_target")
            .says("^step 2: no request can be made with what was captured as `x`: `http.url`: a part of the path")
            .connections(1),
        flow(
            "value-within-a-url",
            &[
                &says("a%2Fb%26c%3D%C3%A4"),
                "http: { url: 'http://{addr}/echo/${x}?q=${x}&r=1' }, \
             expect: { json_path: { $.path: '/echo/a%2Fb%26c%3D%C3%A4', $.query.q: '${x}', $.query.r: '1' } }",
            ],
        )
        .pass()
        .at("hops.1.target", is("http://{addr}/echo/[redacted]?q=[redacted]&r=1")),
    ]
}

fn refused() -> Vec<Row> {
    let get = "http: { url: 'http://a/' }";
    [
        (
            "unknown-capture",
            yaml(&[get, "http: { url: 'http://a/${t}' }"]),
            r"step 2 of `steps`: `http.url` refers to `\$\{t\}`, which no",
        ),
        (
            "capture-of-a-later-step",
            yaml(&["http: { url: 'http://a/', body: '${x}' }", &says("1").replace("{addr}", "a")]),
            "step 1 of `steps`: `http.body` refers",
        ),
        (
            "reference-in-the-host",
            yaml(&[&says("1").replace("{addr}", "a"), "http: { url: 'http://${x}/' }"]),
            "in the host",
        ),
        (
            "capture-from-nowhere",
            yaml(&["http: { url: 'http://a/' }, capture: { x: { show: true } }"]),
            "does not say from where",
        ),
        ("no-step", "steps: []".to_owned(), "expected at least one step"),
        (
            "unknown-variable",
            yaml(&["http: { url: 'http://a/' }, expect: { that: 'capture.x == 1' }"]),
            "step 1 of `steps`: `expect.that`",
        ),
    ]
    .into_iter()
    .map(|(name, check, says)| {
        row(format!("steps-refused-{name}"))
            .check(check)
            .refused(&format!(r"watchpost.yaml:\d+:\d+: (.*\n)*?.*(?:{says})"))
    })
    .collect()
}
