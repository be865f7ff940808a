//! Decoders against anything: no input panics, and none makes the process allocate out of
//! proportion to what was sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use watchpost_model::{
    BusReport, CancelTasks, Check, CheckType, DecodeErrorKind, Endpoint, ErrorReply, ErrorSeen, Firing, Format,
    Heartbeat, Message, OutboxReport, Outcome, PoolReport, Reason, ReasonCode, Role, RunId, RunVerdict, StoreReport,
    StoreState, Task, TaskClass, TaskResult, Timestamp, V1, VerdictOf, VerdictRule, decode, encode,
};

/// Counts what each thread has allocated and not freed, and the highest that was.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "a global allocator can be written in no other way; it only counts and passes on")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = isize::try_from(layout.size()).unwrap_or(isize::MAX);
        let _gone = LIVE.try_with(|live| {
            live.set(live.get() + size);
            let _gone = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
        });
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let size = isize::try_from(layout.size()).unwrap_or(isize::MAX);
        let _gone = LIVE.try_with(|live| live.set(live.get() - size));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What decoding may hold at most: a multiple of the input for the structures made of it, and a
/// constant for error texts and for regular expressions, whose compiled form is bounded by itself.
fn allowance(input: &[u8]) -> isize {
    isize::try_from(input.len() * 64 + 4 * 1024 * 1024).unwrap()
}

fn decode_within_bounds<M: Message>(input: &[u8]) -> Option<M> {
    let mut last = None;
    for format in [Format::MsgPack, Format::Json] {
        let before = LIVE.get();
        PEAK.set(before);
        let decoded = decode::<M>(input, format);
        let held = PEAK.get() - before;
        assert!(held <= allowance(input), "{} bytes of {} made it hold {held}", input.len(), M::NAME);
        last = decoded.ok().or(last);
    }
    last
}

fn decode_as_everything(input: &[u8]) {
    decode_within_bounds::<Check>(input);
    decode_within_bounds::<Task>(input);
    decode_within_bounds::<TaskResult>(input);
    decode_within_bounds::<CancelTasks>(input);
    decode_within_bounds::<ErrorReply>(input);
    decode_within_bounds::<RunVerdict>(input);
    decode_within_bounds::<Heartbeat>(input);
}

const CHECK: &str = r#"{"v": 1, "id": "a", "http": {"url": "http://a.example:81/x?y", "method": "POST",
    "headers": {"X-A": "1"}, "body": "hello", "max_redirects": 3}, "interval": "30s", "timeout": "1500ms",
    "addresses": ["10.0.0.1", "[::1]:81"], "expect": {"status": ["2xx", 404], "body_contains": ["a", "b"],
    "body_matches": "^a+$", "header": {"Server": {"equals": "x"}, "Date": {"present": true}}, "max_latency": "1s"}}"#;

fn task() -> Task {
    let check: Check = decode(CHECK.as_bytes(), Format::Json).unwrap();
    let bastion = "b".parse().unwrap();
    let at = |secs| Timestamp::from_second(secs).unwrap();
    let run = RunId::derive(&bastion, check.id(), at(1));
    let firing = Firing {
        run,
        bastion: &bastion,
        scheduled_at: at(1),
        deadline: at(11),
        answer_by: at(13),
        class: TaskClass::AdHoc,
        config_generation: 7,
    };
    Task::new(check.id(), check.probe().unwrap(), Endpoint::at("10.0.0.1:81".parse().unwrap()), &firing)
}

const GROUP: &str = r#"{"v": 1, "id": "g", "group": {"checks": ["a", "b", "c"]}, "verdict": {"quorum": 2},
    "policy": "collect_all", "parallel": 2, "overlap": "allow", "scheduled": false}"#;

fn verdict() -> RunVerdict {
    let task = task();
    RunVerdict {
        v: V1,
        run: RunId::derive_member(task.run, &task.check),
        parent: Some(task.run),
        check: task.check,
        bastion: task.bastion,
        scheduled_at: task.scheduled_at,
        finished_at: task.deadline,
        outcome: Outcome::Fail,
        reason: Some(Reason::new(ReasonCode::VerdictNotMet, "1 of 3 checks passed, 2 needed")),
        verdict: VerdictRule::Quorum(2),
        of: VerdictOf::Checks,
        needed: 2,
        total: 3,
        passed: 1,
        failed: 1,
        undecided: 1,
        config_generation: 7,
    }
}

