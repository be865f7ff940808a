//! What modules say of ways, TLS, and logins.

use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::Fields;

/// Which addresses are tried, and from where.
pub(super) fn route(keys: &Keys<'_>, notes: &mut Notes) -> Fields {
    let mut route = Fields::default();
    let preferred = keys.some_text("preferred_ip_protocol", notes);
    let fallback = keys.flag("ip_protocol_fallback", notes).unwrap_or(true);
    let ip = match (preferred.as_deref(), fallback) {
        (Some("ip4"), true) => Some("prefer_ipv4"),
        (Some("ip4"), false) => Some("ipv4"),
        (Some("ip6"), true) => Some("prefer_ipv6"),
        // IPv6 is what is preferred there where nothing is said.
        (Some("ip6") | None, false) => Some("ipv6"),
        (None, true) => None,
        (Some(_), _) => {
            notes.not_translated(&keys.place_of("preferred_ip_protocol"), "expected `ip4` or `ip6`");
            None
        }
    };
    route.set_some("ip", ip);
    route.set_some("source_address", keys.some_text("source_ip_address", notes));
    route
}

/// How TLS is spoken, and the version that is asked for at least.
pub(crate) fn tls(keys: &Keys<'_>, notes: &mut Notes) -> (Fields, bool) {
    let mut tls = Fields::default();
    tls.set_some("ca_file", keys.some_text("ca_file", notes));
    match (keys.some_text("cert_file", notes), keys.some_text("key_file", notes)) {
        (Some(certificate), Some(key)) => {
            let mut client = Fields::default();
            client.set("certificate_file", certificate);
            client.set("key_file", key);
            tls.set("client", client);
        }
        (None, None) => {}
        _ => notes.not_translated(&keys.place, "of `cert_file` and `key_file` there is only one: expected both"),
    }
    for (key, ours) in [("ca", "tls.ca_file"), ("cert", "tls.client"), ("key", "tls.client")] {
        keys.leave(
            key,
            &format!("a certificate or key cannot stand in the checks: write it to a file, and name that in `{ours}`"),
            notes,
        );
    }
    for key in ["ca_ref", "cert_ref", "key_ref"] {
        keys.leave(key, "there is no store of secrets to refer to: name a file in `tls`", notes);
    }
    if keys.flag("insecure_skip_verify", notes) == Some(true) {
        tls.set("insecure", true);
    }
    tls.set_some("server_name", keys.some_text("server_name", notes));
    let mut only_13 = false;
    match keys.some_text("min_version", notes).as_deref() {
        Some("TLS13") => only_13 = true,
        Some("TLS10" | "TLS11") => {
            let why = "checks speak TLS 1.2 and 1.3: a server that knows older versions only fails";
            notes.changed(&keys.place_of("min_version"), why);
        }
        None | Some("TLS12") => {}
        Some(_) => notes.not_translated(&keys.place_of("min_version"), "expected `TLS10`, `TLS11`, `TLS12` or `TLS13`"),
    }
    let max = keys.some_text("max_version", notes);
    if max.as_deref().is_some_and(|version| version != "TLS13") {
        let why =
            "a check cannot be held to an older version: it speaks TLS 1.2 and 1.3, whichever the server likes best";
        notes.not_translated(&keys.place_of("max_version"), why);
    }
    keys.finish(notes);
    (tls, only_13)
}

/// Tells of a header whose name says that it is a secret.
pub(crate) fn tell_secret(name: &str, place: &Place, notes: &mut Notes) {
    let name = name.to_ascii_lowercase();
    if ["authorization", "cookie", "token", "secret", "api-key", "apikey", "password", "x-auth"]
        .iter()
        .any(|word| name.contains(word))
    {
        notes.secret(place, "a secret");
    }
}

/// Who logs in by HTTP: the settings for `auth`, or for the header `authorization` where the scheme is another one.
pub(crate) enum Login {
    Auth(Fields),
    Header(String),
}

/// Reads `basic_auth`, `authorization`, `bearer_token` and their like, of modules and of sources of targets.
pub(crate) fn login(keys: &Keys<'_>, notes: &mut Notes) -> Option<Login> {
    const FILE: &str =
        "a secret in a file is not read: write the secret, or `${NAME}` for a variable of the environment";
    for (key, why) in [
        ("bearer_token_file", FILE),
        ("oauth2", "checks do not fetch tokens: make the request for the token the first step of a `steps` check"),
    ] {
        keys.leave(key, why, notes);
    }
    let mut login = None;
    if keys.says("basic_auth") {
        let basic = keys.map("basic_auth", notes);
        let user = basic.some_text("username", notes);
        let password = basic.some_text("password", notes);
        if password.is_some() {
            notes.secret(&basic.place_of("password"), "a password");
        }
        for key in ["username_file", "password_file", "username_ref", "password_ref"] {
            basic.leave(key, FILE, notes);
        }
        if let Some(user) = user {
            let mut fields = Fields::default();
            fields.set("username", user);
            fields.set_some("password", password);
            let mut auth = Fields::default();
            auth.set("basic", fields);
            login = Some(Login::Auth(auth));
        }
        basic.finish(notes);
    }
    if keys.says("authorization") {
        let given = keys.map("authorization", notes);
        let scheme = given.some_text("type", notes).unwrap_or_else(|| "Bearer".to_owned());
        if let Some(secret) = given.some_text("credentials", notes) {
            notes.secret(&given.place_of("credentials"), "a token");
            login = Some(match scheme.eq_ignore_ascii_case("bearer") {
                true => bearer(secret),
                false => Login::Header(format!("{scheme} {secret}")),
            });
        }
        for key in ["credentials_file", "credentials_ref"] {
            given.leave(key, FILE, notes);
        }
        given.finish(notes);
    }
    if let Some(token) = keys.some_text("bearer_token", notes) {
        notes.secret(&keys.place_of("bearer_token"), "a token");
        login = Some(bearer(token));
    }
    login
}

fn bearer(token: String) -> Login {
    let mut auth = Fields::default();
    auth.set("bearer", token);
    Login::Auth(auth)
}
