//! What a group promises, one by one.

use watchpost_core::GroupStep::{Cancel, Decided, Ended, Skip, Start};
use watchpost_core::Verdict::{Failed, Passed, Undecided};
use watchpost_core::{GroupCounts, GroupPolicy, GroupSettings, Rule, TaskGroup};

type Step = watchpost_core::GroupStep<u32>;
type Group = TaskGroup<u32>;

fn settings(policy: GroupPolicy, rule: Rule, parallel: usize) -> GroupSettings {
    GroupSettings { policy, rule, parallel }
}

fn group(policy: GroupPolicy, rule: Rule, parallel: usize, members: u32) -> Group {
    TaskGroup::new(settings(policy, rule, parallel), (1..=members).collect())
}

fn on(group: &mut Group, event: impl FnOnce(&mut Group, &mut Vec<Step>)) -> Vec<Step> {
    let mut steps = Vec::new();
    event(group, &mut steps);
    steps
}

#[test]
fn rules_need_at_least_one() {
    let needed: Vec<usize> =
        [Rule::All, Rule::Any, Rule::Quorum(2), Rule::Quorum(0), Rule::Percent(50), Rule::Percent(0)]
            .iter()
            .flat_map(|rule| [0, 1, 5].map(|of| rule.needed(of)))
            .collect();
    assert_eq!(needed, [1, 1, 5, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 3, 1, 1, 1]);
    assert_eq!([1, 33, 34, 100].map(|percent| Rule::Percent(percent).needed(3)), [1, 1, 2, 3]);
}

#[test]
fn o5_collect_all_never_cancels() {
    let mut group = group(GroupPolicy::CollectAll, Rule::All, 10, 3);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), [Start(1), Start(2), Start(3)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Failed, s)), [Decided(Failed)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Passed, s)), []);
    assert_eq!(on(&mut group, |g, s| g.member_ended(3, Undecided, s)), [Ended(Failed)]);
}

#[test]
fn o5_fail_fast_cancels_what_is_in_flight_once_and_skips_the_rest() {
    let mut group = group(GroupPolicy::FailFast, Rule::All, 3, 5);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), [Start(1), Start(2), Start(3)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Passed, s)), [Start(4)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Failed, s)), [Cancel(3), Cancel(4), Skip(5), Decided(Failed)]);
    assert_eq!(
        on(&mut group, |g, s| g.member_ended(3, Undecided, s)),
        [],
        "the cancelled sibling is not a second cause"
    );
    assert_eq!(on(&mut group, |g, s| g.member_ended(3, Failed, s)), [], "a second word does not count");
    assert_eq!(on(&mut group, |g, s| g.cancel(s)), [], "what is cancelled is cancelled");
    let counts = GroupCounts { total: 5, passed: 1, failed: 1, undecided: 2, in_flight: 1, waiting: 0 };
    assert_eq!(group.counts(), counts);
    assert_eq!(on(&mut group, |g, s| g.member_ended(4, Passed, s)), [Ended(Failed)]);
}

#[test]
fn o5_a_nested_group_that_knows_its_verdict_fails_fast_and_is_not_cancelled_itself() {
    let mut group = group(GroupPolicy::FailFast, Rule::All, 3, 3);
    on(&mut group, |g, s| g.begin(s));
    assert_eq!(on(&mut group, |g, s| g.member_decided(1, Passed, s)), []);
    assert_eq!(on(&mut group, |g, s| g.member_decided(2, Failed, s)), [Cancel(1), Cancel(3), Decided(Failed)]);
    assert_eq!(on(&mut group, |g, s| g.member_decided(2, Passed, s)), [], "the first word counts");
    assert_eq!(on(&mut group, |g, s| g.member_ended(3, Undecided, s)), [], "still the one cause");
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Failed, s)), []);
    assert_eq!(on(&mut group, |g, s| g.cancel(s)), [Cancel(2)], "from above nobody is spared");
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Passed, s)), [Ended(Failed)]);
    let counts = group.counts();
    assert_eq!((counts.passed, counts.failed, counts.undecided), (1, 1, 1));
}

