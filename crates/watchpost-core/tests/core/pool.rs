//! What the pool promises, one by one.

use std::time::Duration;

use watchpost_core::{Arrival, Class, Limits, Pool, PoolStats, Seat, Tick};

/// A worker that cannot be cloned: what is lost or doubled does not compile or does not add up.
#[derive(Debug, PartialEq, Eq)]
struct Worker(u32);

type Step = watchpost_core::Step<u32, Worker, ()>;

const WAIT_MAX: Duration = Duration::from_secs(30);
const FAR: Tick = Tick::from_secs(3600);

/// A pool together with the workers that are out.
struct Site {
    pool: Pool<u32, u8, Worker, ()>,
    out: Vec<(u32, Worker)>,
    now: Tick,
}

impl Site {
    fn new(size: u32, queue_max: usize, per_check_max: usize) -> Self {
        let limits = Limits { queue_max, wait_max: WAIT_MAX, per_check_max };
        Self { pool: Pool::new(limits, (0..size).map(Worker).collect()), out: Vec::new(), now: Tick::ZERO }
    }

    fn event(&mut self, event: impl FnOnce(&mut Pool<u32, u8, Worker, ()>, Tick, &mut Vec<Step>)) -> Vec<String> {
        let mut steps = Vec::new();
        event(&mut self.pool, self.now, &mut steps);
        self.pool.stats();
        steps.into_iter().map(|step| self.told(step)).collect()
    }

    fn told(&mut self, step: Step) -> String {
        match step {
            Step::Start { key, worker, waited, .. } => {
                self.out.push((key, worker));
                format!("start {key} after {}", waited.as_secs())
            }
            Step::Refuse { key, refusal, waited, .. } => format!("refuse {key} {refusal:?} after {}", waited.as_secs()),
            Step::Build { .. } => "build".to_owned(),
            Step::Dismiss { worker } => format!("dismiss {}", worker.0),
        }
    }

    fn submit(&mut self, key: u32, check: u8, class: Class, deadline: Tick) -> Vec<String> {
        self.event(|pool, now, steps| pool.submit(now, Arrival { key, check, class, deadline }, (), steps))
    }

    fn scheduled(&mut self, key: u32, check: u8) -> Vec<String> {
        self.submit(key, check, Class::Scheduled, FAR)
    }

    fn home(&mut self, key: u32) -> Vec<String> {
        let at = self.out.iter().position(|(out, _)| *out == key).unwrap();
        let (key, worker) = self.out.remove(at);
        self.event(|pool, now, steps| pool.worker_returned(now, key, worker, steps))
    }

    fn lost(&mut self, key: u32) -> Vec<String> {
        self.out.retain(|(out, _)| *out != key);
        self.event(|pool, now, steps| pool.worker_lost(now, key, steps))
    }

    fn resize(&mut self, size: usize) -> Vec<String> {
        self.event(|pool, now, steps| pool.resize(now, size, 100, steps))
    }

    fn advance(&mut self) -> Vec<String> {
        self.event(|pool, now, steps| pool.advance(now, steps))
    }

    /// The seats that are to be built, at this moment.
    fn seats(&mut self) -> Vec<Seat> {
        let mut steps = Vec::new();
        self.pool.advance(self.now, &mut steps);
        seats_of(&steps)
    }

    fn built(&mut self, seat: Seat, worker: Option<u32>) -> Vec<String> {
        self.event(|pool, now, steps| pool.built(now, seat, worker.map(Worker), steps))
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    fn counts(&self) -> [usize; 4] {
        let PoolStats { size, idle, busy, rebuilding, .. } = self.pool.stats();
        [size, idle, busy, rebuilding]
    }
}

fn seats_of(steps: &[Step]) -> Vec<Seat> {
    steps.iter().filter_map(|step| if let Step::Build { seat } = step { Some(*seat) } else { None }).collect()
}

#[test]
fn o4_a_task_that_waited_too_long_is_cancelled_and_never_starts() {
    let mut site = Site::new(1, 10, 10);
    assert_eq!(site.scheduled(1, 1), ["start 1 after 0"]);
    assert!(site.scheduled(2, 1).is_empty());
    assert_eq!(site.pool.next_wake(), Some(Tick::from_secs(30)));
    site.pass(WAIT_MAX);
    assert_eq!(site.advance(), ["refuse 2 NoFreeWorker after 30"]);
    assert!(site.home(1).is_empty(), "it must not start now");
    assert_eq!(site.pool.next_wake(), None);
}

#[test]
fn o4_a_worker_that_comes_home_late_does_not_start_what_is_past_its_wait() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(1, 1);
    site.scheduled(2, 1);
    site.pass(WAIT_MAX);
    assert_eq!(site.home(1), ["refuse 2 NoFreeWorker after 30"], "nobody called advance in time");
}

