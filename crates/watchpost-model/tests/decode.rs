//! Decoders against anything: no input panics, and none makes the process allocate out of
//! proportion to what was sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use watchpost_model::{
    CancelTasks, Check, DecodeErrorKind, Endpoint, ErrorReply, Firing, Format, Message, Outcome, RunId, Task,
    TaskClass, TaskResult, Timestamp, decode, encode,
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

/// A valid payload in either format.
fn sample(n: usize, format: Format) -> Vec<u8> {
    let check: Check = decode(CHECK.as_bytes(), Format::Json).unwrap();
    match n {
        0 => encode(&check, format),
        _ => encode(&task(), format),
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
        n in 0usize..2,
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
    assert!(error.to_string().contains("expected at most 262144"), "{error}");
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
