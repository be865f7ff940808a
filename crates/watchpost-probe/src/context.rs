//! What the probes of a process share.

use std::sync::Arc;

use watchpost_policy::Guard;

use crate::exec::Launcher;
use crate::files::Files;
use crate::governed::Governed;
use crate::network::Network;
use crate::patterns::Patterns;
use crate::redaction::{Redacting, Redaction};
use crate::resolver::Resolver;
use crate::secrets::{Resolving, SecretStore};
use crate::tls::{Tls, TlsRoots};
use crate::{Probe, ProbeFactory};

/// How the probes of a process work, whatever their type.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// How names are resolved.
    pub resolver: Resolver,
    /// Whose certificates are trusted, unless a check names others.
    pub roots: TlsRoots,
    /// What results do not show.
    pub redaction: Redaction,
    /// How much of an answer a result shows where a check did not pass, in bytes: at most
    /// [`EXCERPT_BYTES_MAX`](Self::EXCERPT_BYTES_MAX).
    pub excerpt_bytes: usize,
    /// What checks may refer to by `${secret:name}`.
    pub secrets: SecretStore,
    /// What the customer permits.
    pub guard: Guard,
}

impl ProbeOptions {
    /// The most of an answer that a result may show, in bytes.
    pub const EXCERPT_BYTES_MAX: usize = 64 * 1024;
    /// How much of an answer a result shows where nothing is said, in bytes.
    pub const EXCERPT_BYTES_DEFAULT: usize = 2 * 1024;

    /// Names are resolved by `resolver`; the certificate authorities of the system are trusted; no program
    /// may be run. The policy is that for checks of whoever sits at this machine ([`Policy::local`](watchpost_policy::Policy::local)).
    pub fn new(resolver: &Resolver) -> Self {
        Self {
            resolver: resolver.clone(),
            roots: TlsRoots::system(),
            redaction: Redaction::default(),
            excerpt_bytes: Self::EXCERPT_BYTES_DEFAULT,
            secrets: SecretStore::default(),
            guard: Guard::local(),
        }
    }
}

/// What each probe is made with. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct ProbeContext {
    pub(crate) network: Network,
    pub(crate) files: Files,
    pub(crate) tls: Tls,
    pub(crate) patterns: Patterns,
    pub(crate) redaction: Redaction,
    pub(crate) excerpt_bytes: usize,
    pub(crate) launcher: Launcher,
    secrets: SecretStore,
    guard: Guard,
}

impl ProbeContext {
    pub(crate) fn new(options: &ProbeOptions) -> Self {
        let files = Files::new(options.guard.clone());
        Self {
            network: Network::new(options.resolver.clone(), options.guard.clone()),
            tls: Tls::new(options.roots.clone(), files.clone()),
            files,
            patterns: Patterns::default(),
            redaction: options.redaction.clone(),
            excerpt_bytes: options.excerpt_bytes.min(ProbeOptions::EXCERPT_BYTES_MAX),
            launcher: Launcher::new(options.guard.clone()),
            secrets: options.secrets.clone(),
            guard: options.guard.clone(),
        }
    }

    /// Makes probes by `make`, one for each worker.
    pub(crate) fn factory<P: Probe + 'static>(&self, make: fn(ProbeContext) -> P) -> ProbeFactory {
        let context = self.clone();
        let governed = move |context: &Self| {
            let resolving = Resolving { probe: make(context.clone()), secrets: context.secrets.clone() };
            Governed { probe: resolving, guard: context.guard.clone() }
        };
        if context.redaction.is_empty() {
            return Arc::new(move || Box::new(governed(&context)));
        }
        Arc::new(move || Box::new(Redacting { probe: governed(&context), redaction: context.redaction.clone() }))
    }
}
