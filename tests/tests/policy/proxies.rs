//! Proxies: they are connected to, and they connect on behalf of the check.

use std::net::{IpAddr, Ipv4Addr};

use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::proxy_fixture::{ProxyFixture, Rules};

use crate::table::{INNER, Row, Table, denied, denied_nowhere, permitted};

const BY: &str = "rule `no-inner` of the policy denies ";
const THE_PROXY: &str = "rule `no-inner` of the policy denies the proxy ";

const ROWS: &[Row] = &[
    permitted("fair", "http: {url: 'http://127.0.0.1:{trap}/', proxy: '{http}'}"),
    permitted("fair-tunnel", "http: {url: 'https://127.0.0.1:{trap}/', proxy: '{http}'}"),
    permitted("fair-socks", "http: {url: 'http://127.0.0.1:{trap}/', proxy: '{socks}'}"),
    permitted("fair-name", "http: {url: 'http://fair.example:{trap}/', proxy: '{http}'}"),
    permitted("fair-name-socks", "http: {url: 'http://fair.example:{trap}/', proxy: '{socks}'}"),
    permitted("fair-name-socks5h", "http: {url: 'http://fair.example:{trap}/', proxy: '{socks5h}'}"),
    // The proxy thinks that this name is at 127.9.0.1: it is asked for the address that was judged.
    permitted("other-view", "http: {url: 'http://split.example:{trap}/', proxy: '{socks5h}'}"),
    permitted("other-view-plain", "http: {url: 'http://split.example:{trap}/', proxy: '{http}'}"),
    denied("at", THE_PROXY, "http: {url: 'http://127.0.0.1/', proxy: 'http://127.9.0.1:{trap}'}"),
    denied("at-mapped", THE_PROXY, "http: {url: 'http://127.0.0.1/', proxy: 'http://[::ffff:127.9.0.1]:{trap}'}"),
    denied("at-socks", THE_PROXY, "http: {url: 'http://127.0.0.1/', proxy: 'socks5://127.9.0.1:{trap}'}"),
    denied("at-socks5h", THE_PROXY, "http: {url: 'http://127.0.0.1/', proxy: 'socks5h://127.9.0.1:{trap}'}"),
    denied("at-name", THE_PROXY, "http: {url: 'http://127.0.0.1/', proxy: 'http://inner.example:{trap}'}"),
    denied("at-tunnel", THE_PROXY, "http: {url: 'https://127.0.0.1/', proxy: 'http://127.9.0.1:{trap}'}"),
    denied("plain", BY, "http: {url: 'http://127.9.0.1:{trap}/', proxy: '{http}'}"),
    denied("tunnel", BY, "http: {url: 'https://127.9.0.1:{trap}/', proxy: '{http}'}"),
    denied("socks", BY, "http: {url: 'http://127.9.0.1:{trap}/', proxy: '{socks}'}"),
    denied("socks5h", BY, "http: {url: 'http://127.9.0.1:{trap}/', proxy: '{socks5h}'}"),
    denied("mapped", BY, "http: {url: 'http://[::ffff:127.9.0.1]:{trap}/', proxy: '{http}'}"),
    denied("mapped-socks", BY, "http: {url: 'http://[::ffff:127.9.0.1]:{trap}/', proxy: '{socks}'}"),
    denied("decimal", BY, "http: {url: 'http://2131296257:{trap}/', proxy: '{http}'}"),
    denied("name", BY, "http: {url: 'http://inner.example:{trap}/', proxy: '{http}'}"),
    denied("name-tunnel", BY, "http: {url: 'https://inner.example:{trap}/', proxy: '{http}'}"),
    denied("name-socks", BY, "http: {url: 'http://inner.example:{trap}/', proxy: '{socks}'}"),
    denied("name-socks5h", BY, "http: {url: 'http://inner.example:{trap}/', proxy: '{socks5h}'}"),
    denied("http2", BY, "http: {url: 'http://inner.example:{trap}/', proxy: '{http}', version: 2}"),
    denied("step", BY, "steps: [{http: {url: 'http://inner.example:{trap}/', proxy: '{socks5h}'}}]"),
    denied(
        "redirect",
        BY,
        "http: {url: 'http://127.0.0.1:{open}/redirect?to=http://127.9.0.1:{trap}/', max_redirects: 3, proxy: '{http}'}",
    ),
    denied(
        "redirect-name",
        BY,
        "http: {url: 'http://127.0.0.1:{open}/redirect?to=http://inner.example:{trap}/', max_redirects: 3, \
         proxy: '{socks5h}'}",
    ),
    denied_nowhere("nat64", BY, "http: {url: 'http://[64:ff9b::127.9.0.1]:{trap}/', proxy: '{socks}'}"),
    denied_nowhere(
        "metadata",
        "`special.metadata` of the policy denies ",
        "http: {url: 'http://169.254.169.254/', proxy: '{http}'}",
    ),
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a proxy resolves by itself, which for one name is not what everybody else does.
fn rules() -> Rules {
    Rules::knowing(&[
        ("inner.example", ip("127.9.0.1")),
        ("fair.example", ip("127.0.0.1")),
        ("split.example", ip("127.9.0.1")),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_proxy_is_asked_for_what_the_policy_does_not_permit() {
    let open = HttpFixture::start("open").await.unwrap();
    let names = [
        ("inner.example", &[ip("127.9.0.1")][..]),
        ("fair.example", &[ip("127.0.0.1")]),
        ("split.example", &[ip("127.0.0.1")]),
    ];
    let dns = DnsServer::start(&names).await.unwrap();
    let http = ProxyFixture::http(Ipv4Addr::LOCALHOST.into(), rules()).await.unwrap();
    let socks = ProxyFixture::socks(Ipv4Addr::LOCALHOST.into(), rules()).await.unwrap();
    let words = vec![
        ("{http}", format!("http://{}", http.address())),
        ("{socks}", format!("socks5://{}", socks.address())),
        ("{socks5h}", format!("socks5h://{}", socks.address())),
        ("{open}", open.address().port().to_string()),
    ];
    let head = format!("dns: {{nameservers: ['{}']}}", dns.address());
    let table = Table { head, words, ..Table::new(INNER, ROWS) };
    let fair: Vec<Row> = ROWS.iter().filter(|row| !row.is_denied()).copied().collect();
    Table { rows: &fair, words: table.words.clone(), head: table.head.clone(), ..Table::new(INNER, &fair) }
        .hold()
        .await;
    // Everything that was asked for so far was an address, and a fair one.
    let asked = [http.asked(), socks.asked()].concat();
    assert!(asked.len() >= fair.len() && asked.iter().all(|asked| asked.contains("127.0.0.1:")), "{asked:#?}");
    table.hold().await;
}

/// Some proxies go where the `Host` of a request says, and not where its target does. They are told no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_the_urls_is_told_to_no_proxy() {
    const ROWS: &[Row] = &[permitted(
        "own-host",
        "http: {url: 'http://fair.example:{trap}/', headers: {Host: inner.example}, proxy: '{http}'}",
    )];
    let http = ProxyFixture::http(Ipv4Addr::LOCALHOST.into(), rules()).await.unwrap();
    let words = vec![("{http}", format!("http://{}", http.address()))];
    let policy = "special: {loopback: allow}\nproxies: {resolve: true}\ndefault: allow\n";
    Table { words, ..Table::new(policy, ROWS) }.hold().await;
    let asked = http.asked();
    assert!(asked.len() == 1 && asked[0].starts_with("CONNECT fair.example:"), "{asked:#?}");
}

/// Where the policy lets proxies resolve names, a rule that speaks of addresses permits none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_resolves_names_where_the_policy_says_so() {
    const ROWS: &[Row] = &[
        permitted("corp", "http: {url: 'http://fair.example:{trap}/', proxy: '{http}'}"),
        permitted("corp-socks5h", "http: {url: 'http://fair.example:{trap}/', proxy: '{socks5h}'}"),
        permitted("address", "http: {url: 'http://127.0.0.1:{trap}/', proxy: '{socks5h}'}"),
        denied(
            "no-name-of-ours",
            "nobody could judge its address",
            "http: {url: 'http://inner.example:{trap}/', proxy: '{http}'}",
        ),
        denied(
            "no-name-of-ours-socks5h",
            "nobody could judge its address",
            "http: {url: 'http://split.example:{trap}/', proxy: '{socks5h}'}",
        ),
        denied("address-denied", "no rule of the policy", "http: {url: 'http://127.9.0.1:{trap}/', proxy: '{http}'}"),
    ];
    let http = ProxyFixture::http(Ipv4Addr::LOCALHOST.into(), rules()).await.unwrap();
    let socks = ProxyFixture::socks(Ipv4Addr::LOCALHOST.into(), rules()).await.unwrap();
    let words =
        vec![("{http}", format!("http://{}", http.address())), ("{socks5h}", format!("socks5h://{}", socks.address()))];
    let policy = "special: {loopback: allow}\n\
                  proxies: {resolve: true}\n\
                  rules:\n\
                  - {name: corp, allow: {hosts: [fair.example]}}\n\
                  - {name: here, allow: {networks: [127.0.0.1]}}\n";
    // There is no name server: only the proxies know the names.
    let nobody = DnsServer::start(&[]).await.unwrap();
    let head = format!("dns: {{nameservers: ['{}']}}", nobody.address());
    Table { head, words, ..Table::new(policy, ROWS) }.hold().await;
    assert_eq!(nobody.questions(), 0);
}
