//! What is certain of a check before it runs.

use std::path::Path;

use watchpost_model::{
    Addresses, Check, CheckType, DnsTransport, DohMethod, HostPort, HttpSettings, ProbeBody, ProbeSettings,
    TargetSource,
};

use super::Policy;
use crate::denied::Denied;
use crate::dial::{Lookup, Purpose, Transport};
use crate::own::Own;

/// The most refusals that are told of one check.
const DENIED_MAX: usize = 16;

/// The refusals of one check, each once.
struct Refusals(Vec<Denied>);

impl Refusals {
    fn take(&mut self, judged: Result<(), Denied>) {
        if let Err(denied) = judged
            && !self.is_full()
            && !self.0.contains(&denied)
        {
            self.0.push(denied);
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= DENIED_MAX
    }
}

impl Policy {
    /// What of a check will certainly be refused, whatever names resolve to: at most 16 refusals, none if it may be that
    /// all of it is permitted. Of a group, nothing: its members are checks of their own.
    pub fn judge_check(&self, check: &Check, own: &Own) -> Vec<Denied> {
        let Some(probe) = check.probe() else { return Vec::new() };
        let mut refusals = Refusals(Vec::new());
        for file in check.files() {
            // A pattern of files is one of its last name only.
            refusals.take(self.judge_file(Path::new(file.as_str())));
        }
        let Some(targets) = probe.targets() else {
            self.judge_probe(probe, own, &mut refusals);
            return refusals.0;
        };
        self.judge_source(targets.source(), own, &mut refusals);
        match targets.known() {
            Some(known) => {
                for target in known {
                    if refusals.is_full() {
                        break;
                    }
                    // What cannot be aimed at runs nowhere.
                    if let Ok((aimed, _)) = probe.aim("", &target) {
                        self.judge_probe(&aimed, own, &mut refusals);
                    }
                }
            }
            None => refusals.take(self.judge_type(probe.check_type())),
        }
        refusals.0
    }

    /// Where targets come from. Checks of several types may share a source, which is asked by HTTP.
    fn judge_source(&self, source: &TargetSource, own: &Own, refusals: &mut Refusals) {
        let url = match source {
            TargetSource::Http(http) => Some(&http.url),
            // Without an address it is that of the cluster around the bastion, which its operator chose.
            TargetSource::Kubernetes(kubernetes) => kubernetes.api.as_ref(),
            TargetSource::Static(_) | TargetSource::Dns(_) | TargetSource::File(_) => None,
        };
        if let Some(host_port) = url.map(|url| url.host_port()) {
            let (check_type, method) = (CheckType::Http, Some("GET"));
            let how = How { check_type, transport: Transport::Tcp, purpose: Purpose::Source, method };
            refusals.take(self.judge_name(&how.lookup(&host_port), own));
        }
    }

    fn judge_probe(&self, probe: &ProbeBody, own: &Own, refusals: &mut Refusals) {
        let check_type = probe.check_type();
        let (mut transport, mut method) = (Transport::Tcp, None);
        match &*probe.settings {
            ProbeSettings::Exec(exec) => return refusals.take(self.judge_exec(Path::new(exec.command.as_str()))),
            ProbeSettings::Unix(unix) => return refusals.take(self.judge_unix(Path::new(unix.path.as_str()))),
            ProbeSettings::Heartbeat(_) => return,
            ProbeSettings::Http(http) => {
                method = Some(http.method.as_str());
                self.judge_proxy(check_type, http, own, refusals);
            }
            ProbeSettings::Steps(steps) => {
                method = steps.steps().first().map(|step| step.http.method.as_str());
                for (i, step) in steps.steps().iter().enumerate() {
                    self.judge_proxy(check_type, &step.http, own, refusals);
                    if i > 0 {
                        let method = Some(step.http.method.as_str());
                        let how = How { check_type, transport, purpose: Purpose::Target, method };
                        refusals.take(self.judge_name(&how.lookup(&step.http.url.host_port()), own));
                    }
                }
            }
            ProbeSettings::Websocket(_) => method = Some("GET"),
            ProbeSettings::Grpc(_) => method = Some("POST"),
            ProbeSettings::Dns(dns) => match dns.transport {
                DnsTransport::Udp => transport = Transport::Udp,
                DnsTransport::Tcp | DnsTransport::Tls => {}
                DnsTransport::Https => {
                    method = Some(match dns.https.method {
                        DohMethod::Get => "GET",
                        DohMethod::Post => "POST",
                    });
                }
            },
            ProbeSettings::Icmp(_) => transport = Transport::Icmp,
            ProbeSettings::Udp(_) | ProbeSettings::Ntp(_) => transport = Transport::Udp,
            ProbeSettings::Tcp(_)
            | ProbeSettings::Tls(_)
            | ProbeSettings::Ssh(_)
            | ProbeSettings::Smtp(_)
            | ProbeSettings::Imap(_)
            | ProbeSettings::Pop3(_)
            | ProbeSettings::Redis(_)
            | ProbeSettings::Postgres(_)
            | ProbeSettings::Mysql(_) => {}
        }
        // A name server of the machine's own is its operator's choice.
        let Some(host_port) = &probe.target.host_port else { return };
        let how = How { check_type, transport, purpose: Purpose::Target, method };
        let lookup = how.lookup(host_port);
        let Addresses::List(list) = &probe.target.addresses else {
            return refusals.take(self.judge_name(&lookup, own));
        };
        for address in list.iter().map(|address| address.resolve(host_port.port())) {
            if refusals.is_full() {
                break;
            }
            // The check says the address itself, so its host stands for nothing.
            let dial = crate::Dial { host: None, address, ..lookup.at(address.ip()) };
            refusals.take(self.judge_dial(&dial, own));
        }
    }

    fn judge_proxy(&self, check_type: CheckType, http: &HttpSettings, own: &Own, refusals: &mut Refusals) {
        let Some(proxy) = &http.proxy else { return };
        let how = How { check_type, transport: Transport::Tcp, purpose: Purpose::Proxy, method: None };
        refusals.take(self.judge_name(&how.lookup(&proxy.parts().address), own));
    }
}

/// Everything about a connection but where to.
#[derive(Clone, Copy)]
struct How<'a> {
    check_type: CheckType,
    transport: Transport,
    purpose: Purpose,
    method: Option<&'a str>,
}

impl<'a> How<'a> {
    fn lookup(self, host_port: &'a HostPort) -> Lookup<'a> {
        let Self { check_type, transport, purpose, method } = self;
        Lookup { check_type, host: host_port.host(), port: host_port.port(), transport, purpose, method }
    }
}
