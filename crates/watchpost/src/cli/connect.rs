//! How to reach the bus: flags, and named sets of them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use watchpost_model::{BastionGroup, SubjectPrefix};

use crate::config::ContextName;

/// Where the bus is, for every command that talks to it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectArgs {
    /// The context to use, in place of the one chosen by `watchpost context use`
    #[arg(long, global = true, value_name = "NAME", env = "WATCHPOST_CONTEXT")]
    pub context: Option<ContextName>,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A bus, and who we are to it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct ServerArgs {
    /// NATS servers, for example nats://127.0.0.1:4222; without --context, no context is looked at
    #[arg(long, global = true, value_name = "URL", env = "WATCHPOST_BUS", value_delimiter = ',')]
    pub bus: Vec<String>,
    #[command(flatten)]
    pub auth: AuthArgs,
    /// The first part of every subject on the bus [default: watchpost]
    #[arg(long, global = true, value_name = "PREFIX", env = "WATCHPOST_PREFIX")]
    pub prefix: Option<SubjectPrefix>,
    /// The bucket of checks, as the bastions' `store.bucket` names it [default: WATCHPOST_CHECKS]
    #[arg(long, global = true, value_name = "NAME", env = "WATCHPOST_BUCKET")]
    pub bucket: Option<String>,
}

/// Who we are to a bus, and whom we take for one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct AuthArgs {
    /// A file with a JWT and an nkey seed, as `nsc` writes it
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_CREDS")]
    pub creds: Option<PathBuf>,
    /// A file with the seed of an nkey
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_NKEY")]
    pub nkey: Option<PathBuf>,
    /// A user, with its --password or --password-file
    #[arg(long, global = true, value_name = "NAME", env = "WATCHPOST_USER")]
    pub user: Option<String>,
    /// The user's password; the environment shows it to fewer eyes than the command line does
    #[arg(long, global = true, value_name = "TEXT", env = "WATCHPOST_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// A file with the user's password; read anew for each connection, as all files of this kind are
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// A token; the environment shows it to fewer eyes than the command line does
    #[arg(long, global = true, value_name = "TEXT", env = "WATCHPOST_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file with a token
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of certificate authorities to trust in place of those of the system
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// A PEM file with our certificate, for a server that asks for one
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file with the key of --tls-cert
    #[arg(long, global = true, value_name = "FILE", env = "WATCHPOST_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// What our inboxes begin with, where the server permits each user its own: _INBOX_NAME [default: _INBOX]
    #[arg(long, global = true, value_name = "PREFIX", env = "WATCHPOST_INBOX_PREFIX")]
    pub inbox_prefix: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// Keep a bus and who we are to it under a name; the first one is used from then on
    Add {
        /// What to call it
        name: ContextName,
        #[command(flatten)]
        server: Box<ServerArgs>,
        /// The bastion group whose checks are meant where no --group is given
        #[arg(long, value_name = "GROUP")]
        group: Option<BastionGroup>,
        /// Replace the one of that name
        #[arg(long)]
        replace: bool,
        /// Use it from now on
        #[arg(long = "use")]
        select: bool,
    },
    /// List the contexts
    List {
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Show one context, without its secrets
    Show {
        /// Which [default: the one in use]
        name: Option<ContextName>,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Use a context from now on
    Use {
        /// Which
        name: ContextName,
    },
    /// Remove a context
    Remove {
        /// Which
        name: ContextName,
    },
}

/// How a list is printed that is whole before it is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Aligned rows for people
    #[default]
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Ndjson,
}
