//! Whoever may write to the bucket, and signs nothing.

use std::time::Duration;

use serde_json::json;
use watchpost_bus::{Bus, BusError};
use watchpost_model::{CheckDocument, CheckEventKind, Format, Heartbeat, RefusalCode, decode};
use watchpost_tests::process::SOON;
use watchpost_trust::Signer;

use crate::rig::{Rig, now, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_signed_for_this_key_by_somebody_trusted_comes_into_force() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let _bastion = rig.bastion("", "").await;
    let led_astray = |id: &str| rig.check_of(id, &rig.victim, "");
    let thief = Signer::generate().unwrap();
    // Each of these leads to the victim.
    let of_other_address = CheckDocument { tcp: led_astray("c").tcp, ..rig.signed(rig.check("c"), "site", 1) };
    let of_other_id = CheckDocument { id: "d".parse().unwrap(), ..rig.signed(led_astray("x"), "site", 1) };
    let of_other_group = rig.signed(led_astray("e"), "elsewhere", 1);
    let mut of_other_revision = rig.signed(led_astray("g"), "site", 1);
    of_other_revision.signature.as_mut().unwrap().revision = 2;
    let mut of_other_time = rig.signed(led_astray("h"), "site", 1);
    of_other_time.signature.as_mut().unwrap().at = "2001-01-01T00:00:00Z".parse().unwrap();
    let mut in_anothers_name = rig.signed_by(&thief, led_astray("i"), "site", 1);
    in_anothers_name.signature.as_mut().unwrap().by = rig.signer.key().clone();
    let mut relabelled = rig.signed(led_astray("j"), "elsewhere", 1);
    relabelled.signature.as_mut().unwrap().group = "site".parse().unwrap();
    let paused =
        CheckDocument { paused: false, ..rig.signed(CheckDocument { paused: true, ..led_astray("k") }, "site", 1) };
    for (key, document, code, part) in [
        ("site.a", led_astray("a"), RefusalCode::NotSigned, "is not signed"),
        ("site.b", rig.signed_by(&thief, led_astray("b"), "site", 1), RefusalCode::SignatureInvalid, "not among"),
        ("site.c", of_other_address, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.d", of_other_id, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.e", of_other_group, RefusalCode::SignatureInvalid, "a signature is for one group"),
        ("eu.f", rig.signed(led_astray("f"), "site", 1), RefusalCode::SignatureInvalid, "a signature is for one group"),
        ("site.g", of_other_revision, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.h", of_other_time, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.i", in_anothers_name, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.j", relabelled, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.k", paused, RefusalCode::SignatureInvalid, "not over what the check says"),
        ("site.l", rig.signed(led_astray("m"), "site", 1), RefusalCode::WrongKey, "expected the same id"),
    ] {
        rig.put(key, &document).await;
        let check = key.split_once('.').unwrap().1;
        let event = events.until(CheckEventKind::CheckRefused, check).await;
        let refusal = event.refusal.unwrap();
        assert_eq!(refusal.code, code, "{key}: {refusal:?}");
        assert!(refusal.message.contains(part), "{key}: {refusal:?}");
        let line = rig.until_audited("bastion", "check_changed", |line| line["check"] == check).await;
        assert_eq!((&line["change"], &line["why"]), (&json!("refused"), &json!(refusal.message)), "{line}");
    }
    for (group, id) in [("site", "good"), ("eu", "fine")] {
        rig.put(&format!("{group}.{id}"), &rig.signed(rig.check(id), group, 1)).await;
        events.until(CheckEventKind::CheckApplied, id).await;
        assert_eq!(told(&rig.result_of(id).await), "pass");
    }
    assert!(rig.target.counts().accepted() > 0);
    assert_eq!(rig.victim.counts().accepted(), 0, "somebody was led astray");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_own_checks_need_no_signature_and_lend_theirs_to_nobody() {
    let rig = Rig::start().await;
    let own = format!("checks:\n- {{id: own, tcp: {{address: '{}'}}, interval: 1s}}\n", rig.target.address());
    let _bastion = rig.bastion("", &own).await;
    assert_eq!(told(&rig.result_of("own").await), "pass");
    // The file's checks outrank the store's, signed or not.
    let mut events = rig.events().await;
    rig.put("site.own", &rig.signed(rig.check_of("own", &rig.victim, ""), "site", 1)).await;
    let refused = events.until(CheckEventKind::CheckRefused, "own").await;
    assert_eq!(refused.refusal.unwrap().code, RefusalCode::Duplicate);
    // A task of it that its own Checker did not send.
    let payload = rig.task_of("own").await;
    let mut task: watchpost_model::Task = decode(&payload, Format::MsgPack).unwrap();
    task.endpoint = watchpost_model::Endpoint::at(rig.victim.address());
    task.task = watchpost_model::TaskId::derive(task.run, "elsewhere", 1);
    assert_eq!(told(&rig.inject(&task).await), "cancelled/not_signed");
    assert_eq!(rig.victim.counts().accepted(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_of_a_source_are_refused_unless_they_are_accepted() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let file = rig.server.folder().join("targets.json");
    std::fs::write(&file, json!([{"targets": [rig.target.address().to_string()]}]).to_string()).unwrap();
    let json = json!({
        "id": "many", "tcp": {"address": "{{target.address}}"}, "interval": "1s",
        "targets": {"file": {"files": [file.display().to_string()]}, "refresh": "1s"},
    });
    let found: CheckDocument = serde_json::from_value(json).unwrap();
    let mut bastion = rig.bastion("", "").await;
    rig.put("site.many", &rig.signed(found.clone(), "site", 1)).await;
    let refusal = events.until(CheckEventKind::CheckRefused, "many").await.refusal.unwrap();
    assert_eq!(refusal.code, RefusalCode::NotSigned);
    assert!(refusal.message.contains("`trust.found_targets: accept`"), "{refusal:?}");
    assert_eq!(bastion.stop().await, 0);

    let (_checker, _runner) = rig.apart(", found_targets: accept").await;
    assert_eq!(told(&rig.result_of("many").await), "pass");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_signature_is_told_of_and_its_check_runs_on() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let _bastion = rig.bastion(", max_age: 1h", "").await;
    let long_ago = now().checked_sub(Duration::from_secs(2 * 60 * 60)).unwrap();
    let signed = rig.signer.sign(rig.check("web"), &"site".parse().unwrap(), 1, long_ago).unwrap();
    rig.put("site.web", &signed).await;
    events.until(CheckEventKind::CheckSignatureOld, "web").await;
    rig.until_audited("bastion", "check_changed", |line| line["change"] == "signature_old").await;
    assert_eq!(told(&rig.result_of("web").await), "pass");
    let mut heard = rig.bus.subscribe("watchpost.site.heartbeat", None).await.unwrap();
    let told = async {
        loop {
            let message = heard.next().await.ok_or(BusError::Closed)?;
            let heartbeat: Heartbeat = decode(&message.payload, Format::MsgPack).unwrap();
            let store = heartbeat.store.unwrap();
            if store.signatures_old == 1 {
                return Ok::<_, BusError>(store);
            }
        }
    };
    let store = tokio::time::timeout(SOON, told).await.expect("a heartbeat that tells").unwrap();
    assert!(store.message.unwrap().contains("older than `trust.max_age`"));

    rig.put("site.web", &rig.signed(rig.check("web"), "site", 2)).await;
    let applied = events.until(CheckEventKind::CheckApplied, "web").await;
    assert_eq!(applied.refusal, None);
}
