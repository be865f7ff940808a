//! `watchpost check`: one shot, through the same Checker, Runner and Dispatcher as everything else.

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{
    Agent, AgentSettings, Deps, GroupPolicy, PoolSettings, RUN_TASKS_MAX, Roles, RunItem, RunRequest, SystemClock,
};
use watchpost_audit::AuditLog;
use watchpost_bus::InProcessBus;
use watchpost_model::{Check, CheckDocument, CheckId, CheckType};
use watchpost_probe::{ProbeOptions, ProbeSet, Resolver, TargetFinder};

use crate::cli::{CheckArgs, OutputFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Format, Lead, Printer};
use crate::policy::{BuiltIn, choose};
use crate::signals::StopSignals;
use crate::{commands, config, target};

/// How many checks run at the same time unless told otherwise: below the usual limit of open
/// files, and no more than a target is likely to bear.
const PARALLEL_MAX: usize = 1_000;
/// How long an interrupted run may take to report what it had.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);

/// Checks everything that was named, once.
pub fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let Asked { items, known, probes } = asked(&args)?;
    if items.is_empty() {
        return Err(Failure::usage("there is nothing to check: the file has no checks or targets"));
    }
    if items.len() > RUN_TASKS_MAX {
        return Err(Failure::usage(format!("{} targets are too many: expected at most {RUN_TASKS_MAX}", items.len())));
    }
    commands::in_system(check(args, Asked { items, known, probes }))
}

/// What is to be checked.
struct Asked {
    items: Vec<RunItem>,
    /// What groups may be made of.
    known: Vec<Check>,
    probes: ProbeOptions,
}

fn asked(args: &CheckArgs) -> Result<Asked, Failure> {
    let (mut items, mut known) = (Vec::new(), Vec::new());
    let mut probes = ProbeOptions::new(&Resolver::system());
    let mut policy = args.policy.clone();
    if let Some(file) = &args.config {
        let loaded = config::load(file)?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        probes = loaded.settings.probes(&loaded.settings.resolver());
        policy = policy.or_else(|| loaded.settings.policy.clone());
        crate::logging::keep_out(&probes.secrets);
        // What never runs by itself runs as a part of what does.
        let parts: HashSet<&CheckId> = loaded.checks.iter().filter_map(Check::group).flatten().collect();
        let whole = loaded.checks.iter().filter(|check| check.is_scheduled() || !parts.contains(check.id()));
        // A job reports in when it has something to report, and not when somebody looks.
        let (whole, jobs): (Vec<_>, Vec<_>) =
            whole.partition(|check| check.check_type().is_none_or(CheckType::has_tasks));
        jobs.iter().for_each(
            |check| tracing::warn!(check = %check.id(), "heartbeat checks wait for jobs to report in: left out"),
        );
        items.extend(whole.into_iter().map(|check| RunItem::Check(Box::new(check.clone()))));
        known = loaded.checks.into_iter().map(unscheduled).collect::<Result<_, _>>()?;
    }
    probes.guard = choose(policy.as_deref(), BuiltIn::Local)?.guard();
    if !args.exec_dirs.is_empty() {
        let policy = (*probes.guard.policy()).clone().with_exec_directories(args.exec_dirs.iter().cloned());
        probes.guard.replace(policy, probes.guard.standing());
    }
    let mut targets = args.targets.clone();
    if let Some(file) = &args.from {
        targets.extend(read_targets(file)?);
    }
    for (i, text) in targets.iter().enumerate() {
        let item = target::parse(text, i + 1, args.timeout, args.all_addresses).map_err(Failure::usage)?;
        items.push(item);
    }
    Ok(Asked { items, known, probes })
}

/// The same check, known to the Checker and never due.
fn unscheduled(check: Check) -> Result<Check, Failure> {
    let document = CheckDocument { scheduled: false, ..check.into() };
    Check::try_from(document).map_err(|e| Failure::usage(e.to_string()))
}

