//! Runs the rows of one file, all at once, by one `watchpost check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::net::TcpSocket;
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::process::{Launch, PERMISSIVE};
use watchpost_tests::tcp_fixture::{Counts, FullListener};
use watchpost_tests::tls_fixture::Authority;

use crate::expected::Expected;
use crate::names::{self, Dns, Zone};
use crate::row::Row;
use crate::server::{Running, reserved};
use crate::words::{Words, prefixed};

/// How long all the checks of a file may take, each of which has a timeout of its own.
const ALL: &str = "60s";
/// How long the process may take.
const ENDED: Duration = Duration::from_secs(120);
/// The file with the authority that is trusted, in `{dir}`; `{ca}` is its path.
const CA: &str = "ca.pem";

/// A certificate of that authority for a client, and its key; `{client_certificate}` and `{client_key}`.
const CLIENT_CERTIFICATE: &str = "client.pem";
const CLIENT_KEY: &str = "client-key.pem";

/// A row whose servers run.
struct Ready {
    name: String,
    yaml: String,
    words: Words,
    expected: Expected,
    counts: Option<Arc<Counts>>,
    _servers: Vec<Running>,
    _dead: Vec<TcpSocket>,
    _deaf: Vec<FullListener>,
}

/// Runs `rows`: together, but for those that are to be alone.
///
/// # Panics
/// When a row cannot be set up, or some of them do not end as they say; all of them are told.
pub async fn conform(rows: Vec<Row>) {
    let (alone, together): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.alone);
    let mut groups: Vec<Vec<Row>> = alone.into_iter().map(|row| vec![row]).collect();
    groups.push(together);
    groups.retain(|group| !group.is_empty());
    let told = join_all(groups.into_iter().map(faults)).await.concat();
    assert!(told.is_empty(), "these rows are not as they should be:\n{told}");
}

