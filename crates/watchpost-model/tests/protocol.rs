//! `docs/protocol.md` and `docs/schemas/`, made from the types that are sent. `WATCHPOST_WRITE_DOCS=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "what cannot be read fails its test")]

mod written;

use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};
use watchpost_model::*;
use written::{holds, holds_file};

/// What is sent by itself: what it is called in the definitions, where it goes, and what it is.
struct Sent {
    name: String,
    on: String,
}

/// The definitions of every message, in one generator, so that each type is defined once.
fn messages() -> (Map<String, Value>, Vec<Sent>) {
    fn one<M: JsonSchema + Message>(generator: &mut SchemaGenerator, sent: &mut Vec<Sent>, on: &str) {
        generator.subschema_for::<M>();
        sent.push(Sent { name: M::schema_name().into_owned(), on: on.to_owned() });
    }
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut sent = Vec::new();
    let (g, s) = (&mut generator, &mut sent);
    one::<Task>(g, s, "`{p}.{b}.task.{type}`");
    one::<TaskResult>(g, s, "`{p}.{b}.result.{check}`");
    one::<RunVerdict>(g, s, "`{p}.{b}.verdict.{check}`");
    one::<CheckEvent>(g, s, "`{p}.{b}.event.{check}`");
    one::<Heartbeat>(g, s, "`{p}.{b}.heartbeat`, and the reply to `bastion.status`");
    one::<Beat>(g, s, "`{p}.{b}.beat.{check}`");
    one::<BeatTaken>(g, s, "the reply to a beat");
    one::<PutCheck>(g, s, "`check.put`");
    one::<CheckStored>(g, s, "the reply to `check.put`, `check.delete`, `check.pause` and `check.resume`");
    one::<GetCheck>(g, s, "`check.get`");
    one::<CheckShown>(g, s, "the reply to `check.get`");
    one::<ListChecks>(g, s, "`check.list`");
    one::<CheckList>(g, s, "the reply to `check.list`");
    one::<DeleteCheck>(g, s, "`check.delete`");
    one::<PauseCheck>(g, s, "`check.pause` and `check.resume`");
    one::<TestCheck>(g, s, "`check.test`");
    one::<TestReport>(g, s, "the replies to `check.test`");
    one::<AskLast>(g, s, "`result.last`");
    one::<LastResults>(g, s, "the reply to `result.last`");
    one::<CancelTasks>(g, s, "`task.cancel`");
    one::<TasksCancelled>(g, s, "the reply to `task.cancel`, where one is asked for");
    one::<TestPolicy>(g, s, "`policy.test`");
    one::<PolicyTested>(g, s, "the reply to `policy.test`");
    one::<ResizePool>(g, s, "`pool.resize`");
    one::<PoolResized>(g, s, "the reply to `pool.resize`");
    one::<AskStatus>(g, s, "`bastion.status`");
    one::<Drain>(g, s, "`bastion.drain` and `bastion.undrain`");
    one::<Drained>(g, s, "the reply to `bastion.drain` and `bastion.undrain`");
    one::<SetLogLevel>(g, s, "`bastion.log_level`");
    one::<LogLevelSet>(g, s, "the reply to `bastion.log_level`");
    one::<ErrorReply>(g, s, "the reply to anything that could not be acted on");
    (generator.take_definitions(true), sent)
}

/// What of a check is on the pages of the check types, and not repeated here.
fn is_told_elsewhere(definition: &str) -> bool {
    ["CheckDocument", "ProbeSettings", "Expect", "TypeEvidence"].contains(&definition)
}

/// A description as one line of a table.
fn line(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    // Links between items of the code lead nowhere on a page.
    let plain = text.replace("[`", "`").replace("`]", "`");
    plain.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// What a value may be, in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return format!("`{name}`");
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            let kinds = choices.iter().filter(|choice| choice["type"] != "null").map(kind);
            return kinds.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(only) = schema["allOf"].as_array().and_then(|all| all.first()) {
        return kind(only);
    }
    let named = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).find(|t| *t != "null").unwrap_or("any").to_owned()
        }
        _ => "any".to_owned(),
    };
    match named.as_str() {
        "string" => "text".to_owned(),
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema.get("additionalProperties").is_some_and(Value::is_object) => {
            format!("map to {}", kind(&schema["additionalProperties"]))
        }
        "object" => "map".to_owned(),
        other => other.to_owned(),
    }
}

