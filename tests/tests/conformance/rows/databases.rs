//! Servers that hold data, by the types `redis`, `postgres` and `mysql`: what they say, to the byte.

use crate::expected::{absent, is, present};
use crate::row::{Row, row};
use crate::server::{Server, Step, say};

pub fn rows() -> Vec<Row> {
    let mut rows = redis_rows();
    rows.extend(postgres_rows());
    rows.extend(mysql_rows());
    rows
}

/// A server that gives one of `answers` to whatever it hears.
fn answers(answers: &[&[u8]]) -> Server {
    Server::Script(answers.iter().flat_map(|answer| [Step::HearSome, say(*answer)]).chain([Step::Close]).collect())
}

fn of_type(check_type: &str, name: &str, server: Server, more: &str) -> Row {
    let comma = if more.is_empty() { "" } else { ", " };
    row(format!("{check_type}-{name}"))
        .server(server)
        .check(format!("{check_type}: {{ address: '{{addr}}'{comma}{more} }}"))
}

fn redis(name: &str, server: Server, more: &str) -> Row {
    of_type("redis", name, server, more)
}

fn redis_rows() -> Vec<Row> {
    const PONG: &[u8] = b"+PONG\r\n";
    let get = "command: [GET, backlog]";
    vec![
        redis("pings", answers(&[PONG]), "").pass().at("metrics.ping_ms", present()),
        redis("number", answers(&[PONG, b"$2\r\n42\r\n"]), &format!("{get}, expect: {{ equals: '42' }}"))
            .pass()
            .at("metrics.value", is(42.0)),
        redis("other-value", answers(&[PONG, b"$1\r\n7\r\n"]), &format!("{get}, expect: {{ equals: '42' }}"))
            .fail("assertion_failed")
            .says("^the reply to GET is \"7\", expected that it equals \"42\"$"),
        redis("no-value", answers(&[PONG, b"$-1\r\n"]), &format!("{get}, expect: {{ matches: '.*' }}"))
            .fail("assertion_failed")
            .says("the reply to GET is no value"),
        redis("wants-a-password", answers(&[b"-NOAUTH Authentication required.\r\n"]), "")
            .fail("auth_failed")
            .says("wants a password, and the check has none that it accepts"),
        redis(
            "wrong-password",
            answers(&[b"-WRONGPASS invalid username-password pair\r\n"]),
            "password: hunter2hunter2",
        )
        .fail("auth_failed")
        .says("does not accept the user or password"),
        redis("loading", answers(&[b"-LOADING Redis is loading the dataset in memory\r\n"]), "").fail("not_ready"),
        redis("full", answers(&[b"-ERR max number of clients reached\r\n"]), "").fail("not_ready"),
        redis("no-such-database", answers(&[PONG, b"-ERR DB index is out of range\r\n"]), "database: 99")
            .fail("unknown_database"),
        redis("command-fails", answers(&[PONG, b"-WRONGTYPE Operation against a key\r\n"]), get)
            .fail("query_failed")
            .says("answered GET with an error: \"WRONGTYPE"),
        redis("not-redis", answers(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"]), "")
            .error("protocol_error")
            .says("does not speak the protocol of Redis: it said \"HTTP/1.1 400 Bad Request\""),
        redis("endless-list", answers(&[PONG, b"*3\r\n%9223372036854775807\r\n"]), get)
            .error("protocol_error")
            .says("a list of more than 4096 elements"),
        redis("cut", answers(&[PONG, b"$10\r\nab"]), get).error("connection_closed"),
        redis("silent", Server::Script(Vec::new()), "").timeout("first_byte_timeout"),
    ]
}

fn postgres(name: &str, server: Server, more: &str) -> Row {
    of_type("postgres", name, server, more)
}

/// A message of a PostgreSQL server.
fn told(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind], &(payload.len() as u32 + 4).to_be_bytes()[..], payload].concat()
}

fn postgres_error(sqlstate: &str, message: &str) -> Vec<u8> {
    told(b'E', format!("SERROR\0C{sqlstate}\0M{message}\0\0").as_bytes())
}

