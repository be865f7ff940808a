//! Who gets which message, and in which order. Each function gets a fresh rig.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchpost_bus::{Headers, Outgoing};

use crate::rig::{PATIENCE, Rig, next, rest, text};

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
