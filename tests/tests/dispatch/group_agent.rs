//! O5: verdicts where some endpoints were never tried.

use watchpost_agent::PoolSettings;
use watchpost_model::Outcome;
use watchpost_tests::process::{SOON, until};

use crate::local::{Setup, all, gated, in_system};
use crate::rig::told;

#[test]
fn o5_what_was_never_tried_leaves_a_verdict_open_only_where_it_could_have_changed_it() {
    // An endpoint passes where its number is odd. Of three, the last gets neither worker nor room to wait.
    const CASES: [([u8; 3], &str, &str); 8] = [
        ([2, 4, 1], r#""any""#, "cancelled/overloaded"),
        ([2, 1, 3], r#""any""#, "pass"),
        ([1, 2, 3], r#"{"quorum": 2}"#, "cancelled/overloaded"),
        ([1, 3, 5], r#"{"quorum": 2}"#, "pass"),
        ([2, 4, 1], r#"{"quorum": 2}"#, "fail/verdict_not_met"),
        ([1, 3, 5], r#""all""#, "cancelled/overloaded"),
        ([1, 2, 5], r#""all""#, "fail/verdict_not_met"),
        ([1, 2, 5], r#"{"percent": 34}"#, "cancelled/overloaded"),
    ];
    in_system(async {
        let (probes, gate) = gated();
        let mut setup = Setup::new(probes, 1);
        setup.pool = PoolSettings { size: 1, queue_max: 1, per_check_max: None };
        let local = setup.start().await;
        for (number, (hosts, rule, expected)) in CASES.into_iter().enumerate() {
            let addresses = hosts.map(|host| format!(r#""127.0.0.{host}:9""#)).join(", ");
            let check = format!(
                r#"{{"id": "c{number}", "tcp": {{"address": "127.0.0.1:9"}}, "addresses": [{addresses}],
                    "verdict": {rule}, "interval": "5m", "timeout": "5m"}}"#
            );
            let results = local.run(&[check], SOON).await;
            // The two others run one after the other, once the third is out.
            local.until_results(number * 3 + 1).await;
            gate.open(2);
            let results = all(results).await;
            assert_eq!(results.len(), 3);
            assert_eq!(results[0].target.endpoint, format!("127.0.0.{}:9", hosts[2]));
            assert_eq!(told(&results[0]), "cancelled/overloaded");
            let find = || local.verdicts().into_iter().nth(number);
            let verdict = until("the verdict", SOON, find).await;
            let code = verdict.reason.as_ref().map(|reason| format!("/{}", reason.code)).unwrap_or_default();
            assert_eq!(format!("{}{code}", verdict.outcome), expected, "{hosts:?} {rule}: {verdict:#?}");
            assert_eq!((verdict.total, verdict.undecided), (3, 1));
            local.until_at_rest().await;
        }
        let status = local.status().await;
        assert_eq!(status.counts.shed["overloaded"], CASES.len() as u64);
        assert!(local.results().iter().all(|result| result.outcome != Outcome::Lost));
    });
}
