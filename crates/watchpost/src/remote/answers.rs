//! Questions to bastions, and what comes back.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use watchpost_bus::{BusError, Headers, Message, Outgoing, Replies, request, request_many};
use watchpost_model::{
    BastionId, ErrorCode, ErrorReply, Format, Message as Payload, Subjects, Verb, decode, encode, header,
};

use super::Remote;
use crate::config::sender;
use crate::failure::{Exit, Failure};

/// How long a bastion may take to answer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How often a bastion that has too much in hand is asked again.
const TRIES_MAX: u32 = 8;

/// Why there is no answer to a question.
#[derive(Debug)]
pub enum Unanswered {
    /// Nobody of the bastion's processes listens.
    Offline,
    /// It listens, and says nothing.
    Silent(Duration),
    /// It refuses.
    Refused(ErrorReply),
    /// It says something that is not an answer.
    Unreadable(String),
    /// The bus could not carry it.
    Bus(BusError),
}

impl Unanswered {
    /// The same as the end of a command.
    pub fn failure(self, bastion: &BastionId, verb: Verb) -> Failure {
        let unreachable = |message| Failure::of(Exit::BusUnreachable, message);
        match self {
            Self::Offline => unreachable(format!(
                "the bastion `{bastion}` is not on the bus: nobody answers {verb}; `watchpost bastions list` shows who is"
            )),
            Self::Silent(limit) => {
                unreachable(format!("the bastion `{bastion}` did not answer {verb} within {limit:?}"))
            }
            Self::Refused(ErrorReply { code, message, .. }) => {
                Failure::of(Exit::NotPassed, format!("the bastion `{bastion}` answers {code}: {message}"))
            }
            Self::Unreadable(what) => Failure::of(
                Exit::NotPassed,
                format!("the answer of the bastion `{bastion}` to {verb} cannot be read: {what}"),
            ),
            Self::Bus(error) => error.into(),
        }
    }
}

impl From<BusError> for Unanswered {
    fn from(error: BusError) -> Self {
        match error {
            BusError::NoResponders { .. } => Self::Offline,
            BusError::Deadline { limit, .. } => Self::Silent(limit),
            error => Self::Bus(error),
        }
    }
}

/// What a message says, or why it is refused.
///
/// # Errors
/// [`Unanswered::Refused`] and [`Unanswered::Unreadable`].
pub fn told<R: Payload>(message: &Message) -> Result<R, Unanswered> {
    let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
    if message.headers.get(header::ERROR).is_some() {
        let refused = decode::<ErrorReply>(&message.payload, format);
        return Err(refused.map_or_else(|e| Unanswered::Unreadable(e.to_string()), Unanswered::Refused));
    }
    decode(&message.payload, format).map_err(|e| Unanswered::Unreadable(e.to_string()))
}

impl Remote {
    /// The subjects of a bastion.
    pub fn subjects(&self, bastion: &BastionId) -> Subjects {
        Subjects::new(&self.prefix, bastion)
    }

    /// A question, ready to be sent.
    pub fn question<Q: Payload>(&self, bastion: &BastionId, verb: Verb, question: &Q) -> Outgoing {
        let format = Format::MsgPack;
        Outgoing::new(self.subjects(bastion).control(verb), encode(question, format))
            .headers(Headers::new().with(header::CONTENT_TYPE, format.content_type()).with(header::SENDER, sender()))
    }

    /// Asks one process of a bastion. One that has too much in hand is asked again.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask<Q: Payload, R: Payload>(
        &self,
        bastion: &BastionId,
        verb: Verb,
        question: &Q,
    ) -> Result<R, Unanswered> {
        let mut tries = 0;
        loop {
            let asked = request(&*self.bus, self.question(bastion, verb, question), ANSWER_LIMIT).await;
            match told(&asked?) {
                Err(Unanswered::Refused(ErrorReply { code: ErrorCode::TooOften, .. })) if tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(20) * tries).await;
                }
                answer => return answer,
            }
        }
    }

    /// Asks every process of a bastion, and gives what answers within `limit`, at most `expected` where that is known.
    /// Nothing more is waited for once nothing has come for `quiet`.
    ///
    /// # Errors
    /// Why there is no answer at all.
    pub async fn ask_all<Q: Payload, R: Payload>(
        &self,
        bastion: &BastionId,
        verb: Verb,
        question: &Q,
        limits: Limits,
    ) -> Result<Vec<R>, Unanswered> {
        let replies = request_many(&*self.bus, self.question(bastion, verb, question), limits.whole).await?;
        let mut answers = Vec::new();
        for message in gather(replies, limits).await? {
            answers.push(told(&message)?);
        }
        if answers.is_empty() { Err(Unanswered::Silent(limits.whole)) } else { Ok(answers) }
    }
}

/// How long answers are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// In all.
    pub whole: Duration,
    /// After the last one that came.
    pub quiet: Duration,
}

impl Limits {
    /// For questions that every process answers at once.
    pub const SHORT: Self = Self { whole: Duration::from_secs(2), quiet: Duration::from_millis(300) };
}

/// Takes answers until nothing more comes.
///
/// # Errors
/// When nobody listens, or the bus closes.
pub async fn gather(mut replies: Replies, limits: Limits) -> Result<Vec<Message>, BusError> {
    let mut messages = Vec::new();
    loop {
        let wait = if messages.is_empty() { limits.whole } else { limits.quiet };
        match timeout_at(Instant::now() + wait, replies.next()).await {
            Ok(Ok(Some(message))) => messages.push(message),
            Ok(Ok(None)) | Err(_) => return Ok(messages),
            Ok(Err(error)) => return Err(error),
        }
    }
}
