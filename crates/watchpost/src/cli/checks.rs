//! `watchpost checks`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use watchpost_model::{BastionGroup, BastionId, CheckId};

use super::connect::{ConnectArgs, ListFormat};
use super::sign::{KeygenArgs, SignArgs, VerifyArgs};
use super::{OutputFormat, duration, timeout};

#[derive(Debug, Args)]
pub struct ChecksArgs {
    #[command(subcommand)]
    pub command: ChecksCommand,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
pub enum ChecksCommand {
    /// Make the store hold what files say, and see bastions take it up
    Apply(ApplyArgs),
    /// List checks: those of the store, or those that a bastion runs
    List {
        /// Only those of this bastion group
        #[arg(short, long, value_name = "GROUP", conflicts_with = "bastion")]
        group: Option<BastionGroup>,
        /// Those that this bastion knows, its own file's among them, and how it stands with each
        #[arg(short, long, value_name = "BASTION")]
        bastion: Option<BastionId>,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Show a check as it is stored; `checks apply` takes it back
    Get {
        /// Its id
        id: CheckId,
        /// Whose check, where several groups have one of that id
        #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
        group: Option<BastionGroup>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: DocumentFormat,
    },
    /// Delete checks; one that the store has lost as well, which bastions then drop
    Delete {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<CheckId>,
        /// Whose checks, where several groups have one of that id, or none has
        #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
        group: Option<BastionGroup>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Keep checks from running by themselves until they are resumed
    Pause(ChangeArgs),
    /// Let paused checks run again
    Resume(ChangeArgs),
    /// Tell which bastion runs which revision of which check, and why one was refused
    Status {
        /// Only these checks
        #[arg(value_name = "ID")]
        ids: Vec<CheckId>,
        /// Only those of this bastion group
        #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
        group: Option<BastionGroup>,
        /// Only this bastion
        #[arg(short, long, value_name = "BASTION")]
        bastion: Option<BastionId>,
        /// Only what is not as it should be
        #[arg(short, long)]
        quiet: bool,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Run a check once, now, on a bastion, and see what comes of it as it comes
    Test(TestArgs),
    /// Sign checks, and print them with their signatures; `checks apply` takes them as they are printed
    Sign(SignArgs),
    /// Say whose signatures in files are good, over what they say now
    Verify(VerifyArgs),
    /// Make a key to sign with: write its seed to a file, and print what bastions list in `trust.signers`
    Keygen(KeygenArgs),
    /// Show what a check came to, from the stream of results
    History {
        /// Its id
        id: CheckId,
        /// Only on this bastion
        #[arg(short, long, value_name = "BASTION")]
        bastion: Option<BastionId>,
        /// Not from before so long ago
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// How many at most: the newest
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20,
            value_parser = clap::value_parser!(u32).range(1..=super::monitor::QUERY_MAX))]
        limit: u32,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
        /// Print under each row everything that the result knows
        #[arg(short, long)]
        verbose: bool,
    },
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Files, or directories that are searched for *.yaml and *.yml; `-` for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The bastions that are to run them: those of this group, which may be one bastion's id
    /// [default: the context's]
    #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
    pub group: Option<BastionGroup>,
    /// Sign what is new or has changed, with the seed in this file
    #[arg(long, value_name = "SEEDFILE")]
    pub sign: Option<PathBuf>,
    /// Delete the checks of the group that the files do not have
    #[arg(long)]
    pub prune: bool,
    /// Write nothing: show what would change, and ask the bastions what they would refuse
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before checks are deleted
    #[arg(short, long)]
    pub yes: bool,
    /// Write also what a bastion says that it would refuse
    #[arg(long)]
    pub force: bool,
    /// Show no diff, only one line for each check
    #[arg(long)]
    pub no_diff: bool,
    /// How long to wait until each bastion of the group says what it runs; 0s for not at all
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub wait: Duration,
    /// How to print what is done
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListFormat,
}

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Their ids
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<CheckId>,
    /// Whose checks, where several groups have one of that id
    #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
    pub group: Option<BastionGroup>,
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// A check that the bastion knows
    #[arg(value_name = "ID", required_unless_present = "file")]
    pub id: Option<CheckId>,
    /// A check that need not be stored: a file with exactly one; `-` for standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "id")]
    pub file: Option<PathBuf>,
    /// Sign the file's check with the seed in this file, for bastions that ask for signatures
    #[arg(long, value_name = "SEEDFILE", requires = "file")]
    pub sign: Option<PathBuf>,
    /// The bastion group to sign it for [default: the bastion alone]
    #[arg(short, long, value_name = "GROUP", requires = "sign")]
    pub group: Option<BastionGroup>,
    /// Where to run it [default: the only bastion that runs it]
    #[arg(short, long, value_name = "BASTION")]
    pub bastion: Option<BastionId>,
    /// How long until every outcome must be there, at most 5m [default: the check's own timeout and
    /// a second]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    pub timeout: Option<Duration>,
    /// Run nothing where there are more endpoints than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_endpoints: Option<u32>,
    /// How to print results
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Print only what did not pass
    #[arg(short, long)]
    pub quiet: bool,
    /// Print under each row everything that the result knows
    #[arg(short, long)]
    pub verbose: bool,
}

/// How a check is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DocumentFormat {
    /// As in a file
    #[default]
    Yaml,
    /// One JSON object
    Json,
}