/// What is not as it should be with `rows`, which are run together.
async fn faults(rows: Vec<Row>) -> String {
    let authority = Authority::new().expect("an authority");
    let mut launch = Launch::new("check").args(&["--timeout", ALL, "-o", "ndjson"]).file(CA, &authority.pem());
    // Some rows are about addresses that are denied where no policy allows them.
    launch = launch.policy(PERMISSIVE);
    for directory in crate::rows::exec::DIRECTORIES {
        launch = launch.args(&["--exec-dir", directory]);
    }
    let folder = launch.folder().to_str().expect("a path that is text").to_owned();
    let ca = format!("{folder}/{CA}");
    let (certificate, key) = authority.client_pem("client.test").expect("a certificate");
    launch = launch.file(CLIENT_CERTIFICATE, &certificate).file(CLIENT_KEY, &key);
    // A row may say otherwise, and so comes later.
    launch = launch.env("SSL_CERT_FILE", &ca).env("SSL_CERT_DIR", "");
    let mut zone = Zone::new();
    let mut settings = BTreeSet::new();
    let mut ready = Vec::new();
    for mut row in rows {
        let mut words = Words::default();
        words.set("dir", &folder);
        words.set("ca", &ca);
        words.set("client_certificate", format!("{folder}/{CLIENT_CERTIFICATE}"));
        words.set("client_key", format!("{folder}/{CLIENT_KEY}"));
        for (name, value) in std::mem::take(&mut row.env) {
            assert!(row.alone, "{} sets {name} for others as well", row.name);
            launch = launch.env(name, &filled_in(&words, &value, &row.name));
        }
        let (files, lines) = (std::mem::take(&mut row.files), std::mem::take(&mut row.settings));
        let prepared = prepare(row, words, &mut zone, &authority).await;
        for (name, content) in files {
            launch = launch.file(&name, &filled_in(&prepared.words, &content, &prepared.name));
        }
        settings.extend(lines.iter().map(|line| filled_in(&prepared.words, line, &prepared.name)));
        ready.push(prepared);
    }
    let dns = DnsServer::answering(move |question, over| names::reply(&zone, question, over)).await.expect("DNS");
    let mut yaml = String::new();
    if !settings.iter().any(|line| line.starts_with("dns:")) {
        writeln!(yaml, "dns: {{ nameservers: ['{}'] }}", dns.address()).expect("a string");
    }
    settings.iter().for_each(|line| writeln!(yaml, "{line}").expect("a string"));
    yaml.push_str("checks:\n");
    ready.iter().for_each(|row| yaml.push_str(&row.yaml));

    let mut watchpost = launch.config(&yaml).start();
    let code = watchpost.ended(ENDED).await;
    let (stdout, stderr) = (watchpost.stdout(), watchpost.stderr());
    if let [row] = ready.as_slice()
        && row.expected.refused.is_some()
    {
        let fault = row.expected.faults_of_refusal(code, &stderr, &row.words);
        return fault.map(|fault| format!("\n{}\n    {fault}\n{yaml}", row.name)).unwrap_or_default();
    }
    assert!(matches!(code, 0 | 1), "watchpost ended with {code}:\n{stderr}\n{yaml}");
    let results: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut by_check: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for result in results.iter().filter(|result| result.get("task").is_some()) {
        by_check.entry(result["check"].as_str().unwrap_or_default()).or_default().push(result);
    }

    let mut told = String::new();
    for row in &ready {
        let results = by_check.get(row.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut faults = row.expected.faults(results, &row.words);
        let accepted = row.counts.as_ref().map(|counts| counts.accepted());
        if row.expected.connections.is_some() && accepted != row.expected.connections {
            faults.push(format!("made {accepted:?} connections, expected {:?}", row.expected.connections));
        }
        if !faults.is_empty() {
            writeln!(told, "\n{}\n    {}\n{}", row.name, faults.join("\n    "), row.yaml).expect("a string");
            results.iter().for_each(|result| writeln!(told, "{result:#}").expect("a string"));
        }
    }
    assert_eq!(by_check.len(), ready.len(), "there are results of no row");
    let all_passed = results.iter().all(|result| result["outcome"] == "pass");
    assert_eq!(code, i32::from(!all_passed), "the exit code says whether all passed");
    assert!(!stderr.contains("panicked"), "{stderr}");
    told
}

fn filled_in(words: &Words, text: &str, row: &str) -> String {
    words.filled_in(text).unwrap_or_else(|error| panic!("{row}: {error}"))
}

/// Starts what the row needs.
async fn prepare(row: Row, mut words: Words, zone: &mut Zone, authority: &Authority) -> Ready {
    let name = row.name;
    let expects = row.expected.refused.is_some() == row.expected.endings.is_empty();
    assert!(expects, "{name} expects nothing, or both a refusal and a result");
    let host = |part: &str| if part.is_empty() { format!("{name}.test") } else { format!("{part}.{name}.test") };
    let (mut servers, mut counts, mut dead, mut deaf) = (Vec::new(), None, Vec::new(), Vec::new());
    words.set("host", host(""));
    for place in row.servers {
        let host = host(place.name);
        words.set(prefixed(place.name, "host"), &host);
        zone.insert(host.clone(), Dns::Is(vec![place.ip]));
        let running = place.server.start(place.ip, &host, authority, &words).await;
        let running = running.unwrap_or_else(|error| panic!("{name}: a server cannot be started: {error}"));
        if let Some(address) = running.address {
            words.set_address(place.name, address);
        }
        for (word, value) in &running.words {
            words.set(prefixed(place.name, word), value);
        }
        if place.name.is_empty() {
            counts.clone_from(&running.counts);
            let port = running.address.map(|address| address.port()).unwrap_or_default();
            let reserve = |ip: &_| reserved((*ip, port).into());
            for ip in &row.deaf {
                let listener = FullListener::start((*ip, port).into()).await;
                deaf.push(listener.unwrap_or_else(|error| panic!("{name}: {error}")));
            }
            dead = row.dead.iter().map(reserve).collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        servers.push(running);
    }
    for (part, says) in row.names {
        words.set(prefixed(part, "host"), host(part));
        zone.insert(host(part), says);
    }
    let check = filled_in(&words, &row.check, &name).replace('\n', "\n  ");
    let yaml = format!("- id: {name}\n  timeout: {}\n  scheduled: false\n  {check}\n", row.timeout);
    Ready { name, yaml, words, expected: row.expected, counts, _servers: servers, _dead: dead, _deaf: deaf }
}

mod tests {
    use super::faults;
    use crate::expected::{absent, at_least, at_most, has, is, like, present};
    use crate::row::row;
    use crate::server;

    /// Else the table could say whatever it likes.
    #[tokio::test]
    async fn rows_that_are_not_as_they_should_be_are_told() {
        let ok = || row("wrong").server(server::ok(&["Server: x"], "ok")).get("http://{addr}/");
        for (row, told) in [
            (ok().fail("http_status"), "ended as pass, expected fail/http_status"),
            (ok().pass().pass(), "ended as pass, expected pass and pass"),
            (ok().pass().at("http.status", is(201)), "http.status is 200, expected Equal"),
            (ok().pass().at("http.headers.server", absent()), "http.headers.server is \"x\", expected Absent"),
            (ok().pass().at("http.headers.none", present()), "http.headers.none is absent, expected Present"),
            (ok().pass().at("http.headers.server", like("^y")), "expected Like(\"^y\")"),
            (ok().pass().at("http.headers.server", has("y")), "expected Holding(\"y\")"),
            (ok().pass().at("http.status", at_least(201.0)), "expected AtLeast(201.0)"),
            (ok().pass().at("assertions", at_most(0.0)), "expected AtMost(0.0)"),
            (ok().pass().at("target.address", is("{adr}")), "{adr} is none of addr, "),
            (ok().pass().connections(2), "made Some(1) connections, expected Some(2)"),
            (
                ok().check("http: { url: 'http://{addr}/' }\nexpect: { status: 500 }").fail("http_status").says("^x"),
                "says `status",
            ),
            (ok().refused("never"), "ended with 0, expected 2"),
        ] {
            let found = faults(vec![row]).await;
            assert!(found.contains("\nwrong\n") && found.contains(told), "{found}\nlacks {told}");
        }
    }
}
