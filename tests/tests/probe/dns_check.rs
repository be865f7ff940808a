//! `dns` checks: questions to a real name server, and to such as misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, TXT};
use hickory_proto::rr::{Name, RData, Record};
use watchpost_model::{DnsEvidence, Outcome, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::{DnsServer, Over, Reply, response_to};
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::{Authority, Certificate};
use watchpost_tests::unbound_server::Unbound;

use crate::{Bench, Ran, closed_port, loopback};

const SHORT: Duration = Duration::from_millis(300);

/// A check of `a.example` that asks `server`, and what else it says.
fn dns(server: SocketAddr, more: &str) -> String {
    format!(r#"{{"dns": {{"name": "a.example", "server": "{server}"{more}}}}}"#)
}

fn evidence(ran: &Ran) -> &DnsEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Dns(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(owner: &str, last: u8) -> Record {
    Record::from_rdata(name(owner), 300, RData::A(A::new(10, 0, 0, last)))
}

/// A server whose answers are what `amend` makes of an empty one.
async fn answering(amend: impl Fn(&mut Message, Over) + Send + Sync + 'static) -> DnsServer {
    let answer = move |question: &[u8], over| {
        let mut message = response_to(question).unwrap();
        amend(&mut message, over);
        Reply::Says(message.to_vec().unwrap())
    };
    DnsServer::answering(answer).await.unwrap()
}

/// A server whose answers are what `bytes` makes of the bytes of a question.
async fn saying(bytes: impl Fn(Vec<u8>, Over) -> Vec<u8> + Send + Sync + 'static) -> DnsServer {
    DnsServer::answering(move |question, over| Reply::Says(bytes(question.to_vec(), over))).await.unwrap()
}

#[tokio::test]
async fn a_real_server_is_asked_by_every_transport_for_every_type() {
    let authority = Authority::new().unwrap();
    let files = authority.files(Certificate::Valid, "dns.test").unwrap();
    let mut records = vec![
        "example.test. 300 IN A 10.0.0.1",
        "example.test. 300 IN AAAA fd00::1",
        "example.test. 300 IN MX 10 mail.example.test.",
        "example.test. 300 IN SOA ns.example.test. root.example.test. 1 2 3 4 5",
        r#"example.test. 300 IN TXT "v=spf1 -all""#,
        r#"example.test. 300 IN CAA 0 issue "ca.test""#,
        "example.test. 300 IN DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "example.test. 300 IN HTTPS 1 . alpn=h2,h3 ipv4hint=10.0.0.1",
        "example.test. 300 IN TYPE4711 \\# 4 0a000001",
        "_sip._tcp.example.test. 300 IN SRV 1 2 5060 sip.example.test.",
        "1.0.0.10.in-addr.arpa. 300 IN PTR example.test.",
    ];
    let many: Vec<String> = (0..120).map(|n| format!("big.example.test. 300 IN A 10.1.0.{n}")).collect();
    records.extend(many.iter().map(String::as_str));
    let server = Unbound::start(&files, &records);
    let roots = TlsRoots::only([authority.der()]);
    let bench = Bench::with(&Resolver::with_nameservers(vec![server.address()]), &roots);
    let plain = server.address().to_string();

    for (of, record_type, data) in [
        ("example.test", "a", "10.0.0.1"),
        ("example.test", "AAAA", "FD00:0::1"),
        ("example.test", "MX", "10 Mail.example.test"),
        ("example.test", "SOA", "ns.example.test. root.example.test. 1 2 3 4 5"),
        ("example.test", "TXT", "v=spf1 -all"),
        ("example.test", "CAA", r#"0 issue \"ca.test\""#),
        ("example.test", "DS", "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
        ("example.test", "HTTPS", "1 . alpn=h2,h3 ipv4hint=10.0.0.1"),
        ("example.test", "TYPE4711", "\\\\# 4 0a000001"),
        ("_sip._tcp.example.test.", "SRV", "1 2 5060 sip.example.test."),
        ("10.0.0.1", "PTR", "example.test"),
    ] {
        let json = format!(
            r#"{{"dns": {{"name": "{of}", "type": "{record_type}", "server": "{plain}",
                "expect": {{"answers": {{"equals": "{data}"}}, "flags": {{"aa": true, "tc": false}}}}}}}}"#
        );
        bench.run(&json, None).await.assert_passed();
    }

    let asks = |server: SocketAddr, more: &str| {
        format!(
            r#"{{"dns": {{"name": "example.test", "server": "{server}", "tls": {{"server_name": "dns.test"}}{more}}}}}"#
        )
    };
    for (at, more, transport) in [
        (server.tls(), r#", "transport": "tls""#, "tls"),
        (server.https(), r#", "transport": "https""#, "https"),
        (server.https(), r#", "transport": "https", "https": {"method": "get"}"#, "https"),
    ] {
        let ran = bench.run(&asks(at, more), None).await;
        ran.assert_passed();
        assert_eq!((evidence(&ran).transport.as_str(), evidence(&ran).answer_count), (transport, 1));
        assert!(ran.evidence.tls.is_some() && ran.evidence.phases.tls.is_some());
    }
    let wrong = bench.run(&asks(server.https(), r#", "transport": "https", "https": {"path": "/no"}"#), None).await;
    wrong.assert_ended(Outcome::Error, "http_status");
    let stranger =
        format!(r#"{{"dns": {{"name": "example.test", "server": "{}", "transport": "tls"}}}}"#, server.tls());
    bench.run(&stranger, None).await.assert_ended(Outcome::Error, "tls_wrong_host");

    let of_big = |more: &str| format!(r#"{{"dns": {{"name": "big.example.test", "server": "{plain}"{more}}}}}"#);
    let ran = bench.run(&of_big(r#", "expect": {"answers": {"count": 120}}"#), None).await;
    ran.assert_passed();
    assert!(evidence(&ran).tcp_fallback && evidence(&ran).transport == "tcp");
    assert_eq!((evidence(&ran).answers.len(), evidence(&ran).answer_count), (32, 120));
    assert_eq!(ran.evidence.hops.len(), 2);
    let ran = bench.run(&of_big(r#", "tcp_fallback": false"#), None).await;
    ran.assert_ended(Outcome::Fail, "dns_truncated");
    bench.run(&of_big(r#", "tcp_fallback": false, "expect": {"flags": {"tc": true}}"#), None).await.assert_passed();
    bench.run(&of_big(r#", "edns_size": 4096, "tcp_fallback": false"#), None).await.assert_passed();

    // Where no server is named, it is the first one that names are resolved with.
    let ran = bench.run(r#"{"dns": {"name": "example.test"}}"#, None).await;
    ran.assert_passed();
    assert!(evidence(&ran).system_server && evidence(&ran).server == Some(server.address()));

    for (of, code, sentence) in [
        ("no.example.test", "dns_nxdomain", "answers nxdomain to A no.example.test, expected noerror"),
        ("a.refused.test", "dns_refused", "answers refused to A a.refused.test, expected noerror"),
        ("_sip._tcp.example.test", "dns_no_answer", "has no A record for _sip._tcp.example.test"),
    ] {
        let ran = bench.run(&format!(r#"{{"dns": {{"name": "{of}", "server": "{plain}"}}}}"#), None).await;
        ran.assert_ended(Outcome::Fail, code);
        assert!(ran.message().contains(sentence), "{}", ran.message());
    }
    let absent = r#""expect": {"rcode": "nxdomain", "authority": {"matches": "^SOA ns\\."}, "answers": {"count": 0}}"#;
    let json = format!(
        r#"{{"dns": {{"name": "no.example.test", "server": "{plain}", {absent}}},
            "expect": {{"that": "rcode == 'nxdomain' && record_count == 0 && aa"}}}}"#
    );
    bench.run(&json, None).await.assert_passed();
}

#[tokio::test]
async fn codes_and_empty_answers_have_their_reasons() {
    for (code, reason) in [
        (ResponseCode::ServFail, "dns_servfail"),
        (ResponseCode::Refused, "dns_refused"),
        (ResponseCode::NXDomain, "dns_nxdomain"),
        (ResponseCode::NotImp, "dns_rcode"),
        (ResponseCode::NoError, "dns_no_answer"),
    ] {
        let server = DnsServer::failing(code).await.unwrap();
        let ran = Bench::new().run(&dns(server.address(), ""), None).await;
        ran.assert_ended(Outcome::Fail, reason);
    }
    // A server that does not want to answer need not repeat the question.
    let curt = answering(|message, _| {
        message.metadata.response_code = ResponseCode::Refused;
        message.queries.clear();
    })
    .await;
    Bench::new().run(&dns(curt.address(), ""), None).await.assert_ended(Outcome::Fail, "dns_refused");
}

#[tokio::test]
async fn referrals_and_aliases_are_told_from_answers() {
    let lame = answering(|message, _| {
        let ns = RData::NS(NS(name("ns1.elsewhere.example.")));
        message.add_authority(Record::from_rdata(name("example."), 300, ns));
    })
    .await;
    let ran = Bench::new().run(&dns(lame.address(), ""), None).await;
    ran.assert_ended(Outcome::Fail, "dns_referral");
    assert!(ran.message().ends_with("and refers to ns1.elsewhere.example."), "{}", ran.message());

    let alias = |to: &str| Record::from_rdata(name("a.example."), 60, RData::CNAME(CNAME(name(to))));
    let (dangling, whole, looped) = (alias("b.example."), alias("B.example."), alias("a.example."));
    let dangling = answering(move |message, _| {
        message.add_answer(dangling.clone());
    })
    .await;
    let ran = Bench::new().run(&dns(dangling.address(), ""), None).await;
    ran.assert_ended(Outcome::Fail, "dns_no_answer");
    assert!(ran.message().contains("is an alias of b.example, and has no A record for that"), "{}", ran.message());
    let gone = alias("b.example.");
    let gone = answering(move |message, _| {
        message.metadata.response_code = ResponseCode::NXDomain;
        message.add_answer(gone.clone());
    })
    .await;
    let ran = Bench::new().run(&dns(gone.address(), ""), None).await;
    ran.assert_ended(Outcome::Fail, "dns_nxdomain");
    let told = "answers nxdomain to A a.example, for b.example, which a.example is an alias of, expected noerror";
    assert!(ran.message().ends_with(told), "{}", ran.message());
    let whole = answering(move |message, _| {
        message.add_answer(a("b.example.", 1)).add_answer(whole.clone()).add_answer(a("stranger.example.", 9));
    })
    .await;
    let expect = r#", "expect": {"answers": {"equals": "10.0.0.1"}, "min_ttl": "5m", "max_ttl": "5m"}"#;
    Bench::new().run(&dns(whole.address(), expect), None).await.assert_passed();
    let looped = answering(move |message, _| {
        message.add_answer(looped.clone());
    })
    .await;
    Bench::new().run(&dns(looped.address(), ""), None).await.assert_ended(Outcome::Fail, "dns_no_answer");
}

#[tokio::test]
async fn expectations_say_what_they_saw() {
    let server = answering(|message, _| {
        message.metadata.authoritative = true;
        message.add_answer(a("a.example.", 1)).add_answer(a("a.example.", 2));
    })
    .await;
    for (expect, sentence) in [
        (
            r#""answers": {"contains": "10.0.0.9"}"#,
            r#"the answers are "10.0.0.1", "10.0.0.2", expected "10.0.0.9" among them"#,
        ),
        (r#""answers": {"equals": ["10.0.0.1"]}"#, r#"expected "10.0.0.1""#),
        (r#""answers": {"matches": "^192"}"#, "expected one that matches /^192/"),
        (r#""answers": {"count": 3}"#, "the number of answers is 2, expected 3"),
        (r#""answers": {"min_count": 3}"#, "expected at least 3"),
        (r#""answers": {"max_count": 1}"#, "expected at most 1"),
        (r#""authority": {"contains": "NS a."}"#, "the authority are none"),
        (r#""flags": {"aa": false}"#, "the flag aa of the answer of"),
        (r#""flags": {"ad": true}"#, "is not set, expected that it is set"),
        (r#""min_ttl": "10m""#, "the time to live is 300 s, expected >= 10m"),
        (r#""max_ttl": "1m""#, "expected <= 1m"),
        (r#""rcode": ["nxdomain", "refused"]"#, "answers noerror to A a.example, expected nxdomain or refused"),
    ] {
        let ran = Bench::new().run(&dns(server.address(), &format!(r#", "expect": {{{expect}}}"#)), None).await;
        assert_eq!(ran.outcome, Outcome::Fail, "{expect}");
        assert!(ran.message().contains(sentence), "{}", ran.message());
    }
    let good = r#", "expect": {"answers": {"contains": ["10.0.0.2", "10.0.0.1"], "equals": ["10.0.0.2", "10.0.0.1"],
        "matches": "^10\\.", "count": 2}, "flags": {"aa": true, "ra": true}}"#;
    let ran = Bench::new().run(&dns(server.address(), good), None).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.metrics["dns_records"], 2.0);
    assert_eq!(ran.evidence.metrics["dns_min_ttl_s"], 300.0);
}

#[tokio::test]
async fn what_is_not_the_answer_is_ignored_until_the_time_is_over_and_counted() {
    type Spoil = fn(&mut Vec<u8>);
    let wrong: [(Spoil, &str); 3] = [
        (|bytes| bytes[0] ^= 1, "its id is"),
        (|bytes| bytes[2] = 0, "it is a question itself"),
        (|bytes| bytes[13] = b'b', "its question is A b.example."),
    ];
    for (spoil, why) in wrong {
        let server = saying(move |mut question, _| {
            question[2] |= 0x80;
            spoil(&mut question);
            question
        })
        .await;
        let ran = Bench::new().run_within(SHORT, &dns(server.address(), ""), None).await;
        ran.assert_ended(Outcome::Timeout, "dns_timeout");
        assert!(ran.message().contains("and 1 other messages") && ran.message().contains(why), "{}", ran.message());
        assert_eq!(evidence(&ran).ignored, 1);
        // On a connection nothing else can come.
        let ran = Bench::new().run(&dns(server.address(), r#", "transport": "tcp""#), None).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains(why), "{}", ran.message());
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_no_answer() {
    type Spoil = fn(&mut Vec<u8>);
    let broken: [Spoil; 4] = [
        // Cut in the head, cut in the question, an answer too few, a name that points to itself.
        |bytes| bytes.truncate(7),
        |bytes| bytes.truncate(18),
        |bytes| bytes[7] = 1,
        |bytes| drop(bytes.splice(12..13, [0xc0, 12])),
    ];
    for spoil in broken {
        let server = saying(move |mut question, _| {
            question[2] |= 0x80;
            spoil(&mut question);
            question
        })
        .await;
        for transport in ["udp", "tcp"] {
            let more = format!(r#", "transport": "{transport}""#);
            let ran = Bench::new().run(&dns(server.address(), &more), None).await;
            ran.assert_ended(Outcome::Error, "protocol_error");
            assert!(ran.message().contains("is not a DNS message: "), "{}", ran.message());
        }
    }
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_over_tcp_whatever_was_cut_off_before() {
    let text = TXT::new(vec!["x".repeat(255); 255]);
    let server = answering(move |message, over| match over {
        Over::Udp => message.metadata.truncation = true,
        Over::Tcp => drop(message.add_answer(Record::from_rdata(name("a.example."), 60, RData::TXT(text.clone())))),
    })
    .await;
    let ran = Bench::new().run(&dns(server.address(), r#", "type": "TXT""#), None).await;
    ran.assert_passed();
    let evidence = evidence(&ran);
    assert!(evidence.response_bytes > 65_000 && evidence.tcp_fallback, "{evidence:?}");
    assert!(evidence.answers[0].data.chars().count() <= 401);
}

#[tokio::test]
async fn silence_refusals_and_half_an_answer_have_their_codes() {
    let silent = DnsServer::silent().await.unwrap();
    for transport in ["udp", "tcp"] {
        let more = format!(r#", "transport": "{transport}""#);
        let ran = Bench::new().run_within(SHORT, &dns(silent.address(), &more), None).await;
        ran.assert_ended(Outcome::Timeout, "dns_timeout");
        let absence = format!("no answer from {} to A a.example", silent.address());
        assert!(ran.message().starts_with(&absence), "{}", ran.message());
    }
    let closed = closed_port(loopback(1)).await;
    for transport in ["udp", "tcp"] {
        let more = format!(r#", "transport": "{transport}""#);
        Bench::new().run(&dns(closed, &more), None).await.assert_ended(Outcome::Error, "connect_refused");
    }
    let tcp = |behaviour: Behaviour| async move {
        let server = behaviour.start(loopback(1)).await.unwrap();
        Bench::new().run_within(SHORT * 10, &dns(server.address(), r#", "transport": "tcp""#), None).await
    };
    tcp(Behaviour::SaysAndCloses(Vec::new())).await.assert_ended(Outcome::Error, "connection_closed");
    tcp(Behaviour::SaysAndCloses(vec![1, 0, 7])).await.assert_ended(Outcome::Error, "connection_closed");
    tcp(Behaviour::Says(vec![0, 0])).await.assert_ended(Outcome::Error, "protocol_error");
    tcp(Behaviour::Resets).await.assert_ended(Outcome::Error, "connection_reset");
    let begun = tcp(Behaviour::Says(vec![0xff, 0xff, 7])).await;
    begun.assert_ended(Outcome::Timeout, "receive_timeout");
}
