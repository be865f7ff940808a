//! The sources of targets: asked in the background, each once however many checks use it.
//!
//! A check whose targets come from a source takes, at each firing, what the source said last. While the source
//! gives none, that is what it said before, for as long as its settings keep it, and results say so.

mod known;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use watchpost_model::{FoundTargets, Reason, ReasonCode, Targets};
use watchpost_probe::TargetFinder;

use self::known::Known;
pub(crate) use self::known::{Standing, empty};
use crate::clock::Clock;
use crate::helpers::Helpers;
use crate::stats::Stats;

/// How long a source that panicked is left alone.
const AFTER_PANIC: Duration = Duration::from_secs(10);

/// The sources that are in use. Clones share them.
#[derive(Clone)]
pub(crate) struct Discovery(Arc<Inner>);

struct Inner {
    finder: TargetFinder,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    helpers: Helpers,
    /// Looked up only, so that it does not matter in which order they stand.
    sources: Mutex<HashMap<Arc<Targets>, Weak<Source>>>,
}

/// One source. It is asked for as long as somebody holds it.
pub(crate) struct Source {
    targets: Arc<Targets>,
    known: watch::Receiver<Known>,
    asking: Option<AbortHandle>,
    finder: TargetFinder,
    clock: Arc<dyn Clock>,
}

impl Discovery {
    pub(crate) fn new(finder: TargetFinder, clock: Arc<dyn Clock>, stats: Arc<Stats>, helpers: Helpers) -> Self {
        Self(Arc::new(Inner { finder, clock, stats, helpers, sources: Mutex::default() }))
    }

