//! Names: the resolver by itself, and checks that need it.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::{DnsServer, Over, Reply, response_to};
use watchpost_tests::http_fixture::HttpFixture;

use crate::{Bench, closed_port, loopback};

fn asking(server: &DnsServer) -> Resolver {
    Resolver::with_nameservers(vec![server.address()])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn all_addresses_come_back_once_and_in_order() {
    let many = [ip("10.0.0.9"), ip("fd00::2"), ip("10.0.0.1"), ip("fd00::1"), ip("10.0.0.9")];
    let server = DnsServer::start(&[("many.example", &many), ("v6.example", &[ip("fd00::3")])]).await.unwrap();
    let resolver = asking(&server);
    let found = resolver.lookup("Many.Example").await.unwrap();
    assert_eq!(found, [ip("10.0.0.1"), ip("10.0.0.9"), ip("fd00::1"), ip("fd00::2")]);
    assert_eq!(resolver.lookup("v6.example").await.unwrap(), [ip("fd00::3")]);
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_to_live() {
    let server = DnsServer::start(&[("a.example", &[ip("10.0.0.1")])]).await.unwrap();
    let resolver = asking(&server);
    resolver.lookup("a.example").await.unwrap();
    let asked = server.questions();
    for _ in 0..10 {
        resolver.clone().lookup("a.example").await.unwrap();
    }
    // The A answer is kept. That there is no AAAA has no time to live without an SOA, and is asked again.
    assert!(server.questions() - asked <= 10, "{} then {}", asked, server.questions());
}

#[tokio::test]
async fn many_names_are_resolved_at_once_and_a_dropped_lookup_disturbs_no_other() {
    let names: Vec<String> = (0..64).map(|i| format!("n{i}.example")).collect();
    let address = [ip("10.0.0.1")];
    let hosts: Vec<(&str, &[IpAddr])> = names.iter().map(|name| (name.as_str(), &address[..])).collect();
    let server = DnsServer::start(&hosts).await.unwrap();
    let resolver = asking(&server);
    for found in futures_util::future::join_all(names.iter().map(|name| resolver.lookup(name))).await {
        assert_eq!(found.unwrap(), address);
    }
    let fresh = asking(&server);
    let mut dropped = Box::pin(fresh.lookup("n1.example"));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    let other = fresh.lookup("n1.example");
    drop(dropped);
    assert_eq!(other.await.unwrap(), address);
}

#[tokio::test]
async fn addresses_and_localhost_need_no_server() {
    let resolver = Resolver::with_nameservers(Vec::new());
    assert_eq!(resolver.lookup("10.0.0.1").await.unwrap(), [ip("10.0.0.1")]);
    assert_eq!(resolver.lookup("::1").await.unwrap(), [ip("::1")]);
    assert_eq!(resolver.lookup("localhost").await.unwrap(), [ip("127.0.0.1"), ip("::1")]);
    let error = resolver.lookup("a.example").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot resolve a.example: no name servers are configured");
}

#[tokio::test]
async fn each_failure_has_its_code_and_names_who_was_asked() {
    let server = DnsServer::start(&[("empty.example", &[])]).await.unwrap();
    let failing = DnsServer::failing(ResponseCode::ServFail).await.unwrap();
    for (server, host, code, told) in [
        (&server, "nobody.example", "dns_nxdomain", "name does not exist: nobody.example (asked 127.0.0.1:"),
        (&server, "empty.example", "dns_no_address", "name has no address: empty.example (asked 127.0.0.1:"),
        (&failing, "a.example", "dns_error", "cannot resolve a.example: "),
        (&server, "a..b", "dns_error", "cannot resolve a..b: "),
    ] {
        let reason = asking(server).lookup(host).await.unwrap_err().reason();
        assert_eq!(reason.code.as_str(), code, "{}", reason.message);
        assert!(reason.message.starts_with(told), "{}", reason.message);
    }
}

/// The answer of a server that knows `a.example` to be an alias of `gone.example`, which has no address, or does not
/// exist at all.
fn about_an_alias(question: &[u8], code: ResponseCode) -> Reply {
    let mut message = response_to(question).unwrap();
    let name = message.queries[0].name().clone();
    if name.to_ascii().starts_with("a.") {
        let gone = CNAME(Name::from_ascii("gone.example.").unwrap());
        message.add_answer(Record::from_rdata(name, 60, RData::CNAME(gone)));
    }
    message.metadata.response_code = code;
    Reply::Says(message.to_vec().unwrap())
}

#[tokio::test]
async fn of_an_alias_that_leads_nowhere_both_names_are_told() {
    for (rcode, code, told) in [
        (ResponseCode::NXDomain, "dns_nxdomain", "name does not exist: gone.example, which a.example is an alias of ("),
        (
            ResponseCode::NoError,
            "dns_no_address",
            "name has no address: gone.example, which a.example is an alias of (",
        ),
    ] {
        let server = DnsServer::answering(move |question, _| about_an_alias(question, rcode)).await.unwrap();
        // What is kept of the first lookup says the same.
        let resolver = asking(&server);
        for _ in 0..2 {
            let reason = resolver.lookup("A.example").await.unwrap_err().reason();
            assert_eq!(reason.code.as_str(), code, "{}", reason.message);
            assert!(reason.message.to_lowercase().starts_with(told), "{}", reason.message);
        }
        let reason = asking(&server).lookup("gone.example").await.unwrap_err().reason();
        assert!(!reason.message.contains("alias"), "{}", reason.message);
    }
}

/// Where answers do not fit into a datagram, all names are asked for over one connection.
#[tokio::test]
async fn a_connection_that_one_name_ends_costs_the_others_no_answer() {
    let server = DnsServer::answering(|question, over| {
        let mut message = response_to(question).unwrap();
        let query = message.queries[0].clone();
        match over {
            Over::Udp => message.metadata.truncation = true,
            Over::Tcp if query.name().to_ascii().starts_with("bad") => return Reply::Closes,
            Over::Tcp if query.query_type() == RecordType::A => {
                let address = RData::A(A::new(10, 0, 0, 1));
                message.add_answer(Record::from_rdata(query.name().clone(), 60, address));
            }
            Over::Tcp => {}
        }
        match over {
            Over::Udp => Reply::Says(message.to_vec().unwrap()),
            Over::Tcp => Reply::Later(Duration::from_millis(50), message.to_vec().unwrap()),
        }
    })
    .await
    .unwrap();
    let resolver = asking(&server);
    let bad = async {
        // Again and again, so that each of the others is cut off more than once.
        for i in 0..20 {
            let reason = resolver.lookup(&format!("bad{i}.example")).await.unwrap_err().reason();
            assert_eq!(reason.code.as_str(), "dns_error", "{}", reason.message);
        }
    };
    let names: Vec<String> = (0..16).map(|i| format!("good{i}.example")).collect();
    let good = futures_util::future::join_all(names.iter().map(|name| resolver.lookup(name)));
    for found in futures_util::future::join(bad, good).await.1 {
        assert_eq!(found.unwrap(), [ip("10.0.0.1")]);
    }
}

#[tokio::test]
async fn a_silent_name_server_is_timed_out_by_the_deadline() {
    let server = DnsServer::silent().await.unwrap();
    let bench = Bench::with(&asking(&server), &TlsRoots::only([]));
    let limit = Duration::from_millis(200);
    let ran = bench.run_within(limit, r#"{"http": {"url": "http://a.example/"}}"#, None).await;
    ran.assert_ended(Outcome::Timeout, "dns_timeout");
    assert_eq!(ran.message(), "the name was not resolved within 200ms");
    assert!(ran.took < limit * 3 && server.questions() > 0);
}

#[tokio::test]
async fn a_check_resolves_measures_and_says_which_address_answered() {
    let http = HttpFixture::start_on(loopback(3), "third").await.unwrap();
    let addresses = [loopback(2), loopback(3)];
    let dns = DnsServer::start(&[("svc.example", &addresses), ("one.example", &[loopback(3)])]).await.unwrap();
    let bench = Bench::with(&asking(&dns), &TlsRoots::only([]));
    let port = http.address().port();
    let check = |host: &str, path: &str| format!(r#"{{"http": {{"url": "http://{host}:{port}{path}"}}}}"#);
    for host in ["one.example", "svc.example"] {
        let ran = bench.run(&check(host, "/ok"), None).await;
        ran.assert_passed();
        assert!(ran.evidence.phases.dns.is_some(), "{host}");
        assert_eq!(ran.evidence.address, Some(http.address()), "{host}");
    }
    // The address is known even though no answer ever came from it.
    let ran = bench.run_within(Duration::from_millis(200), &check("svc.example", "/hang"), None).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
    assert_eq!(ran.evidence.address, Some(http.address()));
    assert!(ran.message().contains("name resolved in "), "{}", ran.message());
}

#[tokio::test]
async fn a_check_of_an_unknown_name_is_an_error() {
    let dns = DnsServer::start(&[("svc.example", &[loopback(2)])]).await.unwrap();
    let bench = Bench::with(&asking(&dns), &TlsRoots::only([]));
    let ran = bench.run(r#"{"http": {"url": "http://nobody.example/"}}"#, None).await;
    ran.assert_ended(Outcome::Error, "dns_nxdomain");
    assert!(ran.evidence.phases.dns.is_some() && ran.evidence.address.is_none());
    let closed = closed_port(loopback(2)).await;
    let ran = bench.run(&format!(r#"{{"http": {{"url": "http://svc.example:{}/"}}}}"#, closed.port()), None).await;
    ran.assert_ended(Outcome::Error, "connect_refused");
    assert_eq!(ran.evidence.address, Some(closed));
}

/// A name's other addresses may fail for reasons that say nothing about the target, such as a
/// machine without IPv6.
#[tokio::test]
async fn the_failure_of_the_preferred_address_is_the_one_that_is_told() {
    // Connecting to a link-local address without a zone fails at once, in a way of its own.
    let dns = DnsServer::start(&[("svc.example", &[loopback(2), ip("fe80::1")])]).await.unwrap();
    let bench = Bench::with(&asking(&dns), &TlsRoots::only([]));
    let closed = closed_port(loopback(2)).await;
    let port = closed.port();
    for json in [
        format!(r#"{{"http": {{"url": "http://svc.example:{port}/"}}}}"#),
        format!(r#"{{"tcp": {{"address": "svc.example:{port}"}}}}"#),
    ] {
        let ran = bench.run(&json, None).await;
        ran.assert_ended(Outcome::Error, "connect_refused");
        assert!(ran.message().starts_with(&format!("{closed} (svc.example) refused")), "{}", ran.message());
        assert_eq!(ran.evidence.address, Some(closed));
    }
}

/// Only a connection that cannot be made is a reason to try another address.
#[tokio::test]
async fn an_address_that_accepts_decides() {
    let bad = HttpFixture::start_on(loopback(2), "bad").await.unwrap();
    let dns = DnsServer::start(&[("svc.example", &[loopback(2), loopback(3)])]).await.unwrap();
    let bench = Bench::with(&asking(&dns), &TlsRoots::only([]));
    let json = format!(r#"{{"http": {{"url": "http://svc.example:{}/reset"}}}}"#, bad.address().port());
    let ran = bench.run(&json, None).await;
    ran.assert_ended(Outcome::Error, "connection_reset");
    assert_eq!((ran.evidence.address, bad.counts().accepted()), (Some(bad.address()), 1));
}

/// Without a descriptor to spare no name server can be asked, which says nothing about the target. It
/// takes a process of its own, since the limit concerns every other test, too.
#[test]
fn a_machine_without_descriptors_cancels_its_checks() {
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" --exact dns::without_descriptors"])
        .env(FEW_DESCRIPTORS, "1")
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// Set where [`without_descriptors`] has a process of its own to use up the descriptors of.
const FEW_DESCRIPTORS: &str = "WATCHPOST_TEST_FEW_DESCRIPTORS";

/// The inner half of the test above, which asks for its "1 passed" in a process of its own.
#[tokio::test]
async fn without_descriptors() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        return;
    }
    let server = DnsServer::start(&[("svc.example", &[loopback(2)])]).await.unwrap();
    let bench = Bench::with(&asking(&server), &TlsRoots::only([]));
    let held: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(1000).collect();
    assert!(held.len() < 1000, "the process has no limit");
    let http = bench.run(r#"{"http": {"url": "http://svc.example/"}}"#, None).await;
    let tcp = bench.run(r#"{"tcp": {"address": "svc.example:1"}}"#, None).await;
    drop(held);
    for ran in [http, tcp] {
        ran.assert_ended(Outcome::Cancelled, "overloaded");
        assert!(ran.message().contains("Too many open files"), "{}", ran.message());
    }
}
