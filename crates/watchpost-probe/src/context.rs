//! What the probes of a process share.

use std::sync::Arc;

use crate::exec::{ExecPolicy, Launcher};
use crate::network::Network;
use crate::patterns::Patterns;
use crate::resolver::Resolver;
use crate::tls::{Tls, TlsRoots};
use crate::{Probe, ProbeFactory};

/// How the probes of a process work, whatever their type.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// How names are resolved.
    pub resolver: Resolver,
    /// Whose certificates are trusted, unless a check names others.
    pub roots: TlsRoots,
    /// Which programs may be run.
    pub exec: ExecPolicy,
}

impl ProbeOptions {
    /// Names are resolved by `resolver`; the certificate authorities of the system are trusted; no program
    /// may be run.
    pub fn new(resolver: &Resolver) -> Self {
        Self { resolver: resolver.clone(), roots: TlsRoots::system(), exec: ExecPolicy::default() }
    }
}

/// What each probe is made with. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct ProbeContext {
    pub(crate) network: Network,
    pub(crate) tls: Tls,
    pub(crate) patterns: Patterns,
    pub(crate) launcher: Launcher,
}

impl ProbeContext {
    pub(crate) fn new(options: &ProbeOptions) -> Self {
        Self {
            network: Network::new(options.resolver.clone()),
            tls: Tls::new(options.roots.clone()),
            patterns: Patterns::default(),
            launcher: Launcher::new(options.exec.clone()),
        }
    }

    /// Makes probes by `make`, one for each worker.
    pub(crate) fn factory<P: Probe + 'static>(&self, make: fn(ProbeContext) -> P) -> ProbeFactory {
        let context = self.clone();
        Arc::new(move || Box::new(make(context.clone())))
    }
}
