//! What is on the other side of the bus: bastions, the store of checks, and what streams keep.

mod answers;
mod bastions;
mod connection;
mod past;
mod store;
mod streams;

pub use answers::{Limits, Unanswered, told};
pub use bastions::{Bastion, Process};
pub use connection::{Connection, effective, nats_options, overlay, overlay_auth};
pub use past::{Filter, PastQuery, payload};
pub use store::{StoredCheck, find, key, snapshot};
pub use streams::{EVENTS, HEARTBEATS, RESULTS, wanted};

use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{Clock, SystemClock};
use watchpost_bus::{KeyValue, NatsBus, SharedBus};
use watchpost_model::{BastionGroup, SubjectPrefix, Timestamp};

use crate::cli::ConnectArgs;
use crate::failure::Failure;

/// How long a bus may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// A connection to a bus, with what its context says.
pub struct Remote {
    /// The bus.
    pub nats: Arc<NatsBus>,
    /// The same bus.
    pub bus: SharedBus,
    /// The store of checks.
    pub checks: Arc<dyn KeyValue>,
    /// Its bucket's name.
    pub bucket: String,
    /// The first part of every subject.
    pub prefix: SubjectPrefix,
    /// The bastion group that is meant where none is named.
    pub group: Option<BastionGroup>,
    clock: SystemClock,
}

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// When it is not said where to, or that cannot be reached.
    pub async fn connect(args: &ConnectArgs) -> Result<Self, Failure> {
        Self::over(effective(args)?).await
    }

    /// Connects in this way.
    ///
    /// # Errors
    /// When the bus cannot be reached.
    pub async fn over(connection: Connection) -> Result<Self, Failure> {
        let Connection { options, prefix, bucket, group } = connection;
        let nats = Arc::new(NatsBus::connect(options).await?);
        let bus: SharedBus = Arc::clone(&nats) as SharedBus;
        let checks = bus.key_value(&bucket);
        Ok(Self { nats, bus, checks, bucket, prefix, group, clock: SystemClock::default() })
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time so long ago.
    pub fn ago(&self, time: Duration) -> Timestamp {
        self.now().checked_sub(time).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Flushes what was published, and closes.
    pub async fn close(self) {
        if let Err(error) = self.bus.drain(CLOSE_LIMIT).await {
            tracing::debug!(%error, "the bus did not close cleanly");
        }
    }
}
