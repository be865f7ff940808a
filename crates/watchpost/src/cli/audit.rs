//! `watchpost audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use watchpost_audit::Head;
use watchpost_model::CheckId;

use super::connect::ListFormat;
use super::duration;

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Show what an audit log says, the oldest entry first
    Show {
        /// The files of one log, in any order
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Only events of this kind, for example control_request; may be given several times
        #[arg(short, long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Only what is about this check
        #[arg(long, value_name = "ID")]
        check: Option<CheckId>,
        /// Not from before so long ago
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// How many at most: the newest
        #[arg(short = 'n', long, value_name = "N", default_value_t = 200,
            value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Tell whether an audit log is as it was written: what was removed, changed or put in, and in which line
    ///
    /// Exit codes: 0 it is, 1 it is not, 2 a file cannot be read.
    Verify {
        /// The files of one log, in any order
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// An entry that must be there, as a heartbeat has told it: NUMBER:HASH. Without it nobody can tell whether the
        /// last entries were removed, or the whole log was written anew
        #[arg(long, value_name = "HEAD")]
        head: Option<Head>,
        /// How to print what is found
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
}
