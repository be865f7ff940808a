//! Flows of HTTP requests, against a server that remembers who logged in.

use std::time::Duration;

use watchpost_model::{Outcome, StepsEvidence, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::flow_fixture::{CSRF, FlowFixture, PASSWORD, TOKEN};

use crate::{AMPLE, Bench, Ran, closed_port, eventually, loopback, run_task, task};

/// The name by which all steps go.
const SHOP: &str = "http://shop.example";

async fn fixture() -> FlowFixture {
    FlowFixture::start().await.unwrap()
}

/// A flow, with what is expected of it as a whole.
fn flow(steps: &[&str], expect: &str) -> String {
    format!(r#"{{"steps": [{}], "expect": {{{expect}}}}}"#, steps.join(", "))
}

/// A step that asks for `path` and captures what comes by the name `x`.
fn value(path: &str, capture: &str) -> String {
    format!(r#"{{"name": "get", "http": {{"url": "{SHOP}{path}"}}, "capture": {{"x": {capture}}}}}"#)
}

/// A step that captures `text`, which the server says.
fn says(text: &str) -> String {
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    value(&format!("/value?v={encoded}"), r#"{"json_path": "$.value"}"#)
}

fn login(password: &str) -> String {
    format!(
        r#"{{"name": "login", "http": {{"url": "{SHOP}/login", "method": "POST",
            "headers": {{"Content-Type": "application/json"}}, "body": "{{\"password\": \"{password}\"}}"}},
            "expect": {{"status": 200, "that": "captures.token.startsWith('tok')"}},
            "capture": {{"token": {{"json_path": "$.token"}}, "user": {{"json_path": "$.user", "show": true}}}}}}"#
    )
}

const ORDERS: &str = r#"{"name": "orders", "http": {"url": "http://shop.example/orders/${user}",
    "headers": {"Authorization": "Bearer ${token}"}},
    "expect": {"json_path": {"$.user": "${user}", "$.token": "${token}"}, "that": "body.json.items.size() == 2"}}"#;
const LOGOUT: &str = r#"{"name": "logout", "http": {"url": "http://shop.example/logout", "method": "POST",
    "auth": {"bearer": "${token}"}}, "expect": {"status": 204}}"#;

async fn against(server: &FlowFixture, steps: &[&str]) -> Ran {
    Bench::new().run(&flow(steps, ""), server.address()).await
}

#[track_caller]
fn steps(ran: &Ran) -> &StepsEvidence {
    let Some(TypeEvidence::Steps(steps)) = &ran.evidence.of_type else { panic!("no steps: {ran:?}") };
    steps
}

#[tokio::test]
async fn what_one_step_captures_later_ones_use() {
    let server = fixture().await;
    let ran = against(&server, &[&login(PASSWORD), ORDERS, LOGOUT]).await;
    ran.assert_passed();
    assert_eq!(server.asked(), ["POST /login", "GET /orders/17", "POST /logout"]);
    assert!(!server.has_tokens());

    let exprs: Vec<_> = ran.evidence.assertions.iter().map(|report| report.expr.as_str()).collect();
    assert_eq!(
        exprs,
        [
            "step 1 (login): status in 200",
            "step 1 (login): captures token, user",
            "step 1 (login): captures.token.startsWith('tok')",
            "step 2 (orders): status < 400",
            "step 2 (orders): $.token equals \"[redacted]\"",
            "step 2 (orders): $.user equals 17",
            "step 2 (orders): body.json.items.size() == 2",
            "step 3 (logout): status in 204",
        ]
    );
    let hops: Vec<_> =
        ran.evidence.hops.iter().map(|hop| (hop.step.as_deref().unwrap(), hop.status.unwrap())).collect();
    assert_eq!(hops, [("step 1 (login)", 200), ("step 2 (orders)", 200), ("step 3 (logout)", 204)]);
    assert!(ran.evidence.hops.iter().all(|hop| hop.address == Some(server.address()) && hop.spans.len() >= 3));
    assert_eq!(ran.http().status, 204);

    let evidence = steps(&ran);
    assert_eq!((evidence.steps_done, evidence.steps.len()), (3, 3));
    assert!(evidence.steps.iter().all(|step| step.passed && step.took_us.is_some()));
    assert!(evidence.steps.is_sorted_by_key(|step| step.start_us));
    assert_eq!(evidence.captures.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), [("user", "17")]);
}

