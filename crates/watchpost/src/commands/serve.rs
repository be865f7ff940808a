//! The long-running roles: `up`, `bastion`, `checker`, `runner`.

mod prospect;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{
    Agent, AgentSettings, Clock as _, ConfigurationSource, Deps, GROUPS_MAX, Roles, StopReport, StoreSettings,
    SystemClock, follow, new_instance, stored_checks,
};
use watchpost_audit::{AuditLog, AuditSettings};
use watchpost_bus::{BusError, InProcessBus, LocalFallbackBus, NatsBus, NatsCredentials, NatsOptions, SharedBus};
use watchpost_console::Console;
use watchpost_model::{BastionId, Check, RunnerId, Subjects};
use watchpost_probe::{ProbeSet, TargetFinder};

pub use self::prospect::{Prospect, prospect};
use super::printing::Printing;
use crate::cli::{AgentArgs, AuthArgs, BusArgs, ConsoleArg, StreamFormat, UpArgs};
use crate::config::{self, FileConfig, FileSource, Loaded};
use crate::failure::{Exit, Failure};
use crate::health::AgentHealth;
use crate::managed::Managed;
use crate::output::{Clock, Format, Lead, Printer};
use crate::policy::{BuiltIn, OwnPlaces, choose};
use crate::remote::{self, overlay_auth};
use crate::signals::{StopSignals, reloads};

/// Where the console of `up` listens unless told otherwise.
const CONSOLE_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8627);
/// How long a bus may take to close, and stdout to take the last results, after a stop.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long a stop at once may take to name what it abandons.
const NAMING_LIMIT: Duration = Duration::from_millis(500);

/// Which bus to use.
enum BusChoice {
    InProcess,
    Nats(Vec<String>),
    /// A server of our own, and the program that it is.
    Managed(Option<PathBuf>),
}

/// The word for a server of our own among buses.
const MANAGED: &str = "managed";

/// What a role is to be run with.
struct Plan {
    roles: Roles,
    args: AgentArgs,
    runner: Option<RunnerId>,
    bus: BusChoice,
    auth: AuthArgs,
    console_default: Option<SocketAddr>,
    print: Option<Printer>,
}

/// Everything in one process.
pub fn up(args: UpArgs) -> Result<Exit, Failure> {
    let bus = match args.bus.as_slice() {
        [] if args.agent.config.is_none() => {
            return Err(Failure::usage(
                "`up` wants a configuration file, or a bus to be given checks over: watchpost up -c FILE, or \
                 watchpost up --bus managed",
            ));
        }
        [] => BusChoice::InProcess,
        [one] if one == MANAGED => BusChoice::Managed(args.nats_server),
        several if several.iter().any(|one| one == MANAGED) => {
            return Err(Failure::usage("`--bus managed` is a bus of its own: expected no other server beside it"));
        }
        _ => BusChoice::Nats(args.bus),
    };
    let format = match args.output {
        StreamFormat::Table => Format::Rows,
        StreamFormat::Ndjson => Format::Lines,
    };
    let plan = Plan {
        roles: Roles::Both,
        args: args.agent,
        runner: None,
        bus,
        auth: args.auth,
        console_default: Some(CONSOLE_DEFAULT),
        print: Some(Printer {
            format,
            quiet: args.quiet,
            lead: Lead::clock(Clock::Time),
            verbose: args.verbose,
            progress: false,
        }),
    };
    super::in_system(serve(plan))
}

/// One or both roles on NATS.
pub fn on_bus(roles: Roles, args: BusArgs) -> Result<Exit, Failure> {
    let bus = BusChoice::Nats(args.bus);
    let plan =
        Plan { roles, args: args.agent, runner: args.runner, bus, auth: args.auth, console_default: None, print: None };
    super::in_system(serve(plan))
}

