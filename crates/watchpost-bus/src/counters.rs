//! Counts that both buses keep, and what happens when a subscription falls behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::BusStats;

/// A subscription that goes on losing messages says so this often, not for each of them.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What has happened on one bus. Relaxed throughout: these are counts, nothing is ordered by them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    published: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    forbidden: AtomicU64,
}

impl Counters {
    pub(crate) fn published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn forbidden(&self) {
        self.forbidden.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, reconnects: u64) -> BusStats {
        BusStats {
            published: self.published.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            dropped_slow_consumer: self.dropped.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            forbidden: self.forbidden.load(Ordering::Relaxed),
            reconnects,
            ..BusStats::default()
        }
    }
}

/// What one subscription lost since its queue was full.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    dropped: AtomicU64,
    warned_at: Mutex<Option<Instant>>,
}

impl Losses {
    /// Counts one message lost by the subscription to `filter`, and says so where it has not been said lately.
    pub(crate) fn count(&self, counters: &Counters, filter: &str) {
        counters.dropped();
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_time_to_warn() {
            tracing::warn!(
                subject = filter,
                dropped,
                "a subscription is too slow: its queue is full and new messages are dropped"
            );
        }
    }

    fn is_time_to_warn(&self) -> bool {
        let mut warned_at = self.warned_at.lock();
        let due = warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        if due {
            *warned_at = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_loss_is_counted_and_few_are_logged() {
        let counters = Counters::default();
        let losses = Losses::default();
        assert!(losses.is_time_to_warn());
        for _ in 0..100 {
            losses.count(&counters, "a");
        }
        assert!(!losses.is_time_to_warn());
        assert_eq!(counters.snapshot(0).dropped_slow_consumer, 100);
        tokio::time::advance(WARN_EVERY).await;
        assert!(losses.is_time_to_warn());
    }
}
