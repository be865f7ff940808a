//! The words of IMAP (RFC 3501 and 9051).

use watchpost_model::{MailLogin, ReasonCode};

use super::session::Session;
use super::{Protocol, plain, refusal};
use crate::Verdict;

#[derive(Default)]
pub(super) struct Imap {
    /// How many commands were given.
    commands: u32,
    /// Whether the server takes whoever connects for logged in.
    preauth: bool,
}

/// How an answer ended.
struct Ending {
    /// `OK`, `NO` or `BAD`, and what follows it.
    said: String,
}

impl Ending {
    fn is_ok(&self) -> bool {
        word(&self.said).eq_ignore_ascii_case("OK")
    }

    /// Why a command that was to be obeyed was not.
    fn code(&self, otherwise: ReasonCode) -> ReasonCode {
        if self.said.to_ascii_uppercase().contains("[UNAVAILABLE]") { refusal(true) } else { otherwise }
    }
}

fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// What follows `* ` in a line that belongs to no command.
fn untagged(line: &str) -> Option<&str> {
    line.strip_prefix("* ")
}

/// `text` in quotes. It holds no line breaks: the model sees to that.
fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Imap {
    /// Gives a command; `line` looks at what the server says besides.
    async fn command(
        &mut self,
        command: &str,
        session: &mut Session<'_>,
        mut line: impl FnMut(&str) + Send,
    ) -> Result<Ending, Verdict> {
        let tag = self.give(command, session).await?;
        self.ending(&tag, session, &mut line).await
    }

    async fn give(&mut self, command: &str, session: &mut Session<'_>) -> Result<String, Verdict> {
        self.commands += 1;
        let tag = format!("w{}", self.commands);
        session.say(&format!("{tag} {command}")).await?;
        Ok(tag)
    }

    async fn ending(
        &self,
        tag: &str,
        session: &mut Session<'_>,
        line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Ending, Verdict> {
        for read in 0.. {
            let heard = session.line_after(read).await?;
            if let Some(said) = heard.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                return match word(said).to_ascii_uppercase().as_str() {
                    "OK" | "NO" | "BAD" => Ok(Ending { said: said.to_owned() }),
                    _ => Err(session.unexpected(&heard, "an answer of IMAP")),
                };
            }
            match untagged(&heard) {
                Some(said) => line(said),
                None => return Err(session.unexpected(&heard, "an answer of IMAP")),
            }
        }
        Err(session.broken("sent an answer without end"))
    }
}

impl Protocol for Imap {
    async fn greet(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("greeting", false);
        session.listen();
        let line = session.line().await?;
        let Some(said) = untagged(&line) else { return Err(session.unexpected(&line, "a greeting of IMAP")) };
        session.greeted(said);
        let code = match word(said).to_ascii_uppercase().as_str() {
            "OK" => ReasonCode::AssertionFailed,
            "PREAUTH" => {
                self.preauth = true;
                ReasonCode::AssertionFailed
            }
            "BYE" => ReasonCode::NotReady,
            _ => return Err(session.unexpected(&line, "a greeting of IMAP")),
        };
        Ok(session.note("greeting", "OK or PREAUTH", said, code != ReasonCode::NotReady, code))
    }

    async fn ask(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("CAPABILITY", false);
        let mut capabilities = Vec::new();
        let ending = self
            .command("CAPABILITY", session, |said| {
                if word(said).eq_ignore_ascii_case("CAPABILITY") {
                    capabilities = said.split_whitespace().skip(1).map(str::to_owned).collect();
                }
            })
            .await?;
        session.offered(capabilities.into_iter());
        Ok(session.note("CAPABILITY", "OK", &ending.said, ending.is_ok(), ending.code(ReasonCode::AssertionFailed)))
    }

    fn offers_tls(&self, session: &Session<'_>) -> bool {
        // Whoever is logged in can begin TLS no more (RFC 3501, section 6.2.1).
        session.offers("STARTTLS") && !self.preauth
    }

    async fn ask_for_tls(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("STARTTLS", false);
        let ending = self.command("STARTTLS", session, |_| {}).await?;
        Ok(session.note("STARTTLS", "OK", &ending.said, ending.is_ok(), ending.code(ReasonCode::AssertionFailed)))
    }

    async fn log_in(&mut self, login: &MailLogin, session: &mut Session<'_>) -> Result<(), Verdict> {
        if self.preauth {
            session.logged_in("PREAUTH");
            return Ok(());
        }
        let (ending, mechanism) = if session.offers("AUTH=PLAIN") {
            session.begin("AUTHENTICATE", true);
            let tag = self.give("AUTHENTICATE PLAIN", session).await?;
            let line = session.line().await?;
            if line.starts_with('+') {
                session.say(&plain(login)).await?;
                (self.ending(&tag, session, &mut |_| {}).await?, "PLAIN")
            } else {
                let said = line.strip_prefix(&tag).map_or(line.as_str(), str::trim_start).to_owned();
                (Ending { said }, "PLAIN")
            }
        } else if session.offers("LOGINDISABLED") {
            session.note_no_way_in("AUTH=PLAIN or LOGIN");
            return Ok(());
        } else {
            session.begin("LOGIN", true);
            let (name, password) = (in_quotes(login.username.as_str()), in_quotes(login.password.reveal()));
            (self.command(&format!("LOGIN {name} {password}"), session, |_| {}).await?, "LOGIN")
        };
        let is_in = ending.is_ok();
        if is_in {
            session.logged_in(mechanism);
        }
        session.note("LOGIN", "OK", &ending.said, is_in, ending.code(ReasonCode::AuthFailed));
        Ok(())
    }

    async fn leave(&mut self, session: &mut Session<'_>) -> Result<(), Verdict> {
        session.begin("LOGOUT", false);
        self.command("LOGOUT", session, |_| {}).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_quotes_stays_there() {
        assert_eq!(in_quotes(r#"a"b\c d"#), r#""a\"b\\c d""#);
    }
}
