//! `udp` and `ntp` checks: a real time server, and peers that answer as they should and as they should not.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use watchpost_model::{DialogueEvidence, NtpEvidence, Outcome, Side, TypeEvidence};
use watchpost_tests::chrony_server;
use watchpost_tests::udp_fixture::UdpFixture;

use crate::{Bench, Ran, closed_port, loopback};

const SHORT: Duration = Duration::from_millis(300);
/// From 1900 to 1970, in seconds.
const UNIX_EPOCH_S: u64 = 2_208_988_800;

fn udp(address: SocketAddr, more: &str) -> String {
    format!(r#"{{"udp": {{"address": "{address}"{more}}}}}"#)
}

fn ntp(address: SocketAddr, more: &str) -> String {
    format!(r#"{{"ntp": {{"server": "{address}"{more}}}}}"#)
}

async fn peer(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> UdpFixture {
    UdpFixture::start(answer).await.unwrap()
}

fn dialogue(ran: &Ran) -> &DialogueEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Dialogue(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

fn time(ran: &Ran) -> &NtpEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Ntp(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_datagram_that_matches_passes_at_once() {
    let echo = peer(|datagram| vec![datagram.to_vec()]).await;
    let more = r#", "send": {"hex": "00 ff 70 69 6e 67"}, "expect": "(?P<word>ping)$""#;
    let json = udp(echo.address(), more).replacen('{', r#"{"expect": {"that": "captures['word'] == 'ping'"}, "#, 1);
    let ran = Bench::new().run(&json, None).await;
    ran.assert_passed();
    assert_eq!(echo.heard(), [b"\x00\xffping"]);
    assert_eq!((dialogue(&ran).sent_bytes, dialogue(&ran).received_bytes), (6, 6));
    assert!(ran.took < Duration::from_secs(1), "{:?}", ran.took);
    let empty = Bench::new().run(&udp(echo.address(), r#", "expect": "^$""#), None).await;
    empty.assert_passed();
}

#[tokio::test]
async fn a_later_datagram_may_match_and_one_that_does_not_is_quoted() {
    let several = peer(|_| vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]).await;
    Bench::new().run(&udp(several.address(), r#", "expect": "^three$""#), None).await.assert_passed();
    let ran = Bench::new().run(&udp(several.address(), r#", "expect": "four", "wait": "100ms""#), None).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    let sentence = r#" sent 5 bytes: "three" and 2 others before, and nothing that matches /four/ within 100 ms"#;
    assert!(ran.message().ends_with(sentence), "{}", ran.message());
    let said: Vec<_> = dialogue(&ran).transcript.iter().map(|turn| (turn.by, turn.excerpt.as_str())).collect();
    assert_eq!(said, [(Side::Check, ""), (Side::Peer, "onetwothree")]);
    let large = peer(|_| vec![vec![b'x'; 60_000]]).await;
    let ran = Bench::new().run(&udp(large.address(), r#", "expect": "y", "wait": "50ms""#), None).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!((dialogue(&ran).received_bytes, dialogue(&ran).transcript[1].excerpt.len()), (60_000, 1024));
}

#[tokio::test]
async fn without_an_answer_only_a_refusal_fails() {
    let silent = peer(|_| Vec::new()).await;
    let ran = Bench::new().run(&udp(silent.address(), r#", "send": "x", "wait": "50ms""#), None).await;
    ran.assert_passed();
    assert!(ran.took >= Duration::from_millis(50), "{:?}", ran.took);
    let closed = closed_port(loopback(1)).await;
    for more in ["", r#", "expect": "x""#] {
        let ran = Bench::new().run(&udp(closed, more), None).await;
        ran.assert_ended(Outcome::Error, "connect_refused");
        assert!(ran.message().starts_with(&format!("nobody listens at {closed}: ")), "{}", ran.message());
    }
    let ran = Bench::new().run_within(SHORT, &udp(silent.address(), r#", "expect": "x""#), None).await;
    ran.assert_ended(Outcome::Timeout, "no_reply");
    assert!(ran.message().starts_with(&format!("no answer from {} within", silent.address())), "{}", ran.message());
}

#[tokio::test]
async fn a_real_time_server_has_this_machines_time() {
    let server = chrony_server::start(&["local stratum 8"]);
    let more = r#", "max_offset": "1s", "max_stratum": 8"#;
    let json = ntp(server.address(), more).replacen(
        '{',
        r#"{"expect": {"that": "stratum == 8 && leap == 'none' && offset_ms < 1000.0"}, "#,
        1,
    );
    let ran = Bench::new().run(&json, None).await;
    ran.assert_passed();
    let evidence = time(&ran);
    assert_eq!((evidence.version, evidence.stratum, evidence.leap.as_str()), (4, 8, "none"));
    assert!(evidence.offset_ms.unwrap().abs() < 1000.0 && evidence.delay_ms.unwrap() < 20_000.0, "{evidence:?}");
    assert_eq!(ran.evidence.metrics["ntp_offset_ms"], evidence.offset_ms.unwrap());
    let ran = Bench::new().run(&ntp(server.address(), r#", "max_stratum": 7"#), None).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().contains("is 8, expected at most 7"), "{}", ran.message());
}

#[tokio::test]
async fn a_real_time_server_without_a_source_is_not_synchronised() {
    let server = chrony_server::start(&[]);
    let ran = Bench::new().run(&ntp(server.address(), ""), None).await;
    ran.assert_ended(Outcome::Fail, "ntp_unsynchronised");
    assert_eq!(time(&ran).offset_ms, None);
}

/// What a server answers to `question` whose clock is `ahead` seconds ahead.
#[expect(clippy::disallowed_methods, reason = "the clock that checks are held against is the system's")]
fn now(question: &[u8], ahead: i64) -> Vec<u8> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seconds = (since.as_secs() + UNIX_EPOCH_S).wrapping_add_signed(ahead) << 32;
    let stamp = seconds | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000);
    let mut answer = vec![0; 48];
    answer[0] = 4 << 3 | 4;
    answer[1] = 2;
    answer[12..16].copy_from_slice(&[10, 0, 0, 1]);
    answer[24..32].copy_from_slice(&question[40..48]);
    answer[32..40].copy_from_slice(&stamp.to_be_bytes());
    answer[40..48].copy_from_slice(&stamp.to_be_bytes());
    answer
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_by_how_much() {
    for (ahead, told) in [(3600, "ahead of"), (-3600, "behind")] {
        let server = peer(move |question| vec![now(question, ahead)]).await;
        let ran = Bench::new().run(&ntp(server.address(), r#", "max_offset": "30m""#), None).await;
        ran.assert_ended(Outcome::Fail, "ntp_offset");
        assert!(ran.message().contains(told), "{}", ran.message());
        let offset = time(&ran).offset_ms.unwrap();
        // Half of what the two datagrams take is all that the times can be wrong by.
        assert!((offset - ahead as f64 * 1e3).abs() < 20_000.0, "{offset}");
        Bench::new().run(&ntp(server.address(), r#", "max_offset": "2h""#), None).await.assert_passed();
    }
}

#[tokio::test]
async fn servers_that_tell_no_time_say_why() {
    type Amend = fn(&mut Vec<u8>);
    let cases: [(Amend, Outcome, &str, &str); 6] = [
        (
            |answer| {
                answer[1] = 0;
                answer[12..16].copy_from_slice(b"RATE");
            },
            Outcome::Fail,
            "ntp_kiss",
            "it sent the kiss-o'-death RATE",
        ),
        (|answer| answer[0] |= 0xc0, Outcome::Fail, "ntp_unsynchronised", "(stratum 2, leap unsynchronised)"),
        (|answer| answer[1] = 16, Outcome::Fail, "ntp_unsynchronised", "(stratum 16, leap none)"),
        (|answer| answer[0] = 4 << 3 | 5, Outcome::Error, "protocol_error", "does not say that a server sent it"),
        (|answer| answer[0] = 4, Outcome::Error, "protocol_error", "of a version that nobody asked for"),
        (|answer| answer[40..48].fill(0), Outcome::Error, "protocol_error", "it tells no time"),
    ];
    for (amend, outcome, code, told) in cases {
        let server = peer(move |question| {
            let mut answer = now(question, 0);
            amend(&mut answer);
            vec![answer]
        })
        .await;
        let ran = Bench::new().run(&ntp(server.address(), ""), None).await;
        ran.assert_ended(outcome, code);
        assert!(ran.message().contains(told), "{}", ran.message());
    }
}

#[tokio::test]
async fn answers_to_other_questions_are_ignored() {
    let spoofed = |question: &[u8]| {
        let mut other = now(question, 7200);
        other[24] ^= 1;
        vec![vec![0; 7], other.clone(), other]
    };
    let server = peer(move |question| spoofed(question)).await;
    let ran = Bench::new().run_within(SHORT, &ntp(server.address(), ""), None).await;
    ran.assert_ended(Outcome::Timeout, "no_reply");
    assert!(ran.message().contains("but 3 other datagrams"), "{}", ran.message());
    let server = peer(move |question| [spoofed(question), vec![now(question, 0)]].concat()).await;
    let ran = Bench::new().run(&ntp(server.address(), r#", "max_offset": "30m""#), None).await;
    ran.assert_passed();
    assert_eq!(time(&ran).ignored, 3);
    let closed = closed_port(loopback(1)).await;
    Bench::new().run(&ntp(closed, ""), None).await.assert_ended(Outcome::Error, "connect_refused");
}
