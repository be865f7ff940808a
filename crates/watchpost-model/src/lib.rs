//! The vocabulary of Watchpost: checks, targets, tasks, outcomes, results and the subjects they
//! travel on, with their validation and their MessagePack and JSON forms.
//!
//! It owns what is said, and refuses to do anything: no I/O, no clock, no randomness, no runtime.
//!
//! Invariants:
//! - A [`Check`] that exists is a valid one: every way to make one validates it.
//! - A [`Task`] cannot be cloned; whoever holds it is the only one who can run it.
//! - [`decode`] never panics, whatever it is given, and allocates in proportion to its input.
//!
//! ```
//! use watchpost_model::{Check, Format, decode, encode};
//!
//! let json = br#"{"id": "home", "http": {"url": "https://example.com/"}, "interval": "30s"}"#;
//! let check: Check = decode(json, Format::Json)?;
//! assert_eq!(check.interval().get().as_secs(), 30);
//!
//! let packed = encode(&check, Format::MsgPack);
//! assert_eq!(decode::<Check>(&packed, Format::MsgPack)?, check);
//! # Ok::<(), watchpost_model::DecodeError>(())
//! ```

mod beat;
mod check;
mod codec;
mod control;
mod credentials;
mod dialogue;
mod dns;
mod document;
mod evidence;
mod exec;
mod expect;
mod group;
mod grpc;
mod heartbeat;
mod http;
mod icmp;
mod id;
mod invalid;
mod json_path;
mod mail;
mod message;
mod mysql;
mod network;
mod ntp;
mod outcome;
mod payload;
mod postgres;
mod probe;
mod redis;
mod references;
mod result;
mod secrets;
mod server;
mod set;
mod signature;
mod ssh;
mod status;
mod steps;
mod subject;
mod target;
mod targets;
mod task;
mod tcp;
mod template;
mod text;
mod time;
mod tls;
mod udp;
mod unix;
mod value;
mod variables;
mod verdict;
mod websocket;

