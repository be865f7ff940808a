//! Redirects of `http` checks.

use watchpost_model::Outcome;
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::{Bench, loopback};

fn redirect(url: &str, max: u8, more: &str) -> String {
    format!(r#"{{"http": {{"url": "{url}", "max_redirects": {max}{more}}}}}"#)
}

#[tokio::test]
async fn redirects_are_not_followed_unless_asked() {
    let server = HttpFixture::start("a").await.unwrap();
    let url = "http://svc.example/redirect?to=/ok";
    let ran = Bench::new().run(&redirect(url, 0, ""), server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.http().status, ran.http().redirects.len(), server.counts().accepted()), (302, 0, 1));
}

#[tokio::test]
async fn a_redirect_within_the_name_stays_with_the_endpoint() {
    let server = HttpFixture::start_on(loopback(2), "a").await.unwrap();
    // There is no name server: only the endpoint's address can be used for both.
    let url = "http://svc.example/redirect?to=%2Fredirect%3Fto%3Dhttp:%2F%2Fsvc.example%2Fok";
    let ran = Bench::new().run(&redirect(url, 2, ""), server.address()).await;
    ran.assert_passed();
    assert_eq!((ran.http().status, ran.http().body_bytes), (200, 2));
    assert_eq!(ran.http().redirects, ["http://svc.example/redirect?to=http://svc.example/ok", "http://svc.example/ok"]);
    assert_eq!((server.counts().accepted(), ran.evidence.address), (3, Some(server.address())));
    let phases = ran.evidence.phases;
    assert!(phases.connect.unwrap() + phases.first_byte.unwrap() < phases.total.unwrap(), "{phases:?}");
}

#[tokio::test]
async fn a_redirect_to_another_name_is_resolved_and_hears_no_secret() {
    let first = HttpFixture::start_on(loopback(2), "first").await.unwrap();
    let second = HttpFixture::start_on(loopback(3), "second").await.unwrap();
    let dns = DnsServer::start(&[("other.example", &[loopback(3)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let url =
        format!("http://svc.example/redirect?code=307&to=http:%2F%2Fother.example:{}%2Fecho", second.address().port());
    let json = format!(
        r#"{{"http": {{"url": "{url}", "max_redirects": 1, "method": "POST", "body": "b",
            "headers": {{"Authorization": "hunter2", "X-Api-Key": "hunter2", "X-Plain": "hunter2", "Accept": "a/b"}}}},
            "expect": {{"body_contains": ["\"method\":\"POST\"", "\"body\":\"b\"", "\"accept\":\"a/b\"",
            "\"host\":\"other.example:{}\""], "body_matches": "^[^2]*$"}}}}"#,
        second.address().port()
    );
    let ran = bench.run(&json.replace(r#""body_matches": "^[^2]*$""#, r#""status": 200"#), first.address()).await;
    ran.assert_passed();
    assert_eq!((ran.evidence.address, ran.evidence.phases.dns.is_some()), (Some(second.address()), true));
    let shown = bench.run(&json.replace(r#""body_matches": "^[^2]*$""#, r#""status": 500"#), first.address()).await;
    assert!(!shown.http().body_excerpt.as_ref().unwrap().contains("hunter2"));
}

#[tokio::test]
async fn post_becomes_get_where_the_standard_says_so() {
    let server = HttpFixture::start("a").await.unwrap();
    for (code, method, body) in
        [(301, "GET", ""), (302, "GET", ""), (303, "GET", ""), (307, "POST", "b"), (308, "POST", "b")]
    {
        let json = format!(
            r#"{{"http": {{"url": "http://svc.example/redirect?to=/echo&code={code}", "max_redirects": 1,
                "method": "POST", "body": "b"}},
                "expect": {{"body_contains": ["\"method\":\"{method}\"", "\"body\":\"{body}\""]}}}}"#
        );
        Bench::new().run(&json, server.address()).await.assert_passed();
    }
}

