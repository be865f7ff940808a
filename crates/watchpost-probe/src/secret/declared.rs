//! What is known to be a secret, since somebody declared it to be one: hidden in each form in which it may come back,
//! whatever the case of its letters, and even where only a part of it is left.

use std::ops::Range;
use std::sync::Arc;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use memchr::memmem;
use watchpost_model::written_forms;
use zeroize::Zeroizing;

use super::views::{DEPTH, View, views};
use super::{REDACTED, stands_alone};

/// What is shorter is hidden only where it is no part of a longer word.
const ANYWHERE_BYTES_MIN: usize = 4;
/// How much of a form must be left where a text was cut, for it to be hidden there: fewer bytes tell too little, and are
/// found in harmless texts by chance.
const FRAGMENT_BYTES_MIN: usize = 4;
/// The shortest line of a secret of several lines that is hidden by itself.
const LINE_BYTES_MIN: usize = 16;
/// How many bytes an escape takes in place of one: `\\u002f`.
const ESCAPE_BYTES_MAX: usize = 6;
/// What stands where a text was cut.
const ELLIPSIS: char = '…';

/// The forms of one secret, in lower case and in order. They are overwritten when nobody needs them any more.
pub(crate) struct Declared {
    forms: Vec<Zeroizing<Vec<u8>>>,
    beginnings: Beginnings,
    longest: usize,
}

/// Whether one of the forms may begin with these bytes: most texts have none of them, and are looked at once and not
/// once for each form.
struct Beginnings(Box<[u64; Beginnings::WORDS]>);

impl Beginnings {
    const BYTES: usize = ANYWHERE_BYTES_MIN;
    const WORDS: usize = 64;

    fn of(forms: &[Zeroizing<Vec<u8>>]) -> Self {
        let mut bits = Box::new([0; Self::WORDS]);
        for bytes in forms.iter().filter_map(|form| form.first_chunk()) {
            let (word, bit) = Self::place(*bytes);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self(bits)
    }

    fn may_have(&self, bytes: [u8; Self::BYTES]) -> bool {
        let (word, bit) = Self::place(bytes);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(bytes: [u8; Self::BYTES]) -> (usize, u64) {
        // Multiplying spreads them over the upper bits (Fibonacci hashing).
        let hash = u32::from_le_bytes(bytes).wrapping_mul(0x9e37_79b1) >> 20;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}

impl std::fmt::Debug for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Declared({} forms)", self.forms.len())
    }
}

impl Declared {
    /// The forms of `value`: as it is; in hexadecimal; in base64, wherever in what is encoded it stands; and each of its
    /// lines. What escapes make of these is undone before they are looked for.
    pub(crate) fn new(value: &str) -> Self {
        let mut forms: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut add = |form: &[u8], bytes_min: usize| {
            if form.len() >= bytes_min {
                forms.push(Zeroizing::new(form.to_ascii_lowercase()));
            }
        };
        add(value.as_bytes(), 1);
        // What is encoded may be a request in which it is escaped, and what is escaped may be such a request.
        let escaped: Vec<_> = written_forms(value).into_iter().map(Zeroizing::new).collect();
        escaped.iter().for_each(|form| add(form.as_bytes(), ANYWHERE_BYTES_MIN));
        for text in escaped.iter().map(|form| form.as_bytes()).chain([value.as_bytes()]) {
            add(Zeroizing::new(HEXLOWER.encode(text)).as_bytes(), ANYWHERE_BYTES_MIN);
            for form in base64_forms(text) {
                add(form.as_bytes(), ANYWHERE_BYTES_MIN);
            }
        }
        let lines = value.lines().map(str::trim).filter(|line| line.len() < value.len());
        lines.for_each(|line| add(line.as_bytes(), LINE_BYTES_MIN));
        forms.sort_unstable_by(|a, b| a.as_slice().cmp(b));
        forms.dedup_by(|a, b| **a == **b);
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or(0);
        Self { beginnings: Beginnings::of(&forms), forms, longest }
    }

    /// How many bytes of a text its longest form may take, escaped.
    pub(crate) fn longest(&self) -> usize {
        self.longest * ESCAPE_BYTES_MAX
    }

    /// Where in the text of `view` it stands.
    fn found(&self, view: &View) -> Vec<Range<usize>> {
        let (bytes, mut found) = (view.bytes(), Vec::new());
        for form in self.forms.iter().filter(|form| form.len() < ANYWHERE_BYTES_MIN) {
            let all = memmem::find_iter(bytes, form.as_slice()).map(|at| at..at + form.len());
            found.extend(all.filter(|found| stands_alone(bytes, found)));
        }
        for (at, begin) in bytes.windows(Beginnings::BYTES).enumerate() {
            let Some(begin) = begin.first_chunk().filter(|begin| self.beginnings.may_have(**begin)) else { continue };
            let rest = bytes.get(at..).unwrap_or_default();
            let from = self.forms.partition_point(|form| form.as_slice() < begin.as_slice());
            let begun = self.forms.get(from..).unwrap_or_default().iter().take_while(|form| form.starts_with(begin));
            found.extend(begun.filter(|form| rest.starts_with(form)).map(|form| at..at + form.len()));
        }
        found.into_iter().map(|found| view.place(found.start, found.end)).collect()
    }

