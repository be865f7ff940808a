//! What the store can be asked.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use watchpost_model::{Check, CheckId, CheckList, CheckReport, CheckShown, ListChecks, Refusal, StoreReport};

use super::entry::Key;
use crate::{AgentError, ChecksChanged};

/// Everything that the store can be asked.
pub(super) enum Ask {
    /// These are the checks of the file now. They fit together.
    SetFile(Vec<Check>, oneshot::Sender<Result<ChecksChanged, AgentError>>),
    /// What is known of a key, and what would become of a check there?
    Look {
        key: Key,
        check: Option<Arc<Check>>,
        answer: oneshot::Sender<Looked>,
    },
    /// This was written just now.
    Written {
        key: Key,
        revision: u64,
        value: Option<Bytes>,
        answer: oneshot::Sender<Stands>,
    },
    Get(CheckId, oneshot::Sender<Option<CheckShown>>),
    /// With what each of them says, if that can be read.
    List(ListChecks, oneshot::Sender<(CheckList, Vec<Option<Arc<Check>>>)>),
    Report(oneshot::Sender<StoreReport>),
    InForce(CheckId, oneshot::Sender<Option<Arc<Check>>>),
    /// Nothing more is followed; answered when what is known is kept.
    Stop(oneshot::Sender<()>),
}

/// What is known of a key.
pub(super) struct Looked {
    /// The file has a check of that id.
    pub(super) is_of_file: bool,
    pub(super) stands: Stands,
    /// The revision that was seen last, and its value.
    pub(super) latest: Option<(u64, Bytes)>,
    pub(super) is_orphaned: bool,
    /// Why the check that was shown would not come into force.
    pub(super) refusal: Option<Refusal>,
}

/// How a key stands.
pub(super) struct Stands {
    pub(super) report: Option<CheckReport>,
    pub(super) config_generation: u64,
}
