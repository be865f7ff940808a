//! A bastion on a real bus, and a client that asks it.

use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use serde_json::Value;
use watchpost_model::{ErrorReply, Format, Message as ModelMessage, Verb, decode, encode, header};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::process::{Launch, SOON, Watchpost};

/// A process of the bastion `b1`, which plays both roles.
pub struct Rig {
    pub bastion: Watchpost,
    pub asker: Asker,
    pub nats: NatsServer,
}

impl Rig {
    pub async fn start(config: &str) -> Self {
        let nats = NatsServer::start();
        let args = ["--bus", &nats.url(), "--runner", "r1"];
        let bastion = Launch::new("bastion").config(&format!("bastion: b1\n{config}")).args(&args).start_ready().await;
        Self { asker: Asker::connect(&nats).await, bastion, nats }
    }
}

/// Somebody who asks.
pub struct Asker {
    pub client: Client,
}

/// An answer, and what its headers say.
#[derive(Debug)]
pub struct Answer {
    pub message: Message,
}

impl Asker {
    pub async fn connect(nats: &NatsServer) -> Self {
        Self { client: async_nats::connect(nats.url()).await.unwrap() }
    }

    /// Sends a request, and hears the first answer.
    pub async fn send(&self, verb: &str, headers: HeaderMap, payload: Vec<u8>) -> Answer {
        let asked = self.client.request_with_headers(subject(verb), headers, payload.into());
        let message = tokio::time::timeout(SOON, asked).await.expect("an answer in time").expect("an answer");
        Answer { message }
    }

    /// Asks in JSON.
    pub async fn json(&self, verb: &str, request: Value) -> Answer {
        self.send(verb, HeaderMap::new(), request.to_string().into_bytes()).await
    }

    /// Asks in MessagePack.
    pub async fn packed<M: ModelMessage>(&self, verb: Verb, request: &M) -> Answer {
        self.send(verb.as_str(), HeaderMap::new(), encode(request, Format::MsgPack)).await
    }

    /// Sends a request, and hears everything that comes of it.
    pub async fn stream(&self, verb: &str, request: Value) -> Subscriber {
        let inbox = self.client.new_inbox();
        let heard = self.client.subscribe(inbox.clone()).await.unwrap();
        self.client.publish_with_reply(subject(verb), inbox, request.to_string().into()).await.unwrap();
        heard
    }

    /// Asks everybody, and hears this many answers.
    pub async fn all(&self, verb: &str, request: Value, number: usize) -> Vec<Value> {
        let mut heard = self.stream(verb, request).await;
        let mut answers = Vec::new();
        while answers.len() < number {
            answers.push(Answer { message: next(&mut heard).await }.value());
        }
        answers
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        Some(self.message.headers.as_ref()?.get(name)?.as_str())
    }

    /// What was answered in JSON, be it an error or not.
    pub fn any(&self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE), Some("application/json"));
        serde_json::from_slice(&self.message.payload).unwrap()
    }

    /// What was answered in JSON, which is no error.
    pub fn value(&self) -> Value {
        let value = self.any();
        assert_eq!(self.header(header::ERROR), None, "{value}");
        assert_eq!(value["v"], 1, "{value}");
        value
    }

    /// What was answered in MessagePack, which is no error.
    pub fn packed<M: ModelMessage>(&self) -> M {
        assert_eq!(self.header(header::CONTENT_TYPE), Some("application/msgpack"));
        assert_eq!(self.header(header::ERROR), None);
        decode(&self.message.payload, Format::MsgPack).unwrap()
    }

    /// The error that was answered.
    pub fn error(&self) -> ErrorReply {
        let format = Format::detect(self.header(header::CONTENT_TYPE), &self.message.payload);
        let error: ErrorReply = decode(&self.message.payload, format)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.message.payload)));
        assert_eq!(self.header(header::ERROR), Some(error.code.to_string().as_str()));
        assert!(self.header("Nats-Service-Error").is_some_and(|told| !told.is_empty()));
        assert!(self.header("Nats-Service-Error-Code").is_some_and(|code| code.parse::<u16>().is_ok()));
        error
    }
}

pub fn subject(verb: &str) -> String {
    format!("watchpost.b1.control.{verb}")
}

pub async fn next(heard: &mut Subscriber) -> Message {
    tokio::time::timeout(SOON, heard.next()).await.expect("a message in time").expect("a message")
}

/// The reports of a test up to its end.
pub async fn to_its_end(heard: &mut Subscriber) -> Vec<Value> {
    let mut reports = Vec::<Value>::new();
    loop {
        let report: Value = serde_json::from_slice(&next(heard).await.payload).unwrap();
        assert_eq!(report["seq"], reports.len(), "{report}");
        let ended = report["kind"] == "end";
        reports.push(report);
        if ended {
            return reports;
        }
    }
}

/// Looks again and again until it is as wanted.
pub async fn until_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
