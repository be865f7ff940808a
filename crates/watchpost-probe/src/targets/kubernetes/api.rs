//! What is asked of an API server, and how it answers.

use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use url::Url;
use watchpost_model::{FilePath, HttpSettings, KubernetesTargets, Reason, ReasonCode, TlsSettings, shorten};

use super::super::{ANSWER_BYTES_MAX, ANSWER_LIMIT};
use super::slices::{Change, Line, Page, SERVICE_LABEL, Slices, Status};
use crate::context::ProbeContext;
use crate::failure;
use crate::files::{Files, Unopened};
use crate::http::{FetchStream, Fetcher};

/// Where a cluster shows itself to what runs in it.
const IN_CLUSTER: &str = "https://kubernetes.default.svc";
const ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const ACCOUNT_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// How many slices are asked for at a time, and how many times at most.
const PAGE_SLICES: usize = 500;
const PAGES_MAX: usize = 100;
/// How often a list is begun anew that became too old while its pages were fetched.
const LISTS_MAX: usize = 3;
/// The longest line of a watch, in bytes.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// The API server.
#[derive(Debug)]
pub(super) struct Api {
    fetcher: Fetcher,
    url: Option<Url>,
    selector: String,
    token_file: Option<String>,
    token_files: Files,
    tls: TlsSettings,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refused {
    /// What was asked about is too old: the list is to be fetched again.
    Expired,
    Failed(Reason),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Failed(reason)
    }
}

impl Api {
    pub(super) fn new(mut context: ProbeContext, settings: &KubernetesTargets) -> Self {
        let own = |path: &Option<FilePath>, of_account: &str| match (path, &settings.api) {
            (Some(path), _) => Some(path.as_str().to_owned()),
            // Another server is not told whose account this is.
            (None, Some(_)) => None,
            (None, None) => Some(of_account.to_owned()),
        };
        let server = settings.api.as_ref().map_or_else(|| Url::parse(IN_CLUSTER).ok(), |api| Some(api.parts()));
        let url = server.map(|mut url| {
            let prefix = url.path().trim_end_matches('/').to_owned();
            let namespace = &settings.namespace;
            url.set_path(&format!("{prefix}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"));
            url.set_query(None);
            url.set_fragment(None);
            url
        });
        let service = settings.service.as_ref().map(|service| format!("{SERVICE_LABEL}={service}"));
        let selectors = service.into_iter().chain(settings.selector.as_ref().map(ToString::to_string));
        // The account is this machine's, and not what a check names; and no check can send it anywhere but to the cluster.
        let is_account = |path: &Option<FilePath>| path.is_none() && settings.api.is_none();
        let token_files = if is_account(&settings.token_file) { Files::unjudged() } else { context.files.clone() };
        if is_account(&settings.ca_file) {
            context.tls = context.tls.unjudged();
        }
        let ca_file = own(&settings.ca_file, ACCOUNT_CA).and_then(|path| path.parse().ok());
        Self {
            fetcher: Fetcher::new(context),
            url,
            selector: selectors.collect::<Vec<_>>().join(","),
            token_files,
            token_file: own(&settings.token_file, ACCOUNT_TOKEN),
            tls: TlsSettings { ca_file, ..TlsSettings::default() },
        }
    }

    /// Fetches the whole list, page by page.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn list(&self) -> Result<Slices, Reason> {
        for _ in 0..LISTS_MAX {
            match self.list_once().await {
                Ok(slices) => return Ok(slices),
                // It changed too much while its pages were fetched.
                Err(Refused::Expired) => {}
                Err(Refused::Failed(reason)) => return Err(reason),
            }
        }
        let message = format!("the API server called its own list too old {LISTS_MAX} times");
        Err(Reason::new(ReasonCode::ProtocolError, message))
    }

    async fn list_once(&self) -> Result<Slices, Refused> {
        let mut slices = Slices::default();
        let mut goes_on = String::new();
        for _ in 0..PAGES_MAX {
            let limit = PAGE_SLICES.to_string();
            let mut query = vec![("limit", limit.as_str())];
            if !goes_on.is_empty() {
                query.push(("continue", &goes_on));
            }
            let settings = self.request(&query).await?;
            let answer = self.fetcher.fetch(&settings, ANSWER_BYTES_MAX, ANSWER_LIMIT).await?;
            if answer.status != 200 {
                return Err(refused(answer.status, &answer.body));
            }
            let page: Page = serde_json::from_slice(&answer.body).map_err(|e| {
                Reason::new(ReasonCode::ProtocolError, format!("the API server's list cannot be read: {e}"))
            })?;
            goes_on = page.metadata.goes_on.clone();
            slices.add(page)?;
            if goes_on.is_empty() {
                return Ok(slices);
            }
        }
        let message = format!("the API server's list has more than {PAGES_MAX} pages of {PAGE_SLICES}");
        Err(Reason::new(ReasonCode::ProtocolError, message).into())
    }

    /// Begins to watch what changes after `version`, for at most `limit`.
    ///
    /// # Errors
    /// Why the server does not tell.
    pub(super) async fn watch(&self, version: &str, limit: Duration) -> Result<Watch, Refused> {
        let limit_s = limit.as_secs().max(1).to_string();
        let query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", &limit_s),
        ];
        let settings = self.request(&query).await?;
        let mut stream = self.fetcher.stream(&settings, ANSWER_LIMIT).await?;
        if stream.status == 200 {
            return Ok(Watch { stream, read: BytesMut::new() });
        }
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = stream.chunk().await
                && body.len() < LINE_BYTES_MAX
            {
                body.extend_from_slice(&chunk);
            }
        };
        // Without its words the status says enough.
        let _cut = tokio::time::timeout(ANSWER_LIMIT, reading).await;
        Err(refused(stream.status, &body))
    }

    async fn request(&self, query: &[(&str, &str)]) -> Result<HttpSettings, Reason> {
        let invalid = |why: String| Reason::new(ReasonCode::InvalidTarget, why);
        let mut url = self.url.clone().ok_or_else(|| invalid("there is no API server".to_owned()))?;
        url.query_pairs_mut().append_pair("labelSelector", &self.selector).extend_pairs(query);
        let url = url.as_str().parse().map_err(|e: watchpost_model::Invalid| invalid(e.to_string()))?;
        let mut settings = HttpSettings { tls: self.tls.clone(), ..HttpSettings::get(url) };
        let mut headers = vec![("accept", "application/json".to_owned())];
        if let Some(file) = &self.token_file {
            headers.push(("authorization", format!("Bearer {}", token(file, &self.token_files).await?)));
        }
        for (name, value) in headers {
            // A value that no header can have is not quoted: it is a secret.
            if let (Ok(name), value) = (name.parse(), value.parse()) {
                let value = value.map_err(|_| invalid("the token holds what no header can have".to_owned()))?;
                settings.headers.insert(name, value);
            }
        }
        Ok(settings)
    }
}

