//! A session with a MySQL server: greeted, upgraded to TLS, logged in, asked.

use bytes::Bytes;
use watchpost_model::{MysqlEvidence, MysqlSettings, ReasonCode, TlsMode, shorten};

use super::packet::{self, Greeting, Reader, ServerError, packet};
use super::proof;
use crate::broken::Broken;
use crate::secret::Secrets;
use crate::tls::Handshake;
use crate::value::Answer;
use crate::wire::{Conversation, Wire};

const COM_QUIT: u8 = 0x01;
const COM_QUERY: u8 = 0x03;
const COM_PING: u8 = 0x0e;
/// The first bytes of answers.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const FILE: u8 = 0xfb;
const EOF: u8 = 0xfe;
const ERROR: u8 = 0xff;
/// An answer that begins with [`EOF`] is one only where it is shorter than this.
const EOF_BYTES_MAX: usize = 9;
/// What a server says in the course of `caching_sha2_password`.
const PROOF_SUFFICES: u8 = 3;
const PASSWORD_WANTED: u8 = 4;
/// The most columns of a result.
const COLUMNS_MAX: u64 = 1024;

const NATIVE: &str = "mysql_native_password";
const CACHING_SHA2: &str = "caching_sha2_password";
/// Those who want the password itself.
const CLEAR: [&str; 2] = ["mysql_clear_password", "sha256_password"];

/// A session that somebody is logged in to.
pub(super) struct Session<'a> {
    talk: Conversation,
    settings: &'a MysqlSettings,
    is_tls: bool,
    /// Whether the check does without the TLS that the server offers.
    declines_tls: bool,
    secrets: Secrets,
}

impl<'a> Session<'a> {
    /// Opens a session over `wire`, by TLS where the check asks for it and there is a `handshake`, and logs in.
    ///
    /// # Errors
    /// When the server does not let the check in, or does not answer as it should.
    pub(super) async fn open(
        wire: Wire,
        handshake: Option<Handshake>,
        settings: &'a MysqlSettings,
        evidence: &mut MysqlEvidence,
    ) -> Result<Self, Broken> {
        let secrets = Secrets::of_values(settings.password.iter().map(|password| password.reveal()));
        let mut session = Self { talk: Conversation::new(wire), settings, is_tls: false, declines_tls: false, secrets };
        session.talk.listen();
        let (number, payload) = packet::read(&mut session.talk).await?;
        if let Some((&ERROR, rest)) = payload.split_first() {
            return Err(session.refused(rest, "does not open a session", evidence)?);
        }
        let greeting = Greeting::read(&payload)?;
        evidence.version = Some(greeting.version.clone());
        session.declines_tls = greeting.offers_tls() && handshake.is_none();
        let mut number = number.wrapping_add(1);
        if let Some(handshake) = handshake {
            if greeting.offers_tls() {
                session = session.secured(number, handshake).await?;
                number = number.wrapping_add(1);
            } else if settings.tls_mode == TlsMode::Require {
                let what = "does not offer TLS, which the check requires";
                return Err(Broken::Unanswered(ReasonCode::TlsNotOffered, what.to_owned()));
            }
        }
        session.log_in(number, &greeting, evidence).await?;
        Ok(session)
    }

    async fn secured(mut self, number: u8, handshake: Handshake) -> Result<Self, Broken> {
        let request = packet(number, &packet::tls_request(self.settings.database.is_some()));
        self.talk.say(&request).await;
        let (wire, rest) = self.talk.into_parts();
        // What came in the clear could be anybody's, and must not count as said by TLS.
        if !rest.is_empty() {
            return Err(Broken::garbage("said more than its greeting before it spoke TLS"));
        }
        let talk = Conversation::new(wire.secured(handshake).await?);
        Ok(Self { talk, is_tls: true, ..self })
    }

    async fn log_in(&mut self, number: u8, greeting: &Greeting, evidence: &mut MysqlEvidence) -> Result<(), Broken> {
        // A server that wants another proof says so.
        let mut plugin = if greeting.plugin == CACHING_SHA2 { CACHING_SHA2 } else { NATIVE }.to_owned();
        let database = self.settings.database.as_ref().map(|database| database.as_str());
        let proof = self.proof(&plugin, &greeting.scramble)?;
        let login = packet::login(self.is_tls, self.settings.user.as_str(), database, &plugin, &proof);
        self.talk.say(&packet(number, &login)).await;
        loop {
            let (number, payload) = packet::read(&mut self.talk).await?;
            let number = number.wrapping_add(1);
            match payload.split_first() {
                Some((&OK, _)) => {
                    evidence.authentication = Some(plugin);
                    return Ok(());
                }
                Some((&ERROR, rest)) => return Err(self.refused(rest, "does not open a session", evidence)?),
                Some((&EOF, rest)) => {
                    let mut reader = Reader(rest);
                    plugin = shorten(&String::from_utf8_lossy(reader.until_nul()?), 100).into_owned();
                    let scramble = reader.0.strip_suffix(&[0]).unwrap_or(reader.0);
                    let proof = self.proof(&plugin, scramble)?;
                    self.talk.say(&packet(number, &proof)).await;
                }
                Some((&MORE, [PROOF_SUFFICES])) if plugin == CACHING_SHA2 => {}
                Some((&MORE, [PASSWORD_WANTED])) if plugin == CACHING_SHA2 => {
                    let password = self.password_itself()?;
                    self.talk.say(&packet(number, &password)).await;
                }
                _ => return Err(unexpected()),
            }
        }
    }