#[test]
fn a_verdict_is_told_as_soon_as_nothing_can_change_it() {
    let mut group = group(GroupPolicy::CollectAll, Rule::Quorum(2), 10, 4);
    on(&mut group, |g, s| g.begin(s));
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Passed, s)), []);
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Undecided, s)), []);
    assert_eq!(group.verdict(), None);
    assert_eq!(on(&mut group, |g, s| g.member_ended(3, Passed, s)), [Decided(Passed)]);
    assert_eq!(group.verdict(), Some(Passed));
    assert_eq!(on(&mut group, |g, s| g.member_ended(4, Failed, s)), [Ended(Passed)]);
}

#[test]
fn what_says_nothing_of_the_target_never_makes_a_group_fail() {
    for (words, verdict) in [
        ([Undecided, Passed, Passed], Undecided),
        ([Undecided, Undecided, Undecided], Undecided),
        ([Undecided, Failed, Passed], Failed),
        ([Passed, Passed, Passed], Passed),
    ] {
        let mut group = group(GroupPolicy::CollectAll, Rule::All, 1, 3);
        let mut steps = on(&mut group, |g, s| g.begin(s));
        for (key, word) in (1..).zip(words) {
            group.member_ended(key, word, &mut steps);
        }
        let told: Vec<_> = steps.into_iter().filter(|step| matches!(step, Decided(_) | Ended(_))).collect();
        assert_eq!(told, [Decided(verdict), Ended(verdict)], "{words:?}");
    }
}

#[test]
fn a_group_of_nobody_ends_when_it_begins_and_blames_no_target() {
    let mut group = group(GroupPolicy::CollectAll, Rule::All, 1, 0);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), [Decided(Undecided), Ended(Undecided)]);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), []);
}

#[test]
fn a_quorum_that_cannot_be_reached_is_failed_from_the_start_and_still_collects() {
    let mut group = group(GroupPolicy::CollectAll, Rule::Quorum(3), 1, 2);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), [Start(1), Decided(Failed)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Passed, s)), [Start(2)]);
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Passed, s)), [Ended(Failed)]);
}

#[test]
fn guarantee_3_cancelling_from_above_starts_nothing_more() {
    let mut group = group(GroupPolicy::CollectAll, Rule::Any, 1, 3);
    on(&mut group, |g, s| g.begin(s));
    assert_eq!(on(&mut group, |g, s| g.cancel(s)), [Cancel(1), Skip(2), Skip(3)]);
    assert_eq!(on(&mut group, |g, s| g.cancel(s)), []);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), []);
    assert_eq!(on(&mut group, |g, s| g.member_ended(2, Passed, s)), [], "it was never started");
    assert_eq!(on(&mut group, |g, s| g.member_ended(1, Undecided, s)), [Decided(Undecided), Ended(Undecided)]);
}

#[test]
fn a_group_that_is_cancelled_before_it_begins_ends_at_once_and_blames_no_target() {
    let mut group = group(GroupPolicy::FailFast, Rule::Quorum(3), 2, 2);
    assert_eq!(on(&mut group, |g, s| g.cancel(s)), [Skip(1), Skip(2), Decided(Undecided), Ended(Undecided)]);
    assert_eq!(on(&mut group, |g, s| g.begin(s)), []);
}

#[test]
fn a_group_of_50_000_runs_one_by_one() {
    let mut group = group(GroupPolicy::CollectAll, Rule::Percent(100), 0, 50_000);
    let mut steps = on(&mut group, |g, s| g.begin(s));
    let (mut started, mut ended) = (0, None);
    while let Some(step) = steps.pop() {
        match step {
            Start(key) => {
                started += 1;
                assert_eq!((key, group.in_flight().collect::<Vec<_>>()), (started, vec![key]));
                group.member_ended(key, Passed, &mut steps);
            }
            Ended(verdict) => ended = Some(verdict),
            other => assert_eq!(other, Decided(Passed)),
        }
    }
    assert_eq!((started, ended), (50_000, Some(Passed)));
}

#[test]
fn a_group_of_50_000_is_skipped_in_one_event() {
    let mut group = group(GroupPolicy::FailFast, Rule::All, 1, 50_000);
    on(&mut group, |g, s| g.begin(s));
    let steps = on(&mut group, |g, s| g.member_ended(1, Failed, s));
    assert_eq!(steps.iter().filter(|step| matches!(step, Skip(_))).count(), 49_999);
    assert_eq!(steps[49_999..], [Decided(Failed), Ended(Failed)]);
}
