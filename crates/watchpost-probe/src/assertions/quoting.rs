//! Text of targets and of checks, as reports quote it.

use watchpost_model::shorten;

use crate::secret::Secrets;

/// How much of a text is quoted in a report.
pub(super) const QUOTED_CHARS_MAX: usize = 120;
/// A character takes at most four bytes; there is no need to decode more than is shown.
pub(super) const QUOTED_BYTES_MAX: usize = QUOTED_CHARS_MAX * 4 + 1;

/// The beginning of `text` in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shorten(text, QUOTED_CHARS_MAX))
}

/// The beginning of a regular expression between slashes.
pub(crate) fn slashed(pattern: &str) -> String {
    format!("/{}/", shorten(pattern, QUOTED_CHARS_MAX))
}

/// The beginning of `bytes` as quoted text.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = bytes.get(..QUOTED_BYTES_MAX).unwrap_or(bytes);
    format!("\"{}\"", shorten(&String::from_utf8_lossy(shown), QUOTED_CHARS_MAX))
}

/// The same, without the secrets.
pub(crate) fn excerpt_hiding(secrets: &Secrets, bytes: &[u8]) -> String {
    excerpt(&secrets.hide(bytes, 0..bytes.len().min(QUOTED_BYTES_MAX)))
}
