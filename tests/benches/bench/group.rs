//! O5: a group takes about as long as its slowest target, not as long as all of them together.

use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{Roles, RunItem, run_system};
use watchpost_bus::{InProcessBus, SharedBus};
use watchpost_probe::{ProbeSet, Resolver};
use watchpost_tests::http_fixture::HttpFixture;

use crate::agents;
use crate::figures::{Figures, median, shown};

/// How many targets the group has.
const TARGETS: usize = 50;
/// How long each of them takes to answer.
const ANSWER: Duration = Duration::from_millis(20);
/// How much longer than its slowest target a group may take and still be "about as long".
const ABOUT: f64 = 2.0;

/// Times the group with a worker for each target, and with one worker for all.
pub fn run(rounds: usize, figures: &mut Figures) {
    let (parallel, serial) = run_system(async {
        let mut times = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            times.0.push(o5_parallel_beats_serial(TARGETS).await);
            times.1.push(o5_parallel_beats_serial(1).await);
        }
        let middle = |times: Vec<Duration>| median(times.iter().map(Duration::as_secs_f64));
        (middle(times.0), middle(times.1))
    })
    .expect("a runtime");
    let what = format!("o5_parallel_beats_serial: {TARGETS} targets that each answer after {ANSWER:?}");
    let most = ANSWER.as_secs_f64() * ABOUT;
    let goal = format!("≤ {}", shown(Duration::from_secs_f64(most)));
    figures.goal(format!("{what}, at once"), shown(Duration::from_secs_f64(parallel)), goal, parallel <= most);
    figures.note(format!("{what}, one by one"), shown(Duration::from_secs_f64(serial)));
    figures.note(format!("{what}, times faster"), format!("{:.0}", serial / parallel));
}

/// The group through a Runner with this many workers.
async fn o5_parallel_beats_serial(workers: usize) -> Duration {
    let bus: SharedBus = Arc::new(InProcessBus::new());
    let agent = agents::start(Roles::Both, &bus, ProbeSet::standard(&Resolver::system()), workers).await;
    let server = HttpFixture::start("slow").await.expect("a server");
    let url = format!("http://{}/slow?ms={}", server.address(), ANSWER.as_millis());
    let items = || (0..TARGETS).map(|_| RunItem::Check(Box::new(agents::http_check(&url)))).collect();
    if workers == TARGETS {
        // Each worker makes its client for its first check, which a service does once in its life.
        agents::run_items(&agent, items()).await;
    }
    let took = agents::run_items(&agent, items()).await;
    agents::stop(agent).await;
    took
}
