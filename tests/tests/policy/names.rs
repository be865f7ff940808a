//! Names, and name servers that change their minds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use watchpost_tests::dns_server::{DnsServer, Reply, response_to};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::{Launch, SOON};

use crate::table::{INNER, Row, Table, denied, denied_nowhere, permitted};
use crate::trap::Trap;

const BY: &str = "rule `no-inner` of the policy denies ";
const HIDDEN: &str = "rule `hidden` of the policy denies ";
const CORP: &str = "no rule of the policy allows ";

/// A name server whose answers may not be kept. To one question after the other about a name it answers one list of
/// addresses after the other, and the last one from then on; `>name` stands for an alias.
struct Zone {
    server: DnsServer,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Zone {
    async fn start(names: &'static [(&'static str, &'static [&'static str])]) -> Self {
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let counting = Arc::clone(&asked);
        let server = DnsServer::answering(move |question, _| {
            let Some(mut message) = response_to(question) else { return Reply::Silence };
            let Some(query) = message.queries.first().cloned() else { return Reply::Silence };
            let mut owner = query.name().clone();
            loop {
                let plain = owner.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                let Some((_, lists)) = names.iter().find(|(name, _)| *name == plain) else { break };
                let mut asked = counting.lock().unwrap();
                let times = asked.entry(plain).or_default();
                let list = lists[(*times).min(lists.len() - 1)];
                // Both families are asked for at once: only one of them counts.
                *times += usize::from(query.query_type() == RecordType::A);
                let Some(alias) = list.strip_prefix('>') else {
                    for ip in list.split(' ').map(|ip| ip.parse::<IpAddr>().unwrap()) {
                        match (ip, query.query_type()) {
                            (IpAddr::V4(ip), RecordType::A) => {
                                message.add_answer(Record::from_rdata(owner.clone(), 0, RData::A(ip.into())));
                            }
                            (IpAddr::V6(ip), RecordType::AAAA) => {
                                message.add_answer(Record::from_rdata(owner.clone(), 0, RData::AAAA(ip.into())));
                            }
                            _ => {}
                        }
                    }
                    break;
                };
                let alias = Name::from_ascii(format!("{alias}.")).unwrap();
                message.add_answer(Record::from_rdata(owner, 0, RData::CNAME(CNAME(alias.clone()))));
                owner = alias;
            }
            message.to_vec().map_or(Reply::Silence, Reply::Says)
        });
        Self { server: server.await.unwrap(), asked }
    }

    fn head(&self) -> String {
        format!("dns: {{nameservers: ['{}']}}", self.server.address())
    }

    fn was_asked(&self, name: &str) -> bool {
        self.asked.lock().unwrap().contains_key(name)
    }
}

const NAMES: &[(&str, &[&str])] = &[
    ("fair.example", &["127.0.0.1"]),
    ("inner.example", &["127.9.0.1"]),
    ("alias.example", &[">inner.example"]),
    ("twice.example", &[">alias.example"]),
    ("mapped.example", &["::ffff:127.9.0.1"]),
    ("v6.example", &["::1"]),
    ("nat64.example", &["64:ff9b::7f09:1"]),
    ("all-inner.example", &["127.9.0.1 127.9.0.2 ::1"]),
    ("both.example", &["127.0.0.1 127.9.0.1"]),
    ("turns.example", &["127.0.0.1", "127.9.0.1", "127.0.0.1", "127.9.0.1"]),
    ("2131296257", &["127.9.0.1"]),
    ("0x7f.9.0.1", &["127.9.0.1"]),
    ("a.hidden.example", &["127.0.0.1"]),
    ("xn--4ca.hidden.example", &["127.0.0.1"]),
];

