//! Secrets that may be sent to some hosts only: what a check would do with them, and where redirects lead it.

use std::net::{IpAddr, SocketAddr};

use url::Url;
use watchpost_model::{
    DialogueStep, HostPort, HttpSettings, ProbeSettings, SecretAllowance, SecretName, SecretPlaces, SecretUse,
    StartTls, Task, TlsSettings, shown_address,
};

use super::{NamedSecret, SecretStore};

/// The bound secrets of a check that is under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds(Vec<Bound>);

#[derive(Debug, Clone)]
struct Bound {
    name: SecretName,
    rule: NamedSecret,
    /// The step that sends it, by its label; the whole check otherwise.
    step: Option<String>,
}

/// By which way a check would send a secret.
struct Way {
    to: HostPort,
    /// How TLS is spoken there; `None` where it is not.
    tls: Option<TlsSettings>,
    /// Whether the endpoint's address is that of `to`.
    is_target: bool,
}

impl Bounds {
    /// The bounds of the secrets that `task` refers to.
    ///
    /// # Errors
    /// Why the check may not send one of them where it would.
    pub(crate) fn of(task: &Task, places: &SecretPlaces, secrets: &SecretStore) -> Result<Self, String> {
        let mut bounds = Vec::new();
        for used in places.uses() {
            let Some(rule) = secrets.named(used.name).filter(|named| !named.allow_hosts.is_empty()) else { continue };
            let step = match (&*task.probe, used.step) {
                (ProbeSettings::Steps(steps), Some(step)) => Some(steps.label(step)),
                _ => None,
            };
            let bound = Bound { name: used.name.clone(), rule: rule.clone(), step };
            let Some(way) = way(&task.probe, &used) else {
                return Err(format!(
                    "the secret `{}` may be sent to {} only, and where a check of the type {} sends it cannot be told",
                    bound.name,
                    bound.hosts(),
                    task.check_type()
                ));
            };
            bound.judge(&way, task.endpoint.address)?;
            bounds.push(bound);
        }
        Ok(Self(bounds))
    }

    /// Whether a redirect may be followed to `url`, in the step that is called `step` of a check with steps.
    ///
    /// # Errors
    /// Which secret may not be sent there.
    pub(crate) fn judge_redirect(&self, url: &Url, step: Option<&str>) -> Result<(), String> {
        let of_step = |bound: &&Bound| bound.step.is_none() || bound.step.as_deref() == step;
        for bound in self.0.iter().filter(of_step) {
            let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
            let told = |what: String| format!("a redirect leads to {host}:{port}: {what}");
            bound.judge_host(host, port).map_err(told)?;
            if url.scheme() != "https" {
                bound.wants(SecretAllowance::Plain, "without TLS").map_err(told)?;
            }
        }
        Ok(())
    }
}

impl Bound {
    fn hosts(&self) -> String {
        let hosts: Vec<_> = self.rule.allow_hosts.iter().take(8).map(ToString::to_string).collect();
        hosts.join(", ")
    }

    fn judge_host(&self, host: &str, port: u16) -> Result<(), String> {
        match self.rule.allow_hosts.iter().any(|rule| rule.permits(host, port)) {
            true => Ok(()),
            false => Err(format!(
                "the secret `{}` may be sent to {} only, and not to {host}:{port} (`secrets.names.{}.allow_hosts`)",
                self.name,
                self.hosts(),
                self.name
            )),
        }
    }

    /// Whether the secret may be sent in a manner that is called `how` in sentences.
    fn wants(&self, allowance: SecretAllowance, how: &str) -> Result<(), String> {
        match self.rule.allow.contains(&allowance) {
            true => Ok(()),
            false => Err(format!(
                "the check would send the secret `{}` {how}: expected otherwise, or `{}` in `secrets.names.{}.allow`",
                self.name,
                allowance.as_str(),
                self.name
            )),
        }
    }

    fn judge(&self, way: &Way, endpoint: Option<SocketAddr>) -> Result<(), String> {
        let (host, port) = (way.to.host(), way.to.port());
        self.judge_host(host, port)?;
        match &way.tls {
            None => self.wants(SecretAllowance::Plain, "without TLS")?,
            Some(tls) => {
                if tls.insecure {
                    self.wants(SecretAllowance::Unverified, "to a server whose certificate need not be valid")?;
                }
                if tls.ca_file.is_some() {
                    self.wants(SecretAllowance::OwnAuthority, "to a server that it has its own authorities for")?;
                }
                if tls.server_name.is_some() {
                    self.wants(SecretAllowance::ServerName, "to a server that goes by another name")?;
                }
            }
        }
        let Some(address) = endpoint.filter(|_| way.is_target) else { return Ok(()) };
        let own = host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == address.ip().to_canonical());
        let listed = || self.judge_host(&address.ip().to_string(), address.port()).is_ok();
        if (own && address.port() == port) || listed() {
            return Ok(());
        }
        let how = format!("to {}, which is given in place of an address of {host}", shown_address(address));
        self.wants(SecretAllowance::Address, &how)
    }
}

