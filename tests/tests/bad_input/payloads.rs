//! Random bytes, broken messages and huge ones on every subject of a bastion.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use watchpost_model::{CheckType, ErrorReply, Format, Task, TaskResult, decode, encode, header};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

const PAYLOADS: usize = 3_000;

/// xorshift64*: the same payloads in every run, so that what fails fails again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// A payload that is probably none: noise, a real message cut short or changed, or one that is huge.
fn payload(random: &mut Random, real: &[Vec<u8>]) -> Vec<u8> {
    let mut message = real[random.below(real.len())].clone();
    match random.below(10) {
        0 => Vec::new(),
        1..=3 => {
            let length = random.below(400);
            random.bytes(length)
        }
        4..=5 => {
            let length = random.below(message.len());
            message.truncate(length);
            message
        }
        6..=7 => {
            for _ in 0..=random.below(4) {
                let at = random.below(message.len());
                message[at] = random.next().to_le_bytes()[0];
            }
            message
        }
        // Deeper than any reader should follow.
        8 => [b"{\"v\":".repeat(200), vec![0x91; 2_000], b"[".repeat(2_000)][random.below(3)].clone(),
        _ => {
            // Rarely, since each costs more than all others together.
            let length = if random.below(8) == 0 { 300 * 1024 } else { 3_000 };
            random.bytes(length)
        }
    }
}

struct Rig {
    observer: Observer,
    bastion: Watchpost,
    _server: HttpFixture,
    _nats: NatsServer,
}

impl Rig {
    /// A bastion that runs some checks, of which some tasks and results have been seen.
    async fn start() -> Self {
        let nats = NatsServer::start();
        let observer = Observer::start(&nats.url()).await;
        let server = HttpFixture::start("target").await.unwrap();
        let mut yaml = String::from("bastion: b1\nchecks:\n");
        for i in 0..6 {
            let url = format!("http://{}/ok", server.address());
            yaml += &format!("- {{id: h{i}, http: {{url: '{url}'}}, interval: 1s, timeout: 1s}}\n");
            yaml += &format!("- {{id: t{i}, tcp: {{address: '{}'}}, interval: 1s, timeout: 1s}}\n", server.address());
        }
        let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
        // Each refusal is logged; what is logged here is read over and over.
        let log = "error,watchpost=info,watchpost_console=info";
        let bastion = Launch::new("bastion").config(&yaml).args(&args).log(log).start_ready().await;
        until("results", SOON, || (observer.results().len() >= 24).then_some(())).await;
        Self { observer, bastion, _server: server, _nats: nats }
    }

    /// The checks go on, the process lives, and its workers are home or out.
    async fn assert_undisturbed(&mut self) {
        self.observer.catch_up().await;
        let seen = self.observer.results().len();
        let fresh = || self.observer.results().split_off(seen);
        let ours = |result: &TaskResult| ["h", "t"].iter().any(|kind| result.check.as_str().starts_with(kind));
        let passes = || fresh().iter().filter(|r| ours(r) && r.outcome.as_str() == "pass").count();
        until("results as before", SOON, || (passes() >= 24).then_some(())).await;
        assert_eq!(self.bastion.try_code(), None);
        let health = self.bastion.health().await;
        for pool in health["pools"].as_array().unwrap() {
            let number = |key: &str| pool[key].as_u64().unwrap();
            assert_eq!(number("idle") + number("busy"), number("size"), "{health}");
        }
        assert_eq!((&health["status"], &health["counts"]["tasks_unreported"]), (&"ok".into(), &0.into()), "{health}");
        assert_eq!(health["counts"]["panics"], 0, "{health}");
    }
}

fn headers(random: &mut Random) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let content_type = ["application/json", "application/msgpack", "text/plain"];
    if let Some(content_type) = content_type.get(random.below(5)) {
        headers.insert(header::CONTENT_TYPE, *content_type);
    }
    if random.below(3) == 0 {
        headers.insert(header::MSG_ID, "not-a-task");
    }
    headers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_task_is_answered_and_nothing_else_changes() {
    let mut rig = Rig::start().await;
    let tasks = rig.observer.tasks();
    let real: Vec<Vec<u8>> = tasks
        .iter()
        .take(20)
        .flat_map(|task| [Format::MsgPack, Format::Json].map(|format| encode(&**task, format)))
        .collect();
    let client = rig.observer.client().clone();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
    let mut random = Random(0x5eed);
    let mut expected = HashMap::<String, Format>::new();
    for number in 0..PAYLOADS {
        let check_type = CheckType::ALL[random.below(2)];
        let payload = payload(&mut random, &real);
        let headers = headers(&mut random);
        let format = Format::detect(headers.get(header::CONTENT_TYPE).map(|value| value.as_str()), &payload);
        let reply = format!("{inbox}.{number}");
        // A change may have left a message that can be read: that one is run.
        if !decode::<Task>(&payload, format).is_ok_and(|task| task.check_type() == check_type) {
            expected.insert(reply.clone(), format);
        }
        let subject = format!("watchpost.b1.task.{check_type}");
        client.publish_with_reply_and_headers(subject, reply, headers, Bytes::from(payload)).await.unwrap();
    }
    assert!(expected.len() > 2_000, "{}", expected.len());
    let mut refused = 0;
    while !expected.is_empty() {
        let reply = tokio::time::timeout(SOON, replies.next()).await;
        let reply = reply.unwrap_or_else(|_| panic!("{} bad tasks were not answered", expected.len())).unwrap();
        let Some(format) = expected.remove(reply.subject.as_str()) else { continue };
        let told: ErrorReply = decode(&reply.payload, format).unwrap_or_else(|e| panic!("{e}: {reply:?}"));
        let code = reply.headers.as_ref().and_then(|headers| headers.get(header::ERROR)).unwrap();
        assert_eq!(code.as_str(), told.code.to_string());
        assert!(
            told.message.starts_with("this is not a task: ") || told.message.contains("came on the subject"),
            "{told:?}"
        );
        refused += 1;
    }
    let health = rig.bastion.health().await;
    assert_eq!(health["counts"]["payloads_refused"], refused, "{health}");
    rig.assert_undisturbed().await;
    assert_eq!(rig.bastion.stop().await, 0, "{}", rig.bastion.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_results_and_requests_to_cancel_are_dropped_and_nothing_else_changes() {
    let mut rig = Rig::start().await;
    let results = rig.observer.results();
    let real: Vec<Vec<u8>> = results
        .iter()
        .take(20)
        .flat_map(|result| [Format::MsgPack, Format::Json].map(|format| encode(&**result, format)))
        .collect();
    let client = rig.observer.client().clone();
    let inbox = client.new_inbox();
    let mut random = Random(0xbad5eed);
    let subjects = ["watchpost.b1.result.h0", "watchpost.b1.result.none", "watchpost.b1.control.task.cancel"];
    for _ in 0..PAYLOADS {
        let mut headers = headers(&mut random);
        if random.below(4) == 0 {
            headers.insert(header::ERROR, "bad_payload");
        }
        let payload = Bytes::from(payload(&mut random, &real));
        let subject = subjects[random.below(subjects.len())];
        client.publish_with_reply_and_headers(subject, inbox.clone(), headers, payload).await.unwrap();
    }
    client.flush().await.unwrap();
    let counted = async {
        while rig.bastion.health().await["counts"]["payloads_refused"].as_u64() < Some(PAYLOADS as u64 / 2) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, counted).await.expect("what cannot be read is counted");
    rig.assert_undisturbed().await;
    assert_eq!(rig.bastion.stop().await, 0, "{}", rig.bastion.stderr());
}
