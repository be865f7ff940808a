//! Takes a text apart into tokens.

use crate::error::{CompileError, Span};
use crate::text::{quoted, shortened};

/// A piece of the text that means something.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Name,
    /// Without its sign, which is an operator.
    Int(u64),
    Double(f64),
    String(String),
    /// An operator, a bracket, or one of the words `in`, `true`, `false`, `null`.
    Symbol(&'static str),
    End,
}

const WORDS: [&str; 4] = ["in", "true", "false", "null"];
/// The longer ones first.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// All tokens of `source`, the last being [`Kind::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, CompileError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let is_end = token.kind == Kind::End;
        tokens.push(token);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Takes characters as long as `wanted` holds for them.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&self, start: usize, kind: Kind) -> Token {
        Token { kind, span: Span { start, end: self.at } }
    }

    /// A fault that reaches from `start` to where the lexer is.
    fn error<T>(&self, start: usize, message: impl Into<String>) -> Result<T, CompileError> {
        Err(CompileError::new(self.source, Span { start, end: self.at }, message))
    }

    fn next(&mut self) -> Result<Token, CompileError> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.token(start, Kind::End)) };
        let second = rest.chars().nth(1);
        match first {
            'r' | 'R' if matches!(second, Some('"' | '\'')) => {
                self.at += 1;
                self.string(start, true)
            }
            'b' | 'B' if matches!(second, Some('"' | '\'')) => {
                self.at += 2;
                self.error(start, "there are no byte strings here: expected a text without the `b` before it")
            }
            '"' | '\'' => self.string(start, false),
            '0'..='9' => self.number(start),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(start),
            '_' | 'a'..='z' | 'A'..='Z' => {
                let name = self.take_while(|c| c == '_' || c.is_ascii_alphanumeric());
                let word = WORDS.into_iter().find(|word| *word == name);
                Ok(self.token(start, word.map_or(Kind::Name, Kind::Symbol)))
            }
            _ => self.symbol(start, first),
        }
    }

    fn symbol(&mut self, start: usize, first: char) -> Result<Token, CompileError> {
        let rest = self.rest();
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            self.at += symbol.len();
            return Ok(self.token(start, Kind::Symbol(symbol)));
        }
        self.at += first.len_utf8();
        match first {
            '=' => self.error(start, "`=` is not an operator: expected `==`"),
            '&' => self.error(start, "`&` is not an operator: expected `&&`"),
            '|' => self.error(start, "`|` is not an operator: expected `||`"),
            other => self.error(start, format!("{} has no meaning here", quoted(&other.to_string()))),
        }
    }

    fn number(&mut self, start: usize) -> Result<Token, CompileError> {
        if let Some(digits) = self.rest().strip_prefix("0x").or_else(|| self.rest().strip_prefix("0X")) {
            self.at += 2;
            self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            let digits = digits.get(..self.at - start - 2).unwrap_or_default();
            return match u64::from_str_radix(digits, 16) {
                Ok(value) => Ok(self.token(start, Kind::Int(value))),
                Err(_) => self.error(start, format!("{} is not a number of 64 bits", self.shown(start))),
            };
        }
        self.take_while(|c| c.is_ascii_digit());
        let mut is_whole = true;
        let mut after = self.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            is_whole = false;
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            is_whole = false;
            self.at += 1;
            if self.rest().starts_with(['+', '-']) {
                self.at += 1;
            }
            self.take_while(|c| c.is_ascii_digit());
        }
        // What clings to a number is part of a mistake: `5u`, `300ms`, `1_000`.
        let digits_end = self.at;
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if self.at > digits_end {
            return self.error(
                start,
                format!("{} is not a number: expected digits only, without a unit or suffix", self.shown(start)),
            );
        }
        let text = self.source.get(start..self.at).unwrap_or_default();
        let kind = match is_whole {
            true => text.parse().ok().map(Kind::Int),
            false => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Kind::Double),
        };
        match kind {
            Some(kind) => Ok(self.token(start, kind)),
            None => self.error(start, format!("{} is not a number of 64 bits", self.shown(start))),
        }
    }

    fn shown(&self, start: usize) -> String {
        format!("`{}`", shortened(self.source.get(start..self.at).unwrap_or_default(), 30))
    }

    /// A text in quotes; the lexer stands before the opening one.
    fn string(&mut self, start: usize, is_raw: bool) -> Result<Token, CompileError> {
        let quote = if self.rest().starts_with('"') { '"' } else { '\'' };
        self.at += 1;
        if self.rest().starts_with(&format!("{quote}{quote}")) {
            self.at += 2;
            return self.error(start, "texts in triple quotes are not supported: expected one quote on each side");
        }
        let mut text = String::new();
        loop {
            let begin = self.at;
            let Some(next) = self.rest().chars().next().filter(|c| !matches!(c, '\n' | '\r')) else {
                return self.error(start, format!("the text has no end: expected {quote} before the line ends"));
            };
            self.at += next.len_utf8();
            match next {
                _ if next == quote => return Ok(self.token(start, Kind::String(text))),
                '\\' if !is_raw => text.push(self.escape(begin)?),
                other => text.push(other),
            }
        }
    }

    /// What stands for one character; the lexer stands after its backslash, which is at `begin`.
    fn escape(&mut self, begin: usize) -> Result<char, CompileError> {
        let Some(letter) = self.rest().chars().next() else {
            return self.error(begin, "the text ends with a backslash: expected `\\\\` and a quote");
        };
        self.at += letter.len_utf8();
        match letter {
            'a' => Ok('\x07'),
            'b' => Ok('\x08'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            '\\' | '?' | '"' | '\'' | '`' => Ok(letter),
            'x' | 'X' => self.coded(begin, 2, 16),
            'u' => self.coded(begin, 4, 16),
            'U' => self.coded(begin, 8, 16),
            '0'..='3' => {
                self.at -= 1;
                self.coded(begin, 3, 8)
            }
            _ => self.error(
                begin,
                format!(
                    "{} stands for no character: expected `\\\\` for a backslash, or a raw text r\"…\"",
                    self.shown(begin)
                ),
            ),
        }
    }

    /// A character by its number: exactly so many digits.
    fn coded(&mut self, begin: usize, digits: usize, radix: u32) -> Result<char, CompileError> {
        let length = self.rest().chars().take(digits).take_while(|c| c.is_digit(radix)).count();
        let text = self.rest().get(..length).unwrap_or_default();
        self.at += length;
        let code = u32::from_str_radix(text, radix).ok().filter(|_| length == digits).and_then(char::from_u32);
        match code {
            Some(c) => Ok(c),
            None => self.error(
                begin,
                format!(
                    "{} stands for no character: expected {digits} digits of a Unicode code point",
                    self.shown(begin)
                ),
            ),
        }
    }
}
