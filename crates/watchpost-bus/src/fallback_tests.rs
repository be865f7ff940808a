use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::Message;

/// A bus whose server comes and goes as a test says.
struct Fickle {
    bus: InProcessBus,
    is_away: AtomicBool,
}

impl Fickle {
    fn away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }
}

impl Bus for Fickle {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        match self.is_connected() {
            true => self.bus.publish(message),
            false => Box::pin(std::future::ready(Err(BusError::Unavailable { at: "fickle".to_owned() }))),
        }
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        self.bus.subscribe(filter, queue)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.flush(limit)
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.drain(limit)
    }

    fn new_inbox(&self) -> String {
        self.bus.new_inbox()
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn KeyValue> {
        self.bus.key_value(bucket)
    }

    fn is_connected(&self) -> bool {
        !self.is_away.load(Ordering::SeqCst)
    }

    fn stats(&self) -> BusStats {
        self.bus.stats()
    }
}

fn fickle() -> (Arc<Fickle>, LocalFallbackBus) {
    let outer = Arc::new(Fickle { bus: InProcessBus::new(), is_away: AtomicBool::new(false) });
    let bus = LocalFallbackBus::new(Arc::clone(&outer) as SharedBus, vec!["*.result.>".to_owned()]);
    (outer, bus)
}

async fn next(subscription: &mut Subscription) -> Message {
    tokio::time::timeout(Duration::from_secs(60), subscription.next()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_this_process_hears_itself_once() {
    let (outer, bus) = fickle();
    let mut tasks = bus.subscribe("b.task.*", Some("runners")).await.unwrap();
    for is_away in [false, true, false] {
        outer.away(is_away);
        let asked = Outgoing::new("b.task.http", "1").reply_to("b.result.web");
        bus.publish(asked).await.unwrap();
        let heard = next(&mut tasks).await;
        assert_eq!(heard.reply.as_deref(), Some("b.result.web"));
        let more = tokio::time::timeout(Duration::from_secs(1), tasks.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_here_hears_and_nobody_keeps_is_refused_while_the_server_is_away() {
    let (outer, bus) = fickle();
    outer.away(true);
    assert!(matches!(bus.publish(Outgoing::new("b.heartbeat", "")).await, Err(BusError::Unavailable { .. })));
    assert_eq!(bus.stats().kept, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_arrives_in_order_once_the_server_is_back_and_nothing_overtakes_it() {
    let (outer, bus) = fickle();
    let mut elsewhere = outer.bus.subscribe("b.result.*", None).await.unwrap();
    let mut here = bus.subscribe("b.result.*", None).await.unwrap();
    outer.away(true);
    for number in 0..100 {
        bus.publish(Outgoing::new("b.result.web", number.to_string())).await.unwrap();
        assert_eq!(next(&mut here).await.payload, number.to_string());
    }
    assert_eq!(bus.stats().kept, 100);
    outer.away(false);
    bus.publish(Outgoing::new("b.result.web", "100")).await.unwrap();
    for number in 0..=100 {
        assert_eq!(next(&mut elsewhere).await.payload, number.to_string());
    }
    bus.flush(Duration::from_secs(1)).await.unwrap();
    assert_eq!(bus.stats().kept, 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_is_kept_and_no_longer_than_it_may() {
    let (outer, bus) = fickle();
    outer.away(true);
    bus.publish(Outgoing::new("b.result.web", "1")).await.unwrap();
    assert!(matches!(bus.flush(Duration::from_secs(2)).await, Err(BusError::Deadline { .. })));
    outer.away(false);
    bus.flush(Duration::from_secs(2)).await.unwrap();
    bus.drain(Duration::from_secs(2)).await.unwrap();
    assert!(matches!(bus.publish(Outgoing::new("b.result.web", "2")).await, Err(BusError::Closed)));
}
