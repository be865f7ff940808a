//! Real mail servers: Dovecot for IMAP and POP3, aiosmtpd for SMTP.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::server_process::{ServerProcess, accepts, installed, unprivileged};
use crate::tls_fixture::PemFiles;

/// The password of every user.
pub const PASSWORD: &str = "correct-horse-battery";

/// What runs aiosmtpd: the folder, the port, the password, and either `implicit` or the mechanisms that are not offered.
const SMTP_SERVER: &str = r#"
import signal, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

folder, port, password, mode = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(folder + "/certificate.pem", folder + "/key.pem")

def authenticator(server, session, envelope, mechanism, data):
    return AuthResult(success=data.password == password.encode(), handled=False)

common = dict(hostname="127.0.0.1", port=int(port), authenticator=authenticator, ident="aiosmtpd")
if mode == "implicit":
    controller = Controller(object(), ssl_context=context, auth_require_tls=False, **common)
else:
    left_out = [each for each in mode.split(",") if each]
    controller = Controller(object(), tls_context=context, auth_exclude_mechanism=left_out, **common)
controller.start()
signal.pause()
"#;

/// Starts an SMTP server with STARTTLS, which does not offer the mechanisms `left_out`.
///
/// # Panics
/// When it does not become ready.
pub fn smtp(files: &PemFiles, left_out: &[&str]) -> ServerProcess {
    start_smtp(files, &left_out.join(","))
}

/// Starts an SMTP server that speaks TLS only.
///
/// # Panics
/// When it does not become ready.
pub fn smtp_with_tls(files: &PemFiles) -> ServerProcess {
    start_smtp(files, "implicit")
}

fn start_smtp(files: &PemFiles, mode: &str) -> ServerProcess {
    // Whoever has this program has the library that it is made of.
    installed("aiosmtpd", "python3-aiosmtpd");
    let command = |folder: &Path, port: u16| {
        files.write_to(folder);
        let mut command = unprivileged(Path::new("/usr/bin/python3"));
        command.args(["-c", SMTP_SERVER]).arg(folder).args([&port.to_string(), PASSWORD, mode]);
        command
    };
    ServerProcess::start("smtp", command, accepts)
}

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    server: ServerProcess,
    /// Of IMAP by TLS, POP3, and POP3 by TLS.
    others: [u16; 3],
}

impl Dovecot {
    /// Starts one that lets every user in who knows the password.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(files: &PemFiles) -> Self {
        let mut others = [0; 3];
        let command = |folder: &Path, port: u16| {
            files.write_to(folder);
            others = free_ports();
            dovecot(folder, port, others)
        };
        let server = ServerProcess::start("dovecot", command, accepts);
        Self { server, others }
    }

    /// Where it speaks IMAP, with STARTTLS.
    pub fn imap(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it speaks IMAP by TLS.
    pub fn imaps(&self) -> SocketAddr {
        self.at(self.others[0])
    }

    /// Where it speaks POP3, with STLS.
    pub fn pop3(&self) -> SocketAddr {
        self.at(self.others[1])
    }

    /// Where it speaks POP3 by TLS.
    pub fn pop3s(&self) -> SocketAddr {
        self.at(self.others[2])
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.imap().ip(), port)
    }
}

/// Ports that are free at the same time.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound port").port())
}

/// The command that runs it, as whoever owns the folder.
fn dovecot(folder: &Path, imap: u16, [imaps, pop3, pop3s]: [u16; 3]) -> Command {
    let name = |kind: &str| {
        let told = unprivileged(Path::new("/usr/bin/id")).arg(kind).output().expect("id");
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    };
    let (user, group) = (name("-un"), name("-gn"));
    let (at, certificate, key) = (folder.display(), PemFiles::CERTIFICATE, PemFiles::KEY);
    let config = format!(
        "
base_dir = {at}/run
state_dir = {at}/state
log_path = /dev/stderr
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
protocols = imap pop3
listen = 127.0.0.1
mail_location = maildir:{at}/mail/%u
first_valid_uid = 1
ssl = yes
ssl_cert = <{at}/{certificate}
ssl_key = <{at}/{key}
auth_failure_delay = 0
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={at}/mail/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"
    );
    fs::write(folder.join("dovecot.conf"), config).expect("the server's configuration");
    let mut command = unprivileged(&installed("dovecot", "dovecot-core"));
    command.arg("-F").arg("-c").arg(folder.join("dovecot.conf"));
    command
}
