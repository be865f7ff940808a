//! Datagrams and their answers, by the types `udp` and `ntp`.

use std::time::{SystemTime, UNIX_EPOCH};

use watchpost_tests::udp_fixture::UdpFixture;

use crate::expected::{absent, at_least, at_most, is};
use crate::row::{Row, row};
use crate::server::{Running, Server};

/// From 1900, where the time of NTP begins, to 1970, in seconds.
const UNIX_EPOCH_S: u64 = 2_208_988_800;

pub fn rows() -> Vec<Row> {
    let mut rows = udp_rows();
    rows.extend(ntp_rows());
    rows
}

/// A peer that answers each datagram with those that `answer` makes of it.
fn peer(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Server {
    Server::Other(Box::new(move |_| {
        Box::pin(async move {
            let peer = UdpFixture::start(answer).await?;
            Ok(Running::at(peer.address(), peer))
        })
    }))
}

fn udp(name: &str, server: Server, more: &str) -> Row {
    let comma = if more.is_empty() { "" } else { ", " };
    row(format!("udp-{name}")).server(server).check(format!("udp: {{ address: '{{addr}}'{comma}{more} }}"))
}

fn udp_rows() -> Vec<Row> {
    let echo = || peer(|datagram| vec![datagram.to_vec()]);
    let silent = || peer(|_| Vec::new());
    vec![
        udp("answers", echo(), "send: ping, expect: ^ping$")
            .pass()
            .at("evidence.dialogue.sent_bytes", is(4))
            .at("evidence.dialogue.received_bytes", is(4))
            .at("evidence.dialogue.transcript", absent()),
        udp("sends-hexadecimal", echo(), "send: {hex: '70 69'}, expect: ^pi$").pass(),
        udp("sends-base64", echo(), "send: {base64: cGk=}, expect: ^pi$").pass(),
        udp("sends-nothing", echo(), "expect: ^$").pass().at("evidence.dialogue.received_bytes", is(0)),
        udp("answers-twice", peer(|_| vec![b"a".to_vec(), b"b".to_vec()]), "expect: b").pass(),
        udp("answers-otherwise", peer(|_| vec![b"pong".to_vec()]), "expect: ^ping$, wait: 50ms")
            .fail("assertion_failed")
            .says(r#"^{addr} sent 4 bytes: "pong", and nothing that matches /\^ping\$/ within 50 ms$"#)
            .at("evidence.dialogue.transcript.1.excerpt", is("pong")),
        udp("is-silent", silent(), "send: x, wait: 50ms").pass().at("phases_us.total", at_least(50_000.0)),
        udp("is-silent-and-should-answer", silent(), "expect: x")
            .timeout("no_reply")
            .says("^no answer from {addr} within "),
        udp("nobody-listens", Server::Closed, "")
            .error("connect_refused")
            .says("^nobody listens at {addr}: what was sent was refused after "),
    ]
}

/// What a server answers to `question`, with its clock some seconds ahead.
#[expect(clippy::disallowed_methods, reason = "the clock that checks are held against is the system's")]
fn time(question: &[u8], ahead: i64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let seconds = (now.as_secs() + UNIX_EPOCH_S).wrapping_add_signed(ahead) << 32;
    let stamp = (seconds | ((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000)).to_be_bytes();
    let mut answer = vec![4 << 3 | 4, 2];
    answer.resize(12, 0);
    answer.extend([10, 0, 0, 1]);
    answer.resize(24, 0);
    answer.extend(&question[40..48]);
    answer.extend(stamp);
    answer.extend(stamp);
    answer
}

fn ntp(name: &str, more: &str, amend: fn(&mut Vec<u8>)) -> Row {
    let server = peer(move |question| {
        let mut answer = time(question, 0);
        amend(&mut answer);
        vec![answer]
    });
    let comma = if more.is_empty() { "" } else { ", " };
    row(format!("ntp-{name}")).server(server).check(format!("ntp: {{ server: '{{addr}}'{comma}{more} }}"))
}

fn ntp_rows() -> Vec<Row> {
    let ahead = |name: &str, seconds: i64| {
        row(format!("ntp-{name}"))
            .server(peer(move |question| vec![time(question, seconds)]))
            .check("ntp: { server: '{addr}', max_offset: 30m }")
    };
    vec![
        ntp("answers", "max_offset: 30m, max_stratum: 2", |_| {})
            .pass()
            .at("check_type", is("ntp"))
            .at("evidence.ntp.stratum", is(2))
            .at("evidence.ntp.leap", is("none"))
            .at("evidence.ntp.reference_id", is("10.0.0.1"))
            .at("metrics.ntp_offset_ms", at_most(1_800_000.0)),
        ahead("ahead", 7200).fail("ntp_offset").says("ms ahead of this machine's, expected at most 30m$"),
        ahead("behind", -7200).fail("ntp_offset").says("ms behind this machine's, expected at most 30m$"),
        ntp("too-far-from-its-clock", "max_stratum: 1", |_| {})
            .fail("assertion_failed")
            .says("^the stratum of {addr} is 2, expected at most 1$"),
        ntp("kiss", "", |answer| {
            answer[1] = 0;
            answer[12..16].copy_from_slice(b"RATE");
        })
        .fail("ntp_kiss")
        .says("it sent the kiss-o'-death RATE$")
        .at("metrics.ntp_offset_ms", absent()),
        ntp("alarm", "", |answer| answer[0] |= 0xc0).fail("ntp_unsynchronised"),
        ntp("stratum-16", "", |answer| answer[1] = 16).fail("ntp_unsynchronised"),
        ntp("without-a-time", "", |answer| answer[40..48].fill(0)).error("protocol_error").says("it tells no time$"),
        ntp("from-no-server", "", |answer| answer[0] = 4 << 3 | 3).error("protocol_error"),
        ntp("to-another-question", "", |answer| answer[24] ^= 1)
            .timeout("no_reply")
            .says("but 1 other datagrams .*another question's time of sending"),
        ntp("too-short", "", |answer| answer.truncate(40)).timeout("no_reply").says("it is too short"),
        row("ntp-nobody-listens").server(Server::Closed).check("ntp: { server: '{addr}' }").error("connect_refused"),
    ]
}
