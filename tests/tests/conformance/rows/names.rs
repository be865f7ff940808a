//! Names, and what name servers say of them.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use watchpost_tests::tcp_fixture::Behaviour;

use crate::expected::{absent, at_least, is, present};
use crate::names::Dns;
use crate::row::{Row, ip, row};
use crate::server::{Server, ok};

const URL: &str = "http://{host}:{port}/";

pub fn rows() -> Vec<Row> {
    let mut rows = resolved();
    rows.extend(not_resolved());
    rows.extend(not_answered());
    rows.extend(several_addresses());
    rows
}

fn good(name: &str, says: Dns) -> Row {
    row(format!("name-{name}"))
        .server(ok(&[], "ok"))
        .dns(says)
        .get(URL)
        .pass()
        .at("target.address", is("{addr}"))
        .at("phases_us.dns", present())
}

fn resolved() -> Vec<Row> {
    let here = || vec![ip("127.0.0.1")];
    vec![
        good("with-an-address", Dns::Is(here())),
        good("with-the-same-address-twice", Dns::Is(vec![ip("127.0.0.1"), ip("127.0.0.1")])),
        good("that-is-an-alias", Dns::Alias("elsewhere.test.", here())),
        good("that-is-slow", Dns::Slow(Duration::from_millis(150), here())).at("phases_us.dns", at_least(150_000.0)),
        good("truncated", Dns::Truncated(here())),
        good("with-other-case", Dns::Is(here())).get("http://NAME-with-Other-case.test:{port}/"),
        row("name-with-ipv6-only")
            .server_on("::1", ok(&[], "ok"))
            .dns(Dns::Is(vec![ip("::1")]))
            .get(URL)
            .pass()
            .at("target.address", is("{addr}")),
        row("name-with-ipv6-only-by-tcp")
            .server_on("::1", Server::Tcp(Behaviour::Silent))
            .check("tcp: { address: '{host}:{port}' }")
            .pass()
            .at("target.address", is("[::1]:{port}")),
        row("name-localhost")
            .server(ok(&[], "ok"))
            .get("http://localhost:{port}/")
            .pass()
            .at("target.address", is("{addr}")),
    ]
}

fn not_resolved() -> Vec<Row> {
    let bad = |name: &str, says: Dns, code: &str, sentence: &str| {
        row(format!("name-{name}"))
            .dns(says)
            .get("http://{host}/")
            .error(code)
            .says(sentence)
            .says(r"\(asked 127\.0\.0\.1:[0-9]+\)$")
            .at("target.address", absent())
            .at("phases_us.dns", present())
            .at("phases_us.connect", absent())
    };
    let code = |name: &str, code: ResponseCode| {
        bad(name, Dns::Code(code), "dns_error", &format!("^cannot resolve {{host}}: .*{code}"))
    };
    vec![
        bad("that-does-not-exist", Dns::Missing, "dns_nxdomain", "^name does not exist: {host} "),
        bad("without-an-address", Dns::Is(Vec::new()), "dns_no_address", "^name has no address: {host} "),
        code("servfail", ResponseCode::ServFail),
        code("refused", ResponseCode::Refused),
        code("formerr", ResponseCode::FormErr),
        code("notimp", ResponseCode::NotImp),
        bad("lame", Dns::Lame, "dns_no_address", "^name has no address: {host} "),
        bad(
            "alias-of-nothing",
            Dns::Alias("nowhere.test.", Vec::new()),
            "dns_nxdomain",
            "^name does not exist: nowhere.test, which {host} is an alias of ",
        ),
        bad(
            "alias-of-what-the-same-answer-lacks",
            Dns::AliasOfMissing("nowhere.test."),
            "dns_nxdomain",
            "^name does not exist: nowhere.test, which {host} is an alias of ",
        ),
        bad("alias-of-itself", Dns::AliasOfItself, "dns_no_address", "^name has no address: {host} "),
        bad(
            "truncated-everywhere",
            Dns::TruncatedEverywhere,
            "dns_error",
            "^cannot resolve {host}: the answer does not fit",
        ),
        bad(
            "answered-with-garbage",
            Dns::Garbage(b"this is no DNS".to_vec()),
            "dns_error",
            "^cannot resolve {host}: protocol error: ",
        )
        .alone(),
        bad(
            "server-that-closes-connections",
            Dns::TruncatedForEver,
            "dns_error",
            // Both questions, for IPv4 and for IPv6, are on the connection: the first one ends the second.
            "^cannot resolve {host}: (the answer does not fit|the name server ended the connection before it had) ",
        )
        .alone(),
        row("name-that-does-not-exist-by-tcp")
            .dns(Dns::Missing)
            .check("tcp: { address: '{host}:1' }")
            .error("dns_nxdomain")
            .says("^name does not exist: {host} "),
        row("name-that-cannot-be")
            .get("http://a..b/")
            .error("dns_error")
            .says(r"^cannot resolve a\.\.b: it cannot be a name \("),
        row("name-with-a-label-of-64-bytes")
            .get(&format!("http://{}.test/", "a".repeat(64)))
            .error("dns_error")
            .says("it cannot be a name .*63"),
        row("name-that-no-certificate-can-be-for")
            .get("https://a..b/")
            .error("invalid_target")
            .says("^no certificate can be for `a..b`, the host that the check names$"),
    ]
}

