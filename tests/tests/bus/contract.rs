//! What every bus does. Each function gets a fresh rig.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use watchpost_bus::{
    BusError, Headers, Message, Outgoing, PAYLOAD_BYTES_MAX, SharedBus, Status, Subscription, request, request_many,
};

use crate::rig::{PATIENCE, Rig, eventually, next, rest, text};

pub async fn contract_messages_arrive_in_order(rig: Rig) {
    const COUNT: usize = 2_000;
    let mut all = rig.bus.subscribe("order.a", None).await.unwrap();
    for n in 0..COUNT {
        rig.other.publish(Outgoing::new("order.a", n.to_string())).await.unwrap();
    }
    for n in 0..COUNT {
        let message = next(&mut all).await;
        assert_eq!((message.subject.as_str(), text(&message)), ("order.a", n.to_string().as_str()));
    }
    assert_eq!(rig.bus.stats().received, COUNT as u64);
    assert_eq!(rig.other.stats().published, COUNT as u64);
}

pub async fn contract_wildcards_match_tokens(rig: Rig) {
    let filters = ["w.*.c", "w.>", "w.b.c", "*.b.*", "v.>"];
    let mut subscriptions = Vec::new();
    for filter in filters {
        subscriptions.push(rig.bus.subscribe(filter, None).await.unwrap());
    }
    for subject in ["w.b.c", "w.b", "w", "w.b.c.d", "x.b.c"] {
        rig.other.publish(Outgoing::new(subject, subject)).await.unwrap();
    }
    rig.settle().await;
    rig.bus.drain(PATIENCE).await.unwrap();
    let mut heard = Vec::new();
    for subscription in subscriptions {
        let subjects: Vec<String> = rest(subscription).await.into_iter().map(|m| m.subject).collect();
        heard.push(subjects.join(" "));
    }
    assert_eq!(heard, ["w.b.c", "w.b.c w.b w.b.c.d", "w.b.c", "w.b.c x.b.c", ""]);
}

pub async fn contract_each_plain_subscription_gets_each_message(rig: Rig) {
    let mut one = rig.bus.subscribe("plain", None).await.unwrap();
    let mut two = rig.bus.subscribe("plain", None).await.unwrap();
    let mut elsewhere = rig.other.subscribe("*", None).await.unwrap();
    rig.bus.publish(Outgoing::new("plain", "x")).await.unwrap();
    for subscription in [&mut one, &mut two, &mut elsewhere] {
        assert_eq!(text(&next(subscription).await), "x");
    }
}

pub async fn contract_a_queue_group_shares_each_message_once(rig: Rig) {
    const COUNT: usize = 300;
    let mut members = Vec::new();
    for bus in [&rig.bus, &rig.other, &rig.bus] {
        members.push(bus.subscribe("work.*", Some("workers")).await.unwrap());
    }
    let plain = rig.bus.subscribe("work.>", None).await.unwrap();
    let second_group = rig.bus.subscribe("work.a", Some("others")).await.unwrap();
    for n in 0..COUNT {
        rig.bus.publish(Outgoing::new("work.a", n.to_string())).await.unwrap();
    }
    rig.settle().await;
    rig.bus.drain(PATIENCE).await.unwrap();
    if rig.server.is_some() {
        rig.other.drain(PATIENCE).await.unwrap();
    }

    let mut counts = BTreeMap::new();
    for member in members {
        let got = rest(member).await;
        assert!(!got.is_empty(), "each member has a share");
        for message in got {
            *counts.entry(text(&message).to_owned()).or_insert(0) += 1;
        }
    }
    assert_eq!(counts.len(), COUNT);
    assert!(counts.values().all(|n| *n == 1), "no message went to two members");
    assert_eq!(rest(plain).await.len(), COUNT);
    assert_eq!(rest(second_group).await.len(), COUNT);
}

pub async fn contract_a_queue_group_is_known_by_its_name_alone(rig: Rig) {
    const COUNT: usize = 50;
    let exact = rig.bus.subscribe("name.a", Some("q")).await.unwrap();
    let wide = rig.bus.subscribe("name.*", Some("q")).await.unwrap();
    for _ in 0..COUNT {
        rig.other.publish(Outgoing::new("name.a", "x")).await.unwrap();
    }
    rig.settle().await;
    rig.bus.drain(PATIENCE).await.unwrap();
    assert_eq!(rest(exact).await.len() + rest(wide).await.len(), COUNT);
}

