//! The benchmarks: `just bench`, or `just bench throughput lateness` for some of them. `quick`
//! among the names makes all of them short, to see that they work.
//!
//! It prints figures beside their goals and never fails for a figure: times belong to the machine.
//! It fails where something does not work. What the figures mean is in docs/benchmarks.md.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark whose parts do not work has failed, and it talks to whoever runs it"
)]

mod agents;
mod dispatch;
mod figures;
mod footprint;
mod group;
mod judgement;
mod lateness;
mod process;
mod servers;
mod throughput;

use std::time::{Duration, Instant};

use figures::Figures;
use throughput::Extent;

/// That of the binary, since some agents run in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much of everything.
struct Sizes {
    extent: Extent,
    dispatch: (usize, usize),
    lateness: Duration,
    group: usize,
    firing: Duration,
    starts: usize,
    judgements: usize,
}

const FULL: Sizes = Sizes {
    extent: Extent { rounds: 7, checks: 20_000, seconds: 2 },
    dispatch: (5, 50_000),
    lateness: Duration::from_secs(10),
    group: 5,
    firing: Duration::from_secs(25),
    starts: 20,
    judgements: 5_000_000,
};

const QUICK: Sizes = Sizes {
    extent: Extent { rounds: 1, checks: 2_000, seconds: 1 },
    dispatch: (1, 5_000),
    lateness: Duration::from_secs(1),
    group: 1,
    firing: Duration::from_secs(3),
    starts: 2,
    judgements: 100_000,
};

type Section = (&'static str, fn(&Sizes, &mut Figures));

const SECTIONS: [Section; 7] = [
    ("throughput", |sizes, figures| throughput::run(sizes.extent, figures)),
    ("dispatch", |sizes, figures| dispatch::run(sizes.dispatch.0, sizes.dispatch.1, figures)),
    ("lateness", |sizes, figures| lateness::run(sizes.lateness, figures)),
    ("group", |sizes, figures| group::run(sizes.group, figures)),
    ("policy", |sizes, figures| judgement::run(sizes.judgements, figures)),
    ("memory", |sizes, figures| footprint::memory(sizes.firing, figures)),
    ("start", |sizes, figures| footprint::start(sizes.starts, figures)),
];

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` starts this too, and means something else by it.
    if !given.iter().any(|arg| arg == "--bench") {
        return;
    }
    let names: Vec<&str> = given.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    let known = |name: &str| name == "quick" || SECTIONS.iter().any(|(section, _)| *section == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let sections = SECTIONS.map(|(section, _)| section).join(", ");
        eprintln!("there is no benchmark `{unknown}`: expected some of {sections}, or quick");
        std::process::exit(2);
    }
    let sizes = if names.contains(&"quick") { &QUICK } else { &FULL };
    let wanted = |section: &str| names.iter().all(|name| *name == "quick") || names.contains(&section);
    let mut figures = Figures::default();
    for (section, run) in SECTIONS.into_iter().filter(|(section, _)| wanted(section)) {
        let begun = Instant::now();
        eprintln!("{section} …");
        run(sizes, &mut figures);
        eprintln!("{section} took {:.0} s", begun.elapsed().as_secs_f64());
    }
    println!("\n{}\nAs rows for docs/benchmarks.md:\n\n{}", figures.table(), figures.markdown());
}
