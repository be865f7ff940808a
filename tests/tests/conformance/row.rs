//! One row of the table.

use std::net::IpAddr;

use crate::expected::{Ending, Expected, Is};
use crate::names::Dns;
use crate::server::Server;

/// What a server does, what is asked of it, and what must come of it. The top of `main.rs` says how rows are
/// written.
pub struct Row {
    pub name: String,
    pub servers: Vec<Place>,
    pub names: Vec<(&'static str, Dns)>,
    pub dead: Vec<IpAddr>,
    pub deaf: Vec<IpAddr>,
    pub files: Vec<(String, String)>,
    pub env: Vec<(&'static str, String)>,
    pub settings: Vec<String>,
    pub check: String,
    pub timeout: &'static str,
    pub expected: Expected,
    pub alone: bool,
}

/// A server and where it is.
pub struct Place {
    /// Empty for the row's main one.
    pub name: &'static str,
    pub ip: IpAddr,
    pub server: Server,
}

/// How long a check takes at most that has an answer to come to. Much more than it needs on a busy machine.
const AMPLE: &str = "30s";
/// How long a check takes that can only time out. In this time it must have got to where it is stuck, on a busy
/// machine as well, among all the others of its file.
pub const STUCK: &str = "3s";

/// A row. Its name is the id of its check.
pub fn row(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        servers: Vec::new(),
        names: Vec::new(),
        dead: Vec::new(),
        deaf: Vec::new(),
        files: Vec::new(),
        env: Vec::new(),
        settings: Vec::new(),
        check: String::new(),
        timeout: AMPLE,
        expected: Expected::default(),
        alone: false,
    }
}

/// `text` as an address, which it must be.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no address"))
}

impl Row {
    /// The row's server: `{addr}`, `{ip}`, `{port}`, and the name `{host}` that leads to it.
    #[must_use]
    pub fn server(self, server: Server) -> Self {
        self.server_on("127.0.0.1", server)
    }

    /// The same in place of the server that the row has.
    #[must_use]
    pub fn replacing_server(mut self, server: Server) -> Self {
        self.servers.retain(|place| !place.name.is_empty());
        self.server(server)
    }

    /// The same on another address of the loopback device.
    #[must_use]
    pub fn server_on(mut self, at: &str, server: Server) -> Self {
        self.servers.push(Place { name: "", ip: ip(at), server });
        self
    }

    /// Another server, to be named before the one that it is for: `{name.addr}`, `{name.ip}`, `{name.port}`,
    /// and the name `{name.host}` that leads to it.
    #[must_use]
    pub fn other(mut self, name: &'static str, at: &str, server: Server) -> Self {
        self.servers.push(Place { name, ip: ip(at), server });
        self
    }

    /// Sees to it that nobody listens on `{port}` of this address, which is not that of the server.
    #[must_use]
    pub fn dead(mut self, at: &str) -> Self {
        self.dead.push(ip(at));
        self
    }

    /// Sees to it that an attempt to connect to `{port}` of this address, which is not that of the server, has no
    /// answer.
    #[must_use]
    pub fn deaf(mut self, at: &str) -> Self {
        self.deaf.push(ip(at));
        self
    }

    /// What the name server says of `{host}`.
    #[must_use]
    pub fn dns(mut self, says: Dns) -> Self {
        self.names.push(("", says));
        self
    }

    /// What the name server says of a further name, `{name.host}`.
    #[must_use]
    pub fn name(mut self, name: &'static str, says: Dns) -> Self {
        self.names.push((name, says));
        self
    }

    /// A file in `{dir}`.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: impl Into<String>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// Runs it by a process and with a name server of its own, since it would disturb the others, or they it.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// An environment variable, where the row is `.alone()`.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// A line at the top of the configuration file, `key: …`. Unless the row is `.alone()`, it holds for every row
    /// of the file; the same line of several rows is there once.
    #[must_use]
    pub fn setting(mut self, line: impl Into<String>) -> Self {
        self.settings.push(line.into());
        self
    }

    /// The check in YAML, without `id` and `timeout`.
    #[must_use]
    pub fn check(mut self, yaml: impl Into<String>) -> Self {
        self.check = yaml.into();
        self
    }

    /// An `http` check of this URL: `.check("http: { url: '…' }")`.
    #[must_use]
    pub fn get(self, url: &str) -> Self {
        self.check(format!("http: {{ url: '{url}' }}"))
    }

    /// The same, with what it expects.
    #[must_use]
    pub fn get_expecting(self, url: &str, expect: &str) -> Self {
        self.check(format!("http: {{ url: '{url}' }}\nexpect: {{ {expect} }}"))
    }

    /// The check's `timeout`.
    #[must_use]
    pub fn within(mut self, timeout: &'static str) -> Self {
        self.timeout = timeout;
        self
    }

    /// It passes.
    #[must_use]
    pub fn pass(mut self) -> Self {
        self.expected.endings.push(Ending::PASS);
        self
    }

    fn ends(mut self, outcome: &'static str, code: &str) -> Self {
        self.expected.endings.push(Ending::of(outcome, code));
        self
    }

    /// It fails for this reason.
    #[must_use]
    pub fn fail(self, code: &str) -> Self {
        self.ends("fail", code)
    }

    /// It is an error for this reason.
    #[must_use]
    pub fn error(self, code: &str) -> Self {
        self.ends("error", code)
    }

    /// It times out, for this reason, within a timeout that it cannot but exceed.
    #[must_use]
    pub fn timeout(self, code: &str) -> Self {
        self.within(STUCK).ends("timeout", code)
    }

    /// It is cancelled for this reason.
    #[must_use]
    pub fn cancelled(self, code: &str) -> Self {
        self.ends("cancelled", code)
    }

    /// It is not run, since the configuration is refused; stderr matches this regular expression, in which `.` is any
    /// character but the end of a line. It is `.alone()`.
    #[must_use]
    pub fn refused(mut self, regex: &str) -> Self {
        self.expected.refused = Some(regex.to_owned());
        self.alone()
    }

    /// The sentence of its reason matches this regular expression.
    #[must_use]
    pub fn says(mut self, regex: &str) -> Self {
        self.expected.sentences.push(regex.to_owned());
        self
    }

    /// The field at `path` of its result is this.
    #[must_use]
    pub fn at(mut self, path: &str, is: Is) -> Self {
        self.expected.fields.push((path.to_owned(), is));
        self
    }

    /// Its server was connected to so many times.
    #[must_use]
    pub fn connections(mut self, number: usize) -> Self {
        self.expected.connections = Some(number);
        self
    }
}
