//! The task that keeps the book: one after the other it takes what is read, written and asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchpost_audit::AuditLog;
use watchpost_bus::KvError;
use watchpost_model::{
    BastionId, Check, CheckEvent, CheckEventKind, CheckList, CheckReport, ListChecks, Refusal, StoreReport, StoreState,
    Timestamp, V1,
};

use super::announce::Announcer;
use super::ask::{Ask, Looked, Stands};
use super::audited;
use super::book::{Book, News};
use super::disk::{About, Image};
use super::entry::Key;
use super::follow::Fed;
use super::keeper::Keeper;
use crate::checker::Change;
use crate::{AgentError, CheckerHandle, ChecksChanged, Clock};

/// How many refusals are logged of those that come together.
const LOGGED_MAX: usize = 20;
/// How often it is looked whose signature has become old.
const LOOK_AT_AGES_EVERY: Duration = Duration::from_secs(10);
/// How large the checks of one list may become, in bytes as they are shown; what policies deny of them comes on top.
const LIST_BYTES_MAX: usize = 512 * 1024;
/// What a check of a list takes besides the words of its refusal: names, numbers and their fields.
const LISTED_BYTES: usize = 512;

/// The store's own state.
pub(super) struct Store {
    pub(super) bastion: BastionId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) checker: CheckerHandle,
    pub(super) announcer: Announcer,
    pub(super) audit: AuditLog,
    pub(super) book: Book,
    pub(super) about: About,
    pub(super) keeper: Keeper,
    pub(super) state: StoreState,
    pub(super) message: Option<String>,
    /// What was written here since the bucket began to be read, under which revision: what is read may be older.
    pub(super) written: HashMap<Key, u64>,
}

impl Store {
    /// Brings into force what there is to begin with.
    pub(super) async fn begin(&mut self) -> Result<ChecksChanged, AgentError> {
        let outcome = self.book.judge(true);
        let changed = self.bring_into_force(outcome.change.unwrap_or_default()).await?;
        if self.audit.is_on() {
            self.audit.record(audited::loaded(&self.book));
        }
        Ok(changed)
    }

