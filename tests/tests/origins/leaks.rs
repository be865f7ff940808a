//! O3: work that timed out once left a blocked task behind for each call, until memory ran out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use watchpost_agent::GroupPolicy;
use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::agent;

const HANGING: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(3);

/// Servers that never answer, on a runtime of their own: their tasks are not counted with the agent's.
struct Silent {
    http: HttpFixture,
    tcp: Server,
    runtime: Runtime,
}

impl Silent {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (http, tcp) = runtime.block_on(async {
            let tcp = Behaviour::Silent.start(IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap();
            (HttpFixture::start("target").await.unwrap(), tcp)
        });
        Self { http, tcp, runtime }
    }

    fn open(&self) -> usize {
        self.http.counts().open() + self.tcp.counts().open()
    }

    /// Half of the items wait for an HTTP answer, half for a word over TCP.
    fn items(&self, number: usize) -> Vec<watchpost_agent::RunItem> {
        let http = format!("http://{}/hang", self.http.address());
        let tcp = self.tcp.address().to_string();
        let item = |i: usize| match i % 2 {
            0 => agent::http(&format!("c{i}"), &http),
            _ => agent::tcp_that_listens(&format!("c{i}"), &tcp),
        };
        (0..number).map(item).collect()
    }
}

#[test]
fn o3_a_thousand_timeouts_leave_no_task_and_no_connection_behind() {
    let silent = Silent::start();
    agent::in_system(async {
        let agent = agent::start(agent::probes(), HANGING / 2, HANGING).await;
        // Whatever is made once and kept is made now.
        let first = agent::run(&agent, silent.items(20), LIMIT / 10, GroupPolicy::CollectAll).await;
        assert_eq!(first.len(), 20);
        agent::assert_all_settled(&agent, HANGING / 2).await;
        let alive = || Handle::current().metrics().num_alive_tasks();
        let before = until_steady(alive).await;

        let results = agent::run(&agent, silent.items(HANGING), LIMIT, GroupPolicy::CollectAll).await;
        assert_eq!(results.len(), HANGING);
        // All end in the same moment, and a busy machine may not have reported on each when the time is over.
        let hung = |result: &&TaskResult| matches!(result.outcome, Outcome::Timeout | Outcome::Lost);
        assert_eq!(results.iter().filter(hung).count(), HANGING, "{:#?}", results.iter().find(|r| !hung(r)));

        agent::assert_all_settled(&agent, HANGING / 2).await;
        until("as many tasks as before", SOON, || (alive() <= before).then_some(())).await;
        until("no connection is open", SOON, || (silent.open() == 0).then_some(())).await;
        assert_eq!(silent.http.counts().peak() + silent.tcp.counts().peak(), HANGING, "all hung at the same time");
        assert_eq!(agent.status().await.unwrap().counts.tasks_unreported, 0);
    });
    silent.runtime.shutdown_background();
}

/// The number once it has stayed the same for a while.
async fn until_steady(mut number: impl FnMut() -> usize) -> usize {
    let (mut last, mut same) = (number(), 0);
    while same < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = number();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_a_process_is_after_a_thousand_timeouts_as_it_was_before() {
    let server = HttpFixture::start("target").await.unwrap();
    let checks = |number: usize| {
        let mut yaml = format!("bastion: b1\npools: {{http: {{size: {HANGING}}}}}\nchecks:\n");
        for i in 0..number {
            let url = format!("http://{}/hang", server.address());
            yaml += &format!("- {{id: c{i}, http: {{url: '{url}'}}, interval: 4s, timeout: 2s}}\n");
        }
        yaml
    };
    let idle = "bastion: b1\nchecks: []\n";
    let up =
        Launch::new("up").config(&checks(20)).args(&["--console", "127.0.0.1:0", "-o", "ndjson"]).start_ready().await;
    // Whatever is made once and kept is made now.
    until("the first timeouts", SOON, || (up.results().len() >= 20).then_some(())).await;
    apply(&up, idle, 1).await;
    let (descriptors, threads) = resting(&up, &server).await;
    let (seen, accepted) = (up.results().len(), server.counts().accepted());

    apply(&up, &checks(HANGING), 2).await;
    until("a thousand hang", SOON, || (server.counts().accepted() >= accepted + HANGING).then_some(())).await;
    // All of them to their end: what still ran at a change of the checks would be cancelled.
    let timeouts = || up.results()[seen..].iter().filter(|result| result.outcome == Outcome::Timeout).count();
    until("a thousand timeouts", SOON, || (timeouts() >= HANGING).then_some(())).await;
    apply(&up, idle, 3).await;
    let after = resting(&up, &server).await;
    let results = up.results().split_off(seen);
    assert!(results.len() >= HANGING, "{}", results.len());
    let as_told = |result: &TaskResult| {
        matches!(agent::told(result).as_str(), "cancelled/check_changed" | "timeout/first_byte_timeout")
    };
    assert!(results.iter().all(as_told), "{results:#?}");
    assert!(server.counts().peak() > HANGING / 10, "they hung at the same time");
    assert_eq!(after.0, descriptors, "descriptors, sockets among them");
    assert!(after.1 <= threads, "threads: {} before, {} after", threads, after.1);
}

/// Makes the process take these checks in place of the ones before, as its `number`th reload.
async fn apply(up: &Watchpost, yaml: &str, number: usize) {
    std::fs::write(up.folder().join(Launch::CONFIG), yaml).unwrap();
    up.signal("HUP");
    until("the checks are reloaded", SOON, || (up.logged("checks reloaded").len() >= number).then_some(())).await;
}

/// Descriptors and threads once nothing is outstanding and no connection is open.
async fn resting(up: &Watchpost, server: &HttpFixture) -> (usize, usize) {
    let end = std::time::Instant::now() + SOON;
    loop {
        let health = up.health().await;
        if health["checker"]["outstanding"] == 0 && health["checker"]["checks"] == 0 && server.counts().open() == 0 {
            break;
        }
        assert!(std::time::Instant::now() < end, "{health}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The connection of the question itself may still be on its way out.
    (until_steady(|| up.descriptors()).await, until_steady(|| up.threads()).await)
}