fn heartbeat() -> Heartbeat {
    let task = task();
    let pool =
        PoolReport { check_type: CheckType::Http, size: 8, target: 9, idle: 4, busy: 3, rebuilding: 1, waiting: 0 };
    Heartbeat {
        v: V1,
        bastion: task.bastion,
        runner: Some("r".parse().unwrap()),
        version: "0.1.0".to_owned(),
        roles: vec![Role::Checker, Role::Runner],
        started_at: task.scheduled_at,
        sent_at: task.deadline,
        config_generation: Some(7),
        checks: Some(2),
        outstanding: Some(0),
        sources: Some(2),
        sources_degraded: Some(1),
        pools: vec![pool],
        outcomes: [(Outcome::Pass, 5), (Outcome::Missed, 1)].into(),
        shed: [(ReasonCode::Overloaded, 1), (ReasonCode::from("from_the_future"), 2)].into(),
        actors_rebuilt: 1,
        bus: BusReport { published: 1, ..BusReport::default() },
        instance: Some("0198c1e4-9d3c-7b5e-8d3b-6a4f2c1e0d9f".parse().unwrap()),
        uptime_s: 90,
        groups: vec!["b".parse().unwrap(), "edge".parse().unwrap()],
        store: Some(store()),
        draining: true,
        message: Some("no check is configured: nothing is checked".to_owned()),
        scheduling_lag_us: Some(900),
        scheduling_lag_p99_us: Some(80),
        outbox: OutboxReport { waiting: 3, dropped: 1 },
        last_errors: vec![ErrorSeen { at: task.deadline, message: "the bus is away".to_owned(), count: 4 }],
        clock_offset_us: Some(-1_500),
        policy: Some(watchpost_model::PolicyReport {
            source: "/etc/watchpost/policy.yaml".to_owned(),
            sha256: Some("0f".repeat(32)),
            broken: Some("default: expected `allow` or `deny`".to_owned()),
        }),
        audit: Some(watchpost_model::AuditReport {
            seq: 7,
            hash: "0f".repeat(32),
            dropped: 2,
            failing: Some("No space left on device".to_owned()),
        }),
    }
}

fn store() -> StoreReport {
    StoreReport {
        state: StoreState::Following,
        message: None,
        groups: vec!["b".parse().unwrap(), "edge".parse().unwrap()],
        revision: 9,
        synced_at: Some(task().deadline),
        running: 2,
        paused: 1,
        refused: 0,
        orphaned: 0,
        signatures_old: 0,
    }
}

/// How many samples there are.
const SAMPLES: usize = 5;

/// A valid payload in either format.
fn sample(n: usize, format: Format) -> Vec<u8> {
    let check = |json: &str| encode(&decode::<Check>(json.as_bytes(), Format::Json).unwrap(), format);
    match n {
        0 => check(CHECK),
        1 => encode(&task(), format),
        2 => check(GROUP),
        3 => encode(&verdict(), format),
        _ => encode(&heartbeat(), format),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_never_panic_or_allocate_out_of_proportion(input in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        decode_as_everything(&input);
    }

    #[test]
    fn altered_messages_never_panic_or_allocate_out_of_proportion(
        n in 0..SAMPLES,
        json in any::<bool>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8),
    ) {
        let mut input = sample(n, if json { Format::Json } else { Format::MsgPack });
        for (index, byte, how) in cuts {
            if input.is_empty() {
                break;
            }
            let at = index.index(input.len());
            match how {
                0 => input[at] = byte,
                1 => input.insert(at, byte),
                2 => { input.remove(at); }
                _ => input.truncate(at),
            }
        }
        decode_as_everything(&input);
    }

    #[test]
    fn what_is_encoded_reads_back_as_itself(json in any::<bool>(), attempt in any::<u32>(), generation in any::<u64>()) {
        let format = if json { Format::Json } else { Format::MsgPack };
        let mut sent = task();
        sent.attempt = attempt.max(1);
        sent.config_generation = generation;
        prop_assert_eq!(decode::<Task>(&encode(&sent, format), format).unwrap(), sent);
    }
}

