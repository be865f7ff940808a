//! The `redis` check type: connect, log in, `PING`, then optionally one command.
//!
//! The protocol is ours, in `resp`: the client crate reads replies of any size, and a check wants three.

mod resp;

use std::time::Instant;

use watchpost_model::{
    ProbeSettings, ReasonCode, RedisEvidence, RedisSettings, RespVersion, Task, TypeEvidence, shorten,
};

use self::resp::{Reply, command, shown};
use crate::assertions::{Findings, conclude};
use crate::broken::Broken;
use crate::context::ProbeContext;
use crate::network::Destination;
use crate::recorder::Recorder;
use crate::secret::Secrets;
use crate::wire::{Conversation, Wire};
use crate::{BoxFuture, Probe, Verdict, failure, value};

/// The most that is read of one connection.
const READ_BYTES_MAX: u64 = 256 * 1024;

/// Executes `redis` checks.
#[derive(Debug)]
pub(crate) struct RedisProbe {
    context: ProbeContext,
}

impl RedisProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Redis(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.address.to_string());
        let to = Destination::of(task, &settings.address, &settings.route);
        let (reply, evidence) = match self.ask(to, settings, recorder).await {
            Ok(answered) => answered,
            Err(broken) => {
                let host = settings.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
                return broken.verdict(to, host.map_or(to.host, |name| name.as_str()), recorder);
            }
        };
        let mut findings = Findings::default();
        let text = reply.as_ref().and_then(Reply::text);
        let number = text.as_deref().and_then(value::number);
        if let Some(number) = number.as_ref().and_then(serde_json::Number::as_f64) {
            recorder.metric("value", number);
        }
        if let (Some(expect), Some(name)) = (&settings.expect, settings.command.first()) {
            let what = format!("the reply to {}", shorten(name.as_str(), 40));
            findings.value(&what, expect, text.as_deref(), &self.context.patterns);
        }
        conclude(&self.context, task, recorder, findings, || {
            serde_json::json!({
                "value": reply.as_ref().map(Reply::json),
                "number": number,
                "version": evidence.version,
                "mode": evidence.mode,
                "role": evidence.role,
            })
        })
    }

    /// The reply to the command, where there is one, and what the server told of itself.
    async fn ask(
        &self,
        to: Destination<'_>,
        settings: &RedisSettings,
        recorder: &Recorder,
    ) -> Result<(Option<Reply>, RedisEvidence), Broken> {
        let tls = settings.tls.as_ref().map(|tls| (tls, &[][..]));
        let wire = Wire::open(&self.context, to, tls, READ_BYTES_MAX, recorder).await?;
        wire.end_by_reset();
        let secrets = Secrets::of_values(settings.password.iter().map(|password| password.reveal()));
        let mut session = Session { talk: Conversation::new(wire), secrets };
        let evidence = session.log_in(settings).await?;
        recorder.of_type(TypeEvidence::Redis(evidence.clone()));
        let asked = Instant::now();
        session.ping().await?;
        recorder.metric("ping_ms", asked.elapsed().as_secs_f64() * 1_000.0);
        let reply = session.run(settings).await?;
        Ok((reply, evidence))
    }
}

impl Probe for RedisProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// A conversation, and what must not be quoted from it.
struct Session {
    talk: Conversation,
    secrets: Secrets,
}

