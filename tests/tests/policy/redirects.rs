//! Redirects: each hop is a connection of its own.

use std::net::IpAddr;

use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;

use crate::table::{INNER, Row, Table, denied, denied_nowhere, permitted};

const BY: &str = "rule `no-inner` of the policy denies the redirect to ";

const ROWS: &[Row] = &[
    permitted("fair", "http: {url: '{to}http://127.0.0.1:{trap}/', max_redirects: 5}"),
    permitted("fair-mapped", "http: {url: '{to}http://[::ffff:127.0.0.1]:{trap}/', max_redirects: 5}"),
    permitted("fair-name", "http: {url: '{to}http://fair.example:{trap}/', max_redirects: 5}"),
    permitted("post-to-get", "http: {url: '{to}http://127.0.0.1:{trap}/&code=303', method: POST, max_redirects: 5}"),
    denied("plain", BY, "http: {url: '{to}http://127.9.0.1:{trap}/', max_redirects: 5}"),
    denied("301", BY, "http: {url: '{to}http://127.9.0.1:{trap}/&code=301', max_redirects: 5}"),
    denied("307", BY, "http: {url: '{to}http://127.9.0.1:{trap}/&code=307', max_redirects: 5}"),
    denied("308", BY, "http: {url: '{to}http://127.9.0.1:{trap}/&code=308', max_redirects: 5}"),
    denied("tls", BY, "http: {url: '{to}https://127.9.0.1:{trap}/', max_redirects: 5}"),
    denied("same-scheme", BY, "http: {url: '{to}//127.9.0.1:{trap}/', max_redirects: 5}"),
    denied("backslashes", BY, "http: {url: '{to}http:%5C%5C127.9.0.1:{trap}/', max_redirects: 5}"),
    denied("user", BY, "http: {url: '{to}http://fair.example@127.9.0.1:{trap}/', max_redirects: 5}"),
    denied("mapped", BY, "http: {url: '{to}http://[::ffff:127.9.0.1]:{trap}/', max_redirects: 5}"),
    denied("mapped-hex", BY, "http: {url: '{to}http://[::FFFF:7F09:1]:{trap}/', max_redirects: 5}"),
    denied("decimal", BY, "http: {url: '{to}http://2131296257:{trap}/', max_redirects: 5}"),
    denied("hex", BY, "http: {url: '{to}http://0x7f.0x9.0x0.0x1:{trap}/', max_redirects: 5}"),
    denied("octal", BY, "http: {url: '{to}http://0177.011.0.1:{trap}/', max_redirects: 5}"),
    denied("short", BY, "http: {url: '{to}http://127.9.1:{trap}/', max_redirects: 5}"),
    denied("percent", BY, "http: {url: '{to}http://%25312%2537.9.0.1:{trap}/', max_redirects: 5}"),
    denied("full-width", BY, "http: {url: '{to}http://%EF%BC%91%EF%BC%92%EF%BC%97.9.0.1:{trap}/', max_redirects: 5}"),
    denied("v6", BY, "http: {url: '{to}http://[::1]:{trap}/', max_redirects: 5}"),
    denied("name", BY, "http: {url: '{to}http://inner.example:{trap}/', max_redirects: 5}"),
    denied("name-dot", BY, "http: {url: '{to}http://INNER.example.:{trap}/', max_redirects: 5}"),
    denied("second", BY, "http: {url: '{to}{again}http%3A%2F%2F127.9.0.1%3A{trap}%2F', max_redirects: 5}"),
    denied("step", BY, "steps: [{http: {url: '{to}http://127.9.0.1:{trap}/', max_redirects: 5}}]"),
    denied(
        "later-step",
        BY,
        "steps: [{http: {url: 'http://127.0.0.1:{open}/ok'}}, \
         {http: {url: '{to}http://127.9.0.1:{trap}/', max_redirects: 5}}]",
    ),
    denied(
        "post",
        "rule `no-posts-on` of the policy denies the redirect to ",
        "http: {url: '{to}http://127.0.0.1:{trap}/&code=307', method: POST, max_redirects: 5}",
    ),
    denied_nowhere("nat64", BY, "http: {url: '{to}http://[64:ff9b::127.9.0.1]:{trap}/', max_redirects: 5}"),
    denied_nowhere(
        "metadata",
        "`special.metadata` of the policy denies the redirect to ",
        "http: {url: '{to}http://169.254.169.254/latest/', max_redirects: 5}",
    ),
    denied_nowhere(
        "metadata-mapped",
        "`special.metadata` of the policy denies the redirect to ",
        "http: {url: '{to}http://[::ffff:169.254.169.254]/latest/', max_redirects: 5}",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_leads_where_the_policy_does_not_permit() {
    let open = HttpFixture::start("open").await.unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let names = [("inner.example", &[ip("127.9.0.1")][..]), ("fair.example", &[ip("127.0.0.1")])];
    let dns = DnsServer::start(&names).await.unwrap();
    let words = vec![
        ("{again}", "http%3A%2F%2F127.0.0.1%3A{open}%2Fredirect%3Fto%3D".to_owned()),
        ("{to}", "http://127.0.0.1:{open}/redirect?to=".to_owned()),
        ("{open}", open.address().port().to_string()),
    ];
    let policy =
        INNER.replace("rules: [", "rules: [{name: no-posts-on, deny: {methods: [POST], purposes: [redirect]}}, ");
    let head = format!("dns: {{nameservers: ['{}']}}", dns.address());
    Table { head, words, ..Table::new(&policy, ROWS) }.hold().await;
}