const ROWS: &[Row] = &[
    permitted("fair", "http: {url: 'http://fair.example:{trap}/'}"),
    permitted("both", "http: {url: 'http://both.example:{trap}/'}"),
    denied("inner", BY, "http: {url: 'http://inner.example:{trap}/'}"),
    denied("inner-loud", BY, "tcp: {address: 'INNER.Example:{trap}'}"),
    denied("inner-dot", BY, "http: {url: 'http://inner.example.:{trap}/'}"),
    denied("alias", BY, "tcp: {address: 'alias.example:{trap}'}"),
    denied("alias-of-alias", BY, "http: {url: 'http://twice.example:{trap}/'}"),
    denied("mapped", BY, "tcp: {address: 'mapped.example:{trap}'}"),
    denied("v6", BY, "http: {url: 'http://v6.example:{trap}/'}"),
    denied("all-inner", BY, "tcp: {address: 'all-inner.example:{trap}'}"),
    denied("every-address", BY, "http: {url: 'http://all-inner.example:{trap}/'}, addresses: all"),
    denied("udp", BY, "udp: {address: 'inner.example:{trap}', send: x}"),
    denied("name-server", BY, "dns: {name: a.example, server: 'inner.example:{trap}'}"),
    denied("database", BY, "redis: {address: 'inner.example:{trap}'}"),
    denied("number", BY, "tcp: {address: '2131296257:{trap}'}"),
    denied("hex", BY, "tcp: {address: '0x7f.9.0.1:{trap}'}"),
    denied("prefer-v6", BY, "tcp: {address: 'v6.example:{trap}', route: {ip: prefer_ipv6}}"),
    denied_nowhere("nat64", BY, "tcp: {address: 'nat64.example:{trap}'}"),
    denied("hidden", HIDDEN, "http: {url: 'http://a.hidden.example:{trap}/'}"),
    denied("hidden-loud", HIDDEN, "tcp: {address: 'A.Hidden.EXAMPLE.:{trap}'}"),
    denied("hidden-letters", HIDDEN, "http: {url: 'http://ä.hidden.example:{trap}/'}"),
    denied("hidden-listed", HIDDEN, "http: {url: 'http://a.hidden.example:{trap}/'}, addresses: ['127.0.0.1']"),
    denied(
        "turns",
        BY,
        "http: {url: 'http://turns.example:{open}/redirect?to=http%3A%2F%2Fturns.example%3A{trap}%2F', max_redirects: 3}",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_judged_by_itself_and_by_each_address_that_it_has() {
    let open = HttpFixture::start("open").await.unwrap();
    let zone = Zone::start(NAMES).await;
    let words = vec![("{open}", open.address().port().to_string())];
    let policy = INNER.replace("rules: [", "rules: [{name: hidden, deny: {hosts: ['*.hidden.example']}}, ");
    Table { head: zone.head(), words, ..Table::new(&policy, ROWS) }.hold().await;
}

/// What no rule could permit is refused without a question: questions can carry words out, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_server_hears_of_a_name_that_is_refused() {
    let zone = Zone::start(NAMES).await;
    let policy = "special: {loopback: allow}\n\
                  rules: [{name: corp, allow: {hosts: ['fair.example']}}]\n";
    let rows = "- {id: a, tcp: {address: 'a.hidden.example:9'}}\n- {id: b, http: {url: 'http://inner.example/'}}\n";
    let config = format!("{}\nchecks:\n{rows}- {{id: c, tcp: {{address: 'fair.example:9'}}}}\n", zone.head());
    let mut check = Launch::new("check").policy(policy).config(&config).args(&["-o", "ndjson"]).start();
    assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
    let results = check.results();
    let message = |id: &str| {
        let result = results.iter().find(|result| result.check.as_str() == id).unwrap();
        result.reason.clone().map(|reason| format!("{}: {}", reason.code, reason.message)).unwrap_or_default()
    };
    for id in ["a", "b"] {
        assert!(message(id).starts_with("policy_denied: ") && message(id).contains(CORP), "{}", message(id));
    }
    assert!(message("c").starts_with("connect_refused: "), "{}", message("c"));
    assert!(!zone.was_asked("a.hidden.example") && !zone.was_asked("inner.example") && zone.was_asked("fair.example"));
}

/// The name server of the system was chosen by whoever runs the bastion: at the port where it is asked, and not at others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_systems_name_server_is_judged_where_nobody_chose_it() {
    const ROWS: &[Row] = &[
        denied_nowhere("by-tls", THERE, "dns: {name: a.example, transport: tls}"),
        denied_nowhere("by-https", THERE, "dns: {name: a.example, transport: https, https: {path: /admin}}"),
    ];
    const THERE: &str = "rule `not-there` of the policy denies 127.0.0.1:";
    let dns = DnsServer::start(&[("a.example", &["127.0.0.1".parse().unwrap()])]).await.unwrap();
    let head = format!("dns: {{nameservers: ['{}']}}", dns.address());
    let policy = "special: {loopback: allow}\n\
                  rules: [{name: not-there, deny: {networks: [127.0.0.1]}}]\n\
                  default: allow\n";
    Table { head: head.clone(), ..Table::new(policy, ROWS) }.hold().await;
    assert_eq!(dns.questions(), 0);
    let config = format!("{head}\nchecks:\n- {{id: a, dns: {{name: a.example}}}}\n");
    let mut check = Launch::new("check").policy(policy).config(&config).start();
    assert_eq!(check.ended(SOON).await, 0, "{}", check.stderr());
    assert_eq!(dns.questions(), 1);
}

