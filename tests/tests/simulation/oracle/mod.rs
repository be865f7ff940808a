//! What must hold of every simulation, whatever went wrong in it, judged from its log alone.
//!
//! **Guarantee 1.** A Checker *opens* a task when it tries to send it, or reports on it itself. It *settles* it by
//! its own result (which it decided on at that result's `finished_at`), or by the first Runner's result that
//! reaches it while the task is open. For every task that a Checker opened:
//! - it reports on it itself at most once, and never after an answer had reached it;
//! - it is settled by `answer_by`, on the Checker's own clock, unless the Checker's process was dead or stalled then,
//!   or the Checker was stopped and named the task as abandoned;
//! - the Checker's counters say the same: they count each task once, with the outcome that settled it.
//!
//! For every run: each of its endpoints has exactly one outcome, or one result stands for the whole run; its
//! verdict comes once, and follows from the settled outcomes by the run's rule. For every request: one result for
//! each task, in time, and then the end of the channel.
//!
//! For every job that reports in: what is told of it follows from its beats, in time. See [`beats`].
//!
//! **Guarantees 2, 3 and 6.** See [`runners`] and [`tasks`].

mod beats;
mod calm;
mod history;
mod requests;
mod runners;
mod runs;
mod tasks;

use std::collections::BTreeMap;

use self::history::History;
use super::log::Entry;
use super::plan::{Plan, S};

/// What does not hold.
#[derive(Default)]
pub struct Findings(pub Vec<String>);

impl Findings {
    fn unless(&mut self, holds: bool, found: impl FnOnce() -> String) {
        if !holds {
            self.0.push(found());
        }
    }
}

/// What was met on the way, by name: shows what the simulations reach.
pub type Met = BTreeMap<String, u64>;

/// Judges a simulation.
pub fn judge(plan: &Plan, entries: &[Entry], met: &mut Met) -> Findings {
    let mut findings = Findings::default();
    *met.entry("(simulated s)".to_owned()).or_default() += entries.last().map_or(0, |entry| entry.at / S);
    if plan.calm {
        *met.entry("(calm seeds)".to_owned()).or_default() += 1;
        calm::judge_dropped(plan, entries, &mut findings);
    }
    for process in History::of_all(plan, entries) {
        if process.has_checker() {
            let settled = tasks::judge(&process, &mut findings);
            for task in settled.values() {
                let told = if task.code.is_empty() { String::new() } else { format!("/{}", task.code) };
                *met.entry(format!("{}{told}", task.outcome)).or_default() += 1;
            }
            runs::judge(plan, &process, &settled, &mut findings);
            requests::judge(&process, &mut findings);
            beats::judge(plan, &process, &mut findings);
            if plan.calm {
                calm::judge(plan, &process, &settled, &mut findings);
            }
        }
        if process.has_runner() {
            runners::judge(plan, &process, &mut findings);
        }
    }
    findings
}
