//! A group against the plain model of it, over long random sequences of events.

use std::collections::BTreeSet;

use proptest::prelude::*;
use watchpost_core::GroupStep::{Cancel, Decided, Ended, Skip, Start};
use watchpost_core::{GroupCounts, GroupPolicy, GroupSettings, Rule, TaskGroup, Verdict};

type Step = watchpost_core::GroupStep<u32>;

pub(crate) fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![4 => Just(Verdict::Passed), 1 => Just(Verdict::Failed), 1 => Just(Verdict::Undecided)]
}

pub(crate) fn settings() -> impl Strategy<Value = GroupSettings> {
    let policy = prop_oneof![Just(GroupPolicy::CollectAll), Just(GroupPolicy::FailFast)];
    let rule = prop_oneof![
        Just(Rule::All),
        Just(Rule::Any),
        (0usize..6).prop_map(Rule::Quorum),
        (0u8..=100).prop_map(Rule::Percent),
    ];
    (policy, rule, 0usize..4).prop_map(|(policy, rule, parallel)| GroupSettings { policy, rule, parallel })
}

/// The verdict over members that have all spoken.
pub(crate) fn judged(rule: Rule, said: &[Verdict]) -> Verdict {
    let count = |verdict| said.iter().filter(|said| **said == verdict).count();
    let (passed, undecided) = (count(Verdict::Passed), count(Verdict::Undecided));
    let needed = rule.needed(said.len());
    if passed >= needed {
        Verdict::Passed
    } else if said.is_empty() || passed + undecided >= needed {
        Verdict::Undecided
    } else {
        Verdict::Failed
    }
}

/// The verdict that does not depend on the silent ones: every way in which they may speak is tried.
fn certain(rule: Rule, said: &[Option<Verdict>]) -> Option<Verdict> {
    let silent = said.iter().filter(|said| said.is_none()).count();
    let mut verdicts = BTreeSet::new();
    for passed in 0..=silent {
        for failed in 0..=silent - passed {
            let mut all: Vec<Verdict> = said.iter().copied().flatten().collect();
            all.extend(std::iter::repeat_n(Verdict::Passed, passed));
            all.extend(std::iter::repeat_n(Verdict::Failed, failed));
            all.resize(said.len(), Verdict::Undecided);
            verdicts.insert(judged(rule, &all));
        }
    }
    verdicts.first().copied().filter(|_| verdicts.len() == 1)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waits,
    Flies { said: Option<Verdict>, cancelled: bool },
    Over(Verdict),
}

struct Model {
    settings: GroupSettings,
    members: Vec<(u32, State)>,
    begun: bool,
    stopped: bool,
    decided: Option<Verdict>,
    ended: bool,
}

impl Model {
    fn speaks(&mut self, key: u32, verdict: Verdict, ends: bool) -> Vec<Step> {
        let Some((_, state)) = self.members.iter_mut().find(|(member, _)| *member == key) else { return Vec::new() };
        let State::Flies { said, cancelled } = *state else { return Vec::new() };
        let word = said.unwrap_or(verdict);
        *state = if ends { State::Over(word) } else { State::Flies { said: Some(word), cancelled } };
        let mut steps = Vec::new();
        let fails_fast = self.settings.policy == GroupPolicy::FailFast && !self.stopped;
        if said.is_none() && word != Verdict::Passed && fails_fast {
            steps = self.stop(Some(key));
        }
        self.proceed(steps)
    }

    fn stop(&mut self, spared: Option<u32>) -> Vec<Step> {
        (self.begun, self.stopped) = (true, true);
        let mut steps = Vec::new();
        let mut flying: Vec<_> = self.members.iter_mut().collect();
        flying.sort_unstable_by_key(|(key, _)| *key);
        for (key, state) in flying {
            if let State::Flies { cancelled, .. } = state
                && !*cancelled
                && Some(*key) != spared
            {
                *cancelled = true;
                steps.push(Cancel(*key));
            }
        }
        for (key, state) in self.members.iter_mut().filter(|(_, state)| *state == State::Waits) {
            *state = State::Over(Verdict::Undecided);
            steps.push(Skip(*key));
        }
        steps
    }

