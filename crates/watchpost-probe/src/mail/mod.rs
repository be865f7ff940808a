//! The types that visit a mail server: `smtp`, `imap`, `pop3`. They differ in their words, and are alike in what they
//! do: hear a greeting, ask what there is, begin TLS, log in, and take their leave.

mod imap;
mod pop3;
mod session;
mod smtp;

use std::time::Duration;

use data_encoding::BASE64;
use watchpost_model::{
    HostPort, MailEvidence, MailLogin, ProbeSettings, ReasonCode, RouteSettings, StartTls, Task, TlsSettings,
    TypeEvidence,
};

use self::session::Session;
use crate::assertions::conclude;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::tls::Handshake;
use crate::{BoxFuture, Probe, Verdict, failure};

/// How long a server is given to answer when it is left. What it says then changes nothing.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// The words of one protocol. What returns a `bool` returns `false` where the server said something that is not as
/// expected, which then is among the findings.
trait Protocol {
    /// Hears the greeting.
    async fn greet(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict>;
    /// Asks what the server offers.
    async fn ask(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict>;
    /// Whether the server offers TLS.
    fn offers_tls(&self, session: &Session<'_>) -> bool;
    /// Asks for TLS.
    async fn ask_for_tls(&mut self, session: &mut Session<'_>) -> Result<bool, Verdict>;
    /// Logs in.
    async fn log_in(&mut self, login: &MailLogin, session: &mut Session<'_>) -> Result<(), Verdict>;
    /// Takes its leave.
    async fn leave(&mut self, session: &mut Session<'_>) -> Result<(), Verdict>;
}

/// What the types have in common.
#[derive(Clone, Copy)]
struct Visit<'a> {
    address: &'a HostPort,
    starttls: StartTls,
    auth: Option<&'a MailLogin>,
    tls: &'a TlsSettings,
    route: &'a RouteSettings,
}

/// Makes the common part of the settings of any of the types.
macro_rules! visit {
    ($settings:ident) => {
        Visit {
            address: &$settings.address,
            starttls: $settings.starttls,
            auth: $settings.auth.as_ref(),
            tls: &$settings.tls,
            route: &$settings.route,
        }
    };
}

/// Executes `smtp`, `imap` and `pop3` checks, by their settings.
#[derive(Debug)]
pub(crate) struct MailProbe {
    context: ProbeContext,
}

impl MailProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Result<Verdict, Verdict> {
        match &*task.probe {
            ProbeSettings::Smtp(settings) => {
                let words = smtp::Smtp::new(settings.helo_name.as_ref());
                self.visit(visit!(settings), words, task, recorder).await
            }
            ProbeSettings::Imap(settings) => self.visit(visit!(settings), imap::Imap::default(), task, recorder).await,
            ProbeSettings::Pop3(settings) => self.visit(visit!(settings), pop3::Pop3::default(), task, recorder).await,
            _ => Err(failure::bad_task()),
        }
    }

    async fn visit<P: Protocol>(
        &self,
        visit: Visit<'_>,
        mut words: P,
        task: &Task,
        recorder: &Recorder,
    ) -> Result<Verdict, Verdict> {
        recorder.hop(visit.address.to_string());
        let to = Destination::of(task, visit.address, visit.route);
        let handshake = match visit.starttls {
            StartTls::Never => None,
            _ => Some(self.context.tls.prepare(to.host, visit.tls, &[]).await?),
        };
        let stream = self.context.network.connect(to, recorder).await?;
        let whom = to.whom(recorder.position().address);
        let own_address = stream.set_nodelay(true).and_then(|()| stream.local_addr());
        let own_address = own_address.map_err(|error| failure::of_io(&error, &whom, &recorder.position()))?;
        recorder.of_type(TypeEvidence::Mail(MailEvidence::default()));
        if let Some(login) = visit.auth {
            recorder.transcript(|transcript| transcript.hide(secrets_of(login).iter().map(String::as_str)));
        }
        let mut session = Session::new(stream, own_address.ip(), whom, recorder);
        talk(visit, &mut words, handshake, &mut session).await?;
        session.hurry();
        let _answered = tokio::time::timeout(LEAVE_MAX, words.leave(&mut session)).await;
        let (findings, seen) = session.end().await;
        Ok(conclude(&self.context, task, recorder, findings, || {
            serde_json::json!({
                "greeting": seen.greeting,
                "greeting_code": seen.greeting.as_deref().and_then(|greeting| greeting.get(..3)?.parse::<u16>().ok()),
                "capabilities": seen.capabilities,
                "encrypted": seen.encrypted,
                "authenticated": seen.login.is_some(),
            })
        }))
    }
}

impl Probe for MailProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(async { self.check(task, recorder).await.unwrap_or_else(|verdict| verdict) })
    }
}

/// Says everything there is to say but farewell, until something is not as expected.
async fn talk<P: Protocol>(
    visit: Visit<'_>,
    words: &mut P,
    mut handshake: Option<Handshake>,
    session: &mut Session<'_>,
) -> Result<(), Verdict> {
    if let Some(handshake) = handshake.take_if(|_| visit.starttls == StartTls::Implicit) {
        session.start_tls(handshake).await?;
    }
    if !words.greet(session).await? || !words.ask(session).await? {
        return Ok(());
    }
    if let Some(handshake) = handshake {
        let offered = words.offers_tls(session);
        let wanted = visit.starttls == StartTls::Required || visit.auth.is_some();
        if wanted {
            session.note_offer(offered, visit.auth.is_some());
        }
        if wanted && !offered {
            return Ok(());
        }
        if offered {
            if !words.ask_for_tls(session).await? {
                return Ok(());
            }
            session.start_tls(handshake).await?;
            // What was said before could have been anybody's (RFC 3207, section 4.2).
            if !words.ask(session).await? {
                return Ok(());
            }
        }
    }
    if let Some(login) = visit.auth {
        words.log_in(login, session).await?;
    }
    Ok(())
}

/// What a client says of itself by PLAIN (RFC 4616).
fn plain(login: &MailLogin) -> String {
    BASE64.encode(format!("\0{}\0{}", login.username, login.password.reveal()).as_bytes())
}

fn encoded(text: &str) -> String {
    BASE64.encode(text.as_bytes())
}

/// The password, and every form in which it is sent.
fn secrets_of(login: &MailLogin) -> [String; 3] {
    let password = login.password.reveal();
    [password.to_owned(), encoded(password), plain(login)]
}

/// Which code says that a server refuses a login.
fn refusal(is_for_now: bool) -> ReasonCode {
    if is_for_now { ReasonCode::NotReady } else { ReasonCode::AuthFailed }
}
