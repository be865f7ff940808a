//! The notes themselves, and how stages and hops follow one another.

use std::time::Instant;

use watchpost_model::{HopReport, Phase, PhaseSpan, ReasonCode};

use super::spent::micros;
use super::{Evidence, Stage};
use crate::redaction::Redaction;
use crate::secret::Secrets;
use crate::secrets::Bounds;
use crate::transcript::Transcript;

/// The most hops that are reported: of more, which only a flow of many redirects has, the last ones.
const HOPS_MAX: usize = 64;
/// The most phases of one hop that are reported.
const SPANS_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct State {
    /// When it started; later by as long as it was held.
    pub(super) started: Instant,
    /// When it is cut short, where that is known.
    pub(super) until: Option<Instant>,
    /// Since when, and by what, the customer's policy holds it.
    pub(super) held: Option<(Instant, String)>,
    pub(super) stage: Stage,
    /// When `stage` began; `None` once it is over and the next one has not begun.
    pub(super) since: Option<Instant>,
    pub(super) received: u64,
    /// Whether a peer that was not asked for TLS speaks it.
    pub(super) answered_in_tls: bool,
    /// What the first byte of the answer is called where it is none of a stream, and the code of its absence.
    pub(super) awaited: Option<(ReasonCode, String)>,
    /// What a proxy, which is connected, was asked for and has not done yet.
    pub(super) tunnel: Option<String>,
    /// The hop that is under way.
    pub(super) hop: HopReport,
    /// The step of a flow that is under way.
    pub(super) step: Option<String>,
    /// Who said what, where texts are exchanged.
    pub(super) transcript: Transcript,
    pub(super) redaction: Redaction,
    /// What is hidden in what was noted before it was known to be a secret, too.
    pub(super) hidden: Secrets,
    /// Where the secrets of the check may be sent.
    pub(super) bounds: Bounds,
    pub(super) evidence: Evidence,
}

impl State {
    /// Notes of a probe that starts `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            until: None,
            held: None,
            stage: Stage::Start,
            since: Some(now),
            received: 0,
            answered_in_tls: false,
            awaited: None,
            tunnel: None,
            hop: HopReport::default(),
            step: None,
            transcript: Transcript::default(),
            redaction: Redaction::default(),
            hidden: Secrets::default(),
            bounds: Bounds::default(),
            evidence: Evidence::default(),
        }
    }

    pub(super) fn close(&mut self, now: Instant) {
        let Some(since) = self.since.take() else { return };
        let took_us = micros(now.duration_since(since));
        let phases = &mut self.evidence.phases;
        let (phase, total) = match self.stage {
            Stage::Start => return,
            Stage::Dns => (Phase::Dns, &mut phases.dns),
            Stage::Connect => (Phase::Connect, &mut phases.connect),
            Stage::Tls => (Phase::Tls, &mut phases.tls),
            Stage::Send => (Phase::Send, &mut phases.send),
            Stage::FirstByte => (Phase::FirstByte, &mut phases.first_byte),
            Stage::Head | Stage::Receive => (Phase::Receive, &mut phases.receive),
            Stage::Run => (Phase::Run, &mut phases.run),
        };
        *total = Some(total.unwrap_or(0) + took_us);
        let start_us = micros(since.duration_since(self.started));
        let spans = &mut self.hop.spans;
        let has_room = spans.len() < SPANS_MAX;
        match spans.last_mut() {
            // What is read in several pieces is one phase.
            Some(last) if last.phase == phase => last.took_us = start_us.saturating_sub(last.start_us) + took_us,
            _ if has_room => spans.push(PhaseSpan { phase, start_us, took_us }),
            _ => {}
        }
    }

    /// Begins another hop if the one that is under way has come to anything.
    pub(super) fn next_hop(&mut self) {
        let now = Instant::now();
        self.close(now);
        if self.end_hop() {
            let Evidence { hops, http, of_type, assertions, .. } = std::mem::take(&mut self.evidence);
            self.evidence = Evidence { hops, http, of_type, assertions, ..Evidence::default() };
            self.stage = Stage::Start;
            self.since = Some(now);
            self.received = 0;
            self.answered_in_tls = false;
        }
    }

    /// Puts the hop that is under way to those that are over; `false` where it has not come to anything.
    pub(super) fn end_hop(&mut self) -> bool {
        if self.hop.spans.is_empty() {
            return false;
        }
        let mut hop = std::mem::take(&mut self.hop);
        hop.address = self.evidence.address;
        if self.evidence.hops.len() == HOPS_MAX {
            self.evidence.hops.remove(0);
        }
        self.evidence.hops.push(hop);
        true
    }
}