    fn proceed(&mut self, mut steps: Vec<Step>) -> Vec<Step> {
        if !self.begun || self.ended {
            return steps;
        }
        while self.counts().in_flight < self.settings.parallel.max(1)
            && let Some((key, state)) = self.members.iter_mut().find(|(_, state)| *state == State::Waits)
        {
            *state = State::Flies { said: None, cancelled: false };
            steps.push(Start(*key));
        }
        let said: Vec<_> = self.members.iter().map(|(_, state)| said(*state)).collect();
        let certain = certain(self.settings.rule, &said);
        if self.decided.is_none()
            && let Some(verdict) = certain
        {
            self.decided = certain;
            steps.push(Decided(verdict));
        }
        if self.members.iter().all(|(_, state)| matches!(state, State::Over(_))) {
            self.ended = true;
            steps.push(Ended(self.decided.unwrap()));
        }
        steps
    }

    fn counts(&self) -> GroupCounts {
        let count = |which: fn(&State) -> bool| self.members.iter().filter(|(_, state)| which(state)).count();
        GroupCounts {
            total: self.members.len(),
            passed: count(|state| *state == State::Over(Verdict::Passed)),
            failed: count(|state| *state == State::Over(Verdict::Failed)),
            undecided: count(|state| *state == State::Over(Verdict::Undecided)),
            in_flight: count(|state| matches!(state, State::Flies { .. })),
            waiting: count(|state| *state == State::Waits),
        }
    }
}

fn said(state: State) -> Option<Verdict> {
    match state {
        State::Waits => None,
        State::Flies { said, .. } => said,
        State::Over(verdict) => Some(verdict),
    }
}

#[derive(Debug, Clone)]
enum Event {
    Begin,
    Decides(u32, Verdict),
    Ends(u32, Verdict),
    Cancel,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Begin),
        3 => (0u32..9, verdict()).prop_map(|(key, verdict)| Event::Decides(key, verdict)),
        12 => (0u32..9, verdict()).prop_map(|(key, verdict)| Event::Ends(key, verdict)),
        1 => Just(Event::Cancel),
    ]
}

proptest! {
    #[test]
    fn a_group_does_what_the_plain_model_does(
        settings in settings(),
        members in Just((0u32..8).collect::<Vec<_>>()).prop_shuffle(),
        size in 0usize..=8,
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let members = members[..size].to_vec();
        let mut group = TaskGroup::new(settings, members.clone());
        let members = members.into_iter().map(|key| (key, State::Waits)).collect();
        let mut model = Model { settings, members, begun: false, stopped: false, decided: None, ended: false };
        for event in std::iter::once(Event::Begin).filter(|_| size % 2 == 0).chain(events) {
            let mut steps = Vec::new();
            let due = match event {
                Event::Begin => {
                    group.begin(&mut steps);
                    model.begun = true;
                    model.proceed(Vec::new())
                }
                Event::Decides(key, verdict) => {
                    group.member_decided(key, verdict, &mut steps);
                    model.speaks(key, verdict, false)
                }
                Event::Ends(key, verdict) => {
                    group.member_ended(key, verdict, &mut steps);
                    model.speaks(key, verdict, true)
                }
                Event::Cancel => {
                    group.cancel(&mut steps);
                    let asked = model.begun;
                    let mut due = model.stop(None);
                    if !asked {
                        model.decided = Some(Verdict::Undecided);
                        due.push(Decided(Verdict::Undecided));
                    }
                    model.proceed(due)
                }
            };
            prop_assert_eq!(steps, due);
            let counts = group.counts();
            prop_assert_eq!(counts, model.counts());
            prop_assert_eq!(group.verdict(), model.decided);
            prop_assert_eq!(group.in_flight().count(), counts.in_flight);
            prop_assert!(counts.in_flight <= settings.parallel.max(1));
        }
    }
}
