//! Endpoints: one check each, by the scheme of the URL.

use watchpost_model::CheckType;

use super::client::Client;
use super::expect::Expected;
use super::{ALERTS, LOOKS, MAINTENANCE, OPEN, client, expect, headers, http, names, time};
use crate::draft::Draft;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::Fields;
use crate::written::{with_port, without_login};

/// The check for an endpoint.
pub(super) fn translate(keys: &Keys<'_>, notes: &mut Notes) -> Option<Draft> {
    leave(keys, notes);
    let url = keys.some_text("url", notes).unwrap_or_default();
    let names = names(keys, notes);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let interval = time(keys, "interval", notes);
    let Some((check_type, encrypted)) = type_of(keys, &url, notes) else {
        keys.pass_over();
        return None;
    };
    let expected = expect::read(keys, check_type, encrypted, notes);
    let mut draft = Draft::new(keys.place.clone(), &names, check_type);
    let (settings, client) = match check_type {
        CheckType::Http => http::request(keys, notes),
        other => {
            let client = client::read(keys, other, notes);
            (settings(keys, &url, other, encrypted, &client, notes), client)
        }
    };
    draft.settings = settings;
    draft.interval = interval;
    // The usual time-outs are the same, and ours is shorter where the interval is.
    draft.timeout = client.timeout.map(|given| given.min(interval.unwrap_or(std::time::Duration::from_secs(60))));
    if client.timeout != draft.timeout {
        notes.changed(&keys.place, "its time-out is longer than its interval, which it becomes");
    }
    unused(keys, check_type, notes);
    let Expected { expect, that, answer, dns } = expected?;
    draft.expect = expect;
    draft.that = that;
    draft.settings.set_some("expect", answer);
    draft.settings.set_map("expect", dns);
    Some(draft)
}

fn leave(keys: &Keys<'_>, notes: &mut Notes) {
    // These are read when the check is added.
    keys.get("enabled");
    keys.leave("alerts", ALERTS, notes);
    keys.leave("maintenance-windows", MAINTENANCE, notes);
    keys.leave("ui", LOOKS, notes);
    keys.leave("extra-labels", "checks without targets have no labels: a check with `targets` has", notes);
}

/// The type, and whether it is reached by TLS.
fn type_of(keys: &Keys<'_>, url: &str, notes: &mut Notes) -> Option<(CheckType, bool)> {
    let place = keys.place_of("url");
    if keys.says("dns") {
        return Some((CheckType::Dns, false));
    }
    let Some((scheme, _)) = url.split_once("://") else {
        let why = match url.contains(OPEN) {
            true => "the whole URL comes from the environment, so that nobody knows of which type the check is",
            false => "this is no URL: expected for example `https://shop.example/`",
        };
        notes.not_translated(&place, why);
        return None;
    };
    Some(match scheme {
        "http" => (CheckType::Http, false),
        "https" => (CheckType::Http, true),
        "tcp" => (CheckType::Tcp, false),
        "udp" => (CheckType::Udp, false),
        "icmp" => (CheckType::Icmp, false),
        // With something to send it is a dialogue.
        "tls" if keys.says("body") => (CheckType::Tcp, true),
        "tls" => (CheckType::Tls, true),
        "starttls" => (CheckType::Smtp, true),
        "ws" => (CheckType::Websocket, false),
        "wss" => (CheckType::Websocket, true),
        "grpc" => (CheckType::Grpc, false),
        "grpcs" => (CheckType::Grpc, true),
        "ssh" => (CheckType::Ssh, false),
        other => {
            let other = watchpost_model::shorten(other, 40);
            notes.not_translated(
                &place,
                format!("there is no check for `{other}://`; a program could do it, by an `exec` check"),
            );
            return None;
        }
    })
}

fn settings(
    keys: &Keys<'_>,
    url: &str,
    check_type: CheckType,
    encrypted: bool,
    client: &Client,
    notes: &mut Notes,
) -> Fields {
    let mut fields = Fields::default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let mut takes_tls = encrypted;
    match check_type {
        CheckType::Dns => {
            let dns = keys.map("dns", notes);
            fields.set_some("name", dns.some_text("query-name", notes));
            fields.set_some("type", dns.some_text("query-type", notes).map(|word| word.to_ascii_uppercase()));
            dns.finish(notes);
            fields.set("server", authority);
            takes_tls = false;
        }
        CheckType::Icmp => {
            fields.set("host", authority);
            // One request, as there: of several, one reply would be enough.
            fields.set("count", 1_u64);
        }
        CheckType::Websocket => {
            fields.set("url", without_login(url).0);
            fields.set_map("headers", headers(keys, notes));
            fields.set_some("send", http::body(keys, notes));
        }
        CheckType::Smtp => {
            fields.set("address", with_port(authority, 25));
            fields.set("starttls", "required");
        }
        CheckType::Ssh => {
            fields.set("address", with_port(authority, 22));
            login_by_ssh(keys, notes);
        }
        CheckType::Grpc => {
            fields.set("address", authority);
            fields
                .set_some("service", rest.split_once('/').map(|(_, service)| service).filter(|path| !path.is_empty()));
            fields.set_map("metadata", headers(keys, notes));
        }
        CheckType::Tcp | CheckType::Udp => {
            fields.set("address", authority);
            // `${` would be a reference in what is sent over a stream.
            let body = http::body(keys, notes);
            fields.set_some(
                "send",
                body.map(|text| if check_type == CheckType::Tcp { text.replace("${", "$${") } else { text }),
            );
        }
        _ => fields.set("address", authority),
    }
    let has_tls_always = matches!(check_type, CheckType::Tcp | CheckType::Grpc);
    if takes_tls && (has_tls_always || !client.tls.is_empty()) {
        fields.set("tls", client.tls.clone());
    } else if !takes_tls && !client.tls.is_empty() {
        notes.not_translated(
            &keys.place_of("client"),
            "it speaks of certificates, and the target is not reached by TLS",
        );
    }
    fields.set_map("route", client.route.clone());
    fields
}

fn login_by_ssh(keys: &Keys<'_>, notes: &mut Notes) {
    let ssh = keys.map("ssh", notes);
    for key in ["username", "password", "private-key"] {
        ssh.get(key);
    }
    if ["username", "password", "private-key"].iter().any(|key| ssh.says(key)) {
        let why =
            "nobody logs in: the check goes through the key exchange, and has the server prove that it has its key";
        notes.not_translated(&ssh.place, why);
    }
    ssh.finish(notes);
    keys.leave("body", "no command is run by SSH: let a program do so, by an `exec` check", notes);
}

/// Keys that mean nothing for the type.
fn unused(keys: &Keys<'_>, check_type: CheckType, notes: &mut Notes) {
    const NONE: &str = "it means nothing to a check of this type";
    if check_type == CheckType::Http {
        keys.leave("ssh", NONE, notes);
        return;
    }
    // Gatus itself gives every endpoint a method.
    keys.get("method");
    keys.leave_flag("graphql", NONE, notes);
    for key in ["headers", "body", "ssh", "dns"] {
        let taken = match key {
            "headers" => matches!(check_type, CheckType::Websocket | CheckType::Grpc),
            "body" => matches!(check_type, CheckType::Websocket | CheckType::Tcp | CheckType::Udp | CheckType::Ssh),
            "ssh" => check_type == CheckType::Ssh,
            _ => check_type == CheckType::Dns,
        };
        if !taken {
            keys.leave(key, NONE, notes);
        }
    }
}