    /// How many bytes at the end of `lowered` are the beginning of a form that goes on beyond it.
    fn begun(&self, lowered: &[u8]) -> usize {
        let begun = |form: &Zeroizing<Vec<u8>>| {
            let start = form.get(..FRAGMENT_BYTES_MIN)?;
            let from = lowered.len().saturating_sub(form.len().saturating_sub(1));
            let tail = lowered.get(from..)?;
            let is_begun = |at: &usize| tail.get(*at..).is_some_and(|rest| form.starts_with(rest));
            memmem::find_iter(tail, start).find(is_begun).map(|at| tail.len() - at)
        };
        self.forms.iter().filter_map(begun).max().unwrap_or(0)
    }

    /// How many bytes at the beginning of `lowered` are the end of a form that begins before it.
    fn ended(&self, lowered: &[u8]) -> usize {
        let ended = |form: &Zeroizing<Vec<u8>>| {
            let end = form.get(form.len().checked_sub(FRAGMENT_BYTES_MIN)?..)?;
            let head = lowered.get(..lowered.len().min(form.len() - 1))?;
            let ends = memmem::find_iter(head, end).map(|at| at + end.len());
            ends.filter(|until| head.get(..*until).is_some_and(|part| form.ends_with(part))).max()
        };
        self.forms.iter().filter_map(ended).max().unwrap_or(0)
    }
}

/// What of base64 says `value`, whatever stands before and behind it in what is encoded: one form for each of the three
/// places at which it may begin, in both alphabets.
fn base64_forms(value: &[u8]) -> Vec<Zeroizing<String>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut whole = Zeroizing::new(Vec::with_capacity(before + value.len()));
        whole.resize(before, 0);
        whole.extend_from_slice(value);
        for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            let encoded = Zeroizing::new(encoding.encode(&whole));
            // What says something of the bytes around it, too, is not the same everywhere.
            let end = encoded.len() - usize::from(whole.len() % 3 != 0);
            if let Some(form) = encoded.get((before * 8).div_ceil(6)..end) {
                forms.push(Zeroizing::new(form.to_owned()));
            }
            if before == 0 {
                forms.push(encoded);
            }
        }
    }
    forms
}

/// Where in `text` one of `secrets` stands, once escapes are undone at most `depth` times.
pub(super) fn found(secrets: &[Arc<Declared>], text: &[u8], depth: usize) -> Vec<Range<usize>> {
    let views = views(text, depth);
    let pairs = views.iter().flat_map(|view| secrets.iter().map(move |secret| (view, secret)));
    pairs.flat_map(|(view, secret)| secret.found(view)).collect()
}

/// `text` without what is left of one of `secrets` where it was cut: at its beginning and end, and around an ellipsis.
pub(super) fn hide_fragments(secrets: &[Arc<Declared>], text: String) -> String {
    let hidden: Vec<_> = text.split(ELLIPSIS).map(|piece| hide_around(secrets, piece)).collect();
    hidden.join(&ELLIPSIS.to_string())
}

