//! Actors that survive their own panics.
//!
//! An actix actor whose handler panics is gone, with its mailbox and its state, and nothing restarts it. So
//! an actor here is only a shell: its state is a [`Behaviour`] and its mailbox a bounded channel, both of
//! which outlive it, and its parent puts a new shell around them. What the panic cost is the one event that
//! was being handled; the behaviour puts right what that left half done when it begins anew.
//!
//! Whoever sends to an actor holds the sending half of the channel, never an actix address: so the bound
//! cannot be walked past, and nobody notices that the shell was changed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle, StreamHandler};
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use watchpost_core::Tick;

use crate::clock::Clock;
use crate::stats::Stats;

/// How many events are taken from the inbox at a time. actix asks for up to 16 such batches before the
/// runtime's other tasks have their turn.
const BATCH_MAX: usize = 32;
/// How long after a panic the actor is built anew; doubled with each further one.
const REBUILD_AFTER: Duration = Duration::from_millis(1);
/// How many panics within [`DEATHS_WITHIN`] are survived. One more, and the actor is given up, since it
/// will not get better by itself: then whoever sends to it hears that it is gone.
const DEATHS_MAX: usize = 10;
const DEATHS_WITHIN: Duration = Duration::from_secs(60);

/// What an actor decides and does: a state machine with its way to act. It never blocks or awaits.
pub(crate) trait Behaviour: 'static {
    /// Everything that can happen to it.
    type Event: Send + 'static;
    /// The role, as logs call it.
    const NAME: &'static str;

    /// Called first, and again when the shell was built anew after a panic.
    fn begin(&mut self);

    /// Something happened.
    fn on(&mut self, event: Self::Event);

    /// Called after each batch of events.
    fn settle(&mut self) {}

    /// When it wants [`Behaviour::wake`] to be called though nothing happens, to about a ms.
    fn next_wake(&self) -> Option<Tick> {
        None
    }

    /// That moment has come.
    fn wake(&mut self) {}

    /// The clock that its ticks are of.
    fn clock(&self) -> &dyn Clock;
}

/// What outlives an actor.
struct Life<B: Behaviour> {
    behaviour: RefCell<B>,
    inbox: RefCell<mpsc::Receiver<B::Event>>,
    /// Taken from the inbox, and not handled yet.
    batch: RefCell<VecDeque<B::Event>>,
}

/// The actor.
struct Shell<B: Behaviour> {
    life: Rc<Life<B>>,
    timer: Option<(Tick, SpawnHandle)>,
    /// Whether the behaviour is at work. Where this stays, it panicked: actix drops the shell of an actor
    /// that panicked by running it to its end, and a second panic in there would end the process.
    at_work: bool,
    /// Told when every sender to the inbox is gone. Dropped otherwise, which tells as well.
    ended: Option<oneshot::Sender<()>>,
}

/// Starts an actor on this thread. It ends when every sender to `inbox` is gone.
pub(crate) fn start<B: Behaviour>(behaviour: B, inbox: mpsc::Receiver<B::Event>, stats: Arc<Stats>) {
    let life = Life { behaviour: RefCell::new(behaviour), inbox: RefCell::new(inbox), batch: RefCell::default() };
    actix_rt::spawn(keep_alive(Rc::new(life), stats));
}

/// The parent of one actor: builds it anew when it died.
async fn keep_alive<B: Behaviour>(life: Rc<Life<B>>, stats: Arc<Stats>) {
    let mut deaths = VecDeque::new();
    loop {
        let (ended, over) = oneshot::channel();
        Shell { life: Rc::clone(&life), timer: None, at_work: false, ended: Some(ended) }.start();
        if over.await.is_ok() {
            return;
        }
        stats.actors_rebuilt.increment();
        if let Ok(behaviour) = life.behaviour.try_borrow() {
            stats.troubles.note(behaviour.clock().now(), "an actor panicked", &B::NAME);
        }
        let now = Instant::now();
        deaths.push_back(now);
        while deaths.front().is_some_and(|death| now.duration_since(*death) > DEATHS_WITHIN) {
            deaths.pop_front();
        }
        if deaths.len() > DEATHS_MAX {
            tracing::error!(actor = B::NAME, "an actor panicked {} times in a minute and is given up", deaths.len());
            return;
        }
        let pause = REBUILD_AFTER * 2u32.saturating_pow(deaths.len() as u32 - 1);
        tracing::error!(
            actor = B::NAME,
            "an actor panicked, which is a defect of Watchpost; it goes on with its state"
        );
        tokio::time::sleep(pause).await;
    }
}

impl<B: Behaviour> Actor for Shell<B> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.with(ctx, Behaviour::begin);
        Self::add_stream(Arrivals(Rc::clone(&self.life)), ctx);
    }
}

