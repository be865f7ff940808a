//! A session with a PostgreSQL server: opened, proved to be somebody's, asked.
//!
//! Messages are written and read by postgres-protocol, one at a time and each within a bound. The client
//! crate above it would send a password in clear text to whoever asks, and takes messages of any size.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use watchpost_model::{PostgresEvidence, PostgresSettings, ReasonCode, TlsMode, shorten};

use super::refusal::{ServerError, refusal};
use crate::broken::Broken;
use crate::secret::Secrets;
use crate::value::Answer;
use crate::wire::{Conversation, Wire};

/// The largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Who asks where nobody logs in.
const NOBODY: &str = "watchpost";

/// A session that is being opened, or open.
pub(super) struct Session<'a> {
    talk: Conversation,
    settings: &'a PostgresSettings,
    is_tls: bool,
    /// Whether the server has let the check in.
    is_in: bool,
    secrets: Secrets,
    pub(super) evidence: PostgresEvidence,
}

impl<'a> Session<'a> {
    /// A session over `wire`, which speaks TLS or not.
    pub(super) fn new(wire: Wire, settings: &'a PostgresSettings, is_tls: bool) -> Self {
        let secrets = Secrets::of_values(settings.password.iter().map(|password| password.reveal()));
        let evidence = PostgresEvidence::default();
        Self { talk: Conversation::new(wire), settings, is_tls, is_in: false, secrets, evidence }
    }

    /// Opens the session, and logs in where the check has a user. Where it has none, it suffices that the
    /// server asks who it is, or does not know it.
    ///
    /// # Errors
    /// When the server does not let the check in, or does not answer as it should.
    pub(super) async fn open(&mut self) -> Result<(), Broken> {
        let user = self.settings.user.as_ref().map_or(NOBODY, |user| user.as_str());
        let mut parameters = vec![("user", user), ("client_encoding", "UTF8"), ("application_name", "watchpost")];
        parameters.extend(self.settings.database.as_ref().map(|database| ("database", database.as_str())));
        let mut startup = BytesMut::new();
        frontend::startup_message(parameters, &mut startup).map_err(unwritable)?;
        self.talk.say(&startup).await;
        let mut scram = None;
        loop {
            let message = self.message().await?;
            let is_question = !matches!(message, Message::ErrorResponse(_) | Message::NoticeResponse(_));
            if self.settings.user.is_none() && is_question {
                return Ok(());
            }
            let answer = match message {
                Message::AuthenticationOk => break,
                Message::AuthenticationSasl(body) => {
                    scram = Some(self.scram(&body)?);
                    scram_first(scram.as_ref())?
                }
                Message::AuthenticationSaslContinue(body) => scram_next(scram.as_mut(), body.data())?,
                Message::AuthenticationSaslFinal(body) => {
                    let scram = scram.take().ok_or_else(unexpected)?;
                    scram_last(scram, body.data())?;
                    continue;
                }
                Message::AuthenticationMd5Password(body) => {
                    self.asked_for("md5");
                    let hash = md5_hash(user.as_bytes(), self.password()?.as_bytes(), body.salt());
                    written(|buf| frontend::password_message(hash.as_bytes(), buf))?
                }
                Message::AuthenticationCleartextPassword => {
                    self.asked_for("cleartext");
                    let password = self.cleartext()?;
                    written(|buf| frontend::password_message(password.as_bytes(), buf))?
                }
                Message::AuthenticationGss
                | Message::AuthenticationSspi
                | Message::AuthenticationKerberosV5
                | Message::AuthenticationScmCredential => return Err(unknown_way("Kerberos, GSSAPI or SSPI")),
                Message::ErrorResponse(body) => match self.refused(&body)? {
                    error if self.settings.user.is_none() && error.means_that_it_accepts() => return Ok(()),
                    error => return Err(refusal(&error, "does not open a session", self.is_tls)),
                },
                Message::NoticeResponse(_) => continue,
                _ => return Err(unexpected()),
            };
            self.talk.say(&answer).await;
        }
        // Whoever does not know the password cannot say the last word of the exchange.
        if scram.is_some() {
            return Err(Broken::garbage("let the check in without proving that it knows the password"));
        }
        self.evidence.authentication.get_or_insert_with(|| "trust".to_owned());
        self.until_ready().await
    }

