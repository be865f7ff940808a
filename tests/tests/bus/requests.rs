//! Requests, replies, and what is said when nobody listens. Each function gets a fresh rig.

use std::sync::Arc;
use std::time::{Duration, Instant};

use watchpost_bus::{BusError, Headers, Message, Outgoing, SharedBus, Status, request, request_many};

use crate::rig::{PATIENCE, Rig, next, text};

/// Answers each request on `subject` with as many replies as its payload says.
async fn serve(bus: &SharedBus, subject: &str) -> tokio::task::JoinHandle<()> {
    let mut requests = bus.subscribe(subject, None).await.unwrap();
    let bus = Arc::clone(bus);
    tokio::spawn(async move {
        while let Some(message) = requests.next().await {
            let replies: usize = text(&message).parse().unwrap();
            for n in 0..replies {
                let reply = Outgoing::new(message.reply.clone().unwrap(), n.to_string());
                bus.publish(reply.headers(Headers::new().with("X-From", "server"))).await.unwrap();
            }
        }
    })
}

pub async fn contract_a_request_is_answered(rig: Rig) {
    let server = serve(&rig.other, "ask").await;
    for _ in 0..20 {
        let answer = request(&*rig.bus, Outgoing::new("ask", "1"), PATIENCE).await.unwrap();
        assert_eq!((text(&answer), answer.headers.get("X-From")), ("0", Some("server")));
    }
    server.abort();
}

pub async fn contract_a_request_that_nobody_hears_fails_at_once(rig: Rig) {
    let before = Instant::now();
    let error = request(&*rig.bus, Outgoing::new("nobody.here", "x"), PATIENCE).await.unwrap_err();
    assert!(matches!(&error, BusError::NoResponders { subject } if subject == "nobody.here"), "{error}");
    assert!(before.elapsed() < PATIENCE / 2);
}

pub async fn contract_a_request_without_answer_fails_in_time(rig: Rig) {
    const LIMIT: Duration = Duration::from_millis(200);
    let _silent = rig.other.subscribe("silent", None).await.unwrap();
    let before = Instant::now();
    let error = request(&*rig.bus, Outgoing::new("silent", "x"), LIMIT).await.unwrap_err();
    assert!(matches!(error, BusError::Deadline { limit: LIMIT, .. }), "{error}");
    assert!(before.elapsed() >= LIMIT && before.elapsed() < PATIENCE);
}

pub async fn contract_a_request_collects_many_replies_until_its_limit(rig: Rig) {
    const LIMIT: Duration = Duration::from_millis(700);
    let servers = [serve(&rig.other, "many").await, serve(&rig.bus, "many").await];
    let before = Instant::now();
    let mut replies = request_many(&*rig.bus, Outgoing::new("many", "3"), LIMIT).await.unwrap();
    let mut got = Vec::new();
    while let Some(reply) = replies.next().await.unwrap() {
        got.push(text(&reply).to_owned());
    }
    assert!(before.elapsed() >= LIMIT && before.elapsed() < PATIENCE);
    got.sort();
    assert_eq!(got, ["0", "0", "1", "1", "2", "2"]);
    assert!(matches!(replies.next().await, Ok(None)), "it stays over");
    for server in servers {
        server.abort();
    }
}

pub async fn contract_many_replies_of_nobody_say_so(rig: Rig) {
    let mut replies = request_many(&*rig.bus, Outgoing::new("nobody", "3"), PATIENCE).await.unwrap();
    assert!(matches!(replies.next().await, Err(BusError::NoResponders { .. })));
}

pub async fn contract_a_publish_with_reply_learns_that_nobody_listens(rig: Rig) {
    let mut replies = rig.bus.subscribe("replies.*", None).await.unwrap();
    rig.bus.publish(Outgoing::new("nobody", "x").reply_to("replies.a")).await.unwrap();
    let expected = Message {
        subject: "replies.a".to_owned(),
        reply: None,
        headers: Headers::new(),
        payload: "".into(),
        status: Some(Status::NoResponders),
    };
    assert_eq!(next(&mut replies).await, expected);

    // Somebody who listens and says nothing is not nobody, even as a member of a group.
    let _listener = rig.other.subscribe("somebody", Some("q")).await.unwrap();
    rig.bus.publish(Outgoing::new("somebody", "x").reply_to("replies.b")).await.unwrap();
    rig.bus.publish(Outgoing::new("nobody", "x").reply_to("replies.c")).await.unwrap();
    assert_eq!(next(&mut replies).await.subject, "replies.c");
}
