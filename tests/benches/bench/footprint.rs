//! Memory with many checks, and the time to start.

use std::fmt::Write;
use std::time::Duration;

use watchpost_tests::nats_server::NatsServer;

use crate::agents::BASTION;
use crate::figures::{Figures, median, shown};
use crate::process::{Folder, Process, free_port, watchpost};

const CHECKS: usize = 10_000;
const MEMORY_MAX_MIB: f64 = 60.0;
const START_MAX: Duration = Duration::from_millis(150);
/// How long a process is left alone before its memory is read.
const IDLE_FOR: Duration = Duration::from_secs(3);

/// Reads the memory of idle processes, and of one that fires for `firing`.
pub fn memory(firing: Duration, figures: &mut Figures) {
    let folder = Folder::new();
    let nats = NatsServer::start();
    let idle = folder.write("idle.yaml", &checks("24h"));
    let busy = folder.write("busy.yaml", &checks("10s"));
    let mut up = watchpost();
    up.args(["up", "--console", "off", "-o", "ndjson", "-c"]).arg(&idle);
    let mut bastion = watchpost();
    bastion.args(["bastion", "--bastion", BASTION, "--bus", &nats.url(), "-c"]).arg(&idle);
    let mut firing_up = watchpost();
    firing_up.args(["up", "--console", "off", "-o", "ndjson", "-c"]).arg(&busy);
    for (what, command, wait) in [
        ("10 000 checks, `watchpost up`, idle", &mut up, IDLE_FOR),
        ("10 000 checks, `watchpost bastion`, idle", &mut bastion, IDLE_FOR),
        ("10 000 checks every 10 s against a closed port, `watchpost up`", &mut firing_up, firing),
    ] {
        let (process, _) = Process::start_until(command, "ready");
        std::thread::sleep(wait);
        let (now, most) = process.resident_mib();
        let value = format!("{now:.0} MiB (at most {most:.0})");
        figures.goal(format!("resident: {what}"), value, format!("≤ {MEMORY_MAX_MIB} MiB"), now <= MEMORY_MAX_MIB);
    }
}

/// Checks of a port that refuses connections.
fn checks(interval: &str) -> String {
    let port = free_port();
    let mut text = String::from("checks:\n");
    for i in 0..CHECKS {
        writeln!(text, "  - {{id: check-{i}, interval: {interval}, http: {{url: 'http://127.0.0.1:{port}/{i}'}}}}")
            .expect("a String takes everything");
    }
    text
}

/// The median time from the start of an idle bastion to the line that says it is ready.
pub fn start(times: usize, figures: &mut Figures) {
    let nats = NatsServer::start();
    let start = |_| {
        let mut command = watchpost();
        command.args(["bastion", "--bastion", BASTION, "--bus", &nats.url()]);
        let (_process, took) = Process::start_until(&mut command, "ready");
        took.as_secs_f64()
    };
    let took = Duration::from_secs_f64(median((0..times).map(start)));
    let what = format!("start of `watchpost bastion` until it is ready, median of {times}");
    figures.goal(what, shown(took), format!("≤ {}", shown(START_MAX)), took <= START_MAX);
}