pub async fn contract_reply_subject_and_headers_arrive(rig: Rig) {
    let mut all = rig.bus.subscribe("headers", None).await.unwrap();
    let headers =
        Headers::new().with("Nats-Msg-Id", "1-2").with("X-Two", "a: b, ü").with("X-Two", "second").with("X-Empty", "");
    let sent = Outgoing::new("headers", vec![0, 255, 13, 10]).reply_to("answers.here").headers(headers);
    rig.other.publish(sent.clone()).await.unwrap();
    let got = next(&mut all).await;
    assert_eq!((got.reply.as_deref(), &got.payload, got.status), (Some("answers.here"), &sent.payload, None));
    assert_eq!(got.headers.get("Nats-Msg-Id"), Some("1-2"));
    assert_eq!(got.headers.get("X-Empty"), Some(""));
    assert_eq!(got.headers.get("x-two"), None, "names are compared to the letter");
    let twos: Vec<_> = got.headers.iter().filter(|(name, _)| *name == "X-Two").map(|(_, value)| value).collect();
    assert_eq!(twos, ["a: b, ü", "second"]);
    assert_eq!(got.headers.iter().count(), 4);

    rig.other.publish(Outgoing::new("headers", "")).await.unwrap();
    let got = next(&mut all).await;
    assert!(got.headers.is_empty() && got.reply.is_none() && got.payload.is_empty() && got.status.is_none());
}

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

pub async fn contract_flush_returns_and_everything_has_left(rig: Rig) {
    const COUNT: usize = 1_000;
    let all = rig.other.subscribe("flushed", None).await.unwrap();
    for _ in 0..COUNT {
        rig.bus.publish(Outgoing::new("flushed", vec![0; 1_000])).await.unwrap();
    }
    rig.bus.flush(PATIENCE).await.unwrap();
    assert!(rig.bus.is_connected());
    // Gone without a drain: what was flushed has left.
    let Rig { bus, other, server } = rig;
    drop(bus);
    other.drain(PATIENCE).await.unwrap();
    assert_eq!(rest(all).await.len(), COUNT);
    drop(server);
}

pub async fn contract_drain_yields_what_was_received_and_closes(rig: Rig) {
    const COUNT: usize = 1_000;
    let all = rig.bus.subscribe("drained", None).await.unwrap();
    let member = rig.bus.subscribe("drained", Some("q")).await.unwrap();
    for _ in 0..COUNT {
        rig.bus.publish(Outgoing::new("drained", "x")).await.unwrap();
    }
    rig.bus.drain(PATIENCE).await.unwrap();
    assert!(!rig.bus.is_connected());
    assert!(matches!(rig.bus.publish(Outgoing::new("drained", "late")).await, Err(BusError::Closed)));
    assert!(matches!(rig.bus.subscribe("drained", None).await, Err(BusError::Closed)));
    assert!(matches!(rig.bus.flush(PATIENCE).await, Err(BusError::Closed)));
    assert!(matches!(rig.bus.drain(PATIENCE).await, Err(BusError::Closed)));
    assert!(matches!(request(&*rig.bus, Outgoing::new("a", "x"), PATIENCE).await, Err(BusError::Closed)));
    assert_eq!(rest(all).await.len(), COUNT);
    assert_eq!(rest(member).await.len(), COUNT);
    assert_eq!(rig.bus.stats().published, COUNT as u64);
}

pub async fn contract_dropping_a_subscription_unsubscribes(rig: Rig) {
    let mut replies = rig.bus.subscribe("replies", None).await.unwrap();
    for (filter, queue) in [("dropped", None), ("dropped", Some("q")), ("dropped.>", None)] {
        let subscription = rig.bus.subscribe(filter, queue).await.unwrap();
        drop(subscription);
        let subject = filter.replace('>', "a");
        // Over NATS the server hears of it a moment later.
        eventually("nobody listens", async || {
            rig.bus.publish(Outgoing::new(subject.as_str(), "x").reply_to("replies")).await.unwrap();
            rig.settle().await;
            replies.next().now_or_never().flatten().is_some_and(|m| m.status == Some(Status::NoResponders))
        })
        .await;
    }
    assert_eq!(rig.bus.stats().dropped_slow_consumer, 0);
}

