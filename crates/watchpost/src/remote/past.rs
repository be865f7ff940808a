//! Results of the past, from the stream that keeps them.

use std::collections::VecDeque;
use std::time::Duration;

use watchpost_bus::{Message, ReadFrom, StreamError};
use watchpost_model::{
    BastionId, CheckId, Format, Message as Payload, Outcome, RunVerdict, TaskResult, decode, header,
};

use super::{RESULTS, Remote};
use crate::cli::ResultFilter;
use crate::failure::{Exit, Failure};
use crate::output::Heard;

/// How far back the first look goes, and how much further each of the next: most questions are about what was just now,
/// and a stream may hold a week.
const FIRST_LOOK: Duration = Duration::from_secs(600);
const FURTHER: u32 = 6;

/// Which results are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this bastion.
    pub bastion: Option<BastionId>,
    /// Of this check.
    pub check: Option<CheckId>,
    /// With one of these outcomes; with any where there are none.
    pub outcomes: Vec<Outcome>,
}

impl From<ResultFilter> for Filter {
    fn from(ResultFilter { bastion, check, outcome }: ResultFilter) -> Self {
        Self { bastion, check, outcomes: outcome }
    }
}

impl Filter {
    /// The subjects on which they are published.
    pub fn subjects(&self, remote: &Remote) -> [String; 2] {
        let bastion = self.bastion.as_ref().map_or("*", BastionId::as_str);
        let check = self.check.as_ref().map_or("*", CheckId::as_str);
        ["result", "verdict"].map(|kind| format!("{}.{bastion}.{kind}.{check}", remote.prefix))
    }

    /// What a message on one of these subjects says, if it is wanted. What cannot be read was told by whoever it was for.
    pub fn read(&self, message: &Message) -> Option<Heard> {
        let heard = match message.subject.rsplit('.').nth(1)? {
            "verdict" => Heard::Verdict(Box::new(payload::<RunVerdict>(message)?)),
            _ => Heard::Result(Box::new(payload::<TaskResult>(message)?)),
        };
        let outcome = match &heard {
            Heard::Result(result) => result.outcome,
            Heard::Verdict(verdict) => verdict.outcome,
            Heard::Event(_) | Heard::Over { .. } => return None,
        };
        (self.outcomes.is_empty() || self.outcomes.contains(&outcome)).then_some(heard)
    }
}

/// What a message says, if it can be read.
pub fn payload<P: Payload>(message: &Message) -> Option<P> {
    let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
    decode(&message.payload, format).ok()
}

/// Which results of the past are wanted.
#[derive(Debug, Clone)]
pub struct PastQuery {
    /// Which.
    pub filter: Filter,
    /// Not from before so long ago.
    pub since: Option<Duration>,
    /// The newest of them, at most so many.
    pub limit: usize,
}

impl Remote {
    /// Results and verdicts that the stream holds, the oldest first.
    ///
    /// # Errors
    /// When there is no such stream, or it cannot be read.
    pub async fn past(&self, query: &PastQuery) -> Result<Vec<Heard>, Failure> {
        let stream = self
            .nats
            .stream(RESULTS)
            .await
            .and_then(|stream| stream.ok_or_else(|| StreamError::NoStream { stream: RESULTS.to_owned() }));
        let stream = stream.map_err(|error| match error {
            StreamError::NoStream { .. } => Failure::of(
                Exit::Usage,
                format!(
                    "there is no stream `{RESULTS}` on the bus, so nobody keeps results: `watchpost bus setup` makes it"
                ),
            ),
            error => error.into(),
        })?;
        let Some(first) = stream.first_us else { return Ok(Vec::new()) };
        let oldest = query.since.map_or(first, |since| self.ago(since).as_microsecond().max(first));
        let subjects = query.filter.subjects(self);
        let mut found: VecDeque<Heard> = VecDeque::new();
        // What was stored from here on was looked at already.
        let mut seen_from = u64::MAX;
        let mut look = FIRST_LOOK;
        loop {
            let from = self.ago(look).as_microsecond().max(oldest);
            let room = query.limit.saturating_sub(found.len());
            let mut window: VecDeque<Heard> = VecDeque::new();
            let mut messages = self.nats.read_stream(RESULTS, &subjects, ReadFrom::Time(from)).await?;
            let mut first_here = None;
            while let Some(stored) = messages.next().await? {
                if stored.sequence >= seen_from {
                    break;
                }
                first_here.get_or_insert(stored.sequence);
                let Some(heard) = query.filter.read(&stored.message) else { continue };
                if window.len() == room {
                    window.pop_front();
                }
                window.push_back(heard);
            }
            seen_from = first_here.unwrap_or(seen_from);
            window.into_iter().rev().for_each(|heard| found.push_front(heard));
            if found.len() >= query.limit || from <= oldest {
                return Ok(found.into());
            }
            look = look.saturating_mul(FURTHER);
        }
    }
}
