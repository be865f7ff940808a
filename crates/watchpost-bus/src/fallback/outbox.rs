//! What waits until the bus is back.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::Outgoing;

/// The most messages that wait.
const MESSAGES_MAX: usize = 65_536;
/// The most that they take together, in bytes of payload.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Messages in the order in which they were published; beyond its bounds the oldest go.
#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    dropped: u64,
    /// Messages that were taken out at the front since the first one was last shown, so that a sender that was at it
    /// takes out no other.
    overtaken: u64,
    /// Whether somebody is sending.
    sending: bool,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().messages.is_empty()
    }

    /// Keeps a message, and says whether somebody has to begin to send.
    pub(super) fn keep(&self, message: Outgoing) -> bool {
        let mut waiting = self.0.lock();
        waiting.bytes += message.payload.len();
        waiting.messages.push_back(message);
        while waiting.messages.len() > MESSAGES_MAX || waiting.bytes > BYTES_MAX {
            waiting.pop();
            waiting.overtaken += 1;
            waiting.dropped += 1;
            if waiting.dropped.is_power_of_two() {
                let dropped = waiting.dropped;
                tracing::error!(dropped, "the bus is away for so long that the oldest of what waits for it is dropped");
            }
        }
        !std::mem::replace(&mut waiting.sending, true)
    }

    /// The message that is to be sent next; `None` ends the sending.
    pub(super) fn first(&self) -> Option<Outgoing> {
        let mut waiting = self.0.lock();
        waiting.overtaken = 0;
        let first = waiting.messages.front().cloned();
        waiting.sending = first.is_some();
        first
    }

    /// The message that was shown last was sent.
    pub(super) fn sent(&self) {
        let mut waiting = self.0.lock();
        if waiting.overtaken == 0 {
            waiting.pop();
        }
    }

    /// How many wait, and how many were dropped.
    pub(super) fn stats(&self) -> (u64, u64) {
        let waiting = self.0.lock();
        (waiting.messages.len() as u64, waiting.dropped)
    }
}

impl Waiting {
    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.payload.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize, bytes: usize) -> Outgoing {
        Outgoing::new(format!("a.{number}"), vec![0; bytes])
    }

    #[test]
    fn the_oldest_go_beyond_either_bound_and_are_counted() {
        let outbox = Outbox::default();
        for number in 0..MESSAGES_MAX + 3 {
            assert_eq!(outbox.keep(message(number, 1)), number == 0, "one sends");
        }
        assert_eq!(outbox.stats(), (MESSAGES_MAX as u64, 3));
        assert_eq!(outbox.first().unwrap().subject, "a.3");
        outbox.keep(message(0, BYTES_MAX));
        assert_eq!(outbox.stats(), (1, 3 + MESSAGES_MAX as u64));
    }

    #[test]
    fn a_message_that_was_dropped_while_it_was_sent_takes_no_other_with_it() {
        let outbox = Outbox::default();
        outbox.keep(message(0, BYTES_MAX));
        assert_eq!(outbox.first().unwrap().subject, "a.0");
        outbox.keep(message(1, 1));
        outbox.sent();
        assert_eq!(outbox.first().unwrap().subject, "a.1");
        outbox.sent();
        assert_eq!(outbox.first(), None);
        assert!(outbox.keep(message(2, 1)), "the one who sent has ended");
    }
}
