//! `watchpost bastions`, `results`, `events` and `bus`.

use std::time::Duration;

use clap::{Args, Subcommand};
use watchpost_model::{BastionId, CheckId, Outcome, RunnerId};

use super::connect::{ConnectArgs, ListFormat};
use super::{OutputFormat, StreamFormat, duration};

/// The most results of one query.
pub const QUERY_MAX: i64 = 100_000;

#[derive(Debug, Args)]
pub struct BastionsArgs {
    #[command(subcommand)]
    pub command: BastionsCommand,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
pub enum BastionsCommand {
    /// List bastions: which are online, which have gone silent, and since when
    List {
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Tell how each process of a bastion stands
    Show {
        /// Which
        bastion: BastionId,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: ListFormat,
    },
    /// Let no new work begin on a bastion; what runs goes on to its end
    Drain(DrainArgs),
    /// End a drain
    Undrain(DrainArgs),
}

#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Which
    pub bastion: BastionId,
    /// Only the process with this Runner
    #[arg(long, value_name = "ID")]
    pub runner: Option<RunnerId>,
    /// How to print what each process says
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListFormat,
}

#[derive(Debug, Args)]
pub struct ResultsArgs {
    #[command(subcommand)]
    pub command: ResultsCommand,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
pub enum ResultsCommand {
    /// Print results and verdicts as they come
    Tail {
        #[command(flatten)]
        filter: ResultFilter,
        /// Begin with those of so long ago, from the stream of results
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// End after so many
        #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: StreamFormat,
        /// Print under each row everything that the result knows
        #[arg(short, long)]
        verbose: bool,
    },
    /// Print results and verdicts of the past, from the stream of results
    Query {
        #[command(flatten)]
        filter: ResultFilter,
        /// Not from before so long ago
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// How many at most: the newest
        #[arg(short = 'n', long, value_name = "N", default_value_t = 100,
            value_parser = clap::value_parser!(u32).range(1..=QUERY_MAX))]
        limit: u32,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
        /// Print under each row everything that the result knows
        #[arg(short, long)]
        verbose: bool,
    },
}

#[derive(Debug, Clone, Default, Args)]
pub struct ResultFilter {
    /// Only of this bastion
    #[arg(short, long, value_name = "BASTION")]
    pub bastion: Option<BastionId>,
    /// Only of this check
    #[arg(short, long, value_name = "ID")]
    pub check: Option<CheckId>,
    /// Only with one of these outcomes: pass, fail, error, timeout, cancelled, lost, missed; commas
    /// between
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', value_parser = outcome)]
    pub outcome: Vec<Outcome>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print what bastions do about their checks as it happens
    Tail {
        /// Only of this bastion
        #[arg(short, long, value_name = "BASTION")]
        bastion: Option<BastionId>,
        /// Only of this check
        #[arg(short, long, value_name = "ID")]
        check: Option<CheckId>,
        /// Begin with those of so long ago, from the stream of events
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<Duration>,
        /// End after so many
        #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: Option<u64>,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t)]
        output: StreamFormat,
    },
}

#[derive(Debug, Args)]
pub struct BusCommandArgs {
    #[command(subcommand)]
    pub command: BusCommand,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
pub enum BusCommand {
    /// Make what Watchpost keeps on the bus, where it is missing: the store of checks, and streams
    /// of results, events and heartbeats. What is there is changed only in what is asked for here
    Setup(SetupArgs),
}

#[derive(Debug, Clone, Default, Args)]
pub struct SetupArgs {
    /// How long results are kept [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub results_age: Option<Duration>,
    /// How many bytes of results are kept, for example 512MiB [default: 1GiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub results_bytes: Option<u64>,
    /// How long events are kept [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub events_age: Option<Duration>,
    /// How many bytes of events are kept [default: 256MiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub events_bytes: Option<u64>,
    /// How long the last heartbeats of a silent bastion are kept [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub heartbeats_age: Option<Duration>,
    /// Change nothing, and tell what would be
    #[arg(long)]
    pub dry_run: bool,
    /// How to print what was done
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListFormat,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| {
        let all = Outcome::ALL.map(Outcome::as_str).join(", ");
        format!("expected one of {all}")
    })
}

/// A number of bytes: `4096`, `64KiB`, `256MiB`, `1GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected for example 268435456, 256MiB or 1GiB, and at least 1MiB".to_owned();
    let given = watchpost_model::parse_bytes(text).ok_or_else(expected)?;
    if (1 << 20..=i64::MAX.unsigned_abs()).contains(&given) { Ok(given) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units_and_a_least_one() {
        for (text, expected) in [("1MiB", Some(1 << 20)), ("1048576", Some(1 << 20)), ("2GiB", Some(2 << 30))] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
        for bad in ["", "1", "1MB", "-1", "MiB", "99999999999999999999", "9999999TiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
