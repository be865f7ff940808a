//! Panics beside the actors, and actors that are gone: the rest goes on, and it is told.

use std::cell::Cell;

use futures_util::FutureExt;
use watchpost_bus::{Bus, BusError, Outgoing, Subscription};
use watchpost_core::Tick;
use watchpost_model::{Check, Endpoint, Firing, Format, RunId, TaskClass, Timestamp, decode, encode};

use super::*;
use crate::Alarm;

thread_local! {
    /// Whether whoever asks for the time of day on this thread panics. Once a probe has ended, that is who
    /// makes its result.
    pub(super) static PANICS_NEXT: Cell<bool> = const { Cell::new(false) };
}

/// The system's clock, which panics where it is told to.
#[derive(Default)]
struct Fragile(SystemClock);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        assert!(!PANICS_NEXT.take(), "as the test asked");
        self.0.now()
    }

    fn tick(&self) -> Tick {
        self.0.tick()
    }

    fn alarm(&self) -> std::io::Result<Box<dyn Alarm>> {
        self.0.alarm()
    }
}

/// A bus on which publishing panics where the subject has this in it.
struct Mined(InProcessBus, &'static str);

impl Bus for Mined {
    fn publish(&self, message: Outgoing) -> BoxFuture<'_, Result<(), BusError>> {
        assert!(!message.subject.contains(self.1), "as the test asked");
        self.0.publish(message)
    }

    fn subscribe<'a>(
        &'a self,
        filter: &'a str,
        queue: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Subscription, BusError>> {
        self.0.subscribe(filter, queue)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.flush(limit)
    }

    fn drain(&self, limit: Duration) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.drain(limit)
    }

    fn key_value(&self, bucket: &str) -> Arc<dyn watchpost_bus::KeyValue> {
        self.0.key_value(bucket)
    }

    fn new_inbox(&self) -> String {
        self.0.new_inbox()
    }

    fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    fn stats(&self) -> BusStats {
        self.0.stats()
    }
}

#[test]
fn guarantee_2_a_result_that_cannot_be_made_costs_no_worker_and_no_other_task() {
    run_system(async {
        let bus = Arc::new(InProcessBus::new());
        let rig = Rig::with(Roles::Both, &[CheckType::Tcp], bus, Arc::new(Fragile::default())).await;
        rig.poison.store(true, Ordering::SeqCst);
        let results = rig.run().await;
        rig.gate.add_permits(TASKS);
        let results = all(results).await;
        let (lost, passed): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.outcome == Outcome::Lost);
        assert_eq!((lost.len(), passed.len()), (1, TASKS - 1), "{results:#?}");
        assert!(passed.iter().all(|result| result.outcome == Outcome::Pass), "{results:#?}");
        rig.assert_whole(0).await;
        assert_eq!(rig.agent.status().await.unwrap().counts.tasks_unreported, 1);
    })
    .unwrap();
}

#[test]
fn an_agent_one_of_whose_tasks_panicked_says_which_so_that_its_process_can_end() {
    run_system(async {
        for (subject, task) in [(".task.", "publish"), (".result.", "report")] {
            let bus = Arc::new(Mined(InProcessBus::new(), subject));
            let rig = Rig::with(Roles::Both, &[CheckType::Tcp], bus, Arc::new(SystemClock::default())).await;
            let whole = tokio::time::timeout(Duration::from_millis(50), rig.agent.broken()).await;
            assert!(whole.is_err(), "nothing is broken yet: {whole:?}");
            let _results = rig.run().await;
            rig.gate.add_permits(TASKS);
            let told = tokio::time::timeout(LIMIT * 10, rig.agent.broken()).await.expect("it is told");
            assert!(matches!(told, AgentError::HelperGone(gone) if gone == task), "{subject}: {told}");
            // The actors are there, and are stopped; what they still had to say cannot go out.
            let stopped = rig.agent.stop(LIMIT / 10).await;
            assert!(stopped.gone.is_none() && !stopped.is_clean(), "{subject}: {stopped:?}");
        }
    })
    .unwrap();
}

#[test]
fn o2_a_stop_without_one_of_the_dispatchers_waits_for_the_tasks_of_the_others_and_says_what_is_gone() {
    run_system(async {
        let bus = Arc::new(InProcessBus::new());
        let types = [CheckType::Http, CheckType::Tcp];
        let clock = Arc::new(SystemClock::default());
        let shared = Arc::clone(&bus) as SharedBus;
        let rig = Rig::with(Roles::Runner, &types, shared, Arc::clone(&clock) as Arc<dyn Clock>).await;
        let mut results = bus.subscribe("watchpost.b.result.*", None).await.unwrap();
        for number in 0..WORKERS {
            let task = http_task(&*clock, number);
            bus.publish(Outgoing::new("watchpost.b.task.http", encode(&task, Format::MsgPack))).await.unwrap();
        }
        rig.until("both run", |_, started| started == WORKERS).await;
        for _ in 0..PANICS_TOO_MANY {
            rig.panic_dispatcher(CheckType::Tcp, false).await;
        }
        let told = tokio::time::timeout(LIMIT * 10, rig.agent.broken()).await.expect("it is told");
        assert!(matches!(told, AgentError::ActorGone("Dispatcher")), "{told}");

        let (stopped, ()) = tokio::join!(rig.agent.stop(LIMIT), async {
            // The stop has begun: it is asked first.
            rig.gate.add_permits(WORKERS);
        });
        assert!(matches!(stopped.gone, Some(AgentError::ActorGone("Dispatcher"))), "{stopped:?}");
        assert!(stopped.abandoned.is_empty() && stopped.flushed && !stopped.is_clean(), "{stopped:?}");
        // Once it is over, everything is out.
        for _ in 0..WORKERS {
            let message = results.next().now_or_never().flatten().expect("a result");
            let result: TaskResult = decode(&message.payload, Format::MsgPack).unwrap();
            assert_eq!(result.outcome, Outcome::Pass, "{result:#?}");
        }
        assert!(results.next().now_or_never().is_none());
    })
    .unwrap();
}

/// A task that no test waits out.
fn http_task(clock: &dyn Clock, number: usize) -> Task {
    let json = format!(r#"{{"id": "c{number}", "http": {{"url": "http://127.0.0.1:9/"}}}}"#);
    let check: Check = serde_json::from_str(&json).unwrap();
    let (now, bastion) = (clock.now(), "b".parse().unwrap());
    let in_s = |s: i64| Timestamp::from_microsecond(now.as_microsecond() + s * 1_000_000).unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), now),
        bastion: &bastion,
        scheduled_at: now,
        deadline: in_s(120),
        answer_by: in_s(180),
        class: TaskClass::Scheduled,
        config_generation: 1,
    };
    Task::new(check.id(), check.probe().unwrap(), Endpoint::at("127.0.0.1:9".parse().unwrap()), &firing)
}
