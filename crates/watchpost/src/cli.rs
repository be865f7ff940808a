//! The command line.

mod audit;
mod checks;
mod connect;
mod doctor;
mod monitor;
mod policy;
mod sign;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use watchpost_model::{BastionGroup, BastionId};

pub use audit::AuditCommand;
pub use checks::{ApplyArgs, ChangeArgs, ChecksArgs, ChecksCommand, DocumentFormat, TestArgs};
pub use connect::{AuthArgs, ConnectArgs, ContextCommand, ListFormat, ServerArgs};
pub use doctor::DoctorArgs;
pub use monitor::{
    BastionsArgs, BastionsCommand, BusCommand, BusCommandArgs, DrainArgs, EventsArgs, EventsCommand, ResultFilter,
    ResultsArgs, ResultsCommand, SetupArgs,
};
pub use policy::{BuiltInArg, PolicyChoice, PolicyCommand, PolicyFormat, PolicyShowArgs, PolicyTestArgs};
pub use sign::{KeygenArgs, SignArgs, VerifyArgs};

/// Runs health checks from inside networks that cannot be reached from outside.
///
/// stdout is data, stderr is for people. Exit codes: 0 everything passed, 1 something did not pass,
/// 2 usage or configuration error, 3 a stop could not keep its promises in time, 4 the bus could
/// not be reached.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    /// Let the process be dumped and debugged, although its memory holds secrets: `true` or `false`
    #[arg(long, global = true, env = "WATCHPOST_DUMPABLE", hide = true)]
    pub dumpable: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check targets once, all at the same time, and exit
    Check(CheckArgs),
    /// Run everything in one process: Checker, Runner and console, without a broker
    Up(UpArgs),
    /// Run a bastion on NATS: Checker and Runner in one process
    Bastion(BusArgs),
    /// Run the Checker alone, on NATS
    Checker(BusArgs),
    /// Run a Runner alone, on NATS; any number of them share a bastion's tasks
    Runner(BusArgs),
    /// Checks in the store on the bus: apply files, list, pause, test, and see who runs what
    Checks(ChecksArgs),
    /// Bastions on the bus: who is online, and how each stands
    Bastions(BastionsArgs),
    /// Results on the bus, as they come or from the past
    Results(ResultsArgs),
    /// Events on the bus: what became of checks
    Events(EventsArgs),
    /// What Watchpost keeps on the bus
    Bus(BusCommandArgs),
    /// Named connections to buses
    #[command(subcommand)]
    Context(ContextCommand),
    /// Look at audit logs: what was asked of a bastion, and what it did
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Say what a role can and cannot do on this machine and on its bus, and what to do about it
    ///
    /// Looks at the user and its capabilities, sockets, limits, clock, certificate authorities, name servers, directories,
    /// secrets, the policy, and tries on the bus what the role has to be permitted there. Nothing is begun and nothing is
    /// changed. Exit codes: 0 nothing is in the way, 1 something is, 2 the settings cannot be used.
    Doctor(DoctorArgs),
    /// Look at configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// The policy that says what checks may do here
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

impl Command {
    /// Whether it runs until it is stopped, and its log is how people follow it.
    pub fn serves(&self) -> bool {
        matches!(self, Self::Check(_) | Self::Up(_) | Self::Bastion(_) | Self::Checker(_) | Self::Runner(_))
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as
    /// `info,watchpost_agent=debug`
    #[arg(long, global = true, env = "WATCHPOST_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// How to log
    #[arg(long, global = true, env = "WATCHPOST_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned rows for people
    #[default]
    Table,
    /// One JSON array, at the end
    Json,
    /// One JSON object a line, as results come in
    Ndjson,
}

#[derive(Debug, Args)]
#[command(after_help = crate::target::FORMS)]
#[command(
    override_usage = "watchpost check [OPTIONS] TARGET...\n       watchpost check [OPTIONS] --config FILE\n       watchpost check [OPTIONS] --from FILE"
)]
pub struct CheckArgs {
    /// What to check
    #[arg(value_name = "TARGET", required_unless_present_any = ["config", "from"])]
    pub targets: Vec<String>,
    /// Run every check of this configuration file once
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read targets from this file, one a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// How long until every outcome must be there, at most 5m
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = timeout)]
    pub timeout: Duration,
    /// Check every A and AAAA address of each name, not just one
    #[arg(long)]
    pub all_addresses: bool,
    /// The policy that says what may be checked [default: the file's `policy`, else everything but link-local, metadata,
    /// multicast and broadcast addresses]
    #[arg(long, value_name = "FILE", env = "WATCHPOST_POLICY")]
    pub policy: Option<PathBuf>,
    /// Permit programs of this directory as `exec:` targets; may be given several times
    #[arg(long = "exec-dir", value_name = "DIRECTORY", value_parser = absolute)]
    pub exec_dirs: Vec<PathBuf>,
    /// Cancel what is still running as soon as one check does not pass
    #[arg(long)]
    pub fail_fast: bool,
    /// How many checks of one type run at the same time [default: all, at most 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub parallel: Option<u32>,
    /// How to print results
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Print only what did not pass
    #[arg(short, long)]
    pub quiet: bool,
    /// Print under each row everything that the result knows: where the time went, addresses,
    /// certificates, headers, what was expected and seen
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", env = "WATCHPOST_CONFIG")]
    pub config: Option<PathBuf>,
    /// The bastion's id [default: the file's `bastion`, else `local`]
    #[arg(long, value_name = "ID", env = "WATCHPOST_BASTION")]
    pub bastion: Option<BastionId>,
    /// A bastion group whose checks it runs as well; may be given several times, the first ranks first
    /// [default: the file's `groups`]
    #[arg(long = "group", value_name = "GROUP", env = "WATCHPOST_GROUPS", value_delimiter = ',')]
    pub groups: Vec<BastionGroup>,
    /// Where it keeps its checks of the store, so that it can begin without the bus [default: the
    /// file's `state_dir`]
    #[arg(long, value_name = "DIRECTORY", env = "WATCHPOST_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// The policy that says what checks may do here; it outranks whatever comes over the bus [default: the file's
    /// `policy`, else a cautious one]
    #[arg(long, value_name = "FILE", env = "WATCHPOST_POLICY")]
    pub policy: Option<PathBuf>,
    /// How long a stop may take [default: the file's `grace`, else 5s]
    #[arg(long, value_name = "DURATION", env = "WATCHPOST_GRACE", value_parser = duration)]
    pub grace: Option<Duration>,
    /// Where the console listens, or `off` [default: the file's `console.listen`, else
    /// 127.0.0.1:8627 for `up` and off for the others]
    #[arg(long, value_name = "ADDRESS", env = "WATCHPOST_CONSOLE")]
    pub console: Option<ConsoleArg>,
}

