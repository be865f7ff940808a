//! `ssh` checks, against OpenSSH's server and such as misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Outcome, TypeEvidence};
use watchpost_tests::sshd;
use watchpost_tests::tcp_fixture::{Behaviour, Server};

use crate::{Bench, Ran, eventually, loopback};

fn ssh(more: &str) -> String {
    format!(r#"{{"ssh": {{"address": "svc.example:22"{more}}}}}"#)
}

fn evidence(ran: &Ran) -> &watchpost_model::SshEvidence {
    match &ran.evidence.of_type {
        Some(TypeEvidence::Ssh(evidence)) => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_real_server_proves_that_it_has_its_keys() {
    let server = sshd::start(&["ed25519", "ecdsa", "rsa"], &[]);
    let bench = Bench::new();
    for (asked, keygen, key_type) in [
        ("", "ed25519", "ssh-ed25519"),
        (r#", "key_types": ["ecdsa-sha2-nistp256", "ssh-rsa"]"#, "ecdsa", "ecdsa-sha2-nistp256"),
        (r#", "key_types": ["ecdsa-sha2-nistp384", "ssh-rsa"]"#, "rsa", "ssh-rsa"),
    ] {
        let shown = sshd::fingerprint(&server, keygen);
        let ran = bench.run(&ssh(&format!(r#"{asked}, "fingerprint": "{shown}""#)), server.address()).await;
        ran.assert_passed();
        let told = evidence(&ran);
        assert_eq!((told.key_type.as_deref(), told.fingerprint.as_deref()), (Some(key_type), Some(shown.as_str())));
        assert_eq!((told.protocol.as_str(), told.key_exchange.as_deref()), ("2.0", Some("curve25519-sha256")));
        assert!(told.software.starts_with("OpenSSH_"), "{told:?}");
    }
    let other = sshd::fingerprint(&server, "rsa");
    let ran = bench.run(&ssh(&format!(r#", "fingerprint": ["{other}"]"#)), server.address()).await;
    ran.assert_ended(Outcome::Fail, "host_key_mismatch");
    let own = sshd::fingerprint(&server, "ed25519");
    assert_eq!(ran.message(), format!("the host key is {own} (ssh-ed25519), expected {other}"));
    let ran = bench.run(&ssh(r#", "key_types": ["ecdsa-sha2-nistp384"]"#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "host_key_mismatch");
    assert!(
        ran.message().contains("has no host key of a type that the check asks for: it offers "),
        "{}",
        ran.message()
    );

    let that = r#"{"ssh": {"address": "svc.example:22", "expect": "^SSH-2.0-OpenSSH_"},
        "expect": {"that": "protocol == '2.0' && software.startsWith('OpenSSH_') && key_type == 'ssh-ed25519'"}}"#;
    bench.run(that, server.address()).await.assert_passed();
    let ran = bench.run(&ssh(r#", "banner_only": true, "expect": "dropbear""#), server.address()).await;
    ran.assert_ended(Outcome::Fail, "assertion_failed");
    assert!(ran.message().starts_with("the server introduces itself as SSH-2.0-OpenSSH_"), "{}", ran.message());
    assert!(evidence(&ran).fingerprint.is_none());
    // It was told why the check left.
    eventually("the server has heard it", || server.log().contains("11: this was a check")).await;
}

#[tokio::test]
async fn keys_are_agreed_on_in_every_way() {
    for (way, keygen) in [("ecdh-sha2-nistp256", "ed25519"), ("ecdh-sha2-nistp384", "ecdsa")] {
        let server = sshd::start(&[keygen], &[&format!("KexAlgorithms {way}")]);
        let ran = Bench::new().run(&ssh(""), server.address()).await;
        ran.assert_passed();
        assert_eq!(evidence(&ran).key_exchange.as_deref(), Some(way));
    }
    let old = sshd::start(&["rsa"], &["KexAlgorithms diffie-hellman-group14-sha256"]);
    let ran = Bench::new().run(&ssh(""), old.address()).await;
    ran.assert_ended(Outcome::Error, "protocol_error");
    let told = "knows no key exchange that the check knows: it offers diffie-hellman-group14-sha256";
    assert!(ran.message().contains(told), "{}", ran.message());
    for algorithm in ["ssh-rsa", "rsa-sha2-256"] {
        let weak = sshd::start(&["rsa"], &[&format!("HostKeyAlgorithms {algorithm}")]);
        let ran = Bench::new().run(&ssh(""), weak.address()).await;
        ran.assert_passed();
        assert_eq!(evidence(&ran).key_type.as_deref(), Some("ssh-rsa"));
    }
}

/// Somebody between the check and a server, who passes on what the server says with one byte of it changed: the
/// `number`th from the end of its answer to the key exchange.
async fn meddler(server: std::net::SocketAddr, number: usize) -> Server {
    let handle = move |mut client: TcpStream| async move {
        let mut server = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let there = tokio::io::copy(&mut from_client, &mut to_server);
        let back = async {
            // The introduction, a line; then packets, each with its length.
            let mut byte = 0;
            while byte != b'\n' {
                byte = from_server.read_u8().await.unwrap_or(b'\n');
                to_client.write_u8(byte).await.ok();
            }
            loop {
                let Ok(length) = from_server.read_u32().await else { return };
                let mut packet = vec![0; length as usize];
                if from_server.read_exact(&mut packet).await.is_err() {
                    return;
                }
                let padding = usize::from(packet[0]);
                if packet[1] == 31 {
                    let at = packet.len() - padding - number;
                    packet[at] ^= 1;
                }
                let whole = [&length.to_be_bytes()[..], &packet].concat();
                if to_client.write_all(&whole).await.is_err() || packet[1] == 31 {
                    return;
                }
            }
        };
        tokio::join!(async { there.await.ok() }, back);
    };
    Server::start(loopback(1), handle).await.unwrap()
}

#[tokio::test]
async fn whoever_has_not_the_key_is_found_out() {
    for keygen in ["ed25519", "ecdsa", "rsa"] {
        let server = sshd::start(&[keygen], &[]);
        // In the signature, and in the key.
        for number in [1, 120] {
            let between = meddler(server.address(), number).await;
            let ran = Bench::new().run(&ssh(""), between.address()).await;
            ran.assert_ended(Outcome::Error, "protocol_error");
            let known = ["does not prove that it has the host key", "does not speak SSH as it should"];
            assert!(known.iter().any(|told| ran.message().contains(told)), "{keygen} {number}: {}", ran.message());
            assert!(evidence(&ran).fingerprint.is_none());
        }
    }
}

#[tokio::test]
async fn what_is_no_ssh_server_is_told_apart() {
    let banner = b"SSH-2.0-x\r\n";
    let with = |packet: &[u8]| [&banner[..], packet].concat();
    // A message of 17 bytes, and 10 bytes of padding.
    let disconnect = b"\0\0\0\x1c\x0a\x01\0\0\0\x02\0\0\0\x04busy\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    for (bytes, outcome, code, told) in [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            Outcome::Error,
            "connection_closed",
            "said \"HTTP/1.1 400 Bad R",
        ),
        (b"Exceeded MaxStartups\r\n".to_vec(), Outcome::Fail, "not_ready", "takes no more clients"),
        (b"SSH-1.5-old\r\n".to_vec(), Outcome::Error, "protocol_error", "another version of SSH than 2.0"),
        (vec![b'x'; 3000], Outcome::Error, "protocol_error", "a line of more than 1024 bytes"),
        (b"x\n".repeat(60), Outcome::Error, "protocol_error", "it said \"x\" and 50 lines in all"),
        (with(b"\xff\xff\xff\xff\0"), Outcome::Error, "protocol_error", "a packet of 4294967295 bytes"),
        (with(b"\0\0\0\x04\x04"), Outcome::Error, "protocol_error", "a packet of 4 bytes"),
        (with(b"\0\0\0\x06\x04\x15\0\0\0\0"), Outcome::Error, "protocol_error", "out of place"),
        (with(b"\0\0\0\x06\x04\x14\0\0\0\0"), Outcome::Error, "protocol_error", "cut short"),
        (with(disconnect), Outcome::Error, "connection_closed", "ended the session: it said \"busy\""),
        (b"SSH-2.0".to_vec(), Outcome::Error, "connection_closed", "in the middle of the answer"),
    ] {
        // It hears what is said to it, so that its close is no reset.
        let handle = move |mut stream: TcpStream| {
            let bytes = bytes.clone();
            async move {
                stream.write_all(&bytes).await.ok();
                stream.shutdown().await.ok();
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
            }
        };
        let server = Server::start(loopback(1), handle).await.unwrap();
        let ran = Bench::new().run(&ssh(""), server.address()).await;
        assert_eq!((ran.outcome, ran.code()), (outcome, code), "{told}: {}", ran.message());
        assert!(ran.message().contains(told), "{}", ran.message());
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let limit = Duration::from_millis(150);
    for (behaviour, code) in [
        (Behaviour::Silent, "first_byte_timeout"),
        (Behaviour::Says(b"SSH-2.0-x\r\n".to_vec()), "first_byte_timeout"),
        (Behaviour::Says(b"SSH-2.0-x".to_vec()), "receive_timeout"),
    ] {
        let server = behaviour.start(loopback(1)).await.unwrap();
        let ran = Bench::new().run_until(code, limit, &ssh(""), server.address()).await;
        ran.assert_ended(Outcome::Timeout, code);
        eventually("the server is alone", || server.counts().open() == 0).await;
    }
    let slow = Behaviour::Trickles(b"hello\r\nSSH-2.0-x\r\n".to_vec(), Duration::from_millis(1))
        .start(loopback(1))
        .await
        .unwrap();
    let ran = Bench::new().run(&ssh(r#", "banner_only": true, "expect": "^SSH-2.0-x$""#), slow.address()).await;
    ran.assert_passed();
}
