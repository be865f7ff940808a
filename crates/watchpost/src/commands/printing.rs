//! What the bus tells of checks, on its way to stdout.

use tokio::sync::{mpsc, oneshot};
use watchpost_agent::AgentSettings;
use watchpost_bus::{Message, SharedBus};
use watchpost_model::{Format, Message as Payload, RunVerdict, Subjects, TaskResult, decode, header};

use super::serve::{CLOSE_LIMIT, close};
use crate::failure::Failure;
use crate::output::{Heard, Printed, Printer};

/// How much may wait to be printed. Beyond it the bus holds it, and counts what it drops.
const PRINT_QUEUE: usize = 1024;

/// Results and verdicts on their way from the bus to stdout.
pub(super) struct Printing {
    bus: SharedBus,
    printed: oneshot::Receiver<Printed>,
}

impl Printing {
    /// Prints what a bastion's checks come to, from now on.
    ///
    /// # Errors
    /// When a subscription cannot be made, or the printing thread not be started.
    pub(super) async fn start(printer: Printer, bus: SharedBus, settings: &AgentSettings) -> Result<Self, Failure> {
        let subjects = Subjects::new(&settings.prefix, &settings.bastion);
        let mut results = bus.subscribe(&subjects.results(), None).await?;
        let mut verdicts = bus.subscribe(&subjects.verdicts(), None).await?;
        let (sender, receiver) = mpsc::channel(PRINT_QUEUE);
        let printed = printer
            .start(receiver)
            .map_err(|e| Failure::stuck(format!("the printing thread cannot be started: {e}")))?;
        tokio::spawn(async move {
            loop {
                // A verdict comes after the results that it is made of, so these are looked at first.
                let heard = tokio::select! {
                    biased;
                    Some(message) = results.next() => read::<TaskResult>(&message).map(|r| Heard::Result(Box::new(r))),
                    Some(message) = verdicts.next() => read::<RunVerdict>(&message).map(|v| Heard::Verdict(Box::new(v))),
                    else => return,
                };
                let Some(heard) = heard else { continue };
                if sender.send(heard).await.is_err() {
                    tracing::warn!("nobody reads stdout any more; results are not printed");
                    return;
                }
            }
        });
        Ok(Self { bus, printed })
    }

    /// Waits until everything that had arrived is printed, but not for a stdout that takes nothing.
    pub(super) async fn finish(self) {
        close(&self.bus).await;
        match tokio::time::timeout(CLOSE_LIMIT, self.printed).await {
            Ok(Ok(Ok(tally))) => tracing::info!(results = tally.total(), "{tally}"),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "stdout"),
            Ok(Err(_)) => tracing::error!("the printing thread panicked"),
            Err(_) => tracing::warn!("stdout does not take the last results"),
        }
    }
}

/// What cannot be read was refused, counted and logged by whoever it was for.
fn read<P: Payload>(message: &Message) -> Option<P> {
    let format = Format::detect(message.headers.get(header::CONTENT_TYPE), &message.payload);
    decode(&message.payload, format).ok()
}
