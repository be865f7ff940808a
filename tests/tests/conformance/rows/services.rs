//! Services that are asked in a protocol of their own: `grpc`, `websocket` and `ssh`.

use crate::expected::is;
use crate::row::{Row, row};
use crate::server::{Server, Step, answer, say};

pub fn rows() -> Vec<Row> {
    let mut rows = grpc_rows();
    rows.extend(websocket_rows());
    rows.extend(ssh_rows());
    rows
}

fn grpc_rows() -> Vec<Row> {
    let grpc = |name: &str, server| {
        row(format!("grpc-{name}")).server(server).check("grpc: { address: '{addr}', service: shop.v1.Orders }")
    };
    // The head of a frame of HTTP/2: its length, type, flags and stream.
    let frame = |kind: u8, payload: &[u8]| [&[0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 0], payload].concat();
    let settings = frame(4, &[]);
    let leaves = [settings, frame(7, &[0, 0, 0, 0, 0, 0, 0, 0])].concat();
    vec![
        grpc("http1", answer("HTTP/1.1 400 Bad Request\r\n\r\n")).error("protocol_error"),
        grpc("goes-away", Server::Script(vec![Step::HearSome, say(leaves)])).error("connection_closed"),
        grpc("closes", Server::Script(vec![Step::HearSome, Step::Close])).error("connection_closed"),
        grpc("silent", Server::Script(Vec::new())).timeout("first_byte_timeout"),
        row("grpc-nobody").server(Server::Closed).check("grpc: { address: '{addr}' }").error("connect_refused"),
    ]
}

fn websocket_rows() -> Vec<Row> {
    let websocket = |name: &str, server| {
        row(format!("ws-{name}")).server(server).check("websocket: { url: 'ws://{host}:{port}/' }")
    };
    vec![
        websocket("no-upgrade", answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
            .fail("upgrade_refused")
            .at("evidence.websocket.status", is(200)),
        websocket("not-found", answer("HTTP/1.1 404 Not Found\r\n\r\n")).fail("upgrade_refused").says("status 404"),
        websocket("redirect", answer("HTTP/1.1 301 Moved\r\nLocation: http://elsewhere.example/\r\n\r\n"))
            .fail("upgrade_refused")
            .says("to http://elsewhere.example/: WebSockets are not redirected"),
        websocket("unauthorized", answer("HTTP/1.1 401 Unauthorized\r\n\r\n")).fail("auth_failed"),
        websocket(
            "other-key",
            answer("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"),
        )
        .error("protocol_error")
        .says("not for the check's key"),
        websocket("not-http", answer("SSH-2.0-OpenSSH_9.2\r\n")).error("protocol_error"),
        websocket("cut", answer("HTTP/1.1 101 X\r\nUpgra")).error("connection_closed"),
        websocket("silent", Server::Script(Vec::new())).timeout("first_byte_timeout"),
    ]
}

fn ssh_rows() -> Vec<Row> {
    let ssh = |name: &str, says: &str, more: &str| {
        let server = Server::Script(vec![say(says), Step::Close]);
        row(format!("ssh-{name}"))
            .server(server)
            .check(format!("ssh: {{ address: '{{addr}}', banner_only: true{more} }}"))
    };
    vec![
        ssh("introduces-itself", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "")
            .pass()
            .at("evidence.ssh.software", is("OpenSSH_9.2p1"))
            .at("evidence.ssh.protocol", is("2.0")),
        ssh("says-more-before", "Welcome\r\nto us\r\nSSH-2.0-x\r\n", "").pass(),
        ssh("speaks-both-versions", "SSH-1.99-x\r\n", "").pass().at("evidence.ssh.protocol", is("1.99")),
        ssh("other-banner", "SSH-2.0-dropbear\r\n", ", expect: OpenSSH")
            .fail("assertion_failed")
            .says("introduces itself as SSH-2.0-dropbear, expected that it matches /OpenSSH/"),
        ssh("old-version", "SSH-1.5-x\r\n", "").error("protocol_error").says("another version of SSH than 2.0"),
        ssh("not-ssh", "220 mail.example ESMTP\r\n", "")
            .error("connection_closed")
            .says("said \"220 mail.example ESMTP\" and closed the connection"),
        ssh("full", "Exceeded MaxStartups\r\n", "").fail("not_ready"),
        ssh("cut", "SSH-2.0-x", "").error("connection_closed"),
        row("ssh-silent")
            .server(Server::Script(Vec::new()))
            .check("ssh: { address: '{addr}' }")
            .timeout("first_byte_timeout"),
    ]
}
