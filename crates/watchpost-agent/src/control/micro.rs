//! The protocol by which clients of NATS find services and ask how they do (ADR-32 of NATS): so `nats micro ls` shows
//! bastions, and `nats micro info` what can be asked of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use watchpost_bus::{BusError, Headers, Outgoing, Subscription};
use watchpost_model::{Timestamp, Verb, header};

use super::ControlContext;
use super::service::subscribed;
use crate::replies;

/// What the service is called.
const NAME: &str = "watchpost";
const DESCRIPTION: &str = "A Watchpost bastion: runs health checks from inside of a network";

/// What every answer begins with.
#[derive(Serialize)]
struct Identity {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    id: String,
    version: &'static str,
    metadata: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Info {
    #[serde(flatten)]
    identity: Identity,
    description: &'static str,
    endpoints: Vec<EndpointInfo>,
}

#[derive(Serialize)]
struct EndpointInfo {
    #[serde(flatten)]
    endpoint: Endpoint,
    metadata: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Stats {
    #[serde(flatten)]
    identity: Identity,
    started: Timestamp,
    endpoints: Vec<EndpointStats>,
}

#[derive(Serialize)]
struct EndpointStats {
    #[serde(flatten)]
    endpoint: Endpoint,
    num_requests: u64,
    num_errors: u64,
    last_error: String,
    /// Both in ns.
    processing_time: u64,
    average_processing_time: u64,
    /// There is nothing more to say; some clients want to be told.
    data: Option<()>,
}

#[derive(Serialize)]
struct Endpoint {
    name: String,
    subject: String,
    /// Empty: every process that answers a verb answers each request.
    queue_group: &'static str,
}

/// How much is told of what requests and replies look like.
#[derive(Clone, Copy)]
enum Schemas {
    Full,
    /// Without descriptions.
    Bare,
    None,
}

/// What is subscribed to.
pub(super) fn filters(cx: &ControlContext) -> [String; 3] {
    let id = cx.looked.instance;
    ["$SRV.*".to_owned(), format!("$SRV.*.{NAME}"), format!("$SRV.*.{NAME}.{id}")]
}

/// Answers whoever looks for services, until the process stops or the bus is closed.
pub(super) async fn serve(cx: Arc<ControlContext>, filter: String, subscription: Option<Subscription>) {
    let Some(mut requests) = subscribed(&cx, &filter, subscription).await else { return };
    let mut stopping = cx.stopping.subscribe();
    loop {
        let message = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            message = requests.next() => message,
        };
        let Some(message) = message else { return };
        if replies::may_answer(&cx.looked.stats, &*cx.looked.clock, &message).is_err() {
            continue;
        }
        let (Some(to), Some(asked)) = (message.reply, message.subject.split('.').nth(1)) else { continue };
        // Where the bus carries less than there is to say, less is said.
        for schemas in [Schemas::Full, Schemas::Bare, Schemas::None] {
            let Some(payload) = answer(&cx, asked, schemas) else { break };
            let headers = Headers::new().with(header::CONTENT_TYPE, "application/json");
            match cx.looked.bus.publish(Outgoing::new(to.as_str(), payload).headers(headers)).await {
                Err(BusError::TooLarge { .. }) => {}
                Err(error) => {
                    tracing::debug!(%error, "whoever looks for services was not answered");
                    break;
                }
                Ok(()) => break,
            }
        }
    }
}

/// `None` of what nobody can ask.
fn answer(cx: &ControlContext, asked: &str, schemas: Schemas) -> Option<Vec<u8>> {
    let written = match asked {
        "PING" => serde_json::to_vec(&identity(cx, "io.nats.micro.v1.ping_response")),
        "INFO" => serde_json::to_vec(&Info {
            identity: identity(cx, "io.nats.micro.v1.info_response"),
            description: DESCRIPTION,
            endpoints: cx.verbs.iter().map(|verb| info(cx, *verb, schemas)).collect(),
        }),
        "STATS" => serde_json::to_vec(&Stats {
            identity: identity(cx, "io.nats.micro.v1.stats_response"),
            started: cx.looked.started_at,
            endpoints: cx.verbs.iter().map(|verb| stats(cx, *verb)).collect(),
        }),
        _ => return None,
    };
    written.ok()
}

fn identity(cx: &ControlContext, kind: &'static str) -> Identity {
    let (bastion, runner) = cx.looked.names();
    let mut metadata =
        BTreeMap::from([("bastion", bastion.to_string()), ("prefix", cx.looked.settings.prefix.to_string())]);
    metadata.extend(runner.map(|runner| ("runner", runner.to_string())));
    let id = cx.looked.instance.to_string();
    Identity { kind, name: NAME, id, version: env!("CARGO_PKG_VERSION"), metadata }
}

fn endpoint(cx: &ControlContext, verb: Verb) -> Endpoint {
    // Its name has no dots.
    Endpoint { name: verb.as_str().replace('.', "-"), subject: cx.subjects.control(verb), queue_group: "" }
}

fn info(cx: &ControlContext, verb: Verb, schemas: Schemas) -> EndpointInfo {
    let mut metadata = BTreeMap::from([("verb", verb.to_string())]);
    let written = match schemas {
        Schemas::Full => Some(all_schemas(false)),
        Schemas::Bare => Some(all_schemas(true)),
        Schemas::None => None,
    };
    if let Some((request, reply)) = written.and_then(|written| written.get(&verb)) {
        metadata.extend([("request_schema", request.clone()), ("response_schema", reply.clone())]);
    }
    EndpointInfo { endpoint: endpoint(cx, verb), metadata }
}

fn stats(cx: &ControlContext, verb: Verb) -> EndpointStats {
    let counted = cx.tally.of(verb);
    let ns = |took: std::time::Duration| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let each = counted.took.checked_div(u32::try_from(counted.requests).unwrap_or(u32::MAX));
    EndpointStats {
        endpoint: endpoint(cx, verb),
        num_requests: counted.requests,
        num_errors: counted.errors,
        last_error: counted.last_error,
        processing_time: ns(counted.took),
        average_processing_time: ns(each.unwrap_or_default()),
        data: None,
    }
}

type Written = BTreeMap<Verb, (String, String)>;

/// The JSON Schemas of requests and replies. They are the same for the life of the program, and large.
fn all_schemas(bare: bool) -> &'static Written {
    static FULL: OnceLock<Written> = OnceLock::new();
    static BARE: OnceLock<Written> = OnceLock::new();
    let write = |schema| {
        let mut schema = serde_json::to_value(schema).unwrap_or_default();
        if bare {
            strip(&mut schema);
        }
        schema.to_string()
    };
    let all = || Verb::ALL.into_iter().map(|v| (v, (write(v.request_schema()), write(v.reply_schema())))).collect();
    if bare { BARE.get_or_init(all) } else { FULL.get_or_init(all) }
}

/// Takes out what only people read. A key of that name whose value is no text is a property of what is described.
fn strip(schema: &mut serde_json::Value) {
    match schema {
        serde_json::Value::Object(object) => {
            object.retain(|key, value| key != "description" || !value.is_string());
            object.values_mut().for_each(strip);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}
