//! What a probe has seen so far, readable at any moment: whoever cuts a probe short at its deadline
//! still learns in which stage the time ran out.

mod hold;
mod spent;
mod state;
mod timeout;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use watchpost_model::{
    AssertionReport, HopReport, HttpEvidence, Labels, PhasesUs, ReasonCode, StepsEvidence, TlsEvidence, TypeEvidence,
};

use self::spent::micros;
use self::state::State;
use crate::redaction::Redaction;
use crate::secret::Secrets;
use crate::secrets::Bounds;
use crate::transcript::Transcript;

pub(crate) use self::spent::Spent;

/// What a probe is doing. The time of each stage but the first is reported, as a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing that reaches out yet.
    Start,
    /// Resolving the name.
    Dns,
    /// Connecting by TCP.
    Connect,
    /// Shaking hands by TLS.
    Tls,
    /// Sending, where that is measured by itself.
    Send,
    /// Waiting for the first byte of the answer.
    FirstByte,
    /// Reading the head of the answer, where it has one. Its time is part of the phase `receive`.
    Head,
    /// Reading the answer.
    Receive,
    /// Running a program.
    Run,
}

/// Everything that a probe found out, whether or not it came to an end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The address that was connected to; where none was, the one that was tried first.
    pub address: Option<SocketAddr>,
    /// How long each phase took, of several hops the last one's; `total` covers them all. A phase
    /// that was cut short, or that ended in an error, shows the time that it took until then.
    pub phases: PhasesUs,
    /// The hops, each with its phases; the last one is the one that `phases` speaks of.
    pub hops: Vec<HopReport>,
    /// What was expected and what was seen.
    pub assertions: Vec<AssertionReport>,
    /// What an HTTP server answered.
    pub http: Option<HttpEvidence>,
    /// What a TLS handshake showed.
    pub tls: Option<TlsEvidence>,
    /// Evidence of the check's type.
    pub of_type: Option<TypeEvidence>,
    /// Numbers by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Notes what a probe sees as soon as it sees it. Clones share the notes.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<State>>);

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder whose total time starts now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State::new(Instant::now()))))
    }

    /// A recorder whose total time starts now, of a probe that is cut short after `limit`.
    pub fn within(limit: Duration) -> Self {
        let now = Instant::now();
        let mut state = State::new(now);
        state.until = now.checked_add(limit);
        Self(Arc::new(Mutex::new(state)))
    }

    /// Ends the stage that was and begins `stage`.
    pub fn enter(&self, stage: Stage) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.close(now);
        state.stage = stage;
        state.since = Some(now);
    }

    /// Ends the stage that was; what follows belongs to no phase.
    pub fn leave(&self) {
        let now = Instant::now();
        self.0.lock().close(now);
    }

    /// Notes what the hop asks for, and begins another hop if this one has come to anything. The phases
    /// and the evidence of the hop before are over then. The total goes on, and so does the answer until
    /// there is another: it says how the check got to where it is.
    pub fn hop(&self, target: impl Into<String>) {
        let mut state = self.0.lock();
        state.next_hop();
        state.hop.step = state.step.clone();
        state.hop.target = target.into();
    }

    /// Begins a step of a flow, of which the hops that follow are. What the step before showed of its answer is over,
    /// too; what was expected of it stays.
    pub(crate) fn step(&self, label: &str) {
        let mut state = self.0.lock();
        state.next_hop();
        state.evidence.http = None;
        state.step = Some(label.to_owned());
        state.transcript.begin(Some(label.to_owned()), false);
    }

    /// Notes the addresses that the name of the hop resolved to, in the order in which they are tried.
    pub fn resolved(&self, addresses: &[IpAddr]) {
        self.0.lock().hop.resolved = addresses.to_vec();
    }

    /// Notes the address that is being connected to, or is connected.
    pub fn connected_to(&self, address: SocketAddr) {
        self.0.lock().evidence.address = Some(address);
    }

    /// Notes what is waited for in [`Stage::FirstByte`], as the beginning of the sentence that says that it
    /// did not come: "no answer from …". `code` is the reason's, then.
    pub(crate) fn awaits(&self, code: ReasonCode, absence: impl Into<String>) {
        self.0.lock().awaited = Some((code, absence.into()));
    }

    /// Notes what a proxy is asked for, as a sentence that says that it was not done: "the proxy … did not".
    /// `None` where it is done.
    pub(crate) fn tunnels(&self, undone: Option<String>) {
        self.0.lock().tunnel = undone;
    }

    /// Notes how many bytes of the answer have been read.
    pub fn received(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.received = bytes;
        if let Some(http) = &mut state.evidence.http {
            http.body_bytes = bytes;
        }
    }

    /// Notes that a peer speaks TLS that was not asked for it.
    pub(crate) fn answered_in_tls(&self) {
        self.0.lock().answered_in_tls = true;
    }

    /// Whether it does.
    pub(crate) fn is_answered_in_tls(&self) -> bool {
        self.0.lock().answered_in_tls
    }

    /// Notes what an HTTP server answered.
    pub fn http(&self, evidence: HttpEvidence) {
        let mut state = self.0.lock();
        state.hop.status = Some(evidence.status);
        state.evidence.http = Some(evidence);
    }

    /// Adds to what an HTTP server answered, if it has.
    pub(crate) fn amend_http(&self, amend: impl FnOnce(&mut HttpEvidence)) {
        if let Some(http) = &mut self.0.lock().evidence.http {
            amend(http);
        }
    }

    /// Notes what a TLS handshake showed.
    pub fn tls(&self, evidence: TlsEvidence) {
        self.0.lock().evidence.tls = Some(evidence);
    }

    /// Adds to what a TLS handshake showed.
    pub(crate) fn amend_tls(&self, amend: impl FnOnce(&mut TlsEvidence)) {
        amend(self.0.lock().evidence.tls.get_or_insert_default());
    }

    /// Notes what was expected and what was seen.
    pub fn assertions(&self, reports: Vec<AssertionReport>) {
        self.0.lock().evidence.assertions = reports;
    }

    /// Hides what is to be hidden when everything is taken out.
    pub(crate) fn redact_by(&self, redaction: &Redaction) {
        self.0.lock().redaction.clone_from(redaction);
    }

    /// Hides these, too, when everything is taken out.
    pub(crate) fn hide(&self, secrets: &Secrets) {
        self.0.lock().hidden.join(secrets);
    }

    /// `text` without what is hidden when everything is taken out.
    pub fn hidden(&self, text: String) -> String {
        self.0.lock().hidden.hide_in(text)
    }

    /// `labels` without what is hidden when everything is taken out. Asked before that.
    #[must_use]
    pub fn hidden_in_labels(&self, labels: &Labels) -> Labels {
        let state = self.0.lock();
        labels.changed(|value| {
            let shown = state.hidden.hide_in(value.to_owned());
            (shown != value).then_some(shown)
        })
    }

    /// Notes where the secrets of the check may be sent.
    pub(crate) fn bind(&self, bounds: Bounds) {
        self.0.lock().bounds = bounds;
    }

    /// Whether the secrets of the check may be sent to `url`, where a redirect leads.
    ///
    /// # Errors
    /// Which may not, and why.
    pub(crate) fn judge_redirect(&self, url: &url::Url) -> Result<(), String> {
        let state = self.0.lock();
        state.bounds.judge_redirect(url, state.step.as_deref())
    }

    /// Notes evidence of the check's type.
    pub fn of_type(&self, evidence: TypeEvidence) {
        self.0.lock().evidence.of_type = Some(evidence);
    }

    /// Adds to the evidence of the check's type, if there is any.
    pub(crate) fn amend_type(&self, amend: impl FnOnce(&mut TypeEvidence)) {
        if let Some(of_type) = &mut self.0.lock().evidence.of_type {
            amend(of_type);
        }
    }

    /// Adds to the evidence of a flow, if there is any.
    pub(crate) fn amend_steps(&self, amend: impl FnOnce(&mut StepsEvidence)) {
        if let Some(TypeEvidence::Steps(steps)) = &mut self.0.lock().evidence.of_type {
            amend(steps);
        }
    }

    /// Reads the notes on who said what, or adds to them.
    pub(crate) fn transcript<T>(&self, with: impl FnOnce(&mut Transcript) -> T) -> T {
        with(&mut self.0.lock().transcript)
    }

    /// Notes a number.
    pub fn metric(&self, name: &str, value: f64) {
        self.0.lock().evidence.metrics.insert(name.to_owned(), value);
    }

    /// The number that was noted by this name, if one was.
    pub(crate) fn noted(&self, name: &str) -> Option<f64> {
        self.0.lock().evidence.metrics.get(name).copied()
    }

    /// The time since the recorder was made.
    pub fn elapsed(&self) -> Duration {
        self.0.lock().started.elapsed()
    }

    /// What the probe is doing, since how long, with which address.
    pub(crate) fn position(&self) -> Position {
        let state = self.0.lock();
        Position {
            stage: state.stage,
            for_how_long: state.since.map(|since| since.elapsed()).unwrap_or_default(),
            address: state.evidence.address,
            received: state.received,
        }
    }

    /// What there is so far, with the total time up to now.
    pub(crate) fn seen(&self) -> Seen {
        let state = self.0.lock();
        let evidence = &state.evidence;
        Seen {
            phases: PhasesUs { total: Some(micros(state.started.elapsed())), ..evidence.phases },
            tls: evidence.tls.clone(),
            metrics: evidence.metrics.clone(),
            address: evidence.address,
            resolved: state.hop.resolved.clone(),
        }
    }

    /// Reads the notes on the TLS handshake, if there are any.
    pub(crate) fn with_tls<T>(&self, read: impl FnOnce(&TlsEvidence) -> T) -> Option<T> {
        self.0.lock().evidence.tls.as_ref().map(read)
    }

    /// Takes everything out, with the total time up to now.
    pub fn finish(&self) -> Evidence {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.close(now);
        state.end_hop();
        let mut evidence = std::mem::take(&mut state.evidence);
        if let Some(of_type) = &mut evidence.of_type {
            state.transcript.report(of_type);
        }
        evidence.phases.total = Some(micros(now.duration_since(state.started)));
        let (redaction, hidden) = (state.redaction.clone(), std::mem::take(&mut state.hidden));
        drop(state);
        hidden.hide_in_evidence(&mut evidence);
        redaction.apply(&mut evidence);
        evidence
    }
}

