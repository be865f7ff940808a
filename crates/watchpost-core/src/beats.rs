//! Jobs that report in by themselves, and what their silence means.

use std::time::Duration;

use crate::Tick;

/// How many beats may come at once.
const BURST: u32 = 20;
/// How long it takes until another one may come after that.
const REFILL: Duration = Duration::from_millis(200);
/// How far apart pieces of news are at least, however often a job changes its mind. What comes between is
/// told when this is over, if it still holds.
const NEWS_EVERY: Duration = Duration::from_secs(1);

/// When beats are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatLimits {
    /// How far apart they are at most.
    pub period: Duration,
    /// How much later than that one may be.
    pub grace: Duration,
}

/// How a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pulse {
    /// It has not reported yet, and need not have.
    Pending,
    /// Its last beat is no older than it may be, and good.
    Beating,
    /// Its last beat is no older than it may be, and reports a failure.
    Failing,
    /// No beat for longer than there may be.
    Silent,
}

/// The beats of one job; `B` is what is kept of the last one.
///
/// **Invariant:** silence is told of at most once a period and grace after the last beat, or after the job became known;
/// the moment never moves but by a beat or by other limits.
#[derive(Debug, Clone)]
pub struct Beats<B> {
    limits: BeatLimits,
    known_since: Tick,
    last: Option<Last<B>>,
    /// When it last said that it begins, unless it has ended since.
    begun: Option<Tick>,
    /// What was told of it last, and when that was news.
    told: Pulse,
    news_at: Option<Tick>,
    /// How many beats may come now, as of `counted_at`.
    left: u32,
    counted_at: Tick,
}

#[derive(Debug, Clone)]
struct Last<B> {
    at: Tick,
    failed: bool,
    beat: B,
}

impl<B> Beats<B> {
    /// A job that is known from `now` on. Until it can be silent, nothing is told of it by itself.
    pub fn new(limits: BeatLimits, now: Tick) -> Self {
        Self {
            limits,
            known_since: now,
            last: None,
            begun: None,
            told: Pulse::Pending,
            news_at: None,
            left: BURST,
            counted_at: now,
        }
    }

    /// The limits are others from now on. What was heard stays.
    pub fn set_limits(&mut self, limits: BeatLimits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> BeatLimits {
        self.limits
    }

    /// Whether a beat at `now` may be taken: `false` where they come too fast. Each call counts as one.
    pub fn admit(&mut self, now: Tick) -> bool {
        let refilled = now.since(self.counted_at).as_micros() / REFILL.as_micros();
        let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(refilled).min(BURST);
        // What is left over of the time counts for the next one.
        self.counted_at = self.counted_at.after(REFILL * refilled);
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// The job says that it begins. That is no beat: one that begins and never ends is silent.
    pub fn begin(&mut self, now: Tick) {
        self.begun = Some(now);
    }

    /// How long ago the job said that it begins, if it has not ended since.
    pub fn running_for(&self, now: Tick) -> Option<Duration> {
        self.begun.map(|begun| now.since(begun))
    }

    /// A beat came.
    pub fn beat(&mut self, now: Tick, failed: bool, beat: B) {
        self.begun = None;
        self.last = Some(Last { at: now, failed, beat });
    }

    /// The last beat, and how long ago it came.
    pub fn last(&self, now: Tick) -> Option<(Duration, &B)> {
        self.last.as_ref().map(|last| (now.since(last.at), &last.beat))
    }

    /// For how long there has been no beat: since the last one, or since the job became known.
    pub fn quiet_for(&self, now: Tick) -> Duration {
        now.since(self.quiet_since())
    }

    fn quiet_since(&self) -> Tick {
        self.last.as_ref().map_or(self.known_since, |last| last.at)
    }

    /// When it counts as silent if no other beat comes.
    pub fn silent_at(&self) -> Tick {
        self.quiet_since().after(self.limits.period).after(self.limits.grace)
    }

    /// How the job is at `now`.
    pub fn pulse(&self, now: Tick) -> Pulse {
        match &self.last {
            _ if now >= self.silent_at() => Pulse::Silent,
            None => Pulse::Pending,
            Some(last) if last.failed => Pulse::Failing,
            Some(_) => Pulse::Beating,
        }
    }

    /// Whether it is something else at `now` than what was told last, and that is long enough ago.
    pub fn is_news(&self, now: Tick) -> bool {
        self.pulse(now) != self.told && self.news_at.is_none_or(|at| now.since(at) >= NEWS_EVERY)
    }

    /// It is told at `now` how the job is; `as_news` where that was not its turn by the schedule.
    pub fn tell(&mut self, now: Tick, as_news: bool) -> Pulse {
        self.told = self.pulse(now);
        if as_news {
            self.news_at = Some(now);
        }
        self.told
    }

    /// When there may next be news, if no beat comes before; `None` while there is no such moment.
    pub fn next_news(&self, now: Tick) -> Option<Tick> {
        let spaced = |at: Tick| self.news_at.map_or(at, |news| at.max(news.after(NEWS_EVERY)));
        if self.pulse(now) != self.told {
            return Some(spaced(now));
        }
        (self.told != Pulse::Silent).then(|| spaced(self.silent_at()))
    }
}
