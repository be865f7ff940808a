//! The arguments of `watchpost doctor`.

use clap::{Args, ValueEnum};
use watchpost_agent::Roles;

use super::{BusArgs, ListFormat};

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What is to run here
    #[arg(long, value_enum, default_value_t)]
    pub role: RoleArg,
    /// What the role would be run with
    #[command(flatten)]
    pub with: BusArgs,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Checker and Runner in one process
    #[default]
    Bastion,
    /// The Checker alone
    Checker,
    /// A Runner alone
    Runner,
}

impl RoleArg {
    /// The roles of the process.
    pub fn roles(self) -> Roles {
        match self {
            Self::Bastion => Roles::Both,
            Self::Checker => Roles::Checker,
            Self::Runner => Roles::Runner,
        }
    }
}
