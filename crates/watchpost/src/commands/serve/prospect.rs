//! What a role would be run with, for those who look before anything is begun.

use std::path::PathBuf;

use watchpost_agent::{AgentSettings, Roles};
use watchpost_bus::NatsOptions;

use super::{BusChoice, Loaded, Plan, identity, load, nats_options, store};
use crate::cli::BusArgs;
use crate::config::FileConfig;
use crate::failure::Failure;
use crate::policy::{BuiltIn, Chosen, choose};

/// What a role would be run with.
#[derive(Debug)]
pub struct Prospect {
    /// What the configuration file says.
    pub file: FileConfig,
    /// What the agent would be started with, its store among it.
    pub settings: AgentSettings,
    /// The policy that would be in force at the beginning.
    pub policy: Chosen,
    /// Where it would keep what is to outlive it.
    pub state_dir: Option<PathBuf>,
    /// Where it would write its audit log.
    pub audit: Option<PathBuf>,
    /// How it would reach the bus; `None` where no bus is named.
    pub options: Option<NatsOptions>,
}

/// What `roles` would be run with, given `args`.
///
/// # Errors
/// What keeps it from being run at all.
pub fn prospect(roles: Roles, args: BusArgs) -> Result<Prospect, Failure> {
    let BusArgs { agent: args, bus, runner, auth } = args;
    let Loaded { settings: file, checks, warnings } = load(args.config.as_ref())?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let bus = if bus.is_empty() && file.bus.servers.is_empty() { BusChoice::InProcess } else { BusChoice::Nats(bus) };
    let plan = Plan { roles, args, runner, bus, auth, console_default: None, print: None };
    // Whether a bus is named already or not: these roles have their work from one.
    let policy = choose(plan.args.policy.as_deref().or(file.policy.as_deref()), BuiltIn::Strict)?;
    let (bastion, runner) = identity(&plan, &file)?;
    let mut settings = file.agent(bastion, runner);
    let store = store(&plan, &file, checks)?;
    let state_dir = store.state_dir.clone();
    settings.store = Some(store);
    let audit = file.audit.path(state_dir.as_deref(), &settings.bastion, roles);
    let options = nats_options(&plan, &file, &settings, None)?;
    Ok(Prospect { file, settings, policy, state_dir, audit, options })
}