    /// Runs until nobody can ask any more, or it is told to stop.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, mut fed: mpsc::Receiver<Fed>) {
        let mut is_fed = true;
        let mut ages = tokio::time::interval(LOOK_AT_AGES_EVERY);
        ages.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(Ask::Stop(done)) => {
                        // Ends whoever feeds it.
                        drop(fed);
                        self.keeper.finish(|| image(&self.book, &self.about)).await;
                        // Whoever asked may have given up.
                        let _gone = done.send(());
                        return;
                    }
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                next = fed.recv(), if is_fed => match next {
                    Some(next) => self.take(next).await,
                    None => is_fed = false,
                },
                _ = ages.tick(), if self.book.trust.as_ref().is_some_and(|trust| trust.old_before().is_some()) => {
                    self.applied().await;
                    if self.state == StoreState::Following {
                        self.set_followed();
                    }
                }
                () = self.keeper.due() => self.keeper.step(|| image(&self.book, &self.about)),
            }
        }
    }

    async fn answer(&mut self, ask: Ask) {
        // Whoever asked may have given up: nothing is lost with the answer.
        match ask {
            Ask::SetFile(checks, answer) => {
                self.book.set_file(checks);
                let changed = self.apply().await;
                let _gone = answer.send(changed);
            }
            Ask::Look { key, check, answer } => {
                let _gone = answer.send(self.look(&key, check.as_ref()));
            }
            Ask::Written { key, revision, value, answer } => {
                if self.book.groups().contains(&key.group) {
                    self.written.insert(key.clone(), revision);
                }
                self.about.revision = self.about.revision.max(revision);
                self.book.take(key.clone(), revision, value);
                self.applied().await;
                let _gone = answer.send(self.stands(&key));
            }
            Ask::Get(id, answer) => {
                let _gone = answer.send(self.book.shown(&id));
            }
            Ask::List(list, answer) => {
                let _gone = answer.send(self.list(&list));
            }
            Ask::Report(answer) => {
                let _gone = answer.send(self.report());
            }
            Ask::InForce(id, answer) => {
                let _gone = answer.send(self.book.in_force.get(&id).map(|in_force| Arc::clone(&in_force.check)));
            }
            Ask::Stop(done) => drop(done),
        }
    }

    async fn take(&mut self, fed: Fed) {
        match fed {
            Fed::Begun => {
                self.written.clear();
                return;
            }
            Fed::Failed(error) => return self.failed(error).await,
            Fed::Snapshot { identity, entries } => {
                let is_another = self.about.bucket_created_us.is_some_and(|known| known != identity.created_us);
                if is_another {
                    tracing::warn!(bucket = self.bucket(), "the bucket of checks is another one than before");
                }
                self.about.bucket_created_us = Some(identity.created_us);
                self.about.revision = identity.revision;
                self.book.take_snapshot(entries, &self.written);
            }
            Fed::Changes(changes) => {
                for (key, (revision, value)) in changes {
                    self.about.revision = self.about.revision.max(revision);
                    if self.written.get(&key).is_none_or(|written| *written <= revision) {
                        self.book.take(key, revision, value);
                    }
                }
            }
        }
        self.about.synced_at = Some(self.now());
        self.applied().await;
        self.set_followed();
    }

    fn set_followed(&mut self) {
        let orphaned = self.book.counts().orphaned;
        if orphaned == 0 {
            let full = (!self.book.turned_away.is_empty())
                .then(|| format!("{} checks are turned away: the bastion takes no more", self.book.turned_away.len()));
            return self.set_state(StoreState::Following, full.or_else(|| self.told_old()));
        }
        let message = format!(
            "the bucket `{}` has lost {orphaned} of the checks that run, without a deletion: they run on until each is \
             put again or deleted",
            self.bucket()
        );
        self.set_state(StoreState::Lost, Some(message));
    }

    /// What is said of checks whose signatures are old.
    fn told_old(&self) -> Option<String> {
        let old = self.book.counts().signatures_old;
        (old > 0).then(|| {
            format!(
                "the signatures of {old} checks that run are older than `trust.max_age`: sign them again, unless somebody \
                 keeps newer ones away"
            )
        })
    }

    async fn failed(&mut self, error: KvError) {
        if matches!(error, KvError::NoBucket { .. }) {
            // As good as an empty one.
            self.book.take_snapshot(BTreeMap::new(), &HashMap::new());
            self.applied().await;
            let message = format!("{error}: what runs goes on; `watchpost bus setup` makes the bucket");
            return self.set_state(StoreState::NoBucket, Some(message));
        }
        self.set_state(StoreState::Unavailable, Some(error.to_string()));
    }

    fn set_state(&mut self, state: StoreState, message: Option<String>) {
        if self.state != state {
            let counts = self.book.counts();
            match (state, &message) {
                (StoreState::Following, _) => {
                    tracing::info!(
                        checks = counts.running,
                        refused = counts.refused,
                        "the store of checks is followed"
                    );
                }
                (StoreState::Lost, Some(detail)) => tracing::error!(detail, "the store has lost checks that run"),
                (_, Some(detail)) => {
                    tracing::warn!(checks = counts.running, detail, "the store of checks is not followed");
                }
                (_, None) => {}
            }
        }
        (self.state, self.message) = (state, message);
    }

    /// Brings into force what is to be, and tells of it.
    async fn apply(&mut self) -> Result<ChecksChanged, AgentError> {
        let outcome = self.book.judge(false);
        let changed = match outcome.change {
            Some(change) => self.bring_into_force(change).await?,
            None => ChecksChanged {
                unchanged: self.book.in_force.len(),
                config_generation: self.about.generation,
                ..ChecksChanged::default()
            },
        };
        self.keeper.changed();
        self.tell(outcome.news);
        Ok(changed)
    }

    async fn applied(&mut self) {
        let before = self.about.generation;
        match self.apply().await {
            Ok(changed) if changed.config_generation != before => tracing::info!(%changed, "checks changed"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "checks could not be brought into force"),
        }
    }

    async fn bring_into_force(&mut self, change: Change) -> Result<ChecksChanged, AgentError> {
        let change = Change { generation_before: self.about.generation, ..change };
        let changed = self.checker.change(change).await?;
        self.about.generation = changed.config_generation;
        self.keeper.changed();
        Ok(changed)
    }

    fn tell(&self, news: Vec<News>) {
        let at = self.now();
        let refused = news.iter().filter_map(|news| Some((news, news.refusal.as_ref()?)));
        for (news, refusal) in refused.clone().take(LOGGED_MAX) {
            let group = news.group.as_ref().map(ToString::to_string);
            tracing::warn!(
                check = %news.check, group, revision = news.revision, reason = refusal.message, "a check is refused"
            );
        }
        let more = refused.count().saturating_sub(LOGGED_MAX);
        if more > 0 {
            tracing::warn!(more, "more checks are refused");
        }
        if self.audit.is_on() {
            news.iter().for_each(|news| self.audit.record(audited::changed(news)));
        }
        let old = news.iter().filter(|news| news.kind == CheckEventKind::CheckSignatureOld);
        for news in old.clone().take(LOGGED_MAX) {
            let group = news.group.as_ref().map(ToString::to_string);
            tracing::warn!(
                check = %news.check, group, revision = news.revision,
                "the signature of a check is older than `trust.max_age`; it runs on"
            );
        }
        let more = old.count().saturating_sub(LOGGED_MAX);
        if more > 0 {
            tracing::warn!(more, "more signatures are older than `trust.max_age`");
        }
        for News { kind, check, group, revision, refusal } in news {
            self.announcer.tell(CheckEvent {
                v: V1,
                bastion: self.bastion.clone(),
                at,
                kind,
                check,
                group,
                revision,
                refusal,
                config_generation: self.about.generation,
            });
        }
    }

    fn look(&self, key: &Key, check: Option<&Arc<Check>>) -> Looked {
        let shelf = self.book.shelves.get(key);
        Looked {
            is_of_file: self.book.file.contains_key(&key.check),
            stands: self.stands(key),
            latest: shelf.map(|shelf| (shelf.latest.revision, shelf.latest.value.clone())),
            is_orphaned: shelf.is_some_and(|shelf| shelf.orphaned),
            refusal: check.and_then(|check| self.refusal_of(key, check)),
        }
    }

    /// Why a check would not come into force if it were written under `key`.
    fn refusal_of(&self, key: &Key, check: &Arc<Check>) -> Option<Refusal> {
        let untrusted = self.book.trust.as_ref().and_then(|trust| trust.would_admit(&key.group, check).err());
        untrusted.or_else(|| self.book.refusal_of(key, check))
    }

    fn stands(&self, key: &Key) -> Stands {
        Stands { report: self.book.report(key), config_generation: self.about.generation }
    }

    fn list(&self, list: &ListChecks) -> (CheckList, Vec<Option<Arc<Check>>>) {
        let limit = list.limit.unwrap_or(ListChecks::LIMIT_DEFAULT).min(ListChecks::LIMIT_MAX) as usize;
        let mut checks: Vec<CheckReport> = Vec::new();
        let mut written = Vec::new();
        let mut next = None;
        let mut bytes = 0;
        for id in self.book.ids_after(list.after.as_ref()) {
            let reports = self.book.reports(id);
            let words = |report: &CheckReport| report.refusal.as_ref().map_or(0, |refusal| refusal.message.len());
            let more: usize = reports.iter().map(|report| LISTED_BYTES + words(report)).sum();
            if !checks.is_empty() && (checks.len() + reports.len() > limit || bytes + more > LIST_BYTES_MAX) {
                next = checks.last().map(|report| report.check.clone());
                break;
            }
            bytes += more;
            checks.extend(reports);
            written.extend(self.book.written(id));
        }
        let list = CheckList {
            v: V1,
            bastion: self.bastion.clone(),
            config_generation: self.about.generation,
            store: self.report(),
            checks,
            next,
        };
        (list, written)
    }

    fn report(&self) -> StoreReport {
        let counts = self.book.counts();
        StoreReport {
            state: self.state,
            message: self.message.clone(),
            groups: self.book.groups().to_vec(),
            revision: self.about.revision,
            synced_at: self.about.synced_at,
            running: counts.running,
            paused: counts.paused,
            refused: counts.refused,
            orphaned: counts.orphaned,
            signatures_old: counts.signatures_old,
        }
    }

    fn bucket(&self) -> &str {
        self.about.bucket.as_deref().unwrap_or_default()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What is to be kept.
fn image(book: &Book, about: &About) -> Image {
    Image { about: about.clone(), entries: book.kept() }
}
