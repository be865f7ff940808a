//! Dialogues of `tcp` and `unix` checks.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use watchpost_model::{DialogueEvidence, Outcome, Side, TypeEvidence};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::openssl_server::{Folder, OpensslServer};
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::certificates::{Signer, config};
use crate::{AMPLE, Bench, Ran, loopback, run_task, task};

const HOST: &str = "svc.example";

/// What a scripted peer does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Reads exactly this, or closes where something else comes.
    Hears(&'static str),
    /// Says this.
    Says(&'static str),
    /// Says this byte by byte.
    Drips(&'static str),
    /// Begins TLS.
    Tls,
}

use Does::{Drips, Hears, Says};

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, script: &[Does]) -> Option<usize> {
    for (i, does) in script.iter().enumerate() {
        match does {
            Says(text) => stream.write_all(text.as_bytes()).await.ok()?,
            Drips(text) => {
                for byte in text.bytes() {
                    stream.write_all(&[byte]).await.ok()?;
                    stream.flush().await.ok()?;
                    tokio::task::yield_now().await;
                }
            }
            Hears(text) => {
                let mut heard = vec![0; text.len()];
                stream.read_exact(&mut heard).await.ok()?;
                if heard != text.as_bytes() {
                    return None;
                }
            }
            Does::Tls => return Some(i),
        }
        stream.flush().await.ok()?;
    }
    stream.shutdown().await.ok()?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await.ok()?;
    None
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: &[Does], tls: Option<Arc<ServerConfig>>) {
    let Some(at) = speak(&mut stream, script).await else { return };
    let acceptor = TlsAcceptor::from(tls.unwrap());
    if let Ok(mut stream) = acceptor.accept(stream).await {
        speak(&mut stream, &script[at + 1..]).await;
    }
}

pub async fn peer(script: &'static [Does], tls: Option<ServerConfig>) -> Server {
    let tls = tls.map(Arc::new);
    Server::start(loopback(1), move |stream| converse(stream, script, tls.clone())).await.unwrap()
}

fn steps(steps: &str) -> String {
    format!(r#"{{"tcp": {{"address": "{HOST}:1", "steps": [{steps}]}}}}"#)
}

async fn against(script: &'static [Does], json: &str) -> Ran {
    let server = peer(script, None).await;
    Bench::new().run(json, server.address()).await
}

fn dialogue(ran: &Ran) -> &DialogueEvidence {
    let Some(TypeEvidence::Dialogue(dialogue)) = &ran.evidence.of_type else { panic!("no dialogue: {ran:?}") };
    dialogue
}

fn trusting(signer: &Signer) -> Bench {
    Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([signer.der()]))
}

#[tokio::test]
async fn each_step_sends_and_expects_with_what_earlier_ones_captured() {
    let script = &[
        Says("220 mail.example ESMTP 1\r\n"),
        Hears("HELLO mail.example $1 ${x}\r\n"),
        Drips("250-first\r\n250-code 4711 \r\n250 last\r\n"),
        Hears("\0\u{1}4711"),
        Says("BYE"),
    ];
    let json = steps(
        r#"{"expect": "^220 (?P<host>\\S+) "}, {"send": "HELLO ${host} $1 $${x}\r\n", "expect": "^250-code (?<code>\\d+) "},
        {"expect": "^250 \\w+$"}, {"send": {"hex": "00 01"}}, {"send": "${code}", "expect": "BYE$"}"#,
    );
    let ran = against(script, &json).await;
    ran.assert_passed();
    let exprs: Vec<_> = ran.evidence.assertions.iter().map(|report| report.expr.as_str()).collect();
    assert_eq!(exprs[0], r"step 1: answer matches /^220 (?P<host>\S+) /");
    assert_eq!(exprs.len(), 4);
    let said = dialogue(&ran);
    assert_eq!((said.steps_done, said.sent_bytes, said.received_bytes), (Some(5), 34, 66));
    assert_eq!((said.captures["host"].as_str(), said.captures["code"].as_str()), ("mail.example", "4711"));
    assert!(said.transcript.is_empty());
}

#[tokio::test]
async fn a_step_that_fails_is_told_with_what_was_said_until_then() {
    let script = &[Says("220 hello\r\n"), Hears("EHLO a\r\n"), Says("550 go away\r\n")];
    let json = steps(r#"{"expect": "^220"}, {"send": "EHLO a\r\n", "expect": "^250"}, {"send": "never"}"#);
    let ran = against(script, &json).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(
        ran.message(),
        "step 2: the peer closed the connection before the answer matched /^250/; it sent 21 bytes: \
         \" hello\\r\\n550 go away\\r\\n\""
    );
    let said = dialogue(&ran);
    assert_eq!(said.steps_done, Some(1));
    let turns: Vec<_> =
        said.transcript.iter().map(|turn| (turn.by, turn.at.as_deref().unwrap(), turn.excerpt.as_str())).collect();
    assert_eq!(
        turns,
        [
            (Side::Peer, "step 1", "220 hello\r\n"),
            (Side::Check, "step 2", "EHLO a\r\n"),
            (Side::Peer, "step 2", "550 go away\r\n"),
        ]
    );
}

#[tokio::test]
async fn a_step_that_hangs_or_breaks_is_named() {
    let json = steps(r#"{"expect": "^220"}, {"send": "EHLO a\r\n", "expect": "^250"}"#);
    let mute = Behaviour::Says(b"220 hello\r\n".to_vec()).start(loopback(1)).await.unwrap();
    let limit = std::time::Duration::from_millis(200);
    let ran = Bench::new().run_until("receive_timeout", limit, &json, mute.address()).await;
    ran.assert_ended(Outcome::Timeout, "receive_timeout");
    assert!(ran.message().starts_with("step 2: the answer was not complete within 200ms: "), "{}", ran.message());
    assert!(ran.message().ends_with(r#"the peer said last "220 hello\r\n""#), "{}", ran.message());
    assert_eq!(dialogue(&ran).transcript.len(), 2);

    let resetting = Server::start(loopback(1), |mut stream| async move {
        stream.write_all(b"220 hello\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await
    .unwrap();
    let ran = Bench::new().run(&json, resetting.address()).await;
    ran.assert_ended(Outcome::Error, "connection_reset");
    assert!(ran.message().starts_with(&format!("step 2: {} (svc.example) reset", resetting.address())));
}

#[tokio::test]
async fn what_is_read_for_a_step_is_bounded() {
    let json = steps(r#"{"expect": "y", "max_bytes": 100}"#);
    let endless = Behaviour::SaysForEver(vec![b'x'; 1000]).start(loopback(1)).await.unwrap();
    let ran = Bench::new().run(&json, endless.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().starts_with("step 1: the peer sent 100 bytes, the most that is read, before"));
    assert_eq!(dialogue(&ran).received_bytes, 100);
}

#[tokio::test]
async fn secrets_are_shown_nowhere() {
    let script = &[
        Says("+OK\r\n"),
        Hears("PASS hunter2hunter2\r\n"),
        Says("+OK token=abcdefgh;\r\n"),
        Hears("USE abcdefgh\r\n"),
        Says("-ERR what is abcdefgh, hunter2hunter2?\r\n"),
    ];
    let json = steps(
        r#"{"expect": "^\\+OK"}, {"send": "PASS hunter2hunter2\r\n", "expect": "token=(?P<token>\\w+);", "secret": true},
        {"send": "USE ${token}\r\n", "expect": "^\\+OK"}"#,
    );
    let server = peer(script, None).await;
    let task = task(&json, Some(server.address()));
    let bench = Bench::new();
    let mut probe = bench.probe(task.check_type());
    let ran = run_task(&mut *probe, &task, AMPLE).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().contains("-ERR what is [redacted], [redacted]?"), "{}", ran.message());
    let shown = format!("{ran:?} {task:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("abcdefgh"), "{shown}");
    assert_eq!(dialogue(&ran).transcript.len(), 5);
}

#[tokio::test]
async fn tls_begins_where_a_step_says() {
    let root = Signer::root("Root");
    let script = &[
        Says("220 hi\r\n"),
        Hears("STARTTLS\r\n"),
        Says("220 go ahead\r\n"),
        Does::Tls,
        Hears("HELLO\r\n"),
        Says("250 secret\r\n"),
    ];
    let json = steps(
        r#"{"expect": "^220 "}, {"send": "STARTTLS\r\n", "expect": "^220 ", "starttls": {}}, {"send": "HELLO\r\n", "expect": "^250"}"#,
    );
    let shown = root.server(HOST, &[], |_| {});
    let server = peer(script, Some(config(&shown))).await;
    let ran = trusting(&root).run(&json, server.address()).await;
    ran.assert_passed();
    let spans: Vec<_> = ran.evidence.hops[0].spans.iter().map(|span| span.phase.as_str()).collect();
    assert_eq!(spans.iter().filter(|phase| **phase == "tls").count(), 1, "{spans:?}");
    assert_eq!(ran.evidence.tls.as_ref().unwrap().verified, Some(true));

    let ran = Bench::new().run(&json, server.address()).await;
    ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
    assert!(ran.message().starts_with("step 2: the certificate of svc.example is signed by CN=Root"));

    let insecure = json.replace(r#""starttls": {}"#, r#""starttls": {"insecure": true}"#);
    Bench::new().run(&insecure, server.address()).await.assert_passed();

    let days = insecure.replacen('{', r#"{"expect": {"cert_days": 9}, "#, 1);
    Bench::new().run(&days, server.address()).await.assert_passed();
    let plain = days.replace(r#", "starttls": {"insecure": true}}, {"send": "HELLO\r\n", "expect": "^250"}"#, "}");
    let ran = Bench::new().run(&plain, server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert_eq!(ran.message(), "there was no TLS, so no certificate could be valid for 9 days");
}

/// Whoever sits between could put words into the mouth of a server that is trusted.
#[tokio::test]
async fn plain_text_before_tls_is_an_error() {
    let root = Signer::root("Root");
    let json = steps(
        r#"{"send": "STARTTLS\r\n", "expect": "^220 ", "starttls": {}}, {"send": "HELLO\r\n", "expect": "^250"}"#,
    );
    let script = &[Hears("STARTTLS\r\n"), Says("220 go\r\n250 fooled\r\n"), Does::Tls];
    let server = peer(script, Some(config(&root.server(HOST, &[], |_| {})))).await;
    let ran = trusting(&root).run(&json, server.address()).await;
    ran.assert_ended(Outcome::Error, "protocol_error");
    assert!(ran.message().contains("sent 12 bytes in plain text after it agreed to TLS"), "{}", ran.message());
    assert!(ran.message().ends_with(r#""250 fooled\r\n""#), "{}", ran.message());
}

#[tokio::test]
async fn tls_from_the_start_comes_before_everything() {
    let root = Signer::root("Root");
    let shown = root.server(HOST, &[], |_| {});
    let server = peer(&[Does::Tls, Says("hello\r\n")], Some(config(&shown))).await;
    let json = format!(r#"{{"tcp": {{"address": "{HOST}:1", "tls": {{}}, "expect": "^hello"}}}}"#);
    trusting(&root).run(&json, server.address()).await.assert_passed();
    let ran = Bench::new().run(&json, server.address()).await;
    ran.assert_ended(Outcome::Error, "tls_unknown_issuer");
    assert!(ran.message().starts_with("the certificate of svc.example"), "{}", ran.message());

    // A server of another make, which says back what it hears, from end to beginning.
    let server = OpensslServer::start(&shown, &["-rev"]).await;
    let json = format!(r#"{{"tcp": {{"address": "{HOST}:1", "tls": {{}}, "send": "abc\n", "expect": "^cba"}}}}"#);
    trusting(&root).run(&json, server.address()).await.assert_passed();
}

/// A peer behind a socket in the file system.
struct UnixPeer {
    path: PathBuf,
    accepting: tokio::task::JoinHandle<()>,
    _folder: Folder,
}

impl UnixPeer {
    fn start(script: &'static [Does], tls: Option<ServerConfig>) -> Self {
        let folder = Folder::new("unix");
        let path = folder.path("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let tls = tls.map(Arc::new);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                converse(stream, script, tls.clone()).await;
            }
        });
        Self { path, accepting, _folder: folder }
    }

    fn json(&self, more: &str) -> String {
        format!(r#"{{"unix": {{"path": "{}"{more}}}}}"#, self.path.display())
    }
}

impl Drop for UnixPeer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_a_peer_like_any_other() {
    let peer = UnixPeer::start(&[Hears("PING\r\n"), Says("+PONG\r\n")], None);
    let ran = Bench::new().run(&peer.json(r#", "send": "PING\r\n", "expect": "^\\+PONG""#), None).await;
    ran.assert_passed();
    assert!(ran.evidence.phases.connect.is_some() && ran.evidence.address.is_none());
    assert_eq!(ran.evidence.hops[0].target, peer.path.display().to_string());
    Bench::new().run(&peer.json(""), None).await.assert_passed();

    let ran = Bench::new().run(&peer.json(r#", "steps": [{"send": "PING\r\n", "expect": "^-"}]"#), None).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().starts_with("step 1: the peer closed the connection"), "{}", ran.message());

    let root = Signer::root("Root");
    let peer = UnixPeer::start(&[Does::Tls, Says("hello\r\n")], Some(config(&root.server(HOST, &[], |_| {}))));
    let json = peer.json(r#", "tls": {"server_name": "svc.example"}, "expect": "^hello""#);
    trusting(&root).run(&json, None).await.assert_passed();
}

#[tokio::test]
async fn a_socket_that_cannot_be_reached_is_told_why() {
    let folder = Folder::new("unix");
    let at = |path: &PathBuf| format!(r#"{{"unix": {{"path": "{}"}}}}"#, path.display());
    let missing = folder.path("missing.sock");
    let ran = Bench::new().run(&at(&missing), None).await;
    ran.assert_ended(Outcome::Error, "connect_error");
    assert_eq!(ran.message(), format!("there is no socket {}", missing.display()));

    let dead = folder.path("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let ran = Bench::new().run(&at(&dead), None).await;
    ran.assert_ended(Outcome::Error, "connect_refused");
    assert_eq!(ran.message(), format!("nobody listens at the socket {}", dead.display()));
}
