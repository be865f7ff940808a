//! How late runs are fired.

use parking_lot::Mutex;

/// Each doubling of a lag is told apart in so many steps: a figure is at most an eighth too high.
const STEPS: u64 = 8;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2³² µs, some 71 minutes; what is later counts as that.
const OCTAVES: usize = 33 - STEPS_BITS as usize;
const BUCKETS: usize = OCTAVES * STEPS as usize;
const LAG_MAX_US: u64 = (1 << 32) - 1;

/// By how much runs were fired after their time.
#[derive(Debug)]
pub(crate) struct Lag(Mutex<Seen>);

#[derive(Debug, Clone)]
struct Seen {
    count: u64,
    max_us: u64,
    /// How many runs there were by lag, in steps that grow with it.
    buckets: [u32; BUCKETS],
}

/// The lag of the runs of a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LagReport {
    /// The longest, in µs.
    pub(crate) max_us: u64,
    /// What 99 in 100 kept, in µs.
    pub(crate) p99_us: u64,
}

impl Default for Lag {
    fn default() -> Self {
        Self(Mutex::new(Seen::new()))
    }
}

impl Seen {
    const fn new() -> Self {
        Self { count: 0, max_us: 0, buckets: [0; BUCKETS] }
    }

    fn report(&self) -> Option<LagReport> {
        let beyond = self.count / 100;
        let mut left = self.count.checked_sub(beyond).filter(|kept| *kept > 0)?;
        for (i, in_bucket) in self.buckets.iter().enumerate() {
            match left.checked_sub(u64::from(*in_bucket)).filter(|rest| *rest > 0) {
                Some(rest) => left = rest,
                None => return Some(LagReport { max_us: self.max_us, p99_us: last_of(i).min(self.max_us) }),
            }
        }
        Some(LagReport { max_us: self.max_us, p99_us: self.max_us })
    }
}

impl Lag {
    /// A run was fired so late.
    pub(crate) fn note(&self, lag_us: u64) {
        let mut seen = self.0.lock();
        seen.count += 1;
        seen.max_us = seen.max_us.max(lag_us);
        if let Some(bucket) = seen.buckets.get_mut(bucket_of(lag_us)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// Of the runs since the last [`Lag::take`]; `None` where there was none.
    pub(crate) fn look(&self) -> Option<LagReport> {
        self.0.lock().report()
    }

    /// The same, and begins anew.
    pub(crate) fn take(&self) -> Option<LagReport> {
        std::mem::replace(&mut *self.0.lock(), Seen::new()).report()
    }
}

fn bucket_of(lag_us: u64) -> usize {
    let lag_us = lag_us.min(LAG_MAX_US);
    let Some(shift) = lag_us.checked_ilog2().and_then(|octave| octave.checked_sub(STEPS_BITS)) else {
        return lag_us as usize;
    };
    (u64::from(shift + 1) * STEPS + (lag_us >> shift) - STEPS) as usize
}

/// The longest lag that a bucket counts, in µs.
fn last_of(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match octave.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS + step + 1) << shift) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lag_is_told_at_most_an_eighth_too_high() {
        for lag_us in (0..4_096).chain([99_999, 1_000_000, LAG_MAX_US - 1, LAG_MAX_US]) {
            let told = last_of(bucket_of(lag_us));
            assert!(told >= lag_us && told - lag_us <= lag_us / STEPS, "{lag_us}: {told}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_latest_of_a_hundred_is_left_out_of_what_ninety_nine_kept() {
        let lag = Lag::default();
        assert_eq!(lag.look(), None);
        (0..99).for_each(|_| lag.note(5));
        lag.note(70_000);
        assert_eq!(lag.look(), Some(LagReport { max_us: 70_000, p99_us: 5 }));
        (0..10).for_each(|_| lag.note(1_000));
        let taken = lag.take().unwrap();
        assert_eq!((taken.max_us, taken.p99_us), (70_000, last_of(bucket_of(1_000))));
        assert_eq!(lag.take(), None);
    }
}
