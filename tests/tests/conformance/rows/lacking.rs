//! What the machine lacks says nothing about the target. These settings hold for the whole file.

use crate::expected::absent;
use crate::row::{Row, row};
use crate::server::{Server, Tls, ok};

pub fn rows() -> Vec<Row> {
    vec![
        row("no-authority-to-trust")
            .env("SSL_CERT_FILE", "{dir}/empty.pem")
            .file("empty.pem", "")
            .server(Server::TlsPaths(Tls::For("127.0.0.1")))
            .get("https://{addr}/ok")
            .cancelled("no_trust_roots")
            .says("^this machine has no certificate authorities by which it could verify a certificate$")
            .at("target.address", absent())
            .connections(0),
        row("no-authority-is-needed-without-tls").server(ok(&[], "ok")).get("http://{addr}/").pass(),
        row("no-name-server-listens")
            .setting("dns: { nameservers: ['127.77.0.53:9'] }")
            .get("http://{host}/")
            .error("dns_error")
            .says(r"^cannot resolve {host}: .*\(asked 127\.77\.0\.53:9\)$"),
        row("no-name-server-is-needed-for-an-address").server(ok(&[], "ok")).get("http://{addr}/").pass(),
    ]
}
