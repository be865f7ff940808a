//! A thread that prints, so that a terminal or pipe that is slow holds up nothing else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{mpsc, oneshot};
use watchpost_model::Outcome;

use super::item::Item;
use super::row::Lead;
use super::{detail, row};

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

/// Prints results and verdicts as they come in.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// How.
    pub format: Format,
    /// Whether to leave out what passed.
    pub quiet: bool,
    /// What rows begin with.
    pub lead: Lead,
    /// Whether rows of results are followed by everything that the result knows.
    pub verbose: bool,
    /// Whether to show on a terminal how far it is.
    pub progress: bool,
}

/// What there was, or why nothing more could be.
pub type Printed = std::io::Result<Tally>;

/// How many results there were, by outcome. Verdicts are not among them: they speak of the same tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    outcomes: [u64; Outcome::ALL.len()],
    /// Things that were asked for and did not pass, by the rules of their checks.
    not_passed: u64,
}

impl Tally {
    fn add(&mut self, item: Item<'_>) {
        match item {
            Item::Event(_) => {}
            Item::Result(result) => {
                if let Some(i) = Outcome::ALL.iter().position(|o| *o == result.outcome) {
                    self.outcomes[i] += 1;
                }
            }
            Item::Verdict(_) => {}
            Item::Over { passed } => self.not_passed += u64::from(!passed),
        }
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Whether everything that was asked for passed.
    pub fn all_passed(&self) -> bool {
        self.not_passed == 0
    }
}

impl std::fmt::Display for Tally {
    /// `3 pass, 1 fail`, leaving out what did not occur.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (outcome, n) in Outcome::ALL.iter().zip(self.outcomes).filter(|(_, n)| *n > 0) {
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
    pub fn start<T>(self, items: mpsc::Receiver<T>) -> std::io::Result<oneshot::Receiver<Printed>>
    where
        T: Send + 'static,
        for<'a> Item<'a>: From<&'a T>,
    {
        let (done, printed) = oneshot::channel();
        std::thread::Builder::new().name("print".into()).spawn(move || {
            let _gone = done.send(self.print(items));
        })?;
        Ok(printed)
    }

    fn print<T>(self, mut items: mpsc::Receiver<T>) -> std::io::Result<Tally>
    where
        for<'a> Item<'a>: From<&'a T>,
    {
        let terminal = std::io::stdout().is_terminal();
        let mut out = std::io::BufWriter::with_capacity(OUT_BYTES, std::io::stdout().lock());
        let progress = self.progress_bar();
        let mut tally = Tally::default();
        let mut text = String::new();
        if self.format == Format::Array {
            out.write_all(b"[")?;
        }
        let mut printed = 0u64;
        let mut batch = Vec::with_capacity(BATCH);
        let mut pace = Pace::new(terminal);
        while pace.next(&mut items, &mut batch) {
            progress.suspend(|| {
                for item in batch.drain(..) {
                    let item = Item::from(&item);
                    tally.add(item);
                    if !item.is_printed(self.quiet) {
                        continue;
                    }
                    text.clear();
                    self.write(&mut text, item, terminal, printed == 0)?;
                    out.write_all(text.as_bytes())?;
                    printed += 1;
                }
                out.flush()
            })?;
            if !progress.is_hidden() {
                progress.set_message(tally.to_string());
            }
        }
        if self.format == Format::Array {
            out.write_all(if printed == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        out.flush()?;
        progress.finish_and_clear();
        Ok(tally)
    }

    fn write(self, text: &mut String, item: Item<'_>, colour: bool, first: bool) -> std::io::Result<()> {
        match (self.format, item) {
            (Format::Rows, Item::Result(result)) => {
                row::write_result(text, result, colour, self.lead);
                if self.verbose {
                    detail::write_detail(text, result, colour);
                }
            }
            (Format::Rows, Item::Verdict(verdict)) => row::write_verdict(text, verdict, colour, self.lead),
            (Format::Rows, Item::Event(event)) => row::write_event(text, event, colour, self.lead),
            (_, Item::Over { .. }) => {}
            (Format::Array, item) => {
                text.push_str(if first { "\n" } else { ",\n" });
                text.push_str(&item.json()?);
            }
            (Format::Lines, item) => {
                text.push_str(&item.json()?);
                text.push('\n');
            }
        }
        Ok(())
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

/// How many bytes are written at once.
const OUT_BYTES: usize = 64 * 1024;
/// How much is printed between two looks at what else has come in.
const BATCH: usize = 256;
/// How long what comes in fast is left to gather. A thread that waits is woken for each item, and
/// waking it costs the one who sends about as much as sending. It stays well below what a reader of
/// a pipe would notice.
const GATHER: Duration = Duration::from_millis(5);
/// From how many items on what comes in fast is left to gather: a few are printed without delay.
const GATHER_FROM: usize = 64;

/// When to look at what has come in. On a terminal rows appear at once.
struct Pace {
    terminal: bool,
    /// How many items came in so far, and how long the last were waited for.
    seen: usize,
    waited: Duration,
}

impl Pace {
    fn new(terminal: bool) -> Self {
        Self { terminal, seen: 0, waited: Duration::MAX }
    }

    /// Waits for what comes next; `false` when there is nothing more to come.
    fn next<T>(&mut self, items: &mut mpsc::Receiver<T>, batch: &mut Vec<T>) -> bool {
        let fast = self.seen >= GATHER_FROM && self.waited < GATHER;
        if fast && !self.terminal && items.len() < BATCH && !items.is_closed() {
            std::thread::sleep(GATHER);
        }
        let begun = Instant::now();
        let n = items.blocking_recv_many(batch, BATCH);
        self.waited = begun.elapsed();
        self.seen = self.seen.saturating_add(n);
        n > 0
    }
}
