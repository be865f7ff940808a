//! Redirects: followed, not followed, and not to be followed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, is, present};
use crate::names::Dns;
use crate::row::{Row, row};
use crate::server::{Server, Step, Tls, answer, each, say};

pub fn rows() -> Vec<Row> {
    let mut rows = not_followed();
    rows.extend(followed());
    rows.extend(loops());
    rows.extend(bad_locations());
    rows.extend(elsewhere());
    rows.extend(across_schemes());
    rows
}

/// An `http` check that follows so many redirects.
fn follow(url: &str, max: u8) -> String {
    format!("http: {{ url: '{url}', max_redirects: {max} }}")
}

/// The path of the fixture that leads to `to`, which is to be in a query already.
fn redirect(to: &str) -> String {
    format!("http://{{addr}}/redirect?to={to}")
}

fn not_followed() -> Vec<Row> {
    [301, 302, 303, 307, 308]
        .into_iter()
        .map(|code| {
            row(format!("redirect-{code}-is-an-answer"))
                .server(Server::Paths)
                .get(&format!("http://{{addr}}/redirect?to=/ok&code={code}"))
                .pass()
                .at("http.status", is(code))
                .at("http.redirects", absent())
                .at("http.headers.location", is("/ok"))
                .connections(1)
        })
        .collect()
}

fn followed() -> Vec<Row> {
    let becomes = |code: u16, from: &str, method: &str, body: &str| {
        row(format!("redirect-{code}-of-a-{}", from.to_ascii_lowercase()))
            .server(Server::Paths)
            .check(format!(
                "http: {{ url: 'http://{{addr}}/redirect?to=/echo&code={code}', max_redirects: 1, method: {from}, body: b }}\n\
                 expect: {{ body_contains: ['\"method\":\"{method}\"', '\"body\":\"{body}\"'] }}"
            ))
            .pass()
            .at("http.status", is(200))
            .at("http.redirects.0", is("http://{addr}/echo"))
            .connections(2)
    };
    let leads = |name: &str, location: &str, to: &str| {
        row(format!("redirect-{name}"))
            .server(Server::Paths)
            .check(follow(&redirect(location), 1))
            .pass()
            .at("http.redirects", is(vec![to]))
            .at("http.status", is(200))
    };
    let mut rows = vec![
        becomes(301, "POST", "GET", ""),
        becomes(302, "POST", "GET", ""),
        becomes(303, "POST", "GET", ""),
        becomes(303, "PUT", "GET", ""),
        becomes(302, "PUT", "PUT", "b"),
        becomes(307, "POST", "POST", "b"),
        becomes(308, "POST", "POST", "b"),
        leads("absolute", "http:%2F%2F{addr}%2Fok", "http://{addr}/ok"),
        leads("without-a-scheme", "%2F%2F{addr}%2Fok", "http://{addr}/ok"),
        leads("relative", "ok", "http://{addr}/ok"),
        leads("relative-with-dots", "a%2F..%2F.%2Fok", "http://{addr}/ok"),
        leads("with-a-query", "%2Fok%3Fa%3Db", "http://{addr}/ok?a=b"),
        leads("with-a-fragment", "%2Fok%23part", "http://{addr}/ok"),
        leads("in-capitals", "HTTP:%2F%2F{addr}%2Fok", "http://{addr}/ok"),
        leads("with-credentials", "http:%2F%2Fu:hunter2@{addr}%2Fok", "http://{addr}/ok"),
        leads("by-name", "http:%2F%2F{host}:{port}%2Fok", "http://{host}:{port}/ok").at("phases_us.dns", present()),
        row("redirect-to-a-failure")
            .server(Server::Paths)
            .check(follow(&redirect("%2Fstatus%2F500"), 1))
            .fail("http_status")
            .at("http.status", is(500))
            .at("http.redirects", is(vec!["http://{addr}/status/500"])),
    ];
    rows.extend([300, 304, 305, 306, 399].map(|code| {
        row(format!("redirect-{code}-leads-nowhere"))
            .server(answer(format!("HTTP/1.1 {code} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")))
            .check(follow("http://{addr}/", 5))
            .pass()
            .at("http.status", is(code))
            .connections(1)
    }));
    rows
}

