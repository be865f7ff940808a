//! Monitors: one check each, by their type.

use std::collections::HashMap;
use std::time::Duration;

use watchpost_model::CheckType;

use super::{INTERVAL_DEFAULT, Monitor, databases, http};
use crate::draft::Draft;
use crate::duration;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::Fields;
use crate::written::with_port;

/// What uptime-kuma keeps of a monitor besides what it does.
const BOOKKEEPING: [&str; 20] = [
    "id",
    "name",
    "type",
    "weight",
    "parent",
    "childrenIDs",
    "path",
    "pathName",
    "active",
    "forceInactive",
    "maintenance",
    "dns_last_result",
    "dnsLastResult",
    "screenshot",
    "includeSensitiveData",
    "userId",
    "user_id",
    "created_date",
    "push_token",
    "gamedigGivenPortOnly",
];

/// What every monitor has, whatever its type: each is read by those types that it means something to, and means nothing
/// to the others there either.
const OF_SOME_TYPES: [&str; 89] = [
    "url",
    "method",
    "hostname",
    "port",
    "timeout",
    "keyword",
    "invertKeyword",
    "ignoreTls",
    "packetSize",
    "maxredirects",
    "accepted_statuscodes",
    "dns_resolve_type",
    "dns_resolve_server",
    "docker_container",
    "docker_host",
    "proxyId",
    "mqttTopic",
    "mqttSuccessMessage",
    "mqttCheckType",
    "mqttUsername",
    "mqttPassword",
    "mqttWebsocketPath",
    "databaseQuery",
    "databaseConnectionString",
    "authMethod",
    "authWorkstation",
    "authDomain",
    "basic_auth_user",
    "basic_auth_pass",
    "bearer_token",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_auth_method",
    "oauth_token_url",
    "oauth_scopes",
    "oauth_audience",
    "tlsCa",
    "tlsCert",
    "tlsKey",
    "grpcUrl",
    "grpcProtobuf",
    "grpcMethod",
    "grpcServiceName",
    "grpcEnableTls",
    "grpcBody",
    "grpcMetadata",
    "radiusCalledStationId",
    "radiusCallingStationId",
    "radiusUsername",
    "radiusPassword",
    "radiusSecret",
    "game",
    "headers",
    "body",
    "httpBodyEncoding",
    "jsonPath",
    "jsonPathOperator",
    "expectedValue",
    "kafkaProducerTopic",
    "kafkaProducerBrokers",
    "kafkaProducerSsl",
    "kafkaProducerAllowAutoTopicCreation",
    "kafkaProducerMessage",
    "kafkaProducerSaslOptions",
    "cacheBust",
    "remote_browser",
    "remoteBrowsersToggle",
    "snmpOid",
    "snmpVersion",
    "snmpV3Username",
    "rabbitmqNodes",
    "rabbitmqUsername",
    "rabbitmqPassword",
    "conditions",
    "ipFamily",
    "ping_numeric",
    "ping_count",
    "ping_per_request_timeout",
    "pushToken",
    "manual_status",
    "smtpSecurity",
    "system_service_name",
    "wsIgnoreSecWebsocketAcceptHeader",
    "wsSubprotocol",
    "location",
    "protocol",
    "domainExpiryNotification",
    "expiryNotification",
    "subtype",
];

