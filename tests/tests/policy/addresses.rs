//! One address in everything that stands for it.

use crate::table::{INNER, Row, Table, denied, denied_nowhere, permitted};

const BY: &str = "rule `no-inner` of the policy denies ";

const ROWS: &[Row] = &[
    permitted("other", "http: {url: 'http://127.0.0.1:{trap}/'}"),
    permitted("other-mapped", "http: {url: 'http://[::ffff:127.0.0.1]:{trap}/'}"),
    permitted("other-decimal", "http: {url: 'http://2130706433:{trap}/'}"),
    denied("plain", BY, "http: {url: 'http://127.9.0.1:{trap}/'}"),
    denied("last-of-network", BY, "http: {url: 'http://127.9.255.255:{trap}/'}"),
    denied("mapped", BY, "http: {url: 'http://[::ffff:127.9.0.1]:{trap}/'}"),
    denied("mapped-hex", BY, "http: {url: 'http://[0:0:0:0:0:FFFF:7f09:1]:{trap}/'}"),
    denied("decimal", BY, "http: {url: 'http://2131296257:{trap}/'}"),
    denied("hex", BY, "http: {url: 'http://0x7f090001:{trap}/'}"),
    denied("hex-parts", BY, "http: {url: 'http://0x7F.0x9.0.0x1:{trap}/'}"),
    denied("octal", BY, "http: {url: 'http://0177.011.0.01:{trap}/'}"),
    denied("octal-whole", BY, "http: {url: 'http://017702200001:{trap}/'}"),
    denied("three-parts", BY, "http: {url: 'http://127.9.1:{trap}/'}"),
    denied("two-parts", BY, "http: {url: 'http://127.589825:{trap}/'}"),
    denied("with-dot", BY, "http: {url: 'http://127.9.0.1.:{trap}/'}"),
    denied("percent", BY, "http: {url: 'http://%31%32%37.9.0.1:{trap}/'}"),
    denied("full-width", BY, "http: {url: 'http://１２７.9.0.1:{trap}/'}"),
    denied("other-full-stops", BY, "http: {url: 'http://127。9。0。1:{trap}/'}"),
    denied("ipv6", BY, "http: {url: 'http://[::1]:{trap}/'}"),
    denied("ipv6-whole", BY, "http: {url: 'http://[0:0:0:0:0:0:0:1]:{trap}/'}"),
    denied("listed", BY, "http: {url: 'http://some.example:{trap}/'}, addresses: ['127.9.0.1']"),
    denied("listed-mapped", BY, "http: {url: 'http://some.example:{trap}/'}, addresses: ['::ffff:127.9.0.1']"),
    denied("tcp-mapped", BY, "tcp: {address: '[::ffff:127.9.0.1]:{trap}'}"),
    denied("udp-mapped", BY, "udp: {address: '[::ffff:127.9.0.1]:{trap}', send: x}"),
    // Where these lead to nobody knows from here: what they stand for is judged all the same.
    denied_nowhere("compatible", BY, "http: {url: 'http://[::127.9.0.1]:{trap}/'}"),
    denied_nowhere("nat64", BY, "http: {url: 'http://[64:ff9b::127.9.0.1]:{trap}/'}"),
    denied_nowhere("nat64-local", BY, "http: {url: 'http://[64:ff9b:1::7f09:1]:{trap}/'}"),
    denied_nowhere("translated", BY, "http: {url: 'http://[::ffff:0:127.9.0.1]:{trap}/'}"),
    denied_nowhere("6to4", BY, "http: {url: 'http://[2002:7f09:1::1]:{trap}/'}"),
    denied_nowhere("teredo-client", BY, "http: {url: 'http://[2001:0:4136:e378:8000:63bf:80f6:fffe]:{trap}/'}"),
    denied_nowhere("teredo-server", BY, "http: {url: 'http://[2001:0:7f09:1:8000:63bf:3fff:fdd2]:{trap}/'}"),
    denied_nowhere("isatap", BY, "http: {url: 'http://[2001:db8::5efe:127.9.0.1]:{trap}/'}"),
    denied_nowhere("own-nat64", BY, "http: {url: 'http://[2001:db8:64::127.9.0.1]:{trap}/'}"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_refused_in_every_disguise() {
    let policy = format!("{INNER}nat64: ['2001:db8:64::/96']\n");
    Table::new(&policy, ROWS).hold().await;
}