#[derive(Debug, Args)]
pub struct UpArgs {
    #[command(flatten)]
    pub agent: AgentArgs,
    /// A NATS server to use in place of the in-process bus, for example nats://127.0.0.1:4222; or `managed`, which
    /// runs a nats-server of its own on this machine, for as long as this command runs
    #[arg(long, value_name = "URL", env = "WATCHPOST_BUS", value_delimiter = ',')]
    pub bus: Vec<String>,
    /// The nats-server to run with `--bus managed` [default: the one on the PATH, or that `just setup` fetched]
    #[arg(long, value_name = "FILE", env = "WATCHPOST_NATS_SERVER")]
    pub nats_server: Option<PathBuf>,
    /// How to print results
    #[arg(short, long, value_enum, default_value_t)]
    pub output: StreamFormat,
    /// Print only what did not pass
    #[arg(short, long)]
    pub quiet: bool,
    /// Print under each row everything that the result knows
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub auth: AuthArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StreamFormat {
    /// Aligned rows for people
    #[default]
    Table,
    /// One JSON object a line
    Ndjson,
}

#[derive(Debug, Args)]
pub struct BusArgs {
    #[command(flatten)]
    pub agent: AgentArgs,
    /// NATS servers, for example nats://127.0.0.1:4222 [default: the file's `bus.servers`]
    #[arg(long, value_name = "URL", env = "WATCHPOST_BUS", value_delimiter = ',')]
    pub bus: Vec<String>,
    /// This Runner's id in results [default: the file's `runner`, else the host's name]
    #[arg(long, value_name = "ID", env = "WATCHPOST_RUNNER")]
    pub runner: Option<watchpost_model::RunnerId>,
    #[command(flatten)]
    pub auth: AuthArgs,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Read a configuration file and say what is wrong with it
    Validate {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema of configuration files
    Schema,
    /// Translate the configuration of another monitor into checks
    ///
    /// Reads modules of Prometheus' blackbox_exporter together with Prometheus' scrape configurations, configurations of
    /// Gatus, and backups of uptime-kuma. The checks go to stdout, as a file that `up -c` takes. What could not be
    /// translated goes to stderr, with where it stands and what to do about it. Exit codes: 0 everything was translated, 1
    /// something was not, or means something else now, 2 a file could not be read.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The files; `-` for standard input. Modules and the scrape configurations that use them belong together
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Whose configuration it is: blackbox, prometheus, gatus or uptime-kuma [default: as its content tells]
    #[arg(long, value_name = "FORMAT")]
    pub from: Option<watchpost_import::Format>,
    /// How to print the checks
    #[arg(short, long, value_enum, default_value_t)]
    pub output: FileFormat,
    /// Begin the file with what could not be translated, as comments (YAML only)
    #[arg(long)]
    pub notes: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// For people
    #[default]
    Yaml,
    /// For programs
    Json,
}

/// Where the console listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleArg {
    Off,
    At(SocketAddr),
}

impl std::str::FromStr for ConsoleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| "expected an address such as 127.0.0.1:8627, or `off`".into())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    watchpost_model::parse_duration(text).map_err(|e| e.to_string())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("expected an absolute path".into()) }
}

fn timeout(text: &str) -> Result<Duration, String> {
    text.parse::<watchpost_model::Timeout>().map(watchpost_model::Timeout::get).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