/// The monitor as a check or a group. `None` where there is neither, which is told.
pub(super) fn translate(
    keys: &Keys<'_>,
    proxies: &HashMap<String, Option<String>>,
    notes: &mut Notes,
) -> Option<Monitor> {
    let kind = keys.some_text("type", notes).unwrap_or_default();
    let name = keys.some_text("name", notes).unwrap_or_default();
    let seconds = keys.number("interval", notes).filter(|seconds| *seconds > 0);
    let interval = seconds.map_or(INTERVAL_DEFAULT, Duration::from_secs);
    let active = keys.flag("active", notes) != Some(false);
    BOOKKEEPING.iter().chain(&OF_SOME_TYPES).for_each(|key| {
        keys.get(key);
    });
    left(keys, &kind, notes);
    let upside_down = keys.flag("upsideDown", notes) == Some(true);
    if upside_down {
        let why = "it is upside down: it wants the target to fail, and checks pass where it does not. There is no check for it";
        notes.not_translated(&keys.place, why);
    }
    let monitor = |draft: Option<Draft>, notes: &mut Notes| Monitor {
        id: keys.text("id", notes).unwrap_or_default(),
        parent: keys.some_text("parent", notes),
        active,
        interval,
        draft,
        place: keys.place.clone(),
        name: name.clone(),
    };
    if kind == "group" && !upside_down {
        return Some(monitor(None, notes));
    }
    if upside_down {
        return None;
    }
    let mut draft = Draft::new(keys.place.clone(), &[&name], CheckType::Tcp);
    draft.interval = Some(interval);
    let timeout = keys.text("timeout", notes).and_then(|text| duration::seconds(text.parse().ok()?));
    draft.timeout = timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| timeout.min(interval));
    if !by_type(keys, &kind, interval, proxies, &mut draft, notes) {
        return None;
    }
    if !active {
        notes.note(&keys.place, "it is not active: it is `scheduled: false`, and runs only when asked to");
        draft.scheduled = false;
    }
    Some(monitor(Some(draft), notes))
}

/// What no check has.
fn left(keys: &Keys<'_>, kind: &str, notes: &mut Notes) {
    const SMOOTHED: &str =
        "each run tells its own outcome: how many failures make an alarm is for whoever hears of them";
    for key in ["maxretries", "resendInterval"] {
        if keys.number(key, notes).is_some_and(|number| number > 0) {
            notes.not_translated(&keys.place_of(key), SMOOTHED);
        }
    }
    // It means something with retries only.
    keys.get("retryInterval");
    for (key, why) in [
        ("description", "checks have no descriptions: write it as a comment"),
        ("tags", "checks have no tags: a check with `targets` has labels"),
        ("notificationIDList", "who is told of what is for whoever hears the events of checks"),
    ] {
        keys.leave(key, why, notes);
    }
    keys.leave_flag("retryOnlyOnStatusCodeFailure", SMOOTHED, notes);
    keys.leave_flag("domainExpiryNotification", "checks do not ask who registered a domain", notes);
    if matches!(kind, "http" | "keyword" | "json-query") {
        let why = "set `expect.cert_days`, if a certificate that is about to expire is to fail";
        keys.leave_flag("expiryNotification", why, notes);
    }
}

/// Fills in what the type does; tells where there is no check for it.
fn by_type(
    keys: &Keys<'_>,
    kind: &str,
    interval: Duration,
    proxies: &HashMap<String, Option<String>>,
    draft: &mut Draft,
    notes: &mut Notes,
) -> bool {
    let wanted = |draft: &mut Draft, check_type: CheckType, settings: Fields| {
        draft.check_type = check_type;
        draft.settings = settings;
        true
    };
    match kind {
        "http" | "keyword" | "json-query" => http::translate(keys, kind, proxies, draft, notes),
        "port" => {
            let mut settings = Fields::default();
            settings.set("address", address(keys, 0, notes));
            settings.set_map("route", route(keys, notes));
            wanted(draft, CheckType::Tcp, settings)
        }
        "ping" => wanted(draft, CheckType::Icmp, ping(keys, notes)),
        "dns" => wanted(draft, CheckType::Dns, dns(keys, notes)),
        "push" => {
            let mut settings = Fields::default();
            settings.set("every", duration::shown(interval));
            if let Some(token) = keys.some_text("pushToken", notes) {
                notes.secret(&keys.place_of("pushToken"), "a token");
                settings.set("token", token);
            }
            let why = "the job must report to another URL, `/beat/ID?token=…` of the console (docs/checks/heartbeat.md), and may \
                       be a minute late (`grace`)";
            notes.changed(&keys.place, why);
            draft.interval = None;
            draft.timeout = None;
            wanted(draft, CheckType::Heartbeat, settings)
        }
        "smtp" => {
            let mut settings = Fields::default();
            settings.set("address", address(keys, 25, notes));
            let starttls = match keys.some_text("smtpSecurity", notes).as_deref() {
                Some("secure") => Some("implicit"),
                Some("nostarttls") => Some("never"),
                Some("starttls") => Some("required"),
                _ => None,
            };
            settings.set_some("starttls", starttls);
            wanted(draft, CheckType::Smtp, settings)
        }
        "websocket-upgrade" => {
            let mut settings = Fields::default();
            settings.set("url", keys.text("url", notes).unwrap_or_default());
            if let Some(protocol) = keys.some_text("wsSubprotocol", notes) {
                let all: Vec<&str> = protocol.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
                settings.set("subprotocols", all);
            }
            let why = "a server that does not answer the key of the handshake fails";
            keys.leave_flag("wsIgnoreSecWebsocketAcceptHeader", why, notes);
            wanted(draft, CheckType::Websocket, settings)
        }
        "postgres" | "mysql" | "redis" => databases::translate(keys, kind, draft, notes),
        "grpc-keyword" => databases::grpc(keys, draft, notes),
        other => {
            notes.not_translated(&keys.place, without_check(other));
            false
        }
    }
}

