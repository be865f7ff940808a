//! Where in a file the keys of its checks stand: looked for only once one of them is at fault.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Options, Spanned};

/// The line and column, from 1, of what `key` names, such as `checks[2].expect.that[0]`, or of what lies `offset` bytes
/// within its text. Where the file does not have it, those of what is nearest around it. `None` if the file cannot be
/// read at all.
pub fn find(text: &str, options: Options, key: &str, offset: usize) -> Option<(usize, usize)> {
    let file: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).ok()?;
    let mut node = &file;
    for step in steps(key) {
        match node.value.inner(step) {
            Some(inner) => node = inner,
            None => break,
        }
    }
    let place = place_of(node.referenced);
    let within = match &node.value {
        Node::Text(value) => place_within(text, place, value.get(..offset)?),
        _ => None,
    };
    Some(within.unwrap_or(place))
}

/// Line and column, from 1.
pub fn place_of(location: Location) -> (usize, usize) {
    let number = |n: u64| usize::try_from(n).unwrap_or(0);
    (number(location.line()), number(location.column()))
}

/// Where a text that begins at a place goes on after `before`; `None` where the file does not have it as it is, but with
/// escapes or folded.
fn place_within(text: &str, (line, column): (usize, usize), before: &str) -> Option<(usize, usize)> {
    let (above, last) =
        before.rsplit_once('\n').map_or((0, before), |(above, last)| (above.matches('\n').count() + 1, last));
    let line = line + above;
    let written = text.lines().nth(line.checked_sub(1)?)?;
    let start = match above {
        0 => column.checked_sub(1)?,
        _ => written.chars().take_while(|c| *c == ' ').count(),
    };
    let written: String = written.chars().skip(start).collect();
    let unquoted = written.strip_prefix(['"', '\'']).filter(|_| above == 0);
    let quote = usize::from(unquoted.is_some());
    let as_it_is = unquoted.unwrap_or(&written).starts_with(last);
    (!before.is_empty() && as_it_is).then(|| (line, start + 1 + quote + last.chars().count()))
}

/// A part of a key.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(key: &str) -> impl Iterator<Item = Step<'_>> {
    key.split(['.', '[']).map(|part| match part.strip_suffix(']').and_then(|index| index.parse().ok()) {
        Some(index) => Step::Index(index),
        None => Step::Key(part),
    })
}

/// Any value, with the places of those within it.
enum Node {
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Text(String),
    Other,
}

impl Node {
    fn inner(&self, step: Step<'_>) -> Option<&Spanned<Node>> {
        match (self, step) {
            (Self::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, inner)| inner)
            }
            (Self::List(entries), Step::Index(index)) => entries.get(index),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        Ok(Node::List(entries))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }
}
