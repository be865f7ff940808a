//! What the machine lacks that runs the check.

use crate::row::{Row, row};
use crate::server::{Server, Tls, ok};

pub fn rows() -> Vec<Row> {
    vec![
        row("no-authority-to-trust")
            .alone()
            .env("SSL_CERT_FILE", "{dir}/empty.pem")
            .file("empty.pem", "")
            .server(Server::TlsPaths(Tls::For("127.0.0.1")))
            .get("https://{addr}/ok")
            .cancelled("no_trust_roots")
            .says("^this machine has no certificate authorities by which it could verify a certificate$")
            .connections(0),
        row("no-authority-is-needed-without-tls")
            .alone()
            .env("SSL_CERT_FILE", "{dir}/empty.pem")
            .file("empty.pem", "")
            .server(ok(&[], "ok"))
            .get("http://{addr}/")
            .pass(),
        row("no-name-server-listens")
            .alone()
            .setting("dns: { nameservers: ['127.77.0.53:9'] }")
            .get("http://{host}/")
            .timeout("dns_timeout")
            .says("^the name was not resolved within [0-9.]+s$"),
        row("no-name-server-is-needed-for-an-address")
            .alone()
            .setting("dns: { nameservers: ['127.77.0.53:9'] }")
            .server(ok(&[], "ok"))
            .get("http://{addr}/")
            .pass(),
    ]
}
