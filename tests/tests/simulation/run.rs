//! Runs a plan: step by step, one process after the other, on one thread.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchpost_agent::{Agent, AgentSettings, Deps, PoolSettings, Roles, RunItem, RunReport, RunRequest};
use watchpost_audit::AuditLog;
use watchpost_model::{Beat, CheckType};
use watchpost_policy::Guard;
use watchpost_probe::{Resolver, TargetFinder};

use super::bus::{SharedWorld, SimBus, World, read_arrived};
use super::host::{Host, HostTime, SimClock};
use super::log::{Entry, Event, Log, ProcessId, Us};
use super::network::Network;
use super::plan::{Action, Plan, Request};
use super::probes::{Workers, probes};
use super::rng::Rng;

/// How soon a process that could not start tries again.
const START_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How often somebody who wants something of an agent looks whether it has started.
const LOOK_FOR_AGENT_EVERY: Duration = Duration::from_millis(10);

/// Runs it to its end, and tells what happened.
pub fn run(plan: &Plan) -> Vec<Entry> {
    let mut simulation = Simulation::new(plan);
    simulation.run();
    // The processes first, since they may still have something to say.
    simulation.places.clear();
    simulation.world.lock().unwrap().log.close()
}

struct Simulation<'a> {
    plan: &'a Plan,
    world: SharedWorld,
    places: Vec<Place>,
    /// Which set of checks is in force.
    set: Rc<Cell<usize>>,
    now: Us,
}

/// Where a process runs.
struct Place {
    roles: Roles,
    day_offset_us: Arc<AtomicI64>,
    process: Option<Process>,
    stalled_until: Us,
}

