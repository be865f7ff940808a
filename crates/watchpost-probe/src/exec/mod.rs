//! The `exec` check type: a program that speaks the interface of Nagios plugins. It tells how things are by its exit
//! code, and why by what it prints.
//!
//! Invariant: a plugin runs in a session and process group of its own. The group is killed when the plugin ends, when it
//! prints too much, and when the probe is dropped: at the deadline, when the task is cancelled, at the end of the agent.
//! Whatever the plugin started is in its group, unless it has left that on its own account.

mod confine;
mod environment;
mod launch;
mod output;
mod perfdata;
mod policy;
mod running;
mod sandbox;
mod scratch;
mod trusted;
mod user;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use watchpost_model::{
    ExecEvidence, ExecSettings, ProbeSettings, Reason, ReasonCode, Task, TypeEvidence, WarningMeans,
};

use watchpost_policy::ExecRules;

pub(crate) use self::launch::Launcher;
use self::output::Spoken;
use self::running::{Ended, Output, PRINTED_BYTES_MAX, Printed};
pub use self::sandbox::landlock_version;
use crate::assertions::{Findings, conclude};
use crate::context::ProbeContext;
use crate::recorder::Recorder;
use crate::secret::Secrets;
use crate::{BoxFuture, Probe, Verdict, failure};

/// What would keep every program of `rules` from being run here: each a sentence.
pub(crate) fn faults(rules: &ExecRules) -> Vec<String> {
    let user = rules.user.as_ref().and_then(|user| user::to_become(user.as_str()).err());
    let sandbox = sandbox::Rules::new(rules, &[], None, landlock_version()).err();
    let places = rules.directories.iter().chain(&rules.programs);
    let distrusted =
        places.filter_map(|path| trusted::open(path).err().map(|why| format!("{}: {why}", path.display())));
    user.into_iter().chain(sandbox).chain(distrusted).collect()
}

/// How much of the first line a sentence quotes.
const QUOTED_CHARS_MAX: usize = 300;
/// How much of each part of the output goes into the evidence, in bytes.
const EXCERPT_BYTES_MAX: usize = 2 * 1024;

/// Executes `exec` checks.
#[derive(Debug)]
pub(crate) struct ExecProbe {
    context: ProbeContext,
}

impl ExecProbe {
    pub(crate) fn new(context: ProbeContext) -> Self {
        Self { context }
    }

    async fn check(&self, task: &Task, recorder: &Recorder) -> Verdict {
        let ProbeSettings::Exec(settings) = &*task.probe else {
            return failure::bad_task();
        };
        recorder.hop(settings.command.as_str());
        let mut running = match self.context.launcher.start(settings, recorder).await {
            Ok(running) => running,
            Err(verdict) => return verdict,
        };
        let confined = running.confined().iter().map(|what| (*what).to_owned()).collect();
        let mut told = Told { output: Output::default(), ended: None, passed: false, confined, settings, recorder };
        let heard = |output: &Output| recorder.received(output.stdout.bytes + output.stderr.bytes);
        match running.finish(&mut told.output, heard).await {
            Ok(Ended::With(status)) => {
                told.ended = Some(status);
                let verdict = told.judge(&self.context, task, status);
                told.passed = verdict.reason.is_none();
                verdict
            }
            Ok(Ended::PrintedTooMuch) => {
                let message = format!(
                    "{} printed more than {PRINTED_BYTES_MAX} bytes and was killed{}",
                    told.name(),
                    told.spoken().quoted()
                );
                Verdict::error(Reason::new(ReasonCode::PluginOutput, message))
            }
            Err(error) => {
                let message = format!("the end of {} cannot be waited for: {}", told.name(), failure::plain(&error));
                Verdict::cancelled(Reason::new(ReasonCode::Overloaded, message))
            }
        }
    }
}

impl Probe for ExecProbe {
    fn run<'a>(&'a mut self, task: &'a Task, recorder: &'a Recorder) -> BoxFuture<'a, Verdict> {
        Box::pin(self.check(task, recorder))
    }
}

/// What a plugin has told. It goes to the recorder when this is dropped: so it is there as well where the deadline came
/// first.
struct Told<'a> {
    output: Output,
    ended: Option<ExitStatus>,
    passed: bool,
    confined: Vec<String>,
    settings: &'a ExecSettings,
    recorder: &'a Recorder,
}