/// Sizes that a few bytes may claim, nesting, and numbers at the edge.
#[test]
fn hostile_payloads_are_refused_cheaply() {
    let claims_4_gi_elements = [&[0x81, 0xa5][..], b"tasks", &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat();
    let claims_4_gi_bytes = [&[0x81, 0xa7][..], b"message", &[0xdb, 0xff, 0xff, 0xff, 0xff]].concat();
    let claims_4_gi_entries = vec![0xdf, 0xff, 0xff, 0xff, 0xff];
    let deep_arrays = vec![0x91; 200_000];
    let deep_json = b"[".repeat(200_000);
    let deep_maps = br#"{"a":"#.repeat(50_000);
    for input in
        [claims_4_gi_elements, claims_4_gi_bytes, claims_4_gi_entries, deep_arrays, deep_json, deep_maps, Vec::new()]
    {
        decode_as_everything(&input);
    }
}

#[test]
fn payloads_beyond_the_limit_are_not_even_looked_at() {
    let input = vec![b' '; Task::BYTES_MAX + 1];
    let error = decode::<Task>(&input, Format::Json).unwrap_err();
    assert_eq!(error.kind, DecodeErrorKind::TooLarge);
    assert!(error.to_string().contains("expected at most 786432"), "{error}");
}

#[test]
fn another_version_is_told_apart_from_garbage_in_both_formats() {
    let mut message: serde_json::Value = serde_json::from_slice(&sample(1, Format::Json)).unwrap();
    message["v"] = 2.into();
    let json = serde_json::to_vec(&message).unwrap();
    let packed = rmp_serde::to_vec_named(&message).unwrap();
    for (input, format) in [(json, Format::Json), (packed, Format::MsgPack)] {
        let error = decode::<Task>(&input, format).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::UnknownVersion, "{error}");
    }
    assert_eq!(decode::<Task>(b"{}", Format::Json).unwrap_err().kind, DecodeErrorKind::Malformed);
}

#[test]
fn nothing_may_follow_a_message() {
    for format in [Format::MsgPack, Format::Json] {
        let mut twice = sample(1, format);
        twice.extend(sample(1, format));
        assert!(decode::<Task>(&twice, format).is_err(), "{format:?}");
    }
}

