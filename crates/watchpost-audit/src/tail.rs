//! How a file of a log ends, and where it begins.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use crate::entry::{self, ENTRY_BYTES_MAX, Head, Link};

/// How a file ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nothing is in it.
    Empty,
    /// Its last line is an entry. `cut` bytes behind it are a line without an end.
    Entry { head: Head, cut: u64 },
    /// Its last line is none, or is altered.
    Strange,
}

/// Looks at the end of a file of `len` bytes.
pub(crate) fn tail(file: &File, len: u64) -> io::Result<Tail> {
    if len == 0 {
        return Ok(Tail::Empty);
    }
    // Two lines: a whole one, and one that was cut off.
    let from = len.saturating_sub(2 * ENTRY_BYTES_MAX as u64 + 2);
    let mut end = vec![0; usize::try_from(len - from).unwrap_or_default()];
    file.read_exact_at(&mut end, from)?;
    let Some(last) = end.iter().rposition(|byte| *byte == b'\n') else {
        // The first line of all, cut off, is cut away; anything else is not ours to remove.
        let is_cut = from == 0 && end.len() <= ENTRY_BYTES_MAX;
        return Ok(if is_cut { Tail::Entry { head: Head::NONE, cut: len } } else { Tail::Strange });
    };
    let cut = (end.len() - 1 - last) as u64;
    let begin = end[..last].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
    Ok(match entry::link(&end[begin..last]) {
        Some(Link { head, is_whole: true, .. }) if cut <= ENTRY_BYTES_MAX as u64 => Tail::Entry { head, cut },
        _ => Tail::Strange,
    })
}

/// The last entry of a file that is as it was written, wherever it is.
pub(crate) fn last_whole(file: &File) -> io::Result<Option<Head>> {
    let mut last = None;
    let mut lines = Lines::new(file);
    while let Some(line) = lines.next()? {
        if let Line::Whole(line) = line
            && let Some(Link { head, is_whole: true, .. }) = entry::link(line)
        {
            last = Some(head);
        }
    }
    Ok(last)
}

/// The number of a file's first entry.
pub(crate) fn first_seq(file: &File) -> io::Result<Option<u64>> {
    let mut line = vec![0; ENTRY_BYTES_MAX + 1];
    let mut read = 0;
    while read < line.len() {
        match file.read_at(&mut line[read..], read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    let end = line[..read].iter().position(|byte| *byte == b'\n');
    Ok(end.and_then(|end| entry::link(&line[..end])).map(|link| link.head.seq))
}

/// The lines of a file, each bounded.
pub(crate) struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
}

/// One of them.
pub(crate) enum Line<'a> {
    /// Without its end.
    Whole(&'a [u8]),
    /// The last one, which has no end.
    Cut,
    /// Longer than any entry.
    TooLong,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from: BufReader::with_capacity(64 * 1024, from), line: Vec::new() }
    }

    /// The next one, if there is one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let bound = ENTRY_BYTES_MAX as u64 + 1;
        let read = (&mut self.from).take(bound).read_until(b'\n', &mut self.line)?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(Line::Whole(&self.line)));
        }
        if read == 0 {
            return Ok(None);
        }
        if (read as u64) < bound {
            return Ok(Some(Line::Cut));
        }
        self.from.skip_until(b'\n')?;
        Ok(Some(Line::TooLong))
    }
}