async fn serve(plan: Plan) -> Result<Exit, Failure> {
    let io = |e: std::io::Error| Failure::usage(format!("signals cannot be listened for: {e}"));
    let mut signals = StopSignals::listen().map_err(io)?;
    let (reload, reload_policy) = (reloads().map_err(io)?, reloads().map_err(io)?);

    let source = plan.args.config.clone().map(|file| Arc::new(FileSource::new(file)));
    // Looked at before it is read: a change in between is seen as one later.
    let fingerprint = source.as_ref().and_then(|source| source.fingerprint());
    let Loaded { settings: file, checks, warnings } = load(plan.args.config.as_ref())?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let policy = choose(plan.args.policy.as_deref().or(file.policy.as_deref()), built_in(&plan.bus))?;
    let grace = plan.args.grace.unwrap_or_else(|| file.grace());
    let (bastion, runner) = identity(&plan, &file)?;
    let mut settings = file.agent(bastion, runner);
    let store = store(&plan, &file, checks)?;
    if store.file.is_empty() && store.bucket.is_none() && plan.roles != Roles::Runner {
        tracing::warn!("no checks are configured: nothing will be checked");
    }
    // Whoever has something to run begins without the bus as well.
    let stored = match (&store.state_dir, plan.roles) {
        (Some(folder), Roles::Both | Roles::Checker) => stored_checks(folder, &settings.bastion),
        _ => 0,
    };
    settings.store = Some(store);

    // The console first: what cannot listen should say so before anything runs.
    let console = match console_address(&plan, &file) {
        Some(address) => Some(Console::listen(address).await.map_err(|e| Failure::usage(e.to_string()))?),
        None => None,
    };
    let managed = match &plan.bus {
        BusChoice::Managed(program) => Some(Managed::start(&state_dir(&plan, &file)?, program.clone()).await?),
        BusChoice::InProcess | BusChoice::Nats(_) => None,
    };
    let options = nats_options(&plan, &file, &settings, managed.as_ref())?;
    if let (Some(managed), Some(options)) = (&managed, &options) {
        managed.prepare(options, &settings.prefix, file.bucket()).await?;
    }
    let bus = connect(options.as_ref(), stored).await?;
    let bus = match (&options, plan.roles) {
        // Both ends of each task are here: while the server is away they find each other, and others are told later.
        (Some(_), Roles::Both) => {
            let subjects = Subjects::new(&settings.prefix, &settings.bastion);
            let keeps = vec![subjects.results(), subjects.verdicts(), subjects.events()];
            Arc::new(LocalFallbackBus::new(bus, keeps)) as SharedBus
        }
        _ => bus,
    };
    let printing = match plan.print {
        Some(printer) => {
            // On NATS a connection of its own: of two subscriptions to results on one connection, the
            // server would tell only one that no Runner listens, and that has to be the Checker's.
            let own = match &options {
                None => Arc::clone(&bus),
                options => connect(options.as_ref(), stored).await?,
            };
            Some(Printing::start(printer, own, &settings).await?)
        }
        None => None,
    };
    let audit = audit_log(&plan, &file, &settings)?;
    let resolver = file.resolver();
    let bus_hosts = options.as_ref().map(NatsOptions::hosts).transpose()?.unwrap_or_default();
    let mut probes = file.probes(&resolver);
    let policy = policy.begin(OwnPlaces::new(bus_hosts, console.as_ref().map(Console::address))).await;
    probes.guard = policy.guard();
    crate::logging::keep_out(&probes.secrets);
    let deps = Deps {
        bus: Arc::clone(&bus),
        clock: Arc::new(SystemClock::default()),
        probes: ProbeSet::new(&probes),
        finder: TargetFinder::new(&probes),
        resolver,
        audit: audit.clone(),
        guard: policy.guard(),
    };
    let agent = Arc::new(Agent::start(settings, plan.roles, deps).await?);
    policy.keep(audit.clone(), reload_policy);
    if let Some(log) = crate::logging::control() {
        agent.set_log_control(log);
    }
    if let Some(console) = console {
        tracing::info!(address = %console.address(), "the console listens");
        tokio::spawn(console.serve(Arc::new(AgentHealth(Arc::clone(&agent)))));
    }
    if let Some(source) = source {
        tokio::spawn(follow(source, fingerprint, Arc::clone(&agent), reload));
    }
    tracing::info!(bastion = %agent.settings().bastion, role = plan.roles.name(), "ready");

    let broken = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, ?grace, "stopping; a second signal stops at once");
            None
        }
        error = agent.broken() => {
            tracing::error!(%error, "stopping: this process cannot do its work any more");
            Some(error)
        }
    };
    let report = tokio::select! {
        report = agent.stop(grace) => report,
        signal = signals.next_again() => {
            tracing::error!(signal, "stopped at once: what was running is abandoned");
            // A stop without any grace only names what there is.
            if let Ok(report) = tokio::time::timeout(NAMING_LIMIT, agent.stop(Duration::ZERO)).await {
                super::tell_abandoned(&report);
            }
            return Ok(Exit::DrainExpired);
        }
    };
    if !audit.close(CLOSE_LIMIT) {
        tracing::error!("the end of the audit log could not be written");
    }
    close(&bus).await;
    if let Some(printing) = printing {
        printing.finish().await;
    }
    if let Some(managed) = managed {
        managed.stop().await;
    }
    let exit = tell(&report);
    // What is broken is told last, whatever could still be brought to an end.
    match broken.or(report.gone) {
        Some(error) => Err(error.into()),
        None => Ok(exit),
    }
}