fn hide_around(secrets: &[Arc<Declared>], whole: &str) -> String {
    // What is no UTF-8 at the border is half a character.
    let piece = whole.trim_matches(char::REPLACEMENT_CHARACTER);
    let bytes = piece.as_bytes();
    let (mut ended, mut begun) = (0, bytes.len());
    // What was cut is within reach of the borders.
    let reach = secrets.iter().map(|secret| secret.longest()).max().unwrap_or(0).min(bytes.len());
    for view in views(bytes.get(..reach).unwrap_or_default(), DEPTH) {
        let head = secrets.iter().map(|secret| secret.ended(view.bytes())).filter(|head| *head > 0);
        ended = head.map(|head| view.place(0, head).end).fold(ended, usize::max);
    }
    let from = bytes.len() - reach;
    for view in views(bytes.get(from..).unwrap_or_default(), DEPTH) {
        let all = view.bytes().len();
        let tail = secrets.iter().map(|secret| secret.begun(view.bytes())).filter(|tail| *tail > 0);
        begun = tail.map(|tail| from + view.place(all - tail, all).start).fold(begun, usize::min);
    }
    if ended == 0 && begun == bytes.len() {
        return whole.to_owned();
    }
    let middle = bytes.get(ended..begun.max(ended)).unwrap_or_default();
    let shown = |is_hidden: bool| if is_hidden { REDACTED } else { "" };
    format!("{}{}{}", shown(ended > 0), String::from_utf8_lossy(middle), shown(begun < bytes.len()))
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::super::Secrets;
    use super::*;

    fn secrets(value: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.declare(&Arc::new(Declared::new(value)));
        secrets
    }

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms() {
        let value = "s3cr/t \"ä\"+<x>";
        let secrets = secrets(value);
        let url_encoded = "s3cr%2Ft%20%22%C3%A4%22%2B%3Cx%3E";
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        for form in [
            value.to_owned(),
            value.to_uppercase().replace('Ä', "ä"),
            url_encoded.to_owned(),
            url_encoded.to_lowercase(),
            quoted(value),
            quoted(&quoted(value)),
            quoted(&quoted(&quoted(value))),
            BASE64.encode(quoted(value).as_bytes()),
            BASE64.encode(format!("p=1&q={url_encoded}").as_bytes()),
            HEXLOWER.encode(quoted(value).as_bytes()),
            format!("{value:?}"),
            "s3cr/t &quot;ä&quot;+&lt;x&gt;".to_owned(),
            "s3cr&#x2f;t &#34;&#228;&#34;&#43;&lt;x>".to_owned(),
            // As parsers of URLs leave it, in a query.
            "s3cr/t%20%22ä%22+%3Cx%3E".to_owned(),
            // As Go writes JSON.
            r#"s3cr/t \"ä\"+\u003cx\u003e"#.to_owned(),
            r#"{\"url\": \"/?q=s3cr%2Ft+%22%C3%A4%22%2B%3Cx%3E\"}"#.to_owned(),
            HEXLOWER.encode(value.as_bytes()),
            HEXLOWER.encode(value.as_bytes()).to_uppercase(),
        ] {
            let shown = secrets.hide_in(format!("<<{form}>>"));
            assert!(shown.contains(REDACTED) && !shown.contains("3cr") && !shown.contains("3CR"), "{form}: {shown}");
        }
    }

    #[test]
    fn a_secret_is_hidden_in_base64_wherever_it_stands_in_it() {
        let value = "correct-horse-battery";
        let secrets = secrets(value);
        for before in ["", "u", "u:", "us:", "user:"] {
            for behind in ["", "!", "!!", "!!!"] {
                let text = format!("{before}{value}{behind}");
                for encoding in [&BASE64, &BASE64_NOPAD, &BASE64URL_NOPAD] {
                    let encoded = encoding.encode(text.as_bytes());
                    let shown = secrets.hide_in(format!("Basic {encoded}"));
                    assert!(shown.contains(REDACTED), "{text}: {shown}");
                    let left = shown.replace(REDACTED, "").replace('=', "");
                    // What also says something of the bytes around it stays.
                    let around = (before.len() * 8).div_ceil(6) + (behind.len() * 8).div_ceil(6) + 1;
                    assert!(left.len() <= "Basic ".len() + around, "{text}: {shown}");
                }
            }
        }
    }

    #[test]
    fn what_is_left_of_a_secret_where_a_text_was_cut_is_hidden() {
        let secrets = secrets("correct-horse-battery");
        for (text, shown) in [
            ("it said correct-hor", "it said [redacted]"),
            ("it said \"correct-horse-bat…\", and more", "it said \"[redacted]…\", and more"),
            ("horse-battery, it said", "[redacted], it said"),
            ("…-battery and correct-ho…", "…[redacted] and [redacted]…"),
            ("correct-hor\u{fffd}", "[redacted]"),
            ("it said cor", "it said cor"),
            ("Correct-Horse-Battery", "[redacted]"),
            ("corre", "[redacted]"),
            ("c%6frrect-ho", "[redacted]"),
            (r"x \u0063orrect\u002dhorse", "x [redacted]"),
        ] {
            assert_eq!(secrets.hide_in(text.to_owned()), shown, "{text}");
        }
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone() {
        let (three, four) = (secrets("abc"), secrets("4711"));
        assert_eq!(three.hide_in("abc, not abcd; \"abc\"".to_owned()), "[redacted], not abcd; \"[redacted]\"");
        assert_eq!(four.hide_in("x4711x".to_owned()), "x[redacted]x");
    }

    #[test]
    fn each_line_of_a_key_is_hidden() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----";
        let shown = secrets(key).hide_in("broken at MIGHAgEAMBMGByqGSM49AgEG".to_owned());
        assert_eq!(shown, "broken at [redacted]");
    }

    #[test]
    fn debug_output_shows_nothing() {
        let declared = Declared::new("correct-horse-battery");
        assert!(!format!("{declared:?} {:?}", secrets("correct-horse-battery")).contains("horse"));
    }
}
