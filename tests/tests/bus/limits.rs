//! Bounds: slow consumers, large payloads, and what is not a message at all. Each function gets a fresh rig.

use watchpost_bus::{BusError, Headers, Outgoing, PAYLOAD_BYTES_MAX};

use crate::rig::{Rig, eventually, next, text};

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