/// What is in force without a policy file: whoever sends checks over a bus is not trusted as the user of this machine is.
fn built_in(bus: &BusChoice) -> BuiltIn {
    match bus {
        BusChoice::InProcess => BuiltIn::Local,
        BusChoice::Nats(_) | BusChoice::Managed(_) => BuiltIn::Strict,
    }
}

fn load(file: Option<&PathBuf>) -> Result<Loaded, Failure> {
    match file {
        Some(file) => Ok(config::load(file)?),
        None => Ok(Loaded { settings: FileConfig::default(), checks: Vec::new(), warnings: Vec::new() }),
    }
}

/// Where the checks come from.
fn store(plan: &Plan, file: &FileConfig, checks: Vec<Check>) -> Result<StoreSettings, Failure> {
    let given = &plan.args.groups;
    if given.len() > GROUPS_MAX {
        return Err(Failure::usage(format!("there are {} bastion groups: expected at most {GROUPS_MAX}", given.len())));
    }
    Ok(StoreSettings {
        file: checks,
        bucket: match plan.bus {
            // Nobody else could write to it.
            BusChoice::InProcess => None,
            BusChoice::Nats(_) | BusChoice::Managed(_) => file.bucket(),
        },
        groups: if given.is_empty() { file.groups.clone() } else { given.clone() },
        state_dir: match plan.bus {
            BusChoice::Managed(_) => Some(state_dir(plan, file)?),
            BusChoice::InProcess | BusChoice::Nats(_) => plan.args.state_dir.clone().or_else(|| file.state_dir.clone()),
        },
    })
}

/// What is asked of this process, and what it does, is written down here.
fn audit_log(plan: &Plan, file: &FileConfig, settings: &AgentSettings) -> Result<AuditLog, Failure> {
    let state_dir = match plan.bus {
        BusChoice::Managed(_) => Some(state_dir(plan, file)?),
        BusChoice::InProcess | BusChoice::Nats(_) => plan.args.state_dir.clone().or_else(|| file.state_dir.clone()),
    };
    let Some(path) = file.audit.path(state_dir.as_deref(), &settings.bastion, plan.roles) else {
        return Ok(AuditLog::off());
    };
    let clock = SystemClock::default();
    let mut wanted = AuditSettings::new(path.clone(), settings.bastion.clone(), Arc::new(move || clock.now()));
    wanted.max_size = file.audit.max_size();
    wanted.keep = file.audit.keep();
    wanted.instance = Some(new_instance());
    let log = AuditLog::open(wanted).map_err(|error| Failure::chain(Exit::Usage, &error))?;
    tracing::info!(file = %path.display(), "the audit log is written");
    Ok(log)
}

