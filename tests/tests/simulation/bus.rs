//! The bus as one process sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchpost_bus::{BoxFuture, Bus, BusError, BusStats, Message, Outgoing, Subscription};
use watchpost_model::{Format, RunVerdict, Task, TaskResult, decode};

use super::host::HostTime;
use super::log::{Event, Log, ProcessId};
use super::network::{Line, Network};

/// What all processes of one simulation share.
pub struct World {
    pub network: Network,
    pub log: Log,
}

pub type SharedWorld = Arc<Mutex<World>>;

pub struct SimBus {
    pub world: SharedWorld,
    pub process: ProcessId,
    pub time: HostTime,
}

impl Bus for SimBus {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let takes = self.world.lock().unwrap().network.publish_takes();
            if let Some(us) = takes {
                tokio::time::sleep(Duration::from_micros(us)).await;
            }
            tokio::task::consume_budget().await;
            let now = self.time.now_us();
            let World { network, log } = &mut *self.world.lock().unwrap();
            let said = read_published(&message);
            let handed_over = network.publish(now, self.process, message);
            if let Some(event) = said.map(|said| said(handed_over.is_ok())) {
                log.note(now, self.process, event);
            }
            handed_over
        })
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        Box::pin(async move {
            let (id, messages) = self.world.lock().unwrap().network.subscribe(self.process, filter, queue)?;
            let (world, time) = (Arc::clone(&self.world), self.time.clone());
            Ok(Subscription::new(messages, move || {
                // One that is dropped with its whole process says nothing to the broker any more.
                if !super::host::is_killing() {
                    world.lock().unwrap().network.unsubscribe(time.now_us(), id);
                }
                Box::pin(std::future::ready(()))
            }))
        })
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            let over = || BusError::Deadline { what: "flushing the bus", limit };
            let flushed_at = self.world.lock().unwrap().network.flushed_at(self.process);
            let wait = flushed_at.map(|at| Duration::from_micros(at.saturating_sub(self.time.now_us())));
            match wait {
                Some(wait) if wait <= limit => tokio::time::sleep(wait).await,
                _ => {
                    tokio::time::sleep(limit).await;
                    return Err(over());
                }
            }
            if self.is_connected() { Ok(()) } else { Err(over()) }
        })
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.flush(limit)
    }

    /// A simulated host has no buckets: this one is always missing.
    fn key_value(&self, bucket: &str) -> Arc<dyn watchpost_bus::KeyValue> {
        watchpost_bus::InProcessBus::new().key_value(bucket)
    }

    fn new_inbox(&self) -> String {
        format!("_INBOX.sim.{}", self.world.lock().unwrap().network.number())
    }

    fn is_connected(&self) -> bool {
        self.world.lock().unwrap().network.line(self.process) != Line::Refusing
    }

    fn stats(&self) -> BusStats {
        BusStats::default()
    }
}

/// What a process says, for the log; given whether the bus took it.
fn read_published(message: &Outgoing) -> Option<impl FnOnce(bool) -> Event + use<>> {
    let kind = message.subject.split('.').nth(2)?;
    let payload = &message.payload;
    let event = match kind {
        "task" => read(payload, |task: Task| Event::TaskSent { task: (&task).into(), sent: true }),
        "result" => read(payload, |result: TaskResult| Event::Reported { result: (&result).into(), sent: true }),
        "verdict" => read(payload, |verdict: RunVerdict| Event::Verdict(Box::new(verdict))),
        _ => return None,
    };
    Some(move |taken| match event {
        Event::TaskSent { task, .. } => Event::TaskSent { task, sent: taken },
        Event::Reported { result, .. } => Event::Reported { result, sent: taken },
        other => other,
    })
}

/// What reaches a process, for the log.
pub fn read_arrived(message: &Message) -> Option<Event> {
    if message.status.is_some() {
        return None;
    }
    let subject: Vec<&str> = message.subject.split('.').collect();
    let payload = &message.payload;
    let event = match subject.get(2..)? {
        ["task", _] => read(payload, |task: Task| Event::TaskHeard((&task).into())),
        ["result", _] => read(payload, |result: TaskResult| Event::Answered((&result).into())),
        ["control", ..] => read(payload, Event::CancelHeard),
        _ => return None,
    };
    // What a Checker said itself comes back to it.
    let own = matches!(&event, Event::Answered(result) if !result.by_runner);
    (!own).then_some(event)
}

fn read<M: watchpost_model::Message>(payload: &[u8], note: impl FnOnce(M) -> Event) -> Event {
    decode(payload, Format::MsgPack).map_or_else(|error| Event::Broken(error.to_string()), note)
}
