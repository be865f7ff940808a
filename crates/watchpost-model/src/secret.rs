//! Secrets in settings.

use std::fmt;

use crate::text::bounded_text;

bounded_text!(
    /// A secret, such as a password or a token. It goes with the check to whoever runs it; it cannot be
    /// displayed, and its debug output does not show it.
    SecretText,
    "a secret",
    4096,
    |_| Ok(())
);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret: SecretText = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret.as_str(), "hunter2");
        let told = serde_json::from_str::<SecretText>(&format!("{:?}", "hunter2".repeat(1000))).unwrap_err();
        assert!(!told.to_string().contains("hunter2"), "{told}");
    }
}
