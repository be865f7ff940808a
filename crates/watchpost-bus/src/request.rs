//! Requests: a message, and the answers that come to an inbox made for them.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{Bus, BusError, Message, Outgoing, Refusals, Status, Subscription};

/// Publishes `message` and waits for the first answer. A reply subject that it had is replaced.
///
/// # Errors
/// [`BusError::NoResponders`] where nobody listens, [`BusError::Forbidden`] where we may not ask, [`BusError::Deadline`]
/// after `limit`, and those of [`Bus::subscribe`] and [`Bus::publish`].
///
/// # Cancel safety
/// A dropped future may or may not have published the message.
pub async fn request(bus: &dyn Bus, message: Outgoing, limit: Duration) -> Result<Message, BusError> {
    let mut replies = request_many(bus, message, limit).await?;
    match replies.next().await? {
        Some(answer) => Ok(answer),
        None => Err(BusError::Deadline { what: WHAT, limit }),
    }
}

/// Publishes `message` and takes every answer that arrives within `limit` from now. A reply subject
/// that it had is replaced.
///
/// # Errors
/// Those of [`Bus::subscribe`] and [`Bus::publish`], and [`BusError::Deadline`] where publishing alone
/// takes longer than `limit`.
///
/// # Cancel safety
/// A dropped future may or may not have published the message.
pub async fn request_many(bus: &dyn Bus, message: Outgoing, limit: Duration) -> Result<Replies, BusError> {
    let until = Instant::now() + limit.min(LIMIT_MAX);
    let inbox = bus.new_inbox();
    let subject = message.subject.clone();
    let refusals = bus.refusals();
    let ask = async {
        let answers = bus.subscribe(&inbox, None).await?;
        bus.publish(message.reply_to(inbox.as_str())).await?;
        Ok(answers)
    };
    let answers = timeout_at(until, ask).await.unwrap_or(Err(BusError::Deadline { what: WHAT, limit }))?;
    Ok(Replies { answers, refusals, until, subject })
}

/// Nobody waits this long; more could exceed what the clock can express.
const LIMIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const WHAT: &str = "the answer to a request";

/// The answers to one request. Dropping it ends the wait for more.
#[derive(Debug)]
pub struct Replies {
    answers: Subscription,
    refusals: Refusals,
    until: Instant,
    subject: String,
}

impl Replies {
    /// The next answer; `None` once the request's limit has passed.
    ///
    /// # Errors
    /// [`BusError::NoResponders`] where nobody listens, [`BusError::Forbidden`] where the bus does not let us ask,
    /// [`BusError::Closed`] when the bus is drained meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe: no answer is lost.
    pub async fn next(&mut self) -> Result<Option<Message>, BusError> {
        let next = tokio::select! {
            biased;
            next = timeout_at(self.until, self.answers.next()) => next,
            () = self.refusals.of_publish(&self.subject) => {
                return Err(BusError::Forbidden { what: format!("publish to {}", self.subject) });
            }
        };
        match next {
            Ok(Some(Message { status: Some(Status::NoResponders), .. })) => {
                Err(BusError::NoResponders { subject: self.subject.clone() })
            }
            Ok(Some(answer)) => Ok(Some(answer)),
            Ok(None) => Err(BusError::Closed),
            Err(_) => Ok(None),
        }
    }
}
