//! `http` checks through proxies.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::http2_fixture::Http2Fixture;
use watchpost_tests::proxy_fixture::{ProxyFixture, Rules};
use watchpost_tests::tcp_fixture::{Behaviour, Server};
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::{Bench, closed_port, eventually, loopback};

fn get(url: &str, proxy: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "{url}", "proxy": "{proxy}"}}{more}}}"#)
}

/// What only the proxy can resolve.
fn rules() -> Rules {
    Rules::knowing(&[("svc.example", loopback(8))])
}

/// A proxy that says `bytes` once it has heard something, and closes if it says nothing.
async fn saying(bytes: &'static [u8]) -> Server {
    Server::start(loopback(9), move |mut stream: TcpStream| async move {
        let mut heard = [0; 1024];
        if stream.read(&mut heard).await.is_ok_and(|read| read > 0) {
            stream.write_all(bytes).await.ok();
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_plain_request_goes_to_an_http_proxy_whole() {
    let server = HttpFixture::start_on(loopback(8), "a").await.unwrap();
    let proxy = ProxyFixture::http(loopback(9), rules()).await.unwrap();
    let url = format!("http://svc.example:{}/echo?a=b", server.address().port());
    let expect = format!(
        r#", "expect": {{"body_contains": ["\"path\":\"/echo\"", "\"host\":\"svc.example:{}\""]}}"#,
        server.address().port()
    );
    // There is no name server: the proxy knows the name.
    let ran = Bench::new().run(&get(&url, &format!("http://{}", proxy.address()), &expect), None).await;
    ran.assert_passed();
    assert_eq!(proxy.asked(), [format!("GET {url}")]);
    assert_eq!(ran.evidence.address, Some(proxy.address()));
    let phases: Vec<_> = ran.evidence.hops[0].spans.iter().map(|span| span.phase.as_str()).collect();
    assert_eq!(phases, ["connect", "send", "first_byte", "receive"]);
    eventually("everybody is alone", || server.counts().open() + proxy.counts().open() == 0).await;
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_of_either_kind() {
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let config = authority.server_config(Certificate::Valid, "svc.example").unwrap();
    let newer = Http2Fixture::start(loopback(8), Some(config)).await.unwrap();
    let older = TlsFixture::start(loopback(8), "a", &authority, Certificate::Valid, "svc.example").await.unwrap();
    let http = ProxyFixture::http(loopback(9), rules()).await.unwrap();
    let socks = ProxyFixture::socks(loopback(9), rules()).await.unwrap();
    for (scheme, proxy, asked) in [("http", &http, "CONNECT"), ("socks5h", &socks, "name")] {
        for (port, version) in [(newer.address().port(), "HTTP/2"), (older.address().port(), "HTTP/1.1")] {
            let json = get(&format!("https://svc.example:{port}/ok"), &format!("{scheme}://{}", proxy.address()), "");
            let ran = bench.run(&json, None).await;
            ran.assert_passed();
            assert_eq!(ran.http().version, version);
            assert_eq!(proxy.asked().last(), Some(&format!("{asked} svc.example:{port}")));
            assert!(ran.evidence.tls.is_some_and(|tls| tls.sans == ["svc.example"]));
            let phases: Vec<_> = ran.evidence.hops[0].spans.iter().map(|span| span.phase.as_str()).collect();
            assert_eq!(phases, ["connect", "tls", "send", "first_byte", "receive"]);
        }
    }
    eventually("the proxies are alone", || http.counts().open() + socks.counts().open() == 0).await;
}

#[tokio::test]
async fn the_check_resolves_names_for_socks5_and_the_proxy_for_socks5h() {
    let server = HttpFixture::start_on(loopback(8), "a").await.unwrap();
    let proxy = ProxyFixture::socks(loopback(9), rules()).await.unwrap();
    let dns = DnsServer::start(&[("svc.example", &[loopback(8)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let port = server.address().port();
    let url = format!("http://svc.example:{port}/ok");
    for (scheme, asked, resolved) in [
        ("socks5", format!("address 127.0.0.8:{port}"), vec![loopback(8)]),
        ("socks5h", format!("name svc.example:{port}"), vec![]),
    ] {
        let ran = bench.run(&get(&url, &format!("{scheme}://{}", proxy.address()), ""), None).await;
        ran.assert_passed();
        assert_eq!(proxy.asked().last(), Some(&asked));
        assert_eq!(ran.evidence.hops[0].resolved, resolved);
        assert_eq!(ran.evidence.phases.dns.is_some(), scheme == "socks5");
    }
}

/// O4: each instance of a service answers for itself, also through a proxy.
#[tokio::test]
async fn an_endpoint_is_asked_for_by_its_address() {
    let server = HttpFixture::start_on(loopback(8), "a").await.unwrap();
    let http = ProxyFixture::http(loopback(9), rules()).await.unwrap();
    let socks = ProxyFixture::socks(loopback(9), rules()).await.unwrap();
    for (scheme, proxy, asked) in
        [("http", &http, "CONNECT"), ("socks5", &socks, "address"), ("socks5h", &socks, "address")]
    {
        let json = get(
            "http://svc.example/echo",
            &format!("{scheme}://{}", proxy.address()),
            r#", "expect": {"body_contains": "\"host\":\"svc.example\""}"#,
        );
        Bench::new().run(&json, server.address()).await.assert_passed();
        assert_eq!(proxy.asked().last(), Some(&format!("{asked} {}", server.address())));
    }
}

#[tokio::test]
async fn http2_without_tls_goes_through_a_tunnel() {
    let server = Http2Fixture::start(loopback(8), None).await.unwrap();
    let proxy = ProxyFixture::http(loopback(9), rules()).await.unwrap();
    let port = server.address().port();
    let json = format!(
        r#"{{"http": {{"url": "http://svc.example:{port}/ok", "proxy": "http://{}", "version": 2}}}}"#,
        proxy.address()
    );
    let ran = Bench::new().run(&json, None).await;
    ran.assert_passed();
    assert_eq!((ran.http().version.as_str(), proxy.asked()), ("HTTP/2", vec![format!("CONNECT svc.example:{port}")]));
}

#[tokio::test]
async fn a_proxy_is_told_who_asks_and_nobody_else_is() {
    let server = HttpFixture::start_on(loopback(8), "a").await.unwrap();
    let rules = rules().for_user("alice", "hunter2:hunter2");
    let http = ProxyFixture::http(loopback(9), rules.clone()).await.unwrap();
    let socks = ProxyFixture::socks(loopback(9), rules).await.unwrap();
    let url = format!("http://svc.example:{}/echo", server.address().port());
    let expect = r#", "expect": {"status": 500}"#;
    for (scheme, proxy) in [("http", &http), ("socks5h", &socks)] {
        let proxy = format!("{scheme}://alice:hunter2%3Ahunter2@{}", proxy.address());
        let ran = Bench::new().run(&get(&url, &proxy, expect), None).await;
        ran.assert_ended(Outcome::Fail, "http_status");
        assert!(!ran.http().body_excerpt.as_deref().unwrap().contains("proxy-authorization"), "{ran:?}");
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_another_login_says_so() {
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let rules = rules().for_user("alice", "secret");
    let http = ProxyFixture::http(loopback(9), rules.clone()).await.unwrap();
    let socks = ProxyFixture::socks(loopback(9), rules).await.unwrap();
    for (scheme, proxy) in [("http", &http), ("socks5h", &socks)] {
        for (login, told) in
            [("", "wants a user and a password, and the check has none"), ("alice:hunter2@", "does not accept")]
        {
            let ran = bench
                .run(&get("https://svc.example/", &format!("{scheme}://{login}{}", proxy.address()), ""), None)
                .await;
            ran.assert_ended(Outcome::Error, "proxy_error");
            assert!(ran.message().starts_with(&format!("the proxy {} {told}", proxy.address())), "{}", ran.message());
            assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        }
    }
    // A plain request is answered by the proxy itself.
    let ran = bench.run(&get("http://svc.example/", &format!("http://{}", http.address()), ""), None).await;
    ran.assert_ended(Outcome::Fail, "http_status");
    assert_eq!(ran.http().status, 407);
}

#[tokio::test]
async fn a_target_that_a_proxy_does_not_reach_is_told_apart_from_the_proxy() {
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let closed = closed_port(loopback(8)).await.port();
    let http = ProxyFixture::http(loopback(9), rules()).await.unwrap();
    let socks = ProxyFixture::socks(loopback(9), rules()).await.unwrap();
    for (url, proxy, code, told) in [
        (
            format!("https://svc.example:{closed}/"),
            format!("http://{}", http.address()),
            "proxy_error",
            "status 502 Bad Gateway",
        ),
        (
            format!("https://svc.example:{closed}/"),
            format!("socks5h://{}", socks.address()),
            "connect_refused",
            "it refused the connection",
        ),
        (
            "https://none.example/".into(),
            format!("socks5h://{}", socks.address()),
            "connect_unreachable",
            "no route to it",
        ),
        (
            "https://svc.example/".into(),
            format!("http://{}", closed_port(loopback(9)).await),
            "connect_refused",
            "the proxy cannot be reached: 127.0.0.9:",
        ),
        (
            "https://svc.example/".into(),
            "http://proxy.example:3128".into(),
            "dns_error",
            "the proxy cannot be reached: ",
        ),
    ] {
        let ran = bench.run(&get(&url, &proxy, ""), None).await;
        ran.assert_ended(Outcome::Error, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn a_proxy_that_misbehaves_is_an_error_with_a_sentence() {
    let endless: &'static [u8] = Box::leak(b"HTTP/1.1 200 OK\r\nX: ".iter().copied().chain([b'x'; 20_000]).collect());
    for (scheme, says, told) in [
        ("http", &b""[..], "closed the connection when it was asked for svc.example:443"),
        ("http", b"HTTP/1.1 200 OK\r\n", "closed the connection when"),
        ("http", b"no such thing\r\n\r\n", "does not speak HTTP"),
        ("http", b"HTTP/1.1 forbidden\r\n\r\n", "does not speak HTTP"),
        ("http", b"HTTP/1.1 403 \x1b[31mNo\r\n\r\n", "status 403 \\u{1b}[31mNo"),
        ("http", b"HTTP/1.1 301 Moved\r\nLocation: http://a/\r\n\r\n", "status 301 Moved"),
        ("http", endless, "the head of its answer has more than 16384 bytes"),
        ("socks5h", b"", "closed the connection when"),
        ("socks5h", b"\x05", "closed the connection when"),
        ("socks5h", b"HTTP/1.1 400 Bad\r\n\r\n", "does not speak SOCKS 5"),
        ("socks5h", b"\x04\x00", "does not speak SOCKS 5"),
        ("socks5h", b"\x05\x07", "wants a user and a password"),
        ("socks5h", b"\x05\x00\x05\x02\x00\x01", "its rules do not allow it (reply 2)"),
        ("socks5h", b"\x05\x00\x05\x63\x00\x01", "it gives no reason (reply 99)"),
        ("socks5h", b"\x05\x00\x05\x00\x00\x09", "does not speak SOCKS 5"),
        ("socks5h", b"\x05\x00\x05\x00\x00\x03\xff", "closed the connection when"),
    ] {
        let authority = Authority::new().unwrap();
        let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
        let proxy = saying(says).await;
        let ran = bench.run(&get("https://svc.example/", &format!("{scheme}://{}", proxy.address()), ""), None).await;
        ran.assert_ended(Outcome::Error, "proxy_error");
        assert!(ran.message().contains(told), "{}: {}", String::from_utf8_lossy(says), ran.message());
        assert!(ran.message().starts_with(&format!("the proxy {}", proxy.address())), "{}", ran.message());
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_timed_out_while_connecting() {
    let proxy = Behaviour::Silent.start(loopback(9)).await.unwrap();
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    for scheme in ["http", "socks5h"] {
        let json = get("https://svc.example/", &format!("{scheme}://{}", proxy.address()), "");
        let ran = bench.run_within(Duration::from_millis(200), &json, None).await;
        ran.assert_ended(Outcome::Timeout, "connect_timeout");
        let told = format!("the proxy {} did not connect to svc.example:443 within 200ms", proxy.address());
        assert!(ran.message().starts_with(&told), "{}", ran.message());
    }
    eventually("the proxy is alone", || proxy.counts().open() == 0).await;
}

#[tokio::test]
async fn each_hop_goes_through_the_proxy() {
    let first = HttpFixture::start_on(loopback(8), "first").await.unwrap();
    let second = HttpFixture::start_on(loopback(2), "second").await.unwrap();
    let rules = Rules::knowing(&[("svc.example", loopback(8)), ("other.example", loopback(2))]);
    let proxy = ProxyFixture::http(loopback(9), rules).await.unwrap();
    let to = format!("http://other.example:{}/name", second.address().port());
    let url = format!("http://svc.example:{}/redirect?to={}", first.address().port(), to.replace("//", "%2F%2F"));
    let json = format!(
        r#"{{"http": {{"url": "{url}", "proxy": "http://{}", "max_redirects": 1}}, "expect": {{"body_contains": "second"}}}}"#,
        proxy.address()
    );
    let ran = Bench::new().run(&json, None).await;
    ran.assert_passed();
    assert_eq!(proxy.asked(), [format!("GET {url}"), format!("GET {to}")]);
    assert_eq!(ran.evidence.hops.len(), 2);
}
