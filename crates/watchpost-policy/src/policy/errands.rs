//! Everything that a check would do, as far as it says so itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use watchpost_model::{
    Addresses, Check, CheckType, DnsTransport, DohMethod, HostPort, HttpSettings, ProbeBody, ProbeSettings,
    TargetSource,
};

use crate::dial::{Lookup, Purpose, Transport};
use crate::host;

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
    /// Names that the server is told in place of the host, in TLS or in a request.
    pub told: Vec<String>,
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
        let (told, given, transport, method) = (Vec::new(), Vec::new(), Transport::Tcp, None);
        Self { check_type, host, port, told, given, each: false, transport, purpose, method }
    }

    /// By the first request of `http`.
    fn requesting(self, http: &HttpSettings) -> Self {
        Self { told: told(http), ..self.by(http.method.as_str()) }
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
        let visit = visit.map(|visit| match &probe.target.addresses {
            Addresses::Any => visit,
            Addresses::All => Visit { each: true, ..visit },
            Addresses::List(list) => {
                let given = list.iter().map(|address| address.resolve(visit.port)).collect();
                Visit { given, each: true, ..visit }
            }
        });
        let mut visit = visit.map(|visit| {
            let told = server_name(&probe.settings).map(str::to_owned).into_iter().collect();
            Visit { told, ..visit }
        });
        let mut rest = Vec::new();
        match &*probe.settings {
            ProbeSettings::Exec(exec) => self.program = Some(exec.command.as_str().into()),
            ProbeSettings::Unix(unix) => self.socket = Some(unix.path.as_str().into()),
            ProbeSettings::Http(http) => {
                visit = visit.map(|visit| visit.requesting(http));
                rest.extend(proxy(check_type, http));
            }
            ProbeSettings::Steps(steps) => {
                for (i, step) in steps.steps().iter().enumerate() {
                    match i {
                        0 => visit = visit.map(|visit| visit.requesting(&step.http)),
                        _ => {
                            let host_port = step.http.url.host_port();
                            rest.push(Visit::new(check_type, &host_port, Purpose::Target).requesting(&step.http));
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

/// What a request says of whom it is for, beside its URL.
fn told(http: &HttpSettings) -> Vec<String> {
    let mut headers = http.headers.iter();
    let host = headers.find(|(name, _)| name.as_str() == "host").map(|(_, value)| host::told(value.as_str()));
    let server_name = http.tls.server_name.as_ref().filter(|_| http.url.is_https()).map(|name| name.as_str());
    // What is filled in when it runs is not known yet.
    host.into_iter().chain(server_name).filter(|told| !told.contains("${")).map(str::to_owned).collect()
}

/// The name that `settings` have a server told in TLS in place of the host's. Requests each have their own.
pub fn server_name(settings: &ProbeSettings) -> Option<&str> {
    let tls = match settings {
        ProbeSettings::Tls(tls) => Some(&tls.tls),
        ProbeSettings::Websocket(websocket) => Some(&websocket.tls),
        ProbeSettings::Grpc(grpc) => grpc.tls.as_ref(),
        ProbeSettings::Redis(redis) => redis.tls.as_ref(),
        ProbeSettings::Postgres(postgres) => Some(&postgres.tls),
        ProbeSettings::Mysql(mysql) => Some(&mysql.tls),
        ProbeSettings::Smtp(smtp) => Some(&smtp.tls),
        ProbeSettings::Imap(imap) => Some(&imap.tls),
        ProbeSettings::Pop3(pop3) => Some(&pop3.tls),
        // TLS begins once.
        ProbeSettings::Tcp(tcp) => {
            tcp.tls.as_ref().or_else(|| tcp.steps.iter().find_map(|step| step.starttls.as_ref()))
        }
        ProbeSettings::Dns(dns) => {
            Some(&dns.tls).filter(|_| matches!(dns.transport, DnsTransport::Tls | DnsTransport::Https))
        }
        ProbeSettings::Http(_)
        | ProbeSettings::Steps(_)
        | ProbeSettings::Udp(_)
        | ProbeSettings::Icmp(_)
        | ProbeSettings::Ntp(_)
        | ProbeSettings::Ssh(_)
        | ProbeSettings::Unix(_)
        | ProbeSettings::Exec(_)
        | ProbeSettings::Heartbeat(_) => None,
    };
    tls?.server_name.as_ref().map(|name| name.as_str())
}