pub async fn contract_unsubscribing_keeps_what_was_received(rig: Rig) {
    const COUNT: u64 = 100;
    let mut replies = rig.bus.subscribe("replies", None).await.unwrap();
    let mut ended = rig.bus.subscribe("ended", None).await.unwrap();
    for n in 0..COUNT {
        rig.other.publish(Outgoing::new("ended", n.to_string())).await.unwrap();
    }
    rig.settle().await;
    eventually("all are received", async || rig.bus.stats().received == COUNT).await;
    ended.unsubscribe().await;
    ended.unsubscribe().await;
    rig.bus.publish(Outgoing::new("ended", "late").reply_to("replies")).await.unwrap();
    assert_eq!(next(&mut replies).await.status, Some(Status::NoResponders), "nobody listens any more");
    let got: Vec<String> = rest(ended).await.iter().map(|m| text(m).to_owned()).collect();
    assert_eq!(got, (0..COUNT).map(|n| n.to_string()).collect::<Vec<_>>());
}

pub async fn contract_dropping_the_bus_ends_its_subscriptions(rig: Rig) {
    let Rig { bus, other, server } = rig;
    let all = bus.subscribe("orphan", None).await.unwrap();
    bus.publish(Outgoing::new("orphan", "x")).await.unwrap();
    bus.flush(PATIENCE).await.unwrap();
    eventually("it was received", async || bus.stats().received == 1).await;
    drop(other);
    drop(bus);
    assert_eq!(rest(all).await.len(), 1);
    if let Some(server) = server {
        eventually("no connection is left", async || server.connections() == 0).await;
    }
}

pub async fn contract_a_slow_consumer_loses_the_newest_and_each_is_counted(rig: Rig) {
    const CAPACITY: u64 = 10;
    const EXCESS: u64 = 25;
    let rig = rig.with_capacity(CAPACITY as usize).await;
    let mut slow = rig.bus.subscribe("slow", None).await.unwrap();
    for n in 0..CAPACITY + EXCESS {
        rig.other.publish(Outgoing::new("slow", n.to_string())).await.unwrap();
    }
    let expected = (CAPACITY, EXCESS);
    eventually("each is counted", async || {
        let stats = rig.bus.stats();
        (stats.received, stats.dropped_slow_consumer) == expected
    })
    .await;
    for n in 0..CAPACITY {
        assert_eq!(text(&next(&mut slow).await), n.to_string());
    }
    // It goes on as soon as there is room.
    rig.other.publish(Outgoing::new("slow", "after")).await.unwrap();
    assert_eq!(text(&next(&mut slow).await), "after");
    assert_eq!(rig.bus.stats().dropped_slow_consumer, EXCESS);
}

pub async fn contract_a_slow_consumer_does_not_hold_up_others(rig: Rig) {
    const COUNT: usize = 500;
    let rig = rig.with_capacity(10).await;
    let _slow = rig.bus.subscribe("mixed", None).await.unwrap();
    let mut fast = rig.bus.subscribe("mixed", None).await.unwrap();
    for n in 0..COUNT {
        rig.bus.publish(Outgoing::new("mixed", n.to_string())).await.unwrap();
        assert_eq!(text(&next(&mut fast).await), n.to_string());
    }
    eventually("each is counted", async || rig.bus.stats().dropped_slow_consumer == COUNT as u64 - 10).await;
}

pub async fn contract_a_payload_has_a_bound(rig: Rig) {
    let mut all = rig.bus.subscribe("large", None).await.unwrap();
    let error = rig.bus.publish(Outgoing::new("large", vec![0; PAYLOAD_BYTES_MAX + 1])).await.unwrap_err();
    assert!(
        matches!(&error, BusError::TooLarge { subject, bytes, bytes_max: PAYLOAD_BYTES_MAX }
            if subject == "large" && *bytes == PAYLOAD_BYTES_MAX + 1),
        "{error}"
    );
    assert_eq!(rig.bus.stats().refused, 1);

    let largest = Outgoing::new("large", vec![7; PAYLOAD_BYTES_MAX]);
    let with_header = largest.clone().headers(Headers::new().with("a", "b"));
    assert!(matches!(rig.bus.publish(with_header).await, Err(BusError::TooLarge { .. })), "headers count");
    rig.bus.publish(largest).await.unwrap();
    assert_eq!(next(&mut all).await.payload.len(), PAYLOAD_BYTES_MAX);

    // Headers and payload just within the bound: our count of a header's size is that of the server.
    let frame = "NATS/1.0\r\na: b\r\n\r\n".len();
    let exact = Outgoing::new("large", vec![7; PAYLOAD_BYTES_MAX - frame]).headers(Headers::new().with("a", "b"));
    rig.bus.publish(exact).await.unwrap();
    assert_eq!(next(&mut all).await.payload.len(), PAYLOAD_BYTES_MAX - frame);
    assert_eq!(rig.bus.stats().refused, 2);
}

