//! Trees of groups, driven to their end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use watchpost_core::GroupStep::{Cancel, Decided, Ended, Skip, Start};
use watchpost_core::{GroupPolicy, GroupSettings, Rule, TaskGroup, Verdict};

use crate::group_random::{judged, settings, verdict};

type Step = watchpost_core::GroupStep<u32>;

/// A tree: who is a member of whom. Those without members of their own and with no settings are tasks.
#[derive(Debug, Clone)]
enum Node {
    Task(Verdict),
    Group(GroupSettings, Vec<Node>),
}

fn tree() -> impl Strategy<Value = Node> {
    verdict().prop_map(Node::Task).prop_recursive(4, 40, 5, |node| {
        (settings(), proptest::collection::vec(node, 0..5))
            .prop_map(|(settings, members)| Node::Group(settings, members))
    })
}

#[derive(Default)]
struct Tree {
    groups: BTreeMap<u32, (TaskGroup<u32>, Rule, Vec<u32>)>,
    parents: BTreeMap<u32, u32>,
    tasks: BTreeMap<u32, Verdict>,
    flying: BTreeSet<u32>,
    /// How each task and group ended.
    ends: BTreeMap<u32, Verdict>,
    decided: BTreeMap<u32, Verdict>,
    cancelled: BTreeSet<u32>,
    begun: BTreeSet<u32>,
    /// What was started and has not ended.
    open: BTreeSet<u32>,
    starts: usize,
    queue: VecDeque<(u32, Step)>,
}

impl Tree {
    fn plant(&mut self, root: Node) {
        let mut queue = VecDeque::from([(0, root)]);
        let mut next = 1;
        while let Some((id, node)) = queue.pop_front() {
            match node {
                Node::Task(verdict) => {
                    self.tasks.insert(id, verdict);
                }
                Node::Group(settings, members) => {
                    let ids: Vec<u32> = (next..).take(members.len()).collect();
                    next += ids.len() as u32;
                    self.parents.extend(ids.iter().map(|member| (*member, id)));
                    self.groups.insert(id, (TaskGroup::new(settings, ids.clone()), settings.rule, ids.clone()));
                    queue.extend(ids.into_iter().zip(members));
                }
            }
        }
    }

    fn event(&mut self, id: u32, event: impl FnOnce(&mut TaskGroup<u32>, &mut Vec<Step>)) {
        let mut steps = Vec::new();
        if let Some((group, ..)) = self.groups.get_mut(&id) {
            event(group, &mut steps);
        }
        self.queue.extend(steps.into_iter().map(|step| (id, step)));
    }

    fn end(&mut self, id: u32, verdict: Verdict) {
        assert_eq!(self.ends.insert(id, verdict), None, "{id} ends twice");
        self.open.remove(&id);
        if let Some(parent) = self.parents.get(&id) {
            self.event(*parent, |group, steps| group.member_ended(id, verdict, steps));
        }
    }

    fn carry_out(&mut self) {
        while let Some((id, step)) = self.queue.pop_front() {
            match step {
                // The group was stopped while the start waited in the queue: see `TaskGroup::is_stopped`.
                Start(member) if self.groups[&id].0.is_stopped() => {
                    assert!(!self.begun.contains(&member), "{member} starts, then is not to");
                    match self.tasks.contains_key(&member) {
                        true => self.end(member, Verdict::Undecided),
                        false => self.event(member, |group, steps| group.cancel(steps)),
                    }
                }
                Start(member) => {
                    assert!(!self.cancelled.contains(&id), "nothing starts in a group that was cancelled");
                    self.starts += 1;
                    assert!(self.begun.insert(member), "{member} starts twice");
                    self.open.insert(member);
                    if self.tasks.contains_key(&member) {
                        assert!(self.flying.insert(member));
                    }
                    self.event(member, |group, steps| group.begin(steps));
                }
                Cancel(member) => {
                    assert!(self.cancelled.insert(member), "{member} is cancelled twice");
                    self.event(member, |group, steps| group.cancel(steps));
                }
                Skip(member) if self.tasks.contains_key(&member) => {
                    assert_eq!(self.ends.insert(member, Verdict::Undecided), None);
                }
                Skip(member) => self.event(member, |group, steps| group.cancel(steps)),
                Decided(verdict) => {
                    assert_eq!(self.decided.insert(id, verdict), None, "{id} decides twice");
                    if let Some(parent) = self.parents.get(&id) {
                        self.event(*parent, |group, steps| group.member_decided(id, verdict, steps));
                    }
                }
                Ended(verdict) => {
                    assert_eq!(self.decided.get(&id), Some(&verdict));
                    let (_, _, members) = &self.groups[&id];
                    assert!(members.iter().all(|member| !self.open.contains(member)), "{id} ends too early");
                    self.end(id, verdict);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn guarantee_1_in_a_tree_of_groups_each_task_and_group_ends_once(
        root in tree(),
        choices in proptest::collection::vec(0usize..40, 1..60),
        cancel_after in 0usize..60,
    ) {
        let mut tree = Tree::default();
        tree.plant(Node::Group(GroupSettings { policy: GroupPolicy::CollectAll, rule: Rule::All, parallel: 2 }, vec![root]));
        tree.begun.insert(0);
        tree.event(0, |group, steps| group.begin(steps));
        tree.carry_out();
        for (n, choice) in choices.iter().cycle().enumerate() {
            if n == cancel_after {
                let starts = tree.starts;
                tree.event(0, |group, steps| group.cancel(steps));
                tree.carry_out();
                prop_assert_eq!(tree.starts, starts, "what is cancelled starts nothing more");
            }
            let Some(task) = tree.flying.iter().nth(choice % tree.flying.len().max(1)).copied() else { break };
            tree.flying.remove(&task);
            // A cancelled task may have ended by itself before it heard.
            let late = tree.cancelled.contains(&task) && choice % 3 > 0;
            let verdict = if late { Verdict::Undecided } else { tree.tasks[&task] };
            tree.end(task, verdict);
            tree.carry_out();
        }
        let everybody: BTreeSet<u32> = tree.tasks.keys().chain(tree.groups.keys()).copied().collect();
        prop_assert_eq!(tree.ends.keys().copied().collect::<BTreeSet<_>>(), everybody);
        for (id, (group, rule, members)) in &tree.groups {
            let said: Vec<Verdict> = members.iter().map(|member| tree.ends[member]).collect();
            let verdict = if tree.begun.contains(id) { judged(*rule, &said) } else { Verdict::Undecided };
            prop_assert_eq!(tree.ends[id], verdict);
            prop_assert_eq!(group.counts().in_flight + group.counts().waiting, 0);
        }
    }
}
