//! What is told of a probe that ran out of time.

use std::time::Duration;

use watchpost_model::{Reason, ReasonCode};

use super::spent::Spent;
use super::state::State;
use super::{Recorder, Stage};

impl Recorder {
    /// Why a probe that was cut short after `limit` had not ended: in which stage it was, and how
    /// far it had got.
    pub fn timeout_reason(&self, limit: Duration) -> Reason {
        let state = self.0.lock();
        let limit = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        if let Some((_, why)) = &state.held {
            return Reason::new(ReasonCode::PolicyDenied, format!("{why} within {limit:?}"));
        }
        let target = |f: &mut String| {
            if let Some(address) = state.evidence.address {
                f.push_str(&format!(" to {address}"));
            }
        };
        let (code, mut message) = match state.stage {
            Stage::Start => (ReasonCode::DeadlinePassed, String::from("the check did not get to its target")),
            Stage::Dns => (ReasonCode::DnsTimeout, String::from("the name was not resolved")),
            Stage::Connect => match state.tunnel.clone() {
                Some(undone) => (ReasonCode::ConnectTimeout, undone),
                None => {
                    let mut message = String::from("no connection");
                    target(&mut message);
                    (ReasonCode::ConnectTimeout, message)
                }
            },
            Stage::Tls => (ReasonCode::TlsTimeout, String::from("no complete TLS handshake")),
            Stage::Send => (ReasonCode::FirstByteTimeout, String::from("the peer did not take what was sent")),
            Stage::FirstByte => match state.awaited.clone() {
                Some(awaited) => awaited,
                None => (ReasonCode::FirstByteTimeout, String::from("no first byte")),
            },
            Stage::Head => (ReasonCode::ReceiveTimeout, String::from("the head of the answer was not complete")),
            Stage::Receive => (ReasonCode::ReceiveTimeout, String::from("the answer was not complete")),
            Stage::Run => (ReasonCode::PluginTimeout, String::from("the plugin did not end")),
        };
        if let Some(at) = state.transcript.at() {
            message.insert_str(0, &format!("{at}: "));
        }
        message.push_str(&format!(" within {limit:?}"));
        let progress = state.progress();
        if !progress.is_empty() {
            message.push_str(": ");
            message.push_str(&progress.join(", "));
        }
        Reason::new(code, state.hidden.hide_in(message))
    }
}

impl State {
    /// What was achieved, in the order in which it happened.
    fn progress(&self) -> Vec<String> {
        let phases = &self.evidence.phases;
        let mut done = Vec::new();
        if let Some(us) = phases.dns {
            done.push(format!("name resolved in {}", Spent::from_us(us)));
        }
        if let Some(us) = phases.connect {
            match self.evidence.address {
                Some(address) => done.push(format!("connected to {address} in {}", Spent::from_us(us))),
                None => done.push(format!("connected in {}", Spent::from_us(us))),
            }
        }
        if let Some(us) = phases.tls {
            done.push(format!("TLS in {}", Spent::from_us(us)));
        }
        if let Some(us) = phases.first_byte {
            done.push(format!("first byte after {}", Spent::from_us(us)));
        }
        if matches!(self.stage, Stage::Receive | Stage::Run) {
            done.push(format!("{} bytes read", self.received));
        }
        if let (Some(_), Some(heard)) = (self.transcript.at(), self.transcript.last_heard()) {
            done.push(format!("the peer said last {heard}"));
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_timeout_and_says_how_far_it_got() {
        let recorder = Recorder::new();
        let limit = Duration::from_secs(10);
        for (stage, code) in [
            (Stage::Start, "deadline_passed"),
            (Stage::Dns, "dns_timeout"),
            (Stage::Connect, "connect_timeout"),
            (Stage::Tls, "tls_timeout"),
            (Stage::FirstByte, "first_byte_timeout"),
            (Stage::Head, "receive_timeout"),
            (Stage::Receive, "receive_timeout"),
            (Stage::Run, "plugin_timeout"),
        ] {
            recorder.enter(stage);
            recorder.connected_to("10.0.0.1:443".parse().unwrap());
            let reason = recorder.timeout_reason(limit);
            assert_eq!(reason.code.as_str(), code, "{stage:?}");
            assert!(reason.message.contains("within 10s"), "{}", reason.message);
        }
        let told = recorder.timeout_reason(limit).message;
        for part in ["name resolved in ", "connected to 10.0.0.1:443 in ", "TLS in ", "first byte after "] {
            assert!(told.contains(part), "{told}");
        }
    }
}
