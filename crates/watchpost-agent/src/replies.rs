//! Where answers may go. A reply subject is chosen by whoever sends a message: if it were taken as it is, anybody who
//! can send a task or a request could make this process publish anywhere that its own user may.

use watchpost_bus::{Message, is_inbox};
use watchpost_model::{CheckId, ErrorCode, ErrorReply, Subjects, V1};

use crate::Clock;
use crate::stats::Stats;

/// Whether the result of a task of `check` may go to `reply`: to the check's own result subject, or to an inbox.
pub(crate) fn may_take_result(subjects: &Subjects, check: &CheckId, reply: &str) -> bool {
    subjects.check_of_result(reply) == Some(check.as_str()) || is_inbox(reply)
}

/// Whether what cannot be read may be told to `reply`: to a result subject of this bastion, or to an inbox.
pub(crate) fn may_take_refusal(subjects: &Subjects, reply: &str) -> bool {
    subjects.check_of_result(reply).is_some_and(|check| check.parse::<CheckId>().is_ok()) || is_inbox(reply)
}

/// Whether a request may be carried out: its answer, if it wants one, may go to an inbox and nowhere else. Counts and
/// tells where it may not, and returns what it would be answered with, were there anybody to answer.
pub(crate) fn may_answer(stats: &Stats, clock: &dyn Clock, message: &Message) -> Result<(), ErrorReply> {
    match message.reply.as_deref() {
        Some(reply) if !is_inbox(reply) => Err(refused(stats, clock, &message.subject, reply)),
        _ => Ok(()),
    }
}

/// A message was not acted on since its answer would go where none may go.
pub(crate) fn refused(stats: &Stats, clock: &dyn Clock, subject: &str, reply: &str) -> ErrorReply {
    stats.replies_refused.increment();
    let reply = watchpost_model::shorten(reply, 200);
    stats.troubles.note(clock.now(), "a message wants its answer where none may go", &reply);
    tracing::warn!(subject, %reply, "a message was not acted on: its answer would go where none may go");
    let message = format!("its answer would go to {reply}: expected an inbox");
    ErrorReply { v: V1, code: ErrorCode::NotAllowed, message, field: None }
}

#[cfg(test)]
mod tests {
    use watchpost_model::SubjectPrefix;

    use super::*;

    #[test]
    fn results_go_to_the_checks_own_subject_or_to_an_inbox() {
        let subjects = Subjects::new(&SubjectPrefix::default(), &"b1".parse().unwrap());
        let check = "web".parse().unwrap();
        for (reply, result, refusal) in [
            ("watchpost.b1.result.web", true, true),
            ("_INBOX.abc.1", true, true),
            ("_INBOX_ops.abc", true, true),
            ("_R_.x.y", true, true),
            ("watchpost.b1.result.other", false, true),
            ("watchpost.b1.result.web.x", false, false),
            ("watchpost.b1.result.", false, false),
            ("watchpost.b2.result.web", false, false),
            ("watchpost.b1.verdict.web", false, false),
            ("watchpost.b1.control.bastion.drain", false, false),
            ("watchpost.b1.task.exec", false, false),
            ("$KV.WATCHPOST_CHECKS.b1.web", false, false),
            ("$JS.API.STREAM.PURGE.WATCHPOST_RESULTS", false, false),
            ("$SYS.REQ.SERVER.PING", false, false),
            ("anything", false, false),
        ] {
            assert_eq!(may_take_result(&subjects, &check, reply), result, "{reply}");
            assert_eq!(may_take_refusal(&subjects, reply), refusal, "{reply}");
        }
    }
}