/// Many hosts are behind one address, and what a server is told decides which of them answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_a_server_is_told_in_place_of_the_host_is_judged_as_well() {
    const PAYROLL: &str = "rule `payroll` of the policy denies payroll.example at 127.0.0.1:";
    const ROWS: &[Row] = &[
        permitted("host", "http: {url: 'http://127.0.0.1:{trap}/', headers: {Host: web.example}}"),
        permitted("server-name", "tls: {address: '127.0.0.1:{trap}', tls: {server_name: web.example}}"),
        denied("host-payroll", PAYROLL, "http: {url: 'http://127.0.0.1:{trap}/', headers: {Host: payroll.example}}"),
        denied(
            "host-with-port",
            "payroll",
            "http: {url: 'http://127.0.0.1:{trap}/', headers: {Host: 'PayRoll.example.:80'}}",
        ),
        denied(
            "host-http2",
            PAYROLL,
            "http: {url: 'http://127.0.0.1:{trap}/', headers: {Host: payroll.example}, version: 2}",
        ),
        denied(
            "host-step",
            PAYROLL,
            "steps: [{http: {url: 'http://127.0.0.1:{trap}/', headers: {Host: payroll.example}}}]",
        ),
        denied("http", PAYROLL, "http: {url: 'https://127.0.0.1:{trap}/', tls: {server_name: payroll.example}}"),
        denied("tls", PAYROLL, "tls: {address: '127.0.0.1:{trap}', tls: {server_name: payroll.example}}"),
        denied("tcp", PAYROLL, "tcp: {address: '127.0.0.1:{trap}', tls: {server_name: payroll.example}}"),
        denied(
            "tcp-later",
            PAYROLL,
            "tcp: {address: '127.0.0.1:{trap}', steps: [{send: x}, {starttls: {server_name: payroll.example}}]}",
        ),
        denied("grpc", PAYROLL, "grpc: {address: '127.0.0.1:{trap}', tls: {server_name: payroll.example}}"),
        denied(
            "websocket",
            PAYROLL,
            "websocket: {url: 'wss://127.0.0.1:{trap}/', tls: {server_name: payroll.example}}",
        ),
        denied("redis", PAYROLL, "redis: {address: '127.0.0.1:{trap}', tls: {server_name: payroll.example}}"),
        denied(
            "smtp",
            PAYROLL,
            "smtp: {address: '127.0.0.1:{trap}', starttls: implicit, tls: {server_name: payroll.example}}",
        ),
        denied(
            "dns",
            PAYROLL,
            "dns: {name: a.example, server: '127.0.0.1:{trap}', transport: tls, tls: {server_name: payroll.example}}",
        ),
    ];
    let policy = INNER.replace("rules: [", "rules: [{name: payroll, deny: {hosts: [payroll.example]}}, ");
    Table::new(&policy, ROWS).hold().await;
}

/// A rule for a name permits the addresses that the name has, and not whatever somebody puts beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_opens_no_address_that_it_does_not_have() {
    const ROWS: &[Row] = &[
        permitted("of-the-name", "http: {url: 'http://fair.example:{trap}/'}, addresses: ['127.0.0.1']"),
        permitted("by-name", "http: {url: 'http://fair.example:{trap}/'}"),
        permitted("each", "http: {url: 'http://fair.example:{trap}/'}, addresses: all"),
        denied("beside-it", CORP, "http: {url: 'http://fair.example:{trap}/'}, addresses: ['127.9.0.1']"),
        denied("beside-it-tcp", CORP, "tcp: {address: 'fair.example:{trap}'}, addresses: ['127.9.0.1']"),
        denied("without-it", CORP, "http: {url: 'http://127.0.0.1:{trap}/'}"),
    ];
    let zone = Zone::start(NAMES).await;
    let policy = "special: {loopback: allow}\n\
                  rules: [{name: corp, allow: {hosts: ['fair.example']}}]\n";
    Table { head: zone.head(), ..Table::new(policy, ROWS) }.hold().await;
}

/// Rebinding: whatever a name server says from one question to the next, an address that is refused is never connected
/// to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_a_name_has_now_and_then_is_never_connected_to() {
    const CHECKS: usize = 40;
    const TURNS: &[(&str, &[&str])] = &[(
        "dance.example",
        &[
            "127.0.0.1",
            "127.9.0.1",
            "127.0.0.1 127.9.0.1",
            "127.9.0.1",
            "127.0.0.1",
            "127.9.0.1",
            "::1",
            "127.0.0.1",
            "127.9.0.1",
            "127.0.0.1 127.9.0.1 ::1",
            "127.9.0.1",
            "127.0.0.1",
            "::1",
            "127.9.0.1",
        ],
    )];
    let (zone, trap) = (Zone::start(TURNS).await, Trap::start().await);
    let run = async |policy: &str| {
        let mut config = format!("{}\nchecks:\n", zone.head());
        for n in 0..CHECKS {
            config += &format!("- {{id: c{n}, http: {{url: 'http://dance.example:{}/'}}}}\n", trap.port());
        }
        // One after the other, so that each has an answer of its own.
        let args = ["-o", "ndjson", "--parallel", "1", "--timeout", "20s"];
        let mut check = Launch::new("check").policy(policy).config(&config).args(&args).start();
        assert_eq!(check.ended(SOON * 2).await, 1, "{}", check.stderr());
        trap.count().await;
        check.results()
    };
    let results = run(INNER).await;
    let seen = trap.connections();
    let fair: IpAddr = "127.0.0.1".parse().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|at| *at == fair), "{seen:?}");
    let refused = results
        .iter()
        .filter(|result| result.reason.as_ref().is_some_and(|reason| reason.code.as_str() == "policy_denied"));
    assert!(refused.count() > CHECKS / 2, "{results:#?}");
}
