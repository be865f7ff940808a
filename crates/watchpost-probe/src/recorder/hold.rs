//! Times at which the customer's policy has a probe wait. They are none of the target's.

use std::time::{Duration, Instant};

use super::Recorder;

/// How long a probe waits at most where nobody says when it is cut short.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(1);

impl Recorder {
    /// How long the probe may wait: for half of the time until it is cut short. What is left must do for the target, or
    /// else it would be blamed for our wait.
    pub(crate) fn patience(&self) -> Duration {
        let until = self.0.lock().until;
        until.map_or(PATIENCE_DEFAULT, |until| until.saturating_duration_since(Instant::now()) / 2)
    }

    /// Ends the stage that was, and holds the clock. `why` is the sentence that tells, should the time run out.
    pub(crate) fn hold(&self, why: impl Into<String>) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.close(now);
        state.held = Some((now, why.into()));
    }

    /// Lets the clock go on: no phase, nor the total, has the time since then.
    pub(crate) fn go_on(&self) {
        let now = Instant::now();
        let mut state = self.0.lock();
        if let Some((since, _)) = state.held.take() {
            state.started += now.duration_since(since);
            if state.since.is_some() {
                state.since = Some(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use watchpost_model::ReasonCode;

    use super::*;
    use crate::recorder::Stage;

    #[test]
    fn a_probe_that_is_held_blames_nobody_else() {
        let recorder = Recorder::within(Duration::from_secs(3600));
        assert!((1500..=1800).contains(&recorder.patience().as_secs()));
        recorder.enter(Stage::Dns);
        recorder.hold("the policy permits 1/h");
        let reason = recorder.timeout_reason(Duration::from_secs(1));
        assert_eq!(
            (reason.code, reason.message.as_str()),
            (ReasonCode::PolicyDenied, "the policy permits 1/h within 1s")
        );
        recorder.go_on();
        recorder.enter(Stage::Connect);
        assert_eq!(recorder.timeout_reason(Duration::from_secs(1)).code, ReasonCode::ConnectTimeout);
        assert_eq!(Recorder::within(Duration::ZERO).patience(), Duration::ZERO);
    }
}
