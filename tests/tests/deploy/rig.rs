//! A nats-server with the shipped files and users made for the test, and clients of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event};
use nkeys::KeyPair;
use tokio::sync::mpsc;
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost, binary};

use crate::jwt::Authority;

/// How often something that is waited for is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The user of each account that the shipped files do not have: it may do everything, and sees what arrives.
pub const ROOT: &str = "root";

/// The directory of the shipped files.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats")
}

/// What a shipped file holds.
pub fn shipped_file(name: &str) -> String {
    std::fs::read_to_string(shipped().join(name)).unwrap()
}

/// What `users.sh` prints.
pub fn users(args: &[String]) -> String {
    let output = Command::new("sh").arg(shipped().join("users.sh")).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many complaints of the server wait at most for whoever reads them: more than there are attempts.
const COMPLAINTS_MAX: usize = 4096;

/// A server with users of one or several accounts, and their keys in files.
pub struct Rig {
    pub nats: NatsServer,
    folder: PathBuf,
    proofs: BTreeMap<String, Proof>,
}

/// Who a user is.
enum Proof {
    Nkey(Box<KeyPair>),
    /// What a file of `nsc`'s holds.
    Credentials(String),
}

impl Rig {
    /// `small.conf`, with these users, `ROLE:NAME`.
    pub fn small(names: &[&str]) -> Self {
        let mut proofs = BTreeMap::new();
        let users = account("", names, &mut proofs);
        let nats = NatsServer::start_with_config(&shipped_file("small.conf"), &[("users.conf", &users)]);
        Self::of(nats, proofs)
    }

    /// `customers.conf`, with these users in each account; in keys and clients their names have the account's before.
    pub fn customers(acme: &[&str], globex: &[&str], company: &[&str]) -> Self {
        let mut proofs = BTreeMap::new();
        let acme = account("acme/", acme, &mut proofs);
        let globex = account("globex/", globex, &mut proofs);
        let company = account("company/", company, &mut proofs);
        let files = [("acme.users.conf", &*acme), ("globex.users.conf", &*globex), ("company.users.conf", &*company)];
        Self::of(NatsServer::start_with_config(&shipped_file("customers.conf"), &files), proofs)
    }

    /// Users of one account whose permissions stand in JWTs, as `nsc` makes them.
    pub fn operator(names: &[&str]) -> Self {
        let authority = Authority::new();
        let mut proofs = BTreeMap::new();
        for role in names {
            let name = user_of(role);
            let credentials = authority.credentials(&KeyPair::new_user(), name, Some(role));
            proofs.insert(name.to_owned(), Proof::Credentials(credentials));
        }
        let root = authority.credentials(&KeyPair::new_user(), ROOT, None);
        proofs.insert(ROOT.to_owned(), Proof::Credentials(root));
        Self::of(NatsServer::start_with_config(&authority.config(&[]), &[]), proofs)
    }

    fn of(nats: NatsServer, proofs: BTreeMap<String, Proof>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-deploy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rig = Self { nats, folder, proofs };
        for (user, proof) in &rig.proofs {
            let text = match proof {
                Proof::Nkey(key) => format!("# {user}\n{}\n", key.seed().unwrap()),
                Proof::Credentials(text) => text.clone(),
            };
            std::fs::write(rig.file(user), text).unwrap();
        }
        rig
    }

    /// The file that says who a user is.
    pub fn file(&self, user: &str) -> PathBuf {
        self.folder.join(user.replace('/', "-"))
    }

    /// A client of NATS's own library, with what the server complains of.
    pub async fn client(&self, user: &str) -> Attacker {
        let (told, complaints) = mpsc::channel(COMPLAINTS_MAX);
        let inbox = inbox_of(user);
        let options = match &self.proofs[user] {
            Proof::Nkey(key) => ConnectOptions::with_nkey(key.seed().unwrap()),
            Proof::Credentials(text) => ConnectOptions::with_credentials(text).unwrap(),
        };
        let client = options
            .custom_inbox_prefix(&inbox)
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    told.try_send(error.to_string()).expect("room for what the server complains of");
                }
                std::future::ready(())
            })
            .connect(self.nats.url())
            .await
            .unwrap();
        Attacker { client, inbox, complaints }
    }

    /// The flags by which the binary is a user.
    pub fn flags(&self, user: &str) -> Vec<String> {
        let how = if matches!(self.proofs[user], Proof::Nkey(_)) { "--nkey" } else { "--creds" };
        let flags = ["--bus", &self.nats.url(), how, self.file(user).to_str().unwrap()].map(str::to_owned);
        flags.into_iter().chain(["--inbox-prefix".to_owned(), inbox_of(user)]).collect()
    }

    /// A role that runs until it is dropped.
    pub async fn start(&self, role: &str, user: &str, config: &str, more: &[&str]) -> Watchpost {
        let flags = self.flags(user);
        let flags: Vec<_> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Launch::new(role).config(config).args(&flags).start_ready().await
    }

    /// Runs a command as a user, to its end.
    pub async fn run(&self, user: &str, args: &[&str]) -> Ran {
        let mut command = tokio::process::Command::new(binary());
        command.args(args).args(self.flags(user)).current_dir(&self.folder).env_clear();
        command.env("XDG_CONFIG_HOME", self.folder.join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tokio::time::timeout(SOON, command.output());
        let output = output.await.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command until what it prints is what is waited for.
    pub async fn until(&self, user: &str, args: &[&str], look: impl Fn(&Ran) -> bool) -> Ran {
        let end = Instant::now() + SOON;
        loop {
            let ran = self.run(user, args).await;
            if look(&ran) {
                return ran;
            }
            assert!(Instant::now() < end, "{args:?} does not come to what is waited for: {ran:#?}\n{}", self.log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// The server's own log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.nats.folder().join("nats-server.log")).unwrap()
    }

    /// What the server refused so far, in its own words.
    pub fn violations(&self) -> Vec<String> {
        self.log().lines().filter(|line| line.contains("Violation")).map(str::to_owned).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Asserts how it ended.
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{self:#?}");
        self
    }
}

/// The users of one account, as `users.sh` prints them, and one more that may do everything.
fn account(account: &str, names: &[&str], proofs: &mut BTreeMap<String, Proof>) -> String {
    let mut args = Vec::new();
    for name in names {
        let key = KeyPair::new_user();
        args.push(format!("{name}={}", key.public_key()));
        proofs.insert(format!("{account}{}", user_of(name)), Proof::Nkey(Box::new(key)));
    }
    let root = KeyPair::new_user();
    let printed = users(&args);
    let shut = printed.trim_end().strip_suffix(']').unwrap();
    let all = format!("{shut}  {{ nkey: {} }}\n]\n", root.public_key());
    proofs.insert(format!("{account}{ROOT}"), Proof::Nkey(Box::new(root)));
    all
}

/// The user in `ROLE:BASTION/USER,GROUP`.
fn user_of(name: &str) -> &str {
    let named = name.split_once(':').unwrap().1.split(',').next().unwrap();
    named.split_once('/').map_or(named, |(_, user)| user)
}

pub fn inbox_of(user: &str) -> String {
    format!("_INBOX_{}", user.rsplit('/').next().unwrap())
}

/// A client that tries things, and hears what the server says of it.
pub struct Attacker {
    pub client: Client,
    pub inbox: String,
    pub complaints: mpsc::Receiver<String>,
}
