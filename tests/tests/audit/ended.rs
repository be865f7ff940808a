//! What an agent writes down of what it did.

use std::sync::Arc;
use std::time::Duration;

use watchpost_agent::{
    Agent, AgentSettings, Deps, GroupPolicy, Roles, RunItem, RunReport, RunRequest, StoreSettings, SystemClock,
    run_system,
};
use watchpost_bus::InProcessBus;
use watchpost_model::{Check, CheckType, Outcome, Reason, ReasonCode, Task};
use watchpost_policy::Guard;
use watchpost_probe::{BoxFuture, Probe, ProbeSet, Recorder, Resolver, TargetFinder, Verdict};

use crate::written::{Folder, entries, of};

/// Ends each task as its check is called.
struct AsCalled;

impl Probe for AsCalled {
    fn run<'a>(&'a mut self, task: &'a Task, _: &'a Recorder) -> BoxFuture<'a, Verdict> {
        let cancelled = |code, why| Verdict { outcome: Outcome::Cancelled, reason: Some(Reason::new(code, why)) };
        let verdict = match task.check.as_str() {
            "denied" | "denied-program" => cancelled(ReasonCode::PolicyDenied, "rule `no` denies it"),
            "unsigned" => cancelled(ReasonCode::NotSigned, "nobody signed it"),
            "forged" => cancelled(ReasonCode::SignatureInvalid, "somebody else signed it"),
            "failing-program" => Verdict::fail(Reason::new(ReasonCode::PluginCritical, "it ended with 2")),
            _ => Verdict::pass(),
        };
        Box::pin(std::future::ready(verdict))
    }
}

fn check(json: &str) -> Check {
    serde_json::from_str(json).unwrap()
}

#[test]
fn each_denial_refusal_and_program_is_written_down_and_nothing_else_is_and_no_secret() {
    let folder = Folder::new();
    let log = folder.log("a.jsonl");
    run_system(async {
        let mut probes = ProbeSet::default();
        for check_type in [CheckType::Tcp, CheckType::Exec] {
            probes = probes.with(check_type, Arc::new(|| Box::new(AsCalled)));
        }
        let mut settings = AgentSettings::new("b1".parse().unwrap(), "r1".parse().unwrap());
        settings.store = Some(StoreSettings {
            file: vec![check(r#"{"id": "kept", "tcp": {"address": "10.0.0.1:1"}, "interval": "1h"}"#)],
            ..StoreSettings::default()
        });
        let deps = Deps {
            bus: Arc::new(InProcessBus::new()),
            clock: Arc::new(SystemClock::default()),
            resolver: Resolver::system(),
            finder: TargetFinder::standard(&Resolver::system()),
            probes,
            audit: log.clone(),
            guard: Guard::local(),
        };
        let agent = Agent::start(settings, Roles::Both, deps).await.unwrap();
        let tcp = |id: &str| format!(r#"{{"id": "{id}", "tcp": {{"address": "10.9.1.1:443"}}}}"#);
        let exec = |id: &str| {
            format!(r#"{{"id": "{id}", "exec": {{"command": "/opt/{id}", "arguments": ["--password", "hunter2"]}}}}"#)
        };
        let checks = [
            tcp("denied"),
            tcp("unsigned"),
            tcp("forged"),
            tcp("passing"),
            exec("denied-program"),
            exec("failing-program"),
            exec("passing-program"),
        ];
        let items = checks.iter().map(|json| RunItem::Check(Box::new(check(json)))).collect();
        let limit = Duration::from_secs(60);
        let request = RunRequest { items, limit, policy: GroupPolicy::CollectAll };
        let mut reports = agent.checker().unwrap().run_now(request).await.unwrap();
        let mut results = 0;
        while let Some(report) = reports.recv().await {
            results += usize::from(matches!(report, RunReport::Result(_)));
        }
        assert_eq!(results, checks.len());
        assert!(agent.stop(Duration::from_secs(10)).await.is_clean());
    })
    .unwrap();
    assert!(log.close(Duration::from_secs(60)));

    let entries = entries(&folder.file("a.jsonl"));
    let told = |event: &str, fields: &[&str]| {
        let of_event = of(&entries, event).into_iter();
        let word = |entry: &serde_json::Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let mut told: Vec<_> = of_event
            .map(|entry| fields.iter().map(|field| word(&entry, field)).collect::<Vec<_>>().join(" | "))
            .collect();
        told.sort();
        told
    };
    assert_eq!(
        told("policy_denied", &["check", "endpoint", "why"]),
        ["denied | 10.9.1.1:443 | rule `no` denies it", "denied-program | /opt/denied-program | rule `no` denies it",]
    );
    assert_eq!(
        told("task_refused", &["check", "code", "why"]),
        ["forged | signature_invalid | somebody else signed it", "unsigned | not_signed | nobody signed it",]
    );
    assert_eq!(
        told("exec", &["check", "command", "ended"]),
        [
            "failing-program | /opt/failing-program | fail/plugin_critical",
            "passing-program | /opt/passing-program | pass",
        ]
    );
    assert_eq!(told("started", &["role", "bastion"]), ["bastion | b1"]);
    let loaded = &of(&entries, "checks_loaded")[0];
    assert_eq!((&loaded["of_file"], &loaded["of_store"]), (&1.into(), &0.into()));
    assert_eq!(entries.last().unwrap()["event"], "stopped");
    assert_eq!(entries.len(), 2 + 2 + 2 + 2 + 1, "{entries:#?}");
    assert!(!std::fs::read_to_string(folder.file("a.jsonl")).unwrap().contains("hunter2"));
}