impl Told<'_> {
    /// The program's name without its directory.
    fn name(&self) -> String {
        let path = Path::new(self.settings.command.as_str());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        watchpost_model::shorten(&name, 80).into_owned()
    }

    fn text(&self, printed: &Printed) -> String {
        let secrets = Secrets::of_environment(&self.settings.environment);
        String::from_utf8_lossy(&secrets.hide(&printed.kept, 0..printed.kept.len())).into_owned()
    }

    fn spoken(&self) -> Spoken {
        Spoken::read(&self.text(&self.output.stdout))
    }

    /// What is quoted where a plugin did not do as plugins do: what it said, or its first word on stderr.
    fn explained(&self, spoken: &Spoken) -> String {
        if !spoken.summary.is_empty() {
            return spoken.quoted();
        }
        Spoken::read(&self.text(&self.output.stderr)).quoted()
    }

    fn judge(&self, context: &ProbeContext, task: &Task, status: ExitStatus) -> Verdict {
        let spoken = self.spoken();
        for datum in &spoken.perfdata.data {
            if let Some(value) = datum.value {
                self.recorder.metric(&perfdata::metric_name(datum), value);
            }
        }
        let name = self.name();
        let code = match status.code() {
            Some(code @ 0..=2) => code,
            Some(3) => {
                let message = format!("{name} could not tell (exit code 3){}", self.explained(&spoken));
                return Verdict::error(Reason::new(ReasonCode::PluginUnknown, message));
            }
            Some(code) => {
                let hint = match code {
                    126 => ", as of a command that cannot be executed",
                    127 => ", as of a command that is not found",
                    _ => "",
                };
                let message = format!(
                    "{name} ended with exit code {code}{hint}, and plugins end with 0 to 3{}",
                    self.explained(&spoken)
                );
                return Verdict::error(Reason::new(ReasonCode::PluginExit, message));
            }
            None => {
                let message = format!("{name} was ended by {}{}", self.signal(status), self.explained(&spoken));
                return Verdict::error(Reason::new(ReasonCode::PluginKilled, message));
            }
        };
        let mut findings = Findings::default();
        let (expr, highest) = match self.settings.warning {
            WarningMeans::Fail => ("exit code is 0", 0),
            WarningMeans::Pass => ("exit code is 0 or 1", 1),
        };
        let (reason, word) = match code {
            2 => (ReasonCode::PluginCritical, "critical"),
            1 => (ReasonCode::PluginWarning, "warning"),
            _ => (ReasonCode::PluginWarning, "ok"),
        };
        findings.note(reason, expr.to_owned(), code <= highest, format!("{code} ({word})"), |_| {
            format!("{name} reports {word}{}", self.explained(&spoken))
        });
        conclude(context, task, self.recorder, findings, || facts(code, word, &spoken))
    }

    /// The signal in words, with what it says about the limits.
    fn signal(&self, status: ExitStatus) -> String {
        let number = status.signal().unwrap_or(0);
        let limits = &self.settings.limits;
        let hint = match number {
            libc::SIGXCPU => format!(": it used up its {} s of processor time", limits.cpu_seconds),
            libc::SIGXFSZ => format!(": a file that it wrote became larger than {} MiB", limits.file_size_mib),
            _ => String::new(),
        };
        format!("the signal {}{hint}", signal_name(number))
    }

    fn evidence(&self) -> ExecEvidence {
        let Spoken { summary, rest, perfdata } = self.spoken();
        let Output { stdout, stderr, held_open } = &self.output;
        let excerpt = |text: &str| Some(cut(text, EXCERPT_BYTES_MAX)).filter(|text| !text.is_empty() && !self.passed);
        ExecEvidence {
            exit_code: self.ended.and_then(|status| status.code()),
            signal: self.ended.and_then(|status| status.signal()).map(signal_name),
            summary: Some(cut(&summary, EXCERPT_BYTES_MAX)).filter(|summary| !summary.is_empty()),
            output_excerpt: excerpt(&rest),
            stderr_excerpt: excerpt(&self.text(stderr)),
            stdout_bytes: stdout.bytes,
            stderr_bytes: stderr.bytes,
            truncated: stdout.is_cut() || stderr.is_cut(),
            output_held_open: *held_open,
            confined: self.confined.clone(),
            perfdata: perfdata.data,
            perfdata_passed_over: perfdata.passed_over,
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.recorder.of_type(TypeEvidence::Exec(self.evidence()));
    }
}

/// The performance data in what a plugin printed.
pub(crate) fn read_output(text: &str) -> Vec<watchpost_model::PerfDatum> {
    Spoken::read(text).perfdata.data
}

impl Spoken {
    /// The first line as the end of a sentence.
    fn quoted(&self) -> String {
        match self.summary.as_str() {
            "" => " and says nothing".to_owned(),
            summary => format!(": {}", watchpost_model::shorten(summary, QUOTED_CHARS_MAX)),
        }
    }
}

/// What expressions can ask, besides the metrics.
fn facts(code: i32, word: &str, spoken: &Spoken) -> serde_json::Value {
    serde_json::json!({ "exit_code": code, "state": word, "summary": spoken.summary, "output": spoken.rest })
}

fn cut(text: &str, bytes_max: usize) -> String {
    let text = text.trim_end();
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default().to_owned()
}

fn signal_name(number: i32) -> String {
    const NAMES: [(i32, &str); 16] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
    ];
    let known = NAMES.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("number {number}"), |(_, name)| (*name).to_owned())
}
