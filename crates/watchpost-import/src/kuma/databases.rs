//! Monitors of databases, by their connection strings; and of gRPC.

use serde_json::Value as Json;
use url::Url;
use watchpost_model::CheckType;

use crate::draft::Draft;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::Fields;
use crate::written::{with_port, without_login};

pub(super) fn translate(keys: &Keys<'_>, kind: &str, draft: &mut Draft, notes: &mut Notes) -> bool {
    let place = keys.place_of("databaseConnectionString");
    let given = keys.text("databaseConnectionString", notes).unwrap_or_default();
    let (bare, login) = without_login(&given);
    let Ok(url) = Url::parse(&bare) else {
        notes.not_translated(&place, "this is no URL: there is no check without its host");
        return false;
    };
    let (check_type, port) = match kind {
        "postgres" => (CheckType::Postgres, 5432),
        "mysql" => (CheckType::Mysql, 3306),
        _ => (CheckType::Redis, 6379),
    };
    let mut settings = Fields::default();
    let host = url.host_str().unwrap_or_default();
    settings.set("address", with_port(host, url.port().unwrap_or(port)));
    let (user, mut password) = login.unwrap_or_default();
    settings.set_some("user", Some(user).filter(|user| !user.is_empty()));
    // Newer versions keep the password of MySQL where RADIUS has its own.
    if kind == "mysql" && password.is_empty() {
        password = keys.text("radiusPassword", notes).unwrap_or_default();
    }
    if !password.is_empty() {
        notes.secret(&place, "a password");
        settings.set("password", password);
    }
    let database = url.path().trim_start_matches('/').to_owned();
    if kind == "redis" {
        if given.starts_with("rediss:") {
            let mut tls = Fields::default();
            if keys.flag("ignoreTls", notes) == Some(true) {
                tls.set("insecure", true);
            }
            settings.set("tls", tls);
        }
        settings.set_some("database", database.parse::<u64>().ok().filter(|number| *number > 0));
    } else {
        settings.set_some("database", Some(database).filter(|name| !name.is_empty()));
        settings.set_some("query", keys.some_text("databaseQuery", notes));
    }
    for (name, value) in url.query_pairs() {
        let mode = match (kind, &*name, &*value) {
            ("postgres", "sslmode", "disable") => "disable",
            ("postgres", "sslmode", "require" | "verify-ca" | "verify-full") => "require",
            ("postgres", "sslmode", "prefer" | "allow" | "no-verify") => "prefer",
            _ => {
                let name = watchpost_model::shorten(&name, 60);
                notes.not_translated(&place, format!("the parameter `{name}` is left out: see docs/checks/{kind}.md"));
                continue;
            }
        };
        settings.set("tls_mode", mode);
    }
    keys.leave("conditions", "write what the value must be as `expect` of the database", notes);
    draft.check_type = check_type;
    draft.settings = settings;
    true
}

/// A call by gRPC: only that of the health service is one that we make.
pub(super) fn grpc(keys: &Keys<'_>, draft: &mut Draft, notes: &mut Notes) -> bool {
    let text = |key: &str, notes: &mut Notes| keys.text(key, notes).unwrap_or_default();
    let (service, method) = (text("grpcServiceName", notes), text("grpcMethod", notes));
    let is_health = service.rsplit('.').next() == Some("Health") && method.eq_ignore_ascii_case("check");
    if !is_health {
        let why = "only the health service is called by gRPC (`grpc.health.v1.Health/Check`): let a program call others, by an \
                   `exec` check";
        notes.not_translated(&keys.place, why);
        return false;
    }
    let mut settings = Fields::default();
    let url = text("grpcUrl", notes);
    settings.set("address", url.split_once("://").map_or(url.as_str(), |(_, rest)| rest));
    if keys.flag("grpcEnableTls", notes) == Some(true) {
        settings.set("tls", Fields::default());
    }
    let body = serde_json::from_str::<Json>(&text("grpcBody", notes)).unwrap_or_default();
    let of = body.get("service").and_then(Json::as_str).filter(|name| !name.is_empty());
    settings.set_some("service", of);
    let keyword = text("keyword", notes);
    let inverted = keys.flag("invertKeyword", notes) == Some(true);
    if inverted || !"SERVING".contains(keyword.as_str()) {
        let place = keys.place_of(if inverted { "invertKeyword" } else { "keyword" });
        notes.not_translated(&place, "the check passes where the health is `SERVING`, and not otherwise");
    }
    keys.leave("grpcMetadata", "write it as `metadata`", notes);
    draft.check_type = CheckType::Grpc;
    draft.settings = settings;
    true
}