/// What to do about a type for which there is no check.
fn without_check(kind: &str) -> String {
    let instead = match kind {
        "docker" => "check what the container serves, or let a program ask Docker, by an `exec` check",
        "steam" | "gamedig" => "a `udp` check can send the question of the game's protocol and expect its answer",
        "mqtt" => "a `tcp` check can see whether the broker is there; let a program subscribe, by an `exec` check",
        "rabbitmq" => "make an `http` check of `/api/health/checks/alarms` of each node, with `auth`",
        "real-browser" => "make an `http` or `steps` check; no browser is started",
        "tailscale-ping" => "make an `icmp` check of the address in that network",
        "manual" => "make a `heartbeat` check, and report by hand",
        _ => "let a program do so, by an `exec` check",
    };
    format!("there is no check for monitors of the type `{}`: {instead}", watchpost_model::shorten(kind, 40))
}

/// Host and port, with `port` where there is none.
pub(super) fn address(keys: &Keys<'_>, port: u16, notes: &mut Notes) -> String {
    let host = keys.text("hostname", notes).unwrap_or_default();
    let port = keys.some_text("port", notes).and_then(|text| text.parse().ok()).unwrap_or(port);
    with_port(&host, port)
}

fn route(keys: &Keys<'_>, notes: &mut Notes) -> Fields {
    let mut route = Fields::default();
    match keys.some_text("ipFamily", notes).as_deref() {
        Some("ipv4" | "4") => route.set("ip", "ipv4"),
        Some("ipv6" | "6") => route.set("ip", "ipv6"),
        _ => {}
    }
    route
}

fn ping(keys: &Keys<'_>, notes: &mut Notes) -> Fields {
    let mut settings = Fields::default();
    settings.set("host", keys.text("hostname", notes).unwrap_or_default());
    settings.set("count", keys.number("ping_count", notes).filter(|count| *count > 0).unwrap_or(1));
    settings.set_some("size", keys.number("packetSize", notes));
    let wait = keys.number("ping_per_request_timeout", notes).filter(|seconds| *seconds > 0);
    settings.set_some("wait", wait.map(|seconds| duration::shown(Duration::from_secs(seconds))));
    settings
}

fn dns(keys: &Keys<'_>, notes: &mut Notes) -> Fields {
    let mut settings = Fields::default();
    settings.set("name", keys.text("hostname", notes).unwrap_or_default());
    settings.set_some("type", keys.some_text("dns_resolve_type", notes).filter(|word| word != "A"));
    let servers = keys.some_text("dns_resolve_server", notes).unwrap_or_default();
    let mut servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
    if let Some(first) = servers.next() {
        let port = keys.some_text("port", notes).and_then(|text| text.parse().ok()).unwrap_or(53);
        settings.set("server", if port == 53 { first.to_owned() } else { with_port(first, port) });
    }
    if servers.next().is_some() {
        let why = "a check asks one name server, and this asks the first of them: make a check for each other one";
        notes.not_translated(&keys.place_of("dns_resolve_server"), why);
    }
    let why = "write what the records must be as `expect` (docs/checks/dns.md)";
    keys.leave("conditions", why, notes);
    settings
}
