//! Which bastions there are: those that answer, and those that were heard once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use watchpost_bus::{Outgoing, ReadFrom, StreamError, request_many};
use watchpost_model::{
    AskStatus, BastionGroup, BastionId, CheckList, Heartbeat, ListChecks, Role, RunnerId, StoreReport, Timestamp, Verb,
};

use super::answers::{Limits, Unanswered, gather};
use super::{HEARTBEATS, Remote, past};
use crate::failure::Failure;

/// Where every bastion answers with its name.
const PING: &str = "$SRV.PING.watchpost";
/// How many bastions are asked at the same time.
const ASKED_AT_ONCE: usize = 64;

/// One bastion.
#[derive(Debug)]
pub struct Bastion {
    /// Its id.
    pub id: BastionId,
    /// Its processes: those that answered, then those that were only heard of.
    pub processes: Vec<Process>,
}

/// One process of a bastion.
#[derive(Debug)]
pub struct Process {
    /// What it said last.
    pub heartbeat: Heartbeat,
    /// When that was.
    pub heard_at: Timestamp,
    /// Whether it has just answered.
    pub online: bool,
}

impl Process {
    /// What tells it from the others of its bastion.
    fn name(&self) -> (Option<&RunnerId>, &[Role]) {
        (self.heartbeat.runner.as_ref(), &self.heartbeat.roles)
    }
}

impl Bastion {
    /// Whether one of its processes answers.
    pub fn is_online(&self) -> bool {
        self.processes.iter().any(|process| process.online)
    }

    /// The processes that answer.
    pub fn online(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.online)
    }

    /// When it was heard last.
    pub fn heard_at(&self) -> Option<Timestamp> {
        self.processes.iter().map(|process| process.heard_at).max()
    }

    /// What its Checker says of itself, where that answers.
    pub fn checker(&self) -> Option<&Heartbeat> {
        self.online().map(|process| &process.heartbeat).find(|heartbeat| heartbeat.roles.contains(&Role::Checker))
    }

    /// Whether it is online, and runs the checks of `group`.
    pub fn runs(&self, group: &BastionGroup) -> bool {
        self.checker().is_some_and(|checker| checker.groups.contains(group))
    }

    /// Whether one of the processes that count plays that role: those that answer, or all where none does.
    pub fn has(&self, role: Role) -> bool {
        let online = self.is_online();
        self.processes.iter().any(|process| process.online == online && process.heartbeat.roles.contains(&role))
    }
}

/// Every bastion that is known.
#[derive(Debug)]
pub struct Seen {
    /// In the order of their ids.
    pub bastions: Vec<Bastion>,
    /// Whether heartbeats are kept: without them, who is silent is not known.
    pub kept: bool,
}

impl Remote {
    /// Every bastion that answers, or whose heartbeat is kept.
    ///
    /// # Errors
    /// When the bus cannot carry the questions.
    pub async fn bastions(self: &Arc<Self>) -> Result<Seen, Failure> {
        let (mut heard, kept) = self.heard(None).await?;
        for id in self.pinged().await? {
            heard.entry(id).or_default();
        }
        let mut asked = JoinSet::new();
        let mut bastions = Vec::new();
        for (id, stored) in heard {
            if asked.len() >= ASKED_AT_ONCE {
                bastions.extend(asked.join_next().await.and_then(Result::ok).transpose()?);
            }
            let remote = Arc::clone(self);
            asked.spawn(async move { remote.stand(id, stored).await });
        }
        while let Some(done) = asked.join_next().await {
            bastions.extend(done.ok().transpose()?);
        }
        bastions.sort_by(|a: &Bastion, b| a.id.cmp(&b.id));
        Ok(Seen { bastions, kept })
    }

    /// One bastion, whether or not it was ever heard of.
    ///
    /// # Errors
    /// When the bus cannot carry the questions.
    pub async fn bastion(&self, id: &BastionId) -> Result<Bastion, Failure> {
        let (mut heard, _) = self.heard(Some(id)).await?;
        self.stand(id.clone(), heard.remove(id).unwrap_or_default()).await
    }

