//! `openssl s_server` on loopback: a TLS server that is not made of the library that checks use.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose server cannot be started has failed"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long the server may take to listen. Some milliseconds on an idle machine.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A folder in the system's for temporary files, which goes with this value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new and empty one.
    ///
    /// # Panics
    /// When none can be made.
    pub fn new(what: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("watchpost-{what}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for a test");
        Self(path)
    }

    /// The path of what is called `name` in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in it, and says where that is.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file for a test");
        path.to_str().expect("a path of text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// What a server shows: certificates in PEM form, its own first, and the key of that.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The certificates.
    pub chain: String,
    /// The key.
    pub key: String,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct OpensslServer {
    address: SocketAddr,
    _server: Child,
    _folder: Folder,
}

impl OpensslServer {
    /// Starts a server that shows `shown`, with more arguments as `openssl s_server` takes them.
    ///
    /// # Panics
    /// When it does not come to listen.
    pub async fn start(shown: &Shown, more: &[&str]) -> Self {
        let folder = Folder::new("openssl");
        let chain = folder.file("chain.pem", &shown.chain);
        let key = folder.file("key.pem", &shown.key);
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", &chain, "-cert_chain", &chain, "-key", &key])
            .args(more)
            // At the end of its input it would end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl, which the tests need");
        let mut lines = BufReader::new(server.stdout.take().expect("its output")).lines();
        let listens = async {
            loop {
                let line = lines.next_line().await.expect("its output").expect("openssl s_server ended");
                if let Some(address) = line.strip_prefix("ACCEPT ") {
                    return address.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
                }
            }
        };
        let address = tokio::time::timeout(STARTS_WITHIN, listens).await.expect("openssl s_server does not listen");
        // What it says later is of no interest, but it must be able to say it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, _server: server, _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A certificate that signs itself, with a key that `openssl req -newkey` makes, for `host`.
///
/// # Panics
/// When openssl makes none.
pub fn self_signed(host: &str, more: &[&str]) -> Shown {
    let folder = Folder::new("openssl-req");
    let (certificate, key) = (folder.path("certificate.pem"), folder.path("key.pem"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "30", "-subj", &format!("/CN={host}")])
        .args(["-addext", &format!("subjectAltName=DNS:{host}"), "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(more)
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .expect("openssl, which the tests need");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path| std::fs::read_to_string(path).expect("what openssl wrote");
    Shown { chain: read(certificate), key: read(key) }
}
