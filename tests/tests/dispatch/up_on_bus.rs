//! `up --bus`: it prints what passes on the bus, and its Checker hears all the same that no Runner listens.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{Agent, AgentSettings, Deps, GroupPolicy, Roles, RunItem, RunRequest, SystemClock};
use watchpost_audit::AuditLog;
use watchpost_bus::{Bus, NatsBus, NatsOptions};
use watchpost_policy::Guard;
use watchpost_probe::{ProbeSet, Resolver, TargetFinder};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, until};
use watchpost_tests::tcp_fixture::Behaviour;

use crate::local::{all, check, in_system};
use crate::rig::{endpoints, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_on_nats_prints_every_result_and_verdict_over_a_connection_of_its_own() {
    let nats = NatsServer::start();
    let observer = Observer::start(&nats.url()).await;
    let before = nats.connections();
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start_everywhere().await.unwrap();
    let tcp = format!("tcp: {{address: '{}:{}', expect: ok}}", IpAddr::V4(Ipv4Addr::LOCALHOST), well.port());
    let mut yaml = String::from("bastion: b1\nchecks:\n");
    for i in 0..10 {
        yaml += &format!("- {{id: c{i}, {tcp}, addresses: {}, interval: 1s}}\n", endpoints(well.port(), 3));
    }
    let args = ["--console", "off", "-o", "ndjson", "--bus", &nats.url()];
    let mut up = Launch::new("up").config(&yaml).args(&args).start_ready().await;
    // Of two subscriptions to results on one connection, one alone would be told that nobody listens.
    assert_eq!(nats.connections(), before + 2);
    until("many results", SOON, || (up.results().len() >= 90).then_some(())).await;
    assert_eq!(up.stop().await, 0, "{}", up.stderr());

    observer.catch_up().await;
    assert_eq!(observer.assert_at_most_one_result_each(), []);
    let heard: BTreeSet<_> = observer.results().iter().map(|result| result.task).collect();
    let printed: Vec<_> = up.results().iter().map(|result| result.task).collect();
    assert_eq!((printed.iter().copied().collect::<BTreeSet<_>>(), printed.len()), (heard.clone(), heard.len()));
    let runs = |verdicts: Vec<Arc<watchpost_model::RunVerdict>>| -> BTreeSet<_> {
        verdicts.iter().map(|verdict| verdict.run).collect()
    };
    let printed = up.verdicts().into_iter().map(Arc::new).collect();
    assert_eq!(runs(printed), runs(observer.verdicts()));
}

#[test]
fn a_checker_hears_that_no_runner_listens_while_somebody_else_listens_to_results() {
    in_system(async {
        let nats = NatsServer::start();
        let connect = || async {
            let options = NatsOptions::new([nats.url()]);
            Arc::new(NatsBus::connect(options).await.unwrap())
        };
        let printing = connect().await;
        let mut printed = printing.subscribe("watchpost.b1.result.*", None).await.unwrap();
        let deps = Deps {
            bus: connect().await,
            clock: Arc::new(SystemClock::default()),
            resolver: Resolver::system(),
            finder: TargetFinder::standard(&Resolver::system()),
            probes: ProbeSet::default(),
            audit: AuditLog::off(),
            guard: Guard::local(),
        };
        let settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
        let agent = Agent::start(settings, Roles::Checker, deps).await.unwrap();
        let json = r#"{"id": "c", "tcp": {"address": "127.0.0.1:9"}, "interval": "5m", "timeout": "1m"}"#;
        let request = RunRequest {
            items: vec![RunItem::Check(Box::new(check(json)))],
            limit: Duration::from_secs(60),
            policy: GroupPolicy::CollectAll,
        };
        let results = all(agent.checker().unwrap().run_now(request).await.unwrap()).await;
        assert_eq!(results.iter().map(told).collect::<Vec<_>>(), ["missed/no_runner"]);
        // The Checker reports it, and the other one hears that.
        let heard = async {
            loop {
                let message = printed.next().await.expect("the bus is open");
                if !message.payload.is_empty() {
                    return message.payload;
                }
            }
        };
        let payload = tokio::time::timeout(SOON, heard).await.expect("the result is heard");
        let result: watchpost_model::TaskResult =
            watchpost_model::decode(&payload, watchpost_model::Format::MsgPack).unwrap();
        assert_eq!((result.task, told(&result).as_str()), (results[0].task, "missed/no_runner"));
    });
}