struct Process {
    id: ProcessId,
    host: Host,
    agent: Rc<OnceCell<Rc<Agent>>>,
    /// Whether it was stopped in order.
    stopped: Rc<Cell<bool>>,
}

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan) -> Self {
        let network = Network::new(plan.weather.clone(), Rng::new(plan.seed).fork());
        let place = |(roles, skew): (&Roles, &i64)| Place {
            roles: *roles,
            day_offset_us: Arc::new(AtomicI64::new(*skew)),
            process: None,
            stalled_until: 0,
        };
        Self {
            plan,
            world: Arc::new(Mutex::new(World { network, log: Log::default() })),
            places: plan.places.iter().zip(&plan.skews_us).map(place).collect(),
            set: Rc::default(),
            now: 0,
        }
    }

    fn run(&mut self) {
        let step = self.plan.weather.step_us;
        // The Runners first, so that the Checker finds them listening.
        for place in (0..self.places.len()).rev() {
            self.start(place);
        }
        let mut actions = self.plan.actions.iter().peekable();
        let all_stopped = |places: &[Place]| places.iter().all(Place::has_stopped);
        while self.now < self.plan.ends_at && (actions.peek().is_some() || !all_stopped(&self.places)) {
            while let Some((_, action)) = actions.next_if(|(at, _)| *at <= self.now) {
                self.act(action);
            }
            self.deliver();
            let next = self.now + step;
            for place in &mut self.places {
                place.go_on(self.now, next);
            }
            self.now = next;
        }
    }

    fn deliver(&self) {
        let World { network, log } = &mut *self.world.lock().unwrap();
        network.deliver_until(self.now, |process, message| {
            if let Some(event) = read_arrived(message) {
                log.note(self.now, process, event);
            }
        });
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Reload(set) => {
                self.set.set(*set);
                self.apply_set();
            }
            Action::Resize { place, pools } => {
                let largest = largest(pools);
                let pools = pools.clone();
                self.ask(*place, move |agent, note| async move {
                    note.note(Event::Resized { largest });
                    note.hear(agent.resize_pools(&pools).await);
                });
            }
            Action::Request(request) => {
                let request = request.clone();
                self.ask(0, move |agent, note| ask_for(agent, note, request));
            }
            Action::Beat { check, status, times } => {
                let (check, status, times) = (check.clone(), *status, *times);
                self.ask(0, move |agent, note| async move {
                    let Some(checker) = agent.checker() else { return };
                    for _ in 0..times {
                        let beat = Beat { status, ..Beat::default() };
                        let Some(answer) = note.hear(checker.beat(check.clone(), beat).await) else { return };
                        let answer = answer.map_err(|refused| refused.code);
                        note.note(Event::Beat { check: check.clone(), status, answer });
                    }
                });
            }
            Action::Stop { place, grace } => {
                let grace = *grace;
                let Some(process) = &self.places[*place].process else { return };
                let stopped = Rc::clone(&process.stopped);
                self.ask(*place, move |agent, note| async move {
                    note.note(Event::StopBegan { grace_us: grace.as_micros() as Us });
                    let report = agent.stop(grace).await;
                    let abandoned = report.abandoned.iter().map(|abandoned| abandoned.task).collect();
                    match report.gone {
                        Some(gone) => note.note(Event::Broken(gone.to_string())),
                        None => note.note(Event::Stopped { abandoned, flushed: report.flushed }),
                    }
                    if let Some(status) = note.hear(agent.status().await) {
                        note.note(Event::Looked(Box::new(status)));
                    }
                    stopped.set(true);
                });
            }
            Action::Kill { place, noticed_after } => self.kill(*place, self.now + noticed_after),
            Action::Start { place } => {
                // One that has stopped, or hangs, makes room.
                self.kill(*place, self.now);
                self.start(*place);
            }
            Action::CutOff { place, line, for_us } => {
                let Some(process) = &self.places[*place].process else { return };
                let World { network, log } = &mut *self.world.lock().unwrap();
                network.cut_off(process.id, *line, self.now + for_us);
                log.note(self.now, process.id, Event::CutOff(self.now + for_us, *line));
            }
            Action::Stall { place, for_us } => {
                let (until, now) = (self.now + for_us, self.now);
                let stalled = &mut self.places[*place];
                let Some(process) = &stalled.process else { return };
                if stalled.stalled_until < until {
                    stalled.stalled_until = until;
                    self.world.lock().unwrap().log.note(now, process.id, Event::Stalled(until));
                }
            }
            Action::SetDay { places, by_us } => {
                for place in places {
                    let Place { day_offset_us, process, .. } = &self.places[*place];
                    let offset = day_offset_us.fetch_add(*by_us, Ordering::Relaxed) + by_us;
                    if let Some(process) = process {
                        self.world.lock().unwrap().log.note(self.now, process.id, Event::DaySet(offset));
                    }
                }
            }
        }
    }

    fn start(&mut self, place: usize) {
        let (plan, now) = (self.plan, self.now);
        let Place { roles, day_offset_us, process, .. } = &mut self.places[place];
        let host = Host::start(now);
        let time = host.time();
        let id = {
            let World { network, log } = &mut *self.world.lock().unwrap();
            let id = network.connect();
            log.note(now, id, Event::Started(*roles));
            log.note(now, id, Event::DaySet(day_offset_us.load(Ordering::Relaxed)));
            log.note(now, id, Event::Resized { largest: largest(&plan.pools) });
            id
        };
        let mut settings = AgentSettings::new("b1".parse().unwrap(), format!("r{place}").parse().unwrap());
        settings.pools = plan.pools.clone();
        settings.wait_max = plan.wait_max;
        settings.answer_grace = plan.answer_grace;
        let workers = Arc::new(Workers {
            fates: plan.fates.clone(),
            world: Arc::clone(&self.world),
            process: id,
            time: time.clone(),
            made: AtomicU64::new(0),
            at_start: plan.pools.values().map(|pool| pool.size as u64).sum(),
        });
        let deps = Deps {
            bus: Arc::new(SimBus { world: Arc::clone(&self.world), process: id, time: time.clone() }),
            clock: Arc::new(SimClock { time: time.clone(), day_offset_us: Arc::clone(day_offset_us) }),
            // One that knows this machine, and nobody to ask for more.
            resolver: Resolver::with_nameservers(Vec::new()),
            finder: TargetFinder::standard(&Resolver::with_nameservers(Vec::new())),
            probes: probes(&workers),
            audit: AuditLog::off(),
            guard: Guard::local(),
        };
        let agent = Rc::<OnceCell<Rc<Agent>>>::default();
        let notes = Notes { world: Arc::clone(&self.world), process: id, time };
        host.spawn(live(settings, *roles, deps, Rc::clone(&agent), notes, plan.look_every_us));
        *process = Some(Process { id, host, agent, stopped: Rc::default() });
        if *roles != Roles::Runner {
            self.apply_set();
        }
    }

    fn apply_set(&mut self) {
        let (set, sets) = (self.set.get(), self.plan.sets.clone());
        self.ask(0, move |agent, note| async move {
            let Some(checker) = agent.checker() else { return };
            if let Some(changed) = note.hear(checker.replace_checks(sets[set].clone()).await) {
                note.note(Event::Configured { set, generation: changed.config_generation });
            }
        });
    }

    fn kill(&mut self, place: usize, noticed_at: Us) {
        let place = &mut self.places[place];
        place.stalled_until = 0;
        let Some(process) = place.process.take() else { return };
        {
            let World { network, log } = &mut *self.world.lock().unwrap();
            log.note(self.now, process.id, Event::Killed);
            network.kill(process.id, noticed_at);
        }
        drop(process);
    }

    /// Does something with an agent, as soon as it has started.
    fn ask<F: Future<Output = ()> + 'static>(&self, place: usize, what: impl FnOnce(Rc<Agent>, Notes) -> F + 'static) {
        let Some(Process { id, host, agent, .. }) = &self.places[place].process else { return };
        let notes = Notes { world: Arc::clone(&self.world), process: *id, time: host.time() };
        let agent = Rc::clone(agent);
        host.spawn(async move {
            let agent = loop {
                match agent.get() {
                    Some(agent) => break Rc::clone(agent),
                    None => tokio::time::sleep(LOOK_FOR_AGENT_EVERY).await,
                }
            };
            what(agent, notes).await;
        });
    }
}