pub async fn contract_invalid_messages_are_refused_and_change_nothing(rig: Rig) {
    let mut all = rig.bus.subscribe("*", None).await.unwrap();
    for subject in ["", "a b", "a..b", ".a", "a.", "a.*", ">", "a\r\nPUB x 0\r\n\r\n"] {
        let result = rig.bus.publish(Outgoing::new(subject, "x")).await;
        assert!(matches!(result, Err(BusError::Subject(_))), "{subject:?}");
        let result = rig.bus.publish(Outgoing::new("a", "x").reply_to(subject)).await;
        assert!(matches!(result, Err(BusError::Subject(_))), "reply {subject:?}");
    }
    for filter in ["", "a b", "a..b", "a.>.b", "a*", "a\n"] {
        assert!(matches!(rig.bus.subscribe(filter, None).await, Err(BusError::Subject(_))), "{filter:?}");
    }
    for queue in ["", "a b", "a\r\n"] {
        assert!(matches!(rig.bus.subscribe("a", Some(queue)).await, Err(BusError::Subject(_))), "{queue:?}");
    }
    for (name, value) in [("a b", "v"), ("", "v"), ("a", "v\r\nb: c"), ("a", "v\r"), ("a", " v")] {
        let message = Outgoing::new("a", "x").headers(Headers::new().with(name, value));
        assert!(matches!(rig.bus.publish(message).await, Err(BusError::Header { .. })), "{name:?} {value:?}");
    }
    rig.bus.publish(Outgoing::new("good", "x")).await.unwrap();
    assert_eq!(next(&mut all).await.subject, "good");
    assert_eq!(rig.bus.stats().published, 1);
}

pub async fn contract_inboxes_are_unique(rig: Rig) {
    let mut inboxes: Vec<String> = Vec::new();
    for _ in 0..1_000 {
        inboxes.push(rig.bus.new_inbox());
        inboxes.push(rig.other.new_inbox());
    }
    let one = inboxes[0].clone();
    let mut at_one = rig.bus.subscribe(&one, None).await.unwrap();
    inboxes.sort();
    inboxes.dedup();
    assert_eq!(inboxes.len(), 2_000);
    rig.other.publish(Outgoing::new(one, "x")).await.unwrap();
    assert_eq!(text(&next(&mut at_one).await), "x");
}

pub async fn contract_concurrent_publishers_lose_nothing(rig: Rig) {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 1_000;
    let mut all = rig.bus.subscribe("crowd.*", None).await.unwrap();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|p| {
            let bus = Arc::clone(if p % 2 == 0 { &rig.bus } else { &rig.other });
            tokio::spawn(async move {
                for n in 0..EACH {
                    bus.publish(Outgoing::new(format!("crowd.{p}"), n.to_string())).await.unwrap();
                }
            })
        })
        .collect();
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..PUBLISHERS * EACH {
        let message = next(&mut all).await;
        let n = expected.entry(message.subject.clone()).or_default();
        assert_eq!(text(&message), n.to_string(), "each publisher's messages in order");
        *n += 1;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(rig.bus.stats().dropped_slow_consumer, 0);
}

pub async fn contract_calls_can_be_dropped_at_any_time(rig: Rig) {
    let mut all: Subscription = rig.bus.subscribe("kept", None).await.unwrap();
    for _ in 0..50 {
        // Polled once at most, then dropped.
        drop(rig.bus.subscribe("kept", None).now_or_never());
        drop(rig.bus.flush(PATIENCE).now_or_never());
        drop(request(&*rig.bus, Outgoing::new("kept", "ask"), PATIENCE).now_or_never());
        assert!(all.next().now_or_never().flatten().is_none_or(|m| text(&m) == "ask"));
    }
    rig.bus.publish(Outgoing::new("kept", "last")).await.unwrap();
    while text(&next(&mut all).await) != "last" {}
}