#[test]
fn guarantee_3_the_wait_never_exceeds_the_tasks_own_deadline() {
    let mut site = Site::new(0, 10, 10);
    site.submit(1, 1, Class::Scheduled, Tick::from_secs(5));
    assert_eq!(site.pool.next_wake(), Some(Tick::from_secs(5)));
    site.pass(Duration::from_secs(5));
    assert_eq!(
        site.submit(2, 1, Class::AdHoc, site.now),
        ["refuse 1 NoFreeWorker after 5", "refuse 2 DeadlinePassed after 0"]
    );
}

#[test]
fn ad_hoc_goes_first_then_the_earliest_deadline_then_the_first_to_come() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(0, 1);
    let (near, far) = (Tick::from_secs(10), Tick::from_secs(20));
    let tasks = [
        (1, Class::Scheduled, far),
        (2, Class::Scheduled, near),
        (3, Class::AdHoc, far),
        (4, Class::Scheduled, near),
        (5, Class::AdHoc, near),
    ];
    for (key, class, deadline) in tasks {
        assert!(site.submit(key, 1, class, deadline).is_empty());
    }
    let waiting: Vec<u32> = site.pool.waiting().map(|(key, ())| key).collect();
    let mut started = Vec::new();
    while let Some((key, _)) = site.out.first() {
        site.home(*key);
        started.extend(site.out.first().map(|(key, _)| *key));
    }
    assert_eq!((&started[..], &waiting[..]), (&[5, 3, 2, 4, 1][..], &[5, 3, 2, 4, 1][..]));
}

#[test]
fn a_check_that_holds_its_share_is_passed_over() {
    let mut site = Site::new(3, 10, 2);
    site.scheduled(1, 1);
    site.scheduled(2, 1);
    assert!(site.submit(3, 1, Class::AdHoc, Tick::from_secs(1)).is_empty(), "its check holds two");
    assert_eq!(site.counts(), [3, 1, 2, 0]);
    assert_eq!(site.scheduled(4, 2), ["start 4 after 0"]);
    assert_eq!(site.home(1), ["start 3 after 0"]);
}

#[test]
fn a_share_that_is_raised_starts_what_it_held_back() {
    let mut site = Site::new(3, 10, 0);
    assert_eq!(site.scheduled(1, 1), ["start 1 after 0"], "one worker is the least");
    site.scheduled(2, 1);
    site.scheduled(3, 1);
    assert_eq!(site.resize(3), ["start 2 after 0", "start 3 after 0"]);
}

#[test]
fn a_task_that_waits_or_runs_is_not_taken_again() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(1, 1);
    site.scheduled(2, 1);
    assert_eq!(site.scheduled(1, 1), ["refuse 1 Duplicate after 0"]);
    assert_eq!(site.scheduled(2, 1), ["refuse 2 Duplicate after 0"]);
    site.pass(WAIT_MAX);
    assert_eq!(
        site.scheduled(2, 1),
        ["refuse 2 NoFreeWorker after 30", "refuse 2 Duplicate after 0"],
        "what has just been refused does not come in again by the same event"
    );
    assert_eq!(site.counts(), [1, 0, 1, 0]);
}

#[test]
fn what_waits_can_be_cancelled_and_what_runs_cannot() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(1, 1);
    site.scheduled(2, 1);
    site.pass(Duration::from_secs(3));
    let mut found = Vec::new();
    let told = site.event(|pool, now, steps| found = [1, 2, 2, 9].map(|key| pool.cancel(now, key, steps)).to_vec());
    assert_eq!(told, ["refuse 2 Cancelled after 3"]);
    assert_eq!(found, [false, true, false, false]);
    assert!(site.home(1).is_empty());
    assert_eq!(site.pool.next_wake(), None, "nothing is left of it");
}

