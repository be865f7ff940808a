//! Rows with as many columns as they need, for what is known as a whole before it is printed.

use std::io::{IsTerminal, Write};

use watchpost_model::shorten;

/// How much of one value is shown, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// What a value says at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As any text.
    Plain,
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// To be looked at.
    Doubtful,
    /// Of less weight.
    Dim,
}

impl Tone {
    fn colour(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Doubtful => "\x1b[33m",
            Self::Dim => "\x1b[2m",
        }
    }

    /// The text in its colour, where there are colours.
    pub fn paint(self, text: &str, colour: bool) -> String {
        if colour && self != Self::Plain { format!("{}{text}\x1b[0m", self.colour()) } else { text.to_owned() }
    }
}

/// One value.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A value with a tone. What a peer may have made is shown as a terminal may show it.
    pub fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: shorten(text.as_ref(), VALUE_CHARS_MAX).into_owned(), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// A table.
#[derive(Debug, Default)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// How it is printed: columns as wide as their widest value, the last one as it is, and nothing at all where there
    /// are no rows.
    pub fn text(&self, colour: bool) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        let width = |column: usize| {
            let values = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
            values.chain(self.head.get(column).map(|head| head.len())).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let head = self.head.iter().map(|head| Cell::new(head, Tone::Dim)).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let space = " ".repeat(width.saturating_sub(cell.text.chars().count()) + 2);
                line.push_str(&cell.tone.paint(&cell.text, colour));
                line.push_str(&space);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Prints it.
    ///
    /// # Errors
    /// When stdout does not take it.
    pub fn print(&self) -> std::io::Result<()> {
        print(&self.text(std::io::stdout().is_terminal()))
    }
}

/// Puts text on stdout. Nobody reading any more is no error: there is nothing left to say.
///
/// # Errors
/// When stdout does not take it.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints objects as one JSON array, or one a line.
///
/// # Errors
/// When stdout does not take them.
pub fn print_objects(
    objects: impl IntoIterator<Item = serde_json::Value>,
    format: crate::cli::ListFormat,
) -> std::io::Result<()> {
    let mut text = String::new();
    if format == crate::cli::ListFormat::Ndjson {
        objects.into_iter().for_each(|object| text.push_str(&format!("{object}\n")));
        return print(&text);
    }
    text.push('[');
    for (i, object) in objects.into_iter().enumerate() {
        text.push_str(if i == 0 { "\n" } else { ",\n" });
        text.push_str(&object.to_string());
    }
    text.push_str(if text.len() > 1 { "\n]\n" } else { "]\n" });
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_and_colours_do_not_count() {
        let mut table = Table::new(&["ID", "STATE", "NOTE"]);
        table.row(["a-long-id".into(), Cell::new("up", Tone::Good), "".into()]);
        table.row(["b".into(), Cell::new("down", Tone::Bad), "ge\u{7}klingelt".into()]);
        let plain = "ID         STATE  NOTE\na-long-id  up\nb          down   ge\\u{7}klingelt\n";
        assert_eq!(table.text(false), plain);
        let coloured = table.text(true);
        assert!(coloured.contains("\x1b[31mdown\x1b[0m   ge"), "{coloured:?}");
        assert_eq!(Table::new(&["ID"]).text(true), "");
    }
}
