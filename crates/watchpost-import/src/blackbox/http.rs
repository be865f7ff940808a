//! The `http` prober.

use watchpost_model::Pattern;

use super::Module;
use super::{Login, network};
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::{Fields, Out, one_or_many};
use crate::written::{bytes, header, literal, pattern};

/// How much of a body is read, in bytes.
const BODY_READ_BYTES_MAX: u64 = 128 * 1024;

pub(super) fn translate(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) -> bool {
    request(keys, module, notes);
    tls(keys, module, notes);
    answer(keys, module, notes);
    body(keys, module, notes);
    headers_expected(keys, module, notes);
    true
}

fn request(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) {
    let settings = &mut module.settings;
    settings.set_some("method", keys.some_text("method", notes).filter(|method| method != "GET"));
    let mut headers = Fields::default();
    for (name, place, value) in keys.map("headers", notes).pairs(notes) {
        network::tell_secret(name, &place, notes);
        headers.set(name, value);
    }
    more_headers(&keys.map("http_headers", notes), &mut headers, notes);
    let login = network::login(keys, notes);
    if let Some(Login::Header(value)) = &login {
        headers.set("Authorization", value.as_str());
    }
    match keys.some_text("compression", notes).as_deref() {
        None => {}
        Some("identity") => settings.set("decompress", false),
        Some(algorithm) => {
            if !headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")) {
                headers.set("Accept-Encoding", algorithm);
            }
            let why = "an answer that comes unpacked, or packed in another way, does not fail here";
            notes.changed(&keys.place_of("compression"), why);
        }
    }
    settings.set_map("headers", headers);
    settings.set_some("body", keys.some_text("body", notes));
    if let Some(path) = keys.some_text("body_file", notes) {
        let mut file = Fields::default();
        file.set("file", path);
        settings.set("body", file);
    }
    if let Some(Login::Auth(auth)) = login {
        settings.set("auth", auth);
    }
    let old = keys.flag("no_follow_redirects", notes) == Some(true);
    if keys.flag("follow_redirects", notes).unwrap_or(!old) {
        settings.set("max_redirects", 10_u64);
    }
    if keys.flag("enable_http2", notes) == Some(false) {
        settings.set("version", "1.1");
    }
    keys.leave_flag("enable_http3", "checks speak HTTP/1.1 and HTTP/2", notes);
    if let Some(proxy) = keys.some_text("proxy_url", notes) {
        if proxy.contains('@') {
            notes.secret(&keys.place_of("proxy_url"), "the proxy's login");
        }
        settings.set("proxy", proxy);
    }
    // By HTTP a proxy resolves names itself, as it does there with this.
    for key in ["skip_resolve_phase_with_proxy", "use_proxy_dns"] {
        keys.flag(key, notes);
    }
    keys.leave("no_proxy", "a proxy is used for every target of a check: make a check of its own for these", notes);
    keys.leave_flag("proxy_from_environment", "no proxy is taken from the environment: name it in `proxy`", notes);
    for key in ["proxy_connect_header", "proxy_connect_headers"] {
        keys.leave(key, "a proxy gets no headers of its own, besides the login of its URL", notes);
    }
    let route = network::route(keys, notes);
    module.settings.set_map("route", route);
}

/// `http_headers`, each with values, secrets and files.
fn more_headers(keys: &Keys<'_>, headers: &mut Fields, notes: &mut Notes) {
    let names: Vec<String> = keys.names();
    for name in names {
        let of = keys.map(&name, notes);
        let mut values: Vec<String> = of.texts("values", notes).into_iter().map(|(_, value)| value).collect();
        for (place, value) in of.texts("secrets", notes) {
            notes.secret(&place, "a secret");
            values.push(value);
        }
        of.leave(
            "files",
            "a header's value is not read from a file: write it, or `${NAME}` for a variable of the environment",
            notes,
        );
        of.finish(notes);
        if !values.is_empty() {
            headers.set(&name, values.join(", "));
        }
    }
}

fn tls(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) {
    let place = keys.place_of("tls_config");
    let (tls, only_13) = network::tls(&keys.map("tls_config", notes), notes);
    module.settings.set_map("tls", tls);
    if only_13 {
        module.that.push((place, "!has(tls) || tls.version == \"TLSv1.3\"".into()));
    }
    for (key, expression) in [("fail_if_ssl", "!has(tls)"), ("fail_if_not_ssl", "has(tls)")] {
        if keys.flag(key, notes) == Some(true) {
            module.that.push((keys.place_of(key), expression.into()));
        }
    }
}

