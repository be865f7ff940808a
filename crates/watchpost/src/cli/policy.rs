//! `watchpost policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say whether targets, or the checks of a file, are permitted, and why
    ///
    /// Names are resolved, and each of their addresses is judged, with what it stands for; nothing is connected to. Exit
    /// codes: 0 all of it is permitted, 1 something is not, or cannot be told, 2 the policy or a file is not valid.
    Test(PolicyTestArgs),
    /// Print the policy that is in force, with everything that goes without saying
    Show(PolicyShowArgs),
    /// Read a policy file and say what is wrong with it
    Validate {
        /// The file
        file: PathBuf,
    },
    /// Print the JSON Schema of policy files
    Schema,
}

#[derive(Debug, Args)]
#[command(after_help = crate::target::FORMS)]
#[command(
    override_usage = "watchpost policy test [OPTIONS] TARGET...\n       watchpost policy test [OPTIONS] --config FILE"
)]
pub struct PolicyTestArgs {
    /// What would be checked
    #[arg(value_name = "TARGET", required_unless_present = "config")]
    pub targets: Vec<String>,
    /// Judge every check of this configuration file, by the policy that it names
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub choice: PolicyChoice,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: PolicyFormat,
}

#[derive(Debug, Args)]
pub struct PolicyShowArgs {
    /// The configuration file, whose `policy` is shown
    #[arg(short, long, value_name = "FILE", env = "WATCHPOST_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub choice: PolicyChoice,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: super::DocumentFormat,
}

#[derive(Debug, Args)]
pub struct PolicyChoice {
    /// The policy file [default: the configuration file's `policy`]
    #[arg(long, value_name = "FILE", env = "WATCHPOST_POLICY")]
    pub policy: Option<PathBuf>,
    /// What is in force where there is no policy file
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub built_in: BuiltInArg,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum BuiltInArg {
    /// As for `bastion`, `runner` and `up --bus`, whose checks come over a bus
    #[default]
    Strict,
    /// As for `check`, and for `up` without a bus, whose checks come from this machine
    Local,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PolicyFormat {
    /// Steps for people
    #[default]
    Text,
    /// One JSON array
    Json,
}