fn postgres_rows() -> Vec<Row> {
    let ok = told(b'R', &[0, 0, 0, 0]);
    let ready = told(b'Z', b"I");
    let version = told(b'S', b"server_version\x0017.2\0");
    let opened = [ok, version, ready.clone()].concat();
    // The answer to the ping, a query of no statement.
    let pong = [told(b'I', b""), ready.clone()].concat();
    let asked = |answer: Vec<u8>| answers(&[&opened, &pong, &[answer, ready.clone()].concat()]);
    let row_of =
        |value: &str| told(b'D', &[&[0, 1], &(value.len() as u32).to_be_bytes()[..], value.as_bytes()].concat());
    let plain = "tls_mode: disable";
    let query = "tls_mode: disable, user: ann, query: 'SELECT 1', expect: { equals: '1' }";
    let sorry = |sqlstate: &str, message: &str| answers(&[&postgres_error(sqlstate, message)]);
    vec![
        postgres("asks-who-it-is", answers(&[&told(b'R', &[0, 0, 0, 3])]), plain).pass(),
        postgres("declines-tls", answers(&[b"N", &told(b'R', &[0, 0, 0, 3])]), "").pass().at("tls", absent()),
        postgres("tls-is-required", answers(&[b"N"]), "tls_mode: require").error("tls_not_offered"),
        postgres("knows-nobody", sorry("28000", "no pg_hba.conf entry"), plain).pass(),
        postgres("starting", sorry("57P03", "the database system is starting up"), plain)
            .fail("not_ready")
            .says("is not ready: it said \"the database system is starting up\" \\(57P03\\)"),
        postgres("full", sorry("53300", "sorry, too many clients already"), plain).fail("not_ready"),
        postgres("trusts", answers(&[&opened, &pong]), "tls_mode: disable, user: ann")
            .pass()
            .at("evidence.postgres.version", is("17.2"))
            .at("evidence.postgres.authentication", is("trust")),
        postgres("wants-a-password", answers(&[&told(b'R', &[0, 0, 0, 3])]), "tls_mode: disable, user: ann")
            .fail("auth_failed")
            .says("wants a password, and the check has none"),
        postgres(
            "cleartext",
            answers(&[&told(b'R', &[0, 0, 0, 3])]),
            "tls_mode: disable, user: ann, password: hunter2hunter2",
        )
        .fail("tls_required"),
        postgres("no-database", sorry("3D000", "database \"x\" does not exist"), "tls_mode: disable, user: ann")
            .fail("unknown_database"),
        postgres("value", asked(row_of("1")), query).pass().at("evidence.postgres.rows", is(1)),
        postgres("other-value", asked(row_of("0")), query)
            .fail("assertion_failed")
            .says("^the query's first value is \"0\", expected that it equals \"1\"$"),
        postgres("no-row", asked(Vec::new()), query).fail("assertion_failed").says("is no value"),
        postgres("query-fails", asked(postgres_error("42P01", "relation \"x\" does not exist")), query)
            .fail("query_failed")
            .says("answered the query with an error: it said \"relation \\\\?\"x\\\\?\" does not exist\" \\(42P01\\)")
            .at("evidence.postgres.sqlstate", is("42P01")),
        postgres(
            "ends-the-session",
            answers(&[&opened, &pong, &postgres_error("57P01", "terminating connection")]),
            query,
        )
        .fail("not_ready"),
        postgres("not-postgres", answers(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"]), plain).error("protocol_error"),
        postgres("huge-message", answers(&[b"R\x7f\xff\xff\xff"]), plain)
            .error("protocol_error")
            .says("sent more than 65536 bytes at once"),
        postgres("silent", Server::Script(Vec::new()), plain).timeout("first_byte_timeout"),
    ]
}

fn mysql(name: &str, server: Server, more: &str) -> Row {
    of_type("mysql", name, server, &format!("user: ann{more}"))
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = (payload.len() as u32).to_le_bytes();
    [&[low, middle, high, number], payload].concat()
}

fn mysql_error(number: u8, code: u16, message: &str) -> Vec<u8> {
    packet(number, &[&[0xff], &code.to_le_bytes()[..], b"#HY000", message.as_bytes()].concat())
}

/// A server that greets, and then gives one of `answers` to whatever it hears.
fn greets(answers: &[Vec<u8>]) -> Server {
    // It speaks the protocol of 4.1 and knows plugins, and no TLS.
    let greeting =
        b"\x0a8.0.40\0\x01\0\0\0abcdefgh\0\x00\x82\x2d\x02\x00\x08\x00\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0\
                     caching_sha2_password\0";
    let first = [say(packet(0, greeting))];
    let further = answers.iter().flat_map(|answer| [Step::HearSome, say(answer.clone())]);
    Server::Script(first.into_iter().chain(further).chain([Step::Close]).collect())
}

fn speaks_first(bytes: impl Into<Vec<u8>>) -> Server {
    Server::Script(vec![say(bytes), Step::Close])
}

fn mysql_rows() -> Vec<Row> {
    let ok = |number| packet(number, &[0, 0, 0, 2, 0, 0, 0]);
    let asked = |answer: Vec<u8>| greets(&[ok(2), ok(1), answer]);
    let eof = |number| packet(number, &[0xfe, 0, 0, 2, 0]);
    // One column, and the rows in these packets.
    let result = |rows: &[&[u8]]| {
        let mut bytes = [packet(1, &[1]), packet(2, b"\x03def"), eof(3)].concat();
        let mut number = 4;
        for row in rows {
            bytes.extend(packet(number, row));
            number += 1;
        }
        bytes.extend(eof(number));
        bytes
    };
    let query = ", query: SELECT 1, expect: { equals: '1' }";
    let secret = ", password: hunter2hunter2";
    vec![
        mysql("pings", greets(&[ok(2), ok(1)]), "")
            .pass()
            .at("evidence.mysql.version", is("8.0.40"))
            .at("evidence.mysql.authentication", is("caching_sha2_password"))
            .at("metrics.ping_ms", present()),
        mysql("proof-suffices", greets(&[[packet(2, &[1, 3]), ok(3)].concat(), ok(1)]), secret).pass(),
        mysql(
            "another-proof",
            greets(&[packet(2, b"\xfemysql_native_password\0ABCDEFGHIJKLMNOPQRST\0"), ok(4), ok(1)]),
            secret,
        )
        .pass()
        .at("evidence.mysql.authentication", is("mysql_native_password")),
        mysql("wants-the-password-itself", greets(&[packet(2, &[1, 4])]), secret)
            .fail("tls_required")
            .says("asks for the password itself, which the check sends only with `tls_mode: require`"),
        mysql("unknown-proof", greets(&[packet(2, b"\xfedialog\0x")]), secret)
            .fail("auth_failed")
            .says("a proof of who the check is that it cannot give: dialog"),
        mysql("wrong-password", greets(&[mysql_error(2, 1045, "Access denied for user 'ann'")]), secret)
            .fail("auth_failed")
            .says("does not let the check in: it said \"Access denied for user 'ann'\" \\(1045\\)")
            .at("evidence.mysql.error_code", is(1045)),
        mysql("no-database", greets(&[mysql_error(2, 1049, "Unknown database 'x'")]), ", database: x")
            .fail("unknown_database"),
        mysql(
            "insists-on-tls",
            greets(&[mysql_error(2, 3159, "Connections using insecure transport are prohibited")]),
            "",
        )
        .fail("tls_required"),
        mysql("tls-is-not-offered", greets(&[]), ", tls_mode: require").error("tls_not_offered"),
        mysql("full", speaks_first(mysql_error(0, 1040, "Too many connections")), "")
            .fail("not_ready")
            .says("takes no more clients"),
        mysql("blocked", speaks_first(mysql_error(0, 1129, "Host is blocked")), "")
            .fail("auth_failed")
            .says("lets nobody in from this machine"),
        mysql("value", asked(result(&[b"\x011", b"\x012"])), query).pass().at("evidence.mysql.rows", is(2)),
        mysql("other-value", asked(result(&[b"\x010"])), query)
            .fail("assertion_failed")
            .says("^the query's first value is \"0\", expected that it equals \"1\"$"),
        mysql("null", asked(result(&[b"\xfb"])), query).fail("assertion_failed").says("is no value"),
        mysql("no-row", asked(result(&[])), query).fail("assertion_failed").says("is no value"),
        mysql("query-fails", asked(mysql_error(1, 1146, "Table 'x' doesn't exist")), query)
            .fail("query_failed")
            .says("answered the query with an error"),
        mysql(
            "fails-in-the-middle",
            asked([packet(1, &[1]), packet(2, b"\x03def"), eof(3), mysql_error(4, 1317, "x")].concat()),
            query,
        )
        .fail("query_failed"),
        mysql("asks-for-a-file", asked(packet(1, b"\xfb/etc/passwd")), query)
            .fail("query_failed")
            .says("asks for a file of this machine"),
        mysql("shuts-down", greets(&[ok(2), mysql_error(1, 1053, "Server shutdown in progress")]), "")
            .fail("not_ready"),
        mysql("old", speaks_first(packet(0, b"\x093.23\0")), "")
            .error("protocol_error")
            .says("in version 10: it begins with 9"),
        mysql("not-mysql", speaks_first("SSH-2.0-OpenSSH_9.2\r\n"), "").error("protocol_error"),
        mysql("cut", speaks_first(b"\x40\0\0\0\x0a8.0".as_slice()), "").error("connection_closed"),
        mysql("closes", Server::Script(vec![Step::Close]), "").error("connection_closed"),
        mysql("silent", Server::Script(Vec::new()), "").timeout("first_byte_timeout"),
    ]
}
