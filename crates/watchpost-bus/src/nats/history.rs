//! Streams over NATS: JetStream's own, read by consumers that live as long as the reading does.

use std::time::Duration;

use async_nats::datetime::from_nanos;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::{self, ErrorCode, stream::Info};
use async_nats::{Client, StatusCode, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::pump::converted;
use super::{NatsBus, Shared};
use crate::streams::{ReadFrom, StoredMessage, StreamError, StreamReport, StreamSettings};
use crate::{Refusals, validate_filter};

/// How long the server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How many messages are asked for at once, and how many bytes: a message has less than both.
const BATCH: u64 = 500;
const BATCH_BYTES: u64 = 8 * 1024 * 1024;
/// When the server forgets a reading that nobody goes on with.
const FORGET_AFTER: Duration = Duration::from_secs(30);
/// For how long a message with a known `Nats-Msg-Id` is taken for the same.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

impl NatsBus {
    /// How a stream is; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`StreamError::Unsupported`], [`StreamError::Forbidden`], [`StreamError::NoAnswer`], [`StreamError::Failed`],
    /// [`StreamError::Bus`].
    pub async fn stream(&self, name: &str) -> Result<Option<StreamReport>, StreamError> {
        match self.shared.describe(name).await {
            Ok(info) => Ok(Some(report(&read_info(name, info)?))),
            Err(StreamError::NoStream { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a stream: on disk, dropping the oldest, and taking a repeated `Nats-Msg-Id` within two minutes for one.
    ///
    /// # Errors
    /// As for [`NatsBus::stream`]; [`StreamError::Failed`] as well where one of that name, or one that keeps some of
    /// these subjects, is there already.
    pub async fn create_stream(&self, settings: &StreamSettings) -> Result<(), StreamError> {
        let mut config = json!({
            "name": settings.name,
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "num_replicas": 1,
            "max_consumers": -1,
            "max_msgs": -1,
            "allow_direct": true,
        });
        write_settings(&mut config, settings);
        let what = format!("make the stream `{}`", settings.name);
        self.shared.ask(&format!("STREAM.CREATE.{}", settings.name), &config, &what, &settings.name).await?;
        Ok(())
    }

    /// Changes a stream. What else was set of it stays.
    ///
    /// # Errors
    /// As for [`NatsBus::stream`], and [`StreamError::NoStream`].
    pub async fn update_stream(&self, settings: &StreamSettings) -> Result<(), StreamError> {
        let mut info = self.shared.describe(&settings.name).await?;
        let mut config = info["config"].take();
        write_settings(&mut config, settings);
        let what = format!("change the stream `{}`", settings.name);
        self.shared.ask(&format!("STREAM.UPDATE.{}", settings.name), &config, &what, &settings.name).await?;
        Ok(())
    }

    /// Reads what a stream holds at this moment of subjects that match one of `filters` (`*` and `>` as in subscriptions),
    /// in the order in which it was stored.
    ///
    /// # Errors
    /// As for [`NatsBus::update_stream`], and [`BusError::Subject`](crate::BusError::Subject).
    pub async fn read_stream(
        &self,
        name: &str,
        filters: &[String],
        from: ReadFrom,
    ) -> Result<StoredMessages, StreamError> {
        for filter in filters {
            validate_filter(filter).map_err(crate::BusError::from)?;
        }
        let mut config = json!({
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanos(FORGET_AFTER),
            "filter_subjects": filters,
        });
        let what = format!("read the stream `{name}`");
        if let (Some(config), Value::Object(from)) = (config.as_object_mut(), deliver_policy(from, &what)?) {
            config.extend(from);
        }
        let request = json!({"stream_name": name, "config": config});
        let made = self.shared.ask(&format!("CONSUMER.CREATE.{name}"), &request, &what, name).await?;
        let (Some(consumer), Some(pending)) = (made["name"].as_str(), made["num_pending"].as_u64()) else {
            let detail = "its answer names no consumer".to_owned();
            return Err(StreamError::Failed { what, detail });
        };
        let client = self.shared.connected_link()?.client.clone();
        Ok(StoredMessages {
            next: format!("$JS.API.CONSUMER.MSG.NEXT.{name}.{consumer}"),
            delete: format!("$JS.API.CONSUMER.DELETE.{name}.{consumer}"),
            refusals: self.shared.watcher.refusals.listen(),
            client,
            what,
            left: pending,
            batch: None,
        })
    }
}

impl Shared {
    async fn describe(&self, name: &str) -> Result<Value, StreamError> {
        self.ask(&format!("STREAM.INFO.{name}"), &json!({}), &format!("tell of the stream `{name}`"), name).await
    }

    /// Asks JetStream's API, and reads its errors.
    async fn ask(&self, api: &str, request: &Value, what: &str, stream: &str) -> Result<Value, StreamError> {
        let client = self.connected_link()?.client.clone();
        let request =
            async_nats::Request::new().payload(request.to_string().into_bytes().into()).timeout(Some(ANSWER_LIMIT));
        let subject = format!("$JS.API.{api}");
        let mut refusals = self.watcher.refusals.listen();
        let answer = tokio::select! {
            biased;
            answer = client.send_request(subject.clone(), request) => answer,
            () = refusals.of_publish(&subject) => {
                return Err(StreamError::Forbidden { what: format!("{what} ({subject})") });
            }
        };
        let answer = answer.map_err(|e| match e.kind() {
            async_nats::RequestErrorKind::NoResponders => StreamError::Unsupported,
            async_nats::RequestErrorKind::TimedOut => {
                StreamError::NoAnswer { what: what.to_owned(), limit: ANSWER_LIMIT }
            }
            _ => StreamError::Bus(self.unavailable()),
        })?;
        let failed = |detail: String| StreamError::Failed { what: what.to_owned(), detail };
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(|e| failed(e.to_string()))?;
        let Some(error) = answer.get("error") else { return Ok(answer) };
        let code = error["err_code"].as_u64().unwrap_or_default();
        if code == ErrorCode::STREAM_NOT_FOUND.0 {
            return Err(StreamError::NoStream { stream: stream.to_owned() });
        }
        if [ErrorCode::JETSTREAM_NOT_ENABLED.0, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT.0].contains(&code) {
            return Err(StreamError::Unsupported);
        }
        Err(failed(error["description"].as_str().unwrap_or("it does not say why").to_owned()))
    }
}

/// What a stream held when it was asked, message by message.
#[derive(Debug)]
pub struct StoredMessages {
    client: Client,
    refusals: Refusals,
    next: String,
    delete: String,
    what: String,
    left: u64,
    batch: Option<Batch>,
}

/// What was asked for at once.
#[derive(Debug)]
struct Batch {
    messages: Subscriber,
    /// Where they come to.
    inbox: String,
    asked: u64,
    came: u64,
}

impl StoredMessages {
    /// How many are yet to come; fewer come where the stream drops some meanwhile.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next message; `None` once everything was read that was there when the reading began.
    ///
    /// # Errors
    /// [`StreamError::NoAnswer`], [`StreamError::Failed`], [`StreamError::Bus`].
    ///
    /// # Cancel safety
    /// Not cancel safe: a message may be lost.
    pub async fn next(&mut self) -> Result<Option<StoredMessage>, StreamError> {
        while self.left > 0 {
            let mut batch = match self.batch.take() {
                Some(batch) => batch,
                None => self.ask_for_more().await?,
            };
            let until = Instant::now() + ANSWER_LIMIT;
            let answer = tokio::select! {
                biased;
                answer = timeout_at(until, batch.messages.next()) => answer.map_err(|_| self.no_answer())?,
                () = self.refusals.of_either(&self.next, &batch.inbox) => {
                    return Err(StreamError::Forbidden { what: format!("{} ({})", self.what, self.next) });
                }
            };
            let Some(answer) = answer else { return Err(self.failed("the connection was closed")) };
            match answer.status {
                None | Some(StatusCode::OK) => {
                    batch.came += 1;
                    if batch.came < batch.asked {
                        self.batch = Some(batch);
                    }
                    self.left -= 1;
                    let stored = self.stored(answer)?;
                    if self.left == 0 {
                        self.forget().await;
                    }
                    return Ok(Some(stored));
                }
                // Nothing more is there, or not as much as was asked for: some of it was dropped meanwhile.
                Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => self.left = 0,
                Some(StatusCode::NO_RESPONDERS) => return Err(self.failed("it has forgotten the reading")),
                // The batch is as large as it may be; more is there.
                Some(_) if batch.came > 0 => {}
                Some(status) => {
                    return Err(self.failed(&format!("{status} {}", answer.description.unwrap_or_default())));
                }
            }
        }
        Ok(None)
    }

    async fn ask_for_more(&self) -> Result<Batch, StreamError> {
        let inbox = self.client.new_inbox();
        let closed = || self.failed("the connection was closed");
        let messages = self.client.subscribe(inbox.clone()).await.map_err(|_| closed())?;
        let asked = self.left.min(BATCH);
        let request = json!({"batch": asked, "max_bytes": BATCH_BYTES, "no_wait": true});
        self.client
            .publish_with_reply(self.next.clone(), inbox.clone(), request.to_string().into_bytes().into())
            .await
            .map_err(|_| closed())?;
        Ok(Batch { messages, inbox, asked, came: 0 })
    }

    fn stored(&self, message: async_nats::Message) -> Result<StoredMessage, StreamError> {
        let message = jetstream::Message { message, context: jetstream::new(self.client.clone()) };
        let info = message.info().map_err(|e| self.failed(&e.to_string()))?;
        let stored_us = i64::try_from(info.published.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        let sequence = info.stream_sequence;
        let mut message = converted(message.message);
        message.reply = None;
        Ok(StoredMessage { message, sequence, stored_us })
    }

    /// The server would forget the reading by itself, only later.
    async fn forget(&self) {
        self.client.publish(self.delete.clone(), Vec::new().into()).await.ok();
    }

    fn no_answer(&self) -> StreamError {
        StreamError::NoAnswer { what: self.what.clone(), limit: ANSWER_LIMIT }
    }

    fn failed(&self, detail: &str) -> StreamError {
        StreamError::Failed { what: self.what.clone(), detail: detail.to_owned() }
    }
}

fn write_settings(config: &mut Value, settings: &StreamSettings) {
    let bound = |n: u64| i64::try_from(n).map_or(json!(-1), |n| json!(n));
    config["subjects"] = json!(settings.subjects);
    config["max_age"] = json!(nanos(settings.age_max));
    config["max_bytes"] = bound(settings.bytes_max);
    config["max_msgs_per_subject"] = settings.per_subject_max.map_or(json!(-1), bound);
    // The server wants the window to be no longer than messages are kept.
    config["duplicate_window"] = json!(nanos(DUPLICATE_WINDOW.min(settings.age_max)));
}

fn read_info(name: &str, info: Value) -> Result<Info, StreamError> {
    let what = format!("tell of the stream `{name}`");
    serde_json::from_value(info).map_err(|e| StreamError::Failed { what, detail: e.to_string() })
}

fn report(info: &Info) -> StreamReport {
    let bound = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
    let config = &info.config;
    let state = &info.state;
    StreamReport {
        settings: StreamSettings {
            name: config.name.clone(),
            subjects: config.subjects.clone(),
            age_max: if config.max_age.is_zero() { Duration::MAX } else { config.max_age },
            bytes_max: bound(config.max_bytes).unwrap_or(u64::MAX),
            per_subject_max: bound(config.max_messages_per_subject),
        },
        messages: state.messages,
        bytes: state.bytes,
        first_us: (state.messages > 0)
            .then(|| i64::try_from(state.first_timestamp.unix_timestamp_nanos() / 1_000).ok())
            .flatten(),
        last_sequence: state.last_sequence,
    }
}

fn deliver_policy(from: ReadFrom, what: &str) -> Result<Value, StreamError> {
    let failed = |detail: String| StreamError::Failed { what: what.to_owned(), detail };
    let policy = match from {
        ReadFrom::Beginning => DeliverPolicy::All,
        ReadFrom::LastOfEach => DeliverPolicy::LastPerSubject,
        ReadFrom::Time(us) => DeliverPolicy::ByStartTime {
            start_time: from_nanos(i128::from(us) * 1_000).map_err(|e| failed(e.to_string()))?,
        },
    };
    serde_json::to_value(policy).map_err(|e| failed(e.to_string()))
}

/// Durations are whole ns in this API; what is longer than it can say is kept for ever, which it writes as 0.
fn nanos(duration: Duration) -> u64 {
    i64::try_from(duration.as_nanos()).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or_default()
}
