//! Questions to a name server, by the type `dns`.

use std::time::Duration;

use hickory_proto::op::ResponseCode;

use crate::expected::{absent, has, is, present};
use crate::names::Dns;
use crate::row::{Row, ip, row};

pub fn rows() -> Vec<Row> {
    let mut rows = answered();
    rows.extend(answered_otherwise());
    rows.extend(not_answered());
    rows
}

fn here() -> Vec<std::net::IpAddr> {
    vec![ip("10.0.0.1"), ip("10.0.0.2"), ip("fd00::1")]
}

/// A check that asks the name server of the run, which the check need not name.
fn dns(name: &str, says: Dns, more: &str) -> Row {
    let comma = if more.is_empty() { "" } else { ", " };
    row(format!("dns-{name}")).dns(says).check(format!("dns: {{ name: '{{host}}'{comma}{more} }}"))
}

fn answered() -> Vec<Row> {
    vec![
        dns("answers", Dns::Is(here()), "")
            .pass()
            .at("check_type", is("dns"))
            .at("evidence.dns.system_server", is(true))
            .at("evidence.dns.transport", is("udp"))
            .at("evidence.dns.rcode", is("noerror"))
            .at("evidence.dns.answer_count", is(2))
            .at("metrics.dns_records", is(2.0))
            .at("metrics.dns_min_ttl_s", is(60.0))
            .at("phases_us.first_byte", present())
            .at("phases_us.connect", absent()),
        dns("answers-over-tcp", Dns::Is(here()), "transport: tcp")
            .pass()
            .at("evidence.dns.transport", is("tcp"))
            .at("phases_us.connect", present()),
        dns("answers-late", Dns::Slow(Duration::from_millis(150), here()), "").pass(),
        dns("another-type", Dns::Is(here()), "type: aaaa, expect: { answers: { equals: 'FD00:0::1' } }").pass(),
        dns("follows-an-alias", Dns::Alias("b.test.", here()), "expect: { answers: { count: 2 } }")
            .pass()
            .at("evidence.dns.answer_count", is(3)),
        dns(
            "asks-for-the-alias",
            Dns::Alias("b.test.", here()),
            "type: CNAME, expect: { answers: { equals: B.test } }",
        )
        .pass(),
        dns("falls-back-to-tcp", Dns::Truncated(here()), "")
            .pass()
            .at("evidence.dns.tcp_fallback", is(true))
            .at("evidence.dns.transport", is("tcp"))
            .at("hops.0.target", has("(udp)"))
            .at("hops.1.target", has("(tcp)")),
        dns("expects-nxdomain", Dns::Missing, "expect: { rcode: nxdomain, answers: { count: 0 } }").pass(),
        dns("expects-one-of-two-codes", Dns::Code(ResponseCode::Refused), "expect: { rcode: [nxdomain, refused] }")
            .pass(),
        dns("expects-no-record", Dns::Is(Vec::new()), "expect: { answers: { max_count: 0 } }").pass(),
    ]
}

fn answered_otherwise() -> Vec<Row> {
    let code = |name: &str, code: ResponseCode, reason: &str, word: &str| {
        let sentence = format!("answers {word} to A {{host}}, expected noerror$");
        dns(name, Dns::Code(code), "").fail(reason).says(&sentence).at("evidence.dns.rcode", is(word))
    };
    vec![
        code("servfail", ResponseCode::ServFail, "dns_servfail", "servfail"),
        code("refused", ResponseCode::Refused, "dns_refused", "refused"),
        code("notimp", ResponseCode::NotImp, "dns_rcode", "notimp"),
        dns("nxdomain", Dns::Missing, "").fail("dns_nxdomain"),
        dns("unexpected-success", Dns::Is(here()), "expect: { rcode: nxdomain }")
            .fail("dns_rcode")
            .says("answers noerror to A {host}, expected nxdomain$"),
        dns("no-record", Dns::Is(Vec::new()), "").fail("dns_no_answer").says("has no A record for {host}$"),
        dns("alias-without-an-address", Dns::Alias("b.test.", Vec::new()), "")
            .fail("dns_no_answer")
            .says("{host} is an alias of b.test, and has no A record for that$"),
        dns("alias-of-a-missing-name", Dns::AliasOfMissing("b.test."), "")
            .fail("dns_nxdomain")
            .says("answers nxdomain to A {host}, for b.test, which {host} is an alias of, expected noerror$"),
        dns("alias-of-itself", Dns::AliasOfItself, "").fail("dns_no_answer"),
        dns("lame", Dns::Lame, "").fail("dns_referral").says("and refers to ns.elsewhere.test.$"),
        dns("truncated-everywhere", Dns::TruncatedEverywhere, "").fail("dns_truncated"),
        dns("truncated-without-fallback", Dns::Truncated(here()), "tcp_fallback: false")
            .fail("dns_truncated")
            .at("evidence.dns.tcp_fallback", is(false)),
        dns("another-address", Dns::Is(here()), "expect: { answers: { contains: 10.0.0.9 } }")
            .fail("assertion_failed")
            .says(r#"the answers are "10.0.0.1", "10.0.0.2", expected "10.0.0.9" among them"#),
        dns("too-short-a-ttl", Dns::Is(here()), "expect: { min_ttl: 5m }")
            .fail("assertion_failed")
            .says("the time to live is 60 s, expected >= 5m$"),
        dns("no-authority", Dns::Is(here()), "expect: { flags: { aa: true } }")
            .fail("assertion_failed")
            .says("the flag aa of the answer of .* is not set, expected that it is set$"),
    ]
}

fn not_answered() -> Vec<Row> {
    vec![
        dns("silence", Dns::Silent, "").timeout("dns_timeout").says("^no answer from .* to A {host} within "),
        dns("silence-over-tcp", Dns::Silent, "transport: tcp").timeout("dns_timeout"),
        dns("another-id", Dns::OtherId(here()), "")
            .timeout("dns_timeout")
            .says("and 1 other messages .*its id is")
            .at("evidence.dns.ignored", is(1)),
        dns("another-question", Dns::OtherName(here()), "")
            .timeout("dns_timeout")
            .says("its question is A other.test."),
        dns("another-question-over-tcp", Dns::OtherName(here()), "transport: tcp")
            .error("protocol_error")
            .says("is not an answer to the question: its question is A other.test.$"),
        dns("garbage", Dns::Garbage(vec![0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 0x0c]), "")
            .error("protocol_error")
            .says("is not a DNS message: "),
        dns("too-short", Dns::Garbage(vec![0x81]), "")
            .error("protocol_error")
            .says("it has 3 bytes, fewer than its head$"),
        dns("closed-without-an-answer", Dns::TruncatedForEver, "").error("connection_closed"),
        row("dns-nobody-listens")
            .server(crate::server::Server::Closed)
            .check("dns: { name: a.test, server: '{addr}', transport: tcp }")
            .error("connect_refused"),
        row("dns-by-tls-where-there-is-none")
            .server(crate::server::ok(&[], "ok"))
            .check("dns: { name: a.test, server: '{addr}', transport: tls }")
            .timeout("tls_timeout"),
        row("dns-over-https-where-there-is-no-dns")
            .server(crate::server::Server::TlsPaths(crate::server::Tls::For("127.0.0.1")))
            .check("dns: { name: a.test, server: '{addr}', transport: https, https: { path: /ok } }")
            .error("protocol_error")
            .says("expected `application/dns-message`$"),
    ]
}
