//! Credentials: each kind, what happens when they are replaced, and how it is told what they do not permit.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nkeys::KeyPair;
use watchpost_bus::{
    Bus, BusError, ClientFiles, KvError, NatsBus, NatsCredentials, NatsOptions, NatsSecret, Outgoing, ReadFrom,
    StreamError, StreamSettings, request,
};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::openssl_server::Folder;
use watchpost_tests::process::{Launch, SOON, until};
use watchpost_tests::tls_fixture::{Authority as TlsAuthority, Certificate, PemFiles};

use crate::jwt::Authority;
use crate::rig::{Rig, inbox_of, shipped_file, users};

/// Longer than anything takes that is told at once, and shorter than any limit of a request here.
const AT_ONCE: Duration = Duration::from_secs(15);

fn options(server: &NatsServer, credentials: NatsCredentials, user: &str) -> NatsOptions {
    NatsOptions { credentials: Some(credentials), inbox_prefix: inbox_of(user), ..NatsOptions::new([server.url()]) }
}

async fn bus(rig: &Rig, user: &str) -> NatsBus {
    let nkey = NatsCredentials::Nkey(NatsSecret::File(rig.file(user)));
    NatsBus::connect(options(&rig.nats, nkey, user)).await.unwrap()
}

/// Has the server read its configuration again.
fn reload(server: &NatsServer) {
    let status = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Waits until the bus is connected anew, and carries messages.
async fn is_back(bus: &NatsBus) {
    until("the bus is back", SOON, || (bus.stats().reconnects >= 1 && bus.is_connected()).then_some(())).await;
    let end = Instant::now() + SOON;
    while bus.flush(SOON).await.is_err() {
        assert!(Instant::now() < end, "the bus carries nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_nkey_is_used_when_the_server_takes_the_old_one_no_more() {
    let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
    let of = |key: &KeyPair| users(&[format!("viewer:wall={}", key.public_key())]);
    let server = NatsServer::start_with_config(&shipped_file("small.conf"), &[("users.conf", &of(&old))]);
    let file = server.folder().join("wall.nk");
    write(&file, &old.seed().unwrap());
    let nkey = NatsCredentials::Nkey(NatsSecret::File(file.clone()));
    let bus = NatsBus::connect(options(&server, nkey.clone(), "wall")).await.unwrap();

    write(&file, &new.seed().unwrap());
    write(&server.folder().join("users.conf"), &of(&new));
    reload(&server);
    is_back(&bus).await;

    // One who goes on with the old one is not let in, and is told so.
    write(&file, &old.seed().unwrap());
    let error = NatsBus::connect(options(&server, nkey, "wall")).await.unwrap_err();
    assert!(error.to_string().contains("refused our credentials"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_credentials_file_is_used_when_the_old_user_is_revoked() {
    let authority = Authority::new();
    let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
    let mut server = NatsServer::start_with_config(&authority.config(&[]), &[]);
    let file = server.folder().join("wall.creds");
    let of = |key: &KeyPair| authority.credentials(key, "wall", Some("viewer:wall"));
    write(&file, &of(&old));
    let bus = NatsBus::connect(options(&server, NatsCredentials::File(file.clone()), "wall")).await.unwrap();
    bus.flush(SOON).await.unwrap();

    write(&server.folder().join("nats-server.conf"), &authority.config(&[&old]));
    server.restart_on_same_port();
    // What it had is worth nothing any more: until the file is replaced it does not come in.
    until("the loss is noticed", SOON, || (!bus.is_connected()).then_some(())).await;
    write(&file, &of(&new));
    is_back(&bus).await;
    assert!(matches!(
        NatsBus::connect(options(
            &server,
            NatsCredentials::File({
                write(&file, &of(&old));
                file
            }),
            "wall"
        ))
        .await,
        Err(BusError::Connect { .. })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_password_and_token_are_used() {
    for kind in ["password", "token"] {
        let config = |secret: &str| match kind {
            "password" => format!("authorization {{ user: ann, password: \"{secret}\" }}"),
            _ => format!("authorization {{ token: \"{secret}\" }}"),
        };
        let mut server = NatsServer::start_with_config(&config("first-s3cret"), &[]);
        let file = server.folder().join(kind);
        write(&file, "first-s3cret\n");
        let secret = NatsSecret::File(file.clone());
        let credentials = match kind {
            "password" => NatsCredentials::UserPassword { user: "ann".to_owned(), password: secret },
            _ => NatsCredentials::Token(secret),
        };
        let bus = NatsBus::connect(options(&server, credentials, "ann")).await.unwrap();
        write(&server.folder().join("nats-server.conf"), &config("second-s3cret"));
        write(&file, "second-s3cret");
        server.restart_on_same_port();
        is_back(&bus).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_permitted_is_an_error_and_no_timeout() {
    let rig = Rig::small(&["viewer:wall", "operator:ann"]);
    rig.run("ann", &["bus", "setup"]).await.code(0);
    let bus = bus(&rig, "wall").await;
    let begun = Instant::now();
    let limit = 10 * AT_ONCE;

    let drain = Outgoing::new("watchpost.site-1.control.bastion.drain", "{}");
    let error = request(&bus, drain, limit).await.unwrap_err();
    assert!(matches!(&error, BusError::Forbidden { what } if what.contains("bastion.drain")), "{error}");
    for (filter, queue) in [("watchpost.*.task.*", None), ("watchpost.site-1.task.http", Some("runners"))] {
        let error = bus.subscribe(filter, queue).await.unwrap_err();
        assert!(matches!(&error, BusError::Forbidden { what } if what.contains(filter)), "{error}");
    }
    let checks = bus.key_value("WATCHPOST_CHECKS");
    let error = checks.put("site-1.web", "x".into(), None).await.unwrap_err();
    assert!(matches!(error, KvError::Forbidden { .. }), "{error}");
    let error = checks.delete("site-1.web", None).await.unwrap_err();
    assert!(matches!(error, KvError::Forbidden { .. }), "{error}");
    let error = checks.get("site-1.web").await.unwrap_err();
    assert!(matches!(error, KvError::Forbidden { .. }), "{error}");
    let settings = StreamSettings {
        name: "MINE".to_owned(),
        subjects: vec!["mine.>".to_owned()],
        age_max: Duration::from_secs(60),
        bytes_max: 1024,
        per_subject_max: None,
    };
    let error = bus.create_stream(&settings).await.unwrap_err();
    assert!(matches!(error, StreamError::Forbidden { .. }), "{error}");
    let error = bus.read_stream("KV_WATCHPOST_CHECKS_2", &[">".to_owned()], ReadFrom::Beginning).await.unwrap_err();
    assert!(matches!(error, StreamError::Forbidden { .. }), "{error}");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert!(bus.stats().forbidden >= 8, "{:?}", bus.stats());

    // The command line says the same.
    rig.write("checks.yaml", "id: web\nhttp: {url: 'http://127.0.0.1:1/'}\n");
    let applied = rig.run("wall", &["checks", "apply", "-f", "checks.yaml", "--group", "site-1"]).await;
    assert!(applied.code == 1 && applied.stderr.contains("does not let us"), "{applied:#?}");
    let drained = rig.run("wall", &["bastions", "drain", "site-1"]).await;
    assert!(drained.code == 2 && drained.stderr.contains("does not let us"), "{drained:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bastion_that_may_not_hear_its_tasks_does_not_begin() {
    let rig = Rig::small(&["bastion:site-1"]);
    let flags = rig.flags("site-1");
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut other = Launch::new("bastion").config("bastion: site-2\n").args(&flags).start();
    let code = until("it ends", SOON, || other.try_code()).await;
    assert_eq!(code, 2, "{}", other.stderr());
    assert!(other.stderr().contains("does not let us subscribe to watchpost.site-2."), "{}", other.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_takes_those_that_show_a_certificate() {
    let authority = TlsAuthority::new().unwrap();
    let folder = Folder::new("deploy-tls");
    authority.files(Certificate::Valid, "127.0.0.1").unwrap().write_to(&folder.path(""));
    let served = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    let user = KeyPair::new_user();
    let listed = users(&[format!("viewer:wall={}", user.public_key())]);
    let config = shipped_file("small.conf").replace("# include \"tls.conf\"", "include \"tls.conf\"");
    assert!(config.contains("\ninclude \"tls.conf\""), "small.conf says where TLS goes");
    let server = NatsServer::start_with_config(
        &config,
        &[
            ("tls.conf", &*shipped_file("tls.conf")),
            ("users.conf", &listed),
            ("certs/server.pem", &served(PemFiles::CERTIFICATE)),
            ("certs/server.key", &served(PemFiles::KEY)),
            ("certs/clients.pem", &authority.pem()),
        ],
    );
    let (certificate, key) = authority.client_pem("wall").unwrap();
    let in_folder = |name: &str, text: &str| {
        let file = server.folder().join(name);
        write(&file, text);
        file
    };
    let nkey = NatsCredentials::Nkey(NatsSecret::Text(user.seed().unwrap()));
    let mut shown = options(&server, nkey, "wall");
    shown.require_tls = true;
    shown.tls_ca_file = Some(in_folder("ca.pem", &authority.pem()));
    let hidden = shown.clone();
    shown.tls_client =
        Some(ClientFiles { certificate: in_folder("wall.pem", &certificate), key: in_folder("wall.key", &key) });
    let bus = NatsBus::connect(shown).await.unwrap();
    bus.flush(SOON).await.unwrap();
    // TLS 1.3 refuses a client only after the handshake is over on its side.
    let refused = NatsBus::connect(hidden).await.unwrap_err();
    assert!(matches!(refused, BusError::Connect { .. }), "{refused}");
}