/// Where a probe stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) stage: Stage,
    pub(crate) for_how_long: Duration,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) received: u64,
}

/// What a probe has found so far, as far as expressions may ask for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) phases: PhasesUs,
    pub(crate) tls: Option<TlsEvidence>,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) resolved: Vec<IpAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stages_that_were_reached_have_a_phase() {
        let recorder = Recorder::new();
        recorder.enter(Stage::Connect);
        recorder.enter(Stage::FirstByte);
        let phases = recorder.finish().phases;
        assert!(phases.connect.is_some() && phases.first_byte.is_some() && phases.total.is_some());
        assert!(phases.dns.is_none() && phases.tls.is_none() && phases.receive.is_none());
    }

    #[test]
    fn labels_are_shown_without_what_was_filled_in() {
        let mut secrets = Secrets::default();
        secrets.declare(&Arc::new(crate::secret::Declared::new("correct-horse-battery")));
        let recorder = Recorder::new();
        recorder.hide(&secrets);
        let said = [("said", "it is correct-horse-battery"), ("zone", "a")];
        let labels = Labels::new(said.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
        let shown = recorder.hidden_in_labels(&labels);
        assert_eq!(shown.iter().collect::<Vec<_>>(), [("said", "it is [redacted]"), ("zone", "a")]);
    }

    #[test]
    fn a_new_hop_keeps_the_total_and_the_answer_that_led_to_it() {
        let recorder = Recorder::new();
        recorder.hop("http://a/");
        recorder.enter(Stage::Connect);
        recorder.http(HttpEvidence { status: 302, ..HttpEvidence::default() });
        recorder.tls(TlsEvidence::default());
        recorder.hop("http://b/");
        let evidence = recorder.finish();
        assert_eq!(evidence.phases, PhasesUs { total: evidence.phases.total, ..PhasesUs::default() });
        assert!(evidence.phases.total.is_some() && evidence.tls.is_none());
        assert_eq!(evidence.http.map(|http| http.status), Some(302));
        let [hop] = evidence.hops.as_slice() else { panic!("{:?}", evidence.hops) };
        assert_eq!((hop.target.as_str(), hop.status), ("http://a/", Some(302)));
    }

    #[test]
    fn the_phases_of_a_hop_follow_one_another() {
        let recorder = Recorder::new();
        recorder.hop("a:1");
        for stage in [Stage::Dns, Stage::Connect, Stage::FirstByte, Stage::Head, Stage::Receive] {
            recorder.enter(stage);
            std::thread::sleep(Duration::from_millis(1));
        }
        let evidence = recorder.finish();
        let spans = &evidence.hops[0].spans;
        let phases: Vec<_> = spans.iter().map(|span| span.phase.as_str()).collect();
        assert_eq!(phases, ["dns", "connect", "first_byte", "receive"]);
        for pair in spans.windows(2) {
            assert!(
                pair[0].took_us >= 1_000 && pair[0].start_us + pair[0].took_us <= pair[1].start_us + 1,
                "{spans:?}"
            );
        }
        assert!(spans[3].took_us >= 2_000, "{spans:?}");
    }
}
