//! A group of two tasks and a group of two, with every order in which they can end and be cancelled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use watchpost_core::{GroupPolicy, GroupSettings, GroupStep, Rule, TaskGroup, Verdict};

use crate::explorer::{Scenario, explore};

/// Who is a member of whom; what has no members is a task.
const MEMBERS: [&[u8]; 2] = [&[2, 1, 3], &[4, 5]];
const VERDICTS: [Verdict; 3] = [Verdict::Passed, Verdict::Failed, Verdict::Undecided];

#[derive(Debug, Clone, Copy)]
enum Event {
    End(u8, Verdict),
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Site {
    settings: [GroupSettings; 2],
    groups: [TaskGroup<u8>; 2],
    flying: BTreeSet<u8>,
    cancelled: BTreeSet<u8>,
    decided: BTreeMap<u8, Verdict>,
    ends: BTreeMap<u8, Verdict>,
    cancels: u8,
    steps: VecDeque<(u8, GroupStep<u8>)>,
}

impl Site {
    fn new(settings: [GroupSettings; 2]) -> Result<Self, String> {
        let groups = [0, 1].map(|id| TaskGroup::new(settings[id], MEMBERS[id].to_vec()));
        let (flying, cancelled, decided, ends, steps) = Default::default();
        let mut site = Self { settings, groups, flying, cancelled, decided, ends, cancels: 1, steps };
        site.event(0, |group, steps| group.begin(steps));
        site.carry_out_all()?;
        Ok(site)
    }

    fn event(&mut self, id: u8, event: impl FnOnce(&mut TaskGroup<u8>, &mut Vec<GroupStep<u8>>)) {
        let mut steps = Vec::new();
        event(&mut self.groups[usize::from(id)], &mut steps);
        self.steps.extend(steps.into_iter().map(|step| (id, step)));
    }

    /// First come, first carried out: what a step brings about comes after the steps that it was given with.
    fn carry_out_all(&mut self) -> Result<(), String> {
        while let Some((id, step)) = self.steps.pop_front() {
            self.carry_out(id, step)?;
        }
        let counts = self.groups.each_ref().map(TaskGroup::counts);
        let bounded = (0..2).all(|id| counts[id].in_flight <= self.settings[id].parallel);
        ensure(bounded, "more are in flight than may be")
    }

    fn carry_out(&mut self, id: u8, step: GroupStep<u8>) -> Result<(), String> {
        match step {
            GroupStep::Start(member) => {
                ensure(!self.cancelled.contains(&id), "a member starts in a group that was cancelled")?;
                ensure(!self.ends.contains_key(&member), "a member starts that has ended")?;
                ensure(self.flying.insert(member), "a member starts twice")?;
                if member == 1 {
                    self.event(1, |group, steps| group.begin(steps));
                }
            }
            GroupStep::Cancel(member) => {
                ensure(self.flying.contains(&member), "a member is cancelled that is not in flight")?;
                ensure(self.cancelled.insert(member), "a member is cancelled twice")?;
                if member == 1 {
                    self.event(1, |group, steps| group.cancel(steps));
                }
            }
            GroupStep::Skip(1) => {
                self.cancelled.insert(1);
                self.event(1, |group, steps| group.cancel(steps));
            }
            GroupStep::Skip(member) => self.ends(member, Verdict::Undecided)?,
            GroupStep::Decided(verdict) => {
                ensure(self.decided.insert(id, verdict).is_none(), "a group decides twice")?;
                if id == 1 {
                    self.event(0, |group, steps| group.member_decided(1, verdict, steps));
                }
            }
            GroupStep::Ended(verdict) => {
                ensure(self.decided.get(&id) == Some(&verdict), "a group ends on another verdict")?;
                let mut members = MEMBERS[usize::from(id)].iter();
                ensure(members.all(|member| !self.flying.contains(member)), "a group ends before its members")?;
                self.flying.remove(&id);
                self.ends(id, verdict)?;
                if id == 1 {
                    self.event(0, |group, steps| group.member_ended(1, verdict, steps));
                }
            }
        }
        Ok(())
    }

    fn ends(&mut self, id: u8, verdict: Verdict) -> Result<(), String> {
        ensure(self.ends.insert(id, verdict).is_none(), "a member ends twice")
    }
}

fn ensure(holds: bool, broken: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken.to_owned()) }
}

impl Scenario for Site {
    type Event = Event;

    fn events(&self) -> Vec<Event> {
        let tasks = self.flying.iter().filter(|id| **id != 1);
        let mut events: Vec<Event> =
            tasks.flat_map(|task| VERDICTS.map(|verdict| Event::End(*task, verdict))).collect();
        if self.cancels > 0 {
            events.push(Event::Cancel);
        }
        events
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::End(task, verdict) => {
                self.flying.remove(&task);
                self.ends(task, verdict)?;
                let id = if MEMBERS[0].contains(&task) { 0 } else { 1 };
                self.event(id, |group, steps| group.member_ended(task, verdict, steps));
            }
            Event::Cancel => {
                self.cancels -= 1;
                self.cancelled.insert(0);
                self.event(0, |group, steps| group.cancel(steps));
            }
        }
        self.carry_out_all()
    }

    fn ended(&self) -> Result<(), String> {
        ensure(self.ends.keys().copied().eq(0..=5), "a member or a group does not end")
    }
}

#[test]
fn every_order_in_which_nested_groups_end() {
    let mut states = 0;
    let policies = [GroupPolicy::CollectAll, GroupPolicy::FailFast];
    let rules = [Rule::All, Rule::Any, Rule::Quorum(2), Rule::Quorum(4)];
    for (outer, inner) in policies.iter().flat_map(|outer| policies.map(|inner| (*outer, inner))) {
        for (rule, parallel) in rules.iter().flat_map(|rule| [1, 2, 3].map(|parallel| (*rule, parallel))) {
            let settings = [outer, inner].map(|policy| GroupSettings { policy, rule, parallel });
            states +=
                explore(&format!("groups, {outer:?} of {inner:?}, {rule:?}, {parallel}"), Site::new(settings).unwrap())
                    .states;
        }
    }
    println!("groups: {states} states");
    assert!(states > 10_000, "{states}");
}
