//! Targets of checks: where they come from, what is filled in, and what there is where there are none.

use hickory_proto::op::ResponseCode;
use watchpost_tests::tcp_fixture::Behaviour;

use crate::expected::{absent, has, is, like};
use crate::names::Dns;
use crate::row::{Row, ip, row};
use crate::server::{Server, answer, ok, response};

pub fn rows() -> Vec<Row> {
    let mut rows = found();
    rows.extend(filled_in());
    rows.extend(without_any());
    rows.extend(refused());
    rows
}

/// A check that connects to each target of `source`.
fn connecting(name: &str, source: &str) -> Row {
    row(format!("targets-{name}"))
        .check(format!("targets: {{ {source} }}\ntcp: {{ address: '{{{{target.address}}}}' }}"))
}

/// The same, where a server listens.
fn with_server(name: &str, source: &str) -> Row {
    connecting(name, source).server(Server::Tcp(Behaviour::Silent))
}

fn found() -> Vec<Row> {
    let json = r#"[{"targets": ["{addr}"], "labels": {"env": "prod"}}]"#;
    let list = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[{\"targets\": [\"{web.addr}\"]}]";
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://{list.addr}/\r\nContent-Length: 0\r\n\r\n";
    let of_the_file = |row: Row| row.pass().at("target.labels.env", is("prod")).at("target.address", is("{addr}"));
    let of_the_server = |row: Row| row.pass().at("target.labels.__meta_url", like("^http://127.0.0.1:[0-9]+/sd$"));
    vec![
        with_server("static", "static: ['{addr}']").pass().at("target.endpoint", is("{addr}")),
        with_server("static-with-labels", "static: [{ address: '{addr}', labels: { env: prod } }]")
            .pass()
            .at("target.labels.env", is("prod")),
        with_server("static-twice-with-other-labels", "static: ['{addr}', { address: '{addr}', labels: { a: b } }]")
            .pass()
            .pass()
            .at("target.endpoint", like("^{addr}#[0-9a-f]{12}$")),
        with_server("static-one-of-two-dead", "static: ['{addr}', '127.0.0.9:{port}']")
            .dead("127.0.0.9")
            .pass()
            .error("connect_refused"),
        of_the_file(with_server("file-json", "file: { files: [file-json.json] }").file("file-json.json", json)),
        of_the_file(
            with_server("file-yaml", "file: { files: ['file-y*.yml'] }")
                .file("file-yaml.yml", "- targets: ['{addr}']\n  labels:\n    env: prod\n"),
        ),
        with_server("file-two", "file: { files: ['file-two-?.json'] }")
            .file("file-two-1.json", json)
            .file("file-two-2.json", r#"[{"targets": ["{addr}"]}]"#)
            .pass()
            .pass()
            .at("target.labels.__meta_filepath", like("/?file-two-[12].json$")),
        of_the_server(
            row("targets-http")
                .other("web", "127.0.0.1", Server::Tcp(Behaviour::Silent))
                .server(answer(list))
                .check("targets: { http: { url: 'http://{addr}/sd' } }\ntcp: { address: '{{target.address}}' }"),
        ),
        of_the_server(
            row("targets-http-redirected")
                .other("web", "127.0.0.1", Server::Tcp(Behaviour::Silent))
                .other("list", "127.0.0.1", answer(list))
                .server(answer(redirect))
                .check("targets: { http: { url: 'http://{addr}/sd' } }\ntcp: { address: '{{target.address}}' }"),
        ),
        with_server("dns", "dns: { name: '{host}', port: {port} }")
            .pass()
            .at("target.labels.__meta_dns_name", is("{host}"))
            .at("target.address", is("{addr}")),
        with_server("dns-one-of-two-dead", "dns: { name: '{host}', port: {port}, type: a }")
            .dns(Dns::Is(vec![ip("127.0.0.1"), ip("127.0.0.9")]))
            .dead("127.0.0.9")
            .pass()
            .error("connect_refused"),
    ]
}

fn filled_in() -> Vec<Row> {
    let to = |name: &str, labels: &str, check: &str| {
        row(format!("targets-{name}"))
            .server(Server::Paths)
            .check(format!("targets: {{ static: [{{ address: '{{addr}}', labels: {{ {labels} }} }}] }}\n{check}"))
    };
    let http = "http: { url: 'http://{{target.address}}/echo', headers: { X-Env: '{{target.labels.env}}' } }";
    let hidden = "evidence: { redact: { patterns: ['hunter[0-9]'] } }";
    vec![
        to(
            "label-in-a-header",
            "env: prod",
            &format!("{http}\nexpect: {{ json_path: {{ '$.headers[\"x-env\"]': prod }} }}"),
        )
        .pass(),
        to(
            "label-in-an-expectation",
            "env: prod",
            &format!("{http}\nexpect: {{ json_path: {{ '$.headers[\"x-env\"]': '{{{{target.labels.env}}}}' }} }}"),
        )
        .pass(),
        to("label-in-a-path", "p: status/204", "http: { url: 'http://{{target.address}}/{{target.labels.p | raw}}' }")
            .pass()
            .at("http.status", is(204)),
        to("label-as-a-variable", "env: prod", &format!("{http}\nexpect: {{ that: 'target.labels.env == \"prod\"' }}"))
            .pass(),
        to(
            "label-as-a-variable-that-differs",
            "env: test",
            &format!("{http}\nexpect: {{ that: 'target.labels.env == \"prod\"' }}"),
        )
        .fail("assertion_failed")
        .at("assertions", has("target.labels.env = ")),
        to("label-that-is-missing", "", http).error("invalid_target").says("the target has no label `env`$"),
        to("label-that-no-header-can-have", "env: 'grün'", http)
            .error("invalid_target")
            .says("^`http.headers.x-env` cannot be filled in with env="),
        row("targets-label-that-is-a-template")
            .server(Server::Paths)
            .file("label.json", r#"[{"targets": ["{addr}"], "labels": {"env": "x-{{target.port}}"}}]"#)
            .check(format!("targets: {{ file: {{ files: [label.json] }} }}\n{http}"))
            .error("invalid_target")
            .says("a label is a template itself$"),
        to(
            "label-that-refers-to-a-capture",
            "env: '${user}'",
            "steps:\n  - http: { url: 'http://{{target.address}}/echo?v={{target.labels.env | raw}}' }",
        )
        .error("invalid_target")
        .says("which only the check itself may$"),
        // What is sent is what the source says; what is shown is not.
        to(
            "label-that-is-hidden",
            "env: hunter2",
            &format!("{http}\nexpect: {{ body_matches: 'x-env.{{2,4}}hunter[0-9]' }}"),
        )
        .setting(hidden)
        .alone()
        .pass()
        .at("target.labels.env", is("[redacted]")),
        to("label-that-is-hidden-in-a-reason", "env: 'hunter2-grün'", http)
            .setting(hidden)
            .alone()
            .error("invalid_target")
            .says(r"with env=.\[redacted\]-gr")
            .at("target.labels.env", is("[redacted]-grün")),
    ]
}

fn without_any() -> Vec<Row> {
    let of_the_server = |name: &str, server: Server| {
        row(format!("targets-{name}")).server(server).check(
            "targets: { http: { url: 'http://{addr}/sd?token=hunter2' } }\ntcp: { address: '{{target.address}}' }",
        )
    };
    let none = |row: Row, says: &str| row.error("no_endpoints").says(says).at("target.address", absent());
    vec![
        none(
            connecting("file-empty-list", "file: { files: [file-empty-list.json] }").file("file-empty-list.json", "[]"),
            "lists no target$",
        ),
        none(
            connecting("file-broken", "file: { files: [file-broken.yaml] }")
                .file("file-broken.yaml", "- targets: ['a:1\n"),
            "gives no targets: the file .*file-broken.yaml is no list of targets: ",
        ),
        none(
            connecting("file-unknown-key", "file: { files: [file-unknown-key.json] }")
                .file("file-unknown-key.json", r#"[{"target": ["a:1"]}]"#),
            "unknown field `target`",
        ),
        none(connecting("file-missing", "file: { files: [file-missing.json] }"), "cannot be read: "),
        none(of_the_server("http-empty-list", ok(&[], "[]")), "lists no target$"),
        none(of_the_server("http-broken", ok(&[], "{")), "/sd is no list of targets: "),
        none(
            of_the_server("http-status", answer(response("503 Busy", &[], ""))),
            "answered with the status 503: expected 200$",
        ),
        none(of_the_server("http-closed", Server::Closed), "refused the connection"),
        none(
            of_the_server(
                "http-redirect-to-itself",
                answer("HTTP/1.1 302 F\r\nLocation: ?a=1\r\nContent-Length: 0\r\n\r\n"),
            ),
            "would be redirect 11, allowed are 10$",
        ),
        none(connecting("dns-missing", "dns: { name: '{host}', port: 80 }").dns(Dns::Missing), "lists no target$"),
        none(
            connecting("dns-broken", "dns: { name: '{host}', port: 80 }").dns(Dns::Code(ResponseCode::ServFail)),
            "cannot resolve {host}: ",
        ),
        connecting("file-not-an-address", "file: { files: [file-not-an-address.json] }")
            .file("file-not-an-address.json", r#"[{"targets": ["http://a/"]}]"#)
            .error("invalid_target")
            .says("`http://a/` is not host:port"),
    ]
}

fn refused() -> Vec<Row> {
    let refused = |name: &str, yaml: &str, regex: &str| row(format!("targets-{name}")).check(yaml).refused(regex);
    vec![
        connecting("static-twice", "static: ['a:1', 'a:1']").refused("`static` lists a:1 twice"),
        refused("unnamed", "targets: { static: ['a:1'] }\ntcp: { address: 'a:1' }", "names none of them"),
        refused("template-without-targets", "tcp: { address: '{{target.address}}' }", "the check has no `targets`"),
        refused(
            "secret-to-be-filled-in",
            "targets: { static: ['a:1'] }\nhttp: { url: 'http://{{target.address}}/', auth: { bearer: '{{target.labels.t}}' } }",
            "cannot be filled in here",
        ),
        refused(
            "two-sources",
            "targets: { static: ['a:1'], dns: { name: a } }\ntcp: { address: '{{target.address}}' }",
            "targets",
        ),
        refused(
            "unknown-place",
            "targets: { static: ['a:1'] }\ntcp: { address: '{{target.adress}}' }",
            "there is no `target.adress`",
        ),
    ]
}
