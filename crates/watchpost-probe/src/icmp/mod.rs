//! The `icmp` check type: echo requests, and how many of them are answered how soon.
//!
//! `packet` is what travels, `tally` counts.

mod packet;
mod tally;

use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;
use watchpost_model::{CheckType, IcmpSettings, ProbeSettings, Reason, ReasonCode, Task, TypeEvidence};

use self::packet::Echoes;
use self::tally::Tally;
use crate::assertions::{Findings, conclude};
use crate::context::ProbeContext;
use crate::network::datagram::{DATAGRAM_BYTES_MAX, Datagrams, Kind};
use crate::network::{Destination, Errand, Network};
use crate::recorder::{Recorder, Spent, Stage};
use crate::{BoxFuture, Probe, Verdict, failure};

/// Executes `icmp` checks.
#[derive(Debug)]
pub(crate) struct IcmpProbe {
    context: ProbeContext,
}

impl IcmpProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Icmp(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.host.as_str());
        let to = Destination {
            host: settings.host.as_str(),
            port: 0,
            endpoint: task.endpoint.address,
            route: &settings.route,
            told: [None, None],
            errand: Some(Errand::to_target(CheckType::Icmp)),
        };
        let datagrams = match self.context.network.echoes(to, settings.ttl, recorder).await {
            Ok(datagrams) => datagrams,
            Err(verdict) => return verdict,
        };
        let whom = to.whom(Some(datagrams.peer()));
        let tally = match exchange(&self.context.network, &datagrams, settings, &whom, recorder).await {
            Ok(tally) => tally,
            Err(verdict) => return verdict,
        };
        recorder.leave();
        for (name, value) in tally.metrics() {
            recorder.metric(name, value);
        }
        if tally.received() == 0 {
            return unanswered(&tally, settings, &whom);
        }
        let mut findings = Findings::default();
        judge(&tally, settings, &whom, &mut findings);
        conclude(&self.context, task, recorder, findings, || tally.facts())
    }
}

impl Probe for IcmpProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// Sends the requests at their times, and counts replies until all are there or waited for long enough.
async fn exchange(
    network: &Network,
    datagrams: &Datagrams,
    settings: &IcmpSettings,
    whom: &str,
    recorder: &Recorder,
) -> Result<Tally, Verdict> {
    let echoes = Echoes::new(datagrams.kind(), datagrams.peer(), RandomState::new().hash_one(whom), settings.size);
    let mut tally = Tally::new(if datagrams.kind() == Kind::Echo { "datagram" } else { "raw" }, settings.count);
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    recorder.enter(Stage::FirstByte);
    let mut until = Instant::now();
    // The policy's rates were asked about the first when the way was made ready.
    let mut is_admitted = true;
    loop {
        if tally.sent() < settings.count && !is_admitted && Instant::now() >= until {
            // Replies to those before are heard meanwhile.
            until = Instant::now() + network.wait_for(datagrams.peer(), recorder)?;
            is_admitted = true;
        }
        if tally.sent() < settings.count && Instant::now() >= until {
            is_admitted = false;
            send(datagrams, &echoes, &mut tally)
                .await
                .map_err(|error| failure::of_datagrams(&error, whom, &recorder.position()))?;
            until += if tally.sent() < settings.count { settings.pause() } else { settings.wait() };
        }
        // Whatever comes next may be the end.
        tell(&tally, settings, whom, recorder);
        if tally.is_complete() {
            return Ok(tally);
        }
        match tokio::time::timeout_at(until, datagrams.receive(&mut buffer)).await {
            Ok(Ok(length)) => {
                if let Some(sequence) = echoes.replied(buffer.get(..length).unwrap_or_default()) {
                    if tally.received() == 0 {
                        recorder.leave();
                    }
                    tally.replied(sequence);
                }
            }
            Ok(Err(error)) => {
                if !note_undelivered(datagrams, &echoes, &mut tally) {
                    return Err(failure::of_datagrams(&error, whom, &recorder.position()));
                }
            }
            Err(_) if tally.sent() == settings.count => return Ok(tally),
            Err(_) => {}
        }
    }
}

/// Sends the next request. A socket says at the next opportunity what became of an earlier one, and that is
/// none of this one's failures.
async fn send(datagrams: &Datagrams, echoes: &Echoes, tally: &mut Tally) -> std::io::Result<()> {
    let request = echoes.request(tally.sent().into());
    tally.sends();
    match datagrams.send(&request).await {
        Err(_) if note_undelivered(datagrams, echoes, tally) => datagrams.send(&request).await,
        sent => sent,
    }
}

