//! How subscriptions, calls and the bus itself end, and what is kept. Each function gets a fresh rig.

use futures_util::FutureExt;
use watchpost_bus::{BusError, Outgoing, Status, Subscription, request};

use crate::rig::{PATIENCE, Rig, eventually, next, rest, text};

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
