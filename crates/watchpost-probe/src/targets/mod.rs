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

use watchpost_model::{FoundTarget, Reason, ReasonCode, TARGETS_MAX, TargetSource, Targets};

use self::dns::DnsSource;
use self::file::FileSource;
use self::http::HttpSource;
use self::kubernetes::KubernetesSource;
use self::pace::Pace;
use crate::context::{ProbeContext, ProbeOptions};

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

    /// Looks out for the targets of a source. Nothing happens before it is asked.
    pub fn look_out(&self, targets: Arc<Targets>) -> Lookout {
        let context = self.0.clone();
        let pace = Pace::new(targets.refresh());
        let source = match targets.source() {
            TargetSource::Static(_) => Source::Known(targets.known()),
            TargetSource::Dns(settings) => Source::Dns(DnsSource::new(context, settings.clone(), pace)),
            TargetSource::File(settings) => Source::File(FileSource::new(settings.clone(), pace)),
            TargetSource::Http(settings) => {
                Source::Http(Box::new(HttpSource::new(context, settings, targets.refresh(), pace)))
            }
            TargetSource::Kubernetes(settings) => {
                Source::Kubernetes(Box::new(KubernetesSource::new(context, settings.clone(), targets.refresh(), pace)))
            }
        };
        Lookout { source }
    }
}

/// Asks one source for its targets, again and again.
#[derive(Debug)]
pub struct Lookout {
    source: Source,
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
                Some(targets) => targets,
                None => std::future::pending().await,
            },
            Source::Dns(source) => source.next().await?,
            Source::File(source) => source.next().await?,
            Source::Http(source) => source.next().await?,
            Source::Kubernetes(source) => source.next().await?,
        };
        match found.len() {
            n if n > TARGETS_MAX => Err(too_many()),
            _ => Ok(found),
        }
    }
}

fn too_many() -> Reason {
    Reason::new(ReasonCode::ProtocolError, format!("there are more than {TARGETS_MAX} targets: expected at most that"))
}
