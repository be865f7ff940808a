//! So many tasks at once that whatever is not bounded shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use watchpost_agent::Roles;
use watchpost_bus::Bus;
use watchpost_tests::process::{SOON, until};

use crate::local::{Setup, gated, in_system};
use crate::rig::{endpoints, told};

/// More than a test has patience for.
const LONG: Duration = Duration::from_secs(600);

fn json(id: usize, addresses: &str) -> String {
    let tcp = format!(r#""tcp": {{"address": "127.0.0.1:9"}}, "addresses": {addresses}, "parallel": 10000"#);
    format!(r#"{{"id": "c{id}", {tcp}, "interval": "5m", "timeout": "5m"}}"#)
}

#[test]
fn guarantee_3_when_a_requester_of_20_000_goes_away_each_is_told_soon() {
    const ITEMS: usize = 20_000;
    const WORKERS: usize = 64;
    // To begin them takes as long as there are many. To end them takes about twice as long, and ten times where
    // each one that ends looks at all the others.
    const TIMES_MAX: u32 = 5;
    in_system(async {
        let (probes, gate) = gated();
        let mut setup = Setup::new(probes, WORKERS);
        setup.pool.queue_max = ITEMS;
        let local = setup.start().await;
        let checks: Vec<String> = (0..ITEMS).map(|id| json(id, r#"["127.0.0.1"]"#)).collect();
        let begun = Instant::now();
        let reports = local.run(&checks, LONG).await;
        let end = Instant::now() + SOON;
        while local.status().await.pools.unwrap()[0].waiting < ITEMS - WORKERS {
            assert!(Instant::now() < end, "the tasks do not get to the Runner");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        gate.until_started(WORKERS).await;
        let to_begin = begun.elapsed();
        let begun = Instant::now();
        drop(reports);
        let results = local.until_results(ITEMS).await;
        let took = begun.elapsed();
        println!("XX {to_begin:?} {took:?}");
        assert!(results.iter().all(|result| told(result) == "cancelled/requester_gone"));
        assert!(took < to_begin * TIMES_MAX, "{took:?}, and it took {to_begin:?} to begin them");
        local.until_at_rest().await;
        assert_eq!(local.results().len(), ITEMS);
    });
}

#[test]
fn o5_a_queue_full_of_tasks_keeps_room_to_tell_which_did_not_fit() {
    // As `checker/publish.rs` has it: so many messages fit, a quarter of which are kept for what is no task.
    const QUEUE: usize = 65_536;
    const TASKS_FIT: usize = QUEUE - QUEUE / 4;
    const ENDPOINTS: usize = 10_000;
    const CHECKS: usize = 5;
    in_system(async {
        let mut setup = Setup::new(gated().0, 1);
        setup.roles = Roles::Checker;
        let local = setup.start().await;
        // Somebody listens, and no task comes back as one that nobody hears.
        let _tasks = local.bus.subscribe("watchpost.b1.task.*", None).await.unwrap();
        local.bus.hold(Some(".task."));
        let list = endpoints(9, ENDPOINTS as u32);
        let checks: Vec<String> = (0..CHECKS).map(|id| json(id, &list)).collect();
        // The first one holds up who publishes.
        let _first = local.run(&[json(CHECKS, r#"["127.0.0.1"]"#)], LONG).await;
        local.bus.until_held().await;
        let _others = local.run(&checks, LONG).await;
        local.bus.hold(None);
        let missed = CHECKS * ENDPOINTS - TASKS_FIT;
        let results = local.until_results(missed).await;
        let mut counts = BTreeMap::<String, usize>::new();
        results.iter().for_each(|result| *counts.entry(told(result)).or_default() += 1);
        assert_eq!(counts, [("missed/overloaded".to_owned(), missed)].into());
        let counts = local.status().await.counts;
        assert_eq!((counts.results_unsent, counts.shed["overloaded"]), (0, missed as u64));
        until("the tasks that fitted are sent", SOON, || {
            (local.bus.stats().published >= (1 + TASKS_FIT + missed) as u64).then_some(())
        })
        .await;
    });
}