impl<B: Behaviour> StreamHandler<()> for Shell<B> {
    fn handle(&mut self, (): (), ctx: &mut Self::Context) {
        self.with(ctx, |_| {});
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        if let Some(ended) = self.ended.take() {
            // Its parent waits for as long as it lives; at the end of the system nobody does.
            let _gone = ended.send(());
        }
        ctx.stop();
    }
}

impl<B: Behaviour> Shell<B> {
    /// Does `first`, and then whatever has arrived: after a panic that is what was left of the batch.
    fn with(&mut self, ctx: &mut Context<Self>, first: impl FnOnce(&mut B)) {
        if self.at_work {
            return;
        }
        self.at_work = true;
        let life = Rc::clone(&self.life);
        let mut behaviour = life.behaviour.borrow_mut();
        first(&mut behaviour);
        // One at a time: those that a panic does not reach are handled by the next shell.
        let next = || life.batch.borrow_mut().pop_front();
        while let Some(event) = next() {
            behaviour.on(event);
        }
        behaviour.settle();
        self.set_timer(&*behaviour, ctx);
        self.at_work = false;
    }

    /// Keeps one timer for the moment at which the behaviour wants to be woken.
    fn set_timer(&mut self, behaviour: &B, ctx: &mut Context<Self>) {
        let next = behaviour.next_wake();
        if self.timer.map(|(at, _)| at) == next {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        let Some(at) = next else { return };
        let handle = ctx.run_later(at.since(behaviour.clock().tick()), |shell, ctx| {
            shell.timer = None;
            shell.with(ctx, Behaviour::wake);
        });
        self.timer = Some((at, handle));
    }
}

/// Fills the batch, and yields each time that there is something in it.
struct Arrivals<B: Behaviour>(Rc<Life<B>>);

impl<B: Behaviour> Stream for Arrivals<B> {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<()>> {
        let mut arrived = Vec::new();
        match self.0.inbox.borrow_mut().poll_recv_many(cx, &mut arrived, BATCH_MAX) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(0) => Poll::Ready(None),
            Poll::Ready(_) => {
                self.0.batch.borrow_mut().extend(arrived);
                Poll::Ready(Some(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    /// Adds up; panics at 13, before or after it has counted.
    struct Sum {
        clock: SystemClock,
        total: u64,
        begun: u64,
        told: mpsc::Sender<(u64, u64)>,
    }

    enum Event {
        Add(u64),
        Panic,
        Tell,
    }

    impl Behaviour for Sum {
        type Event = Event;
        const NAME: &'static str = "Sum";

        fn begin(&mut self) {
            self.begun += 1;
        }

        fn on(&mut self, event: Event) {
            match event {
                Event::Add(n) => self.total += n,
                Event::Panic => panic!("as the test asked"),
                Event::Tell => self.told.try_send((self.total, self.begun)).unwrap(),
            }
        }

        fn clock(&self) -> &dyn Clock {
            &self.clock
        }
    }

    fn sum(stats: &Arc<Stats>) -> (mpsc::Sender<Event>, mpsc::Receiver<(u64, u64)>) {
        let (sender, inbox) = mpsc::channel(64);
        let (told, hears) = mpsc::channel(64);
        start(Sum { clock: SystemClock::default(), total: 0, begun: 0, told }, inbox, Arc::clone(stats));
        (sender, hears)
    }

    #[test]
    fn guarantee_1_an_actor_that_panics_goes_on_with_its_state_and_its_mail() {
        let stats = Arc::new(Stats::default());
        crate::run_system(async {
            let (sum, mut hears) = sum(&stats);
            for event in [Event::Add(1), Event::Panic, Event::Add(2), Event::Panic, Event::Add(4), Event::Tell] {
                sum.send(event).await.unwrap();
            }
            assert_eq!(hears.recv().await, Some((7, 3)));
            drop(sum);
            // It ends with its last sender, and its state with it.
            assert_eq!(hears.recv().await, None);
        })
        .unwrap();
        assert_eq!(stats.counts().actors_rebuilt, 2);
    }

    #[test]
    fn an_actor_that_does_nothing_but_panic_is_given_up_and_its_senders_hear_it() {
        let stats = Arc::new(Stats::default());
        crate::run_system(async {
            let (sum, mut hears) = sum(&stats);
            for _ in 0..=DEATHS_MAX {
                sum.send(Event::Panic).await.unwrap();
            }
            assert_eq!(hears.recv().await, None);
            assert!(sum.send(Event::Tell).await.is_err());
        })
        .unwrap();
        assert_eq!(stats.counts().actors_rebuilt, DEATHS_MAX as u64 + 1);
    }
}
