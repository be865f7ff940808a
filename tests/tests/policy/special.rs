//! Addresses that no check has business at unless somebody says so.

use std::net::IpAddr;

use watchpost_tests::dns_server::DnsServer;

use crate::table::{Row, Table, denied, denied_nowhere};

const POLICY: &str = "default: allow\n";
const SELF: &str = "`special.loopback` of the policy denies ";
const METADATA: &str = "`special.metadata` of the policy denies ";
const LINK: &str = "`special.link_local` of the policy denies ";
const MANY: &str = "`special.multicast` of the policy denies ";
const ALL: &str = "`special.broadcast` of the policy denies ";

const ROWS: &[Row] = &[
    denied("v4", SELF, "http: {url: 'http://127.0.0.1:{trap}/'}"),
    denied("v4-far", SELF, "http: {url: 'http://127.255.255.254:{trap}/'}"),
    denied("v4-short", SELF, "http: {url: 'http://127.1:{trap}/'}"),
    denied("v4-decimal", SELF, "http: {url: 'http://2130706433:{trap}/'}"),
    denied("v4-hex", SELF, "http: {url: 'http://0x7f.1:{trap}/'}"),
    denied("v4-octal", SELF, "http: {url: 'http://017700000001:{trap}/'}"),
    denied("v6", SELF, "http: {url: 'http://[::1]:{trap}/'}"),
    denied("mapped", SELF, "tcp: {address: '[::ffff:127.0.0.1]:{trap}'}"),
    denied("zero", SELF, "http: {url: 'http://0.0.0.0:{trap}/'}"),
    denied("zero-short", SELF, "http: {url: 'http://0:{trap}/'}"),
    denied("zero-tcp", SELF, "tcp: {address: '0.0.0.0:{trap}'}"),
    denied("zero-udp", SELF, "udp: {address: '0.0.0.0:{trap}', send: x}"),
    denied("zero-v6", SELF, "http: {url: 'http://[::]:{trap}/'}"),
    denied("localhost", SELF, "http: {url: 'http://localhost:{trap}/'}"),
    denied("localhost-loud", SELF, "tcp: {address: 'LocalHost:{trap}'}"),
    denied("localhost-dot", SELF, "tcp: {address: 'localhost.:{trap}'}"),
    denied("localhost-below", SELF, "http: {url: 'http://app.localhost:{trap}/'}"),
    denied("named", SELF, "http: {url: 'http://own.example:{trap}/'}"),
    denied("named-zero", SELF, "tcp: {address: 'zero.example:{trap}'}"),
    denied("named-v6", SELF, "tcp: {address: 'own6.example:{trap}'}"),
    denied("named-mapped", SELF, "tcp: {address: 'mapped.example:{trap}'}"),
    denied_nowhere("zero-network", SELF, "tcp: {address: '0.1.2.3:{trap}'}"),
    denied_nowhere("nat64", SELF, "tcp: {address: '[64:ff9b::127.0.0.1]:{trap}'}"),
    denied_nowhere("metadata", METADATA, "http: {url: 'http://169.254.169.254/latest/meta-data/'}"),
    denied_nowhere("metadata-decimal", METADATA, "http: {url: 'http://2852039166/'}"),
    denied_nowhere("metadata-mapped", METADATA, "http: {url: 'http://[::ffff:a9fe:a9fe]/'}"),
    denied_nowhere("metadata-nat64", METADATA, "http: {url: 'http://[64:ff9b::a9fe:a9fe]/'}"),
    denied_nowhere("metadata-v6", METADATA, "http: {url: 'http://[fd00:ec2::254]/'}"),
    denied_nowhere("metadata-other", METADATA, "http: {url: 'http://100.100.100.200/'}"),
    denied_nowhere("metadata-named", METADATA, "http: {url: 'http://metadata.example/'}"),
    denied_nowhere("link", LINK, "tcp: {address: '169.254.7.7:{trap}'}"),
    denied_nowhere("link-v6", LINK, "tcp: {address: '[fe80::7]:{trap}'}"),
    denied_nowhere("many", MANY, "udp: {address: '224.0.0.251:{trap}', send: x}"),
    denied_nowhere("many-v6", MANY, "udp: {address: '[ff02::fb]:{trap}', send: x}"),
    denied_nowhere("many-echo", MANY, "icmp: {host: 224.0.0.1}"),
    denied_nowhere("all", ALL, "udp: {address: '255.255.255.255:{trap}', send: x}"),
    denied_nowhere("all-time", ALL, "ntp: {server: '255.255.255.255:{trap}'}"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn special_addresses_are_refused_where_the_policy_does_not_allow_them() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let names = [
        ("own.example", &[ip("127.0.0.1")][..]),
        ("app.localhost", &[ip("127.0.0.1")]),
        ("localhost", &[ip("127.0.0.1")]),
        ("zero.example", &[ip("0.0.0.0")]),
        ("own6.example", &[ip("::1")]),
        ("mapped.example", &[ip("::ffff:127.0.0.1")]),
        ("metadata.example", &[ip("169.254.169.254")]),
    ];
    let dns = DnsServer::start(&names).await.unwrap();
    let head = format!("dns: {{nameservers: ['{}']}}", dns.address());
    Table { head, ..Table::new(POLICY, ROWS) }.hold().await;
}
