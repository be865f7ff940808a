//! The configuration of one check.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::expect::{ASSERTIONS_MAX, Expect};
use crate::http::HttpSettings;
use crate::id::CheckId;
use crate::message::V1;
use crate::target::{Addresses, HostPort, Target};
use crate::tcp::TcpSettings;
use crate::time::{Interval, Timeout};
use crate::{Invalid, codec};

/// The largest check on the wire, in bytes.
pub const CHECK_BYTES_MAX: usize = 512 * 1024;
/// The most that settings and expectations may take together, in bytes of JSON. It leaves room for
/// the rest of a task below [`Task::BYTES_MAX`](crate::Task).
const SETTINGS_BYTES_MAX: usize = 192 * 1024;
/// The interval of a check that names none.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The timeout of a check that names none; a shorter interval shortens it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// A kind of check. Each has a worker pool of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckType {
    /// An HTTP or HTTPS request.
    Http,
    /// A TCP connection, optionally with an exchange of text.
    Tcp,
}

impl CheckType {
    /// Every type.
    pub const ALL: [Self; 2] = [Self::Http, Self::Tcp];

    /// The word in configuration, subjects and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

impl fmt::Display for CheckType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check does, by type: `{"http": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSettings {
    /// Settings of an `http` check.
    Http(HttpSettings),
    /// Settings of a `tcp` check.
    Tcp(TcpSettings),
}

impl ProbeSettings {
    /// The type whose settings these are.
    pub fn check_type(&self) -> CheckType {
        match self {
            Self::Http(_) => CheckType::Http,
            Self::Tcp(_) => CheckType::Tcp,
        }
    }

    /// The host and port that the settings point at.
    pub fn host_port(&self) -> HostPort {
        match self {
            Self::Http(http) => http.url.host_port(),
            Self::Tcp(tcp) => tcp.address.clone(),
        }
    }

    /// What to call the target in results: the URL, or host and port.
    pub fn target_name(&self) -> String {
        match self {
            Self::Http(http) => http.url.to_string(),
            Self::Tcp(tcp) => tcp.address.to_string(),
        }
    }

    /// What holds between the parts, beyond what each part's own type guarantees.
    pub(crate) fn validate(&self, expect: &Expect) -> Result<(), Invalid> {
        match self {
            Self::Http(http) => http.validate().map_err(Invalid::new)?,
            Self::Tcp(_) => {
                if let Some(key) = expect.first_http_only_key() {
                    return Err(Invalid::new(format!(
                        "`expect.{key}` has no meaning for a tcp check: expected `tcp.expect` or `expect.max_latency`"
                    )));
                }
            }
        }
        if expect.assertion_count() > ASSERTIONS_MAX {
            return Err(Invalid::new(format!(
                "`expect` has {} assertions: expected at most {ASSERTIONS_MAX}",
                expect.assertion_count()
            )));
        }
        Ok(())
    }
}

/// A valid check. Made from a [`CheckDocument`], which is also its form in files and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CheckDocument", into = "CheckDocument")]
pub struct Check {
    id: CheckId,
    interval: Interval,
    timeout: Timeout,
    target: Target,
    probe: Arc<ProbeSettings>,
    expect: Arc<Expect>,
}

impl Check {
    /// The check's name.
    pub fn id(&self) -> &CheckId {
        &self.id
    }

    /// The time from one scheduled run to the next.
    pub fn interval(&self) -> Interval {
        self.interval
    }

    /// How long one of its tasks may take.
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// What it points at.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What it does. Shared with the tasks that are made of it.
    pub fn probe(&self) -> &Arc<ProbeSettings> {
        &self.probe
    }

    /// What it expects. Shared with the tasks that are made of it.
    pub fn expect(&self) -> &Arc<Expect> {
        &self.expect
    }

    /// Its type.
    pub fn check_type(&self) -> CheckType {
        self.probe.check_type()
    }
}

/// A check as people and control planes write it. Unknown keys are refused: a check that means
/// more than this version understands must not run as something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "Check")]
#[serde(deny_unknown_fields)]
pub struct CheckDocument {
    /// The protocol version, 1. May be left out in files.
    #[serde(default)]
    pub v: V1,
    /// The check's name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub id: CheckId,
    /// An HTTP check. Exactly one of the types must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSettings>,
    /// A TCP check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpSettings>,
    /// The time from one run to the next, `1s` to `24h`; `1m` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// How long a task may take: more than 0, at most the interval and `5m`; `10s`, or the
    /// interval where that is shorter, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Which addresses of the target are checked: `any` (default), `all`, or a list.
    #[serde(default, skip_serializing_if = "Addresses::is_default")]
    pub addresses: Addresses,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

impl TryFrom<CheckDocument> for Check {
    type Error = Invalid;

    fn try_from(document: CheckDocument) -> Result<Self, Invalid> {
        let CheckDocument { v: V1, id, http, tcp, interval, timeout, addresses, expect } = document;
        let about = |what: String| Invalid::new(format!("check `{id}`: {what}"));
        let probe = match (http, tcp) {
            (Some(http), None) => ProbeSettings::Http(http),
            (None, Some(tcp)) => ProbeSettings::Tcp(tcp),
            (None, None) => return Err(about("it has no type: expected one of `http:` or `tcp:`".into())),
            (Some(_), Some(_)) => {
                return Err(about("it has both `http:` and `tcp:`: expected exactly one type".into()));
            }
        };
        let interval = match interval {
            Some(interval) => interval,
            None => Interval::new(INTERVAL_DEFAULT).map_err(|e| about(e.to_string()))?,
        };
        let timeout = match timeout {
            Some(timeout) => timeout,
            None => Timeout::new(TIMEOUT_DEFAULT.min(interval.get())).map_err(|e| about(e.to_string()))?,
        };
        if timeout.get() > interval.get() {
            return Err(about(format!(
                "its timeout of {timeout} is longer than its interval of {interval}: expected at most the interval"
            )));
        }
        probe.validate(&expect).map_err(|e| about(e.to_string()))?;
        let target = Target { host_port: probe.host_port(), addresses };
        validate_addresses(&probe, &target).map_err(about)?;
        validate_size(&probe, &expect).map_err(about)?;
        Ok(Self { id, interval, timeout, target, probe: Arc::new(probe), expect: Arc::new(expect) })
    }
}

fn validate_addresses(probe: &ProbeSettings, target: &Target) -> Result<(), String> {
    let Addresses::List(list) = &target.addresses else { return Ok(()) };
    let mut seen = HashSet::with_capacity(list.len());
    if let Some(twice) = list.iter().map(|a| a.resolve(target.host_port.port())).find(|a| !seen.insert(*a)) {
        return Err(format!("`addresses` lists {twice} twice: expected each endpoint once"));
    }
    // TLS verifies the host that the URL names. Where that is an address, connecting to another one
    // under its name could only fail.
    if let (ProbeSettings::Http(http), Some(ip)) = (probe, target.host_port.ip())
        && http.url.is_https()
    {
        return Err(format!(
            "its url names the address {ip} and `addresses` lists others, whose certificates could not be verified: \
             expected a host name in the url"
        ));
    }
    Ok(())
}

/// A check that is valid must make tasks that a Runner accepts.
fn validate_size(probe: &ProbeSettings, expect: &Expect) -> Result<(), String> {
    let written = |bytes: Result<Vec<u8>, _>| bytes.map_or(usize::MAX, |bytes: Vec<u8>| bytes.len());
    let bytes = written(serde_json::to_vec(probe)).saturating_add(written(serde_json::to_vec(expect)));
    if bytes > SETTINGS_BYTES_MAX {
        return Err(format!(
            "its settings and expectations take {bytes} bytes: expected at most {SETTINGS_BYTES_MAX} together"
        ));
    }
    Ok(())
}

impl From<Check> for CheckDocument {
    fn from(check: Check) -> Self {
        let Check { id, interval, timeout, target, probe, expect } = check;
        let (http, tcp) = match Arc::unwrap_or_clone(probe) {
            ProbeSettings::Http(http) => (Some(http), None),
            ProbeSettings::Tcp(tcp) => (None, Some(tcp)),
        };
        Self {
            v: V1,
            id,
            http,
            tcp,
            interval: Some(interval),
            timeout: Some(timeout),
            addresses: target.addresses,
            expect: Arc::unwrap_or_clone(expect),
        }
    }
}

impl codec::Message for Check {
    const NAME: &'static str = "check";
    const BYTES_MAX: usize = CHECK_BYTES_MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Check, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_fit_together() {
        let plain = check(r#"{"id": "a", "tcp": {"address": "a:1"}}"#).unwrap();
        assert_eq!((plain.interval().get().as_secs(), plain.timeout().get().as_secs()), (60, 10));
        let quick = check(r#"{"id": "a", "tcp": {"address": "a:1"}, "interval": "2s"}"#).unwrap();
        assert_eq!(quick.timeout().get().as_secs(), 2);
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_what_was_expected() {
        for (json, told) in [
            (r#"{"id": "a"}"#, "expected one of `http:` or `tcp:`"),
            (r#"{"id": "a", "http": {"url": "http://a"}, "tcp": {"address": "a:1"}}"#, "expected exactly one type"),
            (r#"{"id": "a", "tcp": {"address": "a:1"}, "interval": "5s", "timeout": "6s"}"#, "at most the interval"),
            (r#"{"id": "a", "tcp": {"address": "a:1"}, "intervall": "5s"}"#, "unknown field `intervall`"),
            (r#"{"id": "a", "tcp": {"address": "a:1"}, "expect": {"status": 200}}"#, "no meaning for a tcp check"),
            (r#"{"id": "a.b", "tcp": {"address": "a:1"}}"#, "not a valid check id"),
            (r#"{"v": 2, "id": "a", "tcp": {"address": "a:1"}}"#, "version 2"),
            (
                r#"{"id": "a", "http": {"url": "https://10.0.0.1/"}, "addresses": ["10.0.0.2"]}"#,
                "expected a host name in the url",
            ),
            (
                r#"{"id": "a", "http": {"url": "http://a"}, "addresses": ["10.0.0.1", "10.0.0.1:80"]}"#,
                "lists 10.0.0.1:80 twice",
            ),
            (r#"{"id": "a", "http": {"url": "http://a", "max_redirects": 11}}"#, "expected 0 to 10"),
            (r#"{"id": "a", "http": {"url": "http://a", "headers": {"Content-Length": "1"}}}"#, "content-length"),
        ] {
            let error = check(json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
    }

    #[test]
    fn a_check_whose_tasks_would_be_too_large_is_refused() {
        let header = |n: usize| format!(r#""x-{n}": "{}""#, "v".repeat(8000));
        let with = |n: usize| {
            let headers: Vec<_> = (0..n).map(header).collect();
            check(&format!(r#"{{"id": "a", "http": {{"url": "http://a", "headers": {{{}}}}}}}"#, headers.join(",")))
        };
        assert!(with(20).is_ok());
        assert!(with(30).unwrap_err().contains("expected at most 196608 together"));
    }

    #[test]
    fn a_check_written_out_reads_back_as_the_same_check() {
        let full = check(
            r#"{"id": "a", "http": {"url": "http://a", "method": "POST", "headers": {"X-A": "1"}, "body": "x",
                "max_redirects": 3}, "interval": "30s", "timeout": "1500ms", "addresses": ["10.0.0.1:81"],
                "expect": {"status": ["2xx", 404], "body_contains": ["a", "b"], "body_matches": "^a",
                "header": {"Server": {"equals": "x"}, "Date": {"present": true}}, "max_latency": "1s"}}"#,
        )
        .unwrap();
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(check(&text).unwrap(), full);
    }
}
