//! Nothing is left behind: what a probe opened is closed when its future is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use watchpost_model::{CheckType, Outcome};
use watchpost_probe::{Resolver, TlsRoots};
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::tcp_fixture::Behaviour;
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::{Bench, eventually, loopback, run_task, task};

/// The sockets of this machine that have `port` on either end and still belong to a process. Other
/// tests of this process use other ports.
fn sockets_on(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let wanted = format!(":{port:04X}");
    let owned = |line: &&str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let on_port = columns[1].ends_with(&wanted) || columns[2].ends_with(&wanted);
        // A socket without an inode is one that no descriptor refers to any more.
        on_port && columns[9] != "0"
    };
    table.lines().skip(1).filter(owned).count()
}

/// O3: a check that is cancelled is gone from the server's point of view as well.
#[tokio::test]
async fn a_cancelled_check_closes_its_connection_at_once() {
    let server = HttpFixture::start("a").await.unwrap();
    let bench = Bench::new();
    for path in ["/hang", "/hang-body", "/endless?ms=1"] {
        let mut probe = bench.probe(CheckType::Http);
        let task = task(&format!(r#"{{"http": {{"url": "http://svc.example{path}"}}}}"#), Some(server.address()));
        let recorder = watchpost_probe::Recorder::new();
        {
            let mut running = probe.run(&task, &recorder);
            let connected = eventually("the check is connected", || server.counts().open() == 1);
            tokio::select! {
                verdict = &mut running => panic!("{path} ended by itself: {verdict:?}"),
                () = connected => {}
            }
        }
        eventually("the connection is closed", || server.counts().open() == 0).await;
        // The probe is as good as new.
        let fine = crate::task(r#"{"http": {"url": "http://svc.example/ok"}}"#, Some(server.address()));
        run_task(&mut *probe, &fine, crate::AMPLE).await.assert_passed();
        eventually("that one is closed too", || server.counts().open() == 0).await;
    }
}

/// O3: after a thousand checks that all timed out there are as many sockets, descriptors and tasks
/// as before the first one.
#[tokio::test]
async fn a_thousand_checks_that_time_out_leave_nothing_behind() {
    const WORKERS: usize = 50;
    const ROUNDS: usize = 20;
    let server = HttpFixture::start("a").await.unwrap();
    let silent = Behaviour::Silent.start(loopback(1)).await.unwrap();
    let bench = Bench::new();
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks_before = metrics.num_alive_tasks();
    let mut running = Vec::new();
    for worker in 0..WORKERS {
        let (check_type, json, address) = match worker % 3 {
            0 => (CheckType::Http, r#"{"http": {"url": "http://svc.example/hang"}}"#, server.address()),
            1 => (CheckType::Http, r#"{"http": {"url": "https://svc.example/"}}"#, silent.address()),
            _ => (CheckType::Tcp, r#"{"tcp": {"address": "svc.example:1", "expect": "x"}}"#, silent.address()),
        };
        let mut probe = bench.probe(check_type);
        running.push(async move {
            let task = task(json, Some(address));
            for _ in 0..ROUNDS {
                let ran = run_task(&mut *probe, &task, Duration::from_millis(60)).await;
                assert_eq!(ran.outcome, Outcome::Timeout, "{ran:?}");
            }
        });
    }
    futures_util::future::join_all(running).await;
    let hung = server.counts().accepted() + silent.counts().accepted();
    assert!(hung >= WORKERS * ROUNDS * 9 / 10, "only {hung} of the checks got as far as hanging");
    eventually("both servers are alone", || server.counts().open() + silent.counts().open() == 0).await;
    eventually("only the listeners are left", || sockets_on(server.address().port()) == 1).await;
    eventually("only the listeners are left", || sockets_on(silent.address().port()) == 1).await;
    eventually("no task is left", || metrics.num_alive_tasks() == tasks_before).await;
}

/// O3: nobody stays behind to say goodbye to a peer that does not read.
#[tokio::test]
async fn a_peer_that_reads_nothing_keeps_no_socket_of_a_check_that_is_over() {
    const HOST: &str = "svc.example";
    const LIMIT: Duration = Duration::from_secs(1);
    let authority = Authority::new().unwrap();
    let bench = Bench::with(&Resolver::with_nameservers(Vec::new()), &TlsRoots::only([authority.der()]));
    let config = authority.server_config(Certificate::Valid, HOST).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let body = "x".repeat(64 * 1024);
    let metrics = tokio::runtime::Handle::current().metrics();
    for scheme in ["https", "http"] {
        // With next to no room for what is not read, the most of the body stays with the check's side.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        socket.bind((loopback(6), 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let json = format!(r#"{{"http": {{"url": "{scheme}://{HOST}/", "method": "POST", "body": "{body}"}}}}"#);
        let meets = async {
            let (stream, _) = listener.accept().await.unwrap();
            match scheme {
                "https" => Box::new(acceptor.accept(stream).await.unwrap()) as Box<dyn AsyncRead + Unpin>,
                _ => Box::new(stream),
            }
        };
        let (ran, mut peer) = tokio::join!(bench.run_within(LIMIT, &json, address), meets);
        ran.assert_ended(Outcome::Timeout, "first_byte_timeout");
        // The listener's and the peer's own; what the kernel still sends for nobody has no owner any more.
        assert_eq!(sockets_on(address.port()), 2, "{scheme}");
        assert_eq!(metrics.num_alive_tasks(), 0, "{scheme}");
        // Nor does the peer wait for ever, once it reads: the connection ends, in an orderly way or not.
        let mut read = Vec::new();
        let ends = tokio::time::timeout(crate::AMPLE, peer.read_to_end(&mut read)).await;
        assert!(ends.is_ok(), "{scheme}: the connection goes on after {} bytes", read.len());
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_timed_out_while_connecting() {
    // Once the queue of a listener that accepts nothing is full, Linux ignores further attempts.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((loopback(5), 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    let limit = Duration::from_millis(150);
    for json in [r#"{"http": {"url": "http://svc.example/"}}"#, r#"{"tcp": {"address": "svc.example:1"}}"#] {
        let ran = Bench::new().run_within(limit, json, address).await;
        ran.assert_ended(Outcome::Timeout, "connect_timeout");
        assert_eq!(ran.message(), format!("no connection to {address} within 150ms"));
        assert_eq!(ran.evidence.address, Some(address));
    }
    drop(listener);
}
