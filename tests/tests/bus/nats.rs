//! What holds for NATS alone: servers that refuse, vanish, freeze and misbehave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use watchpost_bus::{Bus, BusError, NatsBus, NatsCredentials, NatsOptions, Outgoing, SharedBus, request};
use watchpost_tests::nats_server::NatsServer;

use crate::rig::{PATIENCE, Rig, bounded, eventually, next, text};

fn options(url: impl Into<String>) -> NatsOptions {
    NatsOptions::new([url.into()])
}

/// Why connecting fails; it never shows a password.
async fn refusal(options: NatsOptions) -> String {
    let error = bounded(NatsBus::connect(options)).await.expect_err("no bus");
    // What cannot be used is told apart from a server that cannot be reached.
    let unusable = ["does/not/exist", "nkey"].iter().any(|what| error.to_string().contains(what));
    assert_eq!(matches!(error, BusError::Settings { .. }), unusable, "{error:?}");
    assert_eq!(matches!(error, BusError::Connect { .. }), !unusable, "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("s3cret"), "{text}");
    error.to_string()
}

#[tokio::test]
async fn a_refused_connection_names_the_server_and_not_the_password() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = refusal(options(format!("nats://ann:s3cret@{free}"))).await;
    assert!(text.contains(&format!("nats://{free}")) && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn an_unknown_host_a_silent_one_and_a_stranger_are_told_apart() {
    let text = refusal(options("nats://ann:s3cret@does-not-exist.invalid")).await;
    assert!(text.contains("does-not-exist.invalid") && text.contains("could not be resolved"), "{text}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(600);
    let before = Instant::now();
    let text = refusal(NatsOptions { connect_limit: limit, ..options(silent.local_addr().unwrap().to_string()) }).await;
    assert!(text.contains("no answer within 600ms") && before.elapsed() < PATIENCE, "{text}");

    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = stranger.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let text = refusal(options(at)).await;
    assert!(text.contains("not a NATS server"), "{text}");
}

#[tokio::test]
async fn one_server_of_several_is_enough() {
    let server = NatsServer::start();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bus = bounded(NatsBus::connect(NatsOptions::new([format!("nats://{free}"), server.url()]))).await.unwrap();
    assert!(bus.is_connected());
}

#[tokio::test]
async fn credentials_are_used_and_their_refusal_is_explained() {
    let server = NatsServer::start_with(&["--user", "ann", "--pass", "s3cret/@"]);
    let text = refusal(options(server.url())).await;
    assert!(text.contains("none are given"), "{text}");
    let text = refusal(options(format!("nats://ann:s3cret@{}", server.address()))).await;
    assert!(text.contains("refused our credentials"), "{text}");

    let in_url = options(format!("nats://ann:s3cret%2F%40@{}", server.address()));
    let mut given = options(server.url());
    given.credentials = Some(NatsCredentials::UserPassword { user: "ann".to_owned(), password: "s3cret/@".into() });
    for options in [in_url, given] {
        assert!(!format!("{options:?}").contains("s3cret"));
        assert!(bounded(NatsBus::connect(options)).await.unwrap().is_connected());
    }

    let server = NatsServer::start_with(&["--auth", "s3cret"]);
    for given in [Some(NatsCredentials::Token("s3cret".into())), None] {
        let url = if given.is_some() { server.url() } else { format!("nats://s3cret@{}", server.address()) };
        let options = NatsOptions { credentials: given, ..options(url) };
        assert!(bounded(NatsBus::connect(options)).await.unwrap().is_connected());
    }
    let mut missing = options(server.url());
    missing.credentials = Some(NatsCredentials::File("/does/not/exist.creds".into()));
    let text = refusal(missing).await;
    assert!(text.contains("/does/not/exist.creds"), "{text}");
    let mut wrong = options(server.url());
    wrong.credentials = Some(NatsCredentials::Nkey("s3cret".into()));
    let text = refusal(wrong).await;
    assert!(text.contains("cannot be used"), "{text}");
}

#[tokio::test]
async fn tls_is_used_with_the_given_authority_only() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let files = [("cert.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())];
    let config = r#"tls { cert_file: "cert.pem", key_file: "key.pem" }"#;
    let server = NatsServer::start_with_config(config, &files.each_ref().map(|(name, pem)| (*name, pem.as_str())));

    let trusting =
        NatsOptions { tls_ca_file: Some(server.folder().join("cert.pem")), require_tls: true, ..options(server.url()) };
    assert!(bounded(NatsBus::connect(trusting.clone())).await.unwrap().is_connected());
    let text = refusal(NatsOptions { tls_ca_file: None, ..trusting.clone() }).await;
    assert!(text.contains("TLS"), "{text}");
    let text = refusal(NatsOptions { tls_ca_file: Some("/does/not/exist.pem".into()), ..trusting.clone() }).await;
    assert!(text.contains("/does/not/exist.pem"), "{text}");

    let plain = NatsServer::start();
    let text = refusal(NatsOptions { servers: vec![plain.url()], ..trusting }).await;
    assert!(text.contains("TLS"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_comes_back_with_its_subscriptions_after_the_server_was_away() {
    bounded(async {
        let Rig { bus, other, server } = Rig::nats().await;
        let mut server = server.unwrap();
        let mut all = bus.subscribe("back.*", None).await.unwrap();
        let mut member = bus.subscribe("back.a", Some("q")).await.unwrap();
        for round in 1..=2 {
            server.stop();
            eventually("the loss is noticed", async || !bus.is_connected() && !other.is_connected()).await;
            let before = Instant::now();
            assert!(matches!(bus.publish(Outgoing::new("back.a", "x")).await, Err(BusError::Unavailable { .. })));
            assert!(matches!(bus.subscribe("x", None).await, Err(BusError::Unavailable { .. })));
            assert!(matches!(bus.flush(PATIENCE).await, Err(BusError::Unavailable { .. })));
            assert!(before.elapsed() < Duration::from_secs(1), "it fails at once");
            assert_eq!((bus.stats().refused, bus.stats().published), (round, 0));

            server.restart_on_same_port();
            eventually("both are back", async || bus.is_connected() && other.is_connected()).await;
            // In force again: the round trip comes after the subscriptions that the reconnect made anew.
            bus.flush(PATIENCE).await.unwrap();
            other.publish(Outgoing::new("back.a", round.to_string())).await.unwrap();
            assert_eq!(text(&next(&mut all).await), round.to_string(), "nothing was kept for later");
            assert_eq!(text(&next(&mut member).await), round.to_string());
            assert_eq!(bus.stats().reconnects, round);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_holds_nobody_up() {
    const LIMIT: Duration = Duration::from_millis(300);
    bounded(async {
        let server = NatsServer::start();
        let bus = NatsBus::connect(NatsOptions {
            publish_limit: LIMIT,
            connect_limit: Duration::from_secs(5),
            outgoing_capacity: 16,
            ..options(server.url())
        })
        .await
        .unwrap();
        let mut all = bus.subscribe("frozen", None).await.unwrap();
        let mut ended = bus.subscribe("ended", None).await.unwrap();
        server.pause();
        let before = Instant::now();
        ended.unsubscribe().await;
        assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
        assert_eq!(ended.next().await, None);
        let flush = bus.flush(LIMIT).await;
        assert!(matches!(flush, Err(BusError::Deadline { limit: LIMIT, .. })), "{flush:?}");

        // The sockets' buffers take some, then the queue, and then publishing fails, each time within its limit.
        let payload = bytes::Bytes::from(vec![0; 256 * 1024]);
        let mut refused = 0;
        for _ in 0..1_000 {
            let before = Instant::now();
            let result = bus.publish(Outgoing::new("big", payload.clone())).await;
            assert!(before.elapsed() < LIMIT + Duration::from_secs(2), "{:?}", before.elapsed());
            match result {
                Ok(()) => {}
                Err(BusError::Full { subject }) if subject == "big" => refused += 1,
                Err(e) => panic!("{e}"),
            }
            if refused == 2 {
                break;
            }
        }
        assert_eq!((refused, bus.stats().refused), (2, 2));

        server.resume();
        bus.flush(PATIENCE).await.unwrap();
        bus.publish(Outgoing::new("frozen", "x")).await.unwrap();
        assert_eq!(text(&next(&mut all).await), "x");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_is_bounded_when_the_server_is_frozen_or_gone() {
    bounded(async {
        let Rig { bus, other, server } = Rig::nats().await;
        let mut server = server.unwrap();
        let mut all = bus.subscribe("a", None).await.unwrap();
        let mut of_other = other.subscribe("a", None).await.unwrap();
        other.publish(Outgoing::new("a", "x")).await.unwrap();
        eventually("both received it", async || bus.stats().received == 1 && other.stats().received == 1).await;

        server.pause();
        let before = Instant::now();
        assert!(matches!(bus.drain(Duration::from_millis(200)).await, Err(BusError::Deadline { .. })));
        assert!(before.elapsed() < PATIENCE / 2);
        assert_eq!(text(&next(&mut all).await), "x");
        assert_eq!(all.next().await, None);

        server.stop();
        eventually("the loss is noticed", async || !other.is_connected()).await;
        assert!(matches!(other.drain(PATIENCE).await, Err(BusError::Unavailable { .. })));
        assert_eq!(text(&next(&mut of_other).await), "x");
        assert_eq!(of_other.next().await, None);
        assert!(matches!(other.publish(Outgoing::new("a", "x")).await, Err(BusError::Closed)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_counted_to_the_last_message() {
    const TOTAL: u64 = 60_000;
    bounded(async {
        let rig = Rig::nats_with(1_000).await;
        let mut slow = rig.bus.subscribe("flood", None).await.unwrap();
        for n in 0..TOTAL {
            rig.other.publish(Outgoing::new("flood", n.to_string())).await.unwrap();
        }
        rig.settle().await;
        eventually("each is counted", async || {
            let stats = rig.bus.stats();
            stats.received + stats.dropped_slow_consumer == TOTAL
        })
        .await;
        let stats = rig.bus.stats();
        assert_eq!((stats.received, stats.dropped_slow_consumer), (1_000, TOTAL - 1_000));
        assert_eq!(text(&next(&mut slow).await), "0");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_payload_bound_holds() {
    let server = NatsServer::start_with_config("max_payload: 1000", &[]);
    let bus = bounded(NatsBus::connect(options(server.url()))).await.unwrap();
    let error = bus.publish(Outgoing::new("a", vec![0; 1_001])).await.unwrap_err();
    assert!(matches!(error, BusError::TooLarge { bytes: 1_001, bytes_max: 1_000, .. }), "{error}");
    bus.publish(Outgoing::new("a", vec![0; 1_000])).await.unwrap();
    bus.flush(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_an_inbox_can_still_publish_and_subscribe() {
    let users = r#"authorization { users = [
        {user: "narrow", password: "p", permissions: {publish: ["a.>"], subscribe: ["a.>"]}},
        {user: "half", password: "p", permissions: {publish: ["a.>"], subscribe: [">"]}},
    ] }"#;
    let server = NatsServer::start_with_config(users, &[]);
    for user in ["narrow", "half"] {
        let started = Instant::now();
        let bus = bounded(NatsBus::connect(options(format!("nats://{user}:p@{}", server.address())))).await.unwrap();
        let mut all = bus.subscribe("a.*", None).await.unwrap();
        bus.publish(Outgoing::new("a.b", "x")).await.unwrap();
        assert_eq!(text(&next(&mut all).await), "x");
        // Forbidden: the server only tells in its log and in ours, and nothing else is disturbed.
        bus.publish(Outgoing::new("b", "x")).await.unwrap();
        bus.flush(PATIENCE).await.unwrap();
        assert!(bus.is_connected());
        bus.drain(PATIENCE).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(4), "{user} waited for what is forbidden");
    }
}

/// Any client of the server can send these headers, and each ends the library's connection, the first even its task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_break_the_client_library_do_not_end_the_bus() {
    bounded(async {
        let Rig { bus, other: _, server } = Rig::nats().await;
        let server = server.unwrap();
        let mut all = bus.subscribe("hostile", None).await.unwrap();
        for (round, line) in [(1, "a: x\ry"), (2, "no colon"), (3, "a: x\ry")] {
            let mut raw = TcpStream::connect(server.address()).await.unwrap();
            let header = format!("NATS/1.0\r\n{line}\r\n\r\n");
            let connect = r#"CONNECT {"verbose":false,"headers":true}"#;
            let publish = format!("{connect}\r\nHPUB hostile {0} {0}\r\n{header}\r\nPING\r\n", header.len());
            raw.write_all(publish.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !String::from_utf8_lossy(&answer).contains("PONG") {
                assert!(raw.read_buf(&mut answer).await.unwrap() > 0, "the server took it in");
            }
            eventually("the bus is back", async || bus.stats().reconnects == round && bus.is_connected()).await;
            // A new client makes the subscription anew a moment after it has connected.
            eventually("it hears again", async || {
                bus.publish(Outgoing::new("hostile", round.to_string())).await.ok();
                let heard = tokio::time::timeout(Duration::from_millis(50), all.next()).await;
                heard.is_ok_and(|m| m.is_some_and(|m| text(&m) == round.to_string()))
            })
            .await;
        }
        let bus: SharedBus = bus;
        let error = request(&*bus, Outgoing::new("nobody", "x"), PATIENCE).await.unwrap_err();
        assert!(matches!(error, BusError::NoResponders { .. }), "{error}");
        drop(all);
        drop(Arc::clone(&bus));
        bus.drain(PATIENCE).await.unwrap();
    })
    .await;
}
