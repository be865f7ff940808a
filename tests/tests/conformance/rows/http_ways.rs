//! By which way a target is reached, and with what TLS; the hops that it took.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use watchpost_tests::tls_fixture::Certificate;

use crate::expected::{absent, at_least, has, is, like, present};
use crate::names::Dns;
use crate::row::{Row, ip, row};
use crate::server::{Server, Tls, each, ok, response};

pub fn rows() -> Vec<Row> {
    let mut rows = trust();
    rows.extend(clients());
    rows.extend(families());
    rows.extend(sources());
    rows.extend(hops());
    rows
}

fn with_tls(tls: &str) -> String {
    format!("http: {{ url: 'https://{{host}}:{{port}}/ok', tls: {{ {tls} }} }}")
}

fn trust() -> Vec<Row> {
    let shows = |name: &str, kind, tls: &str| {
        row(format!("trust-{name}")).server(Server::TlsPaths(Tls::Shows(kind))).check(with_tls(tls))
    };
    let insecure = |name: &str, kind| {
        shows(name, kind, "insecure: true").pass().at("tls.subject", present()).at("tls.version", is("TLSv1.3"))
    };
    let unusable = |name: &str, file: &str, says: &str| {
        shows(name, Certificate::Valid, &format!("ca_file: '{{dir}}/{name}.pem'"))
            .file(format!("{name}.pem"), file)
            .cancelled("file_unusable")
            .says(says)
            .connections(0)
    };
    vec![
        shows("in-a-file", Certificate::Valid, "ca_file: '{ca}'").pass(),
        shows("in-a-file-but-expired", Certificate::Expired, "ca_file: '{ca}'").error("tls_expired"),
        shows("in-a-file-of-somebody-else", Certificate::Valid, "ca_file: '{client_certificate}'")
            .error("tls_unknown_issuer"),
        shows("in-a-file-that-is-not-there", Certificate::Valid, "ca_file: '{dir}/none.pem'")
            .cancelled("file_unusable")
            .says("none.pem cannot be read: No such file or directory")
            .connections(0),
        unusable("in-an-empty-file", "", "holds no certificate in PEM form"),
        unusable("in-a-file-of-something-else", "hello", "holds no certificate in PEM form"),
        insecure("of-anybody-although-expired", Certificate::Expired),
        insecure("of-anybody-although-self-signed", Certificate::SelfSigned),
        insecure("of-anybody-although-for-another", Certificate::WrongHost),
        shows("of-another-name", Certificate::WrongHost, "server_name: another.example").pass(),
        shows("of-a-wrong-other-name", Certificate::Valid, "server_name: another.example")
            .error("tls_wrong_host")
            .says("not for another.example"),
        row("trust-of-another-name-is-asked-for")
            .server(Server::TlsPaths(Tls::For("another.example")))
            .check(
                "http: { url: 'https://{addr}/echo', tls: { server_name: another.example } }\n\
                 expect: { body_contains: ['\"sni\":\"another.example\"', '\"host\":\"{addr}\"'] }",
            )
            .pass(),
    ]
}

