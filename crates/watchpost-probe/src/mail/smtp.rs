//! The words of SMTP (RFC 5321).

use std::net::IpAddr;

use watchpost_model::{HeloName, MailLogin, ReasonCode};

use super::session::Session;
use super::{Protocol, encoded, plain, refusal};
use crate::Verdict;

pub(super) struct Smtp<'a> {
    helo_name: Option<&'a HeloName>,
}

/// What a server answered.
struct Reply {
    code: u16,
    /// The texts of its lines, without the code.
    texts: Vec<String>,
}

impl Reply {
    /// As sentences quote it.
    fn said(&self) -> String {
        format!("{} {}", self.code, self.texts.join(" "))
    }

    /// Whether it is to be tried again later.
    fn is_for_now(&self) -> bool {
        (400..500).contains(&self.code)
    }
}

impl<'a> Smtp<'a> {
    pub(super) fn new(helo_name: Option<&'a HeloName>) -> Self {
        Self { helo_name }
    }

    fn own_name(&self, session: &Session<'_>) -> String {
        match (self.helo_name, session.own_address()) {
            (Some(name), _) => name.to_string(),
            // Who has no name says its address (RFC 5321, section 4.1.4).
            (None, IpAddr::V4(address)) => format!("[{address}]"),
            (None, IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        }
    }
}

/// Reads an answer of one or several lines: `250-first`, `250 last`.
async fn reply(session: &mut Session<'_>) -> Result<Reply, Verdict> {
    let mut reply: Option<Reply> = None;
    loop {
        let line = session.line_after(reply.as_ref().map_or(0, |reply| reply.texts.len())).await?;
        let (code, rest) = line.split_at_checked(3).unwrap_or((line.as_str(), ""));
        let (goes_on, text) = match rest.split_at_checked(1) {
            None => (false, ""),
            Some((" ", text)) => (false, text),
            Some(("-", text)) => (true, text),
            Some(_) => return Err(session.unexpected(&line, "an answer of SMTP")),
        };
        let code = match code.parse::<u16>() {
            Ok(code) if (200..600).contains(&code) && code.to_string().len() == line.len() - rest.len() => code,
            _ => return Err(session.unexpected(&line, "an answer of SMTP")),
        };
        let reply = reply.get_or_insert_with(|| Reply { code, texts: Vec::new() });
        if reply.code != code {
            return Err(session.unexpected(&line, &format!("the rest of an answer with the code {}", reply.code)));
        }
        reply.texts.push(text.to_owned());
        if !goes_on {
            return Ok(Reply { code, texts: std::mem::take(&mut reply.texts) });
        }
    }
}

/// Says `line`, and notes whether the answer is `expected`.
async fn command(
    at: &str,
    line: &str,
    expected: u16,
    otherwise: fn(&Reply) -> ReasonCode,
    session: &mut Session<'_>,
) -> Result<Option<Reply>, Verdict> {
    session.say(line).await?;
    let reply = reply(session).await?;
    let code = otherwise(&reply);
    let passed = session.note(at, &expected.to_string(), &reply.said(), reply.code == expected, code);
    Ok(passed.then_some(reply))
}

fn refused(reply: &Reply) -> ReasonCode {
    if reply.is_for_now() { ReasonCode::NotReady } else { ReasonCode::AssertionFailed }
}

fn not_let_in(reply: &Reply) -> ReasonCode {
    refusal(reply.is_for_now())
}

impl Protocol for Smtp<'_> {
    async fn greet(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("greeting", false);
        session.listen();
        let reply = reply(session).await?;
        session.greeted(&reply.said());
        Ok(session.note("greeting", "220", &reply.said(), reply.code == 220, refused(&reply)))
    }

    async fn ask(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("EHLO", false);
        let line = format!("EHLO {}", self.own_name(session));
        let Some(reply) = command("EHLO", &line, 250, refused, session).await? else { return Ok(false) };
        // The first line is the server's name.
        session.offered(reply.texts.into_iter().skip(1));
        Ok(true)
    }

    fn offers_tls(&self, session: &Session<'_>) -> bool {
        session.offers("STARTTLS")
    }

    async fn ask_for_tls(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict> {
        session.begin("STARTTLS", false);
        Ok(command("STARTTLS", "STARTTLS", 220, refused, session).await?.is_some())
    }

    async fn log_in(&mut self, login: &MailLogin, session: &mut Session<'_>) -> Result<(), Verdict> {
        session.begin("AUTH", true);
        if session.offers_word("AUTH", "PLAIN") {
            let line = format!("AUTH PLAIN {}", plain(login));
            let is_in = command("AUTH", &line, 235, not_let_in, session).await?.is_some();
            if is_in {
                session.logged_in("PLAIN");
            }
            return Ok(());
        }
        if !session.offers_word("AUTH", "LOGIN") {
            session.note_no_way_in("AUTH PLAIN or AUTH LOGIN");
            return Ok(());
        }
        let (name, password) = (encoded(login.username.as_str()), encoded(login.password.reveal()));
        for (line, expected) in [("AUTH LOGIN", 334), (&name, 334), (&password, 235)] {
            if command("AUTH", line, expected, not_let_in, session).await?.is_none() {
                return Ok(());
            }
        }
        session.logged_in("LOGIN");
        Ok(())
    }

    async fn leave(&mut self, session: &mut Session<'_>) -> Result<(), Verdict> {
        session.begin("QUIT", false);
        session.say("QUIT").await?;
        reply(session).await.map(|_| ())
    }
}
