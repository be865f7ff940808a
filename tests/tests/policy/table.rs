//! Tables of checks, and what the policy says of each.

use std::collections::BTreeMap;
use std::path::Path;

use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::process::{Launch, PERMISSIVE, SOON};

use crate::trap::Trap;

/// A policy under which everything on loopback is permitted but 127.9.0.0/16 and ::1.
pub const INNER: &str = "special: {loopback: allow}\n\
                         rules: [{name: no-inner, deny: {networks: [127.9.0.0/16, '::1']}}]\n\
                         default: allow\n";

/// One check. In its text `{trap}` is the port of a trap of its own, and other words are those of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    id: &'static str,
    check: &'static str,
    fate: Fate,
    /// Whether the trap catches it where there is no policy.
    is_caught: bool,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Refused, in a sentence that has this part.
    Denied(&'static str),
    /// It gets to the trap.
    Permitted,
}

/// A check that the policy refuses, in a sentence that has the part `told`.
pub const fn denied(id: &'static str, told: &'static str, check: &'static str) -> Row {
    Row { id, check, fate: Fate::Denied(told), is_caught: true }
}

/// The same, where there is nowhere to get to from here without a policy either.
pub const fn denied_nowhere(id: &'static str, told: &'static str, check: &'static str) -> Row {
    Row { id, check, fate: Fate::Denied(told), is_caught: false }
}

/// A check that the policy permits.
pub const fn permitted(id: &'static str, check: &'static str) -> Row {
    Row { id, check, fate: Fate::Permitted, is_caught: true }
}

/// Rows that are checked together.
pub struct Table<'a> {
    pub policy: &'a str,
    /// What stands in the configuration before the checks.
    pub head: String,
    /// What words stand for. `{folder}` is the working directory.
    pub words: Vec<(&'static str, String)>,
    /// Makes files in the working directory.
    pub prepare: fn(&Path),
    pub rows: &'a [Row],
}

impl<'a> Table<'a> {
    pub fn new(policy: &'a str, rows: &'a [Row]) -> Self {
        Self { policy, head: String::new(), words: Vec::new(), prepare: |_| {}, rows }
    }

    /// Runs every row under the policy, and those that would get somewhere without one as well.
    pub async fn hold(&self) {
        let mut traps = BTreeMap::new();
        for row in self.rows {
            assert!(traps.insert(row.id, Trap::start().await).is_none(), "{} is there twice", row.id);
        }
        let results = self.run(self.policy, self.rows, &traps).await;
        let mut wrong = Vec::new();
        for row in self.rows {
            let trap = &traps[row.id];
            let caught = if row.is_denied() { trap.count().await } else { usize::from(trap.catches().await) };
            let of_row: Vec<_> = results.iter().filter(|result| result.check.as_str() == row.id).collect();
            wrong.extend(row.fault(&of_row, caught).map(|fault| format!("{}: {fault}: {of_row:#?}", row.id)));
        }
        assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), self.rows.len(), wrong.join("\n"));

        let open: Vec<Row> = self.rows.iter().filter(|row| row.is_denied() && row.is_caught).copied().collect();
        if open.is_empty() {
            return;
        }
        let results = self.run(PERMISSIVE, &open, &traps).await;
        for row in &open {
            let of_row: Vec<_> = results.iter().filter(|result| result.check.as_str() == row.id).collect();
            assert!(traps[row.id].catches().await, "{} is caught by nothing: {of_row:#?}", row.id);
        }
    }

    async fn run(&self, policy: &str, rows: &[Row], traps: &BTreeMap<&str, Trap>) -> Vec<TaskResult> {
        let launch = Launch::new("check").args(&["-o", "ndjson", "--timeout", "4s"]);
        (self.prepare)(launch.folder());
        let folder = launch.folder().display().to_string();
        let filled = |text: &str, port: u16| {
            let text = text.replace("{trap}", &port.to_string()).replace("{folder}", &folder);
            self.words.iter().fold(text, |text, (word, meaning)| text.replace(word, meaning))
        };
        let mut config = format!("{}\nchecks:\n", filled(&self.head, 0));
        for row in rows {
            config += &format!("- {{id: {}, {}}}\n", row.id, filled(row.check, traps[row.id].port()));
        }
        let mut check = launch.policy(&filled(policy, 0)).config(&config).start();
        let code = check.ended(SOON * 2).await;
        assert!(matches!(code, 0 | 1), "{code}: {}\n{config}", check.stderr());
        check.results()
    }
}

impl Row {
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// The same, where it gets nowhere without a policy either.
    pub fn nowhere(self) -> Self {
        Self { is_caught: false, ..self }
    }

    pub fn is_denied(&self) -> bool {
        matches!(self.fate, Fate::Denied(_))
    }

    /// What is wrong with how the check ended.
    fn fault(&self, results: &[&TaskResult], caught: usize) -> Option<String> {
        if results.is_empty() {
            return Some("has no result".to_owned());
        }
        let Fate::Denied(told) = self.fate else {
            return (caught == 0).then(|| "does not get there".to_owned());
        };
        if caught > 0 {
            return Some(format!("got to where it may not go {caught} times"));
        }
        let is_as_told = |result: &&TaskResult| {
            let reason = result.reason.as_ref();
            result.outcome == Outcome::Cancelled
                && reason.is_some_and(|reason| reason.code.as_str() == "policy_denied" && reason.message.contains(told))
        };
        (!results.iter().all(is_as_told)).then(|| format!("is not refused with `{told}`"))
    }
}
