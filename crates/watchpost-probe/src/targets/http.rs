//! Targets that a server tells, as it would tell Prometheus.

use std::time::Duration;

use watchpost_model::{FoundTarget, HttpSettings, HttpTargets, HttpUrl, Reason, ReasonCode};

use super::groups::{self, Format};
use super::pace::Pace;
use super::{ANSWER_BYTES_MAX, ANSWER_LIMIT};
use crate::context::ProbeContext;
use crate::http::Fetcher;

/// How many redirects are followed, as Prometheus does.
const REDIRECTS_MAX: u8 = 10;

/// A server whose groups are targets.
#[derive(Debug)]
pub(super) struct HttpSource {
    fetcher: Fetcher,
    settings: HttpSettings,
    pace: Pace,
}

impl HttpSource {
    pub(super) fn new(context: ProbeContext, source: &HttpTargets, refresh: Duration, pace: Pace) -> Self {
        let mut settings = HttpSettings::get(source.url.clone());
        settings.headers.clone_from(&source.headers);
        settings.tls.clone_from(&source.tls);
        settings.max_redirects = REDIRECTS_MAX;
        let refresh_s = refresh.as_secs().to_string();
        for (name, value) in [("accept", "application/json"), ("x-prometheus-refresh-interval-seconds", &refresh_s)] {
            if let (Ok(name), Ok(value)) = (name.parse(), value.parse()) {
                settings.headers.entry(name).or_insert(value);
            }
        }
        Self { fetcher: Fetcher::new(context), settings, pace }
    }

    pub(super) async fn next(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        self.pace.wait().await;
        let answer = self.ask().await;
        self.pace.note(&answer);
        answer
    }

    async fn ask(&self) -> Result<Vec<FoundTarget>, Reason> {
        let url = shown(&self.settings.url);
        let answer = self.fetcher.fetch(&self.settings, ANSWER_BYTES_MAX, ANSWER_LIMIT).await?;
        if answer.status != 200 {
            let message = format!("{url} answered with the status {}: expected 200", answer.status);
            return Err(Reason::new(ReasonCode::HttpStatus, message));
        }
        groups::read(&answer.body, Format::Json, &[("__meta_url".to_owned(), url.clone())]).map_err(|why| {
            Reason::new(ReasonCode::ProtocolError, format!("the answer of {url} is no list of targets: {why}"))
        })
    }
}

/// A URL without its query, which may hold a token.
fn shown(url: &HttpUrl) -> String {
    let mut parts = url.parts();
    parts.set_query(None);
    parts.set_fragment(None);
    watchpost_model::shorten(parts.as_str(), 200).into_owned()
}
