//! Which checks fit together, where several could stand under one id.
//!
//! A group needs its members, which may be groups. So the ids are decided from the leaves up, each by the first of its
//! candidates that fits; what depends on one that is out is looked at again. What is then undecided hangs on a circle.

use std::collections::HashMap;

use watchpost_model::{Check, CheckId, GROUP_DEPTH_MAX, GROUP_RUNS_MAX, SetError, SetErrorKind};

/// How many rounds of circles are looked into, each after the candidates of the one before were turned down. Beyond
/// it everything undecided is out: only somebody who tries to can come here.
const CIRCLES_MAX: usize = 32;

/// A check that could stand under an id.
pub(super) struct Candidate<'a> {
    pub(super) check: &'a Check,
    /// Whether it is in force at present. Those do not form a circle, so another one must have closed it.
    pub(super) in_force: bool,
}

/// An id, and what could stand under it, best first.
pub(super) struct Place<'a> {
    pub(super) id: &'a CheckId,
    pub(super) candidates: Vec<Candidate<'a>>,
}

/// What became of one place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fitted {
    /// Which candidate stands there.
    pub(super) chosen: Option<usize>,
    /// Why the ones before it do not.
    pub(super) faults: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Fits(Measure),
    Out,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Measure {
    depth: usize,
    runs: usize,
}

struct Walk<'a> {
    places: &'a [Place<'a>],
    by_id: HashMap<&'a CheckId, usize>,
    state: Vec<State>,
    fitted: Vec<Fitted>,
    /// How many members of the candidate at hand are undecided, once it was looked at.
    waiting: Vec<Option<usize>>,
    /// Who waits for a place, and with which candidate.
    dependents: HashMap<usize, Vec<(usize, usize)>>,
    ready: Vec<usize>,
}

