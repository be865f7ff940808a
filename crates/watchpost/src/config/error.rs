//! Errors of a configuration file: where, which key, what was expected.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What is wrong with a file.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<Place>,
    /// The key at fault, as `checks[2].http.url`.
    key: Option<String>,
    message: String,
}

#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
    text: String,
}

impl ConfigError {
    /// An error of the file as a whole.
    pub fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), place: None, key: None, message: message.into() }
    }

    /// An error at a place in `text`, counted from 1.
    pub fn at(file: &Path, text: &str, (line, column): (usize, usize), key: Option<String>, message: String) -> Self {
        let place =
            (line > 0).then(|| Place { line, column, text: text.lines().nth(line - 1).unwrap_or_default().to_owned() });
        Self { file: file.to_owned(), place, key, message }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        f.write_str(": ")?;
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.message)?;
        let Some(Place { line, column, text }) = &self.place else { return Ok(()) };
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let shown = watchpost_model::shorten(text, 160);
        let caret = " ".repeat(column.saturating_sub(1).min(160));
        write!(f, "\n{margin} |\n{number} | {shown}\n{margin} | {caret}^")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}