fn answer(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) {
    let mut codes: Vec<Out> = Vec::new();
    for (place, code) in keys.texts("valid_status_codes", notes) {
        match code.parse::<u64>() {
            Ok(number) => codes.push(number.into()),
            Err(_) if code.parse::<watchpost_model::StatusSet>().is_ok() => codes.push(code.into()),
            Err(_) => notes.not_translated(&place, "this is no status: expected for example `200` or `2xx`"),
        }
    }
    let status = if codes.is_empty() { "2xx".into() } else { one_or_many(codes) };
    module.expect.set("status", status);
    let versions: Vec<String> =
        keys.texts("valid_http_versions", notes).into_iter().map(|(_, version)| version).collect();
    if !versions.is_empty() {
        // Here, HTTP/2 has no minor version.
        let versions: Vec<_> =
            versions.iter().map(|version| literal(if version == "HTTP/2.0" { "HTTP/2" } else { version })).collect();
        let expression = format!("version in [{}]", versions.join(", "));
        module.that.push((keys.place_of("valid_http_versions"), expression.into()));
    }
    if let Some(limit) = keys.some_text("body_size_limit", notes) {
        let place = keys.place_of("body_size_limit");
        match bytes(&limit) {
            Some(0) => {}
            Some(limit) if limit <= BODY_READ_BYTES_MAX => {
                module.that.push((place, format!("body.size <= {limit} && !body.truncated").into()));
            }
            Some(_) => {
                notes.not_translated(&place, "at most 128 KiB of a body are read, and a longer one does not fail")
            }
            None => notes.not_translated(&place, "this is no size: expected for example `10MB`"),
        }
    }
}

fn body(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) {
    for (place, regex) in keys.texts("fail_if_body_matches_regexp", notes) {
        module.that.push((place, format!("!body.text.matches({})", pattern(&regex)).into()));
    }
    let mut wanted: Vec<Out> = Vec::new();
    for (place, regex) in keys.texts("fail_if_body_not_matches_regexp", notes) {
        match regex.parse::<Pattern>() {
            Ok(_) => wanted.push(regex.into()),
            Err(why) => notes.not_translated(&place, format!("no check has such a pattern: {why}")),
        }
    }
    if !wanted.is_empty() {
        module.expect.set("body_matches", one_or_many(wanted));
    }
    if let Some(cel) = keys.some_text("fail_if_body_json_matches_cel", notes) {
        let expression = format!("has(body.json) && !({})", our_cel(&cel));
        module.that.push((keys.place_of("fail_if_body_json_matches_cel"), expression.into()));
    }
    if let Some(cel) = keys.some_text("fail_if_body_json_not_matches_cel", notes) {
        module.that.push((keys.place_of("fail_if_body_json_not_matches_cel"), our_cel(&cel).into()));
    }
}

/// There, `body` is the body as JSON.
fn our_cel(cel: &str) -> String {
    let mut ours = String::new();
    let mut quote = None;
    let mut chars = cel.trim().char_indices().peekable();
    let mut before = ' ';
    while let Some((at, c)) = chars.next() {
        let word_begins = quote.is_none() && !(before.is_alphanumeric() || matches!(before, '_' | '.'));
        let rest = &cel.trim()[at..];
        let follows = rest.strip_prefix("body").map(|after| after.chars().next());
        match (quote, c) {
            (Some(_), '\\') => {
                ours.push(c);
                if let Some((_, escaped)) = chars.next() {
                    ours.push(escaped);
                }
                continue;
            }
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, 'b')
                if word_begins
                    && follows.is_some_and(|next| !next.is_some_and(|c| c.is_alphanumeric() || c == '_')) =>
            {
                ours.push_str("body.json");
                // The three letters that follow.
                chars.nth(2);
                before = 'y';
                continue;
            }
            _ => {}
        }
        ours.push(c);
        before = c;
    }
    ours
}

fn headers_expected(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) {
    let mut short = Fields::default();
    for (key, fails_if_it_matches) in [("fail_if_header_matches", true), ("fail_if_header_not_matches", false)] {
        for (place, node) in keys.list(key) {
            let of = Keys::of(node, place.clone(), notes);
            let (name, regex) = (of.some_text("header", notes), of.some_text("regexp", notes));
            let may_be_missing = of.flag("allow_missing", notes) == Some(true);
            of.finish(notes);
            let (Some(name), Some(regex)) = (name, regex) else {
                notes.not_translated(&place, "expected `header` and `regexp`");
                continue;
            };
            let value = header(&name);
            let lower = name.to_ascii_lowercase();
            let no = if fails_if_it_matches { "!" } else { "" };
            let matches = format!("{no}{value}.matches({})", pattern(&regex));
            if may_be_missing {
                module.that.push((place, format!("!has({value}) || {matches}").into()));
            } else if fails_if_it_matches || short.has(&lower) || regex.parse::<Pattern>().is_err() {
                module.that.push((place, matches.into()));
            } else {
                let mut wanted = Fields::default();
                wanted.set("matches", regex);
                short.set(&lower, wanted);
            }
        }
    }
    module.expect.set_map("header", short);
}

#[cfg(test)]
mod tests {
    use super::our_cel;

    #[test]
    fn the_body_of_their_expressions_is_our_body_as_json() {
        for (theirs, ours) in [
            ("body.status == 'ok'", "body.json.status == 'ok'"),
            ("body", "body.json"),
            (
                "size(body.items) > 0 && body[\"body\"] != 'body'",
                "size(body.json.items) > 0 && body.json[\"body\"] != 'body'",
            ),
            ("x.body == bodyguard || 'it\\'s body'", "x.body == bodyguard || 'it\\'s body'"),
            ("ä.body", "ä.body"),
        ] {
            assert_eq!(our_cel(theirs), ours);
        }
    }
}
