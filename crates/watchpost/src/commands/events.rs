//! `watchpost events`: what became of checks.

use std::sync::Arc;

use watchpost_bus::{ReadFrom, StreamError};
use watchpost_model::{BastionId, CheckEvent, CheckId};

use super::results::{Tail, stream_format, tail};
use crate::cli::{EventsArgs, EventsCommand};
use crate::failure::{Exit, Failure};
use crate::output::{Clock, Heard, Lead, Printer};
use crate::remote::{EVENTS, Remote, payload};

/// Runs one of its commands.
pub fn run(args: EventsArgs) -> Result<Exit, Failure> {
    super::in_system(async move {
        let remote = Arc::new(Remote::connect(&args.connect).await?);
        let EventsCommand::Tail { bastion, check, since, limit, output } = args.command;
        let bastion = bastion.as_ref().map_or("*", BastionId::as_str);
        let check = check.as_ref().map_or("*", CheckId::as_str);
        let subject = format!("{}.{bastion}.event.{check}", remote.prefix);
        // Before anything of the past is read, so that nothing falls between the two.
        let live = vec![remote.bus.subscribe(&subject, None).await?];
        let past = match since {
            Some(since) => past(&remote, subject, remote.ago(since).as_microsecond()).await?,
            None => Vec::new(),
        };
        let lead = Lead { clock: Clock::Date, origin: true };
        let printer = Printer { format: stream_format(output), quiet: false, lead, verbose: false, progress: false };
        let read = |message: &_| payload::<CheckEvent>(message).map(|event| Heard::Event(Box::new(event)));
        tail(&remote, Tail { past, live, limit, printer }, read).await
    })
}

async fn past(remote: &Remote, subject: String, from: i64) -> Result<Vec<Heard>, Failure> {
    let mut events = Vec::new();
    let mut messages = match remote.nats.read_stream(EVENTS, &[subject], ReadFrom::Time(from)).await {
        Ok(messages) => messages,
        Err(StreamError::NoStream { .. }) => {
            return Err(Failure::usage(format!(
                "there is no stream `{EVENTS}` on the bus, so nobody keeps events: `watchpost bus setup` makes it"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    while let Some(stored) = messages.next().await? {
        events.extend(payload::<CheckEvent>(&stored.message).map(|event| Heard::Event(Box::new(event))));
    }
    Ok(events)
}
