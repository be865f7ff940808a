//! Trying something, and looking whether anything came of it.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use watchpost_tests::process::SOON;

use crate::rig::{Attacker, ROOT, Rig};

/// What a forged message holds, so that it is known where it arrives.
const MARK: &str = "forged";

/// What somebody tries.
#[derive(Debug, Clone, Copy)]
pub enum Try {
    /// To publish this.
    Publish(&'static str),
    /// To subscribe to the first, on which somebody else publishes the second.
    Subscribe(&'static str, &'static str),
    /// The same, as one of a queue group.
    Queue(&'static str, &'static str, &'static str),
}

/// Whether it was refused: the server said so, and nothing arrived.
pub async fn refused(rig: &Rig, account: &str, user: &str, what: Try) -> Result<(), String> {
    let (told, arrived) = attempt(rig, account, user, what).await;
    let subject = match what {
        Try::Publish(subject) | Try::Subscribe(subject, _) | Try::Queue(subject, ..) => subject,
    };
    let named =
        told.iter().any(|told| told.contains("Permissions Violation") && told.contains(&format!("\"{subject}\"")));
    match (named, arrived) {
        (true, false) => Ok(()),
        (named, arrived) => Err(format!("{user} {what:?}: refused: {named} ({told:?}), arrived: {arrived}")),
    }
}

/// Whether it was permitted: the server said nothing, and it arrived.
pub async fn permitted(rig: &Rig, account: &str, user: &str, what: Try) -> Result<(), String> {
    let (told, arrived) = attempt(rig, account, user, what).await;
    match (told.is_empty(), arrived) {
        (true, true) => Ok(()),
        _ => Err(format!("{user} {what:?}: complaints: {told:?}, arrived: {arrived}")),
    }
}

/// What the server complained of, and whether anything arrived.
async fn attempt(rig: &Rig, account: &str, user: &str, what: Try) -> (Vec<String>, bool) {
    let root = rig.client(&format!("{account}{ROOT}")).await;
    let mut client = rig.client(&format!("{account}{user}")).await;
    let arrived = match what {
        Try::Publish(subject) => published(&root, &client, subject).await,
        Try::Subscribe(filter, subject) => {
            let heard = client.client.subscribe(filter).await.unwrap();
            heard_of(&root, &client, heard, subject).await
        }
        Try::Queue(filter, group, subject) => {
            let heard = client.client.queue_subscribe(filter, group.to_owned()).await.unwrap();
            heard_of(&root, &client, heard, subject).await
        }
    };
    // The complaint came before the round trip was over, but through a task of the library's.
    let mut told = Vec::new();
    let patience = if arrived { Duration::from_millis(100) } else { SOON };
    while let Ok(Some(complaint)) = timeout(patience, client.complaints.recv()).await {
        // `jobs` may not publish to its own inbox, as others do to say that they are done.
        if !complaint.contains(&format!("\"{}.end\"", client.inbox)) {
            told.push(complaint);
        }
        if client.complaints.is_empty() && !told.is_empty() {
            break;
        }
    }
    (told, arrived)
}

/// Publishes, and then where it may: what did not arrive by then never will.
async fn published(root: &Attacker, client: &Attacker, subject: &str) -> bool {
    let mut all = root.client.subscribe(">").await.unwrap();
    round_trip(root).await;
    let end = format!("{}.end", client.inbox);
    client.client.publish(subject.to_owned(), Bytes::from_static(MARK.as_bytes())).await.unwrap();
    client.client.publish(end.clone(), Bytes::new()).await.unwrap();
    let mut arrived = false;
    // `jobs` may publish beats alone: then the server's complaint is all there is to wait for.
    while let Ok(Some(message)) = timeout(Duration::from_secs(2), all.next()).await {
        arrived |= *message.subject == *subject && message.payload == MARK;
        if *message.subject == *end {
            break;
        }
    }
    arrived
}

/// Has somebody publish, and then where the client may hear: what it did not hear by then it never will.
async fn heard_of(root: &Attacker, client: &Attacker, mut heard: Subscriber, subject: &str) -> bool {
    let end = format!("{}.end", client.inbox);
    let mut inbox = client.client.subscribe(end.clone()).await.unwrap();
    // Nobody may publish to the inbox of another but whoever may do everything; `root` says when all is in force.
    let in_force = async {
        loop {
            root.client.publish(end.clone(), Bytes::new()).await.unwrap();
            if timeout(Duration::from_millis(50), inbox.next()).await.is_ok() {
                return;
            }
        }
    };
    timeout(SOON, in_force).await.expect("the client hears on its own inbox");
    root.client.publish(subject.to_owned(), Bytes::from_static(MARK.as_bytes())).await.unwrap();
    root.client.publish(end, Bytes::from_static(b"last")).await.unwrap();
    loop {
        let next = timeout(SOON, inbox.next()).await.expect("the client hears on its own inbox").unwrap();
        if next.payload == "last" {
            break;
        }
    }
    // What came before it on this connection is in its queue by now.
    matches!(timeout(Duration::ZERO, heard.next()).await, Ok(Some(message)) if message.payload == MARK)
}

/// Returns once the server has handled what was sent before.
pub async fn round_trip(client: &Attacker) {
    let inbox = client.client.new_inbox();
    let mut echo = client.client.subscribe(inbox.clone()).await.unwrap();
    client.client.publish(inbox, Bytes::new()).await.unwrap();
    timeout(SOON, echo.next()).await.unwrap().unwrap();
}