fn loops() -> Vec<Row> {
    let location = |to: &str| answer(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
    let many = "/redirect%3Fto%3D/redirect%253Fto%253D/redirect%25253Fto%25253D/ok";
    vec![
        row("redirect-to-itself")
            .server(location("/"))
            .check(follow("http://{addr}/", 10))
            .error("too_many_redirects")
            .says("^status 302 .* of http://{addr}/ would be redirect 11, allowed are 10$")
            .at("http.status", is(302))
            .at("http.redirects.9", is("http://{addr}/"))
            .connections(11),
        row("redirect-loop-of-two")
            .server(each(to_and_fro))
            .check(follow("http://{addr}/to", 4))
            .error("too_many_redirects")
            .says("^status 307 .* of http://{addr}/to would be redirect 5, allowed are 4$")
            .at("http.redirects.0", is("http://{addr}/fro"))
            .at("http.redirects.1", is("http://{addr}/to"))
            .connections(5),
        row("redirect-one-too-many")
            .server(Server::Paths)
            .check(follow(&redirect(many), 3))
            .error("too_many_redirects")
            .says("would be redirect 4, allowed are 3$")
            .connections(4),
        row("redirect-as-many-as-allowed")
            .server(Server::Paths)
            .check(follow(&redirect(many), 4))
            .pass()
            .at("http.status", is(200))
            .connections(5),
    ]
}

/// Redirects from `/to` to `/fro` and back.
async fn to_and_fro(mut stream: TcpStream) {
    let mut heard = [0; 64];
    // A request of this length comes in one piece; a client that is gone needs no answer.
    let Ok(length) = stream.read(&mut heard).await else { return };
    let to = if heard[..length].starts_with(b"GET /to ") { "/fro" } else { "/to" };
    let answer = format!("HTTP/1.1 307 X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
    }
}

fn bad_locations() -> Vec<Row> {
    let bad = |name: &str, header: &[u8], says: &str| {
        row(format!("redirect-{name}"))
            .server(answer([b"HTTP/1.1 302 Found\r\n", header, b"Content-Length: 0\r\n\r\n"].concat()))
            .check(follow("http://{addr}/", 3))
            .error("bad_redirect")
            .says("^the redirect 302 .* of http://{addr}/ ")
            .says(says)
            .at("http.status", is(302))
            .connections(1)
    };
    vec![
        bad("without-a-location", b"", "has no Location header$"),
        bad("to-ftp", b"Location: ftp://a/\r\n", "leads to `ftp://a/`, which is not an http or https URL$"),
        bad("to-a-script", b"Location: javascript:alert(1)\r\n", "not an http or https URL$"),
        bad("to-a-file", b"Location: file:///etc/passwd\r\n", "not an http or https URL$"),
        bad("to-data", b"Location: data:text/plain,ok\r\n", "not an http or https URL$"),
        bad("without-a-host", b"Location: http://\r\n", "which is not a URL"),
        bad("to-a-bad-port", b"Location: http://a:99999/\r\n", "which is not a URL"),
        bad("to-a-bad-address", b"Location: http://[::1/\r\n", "which is not a URL"),
        bad("that-is-not-text", b"Location: /\xff\r\n", "has a Location that is not text$"),
        bad("of-5000-bytes", format!("Location: /{}\r\n", "x".repeat(4999)).as_bytes(), "5000 bytes, more than 4096$"),
        bad("with-a-bad-port-and-a-password", b"Location: http://u:hunter2@a:99999/\r\n", "`http://a:99999/`"),
    ]
}

/// To another name or port.
fn elsewhere() -> Vec<Row> {
    let to_b = follow(&redirect("http:%2F%2F{b.host}:{b.port}%2Fok"), 2);
    vec![
        row("redirect-to-another-name")
            .other("b", "127.0.0.3", Server::Paths)
            .server(Server::Paths)
            .check(&to_b)
            .pass()
            .at("target.address", is("{b.addr}"))
            .at("http.headers.x-instance", is("{b.host}")),
        row("redirect-to-a-name-that-does-not-exist")
            .server(Server::Paths)
            .name("gone", Dns::Missing)
            .check(follow(&redirect("http:%2F%2F{gone.host}%2F"), 2))
            .error("dns_nxdomain")
            .says("{gone.host}")
            .at("http.status", is(302))
            .at("http.redirects", is(vec!["http://{gone.host}/"])),
        row("redirect-to-a-closed-port")
            .other("b", "127.0.0.3", Server::Closed)
            .server(Server::Paths)
            .check(&to_b)
            .error("connect_refused")
            .says(r"^{b.addr} \({b.host}\) refused the connection")
            .at("http.redirects", is(vec!["http://{b.host}:{b.port}/ok"])),
        row("redirect-to-silence")
            .other("b", "127.0.0.3", Server::Script(Vec::new()))
            .server(Server::Paths)
            .check(&to_b)
            .timeout("first_byte_timeout")
            .says("connected to {b.addr} in "),
        row("redirect-elsewhere-takes-no-secret")
            .other("b", "127.0.0.3", Server::Paths)
            .server(Server::Paths)
            .check(concat!(
                "http: { url: 'http://{addr}/redirect?to=http:%2F%2F{b.host}:{b.port}%2Fecho', max_redirects: 1, ",
                "headers: { Authorization: Bearer-hunter2, Cookie: sid=hunter2, X-Own: hunter2, Accept: t/x } }\n",
                "expect: { body_matches: '\"headers\":\\{\"accept\":\"t/x\",\"accept-encoding\":\"[a-z, ]+\",",
                "\"connection\":\"close\",\"host\":\"[a-z0-9.:-]+\",\"user-agent\":\"[^\"]+\"\\}' }",
            ))
            .pass(),
    ]
}

fn across_schemes() -> Vec<Row> {
    let valid = || Tls::Shows(Certificate::Valid);
    let to_b = |scheme: &str| {
        let from = if scheme == "https" { "http" } else { "https" };
        follow(&format!("{from}://{{host}}:{{port}}/redirect?to={scheme}:%2F%2F{{b.host}}:{{b.port}}%2Fok"), 1)
    };
    vec![
        row("redirect-from-http-to-https")
            .other("b", "127.0.0.3", Server::TlsPaths(valid()))
            .server(Server::Paths)
            .check(to_b("https"))
            .pass()
            .at("tls.sans", is(vec!["{b.host}"]))
            .at("phases_us.tls", present()),
        row("redirect-from-https-to-http")
            .other("b", "127.0.0.3", Server::Paths)
            .server(Server::TlsPaths(valid()))
            .check(to_b("http"))
            .pass()
            .at("tls", absent())
            .at("phases_us.tls", absent())
            .at("http.redirects", is(vec!["http://{b.host}:{b.port}/ok"])),
        row("redirect-to-a-bad-certificate")
            .other("b", "127.0.0.3", Server::TlsPaths(Tls::Shows(Certificate::Expired)))
            .server(Server::Paths)
            .check(to_b("https"))
            .error("tls_expired")
            .at("http.status", is(302)),
        row("redirect-to-https-on-a-plain-port")
            .other("b", "127.0.0.3", Server::Script(vec![Step::HearSome, say("HTTP/1.1 400 No\r\n\r\n"), Step::Close]))
            .server(Server::Paths)
            .check(to_b("https"))
            .error("tls_error")
            .says(r"^{b.addr} \({b.host}\) does not speak TLS"),
    ]
}
