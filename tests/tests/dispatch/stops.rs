//! O2: stops whose last step is what they do themselves.

use std::time::{Duration, Instant};

use watchpost_probe::Resolver;
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::process::SOON;

use crate::local::{Setup, all, gated, in_system};
use crate::rig::told;

#[test]
fn o2_a_stop_is_over_as_soon_as_cancelling_has_ended_the_last_run() {
    const GRACE: Duration = Duration::from_secs(4);
    in_system(async {
        // Nothing is in flight but a question that nobody answers: no result and no answer wakes the Checker.
        let dns = DnsServer::silent().await.unwrap();
        let mut setup = Setup::new(gated().0, 1);
        setup.resolver = Resolver::with_nameservers(vec![dns.address()]);
        let local = setup.start().await;
        let check = r#"{"id": "c", "tcp": {"address": "svc.example:9"}, "addresses": "all", "interval": "5m", "timeout": "5m"}"#;
        let results = local.run(&[check.to_owned()], SOON * 10).await;
        while dns.questions() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let begun = Instant::now();
        let report = local.agent.stop(GRACE).await;
        let took = begun.elapsed();
        assert!(report.is_clean(), "{report:?}");
        // A quarter of the Checker's part of the grace is kept back for cancelling.
        assert!(took >= GRACE / 2 && took < GRACE * 4 / 5, "{took:?}");
        let told_to = all(results).await.iter().map(told).collect::<Vec<_>>();
        assert_eq!(told_to, ["cancelled/shutting_down"]);
        assert_eq!(local.until_results(1).await.iter().map(told).collect::<Vec<_>>(), told_to);
    });
}