/// By which way the secret at `used` would be sent; `None` where there is no telling.
fn way(settings: &ProbeSettings, used: &SecretUse<'_>) -> Option<Way> {
    let to = |address: &HostPort, tls: Option<TlsSettings>| Way { to: address.clone(), tls, is_target: true };
    let way = match settings {
        ProbeSettings::Http(http) => http_way(http, used.key),
        ProbeSettings::Steps(steps) => http_way(&steps.steps().get(used.step?)?.http, used.key),
        ProbeSettings::Websocket(websocket) => {
            to(&websocket.url.host_port(), websocket.url.is_wss().then(|| websocket.tls.clone()))
        }
        ProbeSettings::Tls(tls) => to(&tls.address, Some(tls.tls.clone())),
        ProbeSettings::Grpc(grpc) => to(&grpc.address, grpc.tls.clone()),
        ProbeSettings::Redis(redis) => to(&redis.address, redis.tls.clone()),
        ProbeSettings::Postgres(postgres) => to(&postgres.address, postgres.tls_mode.settings(&postgres.tls)),
        ProbeSettings::Mysql(mysql) => to(&mysql.address, mysql.tls_mode.settings(&mysql.tls)),
        ProbeSettings::Smtp(smtp) => to(&smtp.address, mail_tls(smtp.starttls, &smtp.tls)),
        ProbeSettings::Imap(imap) => to(&imap.address, mail_tls(imap.starttls, &imap.tls)),
        ProbeSettings::Pop3(pop3) => to(&pop3.address, mail_tls(pop3.starttls, &pop3.tls)),
        ProbeSettings::Tcp(tcp) => to(&tcp.address, tcp.tls.clone().or_else(|| begun(&tcp.steps, used.step).cloned())),
        ProbeSettings::Udp(udp) => to(&udp.address, None),
        _ => return None,
    };
    Some(way)
}

fn http_way(http: &HttpSettings, key: &str) -> Way {
    match &http.proxy {
        // To a proxy no TLS is spoken.
        Some(proxy) if key.ends_with("http.proxy") => Way { to: proxy.parts().address, tls: None, is_target: false },
        _ => Way { to: http.url.host_port(), tls: http.url.is_https().then(|| http.tls.clone()), is_target: true },
    }
}

/// A password goes over TLS only.
fn mail_tls(starttls: StartTls, tls: &TlsSettings) -> Option<TlsSettings> {
    (starttls != StartTls::Never).then(|| tls.clone())
}

/// The TLS that was begun before the step at `index`.
fn begun(steps: &[DialogueStep], index: Option<usize>) -> Option<&TlsSettings> {
    steps.iter().take(index?).find_map(|step| step.starttls.as_ref())
}

#[cfg(test)]
mod tests {
    use watchpost_model::{Check, Endpoint, Firing, RunId, TaskClass};

    use super::super::SecretOptions;
    use super::*;

