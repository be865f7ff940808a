//! How many are under way at a time.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Gives leave to at most so many at a time, in the order in which they came.
#[derive(Debug)]
pub(super) struct Entry {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    max: Option<u32>,
    under_way: u32,
    next: u64,
    /// Those who wait, in their order.
    waiting: BTreeMap<u64, Waker>,
    /// Those who have been let in and do not know it yet. They count as under way.
    let_in: HashSet<u64>,
}

impl State {
    fn has_room(&self) -> bool {
        self.max.is_none_or(|max| self.under_way < max)
    }

    /// Lets in as many as there is room for, and tells whom to wake.
    fn let_in(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.has_room() {
            let Some((number, waker)) = self.waiting.pop_first() else { break };
            self.under_way += 1;
            self.let_in.insert(number);
            woken.push(waker);
        }
        woken
    }
}

impl Entry {
    pub(super) fn new(max: Option<u32>) -> Arc<Self> {
        let state = State { max, under_way: 0, next: 0, waiting: BTreeMap::new(), let_in: HashSet::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(super) fn enter(self: &Arc<Self>) -> Entering {
        Entering { entry: Arc::clone(self), number: None }
    }

    pub(super) fn resize(&self, max: Option<u32>) {
        self.change(|state| state.max = max);
    }

    pub(super) fn under_way(&self) -> u32 {
        self.state.lock().under_way
    }

    fn leave(&self) {
        self.change(|state| state.under_way = state.under_way.saturating_sub(1));
    }

    /// Changes the state, and wakes whom that lets in once the lock is gone.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let woken = {
            let mut state = self.state.lock();
            change(&mut state);
            state.let_in()
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

/// A wait for leave to be under way.
#[derive(Debug)]
#[must_use = "nobody is let in who does not wait"]
pub struct Entering {
    entry: Arc<Entry>,
    /// Its place among those who wait.
    number: Option<u64>,
}

impl Future for Entering {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let entry = Arc::clone(&self.entry);
        let mut state = entry.state.lock();
        let number = match self.number {
            Some(number) if state.let_in.remove(&number) => {
                self.number = None;
                return Poll::Ready(Permit { entry: Arc::clone(&entry) });
            }
            Some(number) => number,
            // Nobody overtakes those who wait.
            None if state.waiting.is_empty() && state.has_room() => {
                state.under_way += 1;
                return Poll::Ready(Permit { entry: Arc::clone(&entry) });
            }
            None => {
                let number = state.next;
                state.next += 1;
                number
            }
        };
        self.number = Some(number);
        state.waiting.insert(number, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        self.entry.change(|state| {
            state.waiting.remove(&number);
            if state.let_in.remove(&number) {
                state.under_way = state.under_way.saturating_sub(1);
            }
        });
    }
}

/// Leave to be under way, for as long as it lives.
#[derive(Debug)]
pub struct Permit {
    entry: Arc<Entry>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.entry.leave();
    }
}
