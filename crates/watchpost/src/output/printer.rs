//! A thread that prints, so that a terminal or pipe that is slow holds up nothing else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{mpsc, oneshot};
use watchpost_model::{Outcome, TaskResult};

use super::row;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned rows.
    Rows,
    /// One JSON array.
    Array,
    /// One JSON object a line.
    Lines,
}

/// Prints results as they come in.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// How.
    pub format: Format,
    /// Whether to leave out what passed.
    pub quiet: bool,
    /// Whether rows begin with the time of day.
    pub clock: bool,
    /// Whether to show on a terminal how far it is.
    pub progress: bool,
}

/// What was printed, or why nothing more could be.
pub type Printed = std::io::Result<Tally>;

/// What was printed, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally([u64; Outcome::ALL.len()]);

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        if let Some(i) = Outcome::ALL.iter().position(|o| *o == outcome) {
            self.0[i] += 1;
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether everything passed.
    pub fn all_passed(&self) -> bool {
        self.total() == self.0[0]
    }
}

impl std::fmt::Display for Tally {
    /// `3 pass, 1 fail`, leaving out what did not occur.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (outcome, n) in Outcome::ALL.iter().zip(self.0).filter(|(_, n)| *n > 0) {
            write!(f, "{}{n} {outcome}", if first { "" } else { ", " })?;
            first = false;
        }
        if first {
            f.write_str("no results")?;
        }
        Ok(())
    }
}

impl Printer {
    /// Prints until the channel closes. Ends early when nobody reads stdout any more.
    ///
    /// What comes out tells how it ended; it is closed without a word if the thread panicked. Nothing
    /// ever has to wait for the thread itself, which a terminal or pipe may hold up for as long as it likes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, results: mpsc::Receiver<TaskResult>) -> std::io::Result<oneshot::Receiver<Printed>> {
        let (done, printed) = oneshot::channel();
        std::thread::Builder::new().name("print".into()).spawn(move || {
            let _gone = done.send(self.print(results));
        })?;
        Ok(printed)
    }

    fn print(self, mut results: mpsc::Receiver<TaskResult>) -> std::io::Result<Tally> {
        let terminal = std::io::stdout().is_terminal();
        // Rows on a terminal appear at once; into a file or pipe they go in blocks, but not late.
        let mut out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
        let mut flushed_at = Instant::now();
        let progress = self.progress_bar();
        let mut tally = Tally::default();
        let mut text = String::new();
        if self.format == Format::Array {
            out.write_all(b"[")?;
        }
        let mut printed = 0u64;
        while let Some(result) = next(&mut results, &mut out, &mut flushed_at)? {
            tally.add(result.outcome);
            if !progress.is_hidden() {
                progress.set_message(tally.to_string());
            }
            if self.quiet && result.outcome == Outcome::Pass {
                continue;
            }
            text.clear();
            match self.format {
                Format::Rows => row::write(&mut text, &result, terminal, self.clock),
                Format::Array => {
                    text.push_str(if printed == 0 { "\n" } else { ",\n" });
                    text.push_str(&serde_json::to_string(&result)?);
                }
                Format::Lines => {
                    text.push_str(&serde_json::to_string(&result)?);
                    text.push('\n');
                }
            }
            printed += 1;
            if terminal {
                progress.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
            } else {
                out.write_all(text.as_bytes())?;
            }
        }
        if self.format == Format::Array {
            out.write_all(if printed == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        out.flush()?;
        progress.finish_and_clear();
        Ok(tally)
    }

    fn progress_bar(&self) -> ProgressBar {
        if !self.progress || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// The longest time that a printed line may stay in the buffer.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The next result; what is buffered goes out before waiting for it.
fn next(
    results: &mut mpsc::Receiver<TaskResult>,
    out: &mut impl Write,
    flushed_at: &mut Instant,
) -> std::io::Result<Option<TaskResult>> {
    if let Ok(result) = results.try_recv() {
        if flushed_at.elapsed() >= FLUSH_EVERY {
            out.flush()?;
            *flushed_at = Instant::now();
        }
        return Ok(Some(result));
    }
    out.flush()?;
    *flushed_at = Instant::now();
    Ok(results.blocking_recv())
}
