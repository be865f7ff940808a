//! The conformance table: what a server does, what is asked of it, and what `watchpost check` must make of it.
//!
//! Each file in `rows/` is a function `rows` that gives its rows, and is named once in `rows/mod.rs` and once at
//! the end of this file. All rows of a file are one configuration file and one run of `watchpost check -c FILE
//! -o ndjson`, side by side. A test tells every row that is not as it should be, with its check and its results.
//!
//! ```ignore
//! row("status-404-is-a-failure")                                  // unique; also the id of the check
//!     .server(answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"))
//!     .check("http: { url: 'http://{addr}/x' }\nexpect: { max_latency: 20s }")
//!     .fail("http_status")                                        // outcome and reason code
//!     .says("status is 404")                                      // regular expression for the sentence
//!     .at("http.status", is(404))                                 // field of the result
//!     .at("tls", absent()),
//! ```
//!
//! **What it is checked against.** `.server(…)` is one of [`server::Server`]: a raw script (`answer`, `ok`,
//! `Server::Script(vec![Step::Hear, say("…"), Step::Reset])`), the same behind TLS (`Server::TlsScript(tls, …)`), the
//! paths of the HTTP fixture (`Server::Paths`, `Server::TlsPaths(tls)`), a plain TCP behaviour (`Server::Tcp`), a closed
//! port, a full queue, a closure for each connection (`each(|stream| async …)`), or anything that starts and listens
//! (`Server::Other`, which may bring further words). `.server_on("127.0.0.2", …)` puts it on another address,
//! `.other("b", "127.0.0.3", …)` adds a second server, to be named *before* the one that refers to it. `.dead(ip)` and
//! `.deaf(ip)` are further addresses on the same port where nobody listens, or where an attempt to connect has no answer.
//!
//! **Words.** In checks, settings, files, scripts and expectations these stand for what is known only then: `{addr}`,
//! `{ip}`, `{port}` of the server; `{host}`, a name of the row's own that leads to it; `{b.addr}`, `{b.ip}`, `{b.port}`,
//! `{b.host}` of a server called `b`; `{dir}`, the folder of the run, where `.file(name, content)` puts files; `{ca}`, the
//! PEM file of the authority that signs the fixtures' certificates; `{client_certificate}` and `{client_key}`, the PEM
//! files of a client's. The run trusts that authority as it would the system's. A word that nobody set fails the row.
//! Braces around anything else are left alone.
//!
//! **Names.** The run has a name server of its own. `.dns(Dns::…)` says what it answers for `{host}` in place of the
//! server's address, `.name("b", Dns::…)` what for another name, `{b.host}`. Other names do not exist.
//!
//! **The check** is YAML without `id` and `timeout`. `.get(url)` and `.get_expecting(url, "status: 200")` are short forms.
//! `.setting("key: …")` adds a line at the top of the file for all its rows. A row that says `.alone()` has a process, a
//! configuration file and a name server of its own; only such a row may set an environment variable, `.env(name, value)`.
//!
//! **What must come of it.** Exactly one of `.pass()`, `.fail(code)`, `.error(code)`, `.timeout(code)`, `.cancelled(code)`
//! for each result that the check has: more than one where it has several endpoints. What `.says(regex)` and
//! `.at(path, …)` ask for holds for each of them: `is(value)`, `has(part)`, `like(regex)`, `present()`, `absent()`,
//! `at_least(n)`, `at_most(n)`, where a list or an object counts as the number of its entries. `.connections(n)` counts
//! those to the server. What no result may ever be (a reason without a sentence, internal errors in it, …) is
//! looked for in all of them: `expected::never`.
//!
//! A check that cannot even be loaded is `.refused(regex)`, which holds for what is told of it and its place.
//!
//! **Time.** A check that has an answer to come to has ample time, however busy the machine is. `.timeout(code)` sets
//! a short one, and is for servers against which a check cannot but time out. No row may depend on which of two
//! things is faster.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod expected;
mod names;
mod row;
mod rows;
mod run;
mod server;
mod words;

use std::collections::BTreeSet;

/// How many rows there are at least; to be raised as they grow.
const ROWS_MIN: usize = 719;

macro_rules! row_files {
    ($($file:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $file() {
                run::conform(rows::$file::rows()).await;
            }
        )*

        fn all() -> Vec<row::Row> {
            [$(rows::$file::rows(),)*].into_iter().flatten().collect()
        }
    };
}

row_files! {
    exec,
    databases,
    datagrams,
    dialogues,
    dns_type,
    expressions,
    http_bodies,
    http_endings,
    http_expect,
    http_heads,
    http_proxies,
    http_redirects,
    http_requests,
    http_sends,
    http_status,
    http_versions,
    http_ways,
    lacking,
    mail,
    names,
    packed_bodies,
    refused,
    services,
    steps,
    targets,
    tcp,
    tls,
    tls_type,
    unreachable,
}

#[test]
fn the_table_is_as_long_as_it_should_be_and_names_are_unique() {
    let rows = all();
    assert!(rows.len() >= ROWS_MIN, "{} rows, expected at least {ROWS_MIN}", rows.len());
    let mut names = BTreeSet::new();
    for row in &rows {
        assert!(names.insert(&row.name), "{} is there twice", row.name);
        let is_label =
            row.name.len() <= 63 && row.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(is_label, "{}: expected lower-case letters, digits and hyphens, at most 63", row.name);
    }
}
