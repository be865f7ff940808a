//! Bad input: each piece gets its clear error or outcome, and everything else goes on.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use watchpost_model::{
    CancelTasks, Check, Endpoint, ErrorCode, ErrorReply, Firing, Format, Message, Outcome, RunId, Task, TaskResult,
    Timestamp, decode, encode, header,
};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

/// Random bytes that are the same in each run: xorshift64*, by Vigna.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// Some bytes: at random, or a real message that was cut or altered.
    fn payload(&mut self, real: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = match self.below(3) {
            0 => (0..self.below(300)).map(|_| (self.next() >> 56) as u8).collect(),
            _ => real[self.below(real.len())].clone(),
        };
        for _ in 0..self.below(6) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] = (self.next() >> 56) as u8,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, (self.next() >> 56) as u8),
            }
        }
        bytes
    }
}

/// A real task of a check that nobody has.
fn task(url: &str) -> Task {
    let json = format!(r#"{{"id": "stray", "http": {{"url": "{url}"}}}}"#);
    let check: Check = decode(json.as_bytes(), Format::Json).unwrap();
    let bastion = "b1".parse().unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), at(1)),
        bastion: &bastion,
        scheduled_at: at(1),
        deadline: at(4_000_000_000),
        answer_by: at(4_000_000_000),
        config_generation: 1,
    };
    Task::new(&check, Endpoint::unresolved(&check.target().host_port), &firing)
}

