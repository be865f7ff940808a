//! `tcp` checks.

use std::time::Duration;

use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::{Bench, closed_port, eventually, loopback};

fn tcp(more: &str) -> String {
    format!(r#"{{"tcp": {{"address": "svc.example:1"{more}}}}}"#)
}

async fn server(behaviour: Behaviour) -> Server {
    behaviour.start(loopback(1)).await.unwrap()
}

#[tokio::test]
async fn a_connection_alone_passes_and_is_closed_at_once() {
    let server = server(Behaviour::Silent).await;
    let ran = Bench::new().run(&tcp(""), server.address()).await;
    ran.assert_passed();
    let phases = ran.evidence.phases;
    assert!(phases.connect.is_some() && phases.total.is_some());
    assert!(phases.dns.or(phases.send).or(phases.first_byte).or(phases.receive).is_none(), "{phases:?}");
    assert_eq!(ran.evidence.address, Some(server.address()));
    eventually("the server is alone", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn an_answer_is_matched_as_soon_as_it_is_there() {
    let banner = server(Behaviour::Says(b"220 mail.example ESMTP\r\n".to_vec())).await;
    let ran = Bench::new().run(&tcp(r#", "expect": "^220 ""#), banner.address()).await;
    ran.assert_passed();
    assert_eq!(
        (ran.assertion(0).expr.as_str(), ran.assertion(0).actual.as_str()),
        ("answer matches /^220 /", r#"24 bytes: "220 mail.example ESMTP\r\n""#)
    );
    let echo = server(Behaviour::Echoes).await;
    let ran = Bench::new().run(&tcp(r#", "send": "PING\r\n", "expect": "PING""#), echo.address()).await;
    ran.assert_passed();
    let phases = ran.evidence.phases;
    assert!(phases.send.is_some() && phases.first_byte.is_some() && phases.receive.is_some(), "{phases:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_match_says_what_came() {
    let wrong = server(Behaviour::SaysAndCloses(b"500 no".to_vec())).await;
    let ran = Bench::new().run(&tcp(r#", "expect": "^220""#), wrong.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(
        ran.message(),
        r#"the peer closed the connection before the answer matched /^220/; it sent 6 bytes: "500 no""#
    );
    let nothing = server(Behaviour::SaysAndCloses(Vec::new())).await;
    let ran = Bench::new().run(&tcp(r#", "expect": "^220""#), nothing.address()).await;
    assert!(ran.message().ends_with("it sent nothing"), "{}", ran.message());
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_the_cap() {
    let server = server(Behaviour::SaysForEver(vec![b'x'; 1000])).await;
    let ran = Bench::new().run(&tcp(r#", "expect": "y""#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().starts_with("the peer sent 65536 bytes, the most that is read,"), "{}", ran.message());
    eventually("the server is alone", || server.counts().open() == 0).await;
}

#[tokio::test]
async fn a_match_at_the_end_of_a_long_answer_is_found_without_more_to_come() {
    // Too little grows after the last look to make another one due, so only the pause tells.
    let mut long = vec![b'x'; 20_000];
    long.extend_from_slice(b"ready");
    let burst = server(Behaviour::Says(long)).await;
    Bench::new().run(&tcp(r#", "expect": "ready$""#), burst.address()).await.assert_passed();
    let drops = server(Behaviour::Trickles(b"...ready".to_vec(), Duration::from_millis(1))).await;
    Bench::new().run(&tcp(r#", "expect": "ready$""#), drops.address()).await.assert_passed();
}

#[tokio::test]
async fn what_is_sent_without_waiting_arrives() {
    let heard = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let hearing = std::sync::Arc::clone(&heard);
    let server = Server::start(loopback(1), move |mut stream| {
        let hearing = std::sync::Arc::clone(&hearing);
        async move {
            let copied = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
            hearing.store(copied as usize, std::sync::atomic::Ordering::SeqCst);
        }
    })
    .await
    .unwrap();
    let sent = "x".repeat(4096);
    Bench::new().run(&tcp(&format!(r#", "send": "{sent}""#)), server.address()).await.assert_passed();
    eventually("all was heard", || heard.load(std::sync::atomic::Ordering::SeqCst) == 4096).await;
}

#[tokio::test]
async fn what_goes_wrong_has_its_code() {
    let refused = closed_port(loopback(1)).await;
    let ran = Bench::new().run(&tcp(""), refused).await;
    ran.assert_ended(Outcome::Error, "connect_refused");
    assert!(ran.message().starts_with(&format!("{refused} (svc.example) refused the connection after ")));

    let reset = server(Behaviour::Resets).await;
    let ran = Bench::new().run(&tcp(r#", "send": "x", "expect": "y""#), reset.address()).await;
    ran.assert_ended(Outcome::Error, "connection_reset");

    let silent = server(Behaviour::Silent).await;
    let limit = Duration::from_millis(150);
    let ran = Bench::new().run_until("first_byte_timeout", limit, &tcp(r#", "expect": "y""#), silent.address()).await;
    ran.assert_ended(Outcome::Timeout, "first_byte_timeout");

    let mumbling = server(Behaviour::Says(b"mumble".to_vec())).await;
    let ran = Bench::new().run_until("receive_timeout", limit, &tcp(r#", "expect": "y""#), mumbling.address()).await;
    ran.assert_ended(Outcome::Timeout, "receive_timeout");
    assert!(ran.message().ends_with("6 bytes read"), "{}", ran.message());
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_tried_in_order() {
    let server = Behaviour::Silent.start(loopback(3)).await.unwrap();
    let dns = DnsServer::start(&[("svc.example", &[loopback(3), loopback(2)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let json = format!(r#"{{"tcp": {{"address": "svc.example:{}"}}}}"#, server.address().port());
    let ran = bench.run(&json, None).await;
    ran.assert_passed();
    assert_eq!(ran.evidence.address, Some(server.address()));
    assert!(ran.evidence.phases.dns.is_some());

    let unknown = bench.run(r#"{"tcp": {"address": "nobody.example:1"}}"#, None).await;
    unknown.assert_ended(Outcome::Error, "dns_nxdomain");
}

#[tokio::test]
async fn latency_is_an_assertion() {
    let server = server(Behaviour::Trickles(b"abc".to_vec(), Duration::from_millis(30))).await;
    let json = r#"{"tcp": {"address": "svc.example:1", "expect": "abc"}, "expect": {"max_latency": "10ms"}}"#;
    let ran = Bench::new().run(json, server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!((ran.assertion(0).passed, ran.assertion(1).expr.as_str()), (true, "total < 10ms"));
}