    /// Runs `query`, which may be several statements, or none. One that fails is heard out as well, so that the
    /// session can be ended in an orderly way.
    ///
    /// # Errors
    /// When it fails, or the server does not answer as it should.
    pub(super) async fn query(&mut self, query: &str) -> Result<Answer, Broken> {
        let message = written(|buf| frontend::query(query, buf))?;
        self.talk.say(&message).await;
        let mut answer = Answer::default();
        let mut failed = None;
        loop {
            let message = match self.message().await {
                Ok(message) => message,
                // Some errors end the session, too.
                Err(broken) => return Err(failed.unwrap_or(broken)),
            };
            match message {
                Message::ReadyForQuery(_) => return failed.map_or(Ok(answer), Err),
                Message::DataRow(row) => {
                    answer.rows += 1;
                    if answer.rows == 1 {
                        let first = row.ranges().next().map_err(unreadable)?.flatten();
                        answer.value = first.and_then(|range| row.buffer().get(range)).map(<[u8]>::to_vec);
                    }
                }
                // What follows the first error follows from it.
                Message::ErrorResponse(_) if failed.is_some() => {}
                Message::ErrorResponse(body) => {
                    failed = Some(refusal(&self.refused(&body)?, "answered the query with an error", self.is_tls));
                }
                Message::CopyInResponse(_) => {
                    let what = "waits for data that the query is to store, and the check has none";
                    failed = Some(Broken::Refused(ReasonCode::QueryFailed, what.to_owned()));
                    let none = written(|buf| frontend::copy_fail("a check has no data", buf))?;
                    self.talk.say(&none).await;
                }
                Message::RowDescription(_)
                | Message::CommandComplete(_)
                | Message::EmptyQueryResponse
                | Message::CopyOutResponse(_)
                | Message::CopyData(_)
                | Message::CopyDone
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_)
                | Message::NoticeResponse(_) => {}
                _ => return Err(unexpected()),
            }
        }
    }

    /// Takes leave of the server, without waiting: what breaks off is noted in its log, and so is a farewell where it
    /// waits for a password.
    pub(super) fn close(self) {
        let mut farewell = BytesMut::new();
        if self.is_in {
            frontend::terminate(&mut farewell);
        }
        self.talk.goodbye(&farewell);
    }

    /// Reads what a server tells of itself once it has let somebody in.
    async fn until_ready(&mut self) -> Result<(), Broken> {
        loop {
            match self.message().await? {
                Message::ReadyForQuery(_) => {
                    self.is_in = true;
                    return Ok(());
                }
                Message::ParameterStatus(body) => {
                    let value = body.value().map_err(unreadable)?;
                    match body.name().map_err(unreadable)? {
                        "server_version" => self.evidence.version = Some(shorten(value, 100).into_owned()),
                        "in_hot_standby" => self.evidence.standby = Some(value == "on"),
                        _ => {}
                    }
                }
                Message::ErrorResponse(body) => {
                    return Err(refusal(&self.refused(&body)?, "does not open a session", self.is_tls));
                }
                Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
                _ => return Err(unexpected()),
            }
        }
    }

    async fn message(&mut self) -> Result<Message, Broken> {
        let head = self.talk.exact(5).await?;
        let mut bytes = BytesMut::from(head.as_ref());
        let length = head.get(1..).and_then(|length| length.try_into().ok()).map_or(0, u32::from_be_bytes) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(Broken::garbage(format!(
                "does not speak the protocol of PostgreSQL, or sent more than {MESSAGE_BYTES_MAX} bytes at once, the \
                 most that is read"
            )));
        }
        bytes.extend_from_slice(&self.talk.exact(length.saturating_sub(4)).await?);
        Message::parse(&mut bytes).map_err(unreadable)?.ok_or_else(unexpected)
    }

    fn scram(&mut self, body: &AuthenticationSaslBody) -> Result<ScramSha256, Broken> {
        self.asked_for("scram-sha-256");
        let mechanisms: Vec<_> = body.mechanisms().map(|name| Ok(name.to_owned())).collect().map_err(unreadable)?;
        if !mechanisms.iter().any(|name| name == SCRAM_SHA_256) {
            return Err(unknown_way(&shorten(&mechanisms.join(", "), 100)));
        }
        Ok(ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported()))
    }

    fn asked_for(&mut self, way: &str) {
        self.evidence.authentication = Some(way.to_owned());
    }

    fn password(&self) -> Result<&'a str, Broken> {
        let password = self.settings.password.as_ref().map(|password| password.reveal());
        password.ok_or_else(|| {
            Broken::Refused(ReasonCode::AuthFailed, "wants a password, and the check has none".to_owned())
        })
    }

    /// The password, where nobody but the server can read it.
    fn cleartext(&self) -> Result<&'a str, Broken> {
        let password = self.password()?;
        if !self.is_tls || self.settings.tls_mode != TlsMode::Require {
            let what = "asks for the password in clear text, which the check sends only with `tls_mode: require`";
            return Err(Broken::Refused(ReasonCode::TlsRequired, what.to_owned()));
        }
        Ok(password)
    }

    fn refused(&mut self, body: &ErrorResponseBody) -> Result<ServerError, Broken> {
        let error = ServerError::of(body, &self.secrets).map_err(unreadable)?;
        self.evidence.sqlstate = Some(error.sqlstate.clone());
        Ok(error)
    }
}

fn scram_first(scram: Option<&ScramSha256>) -> Result<BytesMut, Broken> {
    let scram = scram.ok_or_else(unexpected)?;
    written(|buf| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buf))
}

fn scram_next(scram: Option<&mut ScramSha256>, data: &[u8]) -> Result<BytesMut, Broken> {
    let scram = scram.ok_or_else(unexpected)?;
    scram.update(data).map_err(unreadable)?;
    written(|buf| frontend::sasl_response(scram.message(), buf))
}

/// The server proves that it knows the password, too.
fn scram_last(mut scram: ScramSha256, data: &[u8]) -> Result<(), Broken> {
    scram.finish(data).map_err(|error| {
        let error = shorten(&error.to_string(), 100).into_owned();
        Broken::garbage(format!("does not prove that it knows the password: {error}"))
    })
}

fn written(write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<BytesMut, Broken> {
    let mut message = BytesMut::new();
    write(&mut message).map_err(unwritable)?;
    Ok(message)
}

/// Only texts that hold a NUL cannot be written, and settings hold none.
fn unwritable(error: std::io::Error) -> Broken {
    Broken::garbage(format!("cannot be asked what the check is to ask: {error}"))
}

/// What the messages' reader has to say is not of the connection, whatever its kind.
fn unreadable(error: std::io::Error) -> Broken {
    let error = shorten(&error.to_string(), 100).into_owned();
    Broken::garbage(format!("does not speak the protocol of PostgreSQL as it should: {error}"))
}

fn unexpected() -> Broken {
    Broken::garbage("does not speak the protocol of PostgreSQL as it should: it sent a message that is out of place")
}

fn unknown_way(asked: &str) -> Broken {
    let what = format!("asks for a proof of who the check is that it cannot give: {asked}");
    Broken::Refused(ReasonCode::AuthFailed, what)
}
