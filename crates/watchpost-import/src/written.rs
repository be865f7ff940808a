//! Texts within texts: literals of expressions, logins within URLs, sizes.

use percent_encoding::percent_decode_str;

/// A text of the expression language.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            c if c.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal + "\""
}

/// A pattern for `matches`.
pub(crate) fn pattern(regex: &str) -> String {
    // A pattern has escapes of its own for what no raw text and no line of YAML holds.
    let regex = regex.replace('\t', r"\t").replace('\n', r"\n").replace('\r', r"\r");
    if regex.contains('"') { literal(&regex) } else { format!("r\"{regex}\"") }
}

/// A header of the answer.
pub(crate) fn header(name: &str) -> String {
    format!("headers[{}]", literal(&name.to_ascii_lowercase()))
}

/// A user and a password that a URL carries before its host, and the URL without them.
pub(crate) fn without_login(url: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((login, host)) = authority.rsplit_once('@') else { return (url.to_owned(), None) };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    (format!("{scheme}://{host}{path}"), Some((decoded(user), decoded(password))))
}

/// A size as `10MB` or `512KiB`, in bytes; as in Prometheus, all units are powers of 1024.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1_u64 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `host:port` where the text has a port, and with `port` where it has none; IPv6 addresses in brackets.
pub(crate) fn with_port(text: &str, port: u16) -> String {
    let bare = text.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(text);
    if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{bare}]:{port}");
    }
    if text.contains(':') { text.to_owned() } else { format!("{text}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_within_texts() {
        assert_eq!(literal("a\"b\\\n"), "\"a\\\"b\\\\\\n\"");
        assert_eq!(pattern(r"^\d+$"), "r\"^\\d+$\"");
        assert_eq!(pattern("\"x\t\""), "\"\\\"x\\\\t\\\"\"");
        assert_eq!(pattern("a\tb"), r#"r"a\tb""#);
        assert_eq!(without_login("http://u:p%40@h:1/x@y"), ("http://h:1/x@y".into(), Some(("u".into(), "p@".into()))));
        assert_eq!(without_login("http://h/"), ("http://h/".into(), None));
        assert_eq!((bytes("10MB"), bytes("1KiB"), bytes("7"), bytes("x")), (Some(10 << 20), Some(1024), Some(7), None));
        assert_eq!(bytes("99999999999999TB"), None);
        assert_eq!(with_port("fd00::1", 53), "[fd00::1]:53");
        assert_eq!(with_port("a", 53), "a:53");
        assert_eq!(with_port("a:1", 53), "a:1");
    }
}