impl Place {
    fn has_stopped(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.stopped.get())
    }

    fn go_on(&mut self, now: Us, next: Us) {
        let Some(process) = &self.process else { return };
        if self.stalled_until > now {
            return;
        }
        if self.stalled_until == now {
            process.host.wake_at(now);
        }
        process.host.run_until(next);
    }
}

/// What is done within a process writes into the log by this.
struct Notes {
    world: SharedWorld,
    process: ProcessId,
    time: HostTime,
}

impl Notes {
    fn note(&self, event: Event) {
        self.world.lock().unwrap().log.note(self.time.now_us(), self.process, event);
    }

    fn hear<T>(&self, said: Result<T, watchpost_agent::AgentError>) -> Option<T> {
        said.inspect_err(|error| self.note(Event::Broken(error.to_string()))).ok()
    }
}

/// The life of a process: it starts its agent, and looks at it again and again.
async fn live(
    settings: AgentSettings,
    roles: Roles,
    deps: Deps,
    agent: Rc<OnceCell<Rc<Agent>>>,
    notes: Notes,
    look_every_us: Us,
) {
    let started = loop {
        match Agent::start(settings.clone(), roles, deps.clone()).await {
            Ok(started) => break Rc::new(started),
            // The bus is away.
            Err(_) => tokio::time::sleep(START_AGAIN_AFTER).await,
        }
    };
    let started = agent.get_or_init(|| started);
    loop {
        let Some(status) = notes.hear(started.status().await) else { return };
        notes.note(Event::Looked(Box::new(status)));
        tokio::time::sleep(Duration::from_micros(look_every_us)).await;
    }
}

async fn ask_for(agent: Rc<Agent>, notes: Notes, request: Request) {
    let Request { number, items, limit, policy, dropped_after } = request;
    let count = items.len();
    let item = |(i, check): (usize, Option<watchpost_model::Check>)| match check {
        Some(check) => RunItem::Check(Box::new(check)),
        None => RunItem::Invalid {
            id: format!("i{i}").parse().unwrap(),
            given: "nonsense".to_owned(),
            message: "as the plan says".to_owned(),
        },
    };
    let items = items.into_iter().enumerate().map(item).collect();
    let Some(checker) = agent.checker() else { return };
    notes.note(Event::RequestMade { request: number, items: count, limit_us: limit.as_micros() as Us });
    let Some(mut results) = notes.hear(checker.run_now(RunRequest { items, limit, policy }).await) else { return };
    let gone_at = dropped_after.map(|after| notes.time.at(notes.time.now_us() + after));
    loop {
        let next = async {
            match gone_at {
                Some(at) => tokio::time::timeout_at(at, results.recv()).await.ok(),
                None => Some(results.recv().await),
            }
        };
        match next.await {
            Some(Some(RunReport::Result(result))) => {
                notes.note(Event::RequestTold { request: number, result: (&*result).into() });
            }
            // What it says is what the verdict on the bus says, which is judged.
            Some(Some(RunReport::Verdict(_))) => {}
            Some(Some(RunReport::Over { item, .. })) => notes.note(Event::RequestOver { request: number, item }),
            Some(None) => return notes.note(Event::RequestEnded { request: number }),
            None => {
                notes.note(Event::RequestDropped { request: number });
                return;
            }
        }
    }
}

fn largest(pools: &std::collections::BTreeMap<CheckType, PoolSettings>) -> usize {
    pools.values().map(|pool| pool.size).max().unwrap_or(0)
}
