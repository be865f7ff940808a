//! Dialogues: what is sent, what is expected, where TLS begins. Of the types `tcp` and `unix`.

mod conversation;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::bytes::Regex;
use watchpost_model::{
    ANSWER_BYTES_MAX, DialogueEvidence, DialogueStep, Pattern, Payload, TextPart, TlsSettings, TypeEvidence,
};

pub(crate) use self::conversation::{Conversation, Read, Wire};
use crate::Verdict;
use crate::assertions::{Findings, slashed};
use crate::context::ProbeContext;
use crate::recorder::Recorder;
use crate::secret::Secrets;
use crate::tls::Handshake;

/// How much of what a group captured is kept, in bytes.
const CAPTURE_BYTES_MAX: usize = 1024;
/// How much of the last answer expressions can ask for, in bytes.
const FACT_BYTES_MAX: usize = 4 * 1024;

/// What a check of either type is to say and to hear.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a> {
    pub(crate) send: Option<&'a Payload>,
    pub(crate) expect: Option<&'a Pattern>,
    pub(crate) steps: &'a [DialogueStep],
    pub(crate) tls: Option<&'a TlsSettings>,
}

impl Script<'_> {
    /// Makes ready for the one time that TLS may begin; `host` is whom the certificate must be for unless the
    /// settings say otherwise.
    ///
    /// # Errors
    /// As [`Tls::prepare`](crate::tls::Tls::prepare) has them.
    pub(crate) async fn prepare(self, host: &str, context: &ProbeContext) -> Result<Option<Handshake>, Verdict> {
        let mut tls = self.tls.into_iter().chain(self.steps.iter().filter_map(|step| step.starttls.as_ref()));
        match tls.next() {
            Some(settings) => context.tls.prepare(host, settings, &[]).await.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the last word is the peer's, in plain text: then nothing that was sent is lost by a connection that is
    /// reset. A reset leaves nothing behind on either side, while an orderly close by us leaves a TIME_WAIT of a minute
    /// for each check, which at many checks a second uses up the local ports.
    pub(crate) fn may_reset(self) -> bool {
        let is_plain = self.tls.is_none() && self.steps.iter().all(|step| step.starttls.is_none());
        let last_heard = match self.steps.last() {
            Some(last) => last.expect.is_some(),
            None => self.send.is_none() || self.expect.is_some(),
        };
        is_plain && last_heard
    }

    /// Says everything over `wire` to `whom`, until something is not as expected.
    ///
    /// # Errors
    /// The verdict on a connection that broke.
    pub(crate) async fn play(
        self,
        wire: impl Wire + 'static,
        whom: String,
        mut handshake: Option<Handshake>,
        context: &ProbeContext,
        recorder: &Recorder,
    ) -> Result<Played, Verdict> {
        recorder.of_type(TypeEvidence::Dialogue(DialogueEvidence::default()));
        let mut conversation = Conversation::new(wire, whom, recorder);
        if let Some(handshake) = handshake.take_if(|_| self.tls.is_some()) {
            conversation.start_tls(handshake).await?;
        }
        let mut played = Played::default();
        if self.steps.is_empty() {
            self.simple(&mut conversation, context, &mut played).await?;
        }
        for (i, step) in self.steps.iter().enumerate() {
            let done = played.step(i + 1, step, &mut conversation, &mut handshake, context, recorder).await?;
            if !done {
                break;
            }
            recorder.amend_type(|evidence| {
                if let TypeEvidence::Dialogue(dialogue) = evidence {
                    dialogue.steps_done = u32::try_from(i + 1).ok();
                    dialogue.captures = played.shown.clone();
                }
            });
        }
        recorder.leave();
        if !self.may_reset() {
            conversation.end().await;
        }
        Ok(played)
    }

    async fn simple(
        self,
        conversation: &mut Conversation<'_>,
        context: &ProbeContext,
        played: &mut Played,
    ) -> Result<(), Verdict> {
        if let Some(send) = self.send {
            conversation.send(&context.files.payload(send).await?).await?;
        }
        if let Some(pattern) = self.expect {
            let compiled = context.patterns.compiled(pattern);
            conversation.listen();
            let missed = conversation.read_until(&compiled, ANSWER_BYTES_MAX as usize).await?;
            let (shown, answer) = (slashed(pattern.as_str()), conversation.unread());
            let told = missed.map(|read| told(read, ANSWER_BYTES_MAX));
            played.findings.answer(None, &shown, answer, told, Some(&Secrets::default()));
            played.received = answer.to_vec();
        }
        Ok(())
    }
}

/// What came of a script.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) findings: Findings,
    /// The last answer.
    received: Vec<u8>,
    captured: BTreeMap<String, Vec<u8>>,
    /// What was captured and is no secret.
    shown: BTreeMap<String, String>,
}

