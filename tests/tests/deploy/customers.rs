//! Several customers on one server, and the company that reads them all.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::SOON;

use crate::attempts::Try::{Publish, Subscribe};
use crate::attempts::{refused, round_trip};
use crate::rig::{Attacker, Rig};

/// Where it is said that nothing more comes.
const LAST: &str = "mine.last";

const CUSTOMER: [&str; 2] = ["bastion:site-1", "operator:ops"];

fn rig() -> Rig {
    Rig::customers(&CUSTOMER, &CUSTOMER, &["company:watcher"])
}

/// What `from` publishes, of all that whoever may do everything in `to` can hear.
async fn crosses(from: &Attacker, to: &Attacker, subjects: &[&str]) -> Vec<String> {
    let mut all = to.client.subscribe(">").await.unwrap();
    // The subscription is in force, what is published is handled, and what it led to is there, one after the other.
    round_trip(to).await;
    for subject in subjects {
        from.client.publish((*subject).to_owned(), Bytes::from_static(b"crossed")).await.unwrap();
    }
    round_trip(from).await;
    to.client.publish(LAST, Bytes::new()).await.unwrap();
    let mut crossed = Vec::new();
    while let Some(message) = timeout(SOON, all.next()).await.unwrap() {
        match message.subject.as_str() {
            LAST => return crossed,
            subject if message.payload == "crossed" => crossed.push(subject.to_owned()),
            _ => {}
        }
    }
    panic!("the connection ended");
}

/// Whoever may do everything in his own account does nothing in another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_reaches_no_other_and_not_the_company() {
    let rig = rig();
    let (acme, globex, company) =
        (rig.client("acme/root").await, rig.client("globex/root").await, rig.client("company/root").await);
    const SUBJECTS: [&str; 16] = [
        "watchpost.site-1.result.web",
        "watchpost.site-1.verdict.web",
        "watchpost.site-1.event.web",
        "watchpost.site-1.heartbeat",
        "watchpost.site-1.task.http",
        "watchpost.site-1.control.check.put",
        "watchpost.site-1.control.bastion.drain",
        "watchpost.site-1.beat.job",
        "acme.site-1.result.web",
        "acme.site-1.control.bastion.drain",
        "globex.site-1.control.bastion.drain",
        "$KV.WATCHPOST_CHECKS.site-1.web",
        "_INBOX_site-1.x",
        "_INBOX.x",
        "$SRV.PING",
        "anything",
    ];
    for (from, to) in [(&globex, &acme), (&acme, &globex)] {
        let crossed = crosses(from, to, &SUBJECTS).await;
        assert!(crossed.is_empty(), "{crossed:?}");
    }
    // What the company hears of a customer stands under his name, whatever he calls himself.
    let heard = crosses(&globex, &company, &SUBJECTS).await;
    let expected = ["result.web", "verdict.web", "event.web", "heartbeat"].map(|what| format!("globex.site-1.{what}"));
    assert_eq!(heard, expected);
    // The company asks, and does nothing else in a customer's account.
    let mut asked = Vec::new();
    for subject in SUBJECTS.iter().chain(&["acme.site-1.task.http", "acme.site-1.control.task.cancel"]) {
        asked.extend(crosses(&company, &acme, &[subject]).await);
    }
    assert_eq!(asked, ["watchpost.site-1.control.bastion.drain", "watchpost.site-1.control.task.cancel"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_for_the_company_may_not_speak_for_customers() {
    let rig = rig();
    let mut wrong = Vec::new();
    for what in [
        Publish("acme.site-1.result.web"),
        Publish("acme.site-1.heartbeat"),
        Publish("acme.site-1.task.http"),
        Publish("watchpost.site-1.result.web"),
        Publish("$KV.WATCHPOST_CHECKS.site-1.web"),
        Publish("$JS.API.STREAM.PURGE.WATCHPOST_RESULTS"),
        Publish("$JS.API.STREAM.DELETE.WATCHPOST_RESULTS"),
        Publish("$SYS.REQ.SERVER.PING"),
        Publish("_INBOX_other.x"),
        Subscribe(">", "anything"),
        Subscribe("acme.>", "acme.site-1.control.check.put"),
        Subscribe("*.*.control.>", "acme.site-1.control.check.put"),
        Subscribe("$SYS.>", "$SYS.x"),
    ] {
        wrong.extend(refused(&rig, "company/", "watcher", what).await.err());
    }
    for what in [
        Publish("$JS.API.STREAM.DELETE.KV_WATCHPOST_CHECKS"),
        Publish("$SYS.REQ.SERVER.PING"),
        Publish("$SYS.REQ.ACCOUNT.ACME.CONNZ"),
        Subscribe("$SYS.>", "$SYS.x"),
        Subscribe(">", "anything"),
    ] {
        wrong.extend(refused(&rig, "globex/", "ops", what).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_company_reads_what_each_customers_bastion_says_and_asks_it() {
    let rig = rig();
    let target = HttpFixture::start("target").await.unwrap();
    // Both customers call their bastion and their check alike.
    let mut bastions = Vec::new();
    for (customer, path) in [("acme", "ok"), ("globex", "status/500")] {
        let (ops, bastion) = (format!("{customer}/ops"), format!("{customer}/site-1"));
        rig.run(&ops, &["bus", "setup"]).await.code(0);
        bastions.push(rig.start("bastion", &bastion, "bastion: site-1\n", &[]).await);
        let check = format!("id: web\nhttp: {{url: 'http://{}/{path}'}}\ninterval: 1s\n", target.address());
        rig.write("checks.yaml", &check);
        rig.run(&ops, &["checks", "apply", "-f", "checks.yaml", "--group", "site-1"]).await.code(0);
    }
    for customer in ["acme", "globex"] {
        rig.run("company/watcher", &["bus", "setup", "--prefix", customer]).await.code(0);
    }
    for (customer, outcome) in [("acme", "\"pass\""), ("globex", "\"fail\"")] {
        let query = ["results", "query", "--prefix", customer, "--check", "web", "-o", "ndjson"];
        let seen = rig.until("company/watcher", &query, |ran| ran.code == 0 && !ran.stdout.is_empty()).await;
        assert!(seen.stdout.lines().all(|line| line.contains(&format!("\"outcome\":{outcome}"))), "{seen:#?}");
        let own = rig.run(&format!("{customer}/ops"), &["results", "query", "-o", "ndjson"]).await.code(0);
        assert!(own.stdout.lines().all(|line| line.contains(&format!("\"outcome\":{outcome}"))), "{own:#?}");
        rig.run("company/watcher", &["bastions", "show", "site-1", "--prefix", customer]).await.code(0);
        let test = ["checks", "test", "-f", "adhoc.yaml", "--bastion", "site-1", "--prefix", customer];
        rig.write("adhoc.yaml", &format!("id: adhoc\nhttp: {{url: 'http://{}/ok'}}\n", target.address()));
        let tested = rig.run("company/watcher", &test).await.code(0);
        assert!(tested.stdout.contains("PASS"), "{tested:#?}");
    }
    for bastion in &bastions {
        assert!(!bastion.stderr().contains("forbid"), "{}", bastion.stderr());
        assert!(!bastion.stderr().contains("where none may go"), "{}", bastion.stderr());
    }
    assert!(rig.violations().is_empty(), "{:#?}", rig.violations());
}
