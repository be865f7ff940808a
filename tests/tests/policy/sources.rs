//! Where checks get their targets from, and the targets that they get.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;

use crate::table::{Row, Table, denied, permitted};

const POLICY: &str = "special: {loopback: allow}\n\
                      rules: [{name: no-inner, deny: {networks: [127.9.0.0/16, '::1']}}]\n\
                      default: allow\n\
                      files: {directories: ['{folder}/open']}\n";
const BY: &str = "rule `no-inner` of the policy denies the source of targets ";
const TARGET: &str = "rule `no-inner` of the policy denies ";
const FILE: &str = "the policy does not permit checks the file ";

const ROWS: &[Row] = &[
    permitted("http-there", "targets: {http: {url: 'http://127.0.0.1:{trap}/'}}, tcp: {address: '{{target.address}}'}"),
    permitted(
        "kubernetes-there",
        "targets: {kubernetes: {api: 'http://127.0.0.1:{trap}', namespace: shop, service: web}}, tcp: {address: '{{target.address}}'}",
    ),
    permitted(
        "file-there",
        "targets: {file: {files: ['{folder}/open/t*.yaml']}}, tcp: {address: '{{target.labels.host}}:{trap}'}",
    ),
    denied("http", BY, "targets: {http: {url: 'http://127.9.0.1:{trap}/'}}, tcp: {address: '{{target.address}}'}"),
    denied(
        "http-name",
        BY,
        "targets: {http: {url: 'http://inner.example:{trap}/'}}, tcp: {address: '{{target.address}}'}",
    ),
    denied(
        "http-redirect",
        TARGET,
        "targets: {http: {url: 'http://127.0.0.1:{open}/redirect?to=http://127.9.0.1:{trap}/'}}, tcp: {address: '{{target.address}}'}",
    ),
    denied(
        "kubernetes",
        BY,
        "targets: {kubernetes: {api: 'http://[::ffff:127.9.0.1]:{trap}', namespace: shop, service: web}}, tcp: {address: '{{target.address}}'}",
    ),
    denied(
        "kubernetes-token",
        FILE,
        "targets: {kubernetes: {api: 'http://127.0.0.1:{trap}', namespace: shop, service: web, token_file: '{folder}/shut/t.yaml'}}, \
         tcp: {address: '{{target.address}}'}",
    ),
    denied(
        "file",
        FILE,
        "targets: {file: {files: ['{folder}/shut/t.yaml']}}, tcp: {address: '{{target.labels.host}}:{trap}'}",
    ),
    denied(
        "file-pattern",
        FILE,
        "targets: {file: {files: ['{folder}/shut/*.yaml']}}, tcp: {address: '{{target.labels.host}}:{trap}'}",
    ),
    denied(
        "file-link",
        FILE,
        "targets: {file: {files: ['{folder}/open/out.yaml']}}, tcp: {address: '{{target.labels.host}}:{trap}'}",
    ),
    denied(
        "listed-target",
        TARGET,
        "targets: {file: {files: ['{folder}/open/inner.yaml']}}, tcp: {address: '{{target.labels.host}}:{trap}'}",
    ),
    denied(
        "static-target",
        TARGET,
        "targets: {static: [{address: '127.9.0.1:{trap}'}]}, http: {url: 'http://{{target.address}}/'}",
    ),
    denied(
        "resolved-target",
        TARGET,
        "targets: {dns: {name: inner.example, type: a, port: {trap}}}, tcp: {address: '{{target.address}}'}",
    ),
];

fn prepare(folder: &Path) {
    for name in ["open", "shut"] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("t.yaml"), "- {targets: ['a:1'], labels: {host: 127.0.0.1}}\n").unwrap();
    }
    fs::write(folder.join("open/inner.yaml"), "- {targets: ['a:1'], labels: {host: 127.9.0.1}}\n").unwrap();
    std::os::unix::fs::symlink(folder.join("shut/t.yaml"), folder.join("open/out.yaml")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sources_and_what_they_list_are_judged_as_anything_else() {
    let open = HttpFixture::start("open").await.unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let dns = DnsServer::start(&[("inner.example", &[ip("127.9.0.1")])]).await.unwrap();
    let head = format!("dns: {{nameservers: ['{}']}}", dns.address());
    let words = vec![("{open}", open.address().port().to_string())];
    Table { head, words, prepare, ..Table::new(POLICY, ROWS) }.hold().await;
}
