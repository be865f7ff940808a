//! The words of POP3 (RFC 1939, 2449 and 2595).

use watchpost_model::{MailLogin, ReasonCode};

use super::session::Session;
use super::{Protocol, plain, refusal};
use crate::Verdict;

#[derive(Default)]
pub(super) struct Pop3 {
    /// Whether the server can say what it offers. Old ones cannot.
    knows_capa: bool,
}

/// The first line of an answer.
struct Status {
    is_ok: bool,
    said: String,
}

impl Status {
    /// Why a command that was to be obeyed was not (response codes of RFC 2449 and 3206).
    fn code(&self, otherwise: ReasonCode) -> ReasonCode {
        let said = self.said.to_ascii_uppercase();
        let is_for_now = ["[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]"].iter().any(|code| said.contains(code));
        if is_for_now { refusal(true) } else { otherwise }
    }
}

async fn status(session: &mut Session<'_>) -> Result<Status, Verdict> {
    let said = session.line().await?;
    let is_ok = match said.split_whitespace().next() {
        Some("+OK") => true,
        Some("-ERR") => false,
        _ => return Err(session.unexpected(&said, "an answer of POP3")),
    };
    Ok(Status { is_ok, said })
}

async fn command(line: &str, session: &mut Session<'_>) -> Result<Status, Verdict> {
    session.say(line).await?;
    status(session).await
}

impl Protocol for Pop3 {
    async fn greet(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("greeting", false);
        session.listen();
        let greeting = status(session).await?;
        session.greeted(&greeting.said);
        Ok(session.note("greeting", "+OK", &greeting.said, greeting.is_ok, ReasonCode::NotReady))
    }

    async fn ask(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("CAPA", false);
        self.knows_capa = command("CAPA", session).await?.is_ok;
        let mut capabilities = Vec::new();
        if self.knows_capa {
            loop {
                match session.line_after(capabilities.len()).await? {
                    end if end == "." => break,
                    capability => capabilities.push(capability),
                }
            }
        }
        session.offered(capabilities.into_iter());
        Ok(true)
    }

    fn offers_tls(&self, session: &Session<'_>) -> bool {
        session.offers("STLS")
    }

    async fn ask_for_tls(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("STLS", false);
        let status = command("STLS", session).await?;
        Ok(session.note("STLS", "+OK", &status.said, status.is_ok, status.code(ReasonCode::AssertionFailed)))
    }

    async fn log_in(&mut self, login: &MailLogin, session: &mut Session<'_>) -> Result<(), Verdict> {
        let (status, mechanism) = if session.offers("USER") || !self.knows_capa {
            session.begin("USER", false);
            let status = command(&format!("USER {}", login.username), session).await?;
            if !session.note("USER", "+OK", &status.said, status.is_ok, status.code(ReasonCode::AuthFailed)) {
                return Ok(());
            }
            session.begin("PASS", true);
            (command(&format!("PASS {}", login.password.reveal()), session).await?, "PASS")
        } else if session.offers_word("SASL", "PLAIN") {
            session.begin("AUTH", true);
            session.say("AUTH PLAIN").await?;
            let line = session.line().await?;
            if line.starts_with("+ ") || line == "+" {
                (command(&plain(login), session).await?, "AUTH")
            } else {
                (Status { is_ok: false, said: line }, "AUTH")
            }
        } else {
            session.note_no_way_in("USER or SASL PLAIN");
            return Ok(());
        };
        if status.is_ok {
            session.logged_in(if mechanism == "PASS" { "USER" } else { "PLAIN" });
        }
        session.note(mechanism, "+OK", &status.said, status.is_ok, status.code(ReasonCode::AuthFailed));
        Ok(())
    }

    async fn leave(&mut self, session: &mut Session<'_>) -> Result<(), Verdict> {
        session.begin("QUIT", false);
        command("QUIT", session).await.map(|_| ())
    }
}