fn clients() -> Vec<Row> {
    let shows = |name: &str, certificate: &str, key: &str| {
        row(format!("client-{name}"))
            .server(Server::TlsPaths(Tls::AsksWho(&TLS13)))
            .check(with_tls(&format!("client: {{ certificate_file: '{certificate}', key_file: '{key}' }}")))
    };
    vec![
        shows("shows-its-certificate", "{client_certificate}", "{client_key}").pass(),
        shows("shows-its-certificate-by-tls-1-2", "{client_certificate}", "{client_key}")
            .replacing_server(Server::TlsPaths(Tls::AsksWho(&TLS12)))
            .pass()
            .at("tls.version", is("TLSv1.2")),
        shows("shows-its-certificate-to-who-does-not-ask", "{client_certificate}", "{client_key}")
            .replacing_server(Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .pass(),
        shows("has-no-certificate", "{dir}/none.pem", "{client_key}").cancelled("file_unusable").says("none.pem"),
        shows("has-no-key", "{client_certificate}", "{client_certificate}")
            .cancelled("file_unusable")
            .says("holds no private key in PEM form"),
        shows("has-another-key", "{ca}", "{client_key}")
            .cancelled("file_unusable")
            .says("does not hold the key of the certificate"),
    ]
}

fn families() -> Vec<Row> {
    let v4_and_v6 = || Dns::Is(vec![ip("127.77.0.2"), ip("::1")]);
    let by = |ip: &str| format!("http: {{ url: 'http://{{host}}:{{port}}/', route: {{ ip: {ip} }} }}");
    vec![
        row("route-by-ipv6-where-there-is-both")
            .server_on("::1", ok(&[], "ok"))
            .dead("127.77.0.2")
            .dns(v4_and_v6())
            .check(by("ipv6"))
            .pass()
            .at("hops.0.resolved", is(vec!["::1"])),
        row("route-by-ipv4-where-there-is-both")
            .server_on("::1", ok(&[], "ok"))
            .dead("127.77.0.2")
            .dns(v4_and_v6())
            .check(by("ipv4"))
            .error("connect_refused")
            .says(r"^127\.77\.0\.2:{port} "),
        row("route-prefers-ipv6")
            .server_on("::1", Server::Closed)
            .dead("127.77.0.2")
            .dns(v4_and_v6())
            .check(by("prefer_ipv6"))
            .error("connect_refused")
            .says(r"^\[::1\]:{port} ")
            .at("hops.0.resolved", is(vec!["::1", "127.77.0.2"])),
        row("route-falls-back-to-ipv4")
            .server_on("127.77.0.2", ok(&[], "ok"))
            .dead("::1")
            .dns(v4_and_v6())
            .check(by("prefer_ipv6"))
            .pass()
            .at("target.address", is("{addr}")),
        row("route-by-ipv6-where-there-is-none")
            .server(ok(&[], "ok"))
            .check(by("ipv6"))
            .error("dns_no_address")
            .says("^{host} has no IPv6 address, and the check asks for one$"),
        row("route-by-ipv4-where-there-is-none")
            .server_on("::1", ok(&[], "ok"))
            .check(by("ipv4"))
            .error("dns_no_address")
            .says("^{host} has no IPv4 address, and the check asks for one$"),
        row("route-around-an-address-that-is-deaf")
            .server_on("127.77.0.3", ok(&[], "ok"))
            .deaf("127.77.0.2")
            .dns(Dns::Is(vec![ip("127.77.0.2"), ip("127.77.0.3")]))
            .get("http://{host}:{port}/")
            .pass()
            .at("target.address", is("{addr}"))
            .at("hops.0.resolved", is(vec!["127.77.0.2", "127.77.0.3"]))
            // The first address has so long to answer before the next one is tried as well.
            .at("phases_us.connect", at_least(200_000.0)),
        row("route-around-an-address-that-is-deaf-by-tcp")
            .server_on("127.77.0.3", Server::Script(Vec::new()))
            .deaf("127.77.0.2")
            .dns(Dns::Is(vec![ip("127.77.0.2"), ip("127.77.0.3")]))
            .check("tcp: { address: '{host}:{port}' }")
            .pass()
            .at("target.address", is("{addr}")),
        row("route-to-deaf-and-dead-addresses")
            .server_on("127.77.0.2", Server::Full)
            .dead("127.77.0.3")
            .dns(Dns::Is(vec![ip("127.77.0.2"), ip("127.77.0.3")]))
            .get("http://{host}:{port}/")
            .timeout("connect_timeout"),
    ]
}

fn sources() -> Vec<Row> {
    let from = |source: &str| format!("http: {{ url: 'http://{{addr}}/', route: {{ source_address: '{source}' }} }}");
    vec![
        row("source-of-this-machine").server(ok(&[], "ok")).check(from("127.0.0.9")).pass(),
        row("source-of-another-machine")
            .server(ok(&[], "ok"))
            .check(from("192.0.2.1"))
            .cancelled("source_address_unusable")
            .says("^the check is to connect from 192.0.2.1, and this machine cannot: ")
            .connections(0),
        row("source-is-what-the-server-sees").server(who_asks()).check(sees("{addr}", "127.0.0.9")).pass(),
        row("source-decides-the-family")
            .server_on("127.0.0.1", who_asks())
            .dead("::1")
            .dns(Dns::Is(vec![ip("::1"), ip("127.0.0.1")]))
            .check(sees("{host}:{port}", "127.0.0.9, ip: prefer_ipv6"))
            .pass()
            .at("target.address", is("{addr}")),
        row("source-of-another-family")
            .server_on("::1", ok(&[], "ok"))
            .check(from("127.0.0.9").replace("{addr}", "{host}:{port}"))
            .cancelled("source_address_unusable")
            .says("^the check is to connect from 127.0.0.9, and {host} has no IPv4 address$")
            .connections(0),
        row("source-of-another-family-by-udp")
            .server_on("::1", Server::Closed)
            .check("udp: { address: '{addr}', send: x, expect: y, route: { source_address: 127.0.0.9 } }")
            .cancelled("source_address_unusable"),
    ]
}

/// A server that says in its answer who asks.
fn who_asks() -> Server {
    each(|mut stream| async move {
        let Ok(peer) = stream.peer_addr() else { return };
        let mut head = [0; 4096];
        if stream.read(&mut head).await.is_ok_and(|bytes| bytes > 0) {
            // A client that has gone away has nothing to learn.
            stream.write_all(&response("200 OK", &[], peer.ip().to_string())).await.ok();
        }
    })
}

/// A check of that server, which is to see the address of `route`.
fn sees(address: &str, route: &str) -> String {
    format!(
        "http: {{ url: 'http://{address}/', route: {{ source_address: {route} }} }}\nexpect: {{ body_matches: '^127\\.0\\.0\\.9$' }}"
    )
}

fn hops() -> Vec<Row> {
    vec![
        row("hops-of-one-request")
            .server(Server::Paths)
            .get("http://{host}:{port}/ok")
            .pass()
            .at("hops.0.target", is("http://{host}:{port}/ok"))
            .at("hops.0.resolved", is(vec!["127.0.0.1"]))
            .at("hops.0.address", is("{addr}"))
            .at("hops.0.status", is(200))
            .at("hops.0.spans", like(r#""dns".*"connect".*"first_byte".*"receive""#))
            .at("hops.1", absent()),
        row("hops-of-a-redirect-to-tls")
            .other("b", "127.0.0.3", Server::TlsPaths(Tls::Shows(Certificate::Valid)))
            .server(Server::Paths)
            .check(
                "http: { url: 'http://{addr}/redirect?to=https:%2F%2F{b.host}:{b.port}%2Fok&code=307', max_redirects: 1 }",
            )
            .pass()
            .at("hops.0.status", is(307))
            .at("hops.0.address", is("{addr}"))
            .at("hops.0.resolved", absent())
            .at("hops.0.spans.0.phase", is("connect"))
            .at("hops.1.status", is(200))
            .at("hops.1.target", is("https://{b.host}:{b.port}/ok"))
            .at("hops.1.address", is("{b.addr}"))
            .at("hops.1.spans", like(r#""dns".*"connect".*"tls".*"first_byte".*"receive""#))
            .at("hops.2", absent()),
        row("hops-up-to-a-refusal")
            .other("b", "127.0.0.3", Server::Closed)
            .server(Server::Paths)
            .check("http: { url: 'http://{addr}/redirect?to=http:%2F%2F{b.addr}%2F', max_redirects: 1 }")
            .error("connect_refused")
            .at("hops.0.status", is(302))
            .at("hops.1.status", absent())
            .at("hops.1.target", is("http://{b.addr}/"))
            .at("hops.1.spans", has("connect")),
    ]
}
