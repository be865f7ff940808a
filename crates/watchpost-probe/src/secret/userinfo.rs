//! URLs that carry a user and a password, as results show them.

/// A header's value as results show it: a URL in it keeps its host, but not the user and password
/// before it.
pub(crate) fn without_userinfo(name: &str, value: String) -> String {
    if !value.contains('@') {
        return value;
    }
    if name == "location" || name == "content-location" {
        return reference_without_userinfo(&value);
    }
    let mut shown = String::with_capacity(value.len());
    let mut rest = value.as_str();
    while let Some((before, after)) = rest.split_once("//") {
        let end = after.find(|c: char| "/\\?#\"'<>,;".contains(c) || c.is_whitespace()).unwrap_or(after.len());
        let (authority, beyond) = after.split_at(end);
        shown.push_str(before);
        shown.push_str("//");
        shown.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = beyond;
    }
    shown.push_str(rest);
    shown
}

/// A reference as the URL standard reads it: tabs and line breaks count for nothing, a backslash is a
/// slash, and after a scheme even one slash or none will do.
pub(crate) fn reference_without_userinfo(text: &str) -> String {
    let text: String = text.trim().chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let scheme = text.split_once(':').map_or(0, |(scheme, _)| match scheme.find(|c: char| is_slash(c) || c == '?') {
        Some(_) => 0,
        None => scheme.len() + 1,
    });
    let (scheme, rest) = text.split_at(scheme);
    let path = rest.trim_start_matches(is_slash);
    let slashes = rest.len() - path.len();
    if scheme.is_empty() && slashes < 2 {
        return text;
    }
    let end = path.find(|c: char| is_slash(c) || matches!(c, '?' | '#')).unwrap_or(path.len());
    let (authority, beyond) = path.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{}{host}{beyond}", rest.get(..slashes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_passwords_in_urls_are_not_shown() {
        for (text, shown) in [
            ("http://u:hunter2@a/b@c", "http://a/b@c"),
            ("//u:hunter2@a/b", "//a/b"),
            ("http:\\\\u:hunter2@a\\b", "http:\\\\a\\b"),
            ("http:u:hunter2@a/b", "http:a/b"),
            (" ht\ttp:/u:hunter2@a?b", "http:/a?b"),
            ("http://u:p@hunter2@a", "http://a"),
            ("/b@c", "/b@c"),
            ("?a:b@c", "?a:b@c"),
        ] {
            assert_eq!(without_userinfo("location", text.to_owned()), shown, "{text}");
        }
        let refresh = "5; url=http://u:hunter2@a/b";
        assert_eq!(without_userinfo("refresh", refresh.to_owned()), "5; url=http://a/b");
        let link = "<https://u:hunter2@a>; rel=x, <//u:hunter2@b>, me@c";
        assert_eq!(without_userinfo("link", link.to_owned()), "<https://a>; rel=x, <//b>, me@c");
    }
}