/// Reads the token, which is renewed from time to time.
async fn token(file: &str, files: &Files) -> Result<String, Reason> {
    let (path, files) = (file.to_owned(), files.clone());
    let reading = tokio::task::spawn_blocking(move || files.read_now(Path::new(&path), TOKEN_BYTES_MAX));
    let unusable = |why: String| Reason::new(ReasonCode::FileUnusable, format!("the token file {file} {why}"));
    match reading.await {
        Ok(Ok(bytes)) if bytes.len() as u64 > TOKEN_BYTES_MAX => {
            Err(unusable(format!("has more than {TOKEN_BYTES_MAX} bytes")))
        }
        Ok(Ok(bytes)) => match String::from_utf8(bytes) {
            Ok(token) if token.trim().is_empty() => Err(unusable("is empty".to_owned())),
            Ok(token) => Ok(token.trim().to_owned()),
            Err(_) => Err(unusable("is not text in UTF-8".to_owned())),
        },
        Ok(Err(Unopened::Denied(denied))) => Err(Reason::new(ReasonCode::PolicyDenied, denied.message)),
        Ok(Err(Unopened::Io(error))) => Err(unusable(format!("cannot be read: {}", failure::plain(&error)))),
        Err(_) => Err(unusable("cannot be read".to_owned())),
    }
}

/// What an answer other than 200 says.
fn refused(status: u16, body: &[u8]) -> Refused {
    let said: Status = serde_json::from_slice(body).unwrap_or_default();
    of_status(&Status { code: status, ..said })
}

fn of_status(said: &Status) -> Refused {
    if said.code == 410 || said.reason == "Expired" || said.reason == "Gone" {
        return Refused::Expired;
    }
    let mut message = format!("the API server answered with the status {}", said.code);
    if !said.message.is_empty() {
        message.push_str(": ");
        message.push_str(&shorten(&said.message, 200));
    }
    Refused::Failed(Reason::new(ReasonCode::HttpStatus, message))
}

/// A watch that has begun.
#[derive(Debug)]
pub(super) struct Watch {
    stream: FetchStream,
    /// What was read and is not a whole line yet.
    read: BytesMut,
}

impl Watch {
    /// The next change; `None` when the watch ended or broke. If the server is gone, beginning anew will tell.
    ///
    /// # Errors
    /// What the server says, or what of it cannot be read.
    ///
    /// # Cancel safety
    /// Nothing that was read is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, Refused> {
        let mut looked = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.read[looked..]) {
                let line = self.read.split_to(looked + end);
                self.read.advance(1);
                looked = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return match Line::read(&line)? {
                    Ok(change) => Ok(Some(change)),
                    Err(said) => Err(of_status(&said)),
                };
            }
            looked = self.read.len();
            if looked > LINE_BYTES_MAX {
                let message = format!("the API server told a change of more than {LINE_BYTES_MAX} bytes");
                return Err(Reason::new(ReasonCode::ProtocolError, message).into());
            }
            match self.stream.chunk().await {
                Ok(Some(chunk)) => self.read.extend_from_slice(&chunk),
                Ok(None) => return Ok(None),
                Err(reason) => {
                    tracing::debug!(reason = reason.message, "a watch broke");
                    return Ok(None);
                }
            }
        }
    }
}
