//! What a program that was run left behind.

use serde::{Deserialize, Serialize};

/// What a program that was run did and said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExecEvidence {
    /// The code with which it ended; absent where a signal ended it, or nothing has yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, for example `SIGSEGV`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The first line that it printed, up to the performance data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The beginning of what else it printed; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_excerpt: Option<String>,
    /// The beginning of what it printed to stderr; only where the check did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr_excerpt: Option<String>,
    /// How many bytes it printed to stdout.
    pub stdout_bytes: u64,
    /// How many bytes it printed to stderr.
    pub stderr_bytes: u64,
    /// Whether it printed more than is looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Whether something that it left running, in a process group of its own, still held its output open
    /// when it had ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_held_open: bool,
    /// What kept it in its place: `limits`, `no_new_privs`, `no_capabilities`, `user` (it ran as the user of the policy), `landlock_files`
    /// (`landlock_files_but_truncate` before Linux 6.2), `landlock_ports`, `landlock_signals`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confined: Vec<String>,
    /// Its performance data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub perfdata: Vec<PerfDatum>,
    /// How many pieces of performance data were passed over: they could not be read, or were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub perfdata_passed_over: u32,
}

/// One piece of performance data, in base units: seconds, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PerfDatum {
    /// What was measured.
    pub label: String,
    /// The value; absent where the program could not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The unit: `seconds`, `bytes`, `percent`, `total` of what only counts up, or as the program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The range beyond which the program warns, as it wrote it, in the unit that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The range beyond which it is critical, as it wrote it, in the unit that it wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<String>,
    /// The least value there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value there can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
