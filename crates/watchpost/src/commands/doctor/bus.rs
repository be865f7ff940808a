//! The bus: whether it is reached, and whether its server lets the role do what it has to.
//!
//! What is tried harms nobody: subscriptions end at once, and messages go to subjects of a check and a check type that do
//! not exist, empty, with a header by which no stream takes them.

use std::time::{Duration, Instant};

use watchpost_agent::Roles;
use watchpost_bus::{Bus, BusError, Headers, KvError, NatsBus, NatsOptions, Outgoing};
use watchpost_model::{Subjects, Verb};

use super::{Finding, Prospect};

/// How long each thing may take.
const LIMIT: Duration = Duration::from_secs(5);
/// What stands for a check, and for a type of checks, that nobody has.
const NOBODYS: &str = "watchpost-doctor";
/// No stream is called so, so none takes a message that expects it.
const EXPECTED_STREAM: (&str, &str) = ("Nats-Expected-Stream", "watchpost-doctor");
const ADVICE: &str = "the bus server's permissions of this user do not fit the role: see deploy/nats/roles";

pub(super) async fn examine(roles: Roles, prospect: &Prospect) -> Vec<Finding> {
    let Some(options) = &prospect.options else {
        return vec![Finding::ok("bus", "none is named, so nothing was tried: name one by --bus, or `bus.servers`")];
    };
    let mut findings: Vec<_> = options.credentials.is_none().then(unknown_to_the_bus).into_iter().collect();
    let bus = match connected(options).await {
        Ok((bus, round_trip)) => {
            let found = format!("{} reached, a round trip takes {round_trip:?}", shown(options));
            findings.push(Finding::ok("bus", found));
            bus
        }
        Err(error) => {
            let advice = "see its address, our credentials, and what lies between";
            findings.push(Finding::fault("bus", error.to_string(), advice));
            return findings;
        }
    };
    for (filter, queue) in subscriptions(roles, prospect) {
        findings.push(finding("subscribe", &filter, subscribe(&bus, &filter, queue).await));
    }
    for subject in publications(roles, prospect) {
        findings.push(finding("publish", &subject, publish(&bus, &subject).await));
    }
    if roles != Roles::Runner {
        findings.extend(store(&bus, prospect).await);
    }
    // Nothing of it is of use to anybody.
    bus.drain(LIMIT).await.ok();
    findings
}

fn unknown_to_the_bus() -> Finding {
    Finding::doubt(
        "bus",
        "no credentials are named",
        "unless the server's URL has them, it cannot tell us from others: see `bus.credentials_file` and its kin",
    )
}

fn shown(options: &NatsOptions) -> String {
    let all: Vec<_> = options.servers.iter().map(|server| watchpost_bus::without_secrets(server)).collect();
    all.join(", ")
}

async fn connected(options: &NatsOptions) -> Result<(NatsBus, Duration), BusError> {
    let bus = NatsBus::connect(options.clone()).await?;
    let started = Instant::now();
    bus.flush(LIMIT).await?;
    Ok((bus, started.elapsed()))
}

/// What the role listens to, and in which group.
fn subscriptions(roles: Roles, prospect: &Prospect) -> Vec<(String, Option<&'static str>)> {
    let subjects = Subjects::new(&prospect.settings.prefix, &prospect.settings.bastion);
    // Of a type that does not exist: with others of the group we would take tasks from them.
    let tasks = (format!("{}.{}.task.{NOBODYS}", prospect.settings.prefix, prospect.settings.bastion), Some("runners"));
    let results = (subjects.results(), None);
    let controls = (subjects.controls(), None);
    let cancels = (subjects.control(Verb::TaskCancel), None);
    match roles {
        Roles::Both => vec![tasks, results, controls],
        Roles::Checker => vec![results, controls],
        Roles::Runner => vec![tasks, cancels],
    }
}

/// What the role has to say.
fn publications(roles: Roles, prospect: &Prospect) -> Vec<String> {
    let base = format!("{}.{}", prospect.settings.prefix, prospect.settings.bastion);
    let of_everybody = ["heartbeat".to_owned(), format!("result.{NOBODYS}")];
    let of_checkers = ["event", "verdict", "task"].map(|kind| format!("{kind}.{NOBODYS}"));
    let all = of_everybody.into_iter().chain(of_checkers.into_iter().filter(|_| roles != Roles::Runner));
    all.map(|rest| format!("{base}.{rest}")).collect()
}

async fn subscribe(bus: &NatsBus, filter: &str, queue: Option<&str>) -> Result<(), BusError> {
    let mut subscription = bus.subscribe(filter, queue).await?;
    subscription.unsubscribe().await;
    Ok(())
}

async fn publish(bus: &NatsBus, subject: &str) -> Result<(), BusError> {
    let mut refusals = bus.refusals();
    let headers = Headers::new().with(EXPECTED_STREAM.0, EXPECTED_STREAM.1);
    bus.publish(Outgoing::new(subject, bytes::Bytes::new()).headers(headers)).await?;
    // A refusal comes before the answer to the first, and has been heard of by the second.
    bus.flush(LIMIT).await?;
    bus.flush(LIMIT).await?;
    tokio::select! {
        biased;
        () = refusals.of_publish(subject) => Err(BusError::Forbidden { what: format!("publish to {subject}") }),
        () = std::future::ready(()) => Ok(()),
    }
}

fn finding(what: &str, subject: &str, tried: Result<(), BusError>) -> Finding {
    let what = format!("may {what}");
    match tried {
        Ok(()) => Finding::ok(what, subject),
        Err(BusError::Forbidden { .. }) => Finding::fault(what, format!("not to {subject}"), ADVICE),
        Err(error) => Finding::fault(what, error.to_string(), "try again once the bus is calm"),
    }
}

/// Whether the checks of our groups can be followed.
async fn store(bus: &NatsBus, prospect: &Prospect) -> Option<Finding> {
    const WHAT: &str = "store of checks";
    let store = prospect.settings.store.as_ref()?;
    let name = store.bucket.as_ref()?;
    let bucket = bus.key_value(name);
    let own = format!("{}.>", prospect.settings.bastion);
    let filters: Vec<_> = std::iter::once(own).chain(store.groups.iter().map(|group| format!("{group}.>"))).collect();
    let followed = async {
        bucket.identity().await?;
        bucket.watch(&filters).await.map(drop)
    };
    Some(match tokio::time::timeout(LIMIT, followed).await {
        Ok(Ok(())) => Finding::ok(WHAT, format!("{name}, the checks of {} groups can be followed", filters.len())),
        Ok(Err(error @ KvError::NoBucket { .. })) => {
            Finding::fault(WHAT, error.to_string(), "`watchpost bus setup` makes it, by whoever may")
        }
        Ok(Err(error @ KvError::Forbidden { .. })) => Finding::fault(WHAT, error.to_string(), ADVICE),
        Ok(Err(error)) => Finding::fault(WHAT, error.to_string(), "without it only the checks of the file are run"),
        Err(_) => Finding::fault(WHAT, format!("no answer within {LIMIT:?}"), ADVICE),
    })
}
