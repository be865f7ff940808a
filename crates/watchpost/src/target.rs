//! Targets as they are written on the command line.

use std::time::Duration;

use watchpost_agent::RunItem;
use watchpost_model::{
    Addresses, Check, CheckDocument, CheckId, HttpSettings, Invalid, ProbeSettings, TcpSettings, Timeout,
    TlsCheckSettings, UnixSettings,
};

/// What to run for `text`, the `number`th target. A text that is no target becomes an item that
/// ends as an error: it is reported among the others, not instead of them.
pub fn parse(text: &str, number: usize, timeout: Duration, all_addresses: bool) -> Result<RunItem, String> {
    let id: CheckId = format!("target-{number}").parse().map_err(|e| format!("{e}"))?;
    match check(text, id.clone(), timeout, all_addresses) {
        Ok(check) => Ok(RunItem::Check(Box::new(check))),
        Err(message) => Ok(RunItem::Invalid { id, given: watchpost_model::shorten(text, 200).into_owned(), message }),
    }
}

fn check(text: &str, id: CheckId, timeout: Duration, all_addresses: bool) -> Result<Check, String> {
    let document = CheckDocument {
        // It is run once: no interval bounds its timeout.
        scheduled: false,
        timeout: Some(Timeout::new(timeout).map_err(|e| e.to_string())?),
        addresses: if all_addresses { Addresses::All } else { Addresses::Any },
        ..CheckDocument::probing(id, settings(text)?)
    };
    Check::try_from(document).map_err(|e| e.to_string())
}

/// What `text` asks for; which type it is shows in how it begins.
fn settings(text: &str) -> Result<ProbeSettings, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        let text = watchpost_model::shorten(text, 80);
        return Err(format!("`{text}` is not a target: expected for example https://{text} or tcp://{text}:443"));
    };
    match scheme {
        "http" | "https" => Ok(ProbeSettings::Http(HttpSettings::get(parsed(text)?))),
        "tcp" => Ok(ProbeSettings::Tcp(TcpSettings::connect(parsed(rest.trim_end_matches('/'))?))),
        "tls" => Ok(ProbeSettings::Tls(TlsCheckSettings::handshake(parsed(rest.trim_end_matches('/'))?))),
        "unix" => Ok(ProbeSettings::Unix(UnixSettings::connect(parsed(rest)?))),
        other => {
            let known = "http://, https://, tcp://, tls:// or unix://";
            Err(format!("there is no check for `{other}://`: expected {known}"))
        }
    }
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
    }

    #[test]
    fn urls_and_addresses_become_checks() {
        for text in
            ["http://a/", "https://a:8443/x", "tcp://a:1", "tcp://[::1]:22/", "tls://a:443", "unix:///run/a.sock"]
        {
            assert!(matches!(parse(text, 1, Duration::from_secs(1), true), Ok(RunItem::Check(_))), "{text}");
        }
    }
}
