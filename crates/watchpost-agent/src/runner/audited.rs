//! Writing down what was done in the customer's network, and what was not done though it was asked for.

use watchpost_audit::{AuditEvent, AuditLog};
use watchpost_model::{ProbeSettings, ReasonCode, Task, TaskResult};

/// Writes down how a task ended, if it ran a program or was kept from doing what it should. `was_tried` says whether a
/// worker had it.
pub(super) fn write_down(audit: &AuditLog, task: &Task, result: &TaskResult, was_tried: bool) {
    if !audit.is_on() {
        return;
    }
    let reason = result.reason.as_ref();
    let why = || reason.map(|reason| reason.message.clone()).unwrap_or_default();
    let (check, id) = (task.check.clone(), task.task);
    match (reason.map(|reason| &reason.code), &*task.probe) {
        (Some(ReasonCode::PolicyDenied | ReasonCode::SecretNotAllowed), _) => audit.record(AuditEvent::PolicyDenied {
            check,
            task: Some(id),
            endpoint: endpoint(task, result),
            why: why(),
        }),
        (Some(code @ (ReasonCode::NotSigned | ReasonCode::SignatureInvalid)), _) => {
            audit.record(AuditEvent::TaskRefused { check, task: id, code: code.to_string(), why: why() });
        }
        (code, ProbeSettings::Exec(exec)) if was_tried => audit.record(AuditEvent::Exec {
            check,
            task: id,
            command: exec.command.as_str().to_owned(),
            ended: match code {
                Some(code) => format!("{}/{code}", result.outcome),
                None => result.outcome.to_string(),
            },
        }),
        _ => {}
    }
}

/// What was to be checked: the target, and the address of it that is known.
fn endpoint(task: &Task, result: &TaskResult) -> String {
    let target = task.probe.target_name();
    match result.target.address.as_ref() {
        Some(address) if address.to_string() != target => format!("{target} ({address})"),
        _ => target,
    }
}