    fn judged(settings: &str, address: Option<&str>, allow: &[SecretAllowance]) -> Result<Bounds, String> {
        let check: Check = serde_json::from_str(&format!(r#"{{"id": "a", {settings}}}"#)).unwrap();
        let (bastion, at) = ("here".parse().unwrap(), "2026-01-01T00:00:00Z".parse().unwrap());
        let run = RunId::derive(&bastion, check.id(), at);
        let class = TaskClass::AdHoc;
        let firing = Firing {
            run,
            bastion: &bastion,
            scheduled_at: at,
            deadline: at,
            answer_by: at,
            class,
            config_generation: 1,
        };
        let endpoint = Endpoint { address: address.map(|a| a.parse().unwrap()), ..Endpoint::named("x") };
        let task = Task::new(check.id(), check.probe().unwrap(), endpoint, &firing);
        let hosts = ["vault.example", "*.corp.example:443", "10.0.0.0/8"].map(|host| host.parse().unwrap());
        let named = NamedSecret { from: None, allow_hosts: hosts.to_vec(), allow: allow.to_vec() };
        let names = [("s".parse().unwrap(), named)].into();
        let store = SecretStore::new(SecretOptions { names, ..SecretOptions::default() });
        Bounds::of(&task, &task.probe.secrets().unwrap(), &store)
    }

    fn http(url: &str, more: &str) -> String {
        format!(r#""http": {{"url": "{url}", "headers": {{"x": "${{secret:s}}"}}{more}}}"#)
    }

    #[test]
    fn a_bound_secret_goes_to_its_hosts_over_verified_tls() {
        use SecretAllowance::{Address, OwnAuthority, Plain, ServerName, Unverified};
        let vault = "https://vault.example/";
        for (settings, address, needs) in [
            (http(vault, ""), None, None),
            (http("https://a.corp.example/", ""), None, None),
            (http("https://10.0.0.7/", ""), Some("10.0.0.7:443"), None),
            (http("http://vault.example/", ""), None, Some(Plain)),
            (http(vault, r#", "tls": {"insecure": true}"#), None, Some(Unverified)),
            (http(vault, r#", "tls": {"ca_file": "/ca"}"#), None, Some(OwnAuthority)),
            (http(vault, r#", "tls": {"server_name": "b"}"#), None, Some(ServerName)),
            (http(vault, ""), Some("192.0.2.1:443"), Some(Address)),
            // An address that the secret's owner lists is as good as the name.
            (http(vault, ""), Some("10.0.0.9:443"), None),
            (http("http://vault.example/", r#", "proxy": "http://p:3128""#), None, Some(Plain)),
            (http(vault, r#", "proxy": "http://p:3128""#), None, None),
            (r#""redis": {"address": "vault.example:1", "password": "${secret:s}"}"#.into(), None, Some(Plain)),
            (r#""redis": {"address": "vault.example:1", "tls": {}, "password": "${secret:s}"}"#.into(), None, None),
            (
                r#""postgres": {"address": "vault.example:1", "user": "u", "password": "${secret:s}"}"#.into(),
                None,
                Some(Unverified),
            ),
            (
                r#""mysql": {"address": "vault.example:1", "tls_mode": "require", "user": "u", "password": "${secret:s}"}"#.into(),
                None,
                None,
            ),
            (
                r#""imap": {"address": "vault.example:1", "auth": {"username": "u", "password": "${secret:s}"}}"#.into(),
                None,
                None,
            ),
            (
                r#""tcp": {"address": "vault.example:1", "steps": [{"starttls": {}}, {"send": "${secret:s}"}]}"#.into(),
                None,
                None,
            ),
            (
                r#""tcp": {"address": "vault.example:1", "steps": [{"send": "${secret:s}"}, {"starttls": {}}]}"#.into(),
                None,
                Some(Plain),
            ),
            (r#""udp": {"address": "vault.example:1", "send": "${secret:s}"}"#.into(), None, Some(Plain)),
        ] {
            let judge = |allow: &[SecretAllowance]| judged(&settings, address, allow).map(drop);
            match needs {
                None => assert_eq!(judge(&[]), Ok(()), "{settings}"),
                Some(needed) => {
                    let told = judge(&[]).unwrap_err();
                    assert!(told.contains(&format!("`{}`", needed.as_str())), "{settings}: {told}");
                    assert_eq!(judge(&[needed]), Ok(()), "{settings}");
                }
            }
        }
    }

    #[test]
    fn a_bound_secret_goes_nowhere_else() {
        use SecretAllowance::{Address, OwnAuthority, Plain, ServerName, Unverified};
        let all = [Plain, Unverified, OwnAuthority, ServerName, Address];
        for settings in [
            http("https://evil.example/", ""),
            http("https://vault.example.evil/", ""),
            http("https://a.corp.example:8443/", ""),
            http("https://11.0.0.1/", ""),
            http("https://[::ffff:11.0.0.1]/", ""),
            r#""http": {"url": "https://vault.example/", "proxy": "http://u:${secret:s}@p:3128"}"#.into(),
            r#""exec": {"command": "/x", "environment": {"P": "${secret:s}"}}"#.into(),
            r#""unix": {"path": "/x", "send": "${secret:s}"}"#.into(),
            r#""steps": [{"http": {"url": "https://vault.example/"}}, {"http": {"url": "https://evil.example/", "body": "${secret:s}"}}]"#.into(),
        ] {
            let told = judged(&settings, None, &all).unwrap_err();
            assert!(told.contains("may be sent to vault.example, *.corp.example:443, 10.0.0.0/8 only"), "{settings}: {told}");
        }
    }

    #[test]
    fn redirects_are_judged_in_the_step_that_has_the_secret() {
        let judge =
            |bounds: &Bounds, url: &str, step: Option<&str>| bounds.judge_redirect(&Url::parse(url).unwrap(), step);
        let whole = judged(&http("https://vault.example/", ""), None, &[]).unwrap();
        assert_eq!(judge(&whole, "https://vault.example:8443/x", None), Ok(()));
        assert!(judge(&whole, "http://vault.example/", None).unwrap_err().contains("without TLS"));
        assert!(
            judge(&whole, "https://evil.example/", None).unwrap_err().contains("a redirect leads to evil.example:443")
        );
        let steps = r#""steps": [{"http": {"url": "https://other.example/"}},
            {"name": "in", "http": {"url": "https://vault.example/", "body": "${secret:s}"}}]"#;
        let steps = judged(steps, None, &[]).unwrap();
        assert_eq!(judge(&steps, "https://other.example/", Some("step 1")), Ok(()));
        assert!(judge(&steps, "https://other.example/", Some("step 2 (in)")).is_err());
    }
}