#[tokio::test]
async fn too_many_redirects_are_an_error_that_says_where_they_led() {
    let server = HttpFixture::start("a").await.unwrap();
    let url = "http://svc.example/redirect?to=/redirect%3Fto%3D/redirect%253Fto%253D/ok";
    let ran = Bench::new().run(&redirect(url, 2, ""), server.address()).await;
    ran.assert_ended(Outcome::Error, "too_many_redirects");
    assert_eq!((server.counts().accepted(), ran.http().redirects.len(), ran.http().status), (3, 2, 302));
    assert!(ran.message().contains("would be redirect 3, allowed are 2"), "{}", ran.message());
    Bench::new().run(&redirect(url, 3, ""), server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_redirect_whose_destination_fails_still_shows_the_way_there() {
    let server = HttpFixture::start("a").await.unwrap();
    let dns = DnsServer::start(&[]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([]));
    let url = "http://svc.example/redirect?to=http:%2F%2Fgone.example%2F";
    let ran = bench.run(&redirect(url, 3, ""), server.address()).await;
    ran.assert_ended(Outcome::Error, "dns_nxdomain");
    assert_eq!((ran.http().status, ran.http().redirects.as_slice()), (302, &["http://gone.example/".to_owned()][..]));
    assert!(ran.evidence.phases.connect.is_none() && ran.evidence.phases.dns.is_some());
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_an_error() {
    let server = HttpFixture::start("a").await.unwrap();
    for (query, told) in [("", "has no Location header"), ("?to=ftp:%2F%2Fa%2F", "not an http or https URL")] {
        let ran =
            Bench::new().run(&redirect(&format!("http://svc.example/redirect{query}"), 1, ""), server.address()).await;
        ran.assert_ended(Outcome::Error, "bad_redirect");
        assert!(ran.message().contains(told), "{}", ran.message());
    }
    // Other answers in the three hundreds are answers.
    Bench::new().run(&redirect("http://svc.example/status/304", 1, ""), server.address()).await.assert_passed();
}

#[tokio::test]
async fn a_redirect_between_plain_and_tls_keeps_the_evidence_of_the_last_hop() {
    let authority = Authority::new().unwrap();
    let plain = HttpFixture::start_on(loopback(2), "plain").await.unwrap();
    let secure =
        TlsFixture::start(loopback(3), "secure", &authority, Certificate::Valid, "secure.example").await.unwrap();
    let dns = DnsServer::start(&[("secure.example", &[loopback(3)]), ("plain.example", &[loopback(2)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([authority.der()]));
    let to_secure =
        format!("http://plain.example/redirect?to=https:%2F%2Fsecure.example:{}%2Fok", secure.address().port());
    let up = bench.run(&redirect(&to_secure, 1, ""), plain.address()).await;
    up.assert_passed();
    assert!(up.evidence.tls.is_some() && up.evidence.phases.tls.is_some());
    let to_plain =
        format!("https://secure.example/redirect?to=http:%2F%2Fplain.example:{}%2Fok", plain.address().port());
    let down = bench.run(&redirect(&to_plain, 1, ""), secure.address()).await;
    down.assert_passed();
    assert!(down.evidence.tls.is_none() && down.evidence.phases.tls.is_none());
    assert_eq!(down.http().redirects, [format!("http://plain.example:{}/ok", plain.address().port())]);
}

/// O4: each instance of a service that sends its clients on to TLS answers for itself.
#[tokio::test]
async fn a_redirect_to_another_port_of_the_name_stays_with_the_instance() {
    let authority = Authority::new().unwrap();
    // The name leads to the first instance only.
    let dns = DnsServer::start(&[("svc.example", &[loopback(2)])]).await.unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(vec![dns.address()]), &TlsRoots::only([authority.der()]));
    for n in [2, 3] {
        let name = format!("instance-{n}");
        let plain = HttpFixture::start_on(loopback(n), "plain").await.unwrap();
        let secure =
            TlsFixture::start(loopback(n), &name, &authority, Certificate::Valid, "svc.example").await.unwrap();
        let to = format!("https:%2F%2Fsvc.example:{}%2Fok", secure.address().port());
        let url = format!("http://svc.example/redirect?to={to}");
        let ran = bench.run(&redirect(&url, 1, ""), plain.address()).await;
        ran.assert_passed();
        assert_eq!((ran.http().headers["x-instance"].as_str(), ran.evidence.address), (&*name, Some(secure.address())));
    }
    assert_eq!(dns.questions(), 0);
}

#[tokio::test]
async fn credentials_in_a_location_are_shown_nowhere() {
    let server = HttpFixture::start("a").await.unwrap();
    for (to, max) in [
        ("http:%2F%2Fu:hunter%32@svc.example%2Fok", 0),
        ("http:%2F%2Fu:hunter%32@svc.example%2Fstatus%2F500", 1),
        ("http:%2F%2Fu:hunter%32@svc.example:99999%2F", 1),
        ("ftp:%2F%2Fu:hunter%32@svc.example%2F", 1),
    ] {
        let more = r#"}, "expect": {"header": {"Location": {"equals": "x"}}"#;
        let ran = Bench::new()
            .run(&redirect(&format!("http://svc.example/redirect?to={to}"), max, more), server.address())
            .await;
        assert_ne!(ran.outcome, Outcome::Pass);
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
    }
}
