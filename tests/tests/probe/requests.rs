//! What `http` checks send: bodies, logins, cookies; and what they unpack.

use std::time::Duration;

use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;

use crate::{Bench, eventually, loopback};

/// What a check reads of a body at most.
const CAP: u64 = 128 * 1024;

fn http(path: &str, settings: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "http://svc.example{path}"{settings}}}{more}}}"#)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A file that is gone when this is dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("watchpost-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

#[tokio::test]
async fn a_body_comes_from_text_base64_or_a_file() {
    let server = HttpFixture::start("a").await.unwrap();
    let file = Scratch::new("body", "häh?".as_bytes());
    let path = quoted(file.0.to_str().unwrap());
    for body in [r#""häh?""#.to_owned(), r#"{"base64": "aMOkaD8="}"#.to_owned(), format!(r#"{{"file": {path}}}"#)] {
        let settings = format!(r#", "method": "POST", "body": {body}"#);
        let expect = r#", "expect": {"body_contains": ["\"body\":\"häh?\"", "\"content-length\":\"5\""]}"#;
        Bench::new().run(&http("/echo", &settings, expect), server.address()).await.assert_passed();
    }
    let bytes = http(
        "/echo",
        r#", "method": "POST", "body": {"base64": "AAH/"}"#,
        r#", "expect": {"body_contains": "\\u0001\ufffd"}"#,
    );
    Bench::new().run(&bytes, server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_body_of_a_file_may_be_large_and_is_bounded() {
    let server = HttpFixture::start("a").await.unwrap();
    let file = Scratch::new("large", &vec![b'x'; 200_000]);
    let path = quoted(file.0.to_str().unwrap());
    let json = http(
        "/echo",
        &format!(r#", "method": "POST", "body": {{"file": {path}}}"#),
        r#", "expect": {"status": 200, "header": {"Content-Length": {"matches": "^200[0-9]{3}$"}}}"#,
    );
    let ran = Bench::new().run(&json, server.address()).await;
    ran.assert_passed();
    assert!(ran.evidence.phases.send.is_some());
    let (gone, larger) = ("/does/not/exist", Scratch::new("larger", &vec![b'x'; 1024 * 1024 + 1]));
    for (path, told) in [(gone, "cannot be read"), (larger.0.to_str().unwrap(), "has more than 1048576 bytes")] {
        let json = http("/echo", &format!(r#", "method": "POST", "body": {{"file": {}}}"#, quoted(path)), "");
        let before = server.counts().accepted();
        let ran = Bench::new().run(&json, server.address()).await;
        ran.assert_ended(Outcome::Cancelled, "file_unusable");
        assert!(ran.message().contains(path) && ran.message().contains(told), "{}", ran.message());
        assert_eq!(server.counts().accepted(), before);
    }
}

/// A pipe that nobody writes to must not keep a thread for ever.
#[tokio::test]
async fn a_body_is_not_read_from_a_pipe() {
    let server = HttpFixture::start("a").await.unwrap();
    let path = std::env::temp_dir().join(format!("watchpost-{}-pipe", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let json = http("/echo", &format!(r#", "body": {{"file": {}}}"#, quoted(path.to_str().unwrap())), "");
    let ran = Bench::new().run(&json, server.address()).await;
    std::fs::remove_file(&path).unwrap();
    ran.assert_ended(Outcome::Cancelled, "file_unusable");
    assert!(ran.message().contains("it is a pipe"), "{}", ran.message());
}

#[tokio::test]
async fn a_login_arrives_and_is_shown_nowhere() {
    let server = HttpFixture::start("a").await.unwrap();
    for (auth, header) in [
        (r#"{"basic": {"username": "alice", "password": "hunter2"}}"#, "Basic YWxpY2U6aHVudGVyMg=="),
        (r#"{"basic": {"username": "alice"}}"#, "Basic YWxpY2U6"),
        (r#"{"bearer": "hunter2.hunter2"}"#, "Bearer hunter2.hunter2"),
    ] {
        let expect = format!(
            r#", "expect": {{"status": 500, "body_contains": {}}}"#,
            quoted(&format!("\"authorization\":\"{header}\""))
        );
        let ran = Bench::new().run(&http("/echo", &format!(r#", "auth": {auth}"#), &expect), server.address()).await;
        ran.assert_ended(Outcome::Fail, "http_status");
        assert!(ran.assertion(1).passed, "{ran:?}");
        let seen = format!("{:?} {:?}", ran.http(), ran.reason);
        assert!(!seen.contains("hunter2") && !seen.contains(header), "{seen}");
        assert!(seen.contains(r#"authorization\":\"[redacted]"#), "{seen}");
    }
}

#[tokio::test]
async fn a_login_goes_no_further_than_its_origin() {
    let first = HttpFixture::start_on(loopback(2), "first").await.unwrap();
    let second = HttpFixture::start_on(loopback(3), "second").await.unwrap();
    let dns = DnsServer::start(&[("other.example", &[loopback(3)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let auth = r#", "max_redirects": 2, "auth": {"bearer": "hunter2.hunter2"}"#;
    let other = format!("/redirect?to=http:%2F%2Fother.example:{}%2Fecho", second.address().port());
    for (path, arrives) in [("/redirect?to=/echo", true), (other.as_str(), false)] {
        let check = http(path, auth, r#", "expect": {"body_contains": "\"authorization\""}"#);
        let ran = bench.run(&check, first.address()).await;
        assert_eq!(ran.outcome == Outcome::Pass, arrives, "{path}: {ran:?}");
    }
}

#[tokio::test]
async fn cookies_go_along_with_a_chain_of_redirects() {
    let first = HttpFixture::start_on(loopback(2), "first").await.unwrap();
    let second = HttpFixture::start_on(loopback(3), "second").await.unwrap();
    let dns = DnsServer::start(&[("other.example", &[loopback(3)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let settings = r#", "max_redirects": 5, "headers": {"Cookie": "own=1"}"#;
    let second_set = "/redirect%3Fset=b%253D22222222|a%253D%253BMax-Age%253D0%26to=/echo";
    let chain = format!("/redirect?set=a%3D11111111|c%3D3%3BPath%3D/elsewhere|s%3D4%3BSecure&to={second_set}");
    let other = format!("/redirect?set=a%3D11111111&to=http:%2F%2Fother.example:{}%2Fecho", second.address().port());
    for (path, sent) in [
        ("/redirect?set=a%3D11111111&to=/echo", "\"cookie\":\"own=1; a=11111111\""),
        (chain.as_str(), "\"cookie\":\"own=1; b=22222222\""),
        (other.as_str(), "\"instance\":\"second\""),
    ] {
        let expect = format!(r#", "expect": {{"status": 500, "body_contains": {}}}"#, quoted(sent));
        let ran = bench.run(&http(path, settings, &expect), first.address()).await;
        assert!(ran.assertion(1).passed, "{path}: {ran:?}");
        let body = ran.http().body_excerpt.as_deref().unwrap();
        assert_eq!(body.contains("\"cookie\""), sent.contains("cookie"), "{body}");
        assert!(!body.contains("11111111") && !body.contains("22222222"), "{body}");
    }
}

#[tokio::test]
async fn brotli_and_zstd_are_unpacked_as_well() {
    let server = HttpFixture::start("a").await.unwrap();
    for path in ["/br", "/zstd"] {
        let ran =
            Bench::new().run(&http(path, "", r#", "expect": {"body_matches": "^unpacked$"}"#), server.address()).await;
        ran.assert_passed();
        assert_eq!(ran.http().body_bytes, 8);
    }
    for (path, told) in [
        ("/bad-br", "brotli format"),
        ("/bad-zstd", "zstd format"),
        ("/cut-zstd", "zstd data in it"),
        ("/cut-br", "brotli data in it"),
    ] {
        let ran = Bench::new().run(&http(path, "", ""), server.address()).await;
        ran.assert_ended(Outcome::Error, "protocol_error");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
    let offered = r#", "expect": {"body_contains": "\"accept-encoding\":\"gzip, deflate, br, zstd\""}"#;
    Bench::new().run(&http("/echo", "", offered), server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_body_can_stay_as_it_comes() {
    let server = HttpFixture::start("a").await.unwrap();
    let ran = Bench::new()
        .run(
            &http("/bad-gzip", r#", "decompress": false"#, r#", "expect": {"body_contains": "not gzip"}"#),
            server.address(),
        )
        .await;
    ran.assert_passed();
    let ran = Bench::new().run(&http("/gzip", r#", "decompress": false"#, ""), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.http().body_bytes.to_string(), ran.http().headers["content-length"]);
    let silent = http("/echo", r#", "decompress": false"#, r#", "expect": {"status": 500}"#);
    let ran = Bench::new().run(&silent, server.address()).await;
    assert!(!ran.http().body_excerpt.as_deref().unwrap().contains("accept-encoding"), "{ran:?}");
}

#[tokio::test]
async fn no_bomb_costs_memory_or_time() {
    let server = HttpFixture::start("a").await.unwrap();
    for path in ["/br-bomb", "/zstd-bomb"] {
        let ran = Bench::new().run(&http(path, "", ""), server.address()).await;
        ran.assert_passed();
        assert_eq!((ran.http().body_bytes, ran.http().body_truncated), (CAP, true), "{path}");
        assert!(ran.took < Duration::from_secs(5), "{path}: {:?}", ran.took);
    }
    eventually("the server is alone", || server.counts().open() == 0).await;
    assert!(server.bytes_sent() < 8_000_000, "{}", server.bytes_sent());
}

/// What was unpacked of a body that breaks off is shown, also where the format holds it back.
#[tokio::test]
async fn what_came_of_a_packed_body_that_breaks_off_is_shown() {
    let server = HttpFixture::start("a").await.unwrap();
    let ran = Bench::new().run(&http("/open-zstd", "", ""), server.address()).await;
    ran.assert_ended(Outcome::Error, "connection_closed");
    assert_eq!(ran.http().body_excerpt.as_deref(), Some("unpacked"));
}