#[test]
fn requests_to_cancel_are_bounded() {
    let cancel = |message: &str, tasks: usize| {
        let ids = vec![r#""a291e387-34c7-5f65-bf6b-174d502d93c9""#; tasks].join(",");
        let json = format!(r#"{{"v":1,"cause":"shutting_down","message":"{message}","tasks":[{ids}]}}"#);
        decode::<CancelTasks>(json.as_bytes(), Format::Json)
    };
    assert!(cancel("m", 4096).is_ok());
    assert!(cancel("m", 4097).is_err());
    assert!(cancel(&"m".repeat(1025), 1).is_err());
}

#[test]
fn an_error_reply_names_the_field_at_fault() {
    let error = decode::<Task>(br#"{"v": 1}"#, Format::Json).unwrap_err();
    assert_eq!(error.to_reply().field.as_deref(), Some("task"));
}

#[test]
fn fields_of_later_versions_are_ignored() {
    let mut message: serde_json::Value = serde_json::from_slice(&sample(1, Format::Json)).unwrap();
    message["from_the_future"] = true.into();
    assert!(decode::<Task>(&serde_json::to_vec(&message).unwrap(), Format::Json).is_ok());
}

#[test]
fn a_result_is_a_map_with_the_names_of_the_contract() {
    let result = br#"{"v":1,"task":"a291e387-34c7-5f65-bf6b-174d502d93c9","check":"c",
        "run":"a291e387-34c7-5f65-bf6b-174d502d93c9","bastion":"b","target":{"name":"t","endpoint":"e"},
        "scheduled_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:01Z","queue_wait_us":5,"attempt":1,
        "outcome":"fail","reason":{"code":"http_status","message":"m"}}"#;
    let read: TaskResult = decode(result, Format::Json).unwrap();
    assert_eq!(read.outcome, Outcome::Fail);
    let packed = encode(&read, Format::MsgPack);
    assert_eq!(decode::<TaskResult>(&packed, Format::MsgPack).unwrap(), read);
    let names: serde_json::Value = rmp_serde::from_slice(&packed).unwrap();
    assert!(names["task"].is_string(), "ids are texts in MessagePack too");
    for name in ["v", "task", "check", "run", "bastion", "target", "scheduled_at", "queue_wait_us", "outcome", "reason"]
    {
        assert!(names.get(name).is_some(), "{name}");
    }
}

#[test]
fn verdicts_and_heartbeats_read_back_as_themselves_with_the_names_of_the_contract() {
    for format in [Format::MsgPack, Format::Json] {
        assert_eq!(decode::<RunVerdict>(&encode(&verdict(), format), format).unwrap(), verdict());
        assert_eq!(decode::<Heartbeat>(&encode(&heartbeat(), format), format).unwrap(), heartbeat());
    }
    let names: serde_json::Value = rmp_serde::from_slice(&encode(&verdict(), Format::MsgPack)).unwrap();
    assert_eq!((&names["of"], &names["verdict"]["quorum"]), (&"checks".into(), &2.into()));
    let names: serde_json::Value = rmp_serde::from_slice(&encode(&heartbeat(), Format::MsgPack)).unwrap();
    assert_eq!((&names["outcomes"]["pass"], &names["shed"]["overloaded"]), (&5.into(), &1.into()));
    assert_eq!((&names["pools"][0]["type"], &names["roles"][0]), (&"http".into(), &"checker".into()));
}

#[test]
fn a_verdict_counts_no_more_than_there_were() {
    let with_total = |total: u32| {
        let sent = RunVerdict { total, ..verdict() };
        decode::<RunVerdict>(&encode(&sent, Format::Json), Format::Json).map_err(|e| e.to_string())
    };
    assert!(with_total(3).is_ok());
    assert!(with_total(2).unwrap_err().contains("field `total` is 2, and 3 are counted"));
}

#[test]
fn heartbeats_are_bounded_and_need_little() {
    let bare = br#"{"v": 1, "bastion": "b", "version": "1", "roles": ["runner"], "from_the_future": [],
        "started_at": "2026-01-01T00:00:00Z", "sent_at": "2026-01-01T00:00:15Z"}"#;
    assert!(decode::<Heartbeat>(bare, Format::Json).unwrap().pools.is_empty());
    let refused = |sent: Heartbeat| decode::<Heartbeat>(&encode(&sent, Format::Json), Format::Json).is_err();
    assert!(refused(Heartbeat { version: "v".repeat(65), ..heartbeat() }));
    assert!(refused(Heartbeat { roles: vec![Role::Runner; 65], ..heartbeat() }));
    assert!(refused(Heartbeat { pools: vec![heartbeat().pools[0]; 65], ..heartbeat() }));
    let shed = (0..257).map(|i| (ReasonCode::from(format!("r{i}").as_str()), 1)).collect();
    assert!(refused(Heartbeat { shed, ..heartbeat() }));
    assert!(refused(Heartbeat { groups: vec!["g".parse().unwrap(); 66], ..heartbeat() }));
    assert!(refused(Heartbeat { last_errors: vec![heartbeat().last_errors[0].clone(); 9], ..heartbeat() }));
    assert!(refused(Heartbeat { message: Some("m".repeat(513)), ..heartbeat() }));
}

#[test]
fn a_task_without_a_class_is_a_scheduled_one() {
    let mut message: serde_json::Value = serde_json::from_slice(&sample(1, Format::Json)).unwrap();
    assert_eq!(message["class"], "ad_hoc");
    message.as_object_mut().unwrap().remove("class");
    let read: Task = decode(&serde_json::to_vec(&message).unwrap(), Format::Json).unwrap();
    assert_eq!(read.class, TaskClass::Scheduled);
}
