//! Everything that a check would do, as far as it says so itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use watchpost_model::{
    Addresses, Check, CheckType, DnsTransport, DohMethod, HostPort, HttpSettings, ProbeBody, ProbeSettings,
    TargetSource,
};

use crate::dial::{Lookup, Purpose, Transport};

/// What a check would do: where redirects and sources of targets lead is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errands {
    /// What it would connect to, or send datagrams to.
    pub visits: Vec<Visit>,
    /// The program that it would run.
    pub program: Option<PathBuf>,
    /// The socket in the file system that it would connect to.
    pub socket: Option<PathBuf>,
    /// The files that it would read.
    pub files: Vec<PathBuf>,
}

/// One host that a check would connect to, or send datagrams to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The type of the check.
    pub check_type: CheckType,
    /// The host, by name or address.
    pub host: String,
    /// The port; 0 where the protocol has none.
    pub port: u16,
    /// The addresses that the check itself says the host is at.
    pub given: Vec<SocketAddr>,
    /// Whether each of the host's addresses is an endpoint of its own; if not, one of them will do.
    pub each: bool,
    /// How.
    pub transport: Transport,
    /// What for.
    pub purpose: Purpose,
    /// The method, where it is an HTTP request.
    pub method: Option<String>,
}

impl Visit {
    fn new(check_type: CheckType, host_port: &HostPort, purpose: Purpose) -> Self {
        let (host, port) = (host_port.host().to_owned(), host_port.port());
        let (given, transport, method) = (Vec::new(), Transport::Tcp, None);
        Self { check_type, host, port, given, each: false, transport, purpose, method }
    }

    fn by(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// As it is judged before the host is resolved.
    pub fn lookup(&self) -> Lookup<'_> {
        let Self { check_type, port, transport, purpose, .. } = *self;
        Lookup { check_type, host: &self.host, port, transport, purpose, method: self.method.as_deref() }
    }
}

impl Errands {
    /// What `check` would do; nothing, of a group: its members are checks of their own.
    pub fn of(check: &Check) -> Self {
        let mut errands = Self::default();
        let Some(probe) = check.probe() else { return errands };
        errands.files = check.files().iter().map(|file| PathBuf::from(file.as_str())).collect();
        let Some(targets) = probe.targets() else {
            errands.probe(probe);
            return errands;
        };
        errands.source(targets.source());
        for target in targets.known().unwrap_or_default() {
            // What cannot be aimed at runs nowhere.
            if let Ok((aimed, _)) = probe.aim("", &target) {
                errands.probe(&aimed);
            }
        }
        errands
    }

    /// Where targets come from. Checks of several types may share a source, which is asked by HTTP.
    fn source(&mut self, source: &TargetSource) {
        let url = match source {
            TargetSource::Http(http) => Some(&http.url),
            // Without an address it is that of the cluster around the bastion, which its operator chose.
            TargetSource::Kubernetes(kubernetes) => kubernetes.api.as_ref(),
            TargetSource::Static(_) | TargetSource::Dns(_) | TargetSource::File(_) => None,
        };
        self.visits.extend(url.map(|url| Visit::new(CheckType::Http, &url.host_port(), Purpose::Source).by("GET")));
    }

    fn probe(&mut self, probe: &ProbeBody) {
        let check_type = probe.check_type();
        let visit = probe.target.host_port.as_ref().map(|at| Visit::new(check_type, at, Purpose::Target));
        let mut visit = visit.map(|visit| match &probe.target.addresses {
            Addresses::Any => visit,
            Addresses::All => Visit { each: true, ..visit },
            Addresses::List(list) => {
                let given = list.iter().map(|address| address.resolve(visit.port)).collect();
                Visit { given, each: true, ..visit }
            }
        });
        let mut rest = Vec::new();
        match &*probe.settings {
            ProbeSettings::Exec(exec) => self.program = Some(exec.command.as_str().into()),
            ProbeSettings::Unix(unix) => self.socket = Some(unix.path.as_str().into()),
            ProbeSettings::Http(http) => {
                visit = visit.map(|visit| visit.by(http.method.as_str()));
                rest.extend(proxy(check_type, http));
            }
            ProbeSettings::Steps(steps) => {
                for (i, step) in steps.steps().iter().enumerate() {
                    let method = step.http.method.as_str();
                    match i {
                        0 => visit = visit.map(|visit| visit.by(method)),
                        _ => {
                            let host_port = step.http.url.host_port();
                            rest.push(Visit::new(check_type, &host_port, Purpose::Target).by(method));
                        }
                    }
                    rest.extend(proxy(check_type, &step.http));
                }
            }
            ProbeSettings::Websocket(_) => visit = visit.map(|visit| visit.by("GET")),
            ProbeSettings::Grpc(_) => visit = visit.map(|visit| visit.by("POST")),
            ProbeSettings::Dns(dns) => {
                visit = visit.map(|visit| match (dns.transport, dns.https.method) {
                    (DnsTransport::Udp, _) => Visit { transport: Transport::Udp, ..visit },
                    (DnsTransport::Tcp | DnsTransport::Tls, _) => visit,
                    (DnsTransport::Https, DohMethod::Get) => visit.by("GET"),
                    (DnsTransport::Https, DohMethod::Post) => visit.by("POST"),
                });
            }
            ProbeSettings::Icmp(_) => visit = visit.map(|visit| Visit { transport: Transport::Icmp, ..visit }),
            ProbeSettings::Udp(_) | ProbeSettings::Ntp(_) => {
                visit = visit.map(|visit| Visit { transport: Transport::Udp, ..visit });
            }
            ProbeSettings::Tcp(_)
            | ProbeSettings::Tls(_)
            | ProbeSettings::Ssh(_)
            | ProbeSettings::Smtp(_)
            | ProbeSettings::Imap(_)
            | ProbeSettings::Pop3(_)
            | ProbeSettings::Redis(_)
            | ProbeSettings::Postgres(_)
            | ProbeSettings::Mysql(_)
            | ProbeSettings::Heartbeat(_) => {}
        }
        self.visits.extend(visit.into_iter().chain(rest));
    }
}

fn proxy(check_type: CheckType, http: &HttpSettings) -> Option<Visit> {
    let proxy = http.proxy.as_ref()?;
    Some(Visit::new(check_type, &proxy.parts().address, Purpose::Proxy))
}
