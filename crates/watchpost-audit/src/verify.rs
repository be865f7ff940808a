//! Whether a log is as it was written: what was removed, changed or put in, and where.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::AuditError;
use crate::entry::{self, Head, Link};
use crate::tail::{Line, Lines};

/// How many problems are named. More are counted.
pub const PROBLEMS_MAX: usize = 100;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many lines are entries.
    pub entries: u64,
    /// The first of them.
    pub first: Option<Head>,
    /// The last one that is as it was written. Whether others came after it only somebody can tell who knows a later one.
    pub last: Option<Head>,
    /// What is not as it was written, in the order of the log, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// How many problems are not named.
    pub more_problems: u64,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1 on.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

/// Verifies the files of one log, in whatever order they are named. `known` is an entry that must be among them, as
/// somebody else has seen it: in a heartbeat, for example. Without one nobody can tell whether the last entries were cut
/// off, or the whole log was written anew.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(files: &[PathBuf], known: Option<Head>) -> Result<Verified, AuditError> {
    let mut verifier = Verifier { known, ..Verifier::default() };
    for path in in_order(files)? {
        let unreadable = |source| AuditError::Unreadable { path: path.clone(), source };
        verifier.read(path, &File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    }
    verifier.look_for_known();
    Ok(verifier.found)
}

/// Hands over each line of the files of one log, in the order of the log, if it is text. Whether they are as they were
/// written is another question.
///
/// # Errors
/// When a file cannot be read.
pub fn read_entries(files: &[PathBuf], mut each: impl FnMut(&str)) -> Result<(), AuditError> {
    for path in in_order(files)? {
        let unreadable = |source| AuditError::Unreadable { path: path.clone(), source };
        let file = File::open(path).map_err(unreadable)?;
        let mut lines = Lines::new(&file);
        while let Some(line) = lines.next().map_err(unreadable)? {
            if let Line::Whole(line) = line
                && let Ok(text) = std::str::from_utf8(line)
            {
                each(text);
            }
        }
    }
    Ok(())
}

fn in_order(files: &[PathBuf]) -> Result<Vec<&PathBuf>, AuditError> {
    let mut ordered = Vec::new();
    for path in files {
        let unreadable = |source| AuditError::Unreadable { path: path.clone(), source };
        let file = File::open(path).map_err(unreadable)?;
        // One without any entry was begun last, and nothing has been written to it yet.
        ordered.push((first_entry(&file).map_err(unreadable)?.unwrap_or(u64::MAX), path));
    }
    ordered.sort();
    ordered.dedup();
    Ok(ordered.into_iter().map(|(_, path)| path).collect())
}

/// The number of the first line that is an entry, by which files are put in order.
fn first_entry(file: &File) -> std::io::Result<Option<u64>> {
    let mut lines = Lines::new(file);
    while let Some(line) = lines.next()? {
        if let Line::Whole(line) = line
            && let Some(link) = entry::link(line)
        {
            return Ok(Some(link.head.seq));
        }
    }
    Ok(None)
}

#[derive(Default)]
struct Verifier {
    found: Verified,
    /// What must be among the entries, until it is found.
    known: Option<Head>,
    /// Where the last line is.
    at: Option<(PathBuf, u64)>,
    /// The entry before, whether as it was written or not, and where it is.
    before: Option<(Head, PathBuf, u64)>,
}

impl Verifier {
    fn read(&mut self, path: &PathBuf, file: &File) -> std::io::Result<()> {
        let mut lines = Lines::new(file);
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += 1;
            self.at = Some((path.clone(), number));
            match line {
                Line::Whole(line) => match entry::link(line) {
                    Some(link) => self.entry(path, number, link),
                    None => self.problem(path, number, "this line is not an entry: it was changed or put in"),
                },
                Line::TooLong => self.problem(path, number, "this line is longer than any entry: it was put in"),
                Line::Cut => self.problem(path, number, "this line was cut off"),
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &PathBuf, number: u64, link: Link) {
        let Link { head, prev, is_whole } = link;
        self.found.entries += 1;
        self.found.first.get_or_insert(head);
        if !is_whole {
            self.problem(
                path,
                number,
                "this entry was changed after it was written: its hash is that of other content",
            );
        }
        if let Some((before, file, line)) = self.before.take() {
            let follows = prev == before.hash;
            let there =
                || if file == *path { format!("line {line}") } else { format!("{} line {line}", file.display()) };
            let seq = head.seq;
            let what = match seq.checked_sub(before.seq) {
                Some(1) if follows => None,
                Some(1) => Some(format!(
                    "entry {seq} does not follow the one in {}: that one or this one was replaced by another",
                    there()
                )),
                Some(0) | None => Some(format!(
                    "entry {seq} comes after entry {} in {}: one of them was put in, or lines were moved",
                    before.seq,
                    there()
                )),
                Some(2) => Some(format!("entry {} was removed before this one", seq - 1)),
                Some(_) => Some(format!("the entries {} to {} were removed before this one", before.seq + 1, seq - 1)),
            };
            if let Some(what) = what {
                self.problem(path, number, &what);
            }
        }
        if let Some(known) = self.known.take_if(|known| known.seq == head.seq)
            && known != head
        {
            let what =
                format!("entry {} is another than the one that was seen elsewhere: the log was rewritten", known.seq);
            self.problem(path, number, &what);
        }
        if is_whole {
            self.found.last = Some(head);
        }
        self.before = Some((head, path.clone(), number));
    }

    fn look_for_known(&mut self) {
        let Some(known) = self.known.take() else { return };
        let (path, line) = self.at.take().unwrap_or_default();
        let what = match self.found.last {
            Some(last) if last.seq < known.seq => format!(
                "the log ends here with entry {}, but entry {} was seen elsewhere: what came after was removed",
                last.seq, known.seq
            ),
            Some(_) => format!("entry {} was seen elsewhere, and is not among these files", known.seq),
            None => format!("entry {} was seen elsewhere, but there is no entry at all", known.seq),
        };
        self.problem(&path, line, &what);
    }

    fn problem(&mut self, path: &Path, line: u64, what: &str) {
        if self.found.problems.len() < PROBLEMS_MAX {
            self.found.problems.push(Problem { file: path.to_owned(), line, what: what.to_owned() });
        } else {
            self.found.more_problems += 1;
        }
    }
}
