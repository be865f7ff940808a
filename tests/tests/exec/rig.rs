//! A folder of plugins, a probe that may run them, and a look at what is left of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use watchpost_model::{
    Check, CheckType, Endpoint, ExecEvidence, Firing, Outcome, Reason, RunId, Task, TaskClass, TypeEvidence,
};
use watchpost_policy::{ExecRules, Guard, Own, Policy};
use watchpost_probe::{Evidence, ProbeOptions, ProbeSet, Recorder, Resolver};
use watchpost_tests::process::until;

/// More than anything here takes unless it hangs.
pub const AMPLE: Duration = Duration::from_secs(30);
/// Where Debian puts its plugins.
pub const DEBIAN: &str = "/usr/lib/nagios/plugins";

/// A folder with plugins, which is removed when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-exec-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts an executable file there. Another process writes it: a descriptor of ours, open for writing, could be
    /// handed to a plugin that another test starts, and the system runs no file that somebody is writing.
    pub fn program(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        let mut child =
            Command::new("install").args(["-m", "755", "/dev/stdin"]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        path
    }

    /// A shell script that first notes its process id.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        self.program(
            name,
            &format!("#!/bin/sh\necho $$ >> '{}'\n{body}\n", self.0.join(format!("{name}.pid")).display()),
        )
    }

    /// The process ids that the script of this name has noted.
    pub fn noted(&self, name: &str) -> Vec<u32> {
        let noted = fs::read_to_string(self.0.join(format!("{name}.pid"))).unwrap_or_default();
        noted.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// The process ids once there are `count` of them.
    pub async fn until_noted(&self, name: &str, count: usize) -> Vec<u32> {
        until(&format!("{count} × {name} run"), AMPLE, || Some(self.noted(name)).filter(|pids| pids.len() == count))
            .await
    }

    /// Asserts that the script ran `count` times, and that nothing is left of it soon.
    pub async fn assert_gone(&self, name: &str, count: usize) {
        let pids = self.noted(name);
        assert_eq!(pids.len(), count, "how often {name} ran");
        until(&format!("{name} is gone"), AMPLE, || members(&pids).is_empty().then_some(())).await;
    }

    /// A check that runs `program` here, as JSON without an id.
    pub fn check(&self, program: &Path, more: &str) -> String {
        let folder = self.0.display();
        format!(r#"{{"exec": {{"command": "{}", "working_directory": "{folder}"{more}}}}}"#, program.display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The processes whose session or group one of `leaders` has led, those among them that have ended and were not waited
/// for: the process ids with what the system says of them.
pub fn members(leaders: &[u32]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        // It may end while it is looked at.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, in brackets, may hold anything.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let led = |field: &str| field.parse().is_ok_and(|id: u32| leaders.contains(&id));
        if led(fields[2]) || led(fields[3]) {
            found.push(stat);
        }
    }
    found
}

/// How one run ended.
#[derive(Debug)]
pub struct Ran {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub evidence: Evidence,
    pub took: Duration,
}

impl Ran {
    pub fn message(&self) -> &str {
        self.reason.as_ref().map(|reason| reason.message.as_str()).unwrap_or_default()
    }

    pub fn exec(&self) -> &ExecEvidence {
        match &self.evidence.of_type {
            Some(TypeEvidence::Exec(exec)) => exec,
            other => panic!("no evidence of a program: {other:?}, {:?}", self.reason),
        }
    }

    pub fn summary(&self) -> &str {
        self.exec().summary.as_deref().unwrap_or_default()
    }

    /// What else it printed, of a check that did not pass.
    pub fn excerpt(&self) -> &str {
        self.exec().output_excerpt.as_deref().unwrap_or_default()
    }

    #[track_caller]
    pub fn assert_passed(&self) {
        assert_eq!((self.outcome, &self.reason), (Outcome::Pass, &None), "{self:?}");
    }

    #[track_caller]
    pub fn assert_ended(&self, outcome: Outcome, code: &str, told: &str) {
        let given = self.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default();
        assert_eq!((self.outcome, given), (outcome, code), "{self:?}");
        assert!(self.message().contains(told), "{}", self.message());
    }
}

/// What permits the programs of `directories`, and lets them write there.
pub fn policy(directories: &[&Path]) -> ExecRules {
    let directories: Vec<_> = directories.iter().map(|path| path.to_path_buf()).collect();
    ExecRules { writable: directories.clone(), directories, ..ExecRules::default() }
}

/// Probes that may run the programs of `directories`.
pub fn probes(directories: &[&Path]) -> ProbeSet {
    probes_by(policy(directories))
}

/// Probes that may run what `rules` say.
pub fn probes_by(rules: ExecRules) -> ProbeSet {
    let mut file = Policy::local().file().clone();
    file.exec = rules;
    let guard = Guard::new(Policy::try_from(file).unwrap(), Own::default(), "test");
    ProbeSet::new(&ProbeOptions { guard, ..ProbeOptions::new(&Resolver::system()) })
}

/// A task for the check that `json` describes but for its id.
pub fn task(json: &str) -> Task {
    let with_id = json.replacen('{', r#"{"id": "test", "#, 1);
    let check: Check = serde_json::from_str(&with_id).unwrap_or_else(|e| panic!("{with_id}: {e}"));
    let body = check.probe().unwrap();
    let bastion = "here".parse().unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let firing = Firing {
        run: RunId::derive(&bastion, check.id(), at),
        bastion: &bastion,
        scheduled_at: at,
        deadline: at,
        answer_by: at,
        class: TaskClass::default(),
        config_generation: 1,
    };
    Task::new(check.id(), body, Endpoint::named(&body.target_name()), &firing)
}

/// Runs the check that `json` describes as a worker does: the future is dropped when `limit` has passed.
pub async fn run_within(limit: Duration, probes: &ProbeSet, json: &str) -> Ran {
    let task = task(json);
    let (_, factory) = probes.iter().find(|(known, _)| *known == CheckType::Exec).unwrap();
    let (mut probe, recorder, started) = (factory(), Recorder::new(), Instant::now());
    let verdict = tokio::time::timeout(limit, probe.run(&task, &recorder)).await;
    let took = started.elapsed();
    let (outcome, reason) = match verdict {
        Ok(verdict) => (verdict.outcome, verdict.reason),
        Err(_) => (Outcome::Timeout, Some(recorder.timeout_reason(limit))),
    };
    Ran { outcome, reason, evidence: recorder.finish(), took }
}

pub async fn run(probes: &ProbeSet, json: &str) -> Ran {
    run_within(AMPLE, probes, json).await
}

/// Runs a shell script, and asserts that nothing is left of it.
pub async fn run_script(body: &str, more: &str) -> Ran {
    let folder = Folder::new();
    let script = folder.script("check_it", body);
    let ran = run(&probes(&[folder.path()]), &folder.check(&script, more)).await;
    folder.assert_gone("check_it", 1).await;
    ran
}
