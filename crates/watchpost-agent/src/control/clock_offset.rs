//! How far the clock of this process is from that of the bus server.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use watchpost_bus::{Bus, BusError, Outgoing, request};
use watchpost_model::Timestamp;

use crate::agent::Looked;
use crate::clock::{Clock, timestamp_us};

/// How often it is measured.
const EVERY: Duration = Duration::from_secs(60);
/// The same where the server permits none of the questions: it may later, when our user has been given the right to.
const EVERY_FORBIDDEN: Duration = Duration::from_secs(3600);
/// How long an answer may take. Half of it is the most by which a figure can be wrong.
const LIMIT: Duration = Duration::from_secs(1);
/// The largest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The streams that are asked after: servers tell the time with what they tell of a stream, and only then.
const STREAMS: [&str; 3] = ["KV_WATCHPOST_CHECKS", "WATCHPOST_RESULTS", "WATCHPOST_EVENTS"];

/// The last measurement, in µs; `None` where there is none.
#[derive(Debug, Default)]
pub(crate) struct ClockOffset(Mutex<Option<i64>>);

impl ClockOffset {
    pub(crate) fn get(&self) -> Option<i64> {
        *self.0.lock()
    }
}

/// The part of an answer that matters.
#[derive(serde::Deserialize)]
struct StreamInfo {
    ts: Option<Timestamp>,
}

/// Measures at once and then regularly, until it is dropped.
pub(crate) async fn follow_clock(looked: Arc<Looked>) {
    loop {
        let (measured, forbidden) = measure(&*looked.bus, &*looked.clock).await;
        *looked.clock_offset.0.lock() = measured;
        tokio::time::sleep(if forbidden == STREAMS.len() { EVERY_FORBIDDEN } else { EVERY }).await;
    }
}

/// This clock less the server's, in µs, and how many of the questions the server did not permit.
async fn measure(bus: &dyn Bus, clock: &dyn Clock) -> (Option<i64>, usize) {
    let mut forbidden = 0;
    let offset = ask(bus, clock, &mut forbidden).await;
    (offset, forbidden)
}

async fn ask(bus: &dyn Bus, clock: &dyn Clock, forbidden: &mut usize) -> Option<i64> {
    for stream in STREAMS {
        let ask = Outgoing::new(format!("$JS.API.STREAM.INFO.{stream}"), "");
        let (asked_at, asked) = (clock.now(), clock.tick());
        let answer = match request(bus, ask, LIMIT).await {
            Ok(answer) => answer,
            // No JetStream, or no bus.
            Err(BusError::NoResponders { .. } | BusError::Unavailable { .. } | BusError::Closed) => return None,
            Err(error) => {
                *forbidden += usize::from(matches!(error, BusError::Forbidden { .. }));
                continue;
            }
        };
        let took_us = i64::try_from(clock.tick().since(asked).as_micros()).ok()?;
        if answer.payload.len() > ANSWER_BYTES_MAX {
            continue;
        }
        let Ok(StreamInfo { ts: Some(ts) }) = serde_json::from_slice(&answer.payload) else { continue };
        // The server looked at its clock about half way between question and answer.
        let here = timestamp_us(asked_at.as_microsecond().saturating_add(took_us / 2));
        return Some(here.as_microsecond().saturating_sub(ts.as_microsecond()));
    }
    None
}

#[cfg(test)]
mod tests {
    use watchpost_bus::InProcessBus;

    use super::*;
    use crate::SystemClock;

    #[tokio::test]
    async fn a_bus_that_does_not_tell_the_time_gives_no_offset() {
        let bus = InProcessBus::new();
        assert_eq!(measure(&bus, &SystemClock::default()).await, (None, 0));
    }

    #[tokio::test]
    async fn the_offset_is_this_clock_less_the_servers() {
        let (bus, clock) = (Arc::new(InProcessBus::new()), SystemClock::default());
        let mut asked = bus.subscribe("$JS.API.STREAM.INFO.*", None).await.unwrap();
        let server = Arc::clone(&bus);
        tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                let late = timestamp_us(SystemClock::default().now().as_microsecond() - 5_000_000);
                let known = message.subject.ends_with("WATCHPOST_RESULTS");
                let answer =
                    if known { format!(r#"{{"ts": "{late}", "state": {{}}}}"#) } else { r#"{"error": {}}"#.into() };
                server.publish(Outgoing::new(message.reply.unwrap(), answer)).await.unwrap();
            }
        });
        let offset = measure(&*bus, &clock).await.0.unwrap();
        // Half a round trip is at most half of what an answer may take.
        assert!((offset - 5_000_000).abs() <= 500_000, "{offset}");
    }
}
