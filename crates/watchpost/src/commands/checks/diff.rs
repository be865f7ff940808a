//! What changes of a check, line by line.

use similar::{ChangeTag, TextDiff};

use super::plan::Change;
use super::yaml::{Mask, yaml};
use crate::failure::Failure;
use crate::output::Tone;

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 3;

/// A unified diff of what the store holds and what it is to hold, without secrets.
///
/// # Errors
/// When one cannot be written as YAML, which is a defect.
pub fn unified(change: &Change, colour: bool) -> Result<String, Failure> {
    let mut mask = Mask::default();
    let old = match &change.old {
        None => String::new(),
        Some(Ok(document)) => mask.hide(&yaml(document)?),
        Some(Err(error)) => format!("# what is stored cannot be read: {}\n", watchpost_model::shorten(error, 300)),
    };
    let new = match &change.new {
        None => String::new(),
        Some(document) => mask.hide(&yaml(document)?),
    };
    let diff = TextDiff::from_lines(&old, &new);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        push(&mut text, &hunk.header().to_string(), Tone::Dim, colour);
        for line in hunk.iter_changes() {
            let (sign, tone) = match line.tag() {
                ChangeTag::Equal => (' ', Tone::Plain),
                ChangeTag::Delete => ('-', Tone::Bad),
                ChangeTag::Insert => ('+', Tone::Good),
            };
            push(&mut text, &format!("{sign}{}", line.value().trim_end_matches('\n')), tone, colour);
        }
    }
    Ok(text)
}

fn push(text: &mut String, line: &str, tone: Tone, colour: bool) {
    text.push_str("  ");
    text.push_str(&tone.paint(line, colour));
    text.push('\n');
}
