//! The `dns` prober.

use super::Module;
use super::network;
use crate::keys::Keys;
use crate::notes::Notes;
use crate::out::{Fields, Out, one_or_many};
use crate::written::pattern;

pub(super) fn translate(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) -> bool {
    let Some(name) = keys.some_text("query_name", notes) else {
        notes.not_translated(&keys.place, "there is no `query_name`, so that there is nothing to ask for");
        return false;
    };
    let settings = &mut module.settings;
    settings.set("name", name);
    let record_type = keys.some_text("query_type", notes).unwrap_or_else(|| "ANY".to_owned());
    settings.set("type", record_type.to_ascii_uppercase());
    if keys.some_text("query_class", notes).is_some_and(|class| class != "IN") {
        notes.not_translated(
            &keys.place_of("query_class"),
            "questions are of the class IN: there is no check without it",
        );
        return false;
    }
    let over_tls = keys.flag("dns_over_tls", notes) == Some(true);
    let transport = keys.some_text("transport_protocol", notes);
    match (over_tls, transport.as_deref()) {
        (true, _) => settings.set("transport", "tls"),
        (false, Some("tcp")) => settings.set("transport", "tcp"),
        (false, None | Some("udp")) => {}
        (false, Some(_)) => {
            notes.not_translated(&keys.place_of("transport_protocol"), "expected `udp` or `tcp`: it is `udp` here");
        }
    }
    let place = keys.place_of("tls_config");
    let (tls, only_13) = network::tls(&keys.map("tls_config", notes), notes);
    if over_tls {
        settings.set_map("tls", tls);
        if only_13 {
            module.that.push((place, "tls.version == \"TLSv1.3\"".into()));
        }
    }
    if keys.flag("recursion_desired", notes) == Some(false) {
        settings.set("recursion_desired", false);
    }
    settings.set_map("route", network::route(keys, notes));
    expect(keys, module, &record_type, notes);
    true
}

fn expect(keys: &Keys<'_>, module: &mut Module, record_type: &str, notes: &mut Notes) {
    let mut expect = Fields::default();
    let codes: Vec<Out> =
        keys.texts("valid_rcodes", notes).into_iter().map(|(_, code)| code.to_ascii_lowercase().into()).collect();
    if !codes.is_empty() {
        expect.set("rcode", one_or_many(codes));
    }
    // There, an answer need not have a record.
    let mut none_needed = Fields::default();
    none_needed.set("min_count", 0_u64);
    expect.set("answers", none_needed);
    module.settings.set("expect", expect);
    for (key, section) in [("validate_answer_rrs", "answers"), ("validate_authority_rrs", "authority")] {
        if record_type.eq_ignore_ascii_case("TXT") && keys.says(key) {
            let why = "the texts of TXT records stand without quotes here: look whether the patterns have some";
            notes.changed(&keys.place_of(key), why);
        }
        records(&keys.map(key, notes), section, module, notes);
    }
    let why = "the additional section is counted (`additional_count`), and its records are not looked at";
    keys.leave("validate_additional_rrs", why, notes);
}

/// What the records of a section must be. There, patterns see a record as a line of a zone file.
fn records(keys: &Keys<'_>, section: &str, module: &mut Module, notes: &mut Notes) {
    const LINE: &str = r#"(r.name + "\t" + string(r.ttl) + "\tIN\t" + r.type + "\t" + r.data)"#;
    let matches = |regex: &str| format!("{LINE}.matches({})", pattern(regex));
    for (place, regex) in keys.texts("fail_if_matches_regexp", notes) {
        module.that.push((place, format!("!{section}.exists(r, {})", matches(&regex)).into()));
    }
    for (place, regex) in keys.texts("fail_if_not_matches_regexp", notes) {
        let all = format!("{section}.size() > 0 && {section}.all(r, {})", matches(&regex));
        module.that.push((place, all.into()));
    }
    // Those of one list stand together: all of them, or one of them, decide.
    for (key, form) in [("fail_if_all_match_regexp", "!all"), ("fail_if_none_matches_regexp", "exists")] {
        let each: Vec<String> = keys.texts(key, notes).iter().map(|(_, regex)| matches(regex)).collect();
        if each.is_empty() {
            continue;
        }
        let expression = match form {
            "exists" => format!("{section}.exists(r, {})", each.join(" || ")),
            _ => format!("!{section}.all(r, {})", each.join(" && ")),
        };
        module.that.push((keys.place_of(key), expression.into()));
    }
    keys.finish(notes);
}