/// Chooses a candidate for each place, such that all that are chosen fit together. The order of the places does not
/// matter. It takes as long as there are candidates and members of groups.
pub(super) fn fit(places: &[Place<'_>]) -> Vec<Fitted> {
    let mut walk = Walk {
        places,
        by_id: places.iter().enumerate().map(|(at, place)| (place.id, at)).collect(),
        state: vec![State::Open; places.len()],
        fitted: places.iter().map(|_| Fitted::default()).collect(),
        waiting: vec![None; places.len()],
        dependents: HashMap::new(),
        ready: Vec::new(),
    };
    for at in 0..places.len() {
        walk.enter(at);
    }
    walk.settle();
    for _ in 0..CIRCLES_MAX {
        let circle = walk.circle();
        if circle.is_empty() {
            break;
        }
        for at in circle {
            walk.turn_down(at, CIRCLE.to_owned());
        }
        walk.settle();
    }
    for (at, place) in places.iter().enumerate() {
        if walk.state[at] == State::Open {
            walk.fitted[at].faults.resize(place.candidates.len(), CIRCLE.to_owned());
            walk.state[at] = State::Out;
        }
    }
    for (at, fitted) in walk.fitted.iter_mut().enumerate() {
        fitted.chosen = matches!(walk.state[at], State::Fits(_)).then_some(fitted.faults.len());
    }
    walk.fitted
}

const CIRCLE: &str = "the group is part of a circle of groups: expected groups that do not contain themselves";

impl<'a> Walk<'a> {
    /// The candidate that is to be decided on.
    fn candidate(&self, at: usize) -> Option<&'a Candidate<'a>> {
        self.places[at].candidates.get(self.fitted[at].faults.len())
    }

    /// Looks at a candidate: decides on it, or waits for its members.
    fn enter(&mut self, at: usize) {
        let Some(candidate) = self.candidate(at) else { return self.decide(at, State::Out) };
        let Some(members) = candidate.check.group() else {
            return self.decide(at, State::Fits(Measure { depth: 0, runs: 1 }));
        };
        let number = self.fitted[at].faults.len();
        let mut open = 0;
        for member in members {
            let Some(&inner) = self.by_id.get(member) else {
                let (group, member) = (candidate.check.id().clone(), member.clone());
                return self.turn_down(at, told(SetErrorKind::UnknownMember { group, member, similar: None }));
            };
            if self.state[inner] == State::Open {
                open += 1;
                self.dependents.entry(inner).or_default().push((at, number));
            }
        }
        self.waiting[at] = Some(open);
        if open == 0 {
            self.ready.push(at);
        }
    }

    fn turn_down(&mut self, at: usize, fault: String) {
        self.fitted[at].faults.push(fault);
        self.waiting[at] = None;
        self.enter(at);
    }

    fn decide(&mut self, at: usize, state: State) {
        self.state[at] = state;
        for (dependent, number) in self.dependents.remove(&at).unwrap_or_default() {
            let is_it = self.state[dependent] == State::Open && self.fitted[dependent].faults.len() == number;
            if let (true, Some(waiting)) = (is_it, &mut self.waiting[dependent]) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.ready.push(dependent);
                }
            }
        }
    }

    /// Decides on everything whose members are decided.
    fn settle(&mut self) {
        while let Some(at) = self.ready.pop() {
            if self.state[at] != State::Open || self.waiting[at] != Some(0) {
                continue;
            }
            match self.measure(at) {
                Ok(measure) => self.decide(at, State::Fits(measure)),
                Err(fault) => self.turn_down(at, fault),
            }
        }
    }

    fn measure(&self, at: usize) -> Result<Measure, String> {
        let Some(candidate) = self.candidate(at) else { return Err(CIRCLE.to_owned()) };
        let group = candidate.check.id();
        let mut sum = Measure { depth: 0, runs: 1 };
        for member in candidate.check.group().unwrap_or_default() {
            match self.by_id.get(member).map(|inner| self.state[*inner]) {
                Some(State::Fits(measure)) => {
                    sum.depth = sum.depth.max(measure.depth);
                    sum.runs += measure.runs;
                }
                _ => return Err(format!("group `{group}` names `{member}`, which is refused itself")),
            }
        }
        sum.depth += 1;
        let group = group.clone();
        if sum.depth > GROUP_DEPTH_MAX {
            return Err(told(SetErrorKind::TooDeep { group }));
        }
        if sum.runs > GROUP_RUNS_MAX {
            return Err(told(SetErrorKind::TooManyRuns { group, runs: sum.runs }));
        }
        Ok(sum)
    }

    /// The places whose candidates are to be turned down since they close circles. What is undecided either leads to a
    /// circle or is on one: what nobody undecided waits for is taken away until nothing of that kind is left.
    fn circle(&self) -> Vec<usize> {
        let open: Vec<usize> = (0..self.places.len()).filter(|at| self.state[*at] == State::Open).collect();
        let members = |at: usize| {
            let named = self.candidate(at).and_then(|candidate| candidate.check.group()).unwrap_or_default();
            let inner = named.iter().filter_map(|member| self.by_id.get(member).copied());
            inner.filter(|inner| self.state[*inner] == State::Open)
        };
        let mut waited_for: HashMap<usize, usize> = open.iter().map(|at| (*at, 0)).collect();
        for at in &open {
            for inner in members(*at) {
                *waited_for.entry(inner).or_default() += 1;
            }
        }
        let mut free: Vec<usize> = open.iter().copied().filter(|at| waited_for[at] == 0).collect();
        while let Some(at) = free.pop() {
            waited_for.remove(&at);
            for inner in members(at) {
                if let Some(count) = waited_for.get_mut(&inner) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(inner);
                    }
                }
            }
        }
        let on_circle = || open.iter().copied().filter(|at| waited_for.contains_key(at));
        let closes = |at: &usize| self.candidate(*at).is_some_and(|candidate| !candidate.in_force);
        let closing: Vec<usize> = on_circle().filter(closes).collect();
        if closing.is_empty() { on_circle().collect() } else { closing }
    }
}

fn told(kind: SetErrorKind) -> String {
    SetError { index: 0, member: None, kind }.to_string()
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
