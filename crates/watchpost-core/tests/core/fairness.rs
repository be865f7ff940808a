//! Guarantee 4 within one pool: a check with very many endpoints does not keep others from running.

use std::time::Duration;

use watchpost_core::{Arrival, Class, Limits, Pool, Refusal, Step, Tick};

const WORKERS: u32 = 10;
const PER_CHECK_MAX: usize = 5;
const ENDPOINTS: u32 = 10_000;
const GREEDY: u8 = 0;
const OTHER: u8 = 1;
const NOW: Tick = Tick::from_secs(1);
const DEADLINE: Tick = Tick::from_secs(60);

type Steps = Vec<Step<u32, u32, u8>>;

/// A pool whose queue is full of the greedy check's tasks, with the tasks that it started.
fn besieged(queue_max: u32, per_check_max: usize) -> (Pool<u32, u8, u32, u8>, Steps) {
    let limits = Limits { queue_max: queue_max as usize, wait_max: Duration::from_secs(30), per_check_max };
    let mut pool = Pool::new(limits, (0..WORKERS).collect());
    let mut steps = Steps::new();
    for key in 0..ENDPOINTS {
        submit(&mut pool, key, GREEDY, DEADLINE, &mut steps);
    }
    let started = steps.extract_if(.., |step| matches!(step, Step::Start { .. })).collect();
    let refused = ENDPOINTS.saturating_sub(queue_max + per_check_max.min(WORKERS as usize) as u32);
    assert_eq!(steps.len() as u32, refused);
    (pool, started)
}

fn submit(pool: &mut Pool<u32, u8, u32, u8>, key: u32, check: u8, deadline: Tick, steps: &mut Steps) {
    pool.submit(NOW, Arrival { key, check, class: Class::Scheduled, deadline }, check, steps);
}

fn is_start_of(step: &Step<u32, u32, u8>, of: u8) -> bool {
    matches!(step, Step::Start { job, .. } if *job == of)
}

#[test]
fn guarantee_4_a_check_with_10_000_endpoints_leaves_workers_to_others() {
    let (mut pool, started) = besieged(20_000, PER_CHECK_MAX);
    assert_eq!(started.len(), PER_CHECK_MAX, "half of the workers are kept from it");
    for (key, deadline) in [(ENDPOINTS, Tick::from_secs(10)), (ENDPOINTS + 1, Tick::from_secs(600))] {
        let mut steps = Steps::new();
        submit(&mut pool, key, OTHER, deadline, &mut steps);
        assert!(steps.len() == 1 && is_start_of(&steps[0], OTHER), "it starts at once, near or far: {steps:?}");
    }
}

#[test]
fn guarantee_4_with_every_worker_out_the_other_check_starts_within_one_return() {
    for (deadline, first_home) in [(Tick::from_secs(10), GREEDY), (Tick::from_secs(10), 2), (Tick::from_secs(600), 2)] {
        let (mut pool, mut started) = besieged(20_000, PER_CHECK_MAX);
        let mut steps = Steps::new();
        // The workers that are kept from the greedy check are out for others.
        for key in ENDPOINTS..ENDPOINTS + WORKERS - PER_CHECK_MAX as u32 {
            submit(&mut pool, key, 2, DEADLINE, &mut steps);
        }
        started.append(&mut steps);
        assert_eq!((started.len() as u32, pool.stats().idle), (WORKERS, 0));
        submit(&mut pool, 2 * ENDPOINTS, OTHER, deadline, &mut steps);
        assert!(steps.is_empty(), "nobody is home");
        let at = started.iter().position(|step| is_start_of(step, first_home)).unwrap();
        let Step::Start { key, worker, .. } = started.swap_remove(at) else { panic!("they were started") };
        pool.worker_returned(NOW, key, worker, &mut steps);
        assert!(steps.len() == 1 && is_start_of(&steps[0], OTHER), "{steps:?}");
    }
}

#[test]
fn guarantee_4_ten_thousand_tasks_do_not_delay_an_ad_hoc_one() {
    let (mut pool, mut started) = besieged(20_000, WORKERS as usize);
    let mut steps = Steps::new();
    let arrival = Arrival { key: ENDPOINTS, check: OTHER, class: Class::AdHoc, deadline: Tick::from_secs(600) };
    pool.submit(NOW, arrival, OTHER, &mut steps);
    let Some(Step::Start { key, worker, .. }) = started.pop() else { panic!("they were started") };
    pool.worker_returned(NOW, key, worker, &mut steps);
    assert!(steps.len() == 1 && is_start_of(&steps[0], OTHER), "{steps:?}");
}

#[test]
fn guarantee_4_a_queue_that_one_check_fills_is_shared_with_those_that_come() {
    const QUEUE_MAX: u32 = 1_000;
    const OTHERS: u32 = 199;
    let (mut pool, _started) = besieged(QUEUE_MAX, WORKERS as usize);
    for n in 0..QUEUE_MAX * 2 {
        let mut steps = Steps::new();
        submit(&mut pool, ENDPOINTS + n, 1 + (n % OTHERS) as u8, Tick::from_secs(600), &mut steps);
        let [Step::Refuse { job, refusal: Refusal::QueueFull, .. }] = steps[..] else { panic!("{steps:?}") };
        assert!(n >= OTHERS || job == GREEDY, "the first task of each check comes in");
    }
    assert_eq!(pool.stats().waiting, QUEUE_MAX as usize);
    for check in 0..=OTHERS as u8 {
        let share = pool.waiting().filter(|(_, job)| **job == check).count();
        assert!((4..=6).contains(&share), "check {check} waits with {share}, of five that are fair");
    }
}
