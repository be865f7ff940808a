//! Monitors that make a request: `http`, `keyword`, `json-query`.

use std::collections::HashMap;

use serde_json::Value as Json;
use watchpost_model::{CheckType, REDIRECTS_MAX};

use super::texts;
use crate::draft::Draft;
use crate::gatus::{Step, json_expression};
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::{Fields, Out, one_or_many};
use crate::written::{literal, without_login};

pub(super) fn translate(
    keys: &Keys<'_>,
    kind: &str,
    proxies: &HashMap<String, Option<String>>,
    draft: &mut Draft,
    notes: &mut Notes,
) -> bool {
    draft.check_type = CheckType::Http;
    let mut settings = Fields::default();
    let (url, login) = without_login(&keys.text("url", notes).unwrap_or_default());
    settings.set("url", url);
    let method = keys.some_text("method", notes).map(|method| method.to_ascii_uppercase());
    settings.set_some("method", method.filter(|method| method != "GET"));
    let body = keys.some_text("body", notes);
    settings.set_map("headers", headers(keys, body.is_some(), notes));
    settings.set_some("body", body);
    settings.set_map("auth", auth(keys, login, notes));
    redirects(keys, &mut settings, notes);
    if let Some(number) = keys.some_text("proxyId", notes) {
        match proxies.get(&number) {
            Some(Some(url)) => settings.set("proxy", url.as_str()),
            Some(None) => notes.note(&keys.place_of("proxyId"), "this proxy is not active, and is left out"),
            None => notes
                .not_translated(&keys.place_of("proxyId"), "the backup does not have this proxy: write it as `proxy`"),
        }
    }
    let mut tls = Fields::default();
    if keys.flag("ignoreTls", notes) == Some(true) {
        tls.set("insecure", true);
    }
    settings.set_map("tls", tls);
    keys.leave_flag("cacheBust", "a URL is the same each time", notes);
    draft.settings = settings;
    let codes = texts(keys, "accepted_statuscodes", notes);
    draft.expect.set("status", if codes.is_empty() { Out::from("200-299") } else { one_or_many(codes) });
    match kind {
        "keyword" => keyword(keys, draft, notes),
        "json-query" => json_query(keys, draft, notes),
        _ => {}
    }
    keys.leave("conditions", "write them as `expect` (docs/expressions.md)", notes);
    true
}

/// Headers are JSON within a text.
fn headers(keys: &Keys<'_>, has_body: bool, notes: &mut Notes) -> Fields {
    let mut headers = Fields::default();
    let place = keys.place_of("headers");
    match keys.some_text("headers", notes).map(|text| serde_json::from_str::<Json>(&text)) {
        None => {}
        Some(Ok(Json::Object(map))) => {
            for (name, value) in map {
                let value = match value {
                    Json::String(text) => text,
                    Json::Number(_) | Json::Bool(_) => value.to_string(),
                    _ => {
                        notes.not_translated(&place.key(&name, 0), "this header has no text as its value");
                        continue;
                    }
                };
                crate::blackbox::tell_secret(&name, &place.key(&name, 0), notes);
                headers.set(&name, value);
            }
        }
        Some(_) => notes.not_translated(&place, "these headers are no JSON: write them as `headers`"),
    }
    let has_type = headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if has_body && !has_type {
        let encoding = keys.some_text("httpBodyEncoding", notes);
        headers.set(
            "Content-Type",
            match encoding.as_deref() {
                Some("xml") => "text/xml; charset=utf-8",
                Some("form") => "application/x-www-form-urlencoded",
                _ => "application/json",
            },
        );
    }
    headers
}

