//! Checks of many targets: which are valid, and what becomes of their templates for each target.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use watchpost_model::{
    Check, Endpoint, Firing, Format, FoundTarget, Message, ProbeBody, RunId, Task, TaskClass, Timestamp, decode, encode,
};

fn check(json: &str) -> Result<Check, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

/// A check of targets that are listed, with these settings and keys.
fn listed(rest: &str) -> Result<Check, String> {
    check(&format!(r#"{{"id": "a", "targets": {{"static": ["a:1"]}}, {rest}}}"#))
}

fn target(address: &str, labels: &[(&str, &str)]) -> FoundTarget {
    FoundTarget::new(address, labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn aim(check: &Check, target: &FoundTarget) -> Result<(ProbeBody, Endpoint), String> {
    check.probe().unwrap().aim("name", target).map_err(|e| e.to_string())
}

const FULL: &str = r#""http": {"url": "http://{{target.address}}/{{target.labels.path | default(\"\") | raw}}",
        "headers": {"X-Env": "{{ target.labels.env }}", "X-Plain": "{{ env }}"}, "body": "{\"host\": \"{{target.host}}\"}"},
    "expect": {"body_contains": ["{{target.labels.env}}"], "body_matches": "^{{target.labels.version | default(\"1.0\")}}$",
        "header": {"server": {"equals": "{{target.labels.env}}-{{target.port}}"}}}"#;

#[test]
fn every_text_is_filled_in_for_each_target() {
    let check = listed(FULL).unwrap();
    let web = target("[fd00::7]:8080", &[("env", "prod"), ("path", "health?full=1")]);
    let (body, endpoint) = aim(&check, &web).unwrap();
    assert_eq!(body.target_name(), "http://[fd00::7]:8080/health?full=1");
    assert_eq!((endpoint.name.as_str(), endpoint.address.unwrap().to_string().as_str()), ("name", "[fd00::7]:8080"));
    assert_eq!(endpoint.labels, *web.labels());
    let written = serde_json::to_value((&*body.settings, &*body.expect)).unwrap();
    let expected = serde_json::json!([
        {"http": {
            "url": "http://[fd00::7]:8080/health?full=1",
            "headers": {"x-env": "prod", "x-plain": "{{ env }}"},
            "body": "{\"host\": \"fd00::7\"}",
        }},
        {
            "body_contains": "prod",
            "body_matches": "^1\\.0$",
            "header": {"server": {"equals": "prod-8080"}},
        },
    ]);
    assert_eq!(written, expected);
    // The Runner resolves names.
    assert_eq!(aim(&check, &target("web.example:80", &[("env", "x")])).unwrap().1.address, None);
}

#[test]
fn what_cannot_be_filled_in_names_the_key_and_the_label() {
    let check = listed(FULL).unwrap();
    for (labels, told) in [
        (&[][..], "`http.headers.x-env` cannot be filled in: the target has no label `env`"),
        (
            &[("env", "a\r\nX-Evil: 1")],
            "`http.headers.x-env` cannot be filled in with env=\"a\\\\r\\\\nX-Evil: 1\": the label `env` holds control characters",
        ),
        (&[("env", "größe")], "`http.headers.x-env` cannot be filled in with env=\"größe\": a header value"),
        (&[("env", "x"), ("path", "a b")], "`http.url` cannot be filled in with path=\"a b\": "),
        (&[("env", "x"), ("path", "../{{target.host}}")], "a label is a template itself"),
    ] {
        let error = aim(&check, &target("a:1", labels)).unwrap_err();
        assert!(error.contains(told), "{error}\nlacks {told}");
    }
    let exec =
        listed(r#""exec": {"command": "/bin/true", "arguments": ["-H", "{{target.host}}", "{{target.labels.l}}"]}"#);
    let error = aim(&exec.unwrap(), &target("a:1", &[("l", "--help")])).unwrap_err();
    assert!(error.contains("`exec.arguments[2]` cannot be filled in with l=\"--help\""), "{error}");
    let error = aim(&check, &target("nonsense", &[("env", "x")])).unwrap_err();
    assert!(error.contains("`nonsense` is not host:port"), "{error}");
}

#[test]
fn a_label_that_is_not_told_to_be_raw_stays_what_it_is_in_a_url_and_a_pattern() {
    let check = listed(
        r#""http": {"url": "http://h/{{target.labels.l}}"}, "expect": {"body_matches": "^{{target.labels.l}}$"}"#,
    )
    .unwrap();
    let (body, _) = aim(&check, &target("a:1", &[("l", "../.*@evil/?#")])).unwrap();
    assert_eq!(body.target_name(), "http://h/..%2F.%2A%40evil%2F%3F%23");
    let written = serde_json::to_value(&*body.expect).unwrap();
    assert_eq!(written["body_matches"], r"^\.\./\.\*@evil/\?\#$");
}

#[test]
fn a_label_is_a_text_in_an_expression_whatever_it_holds() {
    let check = listed(
        r#""http": {"url": "http://{{target.address}}"}, "expect": {"that": "body.text == {{target.labels.l}} && status < {{target.labels.n | default(\"400\") | raw}}"}"#,
    )
    .unwrap();
    let (body, _) = aim(&check, &target("a:1", &[("l", r#"" || true || ""#)])).unwrap();
    let written = serde_json::to_value(&*body.expect).unwrap();
    assert_eq!(written["that"], r#"body.text == "\" || true || \"" && status < 400"#);
    let error = aim(&check, &target("a:1", &[("l", "x"), ("n", "400 &&")])).unwrap_err();
    assert!(error.contains("`expect.that`"), "{error}");
    for bad in ["status == '{{target.labels.l}}'", "stattus == {{target.port}}"] {
        let rest = format!(r#""http": {{"url": "http://a"}}, "expect": {{"that": "{bad}"}}"#);
        assert!(listed(&rest).unwrap_err().contains("`expect.that`"), "{bad}");
    }
}

#[test]
fn texts_of_every_type_can_be_filled_in_and_secrets_cannot() {
    const KEY: &str = "SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    let server = target("10.0.0.7:25", &[("l", "label"), ("key", KEY)]);
    for settings in [
        r#""ssh": {"address": "{{target.address}}", "fingerprint": "{{target.labels.key}}"}"#,
        r#""smtp": {"address": "{{target.address}}", "helo_name": "{{target.labels.l}}.example",
            "auth": {"username": "{{target.labels.l}}", "password": "hunter2"}}"#,
        r#""websocket": {"url": "ws://{{target.address}}/", "send": "{{target.labels.l}}",
            "subprotocols": ["{{target.labels.l}}"]}"#,
        r#""dns": {"name": "a", "server": "{{target.host}}", "transport": "https", "https": {"path": "/{{target.labels.l}}"}}"#,
        r#""grpc": {"address": "{{target.address}}", "service": "{{target.labels.l}}"}"#,
        r#""postgres": {"address": "{{target.address}}", "user": "{{target.labels.l}}", "database": "{{target.labels.l}}"}"#,
        r#""redis": {"address": "{{target.address}}", "command": ["GET", "{{target.labels.l}}"]}"#,
        r#""udp": {"address": "{{target.address}}", "send": "${{{target.labels.l}}}"}"#,
        r#""ntp": {"server": "{{target.host}}"}"#,
        r#""icmp": {"host": "{{target.host}}"}"#,
        r#""http": {"url": "http://{{target.address}}/"}, "expect": {"json_path": {"$.a": "{{target.labels.l}}"}}"#,
        r#""steps": [{"http": {"url": "http://{{target.address}}/{{target.labels.l}}"},
            "expect": {"json_path": {"$.a": "{{target.labels.l}}"}}}]"#,
    ] {
        let check = listed(settings).unwrap_or_else(|error| panic!("{settings}: {error}"));
        let (body, _) = aim(&check, &server).unwrap_or_else(|error| panic!("{settings}: {error}"));
        let written = serde_json::to_string(&(&*body.settings, &*body.expect)).unwrap();
        assert!(!written.contains("{{target.") && (written.contains("10.0.0.7")), "{written}");
    }
    for settings in [
        r#""http": {"url": "http://{{target.address}}", "auth": {"bearer": "{{target.labels.l}}"}}"#,
        r#""http": {"url": "http://{{target.address}}", "auth": {"basic": {"username": "a", "password": "{{target.labels.l}}"}}}"#,
        r#""redis": {"address": "{{target.address}}", "password": "{{target.labels.l}}"}"#,
        r#""postgres": {"address": "{{target.address}}", "user": "a", "query": "{{target.labels.l}}"}"#,
    ] {
        let error = listed(settings).unwrap_err();
        assert!(error.contains("`{{target.labels.l}}` cannot be filled in here"), "{settings}: {error}");
    }
}

/// A label comes from elsewhere, and must not learn what an answer held.
#[test]
fn a_label_makes_no_reference_to_what_a_check_captures() {
    let steps = r#""steps": [{"http": {"url": "http://{{target.address}}/"}, "capture": {"token": {"json_path": "$.t"}}},
        {"http": {"url": "http://{{target.address}}/", "headers": {"X-A": "${token} {{target.labels.l}}"}}}]"#;
    let tcp = r#""tcp": {"address": "{{target.address}}", "steps": [{"expect": "(?P<token>.*)"}, {"send": "{{target.labels.l}}"}]}"#;
    for settings in [steps, tcp] {
        let check = listed(settings).unwrap();
        assert!(aim(&check, &target("a:1", &[("l", "plain $5")])).is_ok());
        for label in ["${token}", "$${token}"] {
            let error = aim(&check, &target("a:1", &[("l", label)])).unwrap_err();
            assert!(error.contains("would make a reference to a capture"), "{error}");
        }
    }
    let http = listed(r#""http": {"url": "http://{{target.address}}/", "body": "{{target.labels.l}}"}"#).unwrap();
    assert!(aim(&http, &target("a:1", &[("l", "${token}")])).is_ok());
}

#[test]
fn a_check_with_templates_it_cannot_fill_in_is_refused() {
    for (json, told) in [
        (
            r#"{"id": "a", "http": {"url": "http://{{target.host}}/"}}"#,
            "`http.url` holds `{{target.host}}`, and the check has no `targets`",
        ),
        (
            r#"{"id": "a", "tcp": {"address": "a:1", "send": "x"}, "targets": {"static": ["a:1"]}}"#,
            "names none of them",
        ),
        (
            r#"{"id": "a", "tcp": {"address": "{{target.address}}"}, "addresses": "all", "targets": {"static": ["a:1"]}}"#,
            "it has `addresses` and `targets`",
        ),
        (
            r#"{"id": "a", "tcp": {"address": "{{target.address}}"}, "targets": {"http": {"url": "http://{{target.host}}"}}}"#,
            "`targets.http.url` holds `{{target.host}}`: targets are filled in, and not into where they come from",
        ),
        (r#"{"id": "a", "group": {"checks": ["b"]}, "targets": {"static": ["a:1"]}}"#, "`targets` has no meaning"),
    ] {
        let error = check(json).unwrap_err();
        assert!(error.contains(told), "{json}: {error}");
    }
    for (rest, told) in [
        (r#""tcp": {"address": "{{target.adress}}"}"#, "there is no `target.adress`"),
        (
            r#""tcp": {"address": "{{target.address}}:80"}"#,
            "with values filled in, `target.invalid:80:80` is not host:port",
        ),
        (r#""http": {"url": "{{target.address}}"}"#, "with values filled in, "),
        (
            r#""http": {"url": "http://{{target.address}}", "body": "{{target.nothing}}"}"#,
            "`{{target.nothing}}` cannot be filled in: there is no `target.nothing`",
        ),
        (
            r#""http": {"url": "http://{{target.address}}", "body": {"file": "/{{target.host}}"}}"#,
            "cannot be filled in here",
        ),
        (r#""http": {"url": "http://{{target.address}}", "method": "{{target.port}}"}"#, "cannot be filled in here"),
        (
            r#""http": {"url": "http://{{target.address}}", "headers": {"{{target.host}}": "x"}}"#,
            "cannot be filled in here",
        ),
        (
            r#""http": {"url": "https://{{target.address}}", "tls": {"ca_file": "/{{target.host}}"}}"#,
            "cannot be filled in here",
        ),
        (
            r#""http": {"url": "http://a"}, "expect": {"body_matches": "({{target.host}}"}"#,
            "is not a regular expression",
        ),
        (
            r#""tcp": {"address": "{{target.address}}"}, "verdict": {"quorum": 2}"#,
            "wants 2 of its endpoints to pass, and there are 1",
        ),
    ] {
        let error = listed(rest).unwrap_err();
        assert!(error.contains(told), "{rest}: {error}");
    }
}

#[test]
fn secrets_beside_a_place_are_told_to_nobody() {
    let secret = r#""headers": {"Authorization": "hunter2 {{target.labels.l}} hunter2"}"#;
    let check = listed(&format!(r#""http": {{"url": "http://{{{{target.address}}}}", {secret}}}"#)).unwrap();
    let error = aim(&check, &target("a:1", &[("l", "{{target.host}}")])).unwrap_err();
    assert!(error.contains("`http.headers.authorization` holds `{{target.host}}`"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    for rest in [
        format!(r#"{{"id": "a", "http": {{"url": "http://a", {secret}}}}}"#),
        format!(r#"{{"id": "a", "http": {{"url": "http://a", {secret}}}}}"#).replace("labels.l", "label"),
    ] {
        let error = check_error(&rest);
        assert!(!error.contains("hunter2") && error.contains("{{target.label"), "{error}");
    }
}

fn check_error(json: &str) -> String {
    check(json).unwrap_err()
}

#[test]
fn sources_are_what_they_should_be() {
    let with = |targets: &str| {
        check(&format!(r#"{{"id": "a", "tcp": {{"address": "{{{{target.address}}}}"}}, "targets": {targets}}}"#))
    };
    for good in [
        r#"{"static": ["a:1", {"address": "b:1", "labels": {"env": "x"}}, {"address": "b:1"}]}"#,
        r#"{"dns": {"name": "a.example", "port": 80}, "refresh": "10s", "keep_for": "0s"}"#,
        r#"{"dns": {"name": "_http._tcp.example", "type": "srv"}}"#,
        r#"{"file": {"files": ["/etc/t/*.json"]}, "keep_for": "30d"}"#,
        r#"{"http": {"url": "https://sd/", "headers": {"Authorization": "x"}, "tls": {"ca_file": "/ca"}}}"#,
        r#"{"kubernetes": {"namespace": "shop", "service": "web", "port": 8080}}"#,
        r#"{"kubernetes": {"api": "http://127.0.0.1:8001", "namespace": "shop", "selector": "app=web", "port": "http"}}"#,
    ] {
        let read = with(good).unwrap();
        let again = serde_json::to_string(&read).unwrap();
        assert_eq!(check(&again).unwrap(), read, "{again}");
        for format in [Format::Json, Format::MsgPack] {
            assert_eq!(decode::<Check>(&encode(&read, format), format).unwrap(), read);
        }
    }
    for (bad, told) in [
        ("{}", "expected exactly one of `static`"),
        (r#"{"static": ["a:1"], "file": {"files": ["/a.json"]}}"#, "expected exactly one of `static`"),
        (r#"{"static": []}"#, "the list of targets is empty"),
        (r#"{"static": ["a:1", "a:1"]}"#, "lists a:1 twice"),
        (r#"{"static": ["a"]}"#, "no port"),
        (r#"{"static": ["{{target.host}}:1"]}"#, "targets are filled in"),
        (r#"{"static": [{"address": "a:1", "labels": {"a-b": "x"}}]}"#, "not a label's name"),
        (r#"{"static": [{"address": "a:1", "label": {}}]}"#, "unknown field `label`"),
        (r#"{"static": ["a:1"], "refresh": "1s"}"#, "a static list does not change"),
        (r#"{"dns": {"name": "a"}}"#, "expected `port`"),
        (r#"{"dns": {"name": "a", "type": "srv", "port": 1}}"#, "expected no `port`"),
        (r#"{"dns": {"name": "a", "port": 65536}}"#, "expected 1 to 65535"),
        (r#"{"dns": {"name": "a b", "port": 1}}"#, "is not a name"),
        (r#"{"file": {"files": []}}"#, "`files` is empty"),
        (r#"{"file": {"files": ["/a.json"]}, "refresh": "0s"}"#, "expected 1s to 24h"),
        (r#"{"file": {"files": ["/a.json"]}, "keep_for": "31d"}"#, "expected 0s to 30d"),
        (r#"{"kubernetes": {"namespace": "a"}}"#, "expected `service` or `selector`"),
        (r#"{"kubernetes": {"namespace": "A", "service": "b"}}"#, "lower-case"),
        (r#"{"kubernetes": {"namespace": "a", "service": "b", "port": 0}}"#, "expected 1 to 65535"),
        (r#"{"consul": {}}"#, "unknown field `consul`"),
    ] {
        let error = with(bad).unwrap_err();
        assert!(error.contains(told), "{bad}: {error}");
    }
}

fn task_of(body: &ProbeBody, endpoint: Endpoint) -> Task {
    let (bastion, at) = ("b".parse().unwrap(), Timestamp::UNIX_EPOCH);
    let id = "a".parse().unwrap();
    let run = RunId::derive(&bastion, &id, at);
    let class = TaskClass::AdHoc;
    let firing =
        Firing { run, bastion: &bastion, scheduled_at: at, deadline: at, answer_by: at, class, config_generation: 1 };
    Task::new(&id, body, endpoint, &firing)
}

#[test]
fn a_task_is_never_a_template() {
    let check = listed(FULL).unwrap();
    let raw = task_of(check.probe().unwrap(), Endpoint::named("x"));
    let refused = decode::<Task>(&encode(&raw, Format::Json), Format::Json).unwrap_err().to_string();
    assert!(refused.contains("`probe.http.url` is a template"), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_a_source_says_no_template_is_left_and_nothing_panics(
        address in prop_oneof![Just("a.example:80".to_owned()), Just("[::1]:443".to_owned()), any::<String>()],
        env in any::<String>(),
        path in "[-a-z/{}. |?#%:@\"\\\\]{0,40}|\\{\\{ ?target\\.(host|labels\\.env) ?\\}\\}",
        version in any::<Option<String>>(),
    ) {
        let check = listed(FULL).unwrap();
        let mut labels = vec![("env".to_owned(), env), ("path".to_owned(), path)];
        labels.extend(version.map(|version| ("version".to_owned(), version)));
        let found = FoundTarget::new(&address, labels);
        if let Ok((body, endpoint)) = check.probe().unwrap().aim("n", &found) {
            let task = task_of(&body, endpoint);
            let written = encode(&task, Format::MsgPack);
            prop_assert!(written.len() <= Task::BYTES_MAX);
            // Reading a task looks for templates, and for everything else that its texts may not be.
            prop_assert_eq!(decode::<Task>(&written, Format::MsgPack).unwrap(), task);
            let settings = serde_json::to_string(&*body.settings).unwrap();
            prop_assert!(!settings.contains("{{target"), "{}", settings);
        }
    }

    #[test]
    fn whatever_stands_in_a_text_it_is_a_template_or_refused_or_itself(
        text in "(\\{\\{ {0,2}target\\.(host|port|address|labels\\.[a-z_]{0,3}|x)? {0,2}(\\| ?(default\\(['\"]?[a-z\\\\]{0,3}['\"]?\\)|raw|json|x))?\\}{0,2}|[-a-z{}. ])*",
    ) {
        let json = serde_json::json!({
            "id": "a", "targets": {"static": ["a:1"]},
            "tcp": {"address": "{{target.address}}", "send": text, "expect": "x"},
        });
        if let Ok(check) = serde_json::from_value::<Check>(json) {
            let labels = ["a", "b", "abc"].map(|name| (name.to_owned(), "v".to_owned()));
            if let Ok((body, _)) = check.probe().unwrap().aim("n", &FoundTarget::new("h.example:1", labels)) {
                let sent = serde_json::to_value(&*body.settings).unwrap()["tcp"]["send"].clone();
                prop_assert!(text.contains("{{") || sent == text);
            }
        }
    }
}