/// The fields of a definition, or the words that it may be.
fn fields(definition: &Value) -> Option<String> {
    let mut table = String::new();
    if let Some(properties) = definition["properties"].as_object() {
        let required: BTreeSet<&str> =
            definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        writeln!(table, "| field | what it is | |\n|---|---|---|").unwrap();
        for (name, schema) in properties {
            let must = if required.contains(name.as_str()) { "" } else { "; may be absent" };
            writeln!(table, "| `{name}` | {}{must} | {} |", kind(schema), line(schema)).unwrap();
        }
        return Some(table);
    }
    let choices = definition["oneOf"].as_array()?;
    if choices.iter().any(|choice| choice.get("const").is_none()) {
        return None;
    }
    writeln!(table, "| value | what it means |\n|---|---|").unwrap();
    for choice in choices {
        writeln!(table, "| `{}` | {} |", choice["const"].as_str().unwrap_or_default(), line(choice)).unwrap();
    }
    Some(table)
}

/// Every definition that a definition names, but for those that have pages of their own.
fn named_in(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            names.extend(referred(schema).filter(|name| !is_told_elsewhere(name)).map(str::to_owned));
            map.values().for_each(|inner| named_in(inner, names));
        }
        Value::Array(list) => list.iter().for_each(|inner| named_in(inner, names)),
        _ => {}
    }
}

/// One test for the whole page, since two that write it at once would undo each other's work.
#[test]
fn the_page_on_the_protocol_lists_every_verb_error_message_and_field() {
    let (definitions, sent) = messages();
    holds("protocol.md", "verbs", &verbs());
    holds("protocol.md", "errors", &fields(&definitions["ErrorCode"]).unwrap());
    holds("protocol.md", "messages", &described(&definitions, &sent));
}

/// Every message, and what messages are made of.
fn described(definitions: &Map<String, Value>, sent: &[Sent]) -> String {
    let mut text = String::new();
    let mut parts = BTreeSet::new();
    for Sent { name, on } in sent {
        let definition = &definitions[name];
        named_in(definition, &mut parts);
        let table = fields(definition).unwrap_or_else(|| panic!("{name} has no fields"));
        writeln!(text, "### {name}\n\nOn {on}. {}\n\n{table}", line(definition)).unwrap();
    }
    // What the parts are made of, and so on.
    loop {
        let known = parts.clone();
        known.iter().for_each(|name| named_in(&definitions[name], &mut parts));
        if parts == known {
            break;
        }
    }
    let mut rest = String::new();
    for name in parts.iter().filter(|name| !sent.iter().any(|message| message.name == **name)) {
        let definition = &definitions[name];
        match fields(definition) {
            Some(table) => writeln!(text, "### {name}\n\n{}\n\n{table}", line(definition)).unwrap(),
            None => writeln!(rest, "| `{name}` | {} | {} |", kind(definition), line(definition)).unwrap(),
        }
    }
    writeln!(text, "### Texts and numbers with a form of their own\n\n| type | what it is | |\n|---|---|---|\n{rest}")
        .unwrap();
    text
}

fn verbs() -> String {
    let mut text = String::from("| verb | request | reply | answered by | |\n|---|---|---|---|---|\n");
    let schema = serde_json::to_value(schemars::schema_for!(Verb)).unwrap();
    for verb in Verb::ALL {
        let told = schema["oneOf"].as_array().unwrap().iter().find(|choice| choice["const"] == verb.as_str()).unwrap();
        let title =
            |schema: schemars::Schema| serde_json::to_value(schema).unwrap()["title"].as_str().unwrap().to_owned();
        let by = match verb.answered_by() {
            AnsweredBy::Checker => "the Checker",
            AnsweredBy::Runners => "each Runner",
            AnsweredBy::Everyone => "each process",
        };
        let (request, reply) = (title(verb.request_schema()), title(verb.reply_schema()));
        writeln!(text, "| `{verb}` | `{request}` | `{reply}` | {by} | {} |", line(told)).unwrap();
    }
    text
}

/// One file with the definitions of all messages: a check is part of several.
#[test]
fn the_schemas_are_those_of_the_types() {
    let (definitions, sent) = messages();
    let choices: Vec<Value> =
        sent.iter().map(|message| serde_json::json!({ "$ref": format!("#/$defs/{}", message.name) })).collect();
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages of Watchpost",
        "description": "Each message that is sent over the bus; `$defs` has each by its name in docs/protocol.md.",
        "anyOf": choices,
        "$defs": definitions,
    });
    holds_file("schemas/messages.json", &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    let mut check = schemars::schema_for!(CheckDocument);
    check.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    holds_file("schemas/check.json", &format!("{}\n", serde_json::to_string_pretty(&check).unwrap()));
}