    /// The last heartbeats that are kept, and whether any are.
    async fn heard(&self, of: Option<&BastionId>) -> Result<(BTreeMap<BastionId, Vec<Process>>, bool), Failure> {
        let mut heard: BTreeMap<BastionId, Vec<Process>> = BTreeMap::new();
        let subject = format!("{}.{}.heartbeat", self.prefix, of.map_or("*", BastionId::as_str));
        let mut messages = match self.nats.read_stream(HEARTBEATS, &[subject], ReadFrom::Beginning).await {
            Ok(messages) => messages,
            Err(StreamError::NoStream { .. } | StreamError::Unsupported) => return Ok((heard, false)),
            Err(error) => return Err(error.into()),
        };
        while let Some(stored) = messages.next().await? {
            let Some(heartbeat) = past::payload::<Heartbeat>(&stored.message) else { continue };
            let heard_at = Timestamp::from_microsecond(stored.stored_us).unwrap_or(heartbeat.sent_at);
            let process = Process { heartbeat, heard_at, online: false };
            let processes = heard.entry(process.heartbeat.bastion.clone()).or_default();
            // The later one of the same process says how it stands.
            match processes.iter_mut().find(|known| known.name() == process.name()) {
                Some(known) => *known = process,
                None => processes.push(process),
            }
        }
        Ok((heard, true))
    }

    /// The ids of the bastions that answer as NATS services.
    async fn pinged(&self) -> Result<Vec<BastionId>, Failure> {
        let limits = Limits { whole: Duration::from_millis(700), quiet: Duration::from_millis(300) };
        let asked = request_many(&*self.bus, Outgoing::new(PING, ""), limits.whole).await;
        let answers = match asked {
            Ok(replies) => gather(replies, limits).await,
            Err(error) => Err(error),
        };
        let answers = match answers.map_err(Unanswered::from) {
            Ok(answers) => answers,
            // There is none, or we may not ask.
            Err(Unanswered::Offline | Unanswered::Silent(_)) => return Ok(Vec::new()),
            Err(Unanswered::Bus(error)) => return Err(error.into()),
            Err(_) => return Ok(Vec::new()),
        };
        let prefix = self.prefix.to_string();
        let id_in = |payload: &[u8]| {
            let answer: serde_json::Value = serde_json::from_slice(payload).ok()?;
            let metadata = &answer["metadata"];
            // Bastions below another prefix are no business of ours.
            let ours = metadata["prefix"].as_str().is_none_or(|given| given == prefix);
            metadata["bastion"].as_str().filter(|_| ours)?.parse::<BastionId>().ok()
        };
        let mut ids: Vec<_> = answers.iter().filter_map(|message| id_in(&message.payload)).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    /// How a bastion stands now, with what was heard of it before.
    async fn stand(&self, id: BastionId, stored: Vec<Process>) -> Result<Bastion, Failure> {
        let question = AskStatus::default();
        let answered = self.ask_all::<_, Heartbeat>(&id, Verb::BastionStatus, &question, Limits::SHORT).await;
        let now = self.now();
        let mut processes: Vec<Process> = match answered {
            Ok(heartbeats) => {
                heartbeats.into_iter().map(|heartbeat| Process { heartbeat, heard_at: now, online: true }).collect()
            }
            Err(Unanswered::Bus(error)) => return Err(error.into()),
            Err(_) => Vec::new(),
        };
        let silent = stored.into_iter().filter(|process| !processes.iter().any(|known| known.name() == process.name()));
        let silent: Vec<_> = silent.collect();
        processes.extend(silent);
        processes.sort_by(|a, b| (!a.online, a.name().0).cmp(&(!b.online, b.name().0)));
        Ok(Bastion { id, processes })
    }

    /// How the store stands as a bastion sees it.
    ///
    /// # Errors
    /// Why it does not say.
    pub async fn store_of(&self, bastion: &BastionId) -> Result<(StoreReport, u64), Unanswered> {
        let question = ListChecks { limit: Some(1), ..ListChecks::default() };
        let list: CheckList = self.ask(bastion, Verb::CheckList, &question).await?;
        Ok((list.store, list.config_generation))
    }

    /// The ids of the bastions that are online, have a Checker, and run the checks of `group`.
    ///
    /// # Errors
    /// When the bus cannot carry the questions.
    pub async fn checkers_of(self: &Arc<Self>, group: &BastionGroup) -> Result<Vec<BastionId>, Failure> {
        let bastions = self.bastions().await?.bastions;
        Ok(bastions.into_iter().filter(|bastion| bastion.runs(group)).map(|bastion| bastion.id).collect())
    }
}