#[tokio::test]
async fn the_first_step_that_fails_ends_the_flow_and_is_named() {
    let server = fixture().await;
    let ran = against(&server, &[&login("sesame"), ORDERS, LOGOUT]).await;
    ran.assert_ended(Outcome::Fail, "http_status");
    assert_eq!(ran.message(), "step 1 (login): status is 401, expected 200 (and 2 more)");
    assert_eq!(server.asked(), ["POST /login"]);
    assert_eq!((ran.http().status, ran.http().body_excerpt.as_deref()), (401, Some(r#"{"error":"bad password"}"#)));
    assert_eq!((steps(&ran).steps_done, steps(&ran).steps.len(), steps(&ran).steps[0].passed), (0, 1, false));

    let unnamed = r#"{"http": {"url": "http://shop.example/welcome"}}"#;
    let ran = against(&server, &[&login(PASSWORD), unnamed, LOGOUT]).await;
    assert_eq!(ran.message(), "step 2: status is 403, expected a status below 400");
    assert_eq!((steps(&ran).steps_done, ran.evidence.assertions.len(), ran.http().status), (1, 4, 403));
}

#[tokio::test]
async fn an_answer_without_what_is_to_be_captured_fails_the_step() {
    let server = fixture().await;
    for (capture, why) in [
        (r#"{"json_path": "$.token"}"#, "no `x`: `$.token` is not in the body"),
        (r#"{"header": "X-Token"}"#, "no `x`: there is no header x-token"),
        (r#"{"cookie": "sid"}"#, "no `x`: no cookie `sid` was set"),
        (r#"{"regex": "id=(\\d+)"}"#, r"no `x`: /id=(\d+)/ does not match the body"),
    ] {
        let ran = against(&server, &[&value("/value?v=1", capture), LOGOUT.replace("token", "x").as_str()]).await;
        ran.assert_ended(Outcome::Fail, "assertion_failed");
        assert_eq!(ran.message(), format!("step 1 (get): the answer has {why}"));
        let report = ran.assertion(1);
        assert_eq!(
            (report.expr.as_str(), report.passed, report.actual.as_str()),
            ("step 1 (get): captures x", false, why)
        );
    }
    assert_eq!(server.counts().accepted(), 4);
    let whole = r#"{"regex": "a+"}"#;
    against(&server, &[&value("/bytes?n=8192", whole)]).await.assert_passed();
    let ran = against(&server, &[&value("/bytes?n=8193", whole)]).await;
    assert_eq!(ran.message(), "step 1 (get): the answer has no `x`: it has 8193 bytes, more than 8192");
}

#[tokio::test]
async fn cookies_and_the_secret_of_a_form_are_carried_through_the_flow() {
    let server = fixture().await;
    let form = r#"{"http": {"url": "http://shop.example/form"},
        "capture": {"csrf": {"regex": "name=\"csrf\" value=\"([^\"]*)\""}, "sid": {"cookie": "sid"}}}"#;
    let submit = r#"{"http": {"url": "http://shop.example/form", "method": "POST", "max_redirects": 1,
        "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": "user=probe&csrf=${csrf}"},
        "expect": {"body_contains": "welcome"}}"#;
    let again = r#"{"http": {"url": "http://shop.example/echo"},
        "expect": {"json_path": {"$.headers.cookie": "sid=${sid}"}}}"#;
    let ran = against(&server, &[form, submit, again]).await;
    ran.assert_passed();
    assert_eq!(server.asked(), ["GET /form", "POST /form", "GET /welcome", "GET /echo"]);
    let hops: Vec<_> =
        ran.evidence.hops.iter().map(|hop| (hop.step.as_deref().unwrap(), hop.status.unwrap())).collect();
    assert_eq!(hops, [("step 1", 200), ("step 2", 303), ("step 2", 200), ("step 3", 200)]);
    assert!(!format!("{ran:?}").contains("session-"), "{ran:?}");

    // Without the form's secret, and without its cookie.
    let ran = against(&server, &[form, submit.replace("${csrf}", "guessed").as_str()]).await;
    assert_eq!(ran.message(), "step 2: status is 403, expected a status below 400 (and 1 more)");
    let ran = against(&server, &[&says("x"), submit.replace("${csrf}", "guessed").as_str()]).await;
    assert!(ran.http().body_excerpt.as_deref() == Some("no session"), "{ran:?}");
}

#[tokio::test]
async fn what_was_captured_is_shown_nowhere() {
    let server = fixture().await;
    let secrets = ["tok+/=", "tok%2B%2F%3D", "4711", CSRF, "csrf%2B"];
    let with_pin = login(PASSWORD).replace(r#""capture": {"#, r#""capture": {"pin": {"json_path": "$.pin"}, "#);
    // The server says back what it was sent, in all the forms in which it was sent.
    let wrong = r#"{"http": {"url": "http://shop.example/echo/${token}/${pin}?token=${token}", "method": "POST",
        "headers": {"X-Plain": "<${token}>", "Content-Type": "application/json"},
        "body": "{\"token\": \"${token}\", \"pin\": \"${pin}\"}"},
        "expect": {"status": 500, "body_contains": ["no ${token}", "${token}!"], "header": {"X-Plain": {"equals": "${token}"}},
            "json_path": {"$.body": "${token}", "$.pin": {"present": true}},
            "that": ["captures.token == captures.pin", "body.json.body == captures['token']", "body.text == ''"]}}"#;
    let ran = against(&server, &[&with_pin, wrong]).await;
    ran.assert_ended(Outcome::Fail, "http_status");
    let shown = format!("{ran:?}");
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert_eq!(ran.evidence.hops[1].target, "http://shop.example/echo/[redacted]/[redacted]?token=[redacted]");
    let excerpt = ran.http().body_excerpt.as_ref().unwrap();
    assert!(excerpt.contains("<[redacted]>") && excerpt.contains("[redacted]"), "{excerpt}");
    let compared = &ran.evidence.assertions.iter().find(|report| report.expr.contains("captures.pin")).unwrap().actual;
    assert_eq!(compared.matches("[redacted]").count(), 2, "{compared}");

    // A login whose own answer is shown, since what is expected of it does not hold.
    let refused = with_pin.replace(r#""status": 200"#, r#""status": 200, "body_contains": "no such text""#);
    let ran = against(&server, &[&refused]).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    let shown = format!("{ran:?}");
    assert!(ran.http().body_excerpt.as_ref().unwrap().contains(r#""user":17"#), "{shown}");
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(TOKEN.starts_with(secrets[0]));
}

#[tokio::test]
async fn what_may_be_shown_is_shown() {
    let server = fixture().await;
    let shown = says("order-4711").replace(r#""$.value"}"#, r#""$.value", "show": true}"#);
    let next = r#"{"http": {"url": "http://shop.example/echo/${x}"}, "expect": {"that": "captures.x == 'order-1'"}}"#;
    let ran = against(&server, &[&shown, next]).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().contains("order-4711"), "{}", ran.message());
    assert_eq!(ran.evidence.hops[1].target, "http://shop.example/echo/order-4711");
    assert_eq!(steps(&ran).captures["x"], "order-4711");
}

#[tokio::test]
async fn values_stay_what_they_are_wherever_they_are_filled_in() {
    let server = fixture().await;
    let nasty = "a/../b?c&d=e#f%20g\"h\\+ i";
    let echo = |more: &str, expect: &str| {
        format!(
            r#"{{"http": {{"url": "{SHOP}/echo/x${{x}}?q=${{x}}&r=1"{more}}}, "expect": {{"json_path": {{{expect}}}}}}}"#
        )
    };
    let in_url =
        echo("", r#""$.query.q": "${x}", "$.query.r": "1", "$.path": {"matches": "^/echo/xa%2F\\.\\.%2Fb%3Fc%26"}"#);
    let in_form = echo(
        r#", "method": "POST", "headers": {"Content-Type": "application/x-www-form-urlencoded", "X-Was": "${x}"}, "body": "f=${x}&g=1""#,
        r#""$.body": {"matches": "^f=a%2F..%2Fb%3Fc%26d%3De%23f%2520g%22h%5C%2B%20i&g=1$"}, "$.headers['x-was']": "${x}""#,
    );
    let in_json = echo(
        r#", "method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{\"v\":\"${x}\"}""#,
        r#""$.body": "{\"v\":\"a/../b?c&d=e#f%20g\\\"h\\\\+ i\"}""#,
    );
    let as_it_is = echo(r#", "method": "POST", "body": "<${x}> $${x}""#, r#""$.body": "<${x}> $${x}""#);
    let ran = against(&server, &[&says(nasty), &in_url, &in_form, &in_json, &as_it_is]).await;
    ran.assert_passed();
}

#[tokio::test]
async fn a_value_that_makes_no_request_is_an_error_that_names_step_and_capture() {
    let server = fixture().await;
    let step = |http: &str| format!(r#"{{"name": "use", "http": {{"url": "{SHOP}/echo", {http}}}}}"#);
    let in_header = step(r#""headers": {"X-A": "${x}"}"#);
    let in_auth = step(r#""auth": {"bearer": "${x}"}"#);
    let in_password = step(r#""auth": {"basic": {"username": "u", "password": "${x}"}}"#);
    let in_path = format!(r#"{{"name": "use", "http": {{"url": "{SHOP}/echo/${{x}}/y"}}}}"#);
    for (value, step, why) in [
        ("v1\r\nX-Evil: 1", &in_header, "`http.headers.x-a`: a header value holds a character"),
        ("v1\nX-Evil: 1", &in_header, "`http.headers.x-a`: a header value holds a character"),
        ("vä", &in_header, "`http.headers.x-a`: a header value holds a character"),
        ("v1 v2", &in_auth, "`http.auth.bearer`: the token holds a character"),
        ("v1\r\nv2", &in_password, "`http.auth.basic.password` holds a control character"),
        ("..", &in_path, "`http.url`: a part of the path that is `.` or `..`"),
    ] {
        let before = server.asked().len();
        let ran = against(&server, &[&says(value), step]).await;
        ran.assert_ended(Outcome::Error, "invalid_target");
        let told = format!("step 2 (use): no request can be made with what was captured as `x`: {why}");
        assert!(ran.message().starts_with(&told), "{}", ran.message());
        assert_eq!(server.asked().len(), before + 1);
        assert_eq!((steps(&ran).steps_done, ran.evidence.assertions.len(), ran.evidence.hops.len()), (1, 2, 1));
        assert!(ran.evidence.http.is_none() && !format!("{ran:?}").contains("v1"), "{ran:?}");
    }
    let long = format!(r#"{{"http": {{"url": "{SHOP}/echo?{}"}}}}"#, "${x}".repeat(2));
    let ran = against(&server, &[&value("/bytes?n=3000", r#"{"regex": "a+"}"#), &long]).await;
    assert!(ran.message().contains("the url has 6") && ran.message().contains("at most 4096"), "{}", ran.message());
}

#[tokio::test]
async fn steps_to_the_first_host_stay_with_the_endpoint_and_others_are_resolved() {
    let first = fixture().await;
    let other = FlowFixture::start_on(loopback(3)).await.unwrap();
    let dns = DnsServer::start(&[("other.example", &[loopback(3)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let elsewhere = format!(
        r#"{{"http": {{"url": "http://other.example:{}/echo", "headers": {{"X-A": "${{x}}"}}}},
            "expect": {{"json_path": {{"$.headers.x-a": "v1", "$.headers.cookie": {{"present": false}}}}}}}}"#,
        other.address().port()
    )
    .replace("$.headers.x-a", "$.headers['x-a']");
    let form = r#"{"http": {"url": "http://shop.example/form"}}"#;
    let back =
        r#"{"http": {"url": "http://shop.example/location?to=http:%2F%2Fshop.example%2Fecho", "max_redirects": 1}}"#;
    let json = flow(&[&says("v1"), form, &elsewhere, back], "");
    let ran = bench.run(&json, first.address()).await;
    ran.assert_passed();
    let went: Vec<_> = ran.evidence.hops.iter().filter_map(|hop| hop.address).collect();
    assert_eq!(went, [first.address(), first.address(), other.address(), first.address(), first.address()]);
    assert_eq!((first.counts().accepted(), other.counts().accepted()), (4, 1));
}

#[tokio::test]
async fn what_breaks_on_the_way_is_told_with_its_step() {
    let server = fixture().await;
    let close = r#"{"name": "use", "http": {"url": "http://shop.example/close"}}"#;
    let ran = against(&server, &[&says("x"), close]).await;
    ran.assert_ended(Outcome::Error, "connection_closed");
    let whom = format!("step 2 (use): {} (shop.example) closed the connection", server.address());
    assert!(ran.message().starts_with(&whom), "{}", ran.message());
    assert_eq!((ran.evidence.assertions.len(), ran.evidence.http.is_none()), (2, true));

    let nobody = closed_port(loopback(1)).await;
    let dead = format!(r#"{{"http": {{"url": "http://{nobody}/"}}}}"#);
    let ran = against(&server, &[&says("x"), &dead, &says("y")]).await;
    ran.assert_ended(Outcome::Error, "connect_refused");
    assert!(ran.message().starts_with(&format!("step 2: {nobody} refused the connection")), "{}", ran.message());
    assert_eq!((ran.evidence.address, steps(&ran).steps.len()), (Some(nobody), 2));
}

#[tokio::test]
async fn one_deadline_is_for_all_and_names_the_step_it_met() {
    let server = fixture().await;
    let hang = r#"{"name": "wait", "http": {"url": "http://shop.example/hang"}}"#;
    let task = task(&flow(&[&says("secret-1"), hang, &says("never")], ""), Some(server.address()));
    let bench = Bench::new();
    let mut probe = bench.probe(task.check_type());
    // It cannot but run into it, once the second step has begun.
    let ran = run_task(&mut *probe, &task, Duration::from_secs(2)).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    assert!(ran.message().starts_with("step 2 (wait): no first byte within 2s"), "{}", ran.message());
    let evidence = steps(&ran);
    assert_eq!((evidence.steps_done, evidence.steps.len(), evidence.steps[1].took_us), (1, 2, None));
    assert_eq!((ran.evidence.assertions.len(), ran.evidence.hops.len()), (2, 2));
    assert!(!format!("{ran:?}").contains("secret-1"));
    let counts = server.counts().clone();
    eventually("the connection is closed", move || counts.open() == 0).await;

    // Nothing of it is left to the next one.
    let next = crate::task(&flow(&[&value("/bytes?n=3", r#"{"regex": "^aaa$"}"#)], ""), Some(server.address()));
    run_task(&mut *probe, &next, AMPLE).await.assert_passed();
}

#[tokio::test]
async fn the_whole_is_held_against_what_is_expected_of_it() {
    let server = fixture().await;
    let check = |expect: &'static str| {
        let json = flow(&[&login(PASSWORD), ORDERS], expect);
        let at = server.address();
        async move { Bench::new().run(&json, at).await }
    };
    check(r#""max_latency": "1m", "that": "status == 200 && captures.user == '17' && body.json.user == 17""#)
        .await
        .assert_passed();
    let ran = check(r#""that": ["captures.token == 'a'", "captures['user'] == 'b'"]"#).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().starts_with("`captures.token == 'a'` does not hold: "), "{}", ran.message());
    assert!(ran.message().contains("[redacted]") && !ran.message().contains("tok+"), "{}", ran.message());
    let last = ran.evidence.assertions.last().unwrap();
    assert!(last.expr == "captures['user'] == 'b'" && last.actual.contains("17"), "{last:?}");
    assert!(ran.http().body_excerpt.as_ref().unwrap().contains(r#""user":17"#));
    assert_eq!(steps(&ran).steps_done, 2);
    let ran = check(r#""max_latency": "1us""#).await;
    assert!(ran.message().starts_with("total is "), "{}", ran.message());

    let slow = r#"{"http": {"url": "http://shop.example/echo"}, "expect": {"max_latency": "1us"}}"#;
    let ran = against(&server, &[&says("x"), slow]).await;
    assert!(ran.message().starts_with("step 2: total is "), "{}", ran.message());
}

#[tokio::test]
async fn of_many_hops_the_last_are_reported() {
    let server = fixture().await;
    let step = r#"{"http": {"url": "http://shop.example/location?to=%2Flocation%3Fto=%2Fecho", "max_redirects": 2}}"#;
    let ran = against(&server, &[step; 32]).await;
    ran.assert_passed();
    assert_eq!((server.counts().accepted(), ran.evidence.hops.len(), ran.evidence.assertions.len()), (96, 64, 32));
    assert_eq!(ran.evidence.hops[63].step.as_deref(), Some("step 32"));
    assert_eq!(steps(&ran).steps.len(), 32);
}
