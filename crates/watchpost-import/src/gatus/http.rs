//! Requests by HTTP, of endpoints and of the steps of suites.

use watchpost_model::CheckType;

use super::client::{self, Client};
use super::{headers, text_of};
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::{Fields, Out};
use crate::written::without_login;

/// The settings of a request, and what else the client is told.
pub(super) fn request(keys: &Keys<'_>, notes: &mut Notes) -> (Fields, Client) {
    let client = client::read(keys, CheckType::Http, notes);
    let mut settings = Fields::default();
    let (url, login) = without_login(&keys.some_text("url", notes).unwrap_or_default());
    settings.set("url", url);
    settings.set_some("method", keys.some_text("method", notes).filter(|method| method != "GET"));
    let mut headers = headers(keys, notes);
    let mut body = body(keys, notes);
    if keys.flag("graphql", notes) == Some(true) {
        let query = serde_json::json!({ "query": body.unwrap_or_default() });
        body = Some(query.to_string());
        if !headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.set("Content-Type", "application/json");
        }
    }
    settings.set_map("headers", headers);
    settings.set_some("body", body);
    if let Some((user, password)) = login {
        notes.secret(&keys.place_of("url"), "a password");
        let mut basic = Fields::default();
        basic.set("username", user);
        basic.set_some("password", Some(password).filter(|password| !password.is_empty()));
        let mut auth = Fields::default();
        auth.set("basic", basic);
        settings.set("auth", auth);
    }
    if client.follows {
        settings.set("max_redirects", 10_u64);
    }
    settings.set_some("proxy", client.proxy.clone());
    settings.set_map("tls", client.tls.clone());
    settings.set_map("route", client.route.clone());
    (settings, client)
}

/// The body, with what stands for the endpoint's own name, group and URL.
pub(super) fn body(keys: &Keys<'_>, notes: &mut Notes) -> Option<String> {
    let mut body = keys.some_text("body", notes)?;
    for (placeholder, key) in [("[ENDPOINT_NAME]", "name"), ("[ENDPOINT_GROUP]", "group"), ("[ENDPOINT_URL]", "url")] {
        if body.contains(placeholder) {
            body = body.replace(placeholder, &keys.text(key, notes).unwrap_or_default());
        }
    }
    for placeholder in ["[LOCAL_ADDRESS]", "[RANDOM_STRING_"] {
        if body.contains(placeholder) {
            let why = format!("`{placeholder}` is sent as it stands: bodies are the same each time");
            notes.not_translated(&keys.place_of("body"), why.replace("STRING_`", "STRING_N]`"));
        }
    }
    Some(body)
}

/// Whether a request goes by TLS.
pub(super) fn is_https(settings: &Fields) -> bool {
    text_of(settings.get("url")).starts_with("https://")
}

/// What is expected where no condition speaks of the status: there, every one is good.
pub(super) fn any_status(expect: &mut Fields) {
    if !expect.has("status") {
        expect.0.insert(0, ("status".to_owned(), Out::from("100-599")));
    }
}
