//! What was signed once, and is put back later.

use watchpost_model::{CheckDocument, CheckEventKind, RefusalCode};

use crate::rig::{Events, Rig, forget_checks, told};

async fn refused(events: &mut Events, part: &str) {
    let refusal = events.until(CheckEventKind::CheckRefused, "web").await.refusal.unwrap();
    assert_eq!(refusal.code, RefusalCode::RolledBack, "{refusal:?}");
    assert!(refusal.message.contains(part), "{refusal:?}");
}

/// Revision 1 leads to the victim, and was replaced for that.
fn revisions(rig: &Rig) -> [CheckDocument; 2] {
    [rig.signed(rig.check_of("web", &rig.victim, ""), "site", 1), rig.signed(rig.check("web"), "site", 2)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_revision_does_not_come_back_not_even_after_a_restart() {
    let rig = Rig::start().await;
    let [old, new] = revisions(&rig);
    let mut events = rig.events().await;
    let mut bastion = rig.bastion("", "").await;
    let applied = rig.put("site.web", &new).await;
    events.until(CheckEventKind::CheckApplied, "web").await;
    rig.put("site.web", &old).await;
    refused(&mut events, "revision 1, and revision 2 was seen before").await;
    // The last good one runs on.
    assert_eq!(told(&rig.result_of("web").await), "pass");
    // Another check under the number of one that was seen.
    let twice = rig.signed(rig.check_of("web", &rig.victim, ""), "site", 2);
    rig.put("site.web", &twice).await;
    refused(&mut events, "another check was signed as that revision").await;
    assert_eq!(bastion.stop().await, 0);

    // Started anew it knows nothing of the check, but what it has seen.
    forget_checks(&rig.state("bastion"));
    rig.put("site.web", &old).await;
    let mut bastion = rig.bastion("", "").await;
    refused(&mut events, "revision 1, and revision 2 was seen before").await;
    let again = rig.put("site.web", &new).await;
    assert!(again > applied);
    assert_eq!(events.until(CheckEventKind::CheckApplied, "web").await.revision, Some(again));
    assert_eq!(told(&rig.result_of("web").await), "pass");
    assert_eq!(bastion.stop().await, 0);
    assert_eq!(rig.victim.counts().accepted(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_check_does_not_come_back_until_it_is_signed_anew() {
    let rig = Rig::start().await;
    let mut events = rig.events().await;
    let signed = rig.signed(rig.check("web"), "site", 1);
    let mut bastion = rig.bastion("", "").await;
    rig.put("site.web", &signed).await;
    events.until(CheckEventKind::CheckApplied, "web").await;
    rig.kv.delete("site.web", None).await.unwrap();
    events.until(CheckEventKind::CheckRemoved, "web").await;
    rig.put("site.web", &signed).await;
    refused(&mut events, "was deleted after it had been signed as revision 1").await;
    assert_eq!(bastion.stop().await, 0);

    let _bastion = rig.bastion("", "").await;
    let again = rig.put("site.web", &signed).await;
    refused(&mut events, "was deleted").await;
    let anew = rig.put("site.web", &rig.signed(rig.check("web"), "site", 2)).await;
    assert!(anew > again);
    assert_eq!(events.until(CheckEventKind::CheckApplied, "web").await.revision, Some(anew));
    assert_eq!(told(&rig.result_of("web").await), "pass");
}