#[test]
fn a_closed_pool_refuses_until_it_is_opened() {
    let mut site = Site::new(1, 10, 10);
    for key in [1, 2, 3] {
        site.scheduled(key, 1);
    }
    let told = site.event(|pool, now, steps| pool.close(now, steps));
    assert_eq!(told, ["refuse 2 Closed after 0", "refuse 3 Closed after 0"]);
    assert!(site.home(1).is_empty());
    assert_eq!(site.scheduled(4, 1), ["refuse 4 Closed after 0"]);
    site.pool.open();
    assert_eq!(site.scheduled(4, 1), ["start 4 after 0"]);
}

#[test]
fn guarantee_2_a_worker_that_is_lost_is_built_anew_after_a_back_off() {
    let mut site = Site::new(1, 10, 10);
    let mut back_offs_ms = Vec::new();
    for key in 0..9 {
        assert_eq!(site.scheduled(key, 1), [format!("start {key} after 0")]);
        assert!(site.lost(key).is_empty());
        assert_eq!(site.counts(), [1, 0, 0, 1]);
        let due = site.pool.next_wake().unwrap();
        back_offs_ms.push(due.since(site.now).as_millis());
        site.now = Tick::from_micros(due.as_micros() - 1);
        assert!(site.seats().is_empty(), "not a µs too early");
        site.now = due;
        let seat = site.seats()[0];
        assert_eq!(site.pool.next_wake(), None);
        assert!(site.built(seat, Some(key)).is_empty());
    }
    assert_eq!(back_offs_ms, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    site.scheduled(100, 1);
    site.home(100);
    site.scheduled(101, 1);
    site.lost(101);
    assert_eq!(site.pool.next_wake(), Some(site.now.after(Duration::from_millis(10))), "it proved itself");
}

#[test]
fn guarantee_2_a_worker_that_cannot_be_made_is_tried_again() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(1, 1);
    site.lost(1);
    site.scheduled(2, 1);
    site.pass(Duration::from_millis(10));
    let seat = site.seats()[0];
    assert!(site.built(seat, None).is_empty());
    assert_eq!(site.pool.next_wake(), Some(site.now.after(Duration::from_millis(20))));
    assert!(site.built(seat, None).is_empty(), "nobody asked a second time");
    assert_eq!(site.built(seat, Some(7)), ["dismiss 7"]);
    site.pass(Duration::from_millis(20));
    let seat = site.seats()[0];
    assert_eq!(site.built(seat, Some(8)), ["start 2 after 0"]);
    assert_eq!(site.built(seat, Some(9)), ["dismiss 9"], "the seat is taken");
    assert_eq!(site.counts(), [1, 0, 1, 0]);
}

#[test]
fn guarantee_2_a_worker_that_comes_before_it_was_asked_for_is_dismissed() {
    let mut site = Site::new(1, 10, 10);
    site.scheduled(1, 1);
    site.lost(1);
    site.pass(Duration::from_millis(10));
    let seat = site.seats()[0];
    site.built(seat, Some(1));
    site.scheduled(2, 1);
    site.lost(2);
    site.pass(Duration::from_millis(20));
    assert_eq!(site.built(seat, Some(9)), ["build", "dismiss 9"], "it is asked for in this very event");
    assert_eq!(site.counts(), [1, 0, 0, 1]);
}

#[test]
fn guarantee_2_a_worker_that_was_not_out_is_dismissed() {
    let mut site = Site::new(1, 10, 10);
    let told = site.event(|pool, now, steps| pool.worker_returned(now, 5, Worker(9), steps));
    assert_eq!(told, ["dismiss 9"]);
    assert!(site.lost(5).is_empty());
    assert_eq!(site.counts(), [1, 1, 0, 0]);
}

#[test]
fn guarantee_2_shrinking_takes_what_rests_then_what_idles_then_what_comes_home() {
    let mut site = Site::new(5, 10, 10);
    for key in 1..=4 {
        site.scheduled(key, 1);
    }
    site.lost(1);
    assert_eq!(site.counts(), [5, 1, 3, 1]);
    assert!(site.resize(4).is_empty(), "the seat that rests goes unseen");
    assert_eq!(site.counts(), [4, 1, 3, 0]);
    assert_eq!(site.pool.next_wake(), None);
    assert_eq!(site.resize(3), ["dismiss 0"]);
    assert!(site.resize(0).is_empty(), "no task is disturbed");
    assert_eq!((site.counts(), site.pool.stats().target), ([3, 0, 3, 0], 0));
    site.scheduled(9, 1);
    assert_eq!(site.home(2), ["dismiss 3"]);
    assert!(site.lost(3).is_empty());
    assert_eq!(site.counts(), [1, 0, 1, 0]);
    assert!(site.resize(1).is_empty(), "growing forgives what is still owed");
    assert_eq!(site.home(4), ["start 9 after 0"]);
    assert_eq!(site.resize(3), ["build", "build"]);
    assert_eq!(site.counts(), [3, 0, 1, 2]);
}

