//! O5: a name that resolves to fewer endpoints than its verdict asks for.

use std::net::{IpAddr, Ipv4Addr};

use watchpost_agent::RunReport;
use watchpost_model::{Outcome, RunVerdict, VerdictOf};
use watchpost_probe::Resolver;
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::process::{Launch, SOON};
use watchpost_tests::tcp_fixture::{Behaviour, loopback};

use crate::local::{Setup, gated, in_system};
use crate::rig::told_of_run;

/// The last parts of addresses that pass.
const ODD: [u8; 2] = [1, 3];

async fn names() -> DnsServer {
    let two = ODD.map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
    DnsServer::start(&[("two.example", &two), ("one.example", &two[..1])]).await.unwrap()
}

fn assert_too_few(verdict: &RunVerdict, total: u32) {
    assert_eq!(told_of_run(verdict), "fail/verdict_not_met", "{verdict:#?}");
    let RunVerdict { needed, passed, failed, undecided, of, .. } = *verdict;
    assert_eq!((needed, verdict.total, passed, failed, undecided), (3, total, total, 0, 0));
    assert_eq!(of, VerdictOf::Endpoints);
    let message = &verdict.reason.as_ref().unwrap().message;
    assert_eq!(*message, format!("there are {total} endpoints, and 3 must pass"));
}

#[test]
fn o5_endpoints_that_all_pass_and_are_too_few_make_their_run_fail_and_it_says_why() {
    in_system(async {
        let dns = names().await;
        let (probes, gate) = gated();
        let mut setup = Setup::new(probes, 4);
        setup.resolver = Resolver::with_nameservers(vec![dns.address()]);
        let local = setup.start().await;
        gate.open(5);
        for (round, (name, total)) in [("two", 2), ("one", 1)].into_iter().enumerate() {
            let tcp = format!(r#""tcp": {{"address": "{name}.example:9"}}, "addresses": "all""#);
            let check = format!(r#"{{"id": "{name}", {tcp}, "verdict": {{"quorum": 3}}}}"#);
            let mut reports = local.run(&[check], SOON).await;
            let (mut results, mut verdicts, mut passed) = (Vec::new(), Vec::new(), None);
            while let Some(report) = reports.recv().await {
                match report {
                    RunReport::Result(result) => results.push(*result),
                    RunReport::Verdict(verdict) => verdicts.push(*verdict),
                    RunReport::Over { passed: by_rule, .. } => passed = Some(by_rule),
                }
            }
            assert_eq!(results.len(), total as usize);
            assert!(results.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
            assert_eq!((verdicts.len(), passed), (1, Some(false)), "{name}");
            assert_too_few(&verdicts[0], total);
            assert_eq!(local.until_verdicts(round + 1).await[round], verdicts[0]);
        }
        // Where one is enough, its result says all there is to say.
        let enough =
            r#"{"id": "enough", "tcp": {"address": "one.example:9"}, "addresses": "all", "verdict": {"quorum": 1}}"#;
        let mut reports = local.run(&[enough.to_owned()], SOON).await;
        while let Some(report) = reports.recv().await {
            assert!(!matches!(report, RunReport::Verdict(_) | RunReport::Over { passed: false, .. }), "{report:?}");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_from_the_command_line_fails_and_prints_the_verdict_where_endpoints_are_too_few() {
    let dns = names().await;
    let well = Behaviour::SaysAndCloses(b"ok".to_vec()).start_everywhere().await.unwrap();
    assert!(
        ODD.iter().any(|last| loopback(0) == Ipv4Addr::new(127, 0, 0, *last)),
        "the server is where the names lead"
    );
    for (name, total) in [("two", 2), ("one", 1)] {
        let tcp = format!("tcp: {{address: '{name}.example:{}', expect: ok}}, addresses: all", well.port());
        let config = format!(
            "dns: {{nameservers: ['{}']}}\nchecks:\n- {{id: {name}, {tcp}, verdict: {{quorum: 3}}}}\n",
            dns.address()
        );
        let mut check = Launch::new("check").config(&config).args(&["-o", "ndjson"]).start();
        assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
        let (results, verdicts) = (check.results(), check.verdicts());
        assert_eq!((results.len(), verdicts.len()), (total as usize, 1), "{}", check.stdout());
        assert!(results.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
        assert_too_few(&verdicts[0], total);
    }
}
