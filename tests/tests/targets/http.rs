//! Targets from servers that do not always answer well.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use watchpost_probe::{Lookout, Resolver};
use watchpost_tests::tcp_fixture::Server;
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::source::{look_out, next, until};

/// A server that sends the bytes that it was told to send, whatever it is asked.
struct Says {
    server: Server,
    answer: Arc<Mutex<Vec<u8>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Says {
    async fn start() -> Self {
        let (answer, requests) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (says, hears) = (Arc::clone(&answer), Arc::clone(&requests));
        let server = Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), move |mut stream| {
            let (says, hears) = (Arc::clone(&says), Arc::clone(&hears));
            async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                hears.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                let answer = says.lock().unwrap().clone();
                // A client that has read enough goes away.
                stream.write_all(&answer).await.ok();
                stream.shutdown().await.ok();
            }
        });
        Self { server: server.await.unwrap(), answer, requests }
    }

    fn set(&self, status: u16, body: &str) {
        let head =
            format!("HTTP/1.1 {status} S\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        *self.answer.lock().unwrap() = [head.as_bytes(), body.as_bytes()].concat();
    }

    fn look_out(&self) -> Lookout {
        let url = format!("http://{}/sd?token=hunter2", self.server.address());
        let json = serde_json::json!({ "http": { "url": url, "headers": { "X-Scope": "shop" } }, "refresh": "1s" });
        look_out(&json.to_string(), &Resolver::with_nameservers(Vec::new()))
    }
}

#[tokio::test]
async fn a_server_is_asked_as_prometheus_asks() {
    let server = Says::start().await;
    server.set(200, r#"[{"targets": ["a:1"], "labels": {"env": "x", "__meta_own": "y"}}]"#);
    let mut lookout = server.look_out();
    let found = lookout.next().await.unwrap();
    let labels: Vec<_> = found[0].labels().iter().map(|(name, _)| name).collect();
    assert_eq!(labels, ["__meta_own", "__meta_url", "env"]);
    let url = found[0].labels().get("__meta_url").unwrap();
    assert!(url.ends_with("/sd"), "{url}");
    let request = server.requests.lock().unwrap()[0].to_ascii_lowercase();
    for part in [
        "get /sd?token=hunter2 http/1.1",
        "accept: application/json",
        "x-prometheus-refresh-interval-seconds: 1\r",
        "x-scope: shop",
    ] {
        assert!(request.contains(part), "{request}\nlacks {part}");
    }
}

#[tokio::test]
async fn what_a_server_answers_badly_is_told_and_mends_itself() {
    let server = Says::start().await;
    let mut lookout = server.look_out();
    let huge = [&b"HTTP/1.1 200 S\r\n\r\n["[..], &b" ".repeat(17 * 1024 * 1024)].concat();
    let cut = b"HTTP/1.1 200 S\r\nContent-Length: 100\r\n\r\n[{\"targets\"".to_vec();
    for (answer, told) in [
        (Some(b"nonsense\r\n\r\n".to_vec()), "protocol_error: the answer of "),
        (Some(Vec::new()), "connection_closed: "),
        (Some(cut), "connection_closed: "),
        (Some(huge), "has more than 16777216 bytes"),
        (None, "http_status: "),
    ] {
        match answer {
            Some(answer) => *server.answer.lock().unwrap() = answer,
            None => server.set(500, "broken"),
        }
        let error = next(&mut lookout).await.unwrap_err();
        assert!(error.contains(told) && !error.contains("hunter2"), "{error}\nlacks {told}");
    }
    server.set(200, r#"{"targets": ["a:1"]}"#);
    let error = next(&mut lookout).await.unwrap_err();
    assert!(error.contains("/sd is no list of targets: ") && !error.contains("hunter2"), "{error}");
    server.set(200, r#"[{"targets": ["a:1", "a:1"]}]"#);
    until(&mut lookout, &["a:1", "a:1"]).await;
    server.set(200, "[]");
    until(&mut lookout, &[]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_refuses_and_one_behind_tls_needs_a_good_certificate() {
    let json = |url: String, ca: &str| format!(r#"{{"http": {{"url": "{url}", "tls": {{{ca}}}}}}}"#);
    let none = Resolver::with_nameservers(Vec::new());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = next(&mut look_out(&json(format!("http://{closed}/"), ""), &none)).await.unwrap_err();
    assert!(error.starts_with("connect_refused: "), "{error}");

    let authority = Authority::new().unwrap();
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = TlsFixture::start(ip, "sd", &authority, Certificate::Valid, "127.0.0.1").await.unwrap();
    let file = std::env::temp_dir().join(format!("watchpost-targets-ca-{}.pem", std::process::id()));
    std::fs::write(&file, authority.pem()).unwrap();
    let url = format!("https://{}/name", server.address());
    let ca = format!(r#""ca_file": "{}""#, file.display());
    // It is reached, and does not know what a target is.
    let error = next(&mut look_out(&json(url, &ca), &none)).await.unwrap_err();
    std::fs::remove_file(file).unwrap();
    assert!(error.contains("is no list of targets"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_other_servers_get_no_headers() {
    let (first, second) = (Says::start().await, Says::start().await);
    let redirect = |server: &Says, to: &str| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        *server.answer.lock().unwrap() = head.into_bytes();
    };
    redirect(&first, &format!("http://{}/other", second.server.address()));
    second.set(200, r#"[{"targets": ["a:1"]}]"#);
    let mut lookout = first.look_out();
    let found = lookout.next().await.unwrap();
    assert!(found[0].labels().get("__meta_url").unwrap().contains(&first.server.address().to_string()));
    let asked = second.requests.lock().unwrap()[0].to_ascii_lowercase();
    assert!(asked.starts_with("get /other http/1.1") && asked.contains("accept: application/json"), "{asked}");
    assert!(!asked.contains("x-scope") && !asked.contains("hunter2"), "{asked}");

    for (to, told) in [
        ("?token=hunter2", "too_many_redirects: status 302 Found of 127.0.0.1 would be redirect 11, allowed are 10"),
        (
            "ftp://a/?token=hunter2",
            "bad_redirect: the redirect 302 Found of 127.0.0.1 leads to `ftp://a/?token=[redacted]`",
        ),
    ] {
        redirect(&first, to);
        let error = next(&mut lookout).await.unwrap_err();
        assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}\nlacks {told}");
    }
}
