//! What no connection can be made to, for other reasons than a closed port. Nothing here leaves this machine.

use crate::expected::{absent, is, present};
use crate::row::{Row, row};
use crate::server::Server;

pub fn rows() -> Vec<Row> {
    // The operating system refuses to connect to these by TCP, without asking anybody.
    let nowhere = [("multicast", "224.0.0.1"), ("broadcast", "255.255.255.255"), ("multicast-ipv6", "[ff02::1]")];
    let mut rows: Vec<Row> = nowhere
        .into_iter()
        .flat_map(|(name, address)| {
            let unreachable = |row: Row| {
                row.error("connect_unreachable")
                    .says(&format!("^no route to {}:9: ", regex::escape(address)))
                    .at("target.address", is(format!("{address}:9")))
                    .at("phases_us.connect", present())
                    .at("http", absent())
            };
            [
                unreachable(row(format!("http-to-{name}")).get(&format!("http://{address}:9/"))),
                unreachable(row(format!("tcp-to-{name}")).check(format!("tcp: {{ address: '{address}:9' }}"))),
            ]
        })
        .collect();
    rows.extend([
        row("http-refused")
            .server(Server::Closed)
            .get("http://{addr}/")
            .error("connect_refused")
            .says("^{addr} refused the connection after [0-9.]+ ms$")
            .at("phases_us.first_byte", absent()),
        row("https-refused")
            .server(Server::Closed)
            .get("https://{addr}/")
            .error("connect_refused")
            .at("phases_us.tls", absent()),
        row("http-refused-by-ipv6").server_on("::1", Server::Closed).get("http://{addr}/").error("connect_refused"),
        row("http-full-queue")
            .server(Server::Full)
            .get("http://{addr}/")
            .timeout("connect_timeout")
            .says("^no connection to {addr} within [0-9.]+s$"),
        row("https-full-queue").server(Server::Full).get("https://{addr}/").timeout("connect_timeout"),
        row("http-to-an-address-without-its-link")
            .get("http://[fe80::1]:9/")
            .error("connect_error")
            .says(r"^cannot connect to \[fe80::1\]:9: "),
    ]);
    rows
}