    /// The source of `targets`: the one that others hold already, or a new one, which is asked at once.
    pub(crate) fn source(&self, targets: &Arc<Targets>) -> Arc<Source> {
        let mut sources = self.0.sources.lock();
        if let Some(held) = sources.get(targets).and_then(Weak::upgrade) {
            return held;
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(self.0.start(targets));
        sources.insert(Arc::clone(targets), Arc::downgrade(&source));
        source
    }

    /// How many sources are in use, and how many of them give no targets at present.
    pub(crate) fn count(&self) -> (usize, usize) {
        let sources: Vec<_> = self.0.sources.lock().values().filter_map(Weak::upgrade).collect();
        let degraded = sources.iter().filter(|source| source.known.borrow().is_degraded()).count();
        (sources.len(), degraded)
    }
}

impl Inner {
    fn start(&self, targets: &Arc<Targets>) -> Source {
        let (clock, targets, finder) = (Arc::clone(&self.clock), Arc::clone(targets), self.finder.clone());
        if let Some(listed) = targets.known() {
            let mut known = Known::default();
            known.found(clock.tick(), listed);
            return Source { targets, known: watch::channel(known).1, asking: None, finder, clock };
        }
        let (sender, known) = watch::channel(Known::default());
        let asker = Asker {
            finder: finder.clone(),
            clock: Arc::clone(&clock),
            stats: Arc::clone(&self.stats),
            targets: Arc::clone(&targets),
            name: targets.name(),
        };
        let asking = self.helpers.spawn("targets", asker.ask(sender)).abort_handle();
        Source { targets, known, asking: Some(asking), finder, clock }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

impl Source {
    /// What a run that is fired now goes to.
    pub(crate) fn standing(&self) -> Standing {
        self.known.borrow().standing(&self.targets, self.clock.tick())
    }

    /// The same, once the source has said a first word, or failed to within `limit`.
    pub(crate) async fn first_standing(&self, limit: Duration) -> Option<Standing> {
        let mut known = self.known.clone();
        let told = tokio::time::timeout(limit, known.wait_for(|known| !known.is_silent())).await;
        told.is_ok_and(|told| told.is_ok()).then(|| self.standing())
    }

    /// Knows what of its targets results show.
    pub(crate) fn finder(&self) -> &TargetFinder {
        &self.finder
    }

    /// How it is called.
    pub(crate) fn name(&self) -> String {
        self.targets.name()
    }
}

/// Asks one source, and tells what it learns.
struct Asker {
    finder: TargetFinder,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    targets: Arc<Targets>,
    name: String,
}

impl Asker {
    async fn ask(self, known: watch::Sender<Known>) {
        let mut lookout = self.finder.look_out(Arc::clone(&self.targets));
        loop {
            let answer = AssertUnwindSafe(lookout.next()).catch_unwind().await;
            let answer = match answer {
                Ok(answer) => answer,
                // What it was made of is not to be trusted any more. Nobody else is to suffer for it.
                Err(_) => {
                    self.stats.panics.increment();
                    self.note(&known, Err(Reason::new(ReasonCode::Panicked, "reading its targets panicked")));
                    tokio::time::sleep(AFTER_PANIC).await;
                    lookout = self.finder.look_out(Arc::clone(&self.targets));
                    continue;
                }
            };
            self.note(&known, answer);
        }
    }

    /// Notes an answer, and tells the log what it changes.
    fn note(&self, known: &watch::Sender<Known>, answer: Result<Vec<watchpost_model::FoundTarget>, Reason>) {
        let source = &self.name;
        let (was_degraded, mut changed) = (known.borrow().is_degraded(), false);
        let is_first = known.borrow().last().is_none();
        match answer {
            Ok(found) => {
                known.send_modify(|known| changed = known.found(self.clock.tick(), found));
                if was_degraded {
                    tracing::info!(source, "a source gives its targets again");
                }
                let (targets, repeated) = counts(&known.borrow());
                if changed && is_first {
                    tracing::debug!(source, targets, repeated, "targets found");
                } else if changed {
                    tracing::info!(source, targets, repeated, "targets changed");
                }
            }
            Err(reason) => {
                self.stats.source_failures.increment();
                let (code, message) = (reason.code.clone(), reason.message.clone());
                known.send_modify(|known| known.failed(self.clock.now(), reason));
                self.stats.troubles.note(self.clock.now(), "a source gives no targets", &message);
                if !was_degraded {
                    let (kept, _) = counts(&known.borrow());
                    tracing::warn!(source, kept, reason = %code, "a source gives no targets: {message}");
                }
            }
        }
    }
}

fn counts(known: &Known) -> (usize, usize) {
    known.last().map_or((0, 0), |last: &Arc<FoundTargets>| (last.len(), last.repeated()))
}

#[cfg(test)]
mod tests {
    use watchpost_probe::Resolver;

    use super::*;
    use crate::clock::SystemClock;

    const SOON: Duration = Duration::from_secs(30);

    fn discovery() -> Discovery {
        let finder = TargetFinder::standard(&Resolver::with_nameservers(Vec::new()));
        Discovery::new(finder, Arc::new(SystemClock::default()), Arc::default(), Helpers::default())
    }

    fn targets(json: &str) -> Arc<Targets> {
        Arc::new(serde_json::from_str(json).unwrap())
    }

    #[tokio::test]
    async fn a_source_is_shared_by_all_who_hold_it_and_ends_with_the_last_of_them() {
        let discovery = discovery();
        let file = r#"{"file": {"files": ["/does/not/exist.json"]}}"#;
        let (one, same) = (discovery.source(&targets(file)), discovery.source(&targets(file)));
        assert!(Arc::ptr_eq(&one, &same));
        let other = discovery.source(&targets(&file.replace("}}", r#"}, "keep_for": "2h"}"#)));
        assert!(!Arc::ptr_eq(&one, &other));
        let standing = one.first_standing(SOON).await.expect("it says that it cannot be read");
        assert!(matches!(standing, Standing::Nothing(..)), "{standing:?}");
        other.first_standing(SOON).await.expect("it says that it cannot be read");
        assert_eq!(discovery.count(), (2, 2));

        let mut known = one.known.clone();
        drop((one, same, other));
        assert_eq!(discovery.count(), (0, 0));
        // Whoever asked is gone, and with it the other end.
        let ended = async { while known.changed().await.is_ok() {} };
        tokio::time::timeout(SOON, ended).await.expect("nobody asks any more");
    }

    #[tokio::test]
    async fn a_list_is_known_without_asking() {
        let source = discovery().source(&targets(r#"{"static": ["a:1", "b:1"]}"#));
        let Standing::Targets(found, None) = source.standing() else { panic!("{:?}", source.standing()) };
        assert_eq!(found.len(), 2);
    }
}
