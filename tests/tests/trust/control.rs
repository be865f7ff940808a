//! Requests to a bastion that asks for signatures.

use std::time::Duration;

use watchpost_bus::{Bus, Outgoing};
use watchpost_model::{
    CheckDocument, CheckStored, ErrorCode, ErrorReply, Format, Message, PauseCheck, PutCheck, Standing, TestCheck,
    TestReport, TestReportKind, V1, Verb, decode, encode, header,
};
use watchpost_tests::process::SOON;

use crate::rig::Rig;

/// Asks, and hears all answers up to the one that `is_last`.
async fn ask<M: Message>(rig: &Rig, verb: Verb, request: &M, is_last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let inbox = rig.bus.new_inbox();
    let mut heard = rig.bus.subscribe(&inbox, None).await.unwrap();
    let subject = format!("watchpost.site.control.{verb}", verb = verb.as_str());
    rig.bus.publish(Outgoing::new(subject, encode(request, Format::MsgPack)).reply_to(inbox)).await.unwrap();
    let mut answers = Vec::new();
    loop {
        let message = tokio::time::timeout(SOON, heard.next()).await.expect("an answer in time").unwrap();
        let is_over = message.headers.get(header::ERROR).is_some() || is_last(&message.payload);
        answers.push(message.payload.to_vec());
        if is_over {
            return answers;
        }
    }
}

async fn put(rig: &Rig, document: CheckDocument) -> Result<CheckStored, ErrorReply> {
    let request = PutCheck {
        v: V1,
        request: None,
        check: Box::new(document),
        group: None,
        expected_revision: None,
        dry_run: false,
    };
    let answer = ask(rig, Verb::CheckPut, &request, |_| true).await.remove(0);
    decode(&answer, Format::MsgPack).map_err(|_| decode(&answer, Format::MsgPack).unwrap())
}

async fn test(rig: &Rig, document: CheckDocument) -> Result<bool, ErrorReply> {
    test_one(rig, None, Some(Box::new(document))).await
}

async fn test_one(rig: &Rig, check: Option<&str>, document: Option<Box<CheckDocument>>) -> Result<bool, ErrorReply> {
    let request = TestCheck {
        v: V1,
        request: None,
        check: check.map(|check| check.parse().unwrap()),
        document,
        limit_ms: Some(u64::try_from(Duration::from_secs(20).as_millis()).unwrap()),
        max_endpoints: None,
    };
    let is_end = |payload: &[u8]| {
        decode::<TestReport>(payload, Format::MsgPack).is_ok_and(|report| report.kind == TestReportKind::End)
    };
    let last = ask(rig, Verb::CheckTest, &request, is_end).await.pop().unwrap();
    match decode::<TestReport>(&last, Format::MsgPack) {
        Ok(report) => Ok(report.end.unwrap().passed),
        Err(_) => Err(decode(&last, Format::MsgPack).unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_that_are_put_or_tested_are_signed_as_well() {
    let rig = Rig::start().await;
    let _bastion = rig.bastion("", "").await;
    let astray = |id: &str| rig.check_of(id, &rig.victim, "");
    let refused = |reply: ErrorReply, part: &str| {
        assert_eq!(reply.code, ErrorCode::Refused, "{reply:?}");
        assert!(reply.message.contains(part), "{reply:?}");
    };
    let stored = put(&rig, rig.signed(rig.check("web"), "site", 5)).await.unwrap();
    let report = stored.report.unwrap();
    let signed = report.signed.unwrap();
    assert_eq!((report.standing, signed.revision, signed.old), (Standing::Running, 5, false));
    assert_eq!(&signed.by, rig.signer.key());

    refused(put(&rig, astray("a")).await.unwrap_err(), "is not signed");
    refused(put(&rig, rig.signed(astray("a"), "eu", 1)).await.unwrap_err(), "for one group");
    refused(put(&rig, rig.signed(astray("web"), "site", 4)).await.unwrap_err(), "revision 5 was seen before");
    refused(test(&rig, astray("a")).await.unwrap_err(), "is not signed");
    refused(test(&rig, rig.signed(astray("a"), "elsewhere", 1)).await.unwrap_err(), "for one group");
    refused(test(&rig, rig.signed(astray("web"), "site", 4)).await.unwrap_err(), "revision 5 was seen before");
    assert_eq!(test(&rig, rig.signed(rig.check("web"), "site", 6)).await, Ok(true));
    assert_eq!(test(&rig, rig.signed(rig.check("other"), "eu", 1)).await, Ok(true));
    // A test brings nothing into force: the one before is put again.
    assert!(put(&rig, rig.signed(rig.check("web"), "site", 6)).await.is_ok());

    // What is signed says itself whether it is paused.
    let pause =
        PauseCheck { v: V1, request: None, check: "web".parse().unwrap(), group: None, expected_revision: None };
    let answer = ask(&rig, Verb::CheckPause, &pause, |_| true).await.remove(0);
    refused(decode(&answer, Format::MsgPack).unwrap(), "put it signed anew");
    let paused = || CheckDocument { paused: true, ..astray("shut") };
    put(&rig, rig.signed(paused(), "site", 1)).await.unwrap();
    refused(test_one(&rig, Some("shut"), None).await.unwrap_err(), "is paused");
    refused(test(&rig, rig.signed(paused(), "site", 2)).await.unwrap_err(), "is paused");
    assert_eq!(rig.victim.counts().accepted(), 0);
}
