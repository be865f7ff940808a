//! `${secret:name}` in files, which stays as it is where environment variables are filled in: in plain scalars, the only
//! ones in which they are.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

const OPEN: &str = "${secret:";

/// A text in which each reference to a secret that stands in a plain scalar is one to a property of its own, whose value
/// is the reference. Everything stands where it stood.
#[derive(Debug)]
pub struct Shielded<'a> {
    pub text: Cow<'a, str>,
    /// The names of the properties, each with the reference that it stands for.
    references: Vec<(String, String)>,
}

impl<'a> Shielded<'a> {
    pub fn new(text: &'a str) -> Self {
        let mut shielded = Self { text: Cow::Borrowed(text), references: Vec::new() };
        if !text.contains(OPEN) {
            return shielded;
        }
        let (mut rewritten, mut done) = (String::with_capacity(text.len()), 0);
        // What cannot be read is told by whoever reads it next.
        for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
            let (Event::Scalar(_, ScalarStyle::Plain, ..), Some(range)) = (event, span.byte_range()) else { continue };
            let Some(scalar) = text.get(range.clone()).filter(|_| range.start >= done) else { continue };
            for (at, reference) in references(scalar) {
                let at = range.start + at;
                rewritten.push_str(text.get(done..at).unwrap_or_default());
                rewritten.push_str(&format!("${{{}}}", shielded.property(reference)));
                done = at + reference.len();
            }
        }
        rewritten.push_str(text.get(done..).unwrap_or_default());
        shielded.text = Cow::Owned(rewritten);
        shielded
    }

    /// The name of the property for `reference`, which takes as much room in its place.
    fn property(&mut self, reference: &str) -> String {
        if let Some((name, _)) = self.references.iter().find(|(_, known)| known == reference) {
            return name.clone();
        }
        let width = reference.chars().count().saturating_sub("${_}".len());
        let name = format!("_{:0width$}", self.references.len());
        self.references.push((name.clone(), reference.to_owned()));
        name
    }

    /// The properties to read the text with, those of `environment` among them.
    pub fn properties(&self, environment: &HashMap<String, String>) -> HashMap<String, String> {
        let mut properties = environment.clone();
        properties.extend(self.references.iter().cloned());
        properties
    }

    /// `message` about the text, as the file has it.
    pub fn restore(&self, message: String) -> String {
        let restore =
            |message: String, (name, reference): &(String, String)| message.replace(&format!("${{{name}}}"), reference);
        self.references.iter().fold(message, restore)
    }
}

/// The references in a scalar and what stands for the characters of one, each with its place.
fn references(scalar: &str) -> impl Iterator<Item = (usize, &str)> {
    scalar.match_indices(OPEN).filter_map(|(at, _)| {
        let end =
            at + scalar.get(at..)?.find(['}', '\n']).filter(|end| scalar.as_bytes().get(at + end) == Some(&b'}'))?;
        let is_escaped = scalar.get(..at)?.ends_with('$');
        let begin = at - usize::from(is_escaped);
        Some((begin, scalar.get(begin..=end)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_in_plain_scalars_are_properties_and_take_as_much_room() {
        let text = "a: Bearer ${secret:token} ${HOST}\nb: \"${secret:token}\"\nc: $${secret:x}\nd: ${secret:token}\n# ${secret:no}\n";
        let shielded = Shielded::new(text);
        let shown = shielded.text.lines().map(|line| line.contains("secret:")).collect::<Vec<_>>();
        assert_eq!(shown, [false, true, false, false, true], "{}", shielded.text);
        let widths = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
        assert_eq!(widths(&shielded.text), widths(text));
        let properties = shielded.properties(&HashMap::from([("HOST".to_owned(), "h".to_owned())]));
        let mut values: Vec<_> = properties.values().map(String::as_str).collect();
        values.sort_unstable();
        assert_eq!(values, ["$${secret:x}", "${secret:token}", "h"]);
        assert_eq!(shielded.restore(shielded.text.to_string()), text);
    }

    #[test]
    fn a_text_without_references_is_left_alone() {
        assert!(matches!(Shielded::new("a: ${HOST}").text, Cow::Borrowed(_)));
        for broken in ["a: ${secret:", "a: ${secret:x\n", "a: [${secret:x", "a: 'x\n${secret:x}"] {
            assert_eq!(Shielded::new(broken).text.len(), broken.len(), "{broken}");
        }
    }
}