fn not_answered() -> Vec<Row> {
    let stuck = |name: &str, says: Dns| {
        row(format!("name-{name}"))
            .dns(says)
            .get("http://{host}/")
            .timeout("dns_timeout")
            .says("^the name was not resolved within [0-9.]+s$")
    };
    vec![
        stuck("silent", Dns::Silent),
        stuck("slower-than-the-check", Dns::Slow(Duration::from_secs(3600), Vec::new())),
        // What is no answer to the question may come from anybody, and so is not listened to.
        stuck("answered-with-another-id", Dns::OtherId(vec![ip("127.0.0.1")])).alone(),
        stuck("answered-for-another-name", Dns::OtherName(vec![ip("127.0.0.1")])).alone(),
    ]
}

fn several_addresses() -> Vec<Row> {
    let both = || Dns::Is(vec![ip("127.77.0.2"), ip("127.77.0.3")]);
    let mixed = || Dns::Is(vec![ip("127.77.0.2"), ip("::1")]);
    let all = "http: { url: 'http://{host}:{port}/' }\naddresses: all";
    vec![
        row("addresses-one-dead-one-live")
            .server_on("127.77.0.3", ok(&[], "ok"))
            .dead("127.77.0.2")
            .dns(both())
            .get(URL)
            .pass()
            .at("target.address", is("{addr}")),
        row("addresses-one-live-one-dead")
            .server_on("127.77.0.2", ok(&[], "ok"))
            .dead("127.77.0.3")
            .dns(both())
            .get(URL)
            .pass()
            .at("target.address", is("{addr}")),
        row("addresses-one-dead-one-live-by-tcp")
            .server_on("127.77.0.3", Server::Tcp(Behaviour::Silent))
            .dead("127.77.0.2")
            .dns(both())
            .check("tcp: { address: '{host}:{port}' }")
            .pass()
            .at("target.address", is("{addr}")),
        row("addresses-dead-ipv4-live-ipv6")
            .server_on("::1", ok(&[], "ok"))
            .dead("127.77.0.2")
            .dns(mixed())
            .get(URL)
            .pass()
            .at("target.address", is("[::1]:{port}")),
        row("addresses-live-ipv4-dead-ipv6")
            .server_on("127.77.0.2", ok(&[], "ok"))
            .dead("::1")
            .dns(mixed())
            .get(URL)
            .pass()
            .at("target.address", is("{addr}")),
        row("addresses-all-dead")
            .server_on("127.77.0.2", Server::Closed)
            .dead("127.77.0.3")
            .dns(both())
            .get(URL)
            .error("connect_refused")
            .says(r"^127\.77\.0\.2:{port} \({host}\) refused the connection"),
        row("addresses-one-that-accepts-decides")
            .server_on("127.77.0.2", Server::Tcp(Behaviour::Resets))
            .dead("127.77.0.3")
            .dns(both())
            .get(URL)
            .error("connection_reset")
            .says(r"^127\.77\.0\.2:{port} ")
            .connections(1),
        row("addresses-half-of-the-questions-fail")
            .server_on("::1", ok(&[], "ok"))
            .dns(Dns::HalfBroken(ResponseCode::ServFail, vec![ip("::1")]))
            .get(URL)
            .pass()
            .at("target.address", is("[::1]:{port}")),
        row("addresses-all-are-checked")
            .server_on("127.77.0.3", ok(&[], "ok"))
            .dead("127.77.0.2")
            .dns(both())
            .check(all)
            .pass()
            .error("connect_refused")
            .says(r"^127\.77\.0\.2:{port} .*refused the connection"),
        row("addresses-all-of-a-name-that-does-not-exist")
            .dns(Dns::Missing)
            .check("http: { url: 'http://{host}/' }\naddresses: all")
            .error("dns_nxdomain")
            .says("^name does not exist: {host} "),
        row("addresses-that-are-given")
            .server_on("127.77.0.3", ok(&[], "ok"))
            .dead("127.77.0.2")
            .check("http: { url: 'http://{host}/' }\naddresses: ['127.77.0.2:{port}', '{addr}']")
            .pass()
            .error("connect_refused"),
    ]
}
