//! Looking out for the targets that sources have.
//!
//! A [`Lookout`] asks one source again and again, at the pace that its settings say, and tells each time what
//! it has, or why it has nothing to say. Who keeps what it said last is for others to decide.

mod dns;
mod file;
mod groups;
mod http;
mod kubernetes;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{Endpoint, FoundTarget, Reason, ReasonCode, TARGETS_MAX, TargetSource, Targets};

use self::dns::DnsSource;
use self::file::FileSource;
use self::http::HttpSource;
use self::kubernetes::KubernetesSource;
use self::pace::Pace;
use crate::context::{ProbeContext, ProbeOptions};
use crate::resolver::Resolver;

/// The most of an answer or of a file that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a source may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Reaches sources of targets: by the same names, connections and TLS as checks.
#[derive(Debug, Clone)]
pub struct TargetFinder(ProbeContext);

impl TargetFinder {
    /// Reaches sources as `options` say.
    pub fn new(options: &ProbeOptions) -> Self {
        Self(ProbeContext::new(options))
    }

    /// Reaches sources through `resolver`, trusting the certificate authorities of the system.
    pub fn standard(resolver: &Resolver) -> Self {
        Self::new(&ProbeOptions::new(resolver))
    }

    /// `endpoint` as results show it: what the rules of redaction match in its labels is hidden.
    #[must_use]
    pub fn shown(&self, endpoint: Endpoint) -> Endpoint {
        Endpoint { labels: self.0.redaction.hide_in_labels(&endpoint.labels), ..endpoint }
    }

    /// `reason`, which may quote what a source said, as results show it.
    #[must_use]
    pub fn shown_reason(&self, mut reason: Reason) -> Reason {
        self.0.redaction.hide_in(&mut reason.message);
        reason
    }

    /// Looks out for the targets of a source. Nothing happens before it is asked.
    pub fn look_out(&self, targets: Arc<Targets>) -> Lookout {
        let (context, finder) = (self.0.clone(), self.clone());
        let pace = Pace::new(targets.refresh());
        let source = match targets.source() {
            TargetSource::Static(_) => Source::Known(targets.known()),
            TargetSource::Dns(settings) => Source::Dns(DnsSource::new(context, settings.clone(), pace)),
            TargetSource::File(settings) => Source::File(FileSource::new(&context, settings.clone(), pace)),
            TargetSource::Http(settings) => {
                Source::Http(Box::new(HttpSource::new(context, settings, targets.refresh(), pace)))
            }
            TargetSource::Kubernetes(settings) => {
                Source::Kubernetes(Box::new(KubernetesSource::new(context, settings.clone(), targets.refresh(), pace)))
            }
        };
        Lookout { source, finder }
    }
}

/// Asks one source for its targets, again and again.
#[derive(Debug)]
pub struct Lookout {
    source: Source,
    finder: TargetFinder,
}

#[derive(Debug)]
enum Source {
    /// A list that never changes, until it was told.
    Known(Option<Vec<FoundTarget>>),
    Dns(DnsSource),
    File(FileSource),
    Http(Box<HttpSource>),
    Kubernetes(Box<KubernetesSource>),
}

impl Lookout {
    /// What the source has, or why it says nothing: at once when it is asked first, and then whenever the source
    /// is to be asked again, or has something new to tell by itself.
    ///
    /// # Errors
    /// Why the source gives no targets.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the question. What a cluster has told is not forgotten.
    pub async fn next(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        let found = match &mut self.source {
            Source::Known(targets) => match targets.take() {
                Some(targets) => Ok(targets),
                None => std::future::pending().await,
            },
            Source::Dns(source) => source.next().await,
            Source::File(source) => source.next().await,
            Source::Http(source) => source.next().await,
            Source::Kubernetes(source) => source.next().await,
        };
        match found {
            Ok(found) if found.len() > TARGETS_MAX => Err(too_many()),
            found => found.map_err(|reason| self.finder.shown_reason(reason)),
        }
    }
}

fn too_many() -> Reason {
    Reason::new(ReasonCode::ProtocolError, format!("there are more than {TARGETS_MAX} targets: expected at most that"))
}