#[test]
fn guarantee_2_a_worker_that_was_built_for_a_pool_that_shrank_is_dismissed() {
    let mut site = Site::new(0, 10, 10);
    let mut steps = Vec::new();
    site.pool.resize(site.now, 2, 10, &mut steps);
    let seats = seats_of(&steps);
    assert!(site.resize(0).is_empty());
    assert_eq!(site.counts(), [2, 0, 0, 2]);
    assert_eq!(site.built(seats[0], Some(1)), ["dismiss 1"]);
    assert!(site.built(seats[1], None).is_empty());
    assert_eq!(site.counts(), [0, 0, 0, 0]);
    assert_eq!(site.pool.next_wake(), None);
}

#[test]
fn the_queue_is_bounded_exactly() {
    let mut site = Site::new(0, 3, 10);
    let refused = (0..10).filter(|key| site.scheduled(*key, 1) == [format!("refuse {key} QueueFull after 0")]).count();
    assert_eq!((refused, site.pool.stats().waiting), (7, 3));
    let mut site = Site::new(1, 0, 10);
    assert_eq!(site.scheduled(1, 1), ["start 1 after 0"], "a pool without a queue runs what it can");
    assert_eq!(site.submit(2, 1, Class::AdHoc, FAR), ["refuse 2 QueueFull after 0"]);
}

#[test]
fn guarantee_4_a_full_queue_takes_from_the_check_that_waits_most() {
    let mut site = Site::new(0, 4, 10);
    for (key, check) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
        site.scheduled(key, check);
    }
    assert_eq!(site.scheduled(5, 3), ["refuse 3 QueueFull after 0"], "3 against none: the last of check 1");
    assert_eq!(site.scheduled(6, 4), ["refuse 2 QueueFull after 0"], "2 against none");
    assert_eq!(site.scheduled(7, 5), ["refuse 7 QueueFull after 0"], "1 against none would only trade places");
    assert_eq!(
        site.submit(8, 1, Class::AdHoc, FAR),
        ["refuse 6 QueueFull after 0"],
        "ad-hoc before the last scheduled"
    );
    assert_eq!(site.submit(9, 2, Class::AdHoc, FAR), ["refuse 5 QueueFull after 0"]);
    let waiting: Vec<u32> = site.pool.waiting().map(|(key, ())| key).collect();
    assert_eq!(waiting, [8, 9, 1, 4]);
}

#[test]
fn guarantee_4_ad_hoc_tasks_do_not_displace_one_another() {
    let mut site = Site::new(0, 2, 10);
    site.submit(1, 1, Class::AdHoc, FAR);
    site.submit(2, 2, Class::AdHoc, FAR);
    assert_eq!(site.submit(3, 3, Class::AdHoc, Tick::from_secs(1)), ["refuse 3 QueueFull after 0"]);
    assert_eq!(site.scheduled(4, 3), ["refuse 4 QueueFull after 0"]);
}

#[test]
fn guarantee_3_nothing_is_left_of_a_check_that_neither_waits_nor_runs() {
    let limits = Limits { queue_max: 10, wait_max: WAIT_MAX, per_check_max: 1 };
    let mut pool = Pool::new(limits, vec![Worker(0)]);
    let mut steps = Vec::new();
    for key in 0..3 {
        let arrival = Arrival { key, check: "a check", class: Class::Scheduled, deadline: FAR };
        pool.submit(Tick::ZERO, arrival, (), &mut steps);
    }
    assert!(pool.cancel(Tick::ZERO, 1, &mut steps));
    pool.worker_lost(Tick::ZERO, 0, &mut steps);
    assert!(format!("{pool:?}").contains("a check"), "one still waits");
    pool.advance(Tick::ZERO.after(WAIT_MAX), &mut steps);
    assert!(!format!("{pool:?}").contains("a check"), "{pool:?}");
}
