//! A visit that is under way: lines that are said and heard, and what they tell.

use std::net::IpAddr;

use tokio::net::TcpStream;
use watchpost_model::{MailEvidence, ReasonCode, TypeEvidence, shorten};

use crate::Verdict;
use crate::assertions::{Findings, quoted};
use crate::dialogue::{Conversation, Read};
use crate::recorder::Recorder;
use crate::tls::Handshake;

/// The longest line that is read, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// The most lines of one answer that are read.
const LINES_MAX: usize = 256;
/// The most capabilities that are reported.
const CAPABILITIES_MAX: usize = 64;
/// How much of a line is reported, in characters.
const LINE_CHARS_MAX: usize = 256;

pub(super) struct Session<'a> {
    conversation: Conversation<'a>,
    recorder: &'a Recorder,
    findings: Findings,
    seen: MailEvidence,
    own_address: IpAddr,
}

impl<'a> Session<'a> {
    pub(super) fn new(stream: TcpStream, own_address: IpAddr, whom: String, recorder: &'a Recorder) -> Self {
        let conversation = Conversation::new(stream, whom, recorder);
        Self { conversation, recorder, findings: Findings::default(), seen: MailEvidence::default(), own_address }
    }

    /// The address from which the server is visited.
    pub(super) fn own_address(&self) -> IpAddr {
        self.own_address
    }

    /// Whether the server offers what is written so, in whatever case.
    pub(super) fn offers(&self, capability: &str) -> bool {
        self.seen.capabilities.iter().any(|offered| offered.eq_ignore_ascii_case(capability))
    }

    /// Whether among the words of a capability is `word`: `AUTH PLAIN LOGIN`.
    pub(super) fn offers_word(&self, capability: &str, word: &str) -> bool {
        self.seen.capabilities.iter().any(|offered| {
            let mut words = offered.split_whitespace();
            words.next().is_some_and(|first| first.eq_ignore_ascii_case(capability))
                && words.any(|offered| offered.eq_ignore_ascii_case(word))
        })
    }

    /// Begins another part of the visit.
    pub(super) fn begin(&self, at: &str, is_secret: bool) {
        self.conversation.begin(at.to_owned(), is_secret);
    }

    /// Sends a line.
    pub(super) async fn say(&mut self, line: &str) -> Result<(), Verdict> {
        self.conversation.send(format!("{line}\r\n").as_bytes()).await?;
        self.conversation.listen();
        Ok(())
    }

    /// Waits for what the server says by itself.
    pub(super) fn listen(&self) {
        self.conversation.listen();
    }

    /// Reads a line, without its end.
    pub(super) async fn line(&mut self) -> Result<String, Verdict> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.conversation.unread()) {
                let line = self.conversation.take(at + 1);
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            match self.conversation.read(LINE_BYTES_MAX).await? {
                Read::Some => {}
                Read::End => return Err(self.conversation.closed()),
                Read::Full => return Err(self.broken(&format!("sent a line of more than {LINE_BYTES_MAX} bytes"))),
            }
        }
    }

    /// Reads a line of an answer of which `read` were read already.
    pub(super) async fn line_after(&mut self, read: usize) -> Result<String, Verdict> {
        if read >= LINES_MAX {
            return Err(self.broken(&format!("sent an answer of more than {LINES_MAX} lines")));
        }
        self.line().await
    }

    /// The verdict on a server that does not keep to its protocol; `what` it did.
    pub(super) fn broken(&self, what: &str) -> Verdict {
        self.conversation.error(ReasonCode::ProtocolError, format!("{} {what}", self.conversation.whom()))
    }

    /// The same, of one that said `line` where `expected` was to come.
    pub(super) fn unexpected(&self, line: &str, expected: &str) -> Verdict {
        let said = self.hidden(line);
        self.broken(&format!("said {}, which is not {expected}", quoted(&said)))
    }

    /// `line` without the secrets in it.
    fn hidden(&self, line: &str) -> String {
        self.recorder.transcript(|transcript| transcript.secrets().hide_in(line.to_owned()))
    }

    /// Notes whether the server said what was expected at this point, and if it did not, why that is.
    pub(super) fn note(&mut self, at: &str, expected: &str, said: &str, passed: bool, code: ReasonCode) -> bool {
        let said = shorten(&self.hidden(said), LINE_CHARS_MAX).into_owned();
        let whom = self.conversation.whom();
        self.findings.note(code, format!("{at}: {expected}"), passed, said, |said| {
            format!("{at}: {whom} said {}, expected {expected}", quoted(said))
        });
        passed
    }

    /// Notes that the server offers no way to log in that is among those in `known`.
    pub(super) fn note_no_way_in(&mut self, known: &str) {
        let offered = quoted(&self.hidden(&self.seen.capabilities.join(", ")));
        let whom = self.conversation.whom();
        self.findings.note(ReasonCode::AuthFailed, format!("{known} is offered"), false, offered, |offered| {
            format!("{whom} offers no way to log in that is known here ({known}); it offers {offered}")
        });
    }

    /// Notes whether the server offers TLS, which the check wants.
    pub(super) fn note_offer(&mut self, offered: bool, for_login: bool) {
        let whom = self.conversation.whom();
        let what_for = if for_login { "and a password goes over nothing else" } else { "and the check requires it" };
        let actual = if offered { "offered" } else { "not offered" };
        self.findings.note(ReasonCode::TlsNotOffered, "TLS is offered".to_owned(), offered, actual.to_owned(), |_| {
            format!("{whom} does not offer TLS, {what_for}")
        });
    }

    pub(super) fn greeted(&mut self, greeting: &str) {
        let greeting = shorten(&self.hidden(greeting), LINE_CHARS_MAX).into_owned();
        self.amend(|seen| seen.greeting = Some(greeting));
    }

    /// Notes what the server offers.
    pub(super) fn offered(&mut self, capabilities: impl Iterator<Item = String>) {
        let shown = capabilities.take(CAPABILITIES_MAX).map(|one| shorten(&one, LINE_CHARS_MAX).into_owned());
        let capabilities: Vec<_> = shown.collect();
        self.amend(|seen| seen.capabilities = capabilities);
    }

    /// Notes that somebody is logged in, and by which mechanism.
    pub(super) fn logged_in(&mut self, mechanism: &str) {
        self.amend(|seen| seen.login = Some(mechanism.to_owned()));
    }

    pub(super) async fn start_tls(&mut self, handshake: Handshake) -> Result<(), Verdict> {
        self.conversation.start_tls(handshake).await?;
        self.amend(|seen| seen.encrypted = true);
        Ok(())
    }

    /// Whatever comes from here on belongs to no phase.
    pub(super) fn hurry(&self) {
        self.recorder.leave();
    }

    fn amend(&mut self, amend: impl FnOnce(&mut MailEvidence)) {
        amend(&mut self.seen);
        let seen = self.seen.clone();
        self.recorder.amend_type(|evidence| {
            if let TypeEvidence::Mail(mail) = evidence {
                *mail = seen;
            }
        });
    }

    /// Ends the connection.
    pub(super) async fn end(self) -> (Findings, MailEvidence) {
        self.recorder.leave();
        self.conversation.end().await;
        (self.findings, self.seen)
    }
}