pub use beat::{Beat, BeatMessage, BeatStatus, BeatTaken, HeartbeatSettings};
pub use check::{CHECK_BYTES_MAX, Check, CheckBody, ProbeBody};
pub use codec::{DecodeError, DecodeErrorKind, Format, Message, decode, encode};
pub use control::{
    AnsweredBy, AskLast, AskStatus, CheckDenied, CheckEvent, CheckEventKind, CheckList, CheckReport, CheckShown,
    CheckSource, CheckStored, DeleteCheck, Denial, Drain, Drained, GetCheck, HoldTasks, LAST_RESULTS_MAX, LastResults,
    ListChecks, LogFilter, LogLevelSet, PauseCheck, PolicyTested, PoolResized, PutCheck, Refusal, RefusalCode,
    RequestId, ResizePool, SetLogLevel, SignedReport, Standing, StoreReport, StoreState, TasksCancelled, TasksHeld,
    TestCheck, TestCutOff, TestEnd, TestPolicy, TestReport, TestReportKind, Verb,
};
pub use credentials::{Password, Token};
pub use dialogue::{ANSWER_BYTES_MAX, DialogueStep, LinePattern, STEPS_MAX};
pub use dns::{
    DnsExpect, DnsName, DnsSettings, DnsTransport, DohMethod, DohPath, DohSettings, FlagsExpect, Rcode, RecordData,
    RecordType, RecordsExpect,
};
pub use document::CheckDocument;
pub use evidence::*;
pub use exec::{AbsolutePath, Argument, ExecLimits, ExecSettings, VariableName, VariableValue, WarningMeans};
pub use expect::{
    ASSERTIONS_MAX, CertDays, Expect, Expression, HeaderExpect, HeaderName, OneOrMany, Pattern, compile_lines,
    compile_pattern,
};
pub use group::{GroupRules, GroupSettings, MEMBERS_MAX, Overlap, PARALLEL_MAX, RunPolicy, VerdictRule};
pub use grpc::{GrpcSettings, ServiceName};
pub use heartbeat::{AuditReport, BusReport, ErrorSeen, Heartbeat, OutboxReport, PolicyReport, PoolReport, Role};
pub use http::{
    BasicAuth, BasicUser, HeaderValue, HttpAuth, HttpMethod, HttpSettings, HttpUrl, HttpVersion, Proxy, ProxyKind,
    ProxyUrl, REDIRECTS_MAX,
};
pub use icmp::{ECHO_COUNT_MAX, IcmpSettings};
pub use id::{BastionGroup, BastionId, CheckId, InstanceId, NAME_BYTES_MAX, NameError, RunId, RunnerId, TaskId};
pub use invalid::Invalid;
pub use json_path::{JsonExpect, JsonPath, compile_json_path};
pub use mail::{HeloName, ImapSettings, MailLogin, MailUser, Pop3Settings, SmtpSettings, StartTls};
pub use message::{CancelCause, CancelTasks, ErrorCode, ErrorReply, PROTOCOL_VERSION, V1};
pub use mysql::MysqlSettings;
pub use network::{ClientCertificate, FilePath, IpPreference, PemSource, RouteSettings, ServerNameText, TlsSettings};
pub use ntp::NtpSettings;
pub use outcome::{Outcome, REASON_CODES, Reason, ReasonCode};
pub use payload::{Base64, Hex, Payload, PayloadText};
pub use postgres::PostgresSettings;
pub use probe::{CheckType, ProbeSettings, compile_expression};
pub use redis::{CommandWord, RedisSettings, RespVersion};
pub use references::TextPart;
pub use result::{AssertionReport, HttpEvidence, IssuerReport, PhasesUs, TargetReport, TaskResult, TlsEvidence};
pub use secrets::{HostRule, SecretAllowance, SecretName, SecretPlaces, SecretUse};
pub use server::{Host, ServerAddress};
pub use set::{GROUP_DEPTH_MAX, GROUP_RUNS_MAX, SetError, SetErrorKind, validate_set};
pub use signature::{CheckSignature, SignatureBytes, SignerKey};
pub use ssh::{Fingerprint, SshKeyType, SshSettings};
pub use status::{StatusRange, StatusSet};
pub use steps::{
    CAPTURE_BYTES_MAX, CAPTURES_MAX, Capture, CaptureName, Captured, CookieName, FlowStep, StepName, StepsSettings,
    Unfillable, text_of, written_forms,
};
pub use subject::{SubjectPrefix, Subjects, header};
pub use target::{ADDRESSES_MAX, Addresses, Endpoint, EndpointAddress, HostPort, Target, shown_address};
pub use targets::{
    DnsRecords, DnsTargets, FILES_MAX, FileTargets, FoundTarget, FoundTargets, HttpTargets, KubernetesPort,
    KubernetesTargets, LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX, Labels, SourceReport,
    SourceState, StaticTarget, TARGETS_MAX, TargetSource, Targets, TargetsDocument,
};
pub use task::{Firing, Task, TaskClass};
pub use tcp::TcpSettings;
pub use text::{parse_bytes, shorten};
pub use time::{
    Age, BeatPeriod, DurationError, Grace, INTERVAL_MAX, INTERVAL_MIN, Interval, KeepFor, Latency, Offset, Pause,
    Refresh, TIMEOUT_MAX, Timeout, Ttl, Wait, parse_duration,
};
pub use tls::{AlpnProtocol, TlsCheckSettings};
pub use udp::{DATAGRAM_SENT_BYTES_MAX, UdpSettings};
pub use unix::{SocketPath, UnixSettings};
pub use value::{DatabaseName, ExpectedValue, LoginName, Query, TlsMode, ValueExpect};
pub use verdict::{RunVerdict, VerdictOf};
pub use websocket::{Subprotocol, WebsocketSettings, WebsocketUrl};

pub use watchpost_expr::similar;

/// A moment in UTC; on the wire an RFC 3339 text.
pub use jiff::Timestamp;
