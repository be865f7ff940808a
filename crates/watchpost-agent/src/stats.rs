//! What has happened so far, counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use watchpost_model::{Outcome, REASON_CODES, ReasonCode};

use crate::lag::Lag;
use crate::troubles::Troubles;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters that everything in one agent shares.
        #[derive(Debug)]
        pub struct Stats {
            outcomes: [AtomicU64; Outcome::ALL.len()],
            /// In the order of [`REASON_CODES`].
            shed: [AtomicU64; REASON_CODES.len()],
            /// How late runs were fired.
            pub(crate) lag: Lag,
            /// What went wrong, for heartbeats.
            pub(crate) troubles: Troubles,
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Counts {
            /// Settled tasks by outcome, in the order of [`Outcome::ALL`]. Counted by the Checker.
            pub outcomes: [u64; Outcome::ALL.len()],
            /// Tasks and runs that did not get to their target, by reason; those that there were.
            pub shed: BTreeMap<&'static str, u64>,
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Default for Stats {
            fn default() -> Self {
                Self {
                    outcomes: Default::default(),
                    shed: std::array::from_fn(|_| AtomicU64::default()),
                    lag: Lag::default(),
                    troubles: Troubles::default(),
                    $($name: Counter::default(),)*
                }
            }
        }

        impl Stats {
            /// The counters now.
            pub fn counts(&self) -> Counts {
                Counts {
                    outcomes: std::array::from_fn(|i| self.outcomes[i].load(Ordering::Relaxed)),
                    shed: self.shed_by_reason(),
                    $($name: self.$name.get(),)*
                }
            }
        }
    };
}

counters! {
    /// Runs that the schedule fired.
    runs,
    /// Tasks that the Checker handed to the bus.
    tasks_published,
    /// Answers to tasks that were settled already, or were never ours: dropped.
    answers_not_open,
    /// Payloads that could not be read.
    payloads_refused,
    /// Messages that were not acted on, since their answers would go where none may go.
    replies_refused,
    /// Results that the Checker made itself and could not publish.
    results_unsent,
    /// Results that were not sent since the time to answer was over.
    results_late,
    /// Tasks that were accepted from the bus.
    tasks_accepted,
    /// Tasks that arrived while the very same one waited or ran: dropped.
    tasks_duplicate,
    /// Probes that panicked.
    panics,
    /// Actors that panicked and were built anew, or given up.
    actors_rebuilt,
    /// Questions to sources of targets that brought none.
    source_failures,
    /// Heartbeats that the bus did not take.
    heartbeats_unsent,
    /// Accepted tasks that were dropped without a report. A defect wherever it is not 0.
    tasks_unreported,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Stats {
    pub(crate) fn settled(&self, outcome: Outcome) {
        if let Some(i) = Outcome::ALL.iter().position(|o| *o == outcome) {
            self.outcomes[i].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Stats {
    /// A task or run was shed: it ended for a reason that is ours and not the target's.
    pub(crate) fn shed(&self, code: &ReasonCode) {
        // Each code that this version gives is in the list.
        if let Some(i) = REASON_CODES.iter().position(|(known, _)| *known == code.as_str()) {
            self.shed[i].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn shed_by_reason(&self) -> BTreeMap<&'static str, u64> {
        let counted = REASON_CODES.iter().zip(&self.shed).map(|((code, _), n)| (*code, n.load(Ordering::Relaxed)));
        counted.filter(|(_, n)| *n > 0).collect()
    }
}