    /// What proves by `plugin` that the check knows the password; nothing where it has none.
    fn proof(&self, plugin: &str, scramble: &[u8]) -> Result<Vec<u8>, Broken> {
        let password = self.settings.password.as_ref().map(|password| password.reveal());
        match (plugin, password) {
            (NATIVE | CACHING_SHA2, None) => Ok(Vec::new()),
            (NATIVE, Some(password)) => Ok(proof::native(password, scramble)),
            (CACHING_SHA2, Some(password)) => Ok(proof::caching_sha2(password, scramble)),
            (clear, _) if CLEAR.contains(&clear) => self.password_itself(),
            (other, _) => {
                let what = format!("asks for a proof of who the check is that it cannot give: {other}");
                Err(Broken::Refused(ReasonCode::AuthFailed, what))
            }
        }
    }

    /// The password, where nobody but the server can read it.
    fn password_itself(&self) -> Result<Vec<u8>, Broken> {
        let Some(password) = &self.settings.password else {
            let what = "wants a password, and the check has none";
            return Err(Broken::Refused(ReasonCode::AuthFailed, what.to_owned()));
        };
        if !self.is_tls || self.settings.tls_mode != TlsMode::Require {
            let what = "asks for the password itself, which the check sends only with `tls_mode: require`";
            return Err(Broken::Refused(ReasonCode::TlsRequired, what.to_owned()));
        }
        Ok([password.reveal().as_bytes(), &[0]].concat())
    }

    /// Has the server answer a ping.
    ///
    /// # Errors
    /// When it does not.
    pub(super) async fn ping(&mut self, evidence: &mut MysqlEvidence) -> Result<(), Broken> {
        self.talk.say(&packet(0, &[COM_PING])).await;
        let (_, payload) = packet::read(&mut self.talk).await?;
        match payload.split_first() {
            Some((&OK, _)) => Ok(()),
            Some((&ERROR, rest)) => Err(self.refused(rest, "answered a ping with an error", evidence)?),
            _ => Err(unexpected()),
        }
    }

    /// Runs `query`.
    ///
    /// # Errors
    /// When it fails, or the server does not answer as it should.
    pub(super) async fn query(&mut self, query: &str, evidence: &mut MysqlEvidence) -> Result<Answer, Broken> {
        self.talk.say(&packet(0, &[&[COM_QUERY], query.as_bytes()].concat())).await;
        let failed = "answered the query with an error";
        let (number, payload) = packet::read(&mut self.talk).await?;
        match payload.split_first() {
            // A statement without a result.
            Some((&OK, _)) => return Ok(Answer::default()),
            Some((&ERROR, rest)) => return Err(self.refused(rest, failed, evidence)?),
            Some((&FILE, _)) => {
                // An empty file, so that nothing that follows is taken for one.
                self.talk.say(&packet(number.wrapping_add(1), &[])).await;
                let what = "asks for a file of this machine, which it does not get";
                return Err(Broken::Refused(ReasonCode::QueryFailed, what.to_owned()));
            }
            _ => {}
        }
        let columns = Reader(&payload).number()?.filter(|columns| *columns <= COLUMNS_MAX).ok_or_else(unexpected)?;
        for _ in 0..columns {
            packet::read(&mut self.talk).await?;
        }
        let (_, payload) = packet::read(&mut self.talk).await?;
        if !is_eof(&payload) {
            return Err(unexpected());
        }
        let mut answer = Answer::default();
        loop {
            let (_, payload) = packet::read(&mut self.talk).await?;
            match payload.split_first() {
                _ if is_eof(&payload) => return Ok(answer),
                Some((&ERROR, rest)) => return Err(self.refused(rest, failed, evidence)?),
                _ => {}
            }
            answer.rows += 1;
            if answer.rows == 1 {
                answer.value = Reader(&payload).text()?.map(<[u8]>::to_vec);
            }
        }
    }

    /// Takes leave of the server, without waiting: it counts those who do not.
    pub(super) fn close(self) {
        self.talk.goodbye(&packet(0, &[COM_QUIT]));
    }

    /// What an error means, of which `rest` follows the first byte; it ended what `did` says.
    fn refused(&self, rest: &[u8], did: &str, evidence: &mut MysqlEvidence) -> Result<Broken, Broken> {
        let ServerError { code, message } = ServerError::read(rest, &self.secrets)?;
        evidence.error_code = Some(code);
        let (reason, what) = match code {
            3159 => (ReasonCode::TlsRequired, "does not let the check in without TLS"),
            1044 | 1045 | 1698 => (ReasonCode::AuthFailed, "does not let the check in"),
            1129 | 1130 => (ReasonCode::AuthFailed, "lets nobody in from this machine"),
            1049 => (ReasonCode::UnknownDatabase, "does not have the database"),
            1040 | 1203 | 1226 => (ReasonCode::NotReady, "takes no more clients"),
            1053 => (ReasonCode::NotReady, "is not ready"),
            _ => (ReasonCode::QueryFailed, did),
        };
        // MariaDB does not say so.
        let hint = match code {
            1045 if self.declines_tls => "; the check came without TLS, which the server offers and may insist on",
            _ => "",
        };
        Ok(Broken::Refused(reason, format!("{what}: it said \"{message}\" ({code}){hint}")))
    }
}

fn is_eof(payload: &Bytes) -> bool {
    payload.first() == Some(&EOF) && payload.len() < EOF_BYTES_MAX
}

fn unexpected() -> Broken {
    Broken::garbage("does not speak the protocol of MySQL as it should: it sent a packet that is out of place")
}
