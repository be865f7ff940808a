//! Whatever a target answers, of each type that speaks a protocol of ours or a library's: the probe ends, and by itself,
//! since the peer has ended.

#![no_main]

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use watchpost_model::{Check, Endpoint, Firing, Outcome, RunId, Task, TaskClass, Timestamp};
use watchpost_probe::{ProbeSet, Recorder, Resolver, Verdict};

/// A probe that takes longer than this waits for something that does not come.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a peer waits for the next thing to answer.
const ASKED_WITHIN: Duration = Duration::from_millis(20);

/// Checks of a peer at `PORT`. They go out from `SOURCE`, so that the ports of one address are not used up.
const STREAMS: [&str; 18] = [
    r#"{"id":"c","http":{"url":"http://127.0.0.1:PORT/","route":{"source_address":"SOURCE"}},"expect":{"body_contains":"x","json_path":{"$.a":1},"that":"body.json.a.size() < 3 && headers.b == \"c\""}}"#,
    r#"{"id":"c","http":{"url":"http://127.0.0.1:PORT/","max_redirects":5,"route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","http":{"url":"http://127.0.0.1:PORT/","version":"2","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","http":{"url":"http://a.invalid/","proxy":"http://127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","http":{"url":"http://a.invalid/","proxy":"socks5h://u:p@127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","tcp":{"address":"127.0.0.1:PORT","send":"x","expect":"(a+)b","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","tls":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","grpc":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","websocket":{"url":"ws://127.0.0.1:PORT/","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","ssh":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","smtp":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","imap":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","pop3":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","redis":{"address":"127.0.0.1:PORT","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","postgres":{"address":"127.0.0.1:PORT","user":"u","password":"passw0rd","query":"select 1","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","mysql":{"address":"127.0.0.1:PORT","user":"u","password":"passw0rd","query":"select 1","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","dns":{"name":"a.example","server":"127.0.0.1:PORT","transport":"tcp","route":{"source_address":"SOURCE"}}}"#,
    r#"{"id":"c","steps":[{"name":"s","http":{"url":"http://127.0.0.1:PORT/","route":{"source_address":"SOURCE"}}}]}"#,
];
const DATAGRAMS: [&str; 3] = [
    r#"{"id":"c","dns":{"name":"a.example","server":"127.0.0.1:PORT"},"timeout":"300ms"}"#,
    r#"{"id":"c","ntp":{"server":"127.0.0.1:PORT"},"timeout":"300ms"}"#,
    r#"{"id":"c","udp":{"address":"127.0.0.1:PORT","send":"x","expect":"(a+)b"},"timeout":"300ms"}"#,
];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
static PROBES: LazyLock<ProbeSet> = LazyLock::new(|| ProbeSet::standard(&Resolver::with_nameservers(Vec::new())));

fn task(document: &str, port: u16, number: u64) -> Task {
    let [.., a, b, c] = number.to_be_bytes();
    let source = Ipv4Addr::new(127, a.max(1), b, c.max(1));
    let document = document.replace("PORT", &port.to_string()).replace("SOURCE", &source.to_string());
    let check: Check = serde_json::from_str(&document).unwrap_or_else(|e| panic!("{document}: {e}"));
    let body = check.probe().expect("a check of a target");
    let (bastion, at): (_, Timestamp) = ("fuzz".parse().expect("an id"), "2026-01-01T00:00:00Z".parse().expect("a time"));
    let run = RunId::derive(&bastion, check.id(), at);
    let firing = Firing {
        run,
        bastion: &bastion,
        scheduled_at: at,
        deadline: at,
        answer_by: at,
        class: TaskClass::AdHoc,
        config_generation: 1,
    };
    Task::new(check.id(), body, Endpoint::named(&body.target_name()), &firing)
}

async fn probe(task: Task) -> Verdict {
    let (_, factory) = PROBES.iter().find(|(known, _)| *known == task.check_type()).expect("a known type");
    let (mut probe, recorder) = (factory(), Recorder::new());
    let verdict = tokio::time::timeout(LIMIT, probe.run(&task, &recorder)).await.expect("a probe that ends with its peer");
    let _evidence = recorder.finish();
    verdict
}

/// Answers a part of `answer` to each thing that is sent, or all at once, and ends.
async fn serve(mut stream: TcpStream, answer: &[u8], parts: usize) {
    let mut asked = [0; 4096];
    for part in answer.chunks(answer.len().div_ceil(parts).max(1)) {
        if stream.write_all(part).await.is_err() {
            return;
        }
        let _silent = tokio::time::timeout(ASKED_WITHIN, stream.read(&mut asked)).await;
    }
    // So that what comes after does not turn the end into a reset.
    let _gone = stream.shutdown().await;
    while matches!(tokio::time::timeout(ASKED_WITHIN, stream.read(&mut asked)).await, Ok(Ok(1..))) {}
}

async fn over_streams(document: &str, parts: usize, answer: &[u8], number: u64) -> Verdict {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let serving = async {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, answer, parts).await;
        }
        std::future::pending::<Verdict>().await
    };
    tokio::select! {
        verdict = probe(task(document, port, number)) => verdict,
        verdict = serving => verdict,
    }
}

async fn over_datagrams(document: &str, answer: &[u8], number: u64) -> Verdict {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let port = socket.local_addr().expect("its address").port();
    let serving = async {
        let mut asked = [0; 2048];
        let mut answer = answer.to_vec();
        while let Ok((length, peer)) = socket.recv_from(&mut asked).await {
            // Otherwise nothing but the look at whose answer it is would ever be tried.
            if document.contains("dns") && answer.len() >= 2 {
                answer[..2].copy_from_slice(&asked[..2]);
            }
            if document.contains("ntp") && answer.len() >= 32 && length >= 48 {
                answer[24..32].copy_from_slice(&asked[40..48]);
            }
            let _sent = socket.send_to(&answer, peer).await;
        }
        std::future::pending::<Verdict>().await
    };
    tokio::select! {
        verdict = probe(task(document, port, number)) => verdict,
        // What is no answer is waited past, until the deadline of whoever runs the probe.
        () = tokio::time::sleep(ASKED_WITHIN) => Verdict::pass(),
        verdict = serving => verdict,
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, parts, answer) = input;
    let number = next_number();
    let (which, parts) = (usize::from(which) % (STREAMS.len() + DATAGRAMS.len()), usize::from(parts % 6) + 1);
    let verdict = RUNTIME.block_on(async {
        match STREAMS.get(which) {
            Some(document) => over_streams(document, parts, answer, number).await,
            None => over_datagrams(DATAGRAMS[which - STREAMS.len()], answer, number).await,
        }
    });
    assert_eq!(verdict.reason.is_none(), verdict.outcome == Outcome::Pass, "{verdict:?}");
});

/// A number for each input, in turn.
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0x01_00_01);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
