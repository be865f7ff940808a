//! Which requests were answered, and how soon.

use std::time::{Duration, Instant};

use watchpost_model::{IcmpEvidence, RoundTrips};

/// The most sentences about requests that were not delivered.
const ERRORS_MAX: usize = 8;

/// What became of each request.
#[derive(Debug)]
pub(super) struct Tally {
    socket: &'static str,
    requests: Vec<Request>,
    /// How many there are to be.
    count: u8,
    duplicates: u32,
    errors: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    sent: Instant,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    UnderWay,
    Replied(Duration),
    Undelivered,
}

impl Tally {
    pub(super) fn new(socket: &'static str, count: u8) -> Self {
        Self { socket, requests: Vec::with_capacity(count.into()), count, duplicates: 0, errors: Vec::new() }
    }

    /// A request goes out now.
    pub(super) fn sends(&mut self) {
        self.requests.push(Request { sent: Instant::now(), fate: Fate::UnderWay });
    }

    /// The reply to the request `sequence` is there.
    pub(super) fn replied(&mut self, sequence: u16) {
        match self.requests.get_mut(usize::from(sequence)) {
            Some(request) if matches!(request.fate, Fate::Replied(_)) => self.duplicates += 1,
            Some(request) => request.fate = Fate::Replied(request.sent.elapsed()),
            None => {}
        }
    }

    /// The request `sequence` was not delivered, for the reason in `error`.
    pub(super) fn undelivered(&mut self, sequence: u16, error: String) {
        if let Some(request) = self.requests.get_mut(usize::from(sequence))
            && request.fate == Fate::UnderWay
        {
            request.fate = Fate::Undelivered;
        }
        if self.errors.len() < ERRORS_MAX && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Whether all requests were sent, and nothing more can come of them.
    pub(super) fn is_complete(&self) -> bool {
        self.sent() == self.count && self.requests.iter().all(|request| request.fate != Fate::UnderWay)
    }

    pub(super) fn sent(&self) -> u8 {
        u8::try_from(self.requests.len()).unwrap_or(u8::MAX)
    }

    pub(super) fn received(&self) -> usize {
        self.times_ms().count()
    }

    pub(super) fn first_error(&self) -> Option<&str> {
        self.errors.first().map(String::as_str)
    }

    /// How many of the requests that were sent have no reply, in percent.
    pub(super) fn loss_percent(&self) -> f64 {
        match self.requests.len() {
            0 => 0.0,
            sent => (sent - self.received()) as f64 * 100.0 / sent as f64,
        }
    }

    fn times_ms(&self) -> impl Iterator<Item = f64> + Clone {
        self.requests.iter().filter_map(|request| match request.fate {
            Fate::Replied(after) => Some(after.as_secs_f64() * 1e3),
            _ => None,
        })
    }

    fn round_trips(&self) -> Option<RoundTrips> {
        statistics(self.times_ms())
    }

    pub(super) fn evidence(&self) -> IcmpEvidence {
        IcmpEvidence {
            socket: self.socket.to_owned(),
            sent: self.sent().into(),
            received: u32::try_from(self.received()).unwrap_or(u32::MAX),
            loss_percent: self.loss_percent(),
            duplicates: self.duplicates,
            rtt_ms: self.round_trips(),
            errors: self.errors.clone(),
        }
    }

    pub(super) fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = vec![
            ("icmp_sent", self.sent().into()),
            ("icmp_received", self.received() as f64),
            ("icmp_loss_percent", self.loss_percent()),
        ];
        if let Some(RoundTrips { min, avg, max, stddev }) = self.round_trips() {
            metrics.extend([
                ("icmp_rtt_min_ms", min),
                ("icmp_rtt_avg_ms", avg),
                ("icmp_rtt_max_ms", max),
                ("icmp_rtt_stddev_ms", stddev),
            ]);
        }
        metrics
    }

    /// What expressions can ask for.
    pub(super) fn facts(&self) -> serde_json::Value {
        let times = self.round_trips();
        serde_json::json!({
            "sent": self.sent(),
            "received": self.received(),
            "loss_percent": self.loss_percent(),
            "duplicates": self.duplicates,
            "rtt_min_ms": times.map(|times| times.min),
            "rtt_avg_ms": times.map(|times| times.avg),
            "rtt_max_ms": times.map(|times| times.max),
            "rtt_stddev_ms": times.map(|times| times.stddev),
            "errors": self.errors,
        })
    }
}

fn statistics(times: impl Iterator<Item = f64> + Clone) -> Option<RoundTrips> {
    let count = times.clone().count();
    if count == 0 {
        return None;
    }
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count as f64;
    let avg = mean(&mut times.clone());
    let variance = mean(&mut times.clone().map(|time| (time - avg) * (time - avg)));
    let (min, max) = (times.clone().fold(f64::INFINITY, f64::min), times.fold(0.0, f64::max));
    Some(RoundTrips { min, avg, max, stddev: variance.sqrt() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_replies() {
        assert_eq!(statistics([].into_iter()), None);
        let times = statistics([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()).unwrap();
        assert_eq!(times, RoundTrips { min: 2.0, avg: 5.0, max: 9.0, stddev: 2.0 });
    }

    #[test]
    fn each_request_counts_once() {
        let mut tally = Tally::new("raw", 4);
        (0..3).for_each(|_| tally.sends());
        tally.replied(0);
        tally.replied(0);
        tally.replied(17);
        tally.undelivered(1, "a".to_owned());
        tally.undelivered(2, "a".to_owned());
        assert!(!tally.is_complete());
        tally.sends();
        // What was said to be lost may have come by another way.
        tally.replied(2);
        tally.replied(3);
        assert!(tally.is_complete());
        let evidence = tally.evidence();
        assert_eq!((evidence.sent, evidence.received, evidence.duplicates), (4, 3, 1));
        assert_eq!((evidence.loss_percent, evidence.errors.as_slice()), (25.0, ["a".to_owned()].as_slice()));
    }
}