/// Where what is to outlive the process is kept; the user's own place for that where nothing is said.
fn state_dir(plan: &Plan, file: &FileConfig) -> Result<PathBuf, Failure> {
    let said = plan.args.state_dir.clone().or_else(|| file.state_dir.clone());
    said.or_else(|| Some(config::state_home()?.join("watchpost")))
        .ok_or_else(|| Failure::usage("`--bus managed` wants a place for its data: give --state-dir, or set HOME"))
}

fn identity(plan: &Plan, file: &FileConfig) -> Result<(BastionId, RunnerId), Failure> {
    let bastion = match plan.args.bastion.clone().or_else(|| file.bastion.clone()) {
        Some(bastion) => bastion,
        None => "local".parse().map_err(|e| Failure::usage(format!("{e}")))?,
    };
    let runner = match plan.runner.clone().or_else(|| file.runner.clone()) {
        Some(runner) => runner,
        None => host_name().parse().map_err(|e| Failure::usage(format!("the host's name: {e}; set --runner")))?,
    };
    Ok((bastion, runner))
}

/// The host's name as an id. Linux tells it in a file.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let permitted = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' };
    let name: String = name.trim().chars().map(permitted).take(watchpost_model::NAME_BYTES_MAX).collect();
    if name.is_empty() { "runner".to_owned() } else { name }
}

fn console_address(plan: &Plan, file: &FileConfig) -> Option<SocketAddr> {
    match plan.args.console {
        Some(ConsoleArg::Off) => None,
        Some(ConsoleArg::At(address)) => Some(address),
        None => file.console.listen.or(plan.console_default),
    }
}

/// How to reach NATS; `None` for the in-process bus.
fn nats_options(
    plan: &Plan,
    file: &FileConfig,
    settings: &AgentSettings,
    managed: Option<&Managed>,
) -> Result<Option<NatsOptions>, Failure> {
    let servers = match &plan.bus {
        BusChoice::InProcess => return Ok(None),
        BusChoice::Nats(servers) => servers.clone(),
        BusChoice::Managed(_) => managed.iter().map(|managed| managed.url()).collect(),
    };
    if servers.is_empty() && file.bus.servers.is_empty() {
        return Err(Failure::usage(
            "no bus is given: expected --bus nats://HOST:4222, WATCHPOST_BUS, or `bus.servers` in the file",
        ));
    }
    let name = format!("watchpost {} {}/{}", plan.roles.name(), settings.bastion, settings.runner);
    let mut context = file.bus.context();
    if !servers.is_empty() {
        context.servers = servers;
    }
    if let Some(managed) = managed {
        let (user, password) = managed.user_and_password();
        let mut options = NatsOptions::new(context.servers);
        options.name = name;
        options.credentials = Some(NatsCredentials::UserPassword { user: user.to_owned(), password: password.into() });
        return Ok(Some(options));
    }
    overlay_auth(&mut context, &plan.auth)?;
    Ok(Some(remote::nats_options(context, name)))
}

async fn connect(options: Option<&NatsOptions>, stored: usize) -> Result<SharedBus, Failure> {
    let Some(options) = options else { return Ok(Arc::new(InProcessBus::new())) };
    match NatsBus::connect(options.clone()).await {
        Ok(bus) => Ok(Arc::new(bus)),
        Err(error @ BusError::Connect { .. }) if stored > 0 => {
            tracing::warn!(stored, %error, "beginning without the bus, with the checks that are on disk");
            Ok(Arc::new(NatsBus::connect_in_background(options.clone())?))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn close(bus: &SharedBus) {
    match bus.drain(CLOSE_LIMIT).await {
        // Closed already: the in-process bus is one for everything.
        Ok(()) | Err(BusError::Closed) => {}
        Err(error) => tracing::warn!(%error, "the bus did not close cleanly"),
    }
}

/// Names what a stop had to give up.
fn tell(report: &StopReport) -> Exit {
    if report.is_clean() {
        tracing::info!("stopped; every task has its outcome");
        return Exit::Ok;
    }
    super::tell_abandoned(report);
    if !report.flushed {
        tracing::error!("the bus could not be flushed: what was published last may not have left");
    }
    tracing::error!(abandoned = report.abandoned.len(), "the grace is over");
    Exit::DrainExpired
}
