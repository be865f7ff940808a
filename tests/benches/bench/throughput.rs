//! Checks a second and processor time for each check, beside tools that do as much, on the same
//! server and in turns, so that whatever else the machine does meets all of them alike.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use watchpost_agent::{Roles, run_system};
use watchpost_bus::{InProcessBus, NatsBus, NatsOptions, SharedBus};
use watchpost_probe::{ProbeSet, Resolver};
use watchpost_tests::nats_server::NatsServer;

use crate::agents::{self, BASTION, QUEUE_MAX};
use crate::figures::{Figures, grouped, median};
use crate::process::{Folder, Process, cpu, watchpost};
use crate::servers::{Blackbox, Nginx, Wrk, not_installed};

/// How many checks run at a time, and how many connections wrk has.
const AT_A_TIME: usize = 100;

/// How long it all takes.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// How many times each takes its turn.
    pub rounds: usize,
    /// How many checks in each turn.
    pub checks: usize,
    /// How long a turn of wrk is.
    pub seconds: u64,
}

/// What one turn showed.
#[derive(Debug, Clone)]
struct Turn {
    /// Checks a second.
    rate: f64,
    /// Processor time for each check, in µs, by process.
    cpu_us: Vec<(&'static str, f64)>,
}

/// Takes turns.
pub fn run(extent: Extent, figures: &mut Figures) {
    let (Some(nginx), Some(wrk)) = (Nginx::start(), Wrk::find()) else {
        return figures.missing("throughput beside wrk", &not_installed("nginx or wrk:"));
    };
    let bench = Bench::start(nginx, wrk, extent);
    let mut all: Vec<(&str, Vec<Turn>)> = Vec::new();
    for round in 1..=extent.rounds {
        for (name, turn) in bench.round() {
            eprintln!("  round {round}: {name:24} {:>7}/s  {:?}", grouped(turn.rate), turn.cpu_us);
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, turns)) => turns.push(turn),
                None => all.push((name, vec![turn])),
            }
        }
    }
    report(&all, figures);
}

const WRK: &str = "wrk, fresh connections";
const CHECK: &str = "`watchpost check`";
const RUNNER: &str = "Runner alone";
const WHOLE: &str = "whole path over NATS";
const BLACKBOX: &str = "blackbox exporter";

/// Everything that runs from the first round to the last.
struct Bench {
    extent: Extent,
    nginx: Nginx,
    wrk: Wrk,
    blackbox: Option<Blackbox>,
    nats: NatsServer,
    runner: Process,
    folder: Folder,
}

impl Bench {
    fn start(nginx: Nginx, wrk: Wrk, extent: Extent) -> Self {
        let folder = Folder::new();
        let nats = NatsServer::start();
        let pools = format!("pools: {{http: {{size: {AT_A_TIME}, queue: {QUEUE_MAX}}}}}\nwait_for_worker: 1m\n");
        let config = folder.write("runner.yaml", &pools);
        folder.write("targets", &format!("{}\n", nginx.url()).repeat(extent.checks));
        let mut command = watchpost();
        command.args(["runner", "--bastion", BASTION, "--bus", &nats.url()]).arg("-c").arg(config);
        let (runner, _) = Process::start_until(&mut command, "ready");
        let blackbox = Blackbox::start();
        blackbox.iter().for_each(|blackbox| blackbox.assert_reaches(&nginx.url()));
        Self { extent, nginx, wrk, blackbox, nats, runner, folder }
    }

    fn round(&self) -> Vec<(&'static str, Turn)> {
        let mut turns =
            vec![(WRK, self.wrk()), (CHECK, self.check()), (RUNNER, self.runner()), (WHOLE, self.whole_path())];
        if let Some(blackbox) = &self.blackbox {
            turns.push((BLACKBOX, self.blackbox(blackbox)));
        }
        turns
    }

    fn wrk(&self) -> Turn {
        let meter = Meter::start(vec![("wrk", Whose::EndedChildren), self.server()]);
        let rate = self.wrk.run(&self.nginx.url(), AT_A_TIME, self.extent.seconds, true);
        meter.stop_at_rate(rate, self.extent.seconds)
    }

    fn blackbox(&self, blackbox: &Blackbox) -> Turn {
        let meter = Meter::start(vec![
            ("exporter", Whose::Process(blackbox.pid())),
            ("wrk", Whose::EndedChildren),
            self.server(),
        ]);
        // wrk keeps its connections to the exporter: only what the exporter does is to be measured.
        let rate = self.wrk.run(&blackbox.url(&self.nginx.url()), AT_A_TIME, self.extent.seconds, false);
        meter.stop_at_rate(rate, self.extent.seconds)
    }

