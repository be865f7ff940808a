//! Who said what in a dialogue, as far as results show it.

use watchpost_model::{Side, Turn, TypeEvidence, shorten};

use crate::secret::{REDACTED, Secrets};

/// The most turns that are kept.
const TURNS_MAX: usize = 64;
/// How much of one turn is kept, in bytes.
const TURN_BYTES_MAX: usize = 1024;
/// How much of all turns is kept, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// How much of a turn a sentence quotes, in characters.
const QUOTED_CHARS_MAX: usize = 120;

/// The notes on a dialogue that is under way.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    turns: Vec<Spoken>,
    kept: usize,
    sent: u64,
    received: u64,
    /// Where in the dialogue it is.
    at: Option<String>,
    /// Whether nothing of what is said there is shown.
    is_secret: bool,
    secrets: Secrets,
}

#[derive(Debug)]
struct Spoken {
    by: Side,
    at: Option<String>,
    is_secret: bool,
    beginning: Vec<u8>,
    bytes: u64,
}

impl Transcript {
    /// Begins another part of the dialogue, of which nothing is shown if it is secret.
    pub(crate) fn begin(&mut self, at: Option<String>, is_secret: bool) {
        self.at = at;
        self.is_secret = is_secret;
    }

    /// Where in the dialogue it is.
    pub(crate) fn at(&self) -> Option<&str> {
        self.at.as_deref()
    }

    /// Has these hidden wherever they are said.
    pub(crate) fn hide<'a>(&mut self, values: impl Iterator<Item = &'a str>) {
        self.secrets.extend(values);
    }

    /// Whatever was hidden until now, to be hidden elsewhere as well.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Notes that `bytes` were said.
    pub(crate) fn said(&mut self, by: Side, bytes: &[u8]) {
        let length = bytes.len() as u64;
        *(if by == Side::Check { &mut self.sent } else { &mut self.received }) += length;
        let goes_on = |last: &Spoken| last.by == by && last.at == self.at && last.is_secret == self.is_secret;
        if !self.turns.last().is_some_and(goes_on) {
            if self.turns.len() == TURNS_MAX {
                return;
            }
            let (at, is_secret) = (self.at.clone(), self.is_secret);
            self.turns.push(Spoken { by, at, is_secret, beginning: Vec::new(), bytes: 0 });
        }
        let Some(spoken) = self.turns.last_mut() else { return };
        spoken.bytes += length;
        let room = (TURN_BYTES_MAX - spoken.beginning.len()).min(KEPT_BYTES_MAX - self.kept).min(bytes.len());
        spoken.beginning.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.kept += room;
    }

    /// How many bytes the peer sent.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Forgets what was said, but not how much: the check passes.
    pub(crate) fn forget(&mut self) {
        self.turns.clear();
    }

    /// What the peer said last, as a sentence quotes it.
    pub(crate) fn last_heard(&self) -> Option<String> {
        let heard = self.turns.iter().rev().find(|spoken| spoken.by == Side::Peer)?;
        let excerpt = self.excerpt(heard);
        Some(if heard.is_secret { excerpt } else { format!("\"{}\"", shorten(&excerpt, QUOTED_CHARS_MAX)) })
    }

    fn excerpt(&self, spoken: &Spoken) -> String {
        if spoken.is_secret {
            return REDACTED.to_owned();
        }
        self.secrets.hide_in(String::from_utf8_lossy(&spoken.beginning).into_owned())
    }

    /// Puts everything into the evidence of a dialogue.
    pub(crate) fn report(&self, evidence: &mut TypeEvidence) {
        let (sent, received, transcript) = match evidence {
            TypeEvidence::Dialogue(of) => (&mut of.sent_bytes, &mut of.received_bytes, &mut of.transcript),
            TypeEvidence::Mail(of) => (&mut of.sent_bytes, &mut of.received_bytes, &mut of.transcript),
            _ => return,
        };
        if self.sent + self.received > 0 {
            (*sent, *received, *transcript) = (self.sent, self.received, self.turns());
        }
    }

    fn turns(&self) -> Vec<Turn> {
        let turn = |spoken: &Spoken| Turn {
            by: spoken.by,
            at: spoken.at.clone(),
            bytes: spoken.bytes,
            excerpt: self.excerpt(spoken),
        };
        self.turns.iter().map(turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_what_is_counted_is_not() {
        let mut transcript = Transcript::default();
        for i in 0..TURNS_MAX * 2 {
            transcript.begin(Some(format!("step {i}")), false);
            transcript.said(Side::Check, &[b'a'; 700]);
            transcript.said(Side::Peer, &[b'b'; 700]);
            transcript.said(Side::Peer, &[b'b'; 700]);
        }
        let turns = transcript.turns();
        assert_eq!((turns.len(), turns[0].excerpt.len(), turns[1].excerpt.len()), (TURNS_MAX, 700, TURN_BYTES_MAX));
        assert_eq!((turns[1].bytes, transcript.sent, transcript.received), (1400, 700 * 128, 1400 * 128));
        assert!(turns.iter().map(|turn| turn.excerpt.len()).sum::<usize>() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn secrets_are_hidden_in_their_step_and_wherever_they_are_said_back() {
        let mut transcript = Transcript::default();
        transcript.hide(["hunter2hunter2"].into_iter());
        transcript.begin(Some("step 1".to_owned()), true);
        transcript.said(Side::Check, b"PASS hunter2hunter2\r\n");
        transcript.begin(Some("step 2".to_owned()), false);
        transcript.said(Side::Peer, b"-ERR hunter2");
        transcript.said(Side::Peer, b"hunter2?\r\n");
        let shown: Vec<_> = transcript.turns().into_iter().map(|turn| turn.excerpt).collect();
        assert_eq!(shown, ["[redacted]", "-ERR [redacted]?\r\n"]);
        assert_eq!(transcript.last_heard().as_deref(), Some(r#""-ERR [redacted]?\r\n""#));
    }
}
