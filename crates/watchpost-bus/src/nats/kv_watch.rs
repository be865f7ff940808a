//! Following a bucket over NATS.
//!
//! The server is asked for a consumer that pushes the last message of each key and then all that come, numbered and
//! with regular signs of life. A number that is missing, a silence, or another connection end the watch with an error:
//! whoever follows begins anew, with all that is there.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{Stream, select_all, unfold};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use super::jetstream::Doing;
use super::kv::{NatsKeyValue, is_deletion};
use super::link::Link;
use crate::{KvEntry, KvError, KvUpdate, KvWatch, is_inbox};

/// How often the server gives a sign of life while there is no change.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// How long it may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often it is looked whether this is still the same connection.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One watch, as long as nothing is missed.
pub(super) struct Follower {
    shared: Arc<Shared>,
    link: Arc<Link>,
    bucket: String,
    prefix: String,
    messages: Subscriber,
    /// The number of the last message.
    last: u64,
    /// How many messages there were to begin with, until all of them were yielded.
    first: Option<u64>,
    /// Whether it is yet to be told that they were.
    is_current: bool,
    heard_at: Instant,
    reconnects: u64,
}

#[derive(Debug, Deserialize)]
struct ConsumerInfo {
    #[serde(default)]
    num_pending: u64,
    delivered: Delivered,
}

#[derive(Debug, Deserialize)]
struct Delivered {
    #[serde(default)]
    consumer_seq: u64,
}

impl Follower {
    pub(super) async fn start(
        kv: &NatsKeyValue,
        shared: Arc<Shared>,
        link: Arc<Link>,
        filter: &str,
    ) -> Result<Self, KvError> {
        let reconnects = shared.reconnects();
        let inbox = link.client.new_inbox();
        let messages = link.client.subscribe(inbox.clone()).await.map_err(|_| shared.unavailable())?;
        let name = format!("watchpost-{}", inbox.rsplit('.').next().unwrap_or_default());
        let prefix = kv.prefix();
        let filter = format!("{prefix}{filter}");
        let config = json!({
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "replay_policy": "instant",
            "max_deliver": 1,
            "mem_storage": true,
            "num_replicas": 1,
            "flow_control": true,
            "idle_heartbeat": HEARTBEAT.as_nanos() as u64,
            "filter_subject": filter,
        });
        // Named in the subject too, so that permissions can say who may follow what.
        let subject = format!("$JS.API.CONSUMER.CREATE.{}.{name}.{filter}", kv.stream());
        let question = json!({ "stream_name": kv.stream(), "config": config });
        let info: ConsumerInfo = kv
            .call(&link, Doing::Follow, subject, question)
            .await?
            .map_err(|code| kv.unexpected(Doing::Follow, code))?;
        Ok(Self {
            shared,
            link,
            bucket: kv.bucket.clone(),
            prefix,
            messages,
            last: 0,
            first: Some(info.num_pending + info.delivered.consumer_seq),
            is_current: false,
            heard_at: Instant::now(),
            reconnects,
        })
    }

