//! What has happened so far, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use watchpost_model::Outcome;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters that everything in one agent shares.
        #[derive(Debug, Default)]
        pub struct Stats {
            outcomes: [AtomicU64; Outcome::ALL.len()],
            $($(#[$doc])* pub(crate) $name: Counter,)*
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Counts {
            /// Settled tasks by outcome, in the order of [`Outcome::ALL`]. Counted by the Checker.
            pub outcomes: [u64; Outcome::ALL.len()],
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// The counters now.
            pub fn counts(&self) -> Counts {
                Counts {
                    outcomes: std::array::from_fn(|i| self.outcomes[i].load(Ordering::Relaxed)),
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
    /// Results that the Checker made itself and could not publish.
    results_unsent,
    /// Results that were not sent since the time to answer was over.
    results_late,
    /// Tasks that were accepted from the bus.
    tasks_accepted,
    /// Tasks that arrived while the very same one waited or ran: dropped.
    tasks_duplicate,
    /// Tasks that were refused since a queue was full.
    tasks_overloaded,
    /// Probes that panicked.
    panics,
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
