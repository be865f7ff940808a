//! Old checks that come back.

use std::sync::LazyLock;

use proptest::prelude::*;
use watchpost_model::{Check, CheckDocument};
use watchpost_trust::{Fault, Revisions, Signer, Signers};

use crate::rig::{at, document, group, signed, trusted};

fn web(revision: u64) -> Check {
    signed(r#"{"id": "web", "tcp": {"address": "10.0.0.1:80"}}"#, revision)
}

fn take(revisions: &mut Revisions, check: &Check) -> Result<(), Fault> {
    let signature = check.signature().unwrap();
    revisions.judge(check.id(), signature)?;
    revisions.note(check.id(), signature);
    Ok(())
}

#[test]
fn an_older_one_another_of_the_same_number_and_a_deleted_one_do_not_come_back() {
    let mut revisions = Revisions::default();
    take(&mut revisions, &web(5)).unwrap();
    take(&mut revisions, &web(5)).expect("the same again");
    assert!(matches!(take(&mut revisions, &web(4)), Err(Fault::Older { given: 4, seen: 5, .. })));
    let other = signed(r#"{"id": "web", "tcp": {"address": "10.0.0.2:80"}}"#, 5);
    assert!(matches!(take(&mut revisions, &other), Err(Fault::Twice { given: 5, .. })));
    take(&mut revisions, &web(6)).unwrap();

    let id = web(6).id().clone();
    assert!(!revisions.note_deleted(&group("elsewhere"), &id), "nobody knows of it there");
    assert!(revisions.note_deleted(&group("site"), &id) && !revisions.note_deleted(&group("site"), &id));
    for revision in [5, 6] {
        assert!(matches!(take(&mut revisions, &web(revision)), Err(Fault::Deleted { .. })), "{revision}");
    }
    take(&mut revisions, &web(7)).expect("signed again after that");
    take(&mut revisions, &web(7)).expect("the same again");
}

#[test]
fn what_was_seen_outlives_the_process_and_damage_is_noticed() {
    let mut revisions = Revisions::default();
    take(&mut revisions, &web(6)).unwrap();
    take(&mut revisions, &signed(r#"{"id": "db", "tcp": {"address": "10.0.0.1:81"}}"#, 1)).unwrap();
    revisions.note_deleted(&group("site"), &"db".parse().unwrap());
    let kept = revisions.to_bytes();
    let mut again = Revisions::from_bytes(&kept).unwrap();
    assert_eq!(again, revisions);
    assert!(matches!(take(&mut again, &web(5)), Err(Fault::Older { .. })));
    for at in 0..kept.len() {
        let mut damaged = kept.clone();
        damaged[at] ^= 1;
        assert!(Revisions::from_bytes(&damaged).is_err(), "{at}");
        assert!(Revisions::from_bytes(&kept[..at]).is_err(), "{at}");
    }
    assert_eq!(Revisions::from_bytes(&Revisions::default().to_bytes()).unwrap(), Revisions::default());
}

#[test]
fn a_signer_that_is_not_trusted_any_more_has_set_nothing_for_good() {
    let thief = Signer::generate().unwrap();
    let stolen =
        thief.sign(document(r#"{"id": "web", "tcp": {"address": "a:1"}}"#), &group("site"), (1 << 53) - 1, at());
    let mut revisions = Revisions::default();
    take(&mut revisions, &web(1)).unwrap();
    take(&mut revisions, &Check::try_from(stolen.unwrap()).unwrap()).unwrap();
    assert!(matches!(take(&mut revisions, &web(2)), Err(Fault::Older { .. })));
    assert_eq!(revisions.forget_others(&trusted()), 1);
    take(&mut revisions, &web(2)).unwrap();
    let both = Signers::new([thief.key().clone(), crate::rig::signer().key().clone()]).unwrap();
    assert_eq!((revisions.forget_others(&both), revisions.len(), revisions.is_empty()), (0, 1, false));
}

#[test]
fn a_task_is_of_what_is_in_force_or_later() {
    let mut revisions = Revisions::default();
    let judge = |revisions: &Revisions, revision| {
        let check = web(revision);
        revisions.judge_task(check.id(), check.signature().unwrap())
    };
    judge(&revisions, 1).expect("nothing is known");
    for revision in [3, 5] {
        take(&mut revisions, &web(revision)).unwrap();
    }
    // The fifth did not fit with the others, and the third runs on.
    revisions.note_in_force(web(3).id(), web(3).signature().unwrap());
    judge(&revisions, 3).unwrap();
    judge(&revisions, 9).expect("somebody tests it");
    assert!(matches!(judge(&revisions, 2), Err(Fault::Older { seen: 3, .. })));
    revisions.note_deleted(&group("site"), web(1).id());
    assert!(matches!(judge(&revisions, 5), Err(Fault::Deleted { .. })));

    // A Runner by itself learns from what it is given.
    let mut alone = Revisions::default();
    let note = |revisions: &mut Revisions, revision| {
        let check = web(revision);
        revisions.note_task(check.id(), check.signature().unwrap())
    };
    assert!(note(&mut alone, 4) && !note(&mut alone, 4) && !note(&mut alone, 3));
    assert!(matches!(judge(&alone, 3), Err(Fault::Older { seen: 4, .. })));
    judge(&alone, 4).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever comes in whatever order, what is let in never goes back.
    #[test]
    fn revisions_only_grow(steps in prop::collection::vec((0_u64..8, any::<bool>(), 0_u8..4), 1..60)) {
        static KNOWN: LazyLock<Vec<Check>> = LazyLock::new(|| (1..9).map(web).collect());
        let known = &*KNOWN;
        let (mut revisions, mut highest, mut is_deleted) = (Revisions::default(), 0, false);
        for (n, keeps, step) in steps {
            if keeps {
                revisions = Revisions::from_bytes(&revisions.to_bytes()).unwrap();
            }
            if step == 0 {
                is_deleted |= revisions.note_deleted(&group("site"), known[0].id());
                continue;
            }
            let (check, revision) = (&known[n as usize], n + 1);
            let taken = take(&mut revisions, check).is_ok();
            prop_assert_eq!(taken, revision > highest || (revision == highest && !is_deleted));
            if taken {
                (highest, is_deleted) = (revision, false);
            }
        }
    }
}

#[test]
fn re_signing_leaves_the_document_as_it_is_written() {
    let written = document(r#"{"id": "web", "tcp": {"address": "10.0.0.1:80"}, "interval": "60s"}"#);
    let signed = crate::rig::signer().sign(written.clone(), &group("site"), 1, at()).unwrap();
    assert_eq!(CheckDocument { signature: None, ..signed }, written);
}
