//! Requests that change something, each carried out once however often it comes.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use watchpost_core::Tick;
use watchpost_model::{ErrorCode, ErrorReply, RequestId, Verb};

use super::answer::{Answer, error};

/// How long an answer is remembered.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// How many answers are remembered; beyond it the oldest are forgotten.
const KEPT_MAX: usize = 4_096;

/// What a request was answered with; `None` where it was not for this process.
pub(super) type Answered = Result<Option<Answer>, ErrorReply>;

/// The requests of a while, by what their senders call them.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    requests: HashMap<Key, Entry>,
    /// Invariant: has each key of `requests` once, with its number, the oldest first. What it has besides was forgotten.
    oldest: VecDeque<(Tick, u64, Key)>,
    next: u64,
}

type Key = (Verb, RequestId);

#[derive(Debug)]
struct Entry {
    number: u64,
    /// Of what was asked, so that one name is not used for two things.
    fingerprint: u64,
    answer: Arc<OnceCell<Answered>>,
}

impl Once {
    /// Carries out what `carry_out` does, unless the same request was or is being carried out: then the answer is
    /// the one that that gets. Errors that say that nothing could be done at that moment are not kept.
    ///
    /// # Cancel safety
    /// Where the future is dropped, the next one with the same request carries it out.
    pub(super) async fn run(
        &self,
        now: Tick,
        key: Key,
        content: &[u8],
        carry_out: impl Future<Output = Answered>,
    ) -> Answered {
        let answer = self.enter(now, &key, content)?.0;
        let answered = answer.get_or_init(|| carry_out).await.clone();
        if let Err(ErrorReply { code: ErrorCode::Unavailable | ErrorCode::TooOften, .. }) = &answered {
            self.forget(&key, &answer);
        }
        answered
    }

    /// Whether the request comes for the first time. For what cannot be answered the same again.
    pub(super) fn is_first(&self, now: Tick, key: &Key, content: &[u8]) -> Result<bool, ErrorReply> {
        Ok(self.enter(now, key, content)?.1)
    }

    fn enter(&self, now: Tick, key: &Key, content: &[u8]) -> Result<(Arc<OnceCell<Answered>>, bool), ErrorReply> {
        let mut hasher = DefaultHasher::new();
        hasher.write(content);
        let fingerprint = hasher.finish();
        let mut known = self.0.lock();
        known.forget_old(now);
        if let Some(entry) = known.requests.get(key) {
            if entry.fingerprint != fingerprint {
                let told = format!("another request of the last ten minutes was called `{}`: names must differ", key.1);
                return Err(error(ErrorCode::Conflict, told));
            }
            return Ok((Arc::clone(&entry.answer), false));
        }
        let (number, answer) = (known.next, Arc::default());
        known.next += 1;
        known.requests.insert(key.clone(), Entry { number, fingerprint, answer: Arc::clone(&answer) });
        known.oldest.push_back((now, number, key.clone()));
        Ok((answer, true))
    }

    fn forget(&self, key: &Key, answer: &Arc<OnceCell<Answered>>) {
        let mut known = self.0.lock();
        // Somebody may have begun it anew meanwhile.
        if known.requests.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.answer, answer)) {
            known.requests.remove(key);
        }
    }
}

impl Known {
    fn forget_old(&mut self, now: Tick) {
        while let Some((noted, _, _)) = self.oldest.front()
            && (now.since(*noted) > KEPT_FOR || self.oldest.len() >= KEPT_MAX)
            && let Some((_, number, key)) = self.oldest.pop_front()
        {
            if self.requests.get(&key).is_some_and(|entry| entry.number == number) {
                self.requests.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use watchpost_model::{TasksHeld, V1};

    use super::*;

    fn key(name: &str) -> Key {
        (Verb::BastionDrain, name.parse().unwrap())
    }

    /// Carries it out by counting, and answers with how often that was.
    async fn count(counter: &AtomicU32) -> Answered {
        let times = counter.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::task::yield_now().await;
        Ok(Some(TasksHeld { v: V1, for_ms: times }.into()))
    }

    fn told(answered: Answered) -> u32 {
        match answered {
            Ok(Some(Answer::Held(held))) => held.for_ms,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_request_is_carried_out_once_also_when_it_comes_twice_at_a_time() {
        let (once, counter, now) = (Once::default(), AtomicU32::new(0), Tick::from_secs(1));
        let twice = futures_util::future::join(
            once.run(now, key("a"), b"x", count(&counter)),
            once.run(now, key("a"), b"x", count(&counter)),
        );
        let (one, other) = twice.await;
        assert_eq!((told(one), told(other)), (1, 1));
        assert_eq!(told(once.run(now, key("a"), b"x", count(&counter)).await), 1);
        assert_eq!(told(once.run(now, key("b"), b"x", count(&counter)).await), 2);
        let other = once.run(now, key("a"), b"y", count(&counter)).await.unwrap_err();
        assert_eq!(other.code, ErrorCode::Conflict);
        let later = now.after(KEPT_FOR + Duration::from_secs(1));
        assert_eq!(told(once.run(later, key("a"), b"y", count(&counter)).await), 3);
    }

    #[tokio::test]
    async fn what_could_not_be_done_at_the_moment_is_tried_again() {
        let (once, counter, now) = (Once::default(), AtomicU32::new(0), Tick::from_secs(1));
        let fails = async { Err(error(ErrorCode::Unavailable, "away")) };
        assert!(once.run(now, key("a"), b"x", fails).await.is_err());
        assert_eq!(told(once.run(now, key("a"), b"x", count(&counter)).await), 1);
        let refuses = async { Err(error(ErrorCode::Refused, "no")) };
        assert!(once.run(now, key("b"), b"x", refuses).await.is_err());
        let again = once.run(now, key("b"), b"x", count(&counter)).await.unwrap_err();
        assert_eq!((again.code, counter.load(Ordering::SeqCst)), (ErrorCode::Refused, 1));
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_is_carried_out_by_the_next() {
        let (once, counter, now) = (Once::default(), AtomicU32::new(0), Tick::from_secs(1));
        let never = once.run(now, key("a"), b"x", std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
        assert_eq!(told(once.run(now, key("a"), b"x", count(&counter)).await), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (once, now) = (Once::default(), Tick::from_secs(1));
        for number in 0..2 * KEPT_MAX {
            assert!(once.is_first(now, &key(&number.to_string()), b"").unwrap());
        }
        let known = once.0.lock();
        assert_eq!((known.requests.len(), known.oldest.len()), (KEPT_MAX, KEPT_MAX));
    }
}