    fn into_updates(self) -> impl Stream<Item = Result<KvUpdate, KvError>> + Send {
        unfold(Some(self), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(update) => Some((Ok(update), Some(follower))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<KvUpdate, KvError> {
        loop {
            if self.first == Some(0) {
                self.first = None;
                self.is_current = true;
            }
            if std::mem::take(&mut self.is_current) {
                return Ok(KvUpdate::Current);
            }
            let message = tokio::select! {
                biased;
                message = self.messages.next() => message,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.look()?;
                    continue;
                }
            };
            let Some(message) = message else { return Err(self.shared.unavailable().into()) };
            self.heard_at = Instant::now();
            if message.status == Some(StatusCode::IDLE_HEARTBEAT) {
                self.heartbeat(message).await?;
            } else if let Some(entry) = self.take(message)? {
                return Ok(KvUpdate::Entry(entry));
            }
        }
    }

    /// Whether the server still follows the bucket for us, as far as can be seen.
    fn look(&self) -> Result<(), KvError> {
        if !self.link.is_connected() || self.shared.reconnects() != self.reconnects {
            return Err(self.shared.unavailable().into());
        }
        if self.heard_at.elapsed() > SILENCE_MAX {
            return Err(self.missed(format!("the server has said nothing of it for {SILENCE_MAX:?}")));
        }
        Ok(())
    }

    async fn heartbeat(&self, message: Message) -> Result<(), KvError> {
        let header = |name: &str| message.headers.as_ref()?.get(name).map(|value| value.as_str().to_owned());
        // The server asks how far we have come, before it sends more.
        let asks = message.reply.as_ref().map(ToString::to_string).or_else(|| header("Nats-Consumer-Stalled"));
        if let Some(asks) = asks.filter(|asks| asks.starts_with("$JS.FC.") || is_inbox(asks)) {
            self.link.client.publish(asks, Bytes::new()).await.map_err(|_| self.shared.unavailable())?;
        }
        match header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last != self.last => {
                Err(self.missed(format!("{} of its changes were lost", last - last.min(self.last))))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<KvEntry>, KvError> {
        let Some(place) = message.reply.as_deref().and_then(Place::parse) else {
            return Ok(None);
        };
        if place.number != self.last + 1 {
            return Err(self.missed("some of its changes were lost".to_owned()));
        }
        self.last = place.number;
        if self.first.is_some_and(|first| place.number >= first || place.pending == 0) {
            self.first = None;
            self.is_current = true;
        }
        let Some(key) = message.subject.strip_prefix(&self.prefix) else { return Ok(None) };
        let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
        let deleted = is_deletion(
            headers.flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str()))),
        );
        let value = (!deleted).then(|| message.payload.clone());
        Ok(Some(KvEntry { key: key.to_owned(), revision: place.revision, value }))
    }

    fn missed(&self, detail: String) -> KvError {
        KvError::Failed { bucket: self.bucket.clone(), what: "be followed".to_owned(), detail }
    }
}

/// What all of them see, in one. It is current once each of them is, and ends with the first that ends.
pub(super) fn watch(followers: Vec<Follower>) -> KvWatch {
    let behind = followers.len();
    let updates = select_all(followers.into_iter().map(|follower| Box::pin(follower.into_updates())));
    KvWatch::new(unfold(Some((updates, behind)), |state| async move {
        let (mut updates, mut behind) = state?;
        loop {
            match updates.next().await? {
                Ok(KvUpdate::Current) if behind > 1 => behind -= 1,
                Ok(update) => return Some((Ok(update), Some((updates, behind)))),
                Err(error) => return Some((Err(error), None)),
            }
        }
    }))
}

/// Where a message stands, as its reply subject says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    revision: u64,
    /// Counts the messages of this consumer from 1.
    number: u64,
    /// How many are to come.
    pending: u64,
}

impl Place {
    /// `$JS.ACK.stream.consumer.deliveries.revision.number.time.pending`, from newer servers with domain and account
    /// after `ACK`.
    fn parse(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let skip = match tokens.len() {
            7 => 0,
            9.. => 2,
            _ => return None,
        };
        let number = |at: usize| tokens.get(skip + at)?.parse().ok();
        Some(Self { revision: number(3)?, number: number(4)?, pending: number(6)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_place_are_read() {
        let place = Some(Place { revision: 41, number: 7, pending: 3 });
        assert_eq!(Place::parse("$JS.ACK.KV_B.name.1.41.7.1600000000.3"), place);
        assert_eq!(Place::parse("$JS.ACK._.hash.KV_B.name.1.41.7.1600000000.3"), place);
        assert_eq!(Place::parse("$JS.ACK.hub.hash.KV_B.name.1.41.7.1600000000.3.random"), place);
        for wrong in ["", "$JS.ACK.", "$JS.FC.KV_B.x", "$JS.ACK.KV_B.name.1.x.7.1600000000.3"] {
            assert_eq!(Place::parse(wrong), None, "{wrong}");
        }
    }
}
