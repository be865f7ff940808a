//! Tasks and groups that live and die together.

mod rule;

use std::collections::{BTreeMap, VecDeque};

use self::rule::Tally;
pub use self::rule::{Rule, Verdict};

/// What the failure of one member means for the others of its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum GroupPolicy {
    /// Nothing: each reports its own outcome.
    #[default]
    CollectAll,
    /// The first member that does not pass cancels the others.
    FailFast,
}

/// How a group is run and judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupSettings {
    /// What the failure of one member means for the others.
    pub policy: GroupPolicy,
    /// How many members must pass.
    pub rule: Rule,
    /// How many members may be in flight at a time; at least one, whatever is said here.
    pub parallel: usize,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupStep<K> {
    /// Start the member: it is in flight until [`TaskGroup::member_ended`].
    Start(K),
    /// Cancel the member, which is in flight. It still has to end.
    Cancel(K),
    /// The member will never be started: report it as cancelled. It counts as undecided.
    Skip(K),
    /// The verdict is known, whatever the members say that are still in flight or wait.
    Decided(Verdict),
    /// No member is in flight or waits: the group is over. The verdict is the one it decided on.
    Ended(Verdict),
}

/// How a group stands. The members of `total` are each counted in one of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct GroupCounts {
    /// All members.
    pub total: usize,
    /// Members that ended and passed.
    pub passed: usize,
    /// Members that ended and failed.
    pub failed: usize,
    /// Members that ended and said nothing of the target, or were never started.
    pub undecided: usize,
    /// Members that were started and have not ended.
    pub in_flight: usize,
    /// Members that wait for their start.
    pub waiting: usize,
}

/// The members `K` of one run, until each has ended. A member is a task or another group: groups nest
/// by handing the steps of one on as the events of the other. Steps are carried out first come, first
/// served, through a queue and not by recursion: a member may decide while its siblings' starts wait there.
///
/// Under [`GroupPolicy::FailFast`] the first member that is known not to pass cancels the siblings in
/// flight and skips those that wait. It is not cancelled itself: its own policy says what becomes of
/// what it consists of.
///
/// A nested group that is skipped is to be cancelled, which skips what it consists of. With a queue that
/// comes after the end of its parent: nothing may be thrown away before the queue is empty.
///
/// A group of no members, or one that is cancelled before it begins, has no verdict of its target: it
/// ends as [`Verdict::Undecided`].
///
/// Every event costs O(log n) in the members, and O(log n) for each step that it yields.
///
/// **Invariants:** each member is started once or skipped once; it is cancelled at most once, and only
/// in flight; at most `parallel` are in flight; the group decides once and ends once, in this order,
/// with one verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskGroup<K> {
    settings: GroupSettings,
    total: usize,
    waiting: VecDeque<K>,
    in_flight: BTreeMap<K, InFlight>,
    /// What the members said that ended or were skipped.
    ended: Tally,
    /// What the members said, also those that know their verdict and have not ended.
    known: Tally,
    begun: bool,
    /// Nothing more is started.
    stopped: bool,
    verdict: Option<Verdict>,
    over: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct InFlight {
    verdict: Option<Verdict>,
    cancelled: bool,
}

impl<K: Copy + Ord> TaskGroup<K> {
    /// A group of these members, which are started in this order. They must be distinct.
    pub fn new(settings: GroupSettings, members: Vec<K>) -> Self {
        Self {
            settings,
            total: members.len(),
            waiting: members.into(),
            in_flight: BTreeMap::new(),
            ended: Tally::default(),
            known: Tally::default(),
            begun: false,
            stopped: false,
            verdict: None,
            over: false,
        }
    }

    /// Starts the first members. Further calls change nothing.
    pub fn begin(&mut self, steps: &mut Vec<GroupStep<K>>) {
        self.begun = true;
        self.proceed(steps);
    }

