//! Random bytes, broken requests and huge ones for every verb: an answer each, and the checks go on.

use std::collections::HashSet;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use watchpost_model::{
    AskLast, CancelTasks, DeleteCheck, Drain, ErrorReply, Format, GetCheck, HoldTasks, ListChecks, PauseCheck,
    PutCheck, ResizePool, SetLogLevel, TestCheck, TestPolicy, Verb, decode, header,
};
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{SOON, until};
use watchpost_tests::tcp_fixture::Behaviour;

use crate::rig::{Rig, subject};

const PAYLOADS: usize = 10_000;
/// How many requests are not answered yet at a time, at most.
const AHEAD: usize = 200;

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

/// A request of each verb that is one, as JSON.
fn valid(verb: Verb) -> serde_json::Value {
    let tcp = json!({"address": "127.0.0.1:9"});
    match verb {
        Verb::CheckPut => json!({"v": 1, "request": "f", "check": {"id": "f", "tcp": tcp}, "dry_run": true}),
        Verb::CheckGet | Verb::CheckDelete | Verb::CheckPause | Verb::CheckResume | Verb::ResultLast => {
            json!({"v": 1, "check": "f"})
        }
        Verb::CheckTest => json!({"v": 1, "document": {"id": "f", "tcp": tcp}, "limit_ms": 100, "max_endpoints": 1}),
        Verb::TaskCancel => json!({"v": 1, "cause": "requested", "message": "f", "runs": [], "tasks": []}),
        Verb::PolicyTest => json!({"v": 1, "checks": [{"id": "f", "tcp": tcp}]}),
        Verb::PoolResize => json!({"v": 1, "type": "udp", "size": 3, "per_check": 2}),
        Verb::BastionLogLevel => json!({"v": 1, "filter": "info", "for_s": 1}),
        Verb::TaskHold => json!({"v": 1, "for_ms": 1}),
        Verb::CheckList | Verb::BastionStatus | Verb::BastionDrain | Verb::BastionUndrain => json!({"v": 1}),
    }
}

/// Whether the payload still is a request of that verb, which would be carried out.
fn is_request(verb: Verb, payload: &[u8], format: Format) -> bool {
    let payload = if payload.is_empty() { b"{}" } else { payload };
    match verb {
        Verb::CheckPut => decode::<PutCheck>(payload, format).is_ok(),
        Verb::CheckGet => decode::<GetCheck>(payload, format).is_ok(),
        Verb::CheckList => decode::<ListChecks>(payload, format).is_ok(),
        Verb::CheckDelete => decode::<DeleteCheck>(payload, format).is_ok(),
        Verb::CheckPause | Verb::CheckResume => decode::<PauseCheck>(payload, format).is_ok(),
        Verb::CheckTest => decode::<TestCheck>(payload, format).is_ok(),
        Verb::ResultLast => decode::<AskLast>(payload, format).is_ok(),
        Verb::TaskCancel => decode::<CancelTasks>(payload, format).is_ok(),
        Verb::TaskHold => decode::<HoldTasks>(payload, format).is_ok(),
        Verb::PolicyTest => decode::<TestPolicy>(payload, format).is_ok(),
        Verb::PoolResize => decode::<ResizePool>(payload, format).is_ok(),
        Verb::BastionStatus => decode::<watchpost_model::AskStatus>(payload, format).is_ok(),
        Verb::BastionDrain | Verb::BastionUndrain => decode::<Drain>(payload, format).is_ok(),
        Verb::BastionLogLevel => decode::<SetLogLevel>(payload, format).is_ok(),
    }
}