impl Played {
    /// Goes through one step; `false` where what came is not what was expected.
    async fn step(
        &mut self,
        number: usize,
        step: &DialogueStep,
        conversation: &mut Conversation<'_>,
        handshake: &mut Option<Handshake>,
        context: &ProbeContext,
        recorder: &Recorder,
    ) -> Result<bool, Verdict> {
        let label = format!("step {number}");
        conversation.begin(label.clone(), step.secret);
        if let Some(send) = &step.send {
            let bytes = self.to_send(send, context).await?;
            if step.secret {
                let text = String::from_utf8_lossy(&bytes);
                recorder.transcript(|transcript| transcript.hide(text.split_whitespace().chain([text.trim()])));
            }
            conversation.send(&bytes).await?;
        }
        if let Some(pattern) = &step.expect {
            let compiled = context.patterns.compiled_lines(pattern);
            let max = step.max_bytes.unwrap_or(ANSWER_BYTES_MAX);
            conversation.listen();
            let missed = conversation.read_until(&compiled, max as usize).await?;
            let told = missed.map(|read| told(read, max));
            let (shown, answer) = (slashed(pattern.as_str()), conversation.unread());
            recorder.transcript(|transcript| {
                let hidden = (!step.secret).then(|| transcript.secrets());
                self.findings.answer(Some(&label), &shown, answer, told, hidden);
            });
            self.received.clear();
            if missed.is_some() {
                return Ok(false);
            }
            let end = self.capture(&compiled, answer, step.secret, recorder);
            let matched = conversation.take(end);
            if !step.secret {
                self.received = matched;
            }
        }
        if step.starttls.is_some()
            && let Some(handshake) = handshake.take()
        {
            conversation.start_tls(handshake).await?;
        }
        Ok(true)
    }

    /// What a step sends, with what was captured filled in.
    ///
    /// # Errors
    /// The verdict on a file that cannot be read.
    async fn to_send(&self, send: &Payload, context: &ProbeContext) -> Result<Vec<u8>, Verdict> {
        let Payload::Text(text) = send else { return context.files.payload(send).await.map(Cow::into_owned) };
        let mut bytes = Vec::new();
        // The model has validated the references.
        for part in text.parts().unwrap_or_default() {
            match part {
                TextPart::Text(text) => bytes.extend_from_slice(text.as_bytes()),
                TextPart::Captured(name) => bytes.extend(self.captured.get(name).into_iter().flatten()),
            }
        }
        Ok(bytes)
    }

    /// Keeps what the groups of a pattern captured in `answer`, and says where its match ends.
    fn capture(&mut self, regex: &Regex, answer: &[u8], is_secret: bool, recorder: &Recorder) -> usize {
        let Some(captures) = regex.captures(answer) else { return 0 };
        for name in regex.capture_names().flatten() {
            let bytes = captures.name(name).map(|found| found.as_bytes()).unwrap_or_default();
            let bytes = bytes.get(..CAPTURE_BYTES_MAX).unwrap_or(bytes);
            self.captured.insert(name.to_owned(), bytes.to_vec());
            let text = String::from_utf8_lossy(bytes).into_owned();
            if is_secret {
                recorder.transcript(|transcript| transcript.hide([text.as_str()].into_iter()));
                self.shown.remove(name);
            } else {
                self.shown
                    .insert(name.to_owned(), recorder.transcript(|transcript| transcript.secrets().hide_in(text)));
            }
        }
        captures.get(0).map_or(0, |whole| whole.end())
    }

    /// What expressions can ask for.
    pub(crate) fn facts(&self, recorder: &Recorder) -> serde_json::Value {
        let received = self.received.get(..FACT_BYTES_MAX).unwrap_or(&self.received);
        let received = String::from_utf8_lossy(received).into_owned();
        serde_json::json!({
            "received": recorder.transcript(|transcript| transcript.secrets().hide_in(received)),
            "received_bytes": recorder.transcript(|transcript| transcript.received()),
            "captures": self.shown,
        })
    }
}

/// Why there is nothing more to be matched, as the beginning of a sentence.
fn told(read: Read, max: u32) -> String {
    match read {
        Read::End => "the peer closed the connection".to_owned(),
        Read::Some | Read::Full => format!("the peer sent {max} bytes, the most that is read,"),
    }
}