    /// A member in flight, a group, knows its verdict before all of its own members have ended. It is
    /// taken at its first word. Other members are ignored.
    pub fn member_decided(&mut self, key: K, verdict: Verdict, steps: &mut Vec<GroupStep<K>>) {
        let Some(member) = self.in_flight.get_mut(&key) else { return };
        if member.verdict.is_some() {
            return;
        }
        member.verdict = Some(verdict);
        self.heard(Some(key), verdict, steps);
        self.proceed(steps);
    }

    /// A member in flight ended. What a cancelled one says is counted like any other word: it may have
    /// passed before it heard that it was cancelled. Members that are not in flight are ignored.
    pub fn member_ended(&mut self, key: K, verdict: Verdict, steps: &mut Vec<GroupStep<K>>) {
        let Some(member) = self.in_flight.remove(&key) else { return };
        self.ended.count(member.verdict.unwrap_or(verdict));
        if member.verdict.is_none() {
            self.heard(None, verdict, steps);
        }
        self.proceed(steps);
    }

    /// The group is cancelled from above: cancels what is in flight and skips what waits. It ends when
    /// the last member in flight has.
    pub fn cancel(&mut self, steps: &mut Vec<GroupStep<K>>) {
        let asked = self.begun;
        self.stop(None, steps);
        if !asked {
            self.decide(Verdict::Undecided, steps);
        }
        self.proceed(steps);
    }

    /// How it stands.
    pub fn counts(&self) -> GroupCounts {
        let Tally { passed, failed, undecided } = self.ended;
        let (in_flight, waiting) = (self.in_flight.len(), self.waiting.len());
        GroupCounts { total: self.total, passed, failed, undecided, in_flight, waiting }
    }

    /// The members in flight, in their own order.
    pub fn in_flight(&self) -> impl Iterator<Item = K> {
        self.in_flight.keys().copied()
    }

    /// The members that wait for their start, in the order in which they are started.
    pub fn waiting(&self) -> impl Iterator<Item = K> {
        self.waiting.iter().copied()
    }

    /// How many members must pass.
    pub fn needed(&self) -> usize {
        self.settings.rule.needed(self.total)
    }

    /// The verdict, once it is known.
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// A member's verdict is known; `still` in flight, if it has not ended.
    fn heard(&mut self, still: Option<K>, verdict: Verdict, steps: &mut Vec<GroupStep<K>>) {
        self.known.count(verdict);
        if verdict != Verdict::Passed && self.settings.policy == GroupPolicy::FailFast && !self.stopped {
            self.stop(still, steps);
        }
    }

    /// Cancels what is in flight, except for `cause`, and skips what waits.
    fn stop(&mut self, cause: Option<K>, steps: &mut Vec<GroupStep<K>>) {
        self.begun = true;
        self.stopped = true;
        for (key, member) in &mut self.in_flight {
            if !member.cancelled && Some(*key) != cause {
                member.cancelled = true;
                steps.push(GroupStep::Cancel(*key));
            }
        }
        for key in self.waiting.drain(..) {
            self.ended.count(Verdict::Undecided);
            self.known.count(Verdict::Undecided);
            steps.push(GroupStep::Skip(key));
        }
    }

    /// Starts what may start, and says what is known by now.
    fn proceed(&mut self, steps: &mut Vec<GroupStep<K>>) {
        if !self.begun || self.over {
            return;
        }
        while self.in_flight.len() < self.settings.parallel.max(1)
            && let Some(key) = self.waiting.pop_front()
        {
            self.in_flight.insert(key, InFlight::default());
            steps.push(GroupStep::Start(key));
        }
        if self.verdict.is_none()
            && let Some(verdict) = self.known.verdict(self.settings.rule.needed(self.total), self.total)
        {
            self.decide(verdict, steps);
        }
        if self.in_flight.is_empty()
            && let Some(verdict) = self.verdict
        {
            self.over = true;
            steps.push(GroupStep::Ended(verdict));
        }
    }

    fn decide(&mut self, verdict: Verdict, steps: &mut Vec<GroupStep<K>>) {
        self.verdict = Some(verdict);
        steps.push(GroupStep::Decided(verdict));
    }
}
