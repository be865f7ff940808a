//! `watchpost results`: what checks come to, now and in the past.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use watchpost_bus::{Message, Subscription};
use watchpost_model::TaskId;

use crate::cli::{OutputFormat, ResultsArgs, ResultsCommand, StreamFormat};
use crate::failure::{Exit, Failure};
use crate::output::{Clock, Format, Heard, Lead, Printer};
use crate::remote::{Filter, PastQuery, Remote};
use crate::signals::StopSignals;

/// How much may wait to be printed; beyond it the bus holds it, and counts what it drops.
const PRINT_QUEUE: usize = 1024;
/// How long stdout may take for the last rows.
const PRINT_LIMIT: Duration = Duration::from_secs(1);
/// How many results of the past are printed before those that come.
const PAST_MAX: usize = 100_000;

/// Runs one of its commands.
pub fn run(args: ResultsArgs) -> Result<Exit, Failure> {
    super::in_system(async move {
        let remote = Arc::new(Remote::connect(&args.connect).await?);
        match args.command {
            ResultsCommand::Query { filter, since, limit, output, verbose } => {
                let query = PastQuery { filter: filter.into(), since, limit: limit as usize };
                self::query(&remote, query, output, verbose).await
            }
            ResultsCommand::Tail { filter, since, limit, output, verbose } => {
                let filter = Filter::from(filter);
                // Before anything of the past is read, so that nothing falls between the two.
                let mut live = Vec::new();
                for subject in filter.subjects(&remote) {
                    live.push(remote.bus.subscribe(&subject, None).await?);
                }
                let past = match since {
                    Some(_) => remote.past(&PastQuery { filter: filter.clone(), since, limit: PAST_MAX }).await?,
                    None => Vec::new(),
                };
                let printer = printer(stream_format(output), verbose, true);
                tail(&remote, Tail { past, live, limit, printer }, move |message| filter.read(message)).await
            }
        }
    })
}

/// Prints what the stream of results holds.
pub async fn query(
    remote: &Arc<Remote>,
    query: PastQuery,
    format: OutputFormat,
    verbose: bool,
) -> Result<Exit, Failure> {
    let origin = query.filter.bastion.is_none() || query.filter.check.is_none();
    let past = remote.past(&query).await?;
    if past.is_empty() {
        tracing::warn!("the stream of results holds nothing of this");
    }
    let format = match format {
        OutputFormat::Table => Format::Rows,
        OutputFormat::Json => Format::Array,
        OutputFormat::Ndjson => Format::Lines,
    };
    let (rows, queue) = mpsc::channel(PRINT_QUEUE);
    let printed = printer(format, verbose, origin).start(queue).map_err(stuck)?;
    for heard in past {
        // Whoever reads has read enough.
        if rows.send(heard).await.is_err() {
            break;
        }
    }
    drop(rows);
    match printed.await {
        Ok(Ok(_)) => Ok(Exit::Ok),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Ok(Err(e)) => Err(stuck(e)),
        Err(_) => Err(Failure::stuck("the printing thread panicked")),
    }
}

fn printer(format: Format, verbose: bool, origin: bool) -> Printer {
    Printer { format, quiet: false, lead: Lead { clock: Clock::Date, origin }, verbose, progress: false }
}

/// One object a line, or rows.
pub fn stream_format(format: StreamFormat) -> Format {
    match format {
        StreamFormat::Table => Format::Rows,
        StreamFormat::Ndjson => Format::Lines,
    }
}

fn stuck(error: std::io::Error) -> Failure {
    Failure::stuck(format!("stdout: {error}"))
}

/// What is to be printed until somebody stops it.
pub struct Tail {
    /// First.
    pub past: Vec<Heard>,
    /// Then what comes here.
    pub live: Vec<Subscription>,
    /// In all.
    pub limit: Option<u64>,
    /// How.
    pub printer: Printer,
}

/// Prints what was, then what comes, until Ctrl-C or `limit`.
pub async fn tail(
    remote: &Arc<Remote>,
    tail: Tail,
    read: impl Fn(&Message) -> Option<Heard> + Clone + Send + 'static,
) -> Result<Exit, Failure> {
    let mut signals =
        StopSignals::listen().map_err(|e| Failure::usage(format!("signals cannot be listened for: {e}")))?;
    let Tail { past, live, limit, printer } = tail;
    let (rows, queue) = mpsc::channel(PRINT_QUEUE);
    let mut printed = printer.start(queue).map_err(stuck)?;
    let (came, mut coming) = mpsc::channel::<Heard>(PRINT_QUEUE);
    let mut readers = Vec::new();
    for mut subscription in live {
        let (came, read) = (came.clone(), read.clone());
        readers.push(tokio::spawn(async move {
            while let Some(message) = subscription.next().await {
                let Some(heard) = read(&message) else { continue };
                if came.send(heard).await.is_err() {
                    return;
                }
            }
        }));
    }
    drop(came);
    let printing = async {
        let mut left = limit.unwrap_or(u64::MAX);
        let mut known: HashSet<Key> = past.iter().filter_map(key).collect();
        for heard in past {
            if left == 0 || rows.send(heard).await.is_err() {
                return;
            }
            left -= 1;
        }
        while left > 0
            && let Some(heard) = coming.recv().await
        {
            // The stream had it already.
            if !known.is_empty() && key(&heard).is_some_and(|key| known.remove(&key)) {
                continue;
            }
            if rows.send(heard).await.is_err() {
                return;
            }
            left -= 1;
        }
    };
    tokio::select! {
        () = printing => {}
        _ = signals.next() => {}
        // Nobody reads stdout any more.
        _ = &mut printed => return Ok(Exit::Ok),
    }
    readers.iter().for_each(tokio::task::JoinHandle::abort);
    drop(rows);
    let dropped = remote.bus.stats().dropped_slow_consumer;
    if dropped > 0 {
        tracing::warn!(dropped, "messages came faster than stdout took them");
    }
    match timeout(PRINT_LIMIT, printed).await {
        Ok(Ok(Err(e))) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(stuck(e)),
        Err(_) => Err(Failure::stuck("stdout does not take the last rows")),
        Ok(_) => Ok(Exit::Ok),
    }
}

/// What tells one message from all others.
type Key = (Option<TaskId>, String);

fn key(heard: &Heard) -> Option<Key> {
    match heard {
        Heard::Result(result) => Some((Some(result.task), result.attempt.to_string())),
        Heard::Verdict(verdict) => Some((None, format!("{}/{}", verdict.bastion, verdict.run))),
        Heard::Event(event) => {
            Some((None, format!("{}/{}/{}/{}", event.bastion, event.check, event.config_generation, event.at)))
        }
        Heard::Over { .. } => None,
    }
}