/// One target a line; empty lines and those that begin with `#` are passed over.
fn read_targets(file: &Path) -> Result<Vec<String>, Failure> {
    let error = |e: std::io::Error| Failure::usage(format!("{}: {e}", file.display()));
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::io::BufReader::new(std::fs::File::open(file).map_err(error)?))
    };
    let mut targets = Vec::new();
    for line in reader.lines() {
        let line = line.map_err(error)?;
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            targets.push(line.to_owned());
        }
        if targets.len() > RUN_TASKS_MAX {
            let file = file.display();
            return Err(Failure::usage(format!("{file} has too many targets: expected at most {RUN_TASKS_MAX}")));
        }
    }
    Ok(targets)
}

async fn check(args: CheckArgs, asked: Asked) -> Result<Exit, Failure> {
    let Asked { items, known, probes } = asked;
    let failed_to = |what: &'static str| move |e: std::io::Error| Failure::usage(format!("{what}: {e}"));
    let mut signals = StopSignals::listen().map_err(failed_to("signals cannot be listened for"))?;
    let agent = Agent::start(settings(&args, items.len())?, Roles::Both, deps(&probes)).await?;
    let Some(checker) = agent.checker() else { return Err(Failure::usage("there is no Checker")) };
    checker.replace_checks(known).await?;
    let policy = if args.fail_fast { GroupPolicy::FailFast } else { GroupPolicy::CollectAll };
    let results = checker.run_now(RunRequest { items, limit: args.timeout, policy }).await?;
    let format = match args.output {
        OutputFormat::Table => Format::Rows,
        OutputFormat::Json => Format::Array,
        OutputFormat::Ndjson => Format::Lines,
    };
    let printer = Printer { format, quiet: args.quiet, lead: Lead::default(), verbose: args.verbose, progress: true };
    let begun = std::time::Instant::now();
    let mut printed = printer.start(results).map_err(failed_to("the printing thread cannot be started"))?;
    let printed = tokio::select! {
        printed = &mut printed => printed,
        signal = signals.next() => {
            tracing::warn!("{signal}: what is still running is cancelled");
            let report = agent.stop(INTERRUPT_GRACE).await;
            super::tell_abandoned(&report);
            match tokio::time::timeout(INTERRUPT_GRACE, printed).await {
                Ok(printed) => printed,
                Err(_) => return Err(Failure::stuck("stdout does not take the results")),
            }
        }
    };
    let tally = match printed {
        Ok(Ok(tally)) => tally,
        // Nobody reads any more: there is nothing left to say.
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::NotPassed),
        Ok(Err(e)) => return Err(Failure::stuck(format!("stdout: {e}"))),
        Err(_) => return Err(Failure::stuck("the printing thread panicked")),
    };
    if args.output == OutputFormat::Table {
        summarise(&tally, begun.elapsed());
    }
    Ok(if tally.all_passed() { Exit::Ok } else { Exit::NotPassed })
}

#[expect(clippy::print_stderr, reason = "the summary is for people")]
fn summarise(tally: &crate::output::Tally, took: Duration) {
    eprintln!("{tally} in {:.2} s", took.as_secs_f64());
}

fn settings(args: &CheckArgs, items: usize) -> Result<AgentSettings, Failure> {
    let name = |text: &str| Failure::usage(format!("`{text}` is not a name"));
    let bastion = "local".parse().map_err(|_| name("local"))?;
    let runner = "check".parse().map_err(|_| name("check"))?;
    let mut settings = AgentSettings::new(bastion, runner);
    let size = args.parallel.map_or(PARALLEL_MAX, |n| n as usize);
    let size = if args.all_addresses || args.config.is_some() { size } else { size.min(items.max(1)) };
    // One request has every worker to itself: there is nobody to leave some to.
    let pool = PoolSettings { size, queue_max: RUN_TASKS_MAX, per_check_max: Some(size) };
    settings.pools = CheckType::ALL.iter().map(|check_type| (*check_type, pool)).collect::<BTreeMap<_, _>>();
    settings.wait_max = args.timeout;
    Ok(settings)
}

fn deps(probes: &ProbeOptions) -> Deps {
    Deps {
        bus: Arc::new(InProcessBus::new()),
        clock: Arc::new(SystemClock::default()),
        probes: ProbeSet::new(probes),
        resolver: probes.resolver.clone(),
        finder: TargetFinder::new(probes),
        // Whoever runs it sees what it does.
        audit: AuditLog::off(),
        guard: probes.guard.clone(),
    }
}
