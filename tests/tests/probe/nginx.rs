//! `http` checks of a server that many people use: nginx, by HTTP/1.1 and HTTP/2.

use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::nginx_server;
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::Bench;

/// What a check reads of a body at most.
const CAP: u64 = 128 * 1024;

fn check(scheme: &str, path: &str, settings: &str, more: &str) -> String {
    format!(r#"{{"http": {{"url": "{scheme}://svc.example{path}"{settings}}}{more}}}"#)
}

#[tokio::test]
async fn over_tls_every_version_does_the_same() {
    let authority = Authority::new().unwrap();
    let server = nginx_server::start_with_tls(&authority.files(Certificate::Valid, "svc.example").unwrap());
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    for (version, told) in [("", "HTTP/2.0"), (r#", "version": 1.1"#, "HTTP/1.1"), (r#", "version": 2"#, "HTTP/2.0")] {
        let run = async |path: &str, settings: &str, more: &str| {
            bench.run(&check("https", path, &format!("{version}{settings}"), more), server.address()).await
        };
        let ran = run("/ok", "", &format!(r#", "expect": {{"body_matches": "^ok over {told}$"}}"#)).await;
        ran.assert_passed();
        assert_eq!(ran.http().version, told.trim_end_matches(".0"));

        let seen =
            run("/moved", r#", "max_redirects": 1"#, r#", "expect": {"body_contains": "cookie seen=yes"}"#).await;
        seen.assert_passed();
        assert_eq!(seen.evidence.hops.len(), 2);

        let login = r#", "auth": {"basic": {"username": "alice", "password": "hunter2"}}"#;
        run("/closed", login, "").await.assert_passed();
        run("/closed", &login.replace("hunter2", "hunter3"), "").await.assert_ended(Outcome::Fail, "http_status");

        let packed = run("/large", "", r#", "expect": {"header": {"Content-Encoding": {"equals": "gzip"}}}"#).await;
        packed.assert_passed();
        assert_eq!((packed.http().body_bytes, packed.http().body_truncated), (CAP, true));

        let body = format!(r#", "method": "POST", "body": "{}""#, "x".repeat(65_536));
        let refused = run("/small", &body, "").await;
        refused.assert_ended(Outcome::Fail, "http_status");
        assert_eq!(refused.http().status, 413);
    }
}

#[tokio::test]
async fn without_tls_it_must_be_known_that_it_speaks_http2() {
    let server = nginx_server::start_with_http2();
    let bench = Bench::new();
    let ran = bench.run(&check("http", "/ok", r#", "version": 2"#, ""), server.address()).await;
    ran.assert_passed();
    assert_eq!(ran.http().version, "HTTP/2");
    bench.run(&check("http", "/ok", "", ""), server.address()).await.assert_ended(Outcome::Error, "protocol_error");
}