/// A payload that is probably no request: noise, a real one cut short or changed, too deep, or huge.
fn payload(random: &mut Random, verb: Verb) -> Vec<u8> {
    let mut message = valid(verb).to_string().into_bytes();
    match random.below(10) {
        0..=2 => {
            let length = random.below(400) + 1;
            random.bytes(length)
        }
        3..=4 => {
            let length = random.below(message.len());
            message.truncate(length.max(1));
            message
        }
        5..=7 => {
            for _ in 0..=random.below(4) {
                let at = random.below(message.len());
                message[at] = random.next().to_le_bytes()[0];
            }
            message
        }
        8 => [b"{\"v\":".repeat(200), vec![0x91; 2_000], b"[".repeat(2_000)][random.below(3)].clone(),
        _ => {
            // Rarely, since each costs more than all others together.
            let length = if random.below(16) == 0 { 600 * 1024 } else { 5_000 };
            random.bytes(length)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_7_ten_thousand_bad_requests_have_an_error_each_and_nothing_stops() {
    let server = Behaviour::SaysAndCloses(b"ok".to_vec()).start("127.0.0.1".parse().unwrap()).await.unwrap();
    let check = |i| format!("- {{id: c{i}, tcp: {{address: '{}', expect: ok}}, interval: 1s}}\n", server.address());
    let mut rig = Rig::start(&format!("checks:\n{}", (0..8).map(check).collect::<String>())).await;
    let observer = Observer::of_results(&rig.nats.url()).await;
    let client = rig.asker.client.clone();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
    let mut random = Random(0x5eed_c0de);
    let (mut sent, mut waiting) = (0, HashSet::new());
    while sent < PAYLOADS || !waiting.is_empty() {
        if sent < PAYLOADS && waiting.len() < AHEAD {
            let unknown = random.below(20) == 0;
            let verb = Verb::ALL[random.below(Verb::ALL.len())];
            let payload = payload(&mut random, verb);
            let mut headers = HeaderMap::new();
            if let Some(content_type) = ["application/json", "application/msgpack", "text/plain"].get(random.below(6)) {
                headers.insert(header::CONTENT_TYPE, *content_type);
            }
            let given = headers.get(header::CONTENT_TYPE).map(|value| value.as_str());
            let format = Format::detect(given, &payload);
            if !unknown && is_request(verb, &payload, format) {
                continue;
            }
            let to = if unknown { format!("nothing.{}", random.below(9)) } else { verb.to_string() };
            let reply = format!("{inbox}.{sent}");
            client
                .publish_with_reply_and_headers(subject(&to), reply.clone(), headers, Bytes::from(payload))
                .await
                .unwrap();
            waiting.insert(reply);
            sent += 1;
            continue;
        }
        let reply = tokio::time::timeout(SOON, replies.next()).await;
        let reply = reply.unwrap_or_else(|_| panic!("{} were not answered: {waiting:?}", waiting.len())).unwrap();
        assert!(waiting.remove(reply.subject.as_str()), "answered twice: {reply:?}");
        let headers = reply.headers.as_ref().unwrap_or_else(|| panic!("no headers: {reply:?}"));
        let told = headers.get(header::CONTENT_TYPE).map(|value| value.as_str());
        let error: ErrorReply =
            decode(&reply.payload, Format::detect(told, &reply.payload)).unwrap_or_else(|e| panic!("{e}: {reply:?}"));
        assert_eq!(headers.get(header::ERROR).unwrap().as_str(), error.code.to_string());
    }
    observer.catch_up().await;
    let seen = observer.results().len();
    let passes = || observer.results()[seen..].iter().filter(|result| result.outcome.as_str() == "pass").count();
    until("results as before", SOON, || (passes() >= 24).then_some(())).await;
    let status = rig.asker.json("bastion.status", json!({})).await.value();
    assert_eq!((&status["draining"], &status["actors_rebuilt"]), (&false.into(), &0.into()), "{status}");
    let panicked = status.get("last_errors").into_iter().flat_map(|errors| errors.as_array().unwrap());
    assert!(!panicked.into_iter().any(|error| error["message"].as_str().unwrap().contains("panicked")), "{status}");
    assert_eq!(rig.bastion.stop().await, 0, "{}", rig.bastion.stderr());
}
