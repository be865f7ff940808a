//! Targets as they are written on the command line.

mod server;

use std::time::Duration;

use watchpost_agent::RunItem;
use watchpost_model::{
    Addresses, Check, CheckDocument, CheckId, DnsSettings, ExecSettings, HttpSettings, IcmpSettings, Invalid,
    NtpSettings, ProbeSettings, TcpSettings, Timeout, TlsCheckSettings, UdpSettings, UnixSettings, WebsocketSettings,
};

/// The forms that targets have, for `--help`.
pub const FORMS: &str = "\
Targets:
  http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH
  tcp://HOST:PORT, tls://HOST:PORT
  dns://NAME?type=TYPE&server=HOST[:PORT]&transport=udp|tcp|tls|https
  icmp://HOST
  grpc://HOST:PORT[/SERVICE], grpcs://…, ws://HOST[:PORT]/PATH, wss://…
  udp://HOST:PORT, ssh://HOST[:PORT], unix:///PATH
  smtp://HOST[:PORT], imap://HOST[:PORT], pop3://HOST[:PORT], or smtps, imaps, pop3s
  redis://HOST[:PORT], rediss://HOST[:PORT]
  postgres://[USER@]HOST[:PORT][/DATABASE], mysql://USER@HOST[:PORT][/DATABASE]
  ntp://HOST[:PORT]
  exec:/PATH ARGUMENT… (with --exec-dir)";

/// What to run for `text`, the `number`th target. A text that is no target becomes an item that
/// ends as an error: it is reported among the others, not instead of them.
pub fn parse(text: &str, number: usize, timeout: Duration, all_addresses: bool) -> Result<RunItem, String> {
    let id: CheckId = format!("target-{number}").parse().map_err(|e| format!("{e}"))?;
    match check(text, id.clone(), timeout, all_addresses) {
        Ok(check) => Ok(RunItem::Check(Box::new(check))),
        Err(message) => {
            let given = watchpost_model::shorten(&server::without_password(text), 200).into_owned();
            Ok(RunItem::Invalid { id, given, message })
        }
    }
}

fn check(text: &str, id: CheckId, timeout: Duration, all_addresses: bool) -> Result<Check, String> {
    let settings = settings(text)?;
    // What is not on the network has no addresses of which there could be several.
    let all_addresses = all_addresses && settings.host_port().is_some();
    let document = CheckDocument {
        // It is run once: no interval bounds its timeout.
        scheduled: false,
        timeout: Some(Timeout::new(timeout).map_err(|e| e.to_string())?),
        addresses: if all_addresses { Addresses::All } else { Addresses::Any },
        ..CheckDocument::probing(id, settings)
    };
    Check::try_from(document).map_err(|e| e.to_string())
}

/// What `text` asks for; which type it is shows in how it begins.
fn settings(text: &str) -> Result<ProbeSettings, String> {
    if let Some(command) = text.strip_prefix("exec:") {
        return program(command);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let text = watchpost_model::shorten(text, 80);
        return Err(format!("`{text}` is not a target: expected for example https://{text} or tcp://{text}:443"));
    };
    match scheme {
        "http" | "https" => Ok(ProbeSettings::Http(HttpSettings::get(parsed(text)?))),
        "tcp" => Ok(ProbeSettings::Tcp(TcpSettings::connect(parsed(rest.trim_end_matches('/'))?))),
        "tls" => Ok(ProbeSettings::Tls(TlsCheckSettings::handshake(parsed(rest.trim_end_matches('/'))?))),
        "dns" => Ok(ProbeSettings::Dns(question(rest)?)),
        "icmp" => Ok(ProbeSettings::Icmp(IcmpSettings::to(parsed(host(rest))?))),
        "grpc" | "grpcs" => server::grpc(rest, scheme == "grpcs"),
        "ws" | "wss" => Ok(ProbeSettings::Websocket(WebsocketSettings::connect(parsed(text)?))),
        "udp" => Ok(ProbeSettings::Udp(UdpSettings::send(parsed(rest.trim_end_matches('/'))?))),
        "ssh" => server::ssh(rest),
        "unix" => Ok(ProbeSettings::Unix(UnixSettings::connect(parsed(rest)?))),
        "smtp" | "smtps" | "imap" | "imaps" | "pop3" | "pop3s" => server::mail(scheme, rest),
        "redis" | "rediss" => server::redis(rest, scheme == "rediss"),
        "postgres" | "postgresql" => server::postgres(rest),
        "mysql" | "mariadb" => server::mysql(rest),
        "ntp" => Ok(ProbeSettings::Ntp(NtpSettings::ask(parsed(rest.trim_end_matches('/'))?))),
        other => {
            Err(format!("there is no check for `{other}://`: `watchpost check --help` lists the forms of targets"))
        }
    }
}

