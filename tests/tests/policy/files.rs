//! Files and sockets that checks name on the machine that runs them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tokio::net::UnixListener;
use watchpost_tests::process::{Launch, SOON};

use crate::table::{Row, Table, denied, permitted};

const POLICY: &str = "special: {loopback: allow}\n\
                      default: allow\n\
                      files: {directories: ['{folder}/open']}\n\
                      unix: {paths: ['{folder}/open/*.sock']}\n";
const BY: &str = "the policy does not permit checks the file ";

const ROWS: &[Row] = &[
    permitted("body", "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open/text'}}"),
    permitted(
        "link-within",
        "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open/to-text'}}",
    ),
    permitted(
        "around",
        "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/shut/../open/text'}}",
    ),
    permitted("tls-ca", "tls: {address: '127.0.0.1:{trap}', tls: {ca_file: '{folder}/open/ca.pem'}}"),
    permitted("datagram", "udp: {address: '127.0.0.1:{trap}', send: {file: '{folder}/open/text'}}"),
    denied("shut", BY, "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/shut/text'}}"),
    denied("link-out", BY, "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open/out'}}"),
    denied(
        "folder-out",
        BY,
        "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open/away/text'}}",
    ),
    denied(
        "dots",
        BY,
        "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open/../shut/text'}}",
    ),
    denied("relative", BY, "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: shut/text}}"),
    denied("self", BY, "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: /proc/self/environ}}"),
    denied(
        "like-open",
        BY,
        "http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/open-too/text'}}",
    ),
    denied("datagram-shut", BY, "udp: {address: '127.0.0.1:{trap}', send: {file: '{folder}/shut/text'}}"),
    denied("message", BY, "websocket: {url: 'ws://127.0.0.1:{trap}/', send: {file: '{folder}/shut/text'}}"),
    denied(
        "step",
        BY,
        "steps: [{http: {url: 'http://127.0.0.1:{trap}/', method: POST, body: {file: '{folder}/shut/text'}}}]",
    ),
    denied("ca", BY, "tls: {address: '127.0.0.1:{trap}', tls: {ca_file: '{folder}/shut/ca.pem'}}"),
    denied(
        "key",
        BY,
        "tls: {address: '127.0.0.1:{trap}', tls: {client: {certificate_file: '{folder}/shut/ca.pem', key_file: '{folder}/shut/key.pem'}}}",
    ),
];

fn prepare(folder: &Path) {
    let authority = watchpost_tests::tls_fixture::Authority::new().unwrap();
    for name in ["open", "shut", "open-too"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("text"), "hello").unwrap();
        fs::write(folder.join(name).join("ca.pem"), authority.pem()).unwrap();
    }
    symlink(folder.join("open/text"), folder.join("open/to-text")).unwrap();
    symlink(folder.join("shut/text"), folder.join("open/out")).unwrap();
    symlink(folder.join("shut"), folder.join("open/away")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_read_that_the_policy_does_not_permit() {
    // Without a policy the key is no key.
    let rows: Vec<Row> = ROWS.iter().map(|row| if row.id() == "key" { row.nowhere() } else { *row }).collect();
    Table { prepare, ..Table::new(POLICY, &rows) }.hold().await;
}

/// A check must not tell what is there by the way in which it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_not_told_apart_from_what_is_not_there() {
    let launch = Launch::new("check").args(&["-o", "ndjson"]);
    prepare(launch.folder());
    let folder = launch.folder().display().to_string();
    let mut config = String::from("checks:\n");
    for (id, name) in [("there", "shut/text"), ("absent", "shut/none"), ("open-absent", "open/none")] {
        config += &format!(
            "- {{id: {id}, http: {{url: 'http://127.0.0.1:9/', method: POST, body: {{file: '{folder}/{name}'}}}}}}\n"
        );
    }
    let mut check = launch.policy(&POLICY.replace("{folder}", &folder)).config(&config).start();
    assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
    let results = check.results();
    let reason = |id: &str| results.iter().find(|result| result.check.as_str() == id).unwrap().reason.clone().unwrap();
    let (there, absent) = (reason("there"), reason("absent"));
    assert_eq!((there.code.as_str(), absent.code.as_str()), ("policy_denied", "policy_denied"));
    assert_eq!(there.message.replace("shut/text", "shut/none"), absent.message);
    assert_eq!(reason("open-absent").code.as_str(), "file_unusable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_socket_is_connected_to_that_the_policy_does_not_permit() {
    let launch = Launch::new("check").args(&["-o", "ndjson", "--timeout", "10s"]);
    prepare(launch.folder());
    let folder = launch.folder().to_owned();
    let shut = UnixListener::bind(folder.join("shut/a.sock")).unwrap();
    let open = UnixListener::bind(folder.join("open/a.sock")).unwrap();
    symlink(folder.join("shut/a.sock"), folder.join("open/out.sock")).unwrap();
    symlink(folder.join("open/a.sock"), folder.join("open/in.sock")).unwrap();
    let shown = folder.display().to_string();
    let mut config = String::from("checks:\n");
    for (id, path) in [
        ("open", "open/a.sock"),
        ("in", "open/in.sock"),
        ("shut", "shut/a.sock"),
        ("out", "open/out.sock"),
        ("away", "open/away/a.sock"),
        ("dots", "open/../shut/a.sock"),
        ("absent", "shut/b.sock"),
        ("other", "open/text"),
    ] {
        config += &format!("- {{id: {id}, unix: {{path: '{shown}/{path}'}}}}\n");
    }
    let mut check = launch.policy(&POLICY.replace("{folder}", &shown)).config(&config).start();
    assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
    for result in check.results() {
        let code = result.reason.as_ref().map(|reason| reason.code.as_str().to_owned());
        let expected =
            if matches!(result.check.as_str(), "open" | "in") { None } else { Some("policy_denied".to_owned()) };
        assert_eq!(code, expected, "{result:#?}");
    }
    // Nobody waits to be accepted where nobody may go; two are where they may.
    let accepted = |listener: UnixListener| {
        let listener = listener.into_std().unwrap();
        std::iter::from_fn(move || listener.accept().ok()).count()
    };
    assert_eq!((accepted(open), accepted(shut)), (2, 0));
}
