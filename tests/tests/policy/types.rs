//! Each type of check, and each way that it has.

use crate::table::{INNER, Row, Table, denied, denied_nowhere, permitted};

const BY: &str = "rule `no-inner` of the policy denies ";

const ROWS: &[Row] = &[
    permitted("http-there", "http: {url: 'http://127.0.0.1:{trap}/'}"),
    permitted("tcp-there", "tcp: {address: '127.0.0.1:{trap}'}"),
    permitted("tls-there", "tls: {address: '127.0.0.1:{trap}'}"),
    permitted("dns-there", "dns: {name: a.example, server: '127.0.0.1:{trap}'}"),
    permitted("grpc-there", "grpc: {address: '127.0.0.1:{trap}'}"),
    permitted("websocket-there", "websocket: {url: 'ws://127.0.0.1:{trap}/'}"),
    permitted("udp-there", "udp: {address: '127.0.0.1:{trap}', send: x}"),
    permitted("ssh-there", "ssh: {address: '127.0.0.1:{trap}'}"),
    permitted("smtp-there", "smtp: {address: '127.0.0.1:{trap}', starttls: never}"),
    permitted("imap-there", "imap: {address: '127.0.0.1:{trap}', starttls: never}"),
    permitted("pop3-there", "pop3: {address: '127.0.0.1:{trap}', starttls: never}"),
    permitted("redis-there", "redis: {address: '127.0.0.1:{trap}'}"),
    permitted("postgres-there", "postgres: {address: '127.0.0.1:{trap}'}"),
    permitted("mysql-there", "mysql: {address: '127.0.0.1:{trap}', user: ann}"),
    permitted("ntp-there", "ntp: {server: '127.0.0.1:{trap}'}"),
    permitted("steps-there", "steps: [{http: {url: 'http://127.0.0.1:{trap}/'}}]"),
    denied("http", BY, "http: {url: 'http://127.9.0.1:{trap}/'}"),
    denied("https", BY, "http: {url: 'https://127.9.0.1:{trap}/'}"),
    denied("http2", BY, "http: {url: 'http://127.9.0.1:{trap}/', version: 2}"),
    denied("tcp", BY, "tcp: {address: '127.9.0.1:{trap}'}"),
    denied("tcp-dialogue", BY, "tcp: {address: '127.9.0.1:{trap}', steps: [{send: x}]}"),
    denied("tls", BY, "tls: {address: '127.9.0.1:{trap}'}"),
    denied("dns-udp", BY, "dns: {name: a.example, server: '127.9.0.1:{trap}'}"),
    denied("dns-tcp", BY, "dns: {name: a.example, server: '127.9.0.1:{trap}', transport: tcp}"),
    denied("dns-tls", BY, "dns: {name: a.example, server: '127.9.0.1:{trap}', transport: tls}"),
    denied("dns-https", BY, "dns: {name: a.example, server: '127.9.0.1:{trap}', transport: https}"),
    denied("dns-v6", BY, "dns: {name: a.example, server: '[::ffff:127.9.0.1]:{trap}'}"),
    denied("grpc", BY, "grpc: {address: '127.9.0.1:{trap}'}"),
    denied("grpc-tls", BY, "grpc: {address: '127.9.0.1:{trap}', tls: {insecure: true}}"),
    denied("websocket", BY, "websocket: {url: 'ws://127.9.0.1:{trap}/'}"),
    denied("websocket-tls", BY, "websocket: {url: 'wss://127.9.0.1:{trap}/'}"),
    denied("websocket-decimal", BY, "websocket: {url: 'ws://2131296257:{trap}/'}"),
    denied("udp", BY, "udp: {address: '127.9.0.1:{trap}', send: x}"),
    denied("ssh", BY, "ssh: {address: '127.9.0.1:{trap}'}"),
    denied("smtp", BY, "smtp: {address: '127.9.0.1:{trap}'}"),
    denied("smtps", BY, "smtp: {address: '127.9.0.1:{trap}', starttls: implicit}"),
    denied("imap", BY, "imap: {address: '127.9.0.1:{trap}'}"),
    denied("pop3", BY, "pop3: {address: '127.9.0.1:{trap}'}"),
    denied("redis", BY, "redis: {address: '127.9.0.1:{trap}'}"),
    denied("postgres", BY, "postgres: {address: '127.9.0.1:{trap}'}"),
    denied("mysql", BY, "mysql: {address: '127.9.0.1:{trap}', user: ann}"),
    denied("ntp", BY, "ntp: {server: '127.9.0.1:{trap}'}"),
    denied("steps", BY, "steps: [{http: {url: 'http://127.9.0.1:{trap}/'}}]"),
    denied("from-there", BY, "tcp: {address: '127.9.0.1:{trap}', route: {source_address: 127.0.0.1}}"),
    denied_nowhere("unix", "the policy permits no sockets in the file system", "unix: {path: /none/such.sock}"),
    denied_nowhere("exec", "programs", "exec: {command: /bin/true}"),
    // Nobody counts echo requests.
    denied_nowhere("icmp", BY, "icmp: {host: 127.9.0.1}"),
    denied_nowhere("icmp-v6", BY, "icmp: {host: '::1'}"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_no_type_of_check_gets_where_the_policy_does_not_permit() {
    Table::new(INNER, ROWS).hold().await;
}

const BY_RULES: &[Row] = &[
    permitted("get", "http: {url: 'http://127.0.0.1:{trap}/'}"),
    permitted("tcp", "tcp: {address: '127.0.0.1:{trap}'}"),
    denied("post", "rule `read-only` of the policy denies", "http: {url: 'http://127.0.0.1:{trap}/', method: POST}"),
    denied(
        "delete",
        "rule `read-only` of the policy denies",
        "http: {url: 'http://127.0.0.1:{trap}/', method: DELETE}",
    ),
    denied(
        "post-step",
        "rule `read-only` of the policy denies",
        "steps: [{http: {url: 'http://127.0.0.1:{trap}/', method: POST}}]",
    ),
    denied("type", "denies checks of the type redis", "redis: {address: '127.0.0.1:{trap}'}"),
    denied("default", "no rule of the policy allows", "udp: {address: '127.0.0.1:{trap}', send: x}"),
    denied("type-by-default", "no rule of the policy allows", "ssh: {address: '127.0.0.1:{trap}'}"),
    denied("address-by-default", "no rule of the policy allows", "tcp: {address: '127.0.0.2:{trap}'}"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_types_are_refused_by_the_rules_that_speak_of_them() {
    let policy = "special: {loopback: allow}\n\
                  rules:\n\
                  - {name: no-redis, deny: {types: [redis]}}\n\
                  - {name: read-only, deny: {methods: [POST, PUT, DELETE]}}\n\
                  - {name: some, allow: {types: [http, steps, tcp], networks: [127.0.0.1]}}\n";
    Table::new(policy, BY_RULES).hold().await;
}
