//! Control over the bus: what can be asked of a bastion, and what it answers.
//!
//! A request goes to `{p}.{b}.control.{verb}`, in MessagePack or JSON, and is answered in kind: with the verb's
//! reply, or with an [`ErrorReply`](crate::ErrorReply) and the header `Watchpost-Error`.

mod checks;
mod policy;
mod process;
mod test;

use serde::{Deserialize, Serialize};

pub use checks::{
    CheckEvent, CheckEventKind, CheckList, CheckReport, CheckShown, CheckSource, CheckStored, DeleteCheck, GetCheck,
    ListChecks, PauseCheck, PutCheck, Refusal, RefusalCode, SignedReport, Standing, StoreReport, StoreState,
};
pub use policy::{CheckDenied, Denial, PolicyTested, TestPolicy};
pub use process::{
    AskLast, AskStatus, Drain, Drained, HoldTasks, LAST_RESULTS_MAX, LastResults, LogFilter, LogLevelSet, PoolResized,
    ResizePool, SetLogLevel, TasksCancelled, TasksHeld,
};
pub use test::{TestCheck, TestCutOff, TestEnd, TestReport, TestReportKind};

use crate::text::text_type;

text_type!(
    /// What a requester calls one request, 1 to 64 bytes: the same request with the same id is carried out once, and
    /// answered the same again for ten minutes.
    RequestId,
    "the request id",
    64,
    |text| if text.is_empty() { Err("it is empty: expected 1 to 64 bytes".to_owned()) } else { Ok(()) }
);

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $text:literal: $request:ty => $reply:ty, $role:ident;)*) => {
        /// What can be asked of a bastion. The request's type and the reply's stand beside each in the table of
        /// docs/protocol.md, and in the metadata of the bastion's NATS service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Verb {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Verb {
            /// Every verb.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The last part of its subject.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Who answers it.
            pub fn answered_by(self) -> AnsweredBy {
                match self {
                    $(Self::$variant => AnsweredBy::$role,)*
                }
            }

            /// The JSON Schema of its request.
            pub fn request_schema(self) -> schemars::Schema {
                match self {
                    $(Self::$variant => schemars::schema_for!($request),)*
                }
            }

            /// The JSON Schema of its reply.
            pub fn reply_schema(self) -> schemars::Schema {
                match self {
                    $(Self::$variant => schemars::schema_for!($reply),)*
                }
            }
        }
    };
}

verbs! {
    /// Writes a check into the store, and says what became of it here.
    CheckPut = "check.put": PutCheck => CheckStored, Checker;
    /// Shows one check, and how it stands here.
    CheckGet = "check.get": GetCheck => CheckShown, Checker;
    /// Lists the checks of the bastion, and how each stands.
    CheckList = "check.list": ListChecks => CheckList, Checker;
    /// Deletes a check from the store.
    CheckDelete = "check.delete": DeleteCheck => CheckStored, Checker;
    /// Keeps a check from running by itself until it is resumed.
    CheckPause = "check.pause": PauseCheck => CheckStored, Checker;
    /// Lets a paused check run again.
    CheckResume = "check.resume": PauseCheck => CheckStored, Checker;
    /// Runs a check once, now, and streams what comes of it to the reply subject.
    CheckTest = "check.test": TestCheck => TestReport, Checker;
    /// The last results of a check.
    ResultLast = "result.last": AskLast => LastResults, Checker;
    /// Stops tasks.
    TaskCancel = "task.cancel": crate::CancelTasks => TasksCancelled, Runners;
    /// Sends no task for a moment, so that a Runner can leave while none is on its way to it.
    TaskHold = "task.hold": HoldTasks => TasksHeld, Checker;
    /// What the policy of each Runner denies of checks, whatever names resolve to.
    PolicyTest = "policy.test": TestPolicy => PolicyTested, Runners;
    /// Changes the size of a worker pool until the process ends or is told otherwise.
    PoolResize = "pool.resize": ResizePool => PoolResized, Runners;
    /// How each process stands.
    BastionStatus = "bastion.status": AskStatus => crate::Heartbeat, Everyone;
    /// Lets no new work begin.
    BastionDrain = "bastion.drain": Drain => Drained, Everyone;
    /// Ends a drain.
    BastionUndrain = "bastion.undrain": Drain => Drained, Everyone;
    /// Changes what is logged.
    BastionLogLevel = "bastion.log_level": SetLogLevel => LogLevelSet, Everyone;
}

/// Which processes of a bastion answer a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The Checker: one reply.
    Checker,
    /// Each Runner.
    Runners,
    /// Each process.
    Everyone,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Verb {
    type Err = crate::Invalid;

    fn from_str(text: &str) -> Result<Self, crate::Invalid> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            crate::Invalid::new(format!("`{}` is not a verb: expected one of {all}", crate::shorten(text, 40)))
        })
    }
}
