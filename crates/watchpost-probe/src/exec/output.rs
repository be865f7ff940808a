//! What a plugin prints: a line of text, more text below it, and performance data after a `|` in
//! either.

use super::perfdata::PerfData;

/// What a plugin printed, taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Spoken {
    /// The first line, up to its performance data.
    pub(super) summary: String,
    /// The lines below it, up to theirs.
    pub(super) rest: String,
    pub(super) perfdata: PerfData,
}

impl Spoken {
    /// Takes `text` apart.
    pub(super) fn read(text: &str) -> Self {
        // A plugin that begins with an empty line has something to say all the same.
        let text = text.trim_start_matches(['\r', '\n']);
        let (first, below) = text.split_once('\n').unwrap_or((text, ""));
        let (summary, mut perfdata) = match first.split_once('|') {
            Some((summary, perfdata)) => (summary, perfdata.to_owned()),
            None => (first, String::new()),
        };
        let rest = match below.split_once('|') {
            // From the first bar on, everything is performance data.
            Some((rest, more)) => {
                perfdata.push(' ');
                perfdata.push_str(more);
                rest
            }
            None => below,
        };
        // A quote that is never closed on its line would make a label of several.
        let perfdata = perfdata.replace(['\r', '\n'], " ");
        Self {
            summary: summary.trim().to_owned(),
            rest: rest.trim_end().to_owned(),
            perfdata: PerfData::read(&perfdata),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, summary: &str, rest: &str, labels: &[&str]) {
        let spoken = Spoken::read(text);
        let read: Vec<&str> = spoken.perfdata.data.iter().map(|datum| datum.label.as_str()).collect();
        assert_eq!((spoken.summary.as_str(), spoken.rest.as_str(), read.as_slice()), (summary, rest, labels), "{text}");
    }

    #[test]
    fn text_and_performance_data_are_told_apart() {
        reads("", "", "", &[]);
        reads("OK", "OK", "", &[]);
        reads("OK - fine | a=1 b=2\n", "OK - fine", "", &["a", "b"]);
        reads("OK |a=1\nline 1\nline 2 | b=2\nc=3\nd=4\n", "OK", "line 1\nline 2", &["a", "b", "c", "d"]);
        reads("OK\nline 1\n|b=2\n", "OK", "line 1", &["b"]);
        reads("\r\nOK | a=1\r\nmore\r\n", "OK", "more", &["a"]);
        reads("|a=1", "", "", &["a"]);
        reads("OK\nmore|'a\nb'=1", "OK", "more", &["a b"]);
    }
}