    /// The command as people run it, from its start to its end.
    fn check(&self) -> Turn {
        let meter = Meter::start(vec![("watchpost", Whose::EndedChildren), self.server()]);
        let mut command = watchpost();
        command.args(["check", "--parallel", &AT_A_TIME.to_string(), "--timeout", "60s", "-q", "--from"]);
        command.arg(self.folder.path().join("targets")).stdin(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let status = command.status().expect("watchpost can be run");
        let took = begun.elapsed();
        assert!(status.success(), "every check passes: {status}");
        meter.stop(took, self.extent.checks)
    }

    /// A Runner in this process, on a bus in this process, given tasks that are encoded already.
    fn runner(&self) -> Turn {
        let check = agents::http_check(&self.nginx.url());
        let run = async {
            let bus: SharedBus = Arc::new(InProcessBus::new());
            let agent = agents::start(Roles::Runner, &bus, ProbeSet::standard(&Resolver::system()), AT_A_TIME).await;
            let mut results = agents::subscribe_to_results(&bus).await;
            let tasks = agents::tasks(&check, self.extent.checks);
            let meter = Meter::start(vec![("runner", Whose::Own), self.server()]);
            let took = agents::run_tasks(&bus, &mut results, tasks).await;
            let turn = meter.stop(took, self.extent.checks);
            agents::stop(agent).await;
            turn
        };
        run_system(run).expect("a runtime")
    }

    /// A Checker in this process, nats-server, and a Runner in a process of its own.
    fn whole_path(&self) -> Turn {
        let check = agents::http_check(&self.nginx.url());
        let run = async {
            let bus: SharedBus =
                Arc::new(NatsBus::connect(NatsOptions::new([self.nats.url()])).await.expect("the bus"));
            let agent = agents::start(Roles::Checker, &bus, ProbeSet::default(), AT_A_TIME).await;
            let meter = Meter::start(vec![
                ("checker", Whose::Own),
                ("nats-server", Whose::Process(self.nats.pid())),
                ("runner", Whose::Process(self.runner.pid())),
                self.server(),
            ]);
            let took = agents::run_now(&agent, &check, self.extent.checks).await;
            let turn = meter.stop(took, self.extent.checks);
            agents::stop(agent).await;
            turn
        };
        run_system(run).expect("a runtime")
    }

    fn server(&self) -> (&'static str, Whose) {
        ("nginx", Whose::Process(self.nginx.pid()))
    }
}

/// Whose processor time is metered.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Own,
    EndedChildren,
    Process(u32),
}

impl Whose {
    fn used(self) -> Duration {
        match self {
            Self::Own => cpu::of_self(),
            Self::EndedChildren => cpu::of_ended_children(),
            Self::Process(pid) => cpu::of(pid),
        }
    }
}

/// Processor time from here to there.
struct Meter(Vec<(&'static str, Whose, Duration)>);

impl Meter {
    fn start(parts: Vec<(&'static str, Whose)>) -> Self {
        Self(parts.into_iter().map(|(name, whose)| (name, whose, whose.used())).collect())
    }

    fn stop(self, took: Duration, checks: usize) -> Turn {
        let each = |used: Duration| used.as_secs_f64() * 1e6 / checks as f64;
        let cpu_us = self.0.into_iter().map(|(name, whose, before)| (name, each(whose.used() - before))).collect();
        Turn { rate: checks as f64 / took.as_secs_f64(), cpu_us }
    }

    fn stop_at_rate(self, rate: f64, seconds: u64) -> Turn {
        let requests = (rate * seconds as f64) as usize;
        Turn { rate, ..self.stop(Duration::from_secs(seconds), requests.max(1)) }
    }
}

fn report(all: &[(&str, Vec<Turn>)], figures: &mut Figures) {
    for (name, turns) in all {
        let rates = || turns.iter().map(|turn| turn.rate);
        let (low, high) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
        let value = format!("{}/s ({} to {})", grouped(median(rates())), grouped(low), grouped(high));
        figures.note(format!("{name}: checks a second"), value);
        let parts = turns[0].cpu_us.iter().enumerate().map(|(i, (part, _))| {
            let us = median(turns.iter().map(|turn| turn.cpu_us[i].1));
            format!("{part} {us:.0}")
        });
        figures.note(format!("{name}: CPU for each check, µs"), parts.collect::<Vec<_>>().join(", "));
    }
    for (name, least) in [(CHECK, 0.45), (RUNNER, 0.45), (WHOLE, 0.30)] {
        if let Some(ratio) = ratio_of(all, name, WRK) {
            figures.ratio(format!("{name} ÷ wrk"), ratio, least);
        }
    }
    for name in [CHECK, RUNNER, WHOLE] {
        match ratio_of(all, name, BLACKBOX) {
            Some(ratio) => figures.ratio(format!("{name} ÷ blackbox exporter"), ratio, 4.0),
            None => figures.missing(format!("{name} ÷ blackbox exporter"), &not_installed(Blackbox::NAME)),
        }
    }
}

/// The median of the ratios within each round: what disturbs a round disturbs both sides of its ratio.
fn ratio_of(all: &[(&str, Vec<Turn>)], name: &str, other: &str) -> Option<f64> {
    let turns_of = |name| all.iter().find(|(known, _)| *known == name).map(|(_, turns)| turns);
    let pairs = turns_of(name)?.iter().zip(turns_of(other)?);
    Some(median(pairs.map(|(turn, other)| turn.rate / other.rate)))
}
