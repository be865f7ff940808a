//! When a source is asked.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long after a failure a source is asked again; doubled with each further one, up to its usual time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How much the time between two questions varies: plus or minus this part of it, so that those who started
/// together do not ask together.
const JITTER_PART: u32 = 10;

/// Waits until a source is to be asked: not at all before the first question.
#[derive(Debug)]
pub(super) struct Pace {
    refresh: Duration,
    asked: bool,
    failures: u32,
}

impl Pace {
    pub(super) fn new(refresh: Duration) -> Self {
        Self { refresh, asked: false, failures: 0 }
    }

    /// Waits for the next question.
    pub(super) async fn wait(&mut self) {
        if std::mem::replace(&mut self.asked, true) {
            tokio::time::sleep(varied(self.pause(), RandomState::new().hash_one(()))).await;
        }
    }

    /// Notes how a question ended.
    pub(super) fn note<T, E>(&mut self, answer: &Result<T, E>) {
        self.failures = if answer.is_ok() { 0 } else { self.failures.saturating_add(1) };
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => self.refresh,
            n => RETRY_AFTER.saturating_mul(1 << (n - 1).min(16)).min(self.refresh),
        }
    }
}

/// `pause`, and a part of it more or less.
pub(super) fn varied(pause: Duration, random: u64) -> Duration {
    let part = pause / JITTER_PART;
    let of_1024 = u32::try_from(random % 1024).unwrap_or(0);
    pause - part + part * 2 * of_1024 / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_fails_is_asked_again_soon_and_then_less_and_less_often() {
        let mut pace = Pace::new(Duration::from_secs(6));
        let mut pauses = Vec::new();
        for answer in [Ok(()), Err(()), Err(()), Err(()), Err(()), Ok(())] {
            pace.note(&answer);
            pauses.push(pace.pause().as_secs());
        }
        assert_eq!(pauses, [6, 1, 2, 4, 6, 6]);
        for _ in 0..100 {
            pace.note(&Err::<(), ()>(()));
        }
        assert_eq!(pace.pause().as_secs(), 6);
    }

    #[test]
    fn the_time_between_two_questions_varies_by_a_tenth() {
        let pause = Duration::from_secs(10);
        assert_eq!(varied(pause, 0), Duration::from_secs(9));
        assert_eq!(varied(pause, 512), pause);
        assert!((1..2000).all(|n| (9_000..=11_000).contains(&varied(pause, n * 7919).as_millis())));
    }
}