/// A command and its arguments, separated by spaces. Quotes, single or double, hold together what they enclose.
fn program(text: &str) -> Result<ProbeSettings, String> {
    let mut words = words(text)?.into_iter();
    let Some(command) = words.next() else {
        return Err("there is no command: expected for example exec:/usr/lib/nagios/plugins/check_load".into());
    };
    let arguments = words.map(|word| parsed(&word)).collect::<Result<_, _>>()?;
    Ok(ProbeSettings::Exec(ExecSettings::running(parsed(&command)?, arguments)))
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(quote) => Err(format!("a quote {quote} is not closed: expected another one")),
        None => Ok(words),
    }
}

/// A host as a URL has it: an address of IPv6 in brackets.
fn host(text: &str) -> &str {
    let text = text.trim_end_matches('/');
    text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text)
}

/// `NAME?type=A&server=HOST:PORT&transport=udp`, of which all but the name may be left out.
fn question(text: &str) -> Result<DnsSettings, String> {
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let mut settings = DnsSettings::ask(parsed(name.trim_end_matches('/'))?);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "type" => settings.record_type = parsed(value)?,
            "server" => settings.server = Some(parsed(value)?),
            "transport" => settings.transport = parsed(value)?,
            other => {
                let other = watchpost_model::shorten(other, 40);
                return Err(format!("`{other}` is nothing that dns:// has: expected type, server or transport"));
            }
        }
    }
    Ok(settings)
}

fn parsed<T: std::str::FromStr<Err = Invalid>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: Invalid| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_target_is_an_item_that_says_why() {
        let told = |text: &str| match parse(text, 1, Duration::from_secs(1), false) {
            Ok(RunItem::Invalid { message, .. }) => message,
            other => panic!("{other:?}"),
        };
        assert!(told("example.com").contains("expected for example https://example.com"));
        assert!(told("gopher://a").contains("no check for `gopher://`"));
        assert!(told("http://").contains("not a URL"));
        assert!(told("tcp://a").contains("no port"));
        assert!(told("exec:").contains("there is no command"));
        assert!(told("exec:check_load").contains("not an absolute path"));
        assert!(told("exec:/a 'b").contains("is not closed"));
        assert!(told("icmp://a:1").contains("without a port"));
        assert!(told("dns://").contains("not a name"));
        assert!(told("dns://a?type=X").contains("not a type of records"));
        assert!(told("dns://a?transport=quic").contains("expected udp, tcp, tls or https"));
        assert!(told("dns://a?sever=b").contains("expected type, server or transport"));
    }

    #[test]
    fn urls_and_addresses_become_checks() {
        for text in [
            "http://a/",
            "https://a:8443/x",
            "tcp://a:1",
            "tcp://[::1]:22/",
            "dns://a",
            "dns://a/?type=MX&server=10.0.0.1&transport=tls",
            "exec:/a -w 1",
            "tls://a:443",
            "unix:///run/a.sock",
            "icmp://a",
            "icmp://[::1]/",
            "icmp://10.0.0.1",
            "udp://a:1",
            "ntp://a",
            "ntp://[::1]:124",
        ] {
            assert!(matches!(parse(text, 1, Duration::from_secs(1), true), Ok(RunItem::Check(_))), "{text}");
        }
    }

    #[test]
    fn words_are_held_together_by_quotes() {
        for (text, split) in [
            ("/a", vec!["/a"]),
            (" /a  -w 1\t", vec!["/a", "-w", "1"]),
            (r#"/a 'b c' "it's" x'y'z """#, vec!["/a", "b c", "it's", "xyz", ""]),
            ("", vec![]),
        ] {
            assert_eq!(words(text).unwrap(), split, "{text}");
        }
    }
}
