//! How a task ended, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a task ended. Each task has exactly one.
///
/// `Fail`, `Error` and `Timeout` speak of the target. `Cancelled`, `Lost` and `Missed` speak of
/// Watchpost itself and never count against the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every assertion holds.
    Pass,
    /// The target answered, and an assertion does not hold.
    Fail,
    /// The check could not get an answer: dns, connect, tls, protocol.
    Error,
    /// No complete answer by the deadline.
    Timeout,
    /// Watchpost stopped it: no free worker, overloaded, group failed, requester gone, shutting down.
    Cancelled,
    /// It was dispatched, and no answer came back.
    Lost,
    /// It could not even be dispatched.
    Missed,
}

impl Outcome {
    /// Every outcome, in the order in which reports list them.
    pub const ALL: [Self; 7] =
        [Self::Pass, Self::Fail, Self::Error, Self::Timeout, Self::Cancelled, Self::Lost, Self::Missed];

    /// The word on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Missed => "missed",
        }
    }

    /// Whether the outcome says something about the target, rather than about Watchpost.
    pub fn speaks_of_target(self) -> bool {
        matches!(self, Self::Pass | Self::Fail | Self::Error | Self::Timeout)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a task ended as it did: a code for machines and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reason {
    /// The code; see [`ReasonCode`] for the known ones.
    pub code: ReasonCode,
    /// One sentence that a person understands without the code.
    pub message: String,
}

impl Reason {
    /// A reason with its sentence.
    pub fn new(code: ReasonCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

macro_rules! reason_codes {
    ($($(#[doc = $told:literal])* $variant:ident = $word:literal,)*) => {
        /// The machine-readable reason of an outcome, `snake_case` on the wire. A code that this
        /// version does not know is kept as it came.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum ReasonCode {
            $($(#[doc = $told])* $variant,)*
            /// A code of another version.
            Other(Box<str>),
        }

        impl ReasonCode {
            /// The code on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for ReasonCode {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        /// Every code that this version gives, with what it means, for documentation and tests.
        pub const REASON_CODES: &[(&str, &str)] = &[$(($word, concat!($($told),*)),)*];
    };
}

reason_codes! {
    /// The target is not a valid one; it was never tried.
    InvalidTarget = "invalid_target",
    /// The name does not exist.
    DnsNxdomain = "dns_nxdomain",
    /// The name exists and has no address of the wanted kind.
    DnsNoAddress = "dns_no_address",
    /// No name server answered in time.
    DnsTimeout = "dns_timeout",
    /// The name could not be resolved for another reason.
    DnsError = "dns_error",
    /// The name server failed (`servfail`).
    DnsServfail = "dns_servfail",
    /// The name server does not want to answer (`refused`).
    DnsRefused = "dns_refused",
    /// The name server answered with another code than is expected.
    DnsRcode = "dns_rcode",
    /// The name server's answer has no record of the type that was asked for.
    DnsNoAnswer = "dns_no_answer",
    /// The name server knows nothing about the name, and names others that may.
    DnsReferral = "dns_referral",
    /// The name server's answer is cut short.
    DnsTruncated = "dns_truncated",
    /// The target resolved to no endpoint at all.
    NoEndpoints = "no_endpoints",
    /// The peer refused the connection.
    ConnectRefused = "connect_refused",
    /// No connection by the deadline.
    ConnectTimeout = "connect_timeout",
    /// No route to the host or network.
    ConnectUnreachable = "connect_unreachable",
    /// The connection could not be made for another reason.
    ConnectError = "connect_error",
    /// The connection broke before a complete answer: the peer reset it, or it went dead.
    ConnectionReset = "connection_reset",
    /// The peer closed the connection in an orderly way before a complete answer.
    ConnectionClosed = "connection_closed",
    /// The proxy that the check goes through could not or would not make the connection.
    ProxyError = "proxy_error",
    /// The certificate has expired.
    TlsExpired = "tls_expired",
    /// The certificate is not valid yet.
    TlsNotYetValid = "tls_not_yet_valid",
    /// Nobody that we trust signed the certificate.
    TlsUnknownIssuer = "tls_unknown_issuer",
    /// The certificate is for another name.
    TlsWrongHost = "tls_wrong_host",
    /// The handshake failed for another reason.
    TlsError = "tls_error",
    /// No complete TLS handshake by the deadline.
    TlsTimeout = "tls_timeout",
    /// Nothing came back to what was sent in datagrams.
    NoReply = "no_reply",
    /// More echo requests stayed without a reply than may.
    PacketLoss = "packet_loss",
    /// The time server asks to be left alone (a kiss-o'-death).
    NtpKiss = "ntp_kiss",
    /// The time server has no source of time.
    NtpUnsynchronised = "ntp_unsynchronised",
    /// The time server's clock and this machine's are too far apart.
    NtpOffset = "ntp_offset",
    /// No first byte of the answer by the deadline.
    FirstByteTimeout = "first_byte_timeout",
    /// The answer began and was not complete by the deadline.
    ReceiveTimeout = "receive_timeout",
    /// The deadline passed before the check got to the target.
    DeadlinePassed = "deadline_passed",
    /// The answer does not follow the protocol.
    ProtocolError = "protocol_error",
    /// More redirects than the check follows, or a redirect that cannot be followed.
    TooManyRedirects = "too_many_redirects",
    /// A redirect without a usable destination.
    BadRedirect = "bad_redirect",
    /// The status code is not the expected one.
    HttpStatus = "http_status",
    /// The server does not accept the user or password, or wants some and has been given none.
    AuthFailed = "auth_failed",
    /// The server answers, and says that it cannot serve now: it is starting, loading, in recovery, or full.
    NotReady = "not_ready",
    /// The server serves only those who speak TLS, and the check does not.
    TlsRequired = "tls_required",
    /// The check is to speak TLS, and the server does not offer it.
    TlsNotOffered = "tls_not_offered",
    /// The server has no such database.
    UnknownDatabase = "unknown_database",
    /// The service is known and not healthy.
    NotServing = "not_serving",
    /// The server does not know the service, or not its health.
    ServiceUnknown = "service_unknown",
    /// The server does not offer what the check asks for.
    NotImplemented = "not_implemented",
    /// The call ended with another status than OK.
    GrpcStatus = "grpc_status",
    /// The server answers in HTTP and does not open a WebSocket.
    UpgradeRefused = "upgrade_refused",
    /// The server's host key is not one that the check expects.
    HostKeyMismatch = "host_key_mismatch",
    /// The server could not do what the check asked of it.
    QueryFailed = "query_failed",
    /// An assertion does not hold.
    AssertionFailed = "assertion_failed",
    /// The plugin reports a warning.
    PluginWarning = "plugin_warning",
    /// The plugin reports that it is critical.
    PluginCritical = "plugin_critical",
    /// The plugin could not tell.
    PluginUnknown = "plugin_unknown",
    /// The plugin ended with a code that no plugin ends with.
    PluginExit = "plugin_exit",
    /// A signal ended the plugin.
    PluginKilled = "plugin_killed",
    /// The plugin printed without end and was killed.
    PluginOutput = "plugin_output",
    /// The plugin had not ended by the deadline and was killed.
    PluginTimeout = "plugin_timeout",
    /// The policy of the machine that runs the check does not permit it; the message names the rule.
    PolicyDenied = "policy_denied",
    /// The Runner knows no secret by the name that the check refers to.
    SecretMissing = "secret_missing",
    /// The secret that the check refers to may not be sent where the check would send it.
    SecretNotAllowed = "secret_not_allowed",
    /// The Runner runs signed checks only, and the task carries no signature.
    NotSigned = "not_signed",
    /// The signature of the task's check is not good, or not over what the task would do.
    SignatureInvalid = "signature_invalid",
    /// The job of a heartbeat check has not reported in for too long.
    HeartbeatSilent = "heartbeat_silent",
    /// The job of a heartbeat check reports that it failed.
    HeartbeatFailed = "heartbeat_failed",
    /// The job of a heartbeat check has not reported in yet, and need not have.
    HeartbeatPending = "heartbeat_pending",
    /// The probe panicked; a defect of Watchpost, and this task's alone.
    Panicked = "panicked",
    /// No worker of the check's type was free in time.
    NoFreeWorker = "no_free_worker",
    /// A queue was full.
    Overloaded = "overloaded",
    /// A file that the check names cannot be read or used on the machine that runs it.
    FileUnusable = "file_unusable",
    /// This process may not do on this machine what the check needs.
    NotPermitted = "not_permitted",
    /// This machine has no such address as the check is to connect from, or the target has none of its kind.
    SourceAddressUnusable = "source_address_unusable",
    /// This machine has no certificate authorities, so no certificate can be verified.
    NoTrustRoots = "no_trust_roots",
    /// A sibling in the task group failed, and the group fails fast.
    GroupFailed = "group_failed",
    /// Whoever asked cancelled it or went away.
    RequesterGone = "requester_gone",
    /// Somebody asked for it to be cancelled.
    CancelledOnRequest = "cancelled_on_request",
    /// The check was replaced or removed while it ran.
    CheckChanged = "check_changed",
    /// The process is stopping.
    ShuttingDown = "shutting_down",
    /// The Runner accepted the task, or should have, and did not answer.
    RunnerSilent = "runner_silent",
    /// No Runner listens for this type of check.
    NoRunner = "no_runner",
    /// The bus could not be reached.
    BusUnavailable = "bus_unavailable",
    /// The task or its result could not be put on the bus.
    NotPublished = "not_published",
    /// The Runner could not read the task.
    BadTask = "bad_task",
    /// The schedule fell behind and these slots were skipped.
    BehindSchedule = "behind_schedule",
    /// The previous run of the check was still going.
    StillRunning = "still_running",
    /// Too few endpoints, or members of a group, passed.
    VerdictNotMet = "verdict_not_met",
    /// Every member of the group is paused.
    Paused = "paused",
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ReasonCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReasonCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = crate::text::deserialize(deserializer, "a reason code", 64)?;
        Ok(Self::from(word.as_str()))
    }
}

impl schemars::JsonSchema for ReasonCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReasonCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": REASON_CODES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_itself_and_unknown_ones_are_kept() {
        for (word, _) in REASON_CODES {
            let code = ReasonCode::from(*word);
            assert!(!matches!(code, ReasonCode::Other(_)), "{word}");
            assert_eq!(code.as_str(), *word);
        }
        assert_eq!(ReasonCode::from("from_the_future").as_str(), "from_the_future");
    }
}