impl Session {
    async fn log_in(&mut self, settings: &RedisSettings) -> Result<RedisEvidence, Broken> {
        let user = settings.user.as_ref().map(|user| user.as_str());
        let password = settings.password.as_ref().map(|password| password.reveal());
        match (settings.resp, password) {
            (RespVersion::Two, None) => Ok(RedisEvidence::default()),
            (RespVersion::Two, Some(password)) => {
                let words: Vec<_> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
                match self.asked(&words).await? {
                    Reply::Error(error) => Err(self.refusal("AUTH", &error, ReasonCode::AuthFailed)),
                    _ => Ok(RedisEvidence::default()),
                }
            }
            (RespVersion::Three, password) => {
                let mut words = vec!["HELLO", "3"];
                if let Some(password) = password {
                    words.extend(["AUTH", user.unwrap_or("default"), password]);
                }
                match self.asked(&words).await? {
                    Reply::Error(error) if error.starts_with("NOPROTO") || error.starts_with("ERR unknown command") => {
                        let error = self.quoted(&error);
                        Err(Broken::garbage(format!("does not speak RESP3, which the check asks for: it said {error}")))
                    }
                    Reply::Error(error) => Err(self.refusal("HELLO", &error, ReasonCode::AuthFailed)),
                    hello => Ok(RedisEvidence {
                        server: hello.get("server"),
                        version: hello.get("version"),
                        mode: hello.get("mode"),
                        role: hello.get("role"),
                    }),
                }
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Broken> {
        match self.asked(&["PING"]).await? {
            pong if pong.is("PONG") => Ok(()),
            Reply::Error(error) => Err(self.refusal("PING", &error, ReasonCode::QueryFailed)),
            other => {
                let other = other.text().unwrap_or_default();
                Err(Broken::garbage(format!("answered PING with {}, and not with PONG", shown(&other))))
            }
        }
    }

    /// Selects the database and runs the command, where there is one.
    async fn run(&mut self, settings: &RedisSettings) -> Result<Option<Reply>, Broken> {
        if let Some(database) = settings.database {
            let database = database.to_string();
            if let Reply::Error(error) = self.asked(&["SELECT", &database]).await? {
                let code =
                    if error.contains("out of range") { ReasonCode::UnknownDatabase } else { ReasonCode::QueryFailed };
                return Err(self.refusal(&format!("SELECT {database}"), &error, code));
            }
        }
        let words: Vec<_> = settings.command.iter().map(|word| word.as_str()).collect();
        let Some(name) = words.first() else { return Ok(None) };
        match self.asked(&words).await? {
            Reply::Error(error) => Err(self.refusal(&shorten(name, 40), &error, ReasonCode::QueryFailed)),
            reply => Ok(Some(reply)),
        }
    }

    async fn asked(&mut self, words: &[&str]) -> Result<Reply, Broken> {
        self.talk.say(&command(words)).await;
        resp::reply(&mut self.talk).await
    }

    /// What an error that the server answered to `what` means; `otherwise` is the code where it does not say.
    fn refusal(&self, what: &str, error: &str, otherwise: ReasonCode) -> Broken {
        let quoted = self.quoted(error);
        let kind = error.split(' ').next().unwrap_or_default();
        match kind {
            "NOAUTH" => Broken::Refused(
                ReasonCode::AuthFailed,
                format!("wants a password, and the check has none that it accepts: it said {quoted}"),
            ),
            "WRONGPASS" => Broken::Refused(
                ReasonCode::AuthFailed,
                format!("does not accept the user or password: it said {quoted}"),
            ),
            "DENIED" => Broken::Refused(ReasonCode::AuthFailed, format!("serves no other machine: it said {quoted}")),
            "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "BUSY" | "TRYAGAIN" => {
                Broken::Refused(ReasonCode::NotReady, format!("is not ready: it said {quoted}"))
            }
            _ if error.contains("max number of clients") => {
                Broken::Refused(ReasonCode::NotReady, format!("takes no more clients: it said {quoted}"))
            }
            _ if otherwise == ReasonCode::AuthFailed => {
                Broken::Refused(otherwise, format!("does not let the check log in: it said {quoted}"))
            }
            _ => Broken::Refused(otherwise, format!("answered {what} with an error: {quoted}")),
        }
    }

    fn quoted(&self, said: &str) -> String {
        format!("\"{}\"", shorten(&self.secrets.hide_in(said.to_owned()), 200))
    }
}
