//! Gatus' client settings.

use watchpost_model::CheckType;

use super::time;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::Fields;

/// What a client does, for whichever type wants it.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) timeout: Option<std::time::Duration>,
    pub(super) follows: bool,
    pub(super) tls: Fields,
    pub(super) route: Fields,
    pub(super) proxy: Option<String>,
}

/// Reads `client`, of a check of the type.
pub(super) fn read(endpoint: &Keys<'_>, check_type: CheckType, notes: &mut Notes) -> Client {
    let keys = endpoint.map("client", notes);
    let http = check_type == CheckType::Http;
    let mut client = Client { follows: true, ..Client::default() };
    client.timeout = time(&keys, "timeout", notes);
    if keys.flag("insecure", notes) == Some(true) {
        client.tls.set("insecure", true);
    }
    if keys.flag("ignore-redirect", notes) == Some(true) {
        client.follows = false;
    }
    client.proxy = keys.some_text("proxy-url", notes);
    if let Some(proxy) = &client.proxy {
        if proxy.contains('@') {
            notes.secret(&keys.place_of("proxy-url"), "the proxy's login");
        }
        if !http {
            notes.not_translated(&keys.place_of("proxy-url"), "only checks of the type `http` go through a proxy");
        }
    }
    match keys.some_text("network", notes).as_deref() {
        None | Some("ip") => {}
        Some("ip4") => client.route.set("ip", "ipv4"),
        Some("ip6") => client.route.set("ip", "ipv6"),
        Some(_) => notes.not_translated(&keys.place_of("network"), "expected `ip`, `ip4` or `ip6`"),
    }
    let files = keys.map("tls", notes);
    match (files.some_text("certificate-file", notes), files.some_text("private-key-file", notes)) {
        (Some(certificate), Some(key)) => {
            let mut fields = Fields::default();
            fields.set("certificate_file", certificate);
            fields.set("key_file", key);
            client.tls.set("client", fields);
        }
        (None, None) => {}
        _ => notes.not_translated(&files.place, "of certificate and key there is only one: expected both"),
    }
    files.leave("renegotiation", "TLS is not renegotiated", notes);
    files.finish(notes);
    for (key, why) in [
        ("dns-resolver", "which name servers are asked is a setting of the whole agent: `dns.nameservers`"),
        ("oauth2", "checks do not fetch tokens: make the request for the token the first step of a `steps` check"),
        ("identity-aware-proxy", "checks do not log in at Google's proxy: let a program do so, by an `exec` check"),
        ("tunnel", "checks go their way themselves: run a bastion where the target can be reached"),
    ] {
        keys.leave(key, why, notes);
    }
    keys.finish(notes);
    client
}