fn auth(keys: &Keys<'_>, login: Option<(String, String)>, notes: &mut Notes) -> Fields {
    let mut auth = Fields::default();
    let mut basic = |user: String, password: Option<String>| {
        let mut fields = Fields::default();
        fields.set("username", user);
        fields.set_some("password", password.filter(|password| !password.is_empty()));
        auth.set("basic", fields);
    };
    if let Some((user, password)) = login {
        notes.secret(&keys.place_of("url"), "a password");
        basic(user, Some(password));
    }
    match keys.some_text("authMethod", notes).as_deref() {
        None | Some("basic" | "null") => {
            if let Some(user) = keys.some_text("basic_auth_user", notes) {
                notes.secret(&keys.place_of("basic_auth_pass"), "a password");
                basic(user, keys.some_text("basic_auth_pass", notes));
            }
        }
        Some("bearer") => {
            if let Some(token) = keys.some_text("bearer_token", notes) {
                notes.secret(&keys.place_of("bearer_token"), "a token");
                auth.set("bearer", token);
            }
        }
        Some("mtls") => {
            let why = "certificate and key stand in the backup itself: write them to files, and name these in `tls.client` and \
                       `tls.ca_file`";
            notes.not_translated(&keys.place_of("authMethod"), why);
        }
        Some("oauth2-cc") => {
            let why = "checks do not fetch tokens: make the request for the token the first step of a `steps` check";
            notes.not_translated(&keys.place_of("authMethod"), why);
        }
        Some(other) => {
            let why = format!("nobody logs in by `{}`", watchpost_model::shorten(other, 40));
            notes.not_translated(&keys.place_of("authMethod"), why);
        }
    }
    auth
}

fn redirects(keys: &Keys<'_>, settings: &mut Fields, notes: &mut Notes) {
    let max = u64::from(REDIRECTS_MAX);
    let given = keys.number("maxredirects", notes).unwrap_or(max);
    if given > max {
        notes.changed(&keys.place_of("maxredirects"), format!("at most {max} redirects are followed"));
    }
    if given > 0 {
        settings.set("max_redirects", given.min(max));
    }
}

fn keyword(keys: &Keys<'_>, draft: &mut Draft, notes: &mut Notes) {
    let keyword = keys.text("keyword", notes).unwrap_or_default();
    match keys.flag("invertKeyword", notes) {
        Some(true) => {
            let expression = format!("!body.text.contains({})", literal(&keyword));
            draft.that.push((keys.place_of("keyword"), expression.into()));
        }
        _ if !keyword.is_empty() => draft.expect.set("body_contains", keyword),
        _ => {}
    }
}

fn json_query(keys: &Keys<'_>, draft: &mut Draft, notes: &mut Notes) {
    let query = keys.text("jsonPath", notes).unwrap_or_default();
    let Some(path) = path_of(&query) else {
        let why = "this is more than a path: write it as an expression, in `expect.that` (docs/expressions.md)";
        notes.not_translated(&keys.place_of("jsonPath"), why);
        return;
    };
    let place = json_expression(&path);
    let wanted = keys.text("expectedValue", notes).unwrap_or_default();
    let operator = keys.some_text("jsonPathOperator", notes).unwrap_or_else(|| "==".to_owned());
    let text = format!("string({place})");
    let expression = match operator.as_str() {
        "==" | "!=" => format!("{text} {operator} {}", literal(&wanted)),
        "contains" => format!("{text}.contains({})", literal(&wanted)),
        "<" | "<=" | ">" | ">=" if wanted.parse::<f64>().is_ok_and(f64::is_finite) => {
            format!("double({place}) {operator} {wanted}")
        }
        _ => {
            notes.not_translated(&keys.place_of("jsonPathOperator"), "write this comparison in `expect.that`");
            return;
        }
    };
    draft.that.push((keys.place_of("jsonPath"), expression.into()));
}

/// A query that is a path: `$.a.b[0]` or `a.b[0]`.
fn path_of(query: &str) -> Option<Vec<Step>> {
    let query = query.trim();
    let mut rest = query.strip_prefix('$').unwrap_or(query);
    let mut path = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            path.push(Step::Index(index.parse().ok()?));
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return None;
        }
        path.push(Step::Key(key.to_owned()));
        rest = after;
    }
    Some(path)
}