fn real_messages() -> Vec<Vec<u8>> {
    // Where an altered one is still a task, port 9 refuses it at once.
    let task = task("http://127.0.0.1:9/");
    let cancel: CancelTasks =
        decode(br#"{"v": 1, "cause": "shutting_down", "message": "m", "tasks": []}"#, Format::Json).unwrap();
    [Format::MsgPack, Format::Json]
        .iter()
        .flat_map(|format| [encode(&task, *format), encode(&cancel, *format)])
        .collect()
}

async fn bastion_on(nats: &NatsServer, server: &HttpFixture) -> Watchpost {
    let config = format!(
        "bastion: b1\nchecks:\n- {{id: good, http: {{url: 'http://{}/ok'}}, interval: 1s}}\n",
        server.address()
    );
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    // A line for each refusal would be thousands.
    Launch::new("bastion").config(&config).args(&args).log("error,watchpost=info").start_ready().await
}

async fn until_passes_grow_by(observer: &Observer, n: usize) {
    let passes =
        || observer.results().iter().filter(|r| r.check.as_str() == "good" && r.outcome == Outcome::Pass).count();
    let before = passes();
    until("the good check goes on", SOON, || (passes() >= before + n).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_on_every_subject_stop_nothing() {
    let nats = NatsServer::start();
    let server = HttpFixture::start("target").await.unwrap();
    let observer = Observer::of_results(&nats.url()).await;
    let mut bastion = bastion_on(&nats, &server).await;
    let client = observer.client();
    let (real, mut random) = (real_messages(), Random(0x5eed));
    let subjects = [
        "watchpost.b1.task.http",
        "watchpost.b1.task.tcp",
        "watchpost.b1.result.good",
        "watchpost.b1.result.nobody",
        "watchpost.b1.control.task.cancel",
    ];
    for _ in 0..4_000 {
        let subject = subjects[random.below(subjects.len())];
        let mut headers = async_nats::HeaderMap::new();
        match random.below(5) {
            0 => headers.insert(header::CONTENT_TYPE, Format::Json.content_type()),
            1 => headers.insert(header::CONTENT_TYPE, "text/plain"),
            2 => headers.insert(header::ERROR, "bad_payload"),
            3 => headers.insert(header::MSG_ID, "not-an-id"),
            _ => {}
        }
        let payload = random.payload(&real);
        client
            .publish_with_reply_and_headers(subject, client.new_inbox(), headers, payload.into())
            .await
            .expect("a publish");
    }
    client.flush().await.expect("a flush");
    until_passes_grow_by(&observer, 2).await;
    let health = bastion.health().await;
    assert!(health["counts"]["payloads_refused"].as_u64().unwrap() > 1_000, "{health}");
    assert_eq!(health["counts"]["tasks_unreported"], 0, "{health}");
    assert_eq!(health["counts"]["panics"], 0, "{health}");
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_task_is_answered_with_what_is_wrong_with_it() {
    let nats = NatsServer::start();
    let server = HttpFixture::start("target").await.unwrap();
    let observer = Observer::of_results(&nats.url()).await;
    let mut bastion = bastion_on(&nats, &server).await;
    let client = observer.client();
    let good = encode(&task("http://127.0.0.1:9/"), Format::Json);
    let altered = |from: &str, to: &str| String::from_utf8(good.clone()).unwrap().replace(from, to).into_bytes();
    let too_large = vec![b' '; Task::BYTES_MAX + 1];
    for (payload, code, told) in [
        (b"{}".to_vec(), ErrorCode::BadPayload, "missing field `v`"),
        (b"\xc1\x00".to_vec(), ErrorCode::BadPayload, "task"),
        (altered(r#""v":1"#, r#""v":2"#), ErrorCode::UnknownVersion, "expected `v: 1`"),
        (altered("http://127", "ftp://127"), ErrorCode::BadPayload, "expected `http` or `https`"),
        (altered(r#""probe":{"http""#, r#""probe":{"smtp""#), ErrorCode::BadPayload, "smtp"),
        (altered(r#""check":"stray""#, r#""check":"a.b""#), ErrorCode::BadPayload, "check id"),
        (too_large, ErrorCode::TooLarge, "expected at most 262144"),
    ] {
        let answer = client.request("watchpost.b1.task.http", payload.into()).await.expect("an answer");
        let format = Format::detect(None, &answer.payload);
        let reply: ErrorReply = decode(&answer.payload, format).expect("an error reply");
        assert_eq!(reply.code, code, "{reply:?}");
        assert!(reply.message.contains(told), "{reply:?} lacks {told}");
        let headers = answer.headers.expect("headers");
        assert_eq!(headers.get(header::ERROR).map(|value| value.to_string()), Some(code.to_string()));
    }
    let wrong_pool = client.request("watchpost.b1.task.tcp", good.clone().into()).await.expect("an answer");
    let reply: ErrorReply = decode(&wrong_pool.payload, Format::detect(None, &wrong_pool.payload)).unwrap();
    assert!(reply.message.contains("http task came on the subject of tcp tasks"), "{reply:?}");
    // And the same task unharmed is run, and answered to whoever asked.
    let answer = client.request("watchpost.b1.task.http", good.into()).await.expect("an answer");
    let result: TaskResult = decode(&answer.payload, Format::MsgPack).expect("a result");
    assert_eq!(result.outcome, Outcome::Error, "{result:?}");
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
}

/// What each behaviour of the server must come to, through the whole path.
const HOSTILE: &[(&str, &str, Outcome, &str)] = &[
    ("hang", "/hang", Outcome::Timeout, "first_byte_timeout"),
    ("endless", "/endless", Outcome::Pass, ""),
    ("short", "/short", Outcome::Error, "connection_closed"),
    ("garbage", "/garbage", Outcome::Error, "protocol_error"),
    ("reset", "/reset", Outcome::Error, "connection_reset"),
    ("bomb", "/gzip-bomb", Outcome::Pass, ""),
    ("good", "/ok", Outcome::Pass, ""),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_servers_cost_bounded_memory_and_hold_up_nobody() {
    let nats = NatsServer::start();
    let server = HttpFixture::start("target").await.unwrap();
    let observer = Observer::of_results(&nats.url()).await;
    let mut config = String::from("bastion: b1\nchecks:\n");
    for (name, path, ..) in HOSTILE {
        for copy in 0..10 {
            let id = if copy == 0 { (*name).to_owned() } else { format!("{name}-{copy}") };
            let url = format!("http://{}{path}", server.address());
            config += &format!("- {{id: {id}, http: {{url: '{url}'}}, interval: 1s, timeout: 1s}}\n");
        }
    }
    let args = ["--bus", &nats.url(), "--console", "127.0.0.1:0"];
    let mut bastion = Launch::new("bastion").config(&config).args(&args).start_ready().await;
    until_passes_grow_by(&observer, 6).await;
    let of_each: BTreeMap<_, _> = HOSTILE.iter().map(|(name, ..)| (*name, results_of(&observer, name))).collect();
    for (name, _, outcome, code) in HOSTILE {
        let results = &of_each[name];
        assert!(!results.is_empty(), "{name} was never reported");
        for result in results {
            let reason = result.reason.as_ref().map_or("", |reason| reason.code.as_str());
            assert_eq!((result.outcome, reason), (*outcome, *code), "{name}: {result:#?}");
        }
    }
    for result in of_each["bomb"].iter().chain(&of_each["endless"]) {
        let http = result.http.as_ref().expect("evidence");
        assert!(http.body_truncated && http.body_bytes == 128 * 1024, "{http:?}");
    }
    // 70 checks at once of at most 128 KiB each; what one bomb holds in full is 10 GB.
    let resident_kib = bastion.resident_kib();
    assert!(resident_kib < 200 * 1024, "{resident_kib} KiB are resident");
    assert_eq!(bastion.stop().await, 0, "{}", bastion.stderr());
}

fn results_of(observer: &Observer, check: &str) -> Vec<std::sync::Arc<TaskResult>> {
    observer.results().into_iter().filter(|result| result.check.as_str() == check).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_without_a_reply_subject_is_reported_where_scheduled_ones_are() {
    let nats = NatsServer::start();
    let server = HttpFixture::start("target").await.unwrap();
    let observer = Observer::of_results(&nats.url()).await;
    let mut bastion = bastion_on(&nats, &server).await;
    let mut results = observer.client().subscribe("watchpost.b1.result.stray").await.unwrap();
    observer.client().flush().await.unwrap();
    let payload = encode(&task(&format!("http://{}/ok", server.address())), Format::Json);
    observer.client().publish("watchpost.b1.task.http", payload.into()).await.unwrap();
    let message = tokio::time::timeout(Duration::from_secs(20), results.next()).await.expect("in time").unwrap();
    let result: TaskResult = decode(&message.payload, Format::MsgPack).unwrap();
    assert_eq!(result.outcome, Outcome::Pass);
    assert_eq!(bastion.stop().await, 0);
}