/// Notes what the network says of requests; whether it said anything.
fn note_undelivered(datagrams: &Datagrams, echoes: &Echoes, tally: &mut Tally) -> bool {
    let told = datagrams.undelivered();
    for undelivered in &told {
        if let Some(sequence) = echoes.requested(&undelivered.sent) {
            let by = undelivered.by.map_or_else(|| "this machine".to_owned(), |by| by.to_string());
            tally.undelivered(sequence, format!("{by} says {}", packet::says(echoes.is_ipv4, undelivered.icmp)));
        }
    }
    !told.is_empty()
}

/// Lets the recorder know what there is to tell if the time runs out now.
fn tell(tally: &Tally, settings: &IcmpSettings, whom: &str, recorder: &Recorder) {
    recorder.of_type(TypeEvidence::Icmp(tally.evidence()));
    let absence = match tally.received() {
        0 => format!("no reply from {whom} to {} of {} echo requests", tally.sent(), settings.count),
        received => format!("only {received} replies from {whom} to {} echo requests", settings.count),
    };
    recorder.awaits(ReasonCode::NoReply, absence);
}

/// The verdict where no reply came at all.
fn unanswered(tally: &Tally, settings: &IcmpSettings, whom: &str) -> Verdict {
    if let Some(error) = tally.first_error() {
        let message = format!("{whom} cannot be reached: {error}");
        return Verdict::error(Reason::new(ReasonCode::ConnectUnreachable, message));
    }
    let requests = match settings.count {
        1 => "the echo request".to_owned(),
        count => format!("any of {count} echo requests"),
    };
    let message = format!("{whom} did not answer {requests} within {}", Spent(settings.wait()));
    Verdict::error(Reason::new(ReasonCode::NoReply, message))
}

fn judge(tally: &Tally, settings: &IcmpSettings, whom: &str, findings: &mut Findings) {
    let Some(max) = settings.max_loss else {
        let received = tally.received().to_string();
        findings.note(ReasonCode::NoReply, "replies >= 1".to_owned(), tally.received() > 0, received, str::to_owned);
        return;
    };
    let loss = tally.loss_percent();
    findings.note(
        ReasonCode::PacketLoss,
        format!("loss <= {max}%"),
        loss <= f64::from(max),
        format!("{loss:.1}%"),
        |actual| {
            let mut told = format!(
                "{whom} answered {} of {} echo requests: {actual} are lost, expected at most {max}%",
                tally.received(),
                tally.sent()
            );
            if let Some(error) = tally.first_error() {
                told.push_str(&format!(" ({error})"));
            }
            told
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of `sent` requests of which the first `received` are answered.
    fn judged(sent: u8, received: u16, max_loss: Option<u8>) -> Option<(ReasonCode, String)> {
        let settings = IcmpSettings { count: sent, max_loss, ..IcmpSettings::to("a.example".parse().unwrap()) };
        let mut tally = Tally::new("raw", sent);
        (0..sent).for_each(|_| tally.sends());
        (0..received).for_each(|sequence| tally.replied(sequence));
        let mut findings = Findings::default();
        judge(&tally, &settings, "a.example", &mut findings);
        findings.reason().map(|reason| (reason.code, reason.message))
    }

    #[test]
    fn no_more_may_be_lost_than_the_check_allows() {
        assert_eq!(judged(4, 1, None), None);
        assert_eq!(judged(4, 3, Some(25)), None);
        assert_eq!(judged(3, 3, Some(0)), None);
        let told = |message: &str| Some((ReasonCode::PacketLoss, message.to_owned()));
        let message = "a.example answered 3 of 4 echo requests: 25.0% are lost, expected at most 24%";
        assert_eq!(judged(4, 3, Some(24)), told(message));
        // A third of them is more than 33 %.
        let message = "a.example answered 2 of 3 echo requests: 33.3% are lost, expected at most 33%";
        assert_eq!(judged(3, 2, Some(33)), told(message));
    }

    #[test]
    fn what_a_router_said_of_lost_requests_is_told_beside_them() {
        let settings = IcmpSettings { count: 2, max_loss: Some(0), ..IcmpSettings::to("a.example".parse().unwrap()) };
        let mut tally = Tally::new("raw", 2);
        (0..2).for_each(|_| tally.sends());
        tally.replied(0);
        tally.undelivered(1, "10.0.0.1 says that it is forbidden".to_owned());
        let mut findings = Findings::default();
        judge(&tally, &settings, "a.example", &mut findings);
        let message = findings.reason().unwrap().message;
        assert!(message.ends_with("expected at most 0% (10.0.0.1 says that it is forbidden)"), "{message}");
    }
}
