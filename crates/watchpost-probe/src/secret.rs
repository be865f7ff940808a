//! Which headers carry secrets, so that no result shows them and no redirect hands them on.

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Parts of names whose bearers are taken for secrets. It is better to hide a harmless value than
/// to show a token.
const TELLING: [&str; 9] =
    ["cookie", "token", "secret", "password", "passwd", "credential", "api-key", "apikey", "session"];

/// Whether the value of the header `name`, in lower case, is to be kept secret.
pub(crate) fn is_secret_header(name: &str) -> bool {
    name.ends_with("authorization")
        || name.ends_with("authentication-info")
        || name.ends_with("-auth")
        || TELLING.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for secret in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-auth-token",
            "x-api-key",
            "x-session-id",
            "x-vault-auth",
        ] {
            assert!(is_secret_header(secret), "{secret}");
        }
        for harmless in ["www-authenticate", "etag", "server", "keep-alive", "content-type", "x-instance"] {
            assert!(!is_secret_header(harmless), "{harmless}");
        }
    }
}
