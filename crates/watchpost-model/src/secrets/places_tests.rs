//! References in checks: where they may stand, and what becomes of them.

use serde_json::Value;

use crate::{Check, FoundTarget};

fn check(settings: &str) -> Result<Check, String> {
    serde_json::from_str(&format!(r#"{{"id": "a", {settings}}}"#)).map_err(|e| e.to_string())
}

/// The settings with `value` in the place of every secret.
fn filled(settings: &str, value: &str) -> Result<Value, String> {
    let check = check(settings).unwrap();
    let probe = &check.probe().unwrap().settings;
    let filled = probe.secrets().unwrap().fill(probe, |_| Some(value)).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(filled).unwrap())
}

#[test]
fn a_value_is_written_as_its_place_wants_it() {
    let value = "a\"b&c=d ${x}$";
    let http = |more: &str| format!(r#""http": {{"url": "http://a/", {more}}}"#);
    for (settings, pointer, becomes) in [
        (http(r#""headers": {"x": "-${secret:s}{x}"}"#), "/http/headers/x", "-a\"b&c=d ${x}${x}"),
        (http(r#""body": "<${secret:s}>""#), "/http/body", "<a\"b&c=d ${x}$>"),
        (http(r#""body": "<$${secret:s}>""#), "/http/body", "<${secret:s}>"),
        (
            http(r#""headers": {"content-type": "application/json"}, "body": "{\"p\": \"${secret:s}\"}""#),
            "/http/body",
            r#"{"p": "a\"b&c=d ${x}$"}"#,
        ),
        (
            http(r#""headers": {"content-type": "application/x-www-form-urlencoded"}, "body": "p=${secret:s}&q=1""#),
            "/http/body",
            "p=a%22b%26c%3Dd%20%24%7Bx%7D%24&q=1",
        ),
        (
            http(r#""auth": {"basic": {"username": "${secret:u}", "password": "${secret:s}"}}"#),
            "/http/auth/basic/password",
            value,
        ),
        (
            http(r#""proxy": "http://u:${secret:s}@p:3128""#),
            "/http/proxy",
            "http://u:a%22b%26c%3Dd%20%24%7Bx%7D%24@p:3128",
        ),
        (r#""tcp": {"address": "a:1", "send": "${secret:s}"}"#.to_owned(), "/tcp/send", value),
        (
            r#""tcp": {"address": "a:1", "steps": [{"expect": "x"}, {"send": "${secret:s}{x}"}]}"#.to_owned(),
            "/tcp/steps/1/send",
            "a\"b&c=d $${x}$${x}",
        ),
        (
            r#""steps": [{"http": {"url": "http://a/", "body": "${secret:s} $${secret:s}"}}]"#.to_owned(),
            "/steps/0/http/body",
            "a\"b&c=d $${x}$ $${secret:s}",
        ),
        (r#""exec": {"command": "/x", "environment": {"P": "${secret:s}"}}"#.to_owned(), "/exec/environment/P", value),
        (r#""redis": {"address": "a:1", "password": "${secret:s}"}"#.to_owned(), "/redis/password", value),
        (r#""redis": {"address": "a:1", "command": ["AUTH", "${secret:s}"]}"#.to_owned(), "/redis/command/1", value),
    ] {
        // A user has no colon, and a basic one no `${x}` to speak of.
        let filled = filled(&settings, value).unwrap_or_else(|why| panic!("{settings}: {why}"));
        assert_eq!(filled.pointer(pointer).and_then(Value::as_str), Some(becomes), "{settings}");
    }
}

#[test]
fn a_value_that_cannot_stand_somewhere_is_not_shown() {
    for (settings, value) in [
        (r#""http": {"url": "http://a/", "headers": {"x": "${secret:s}"}}"#, "hunter2\nhunter2"),
        (r#""http": {"url": "http://a/", "auth": {"bearer": "${secret:s}"}}"#, "hunter2 hunter2"),
        (r#""http": {"url": "http://a/", "auth": {"basic": {"username": "${secret:s}"}}}"#, "hunter2:"),
        (
            r#""http": {"url": "http://a/", "auth": {"basic": {"username": "u", "password": "${secret:s}"}}}"#,
            "hunter2\n",
        ),
        (r#""smtp": {"address": "a:1", "auth": {"username": "u", "password": "${secret:s}"}}"#, "hunter2\r\nX"),
        (r#""exec": {"command": "/x", "environment": {"P": "${secret:s}"}}"#, "hunter2\0"),
    ] {
        let told = filled(settings, value).unwrap_err();
        assert!(told.contains("`s` in `") && !told.contains("hunter2"), "{told}");
    }
    let long = filled(r#""redis": {"address": "a:1", "password": "${secret:s}"}"#, &"hunter2".repeat(200)).unwrap_err();
    assert!(long.contains("`s` in `redis.password`") && !long.contains("hunter2"), "{long}");
}

#[test]
fn a_reference_that_may_not_stand_where_it_does_is_refused_with_its_key() {
    for (settings, told) in [
        (r#""http": {"url": "http://a/${secret:s}"}"#, "URLs"),
        (r#""http": {"url": "http://a/", "body": {"hex": "${secret:s}"}}"#, "what is sent is a text"),
        (r#""http": {"url": "http://a/", "tls": {"ca_file": "${secret:s}"}}"#, "cannot stand here"),
        (r#""http": {"url": "http://a/", "body": {"file": "${secret:s}"}}"#, "cannot stand here"),
        (r#""http": {"url": "http://a/"}, "expect": {"body_contains": "${secret:s}"}"#, "cannot stand here"),
        (r#""http": {"url": "http://a/"}, "expect": {"json_path": {"$.a": "${secret:s}"}}"#, "`expect."),
        (r#""exec": {"command": "/x", "arguments": ["${secret:s}"]}"#, "`environment`"),
        (r#""heartbeat": {"token": "${secret:s}"}"#, "the Checker takes the beats"),
        (r#""tcp": {"address": "${secret:s}:1"}"#, ""),
        (r#""steps": [{"http": {"url": "http://a/${secret:s}"}}]"#, "URLs"),
        (r#""http": {"url": "http://a/", "headers": {"x": "${secret:../x}"}}"#, "cannot be the name of a secret"),
        (
            r#""http": {"url": "http://a/", "tls": {"client": {"certificate_file": "/c", "key_file": "-----BEGIN PRIVATE KEY-----"}}}"#,
            "`http.tls.client.key_file` is a certificate or key itself",
        ),
        (
            r#""http": {"url": "http://{{target.address}}/"}, "targets": {"http": {"url": "http://a/", "headers": {"x": "${secret:s}"}}}"#,
            "the Checker asks",
        ),
    ] {
        let error = check(settings).unwrap_err();
        assert!(error.contains(told), "{settings}: {error}");
    }
}

#[test]
fn a_label_cannot_make_a_reference() {
    let json = r#""http": {"url": "http://a/", "headers": {"x": "{{target.labels.l}}", "y": "${secret:s}"}},
        "targets": {"file": {"files": ["/targets.json"]}}"#;
    let check = check(json).unwrap();
    let body = check.probe().unwrap();
    let target = |label: &str| FoundTarget::new("a:1", [("l".to_owned(), label.to_owned())]);
    for label in ["${secret:other}", "$${secret:other}"] {
        let refused = body.aim("a", &target(label)).unwrap_err().to_string();
        assert!(refused.contains("a label would make a reference"), "{refused}");
    }
    let (body, _) = body.aim("b", &target("${fine}")).unwrap();
    let names: Vec<_> = body.settings.secrets().unwrap().uses().map(|used| used.name.to_string()).collect();
    assert_eq!(names, ["s"]);
}

#[test]
fn a_client_certificate_may_be_a_secret() {
    let json = r#""tls": {"address": "a:1", "tls": {"client": {"certificate_file": "${secret:c}", "key_file": "${secret:k}"}}}"#;
    let pem = "-----BEGIN X-----\nAAAA\n-----END X-----";
    let filled = filled(json, pem).unwrap();
    assert_eq!(filled.pointer("/tls/tls/client/key_file").and_then(Value::as_str), Some(pem));
}
