//! What the machines tell whoever asks: actors that go on after a panic depend on it.

use std::time::Duration;

use watchpost_core::{
    Arrival, Class, GroupPolicy, GroupSettings, GroupStep, Limits, Pool, Rule, Step, TaskGroup, Tick, Verdict,
};

fn group(policy: GroupPolicy, rule: Rule) -> (TaskGroup<u8>, Vec<GroupStep<u8>>) {
    let mut group = TaskGroup::new(GroupSettings { policy, rule, parallel: 2 }, vec![1, 2, 3, 4]);
    let mut steps = Vec::new();
    group.begin(&mut steps);
    (group, steps)
}

#[test]
fn a_group_tells_who_waits_who_is_in_flight_and_how_many_must_pass() {
    let (group, _) = group(GroupPolicy::CollectAll, Rule::Quorum(3));
    assert_eq!(group.in_flight().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(group.waiting().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(group.needed(), 3);
}

#[test]
fn a_group_is_stopped_once_it_fails_fast_or_is_cancelled_and_not_before() {
    let (mut failing, mut steps) = group(GroupPolicy::FailFast, Rule::All);
    failing.member_ended(1, Verdict::Passed, &mut steps);
    assert!(!failing.is_stopped());
    failing.member_ended(2, Verdict::Failed, &mut steps);
    assert!(failing.is_stopped());

    let (mut cancelled, mut steps) = group(GroupPolicy::CollectAll, Rule::All);
    cancelled.member_ended(1, Verdict::Failed, &mut steps);
    assert!(!cancelled.is_stopped());
    cancelled.cancel(&mut steps);
    assert!(cancelled.is_stopped());
}

#[test]
fn a_pool_tells_what_it_holds_what_runs_and_what_is_being_built() {
    let limits = Limits { queue_max: 8, wait_max: Duration::from_secs(30), per_check_max: 8 };
    let mut pool: Pool<u8, &str, u8, ()> = Pool::new(limits, vec![0]);
    let mut steps = Vec::new();
    let arrival = |key| Arrival { key, check: "c", class: Class::Scheduled, deadline: Tick::from_secs(60) };
    pool.submit(Tick::ZERO, arrival(1), (), &mut steps);
    pool.submit(Tick::ZERO, arrival(2), (), &mut steps);
    assert_eq!(pool.running().collect::<Vec<_>>(), [1]);
    assert_eq!([1, 2, 3].map(|key| pool.holds(key)), [true, true, false]);
    assert_eq!(pool.building().count(), 0);

    steps.clear();
    pool.resize(Tick::ZERO, 2, 8, &mut steps);
    let [Step::Build { seat }] = steps[..] else { panic!("{steps:?}") };
    assert_eq!(pool.building().collect::<Vec<_>>(), [seat]);
    pool.built(Tick::ZERO, seat, Some(1), &mut steps);
    assert_eq!((pool.building().count(), pool.running().collect::<Vec<_>>()), (0, vec![1, 2]));
}
