//! A breadth-first search through all states that a scenario can be in.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};

/// What can happen, and what must hold. Every event uses something up, so that no path is endless:
/// thus whatever holds in each state without further events is sure to come.
pub(crate) trait Scenario: Clone + Hash {
    type Event: Copy + Debug;

    /// What can happen next.
    fn events(&self) -> Vec<Self::Event>;

    /// Lets it happen. An error tells which promise is broken.
    fn apply(&mut self, event: Self::Event) -> Result<(), String>;

    /// What must hold where nothing can happen any more.
    fn ended(&self) -> Result<(), String>;
}

#[derive(Debug, Default)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) ends: usize,
}

/// Visits every state once. Fails with the shortest path of events that breaks a promise.
pub(crate) fn explore<S: Scenario>(name: &str, start: S) -> Explored {
    // Two hashes of 64 bits with different keys: states are too large to be kept, and that two of
    // millions agree in both is out of the question.
    let keys = [RandomState::new(), RandomState::new()];
    let mark = |state: &S| (keys[0].hash_one(state), keys[1].hash_one(state));
    let mut seen = HashSet::from([mark(&start)]);
    let mut parents = vec![None];
    let mut queue = VecDeque::from([(0, start)]);
    let mut explored = Explored::default();
    while let Some((number, state)) = queue.pop_front() {
        explored.states += 1;
        let events = state.events();
        if events.is_empty() {
            explored.ends += 1;
            state.ended().unwrap_or_else(|broken| panic!("{name}: {broken}, after {:#?}", path(&parents, number)));
        }
        for event in events {
            explored.transitions += 1;
            let mut next = state.clone();
            if let Err(broken) = next.apply(event) {
                panic!("{name}: {broken}, after {:#?} and then {event:?}", path(&parents, number));
            }
            if seen.insert(mark(&next)) {
                queue.push_back((parents.len(), next));
                parents.push(Some((number, event)));
            }
        }
    }
    println!("{name}: {explored:?}");
    explored
}

fn path<E: Copy>(parents: &[Option<(usize, E)>], mut number: usize) -> Vec<E> {
    let mut path = Vec::new();
    while let Some((parent, event)) = parents[number] {
        path.push(event);
        number = parent;
    }
    path.reverse();
    path
}
