//! Who we are, to a NATS server. What stands in files is read anew for each connection, so that a secret can be
//! replaced while the process runs.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;
use zeroize::Zeroizing;

/// The most that a file of credentials may hold. One of `nsc` has about 1 KiB, and more with long permissions.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The longest nonce that is signed, in bytes. Servers send 15 or 16.
const NONCE_BYTES_MAX: usize = 128;

/// Who we are, to a NATS server.
#[derive(Clone)]
pub enum NatsCredentials {
    /// A file with a JWT and an nkey seed, as `nsc` writes it.
    File(PathBuf),
    /// A user and a password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: NatsSecret,
    },
    /// A token.
    Token(NatsSecret),
    /// The seed of an nkey, `SU…`. In a file it stands on a line of its own.
    Nkey(NatsSecret),
}

/// A secret, or where it stands.
#[derive(Clone)]
pub enum NatsSecret {
    /// The secret itself.
    Text(String),
    /// A file that holds it, and at its end perhaps a line break.
    File(PathBuf),
}

impl From<&str> for NatsSecret {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Without the secret.
impl fmt::Debug for NatsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("…"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// Without any secret.
impl fmt::Debug for NatsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::UserPassword { user, password } => {
                f.debug_struct("UserPassword").field("user", user).field("password", password).finish()
            }
            Self::Token(token) => f.debug_tuple("Token").field(token).finish(),
            Self::Nkey(seed) => f.debug_tuple("Nkey").field(seed).finish(),
        }
    }
}

impl NatsSecret {
    fn read(&self, what: &str) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Text(text) => Ok(Zeroizing::new(text.clone())),
            Self::File(path) => {
                let text = read(path, what)?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    return Err(format!("the {what} {} is empty", path.display()));
                }
                Ok(Zeroizing::new(secret.to_owned()))
            }
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Text(_) => String::new(),
            Self::File(path) => format!(" in {}", path.display()),
        }
    }
}

impl NatsCredentials {
    /// What the server is told for its `nonce`, from what the files hold now. The error says what cannot be used, and
    /// shows no secret.
    pub(super) fn auth(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        match self {
            Self::File(path) => {
                let text = read(path, "credentials file")?;
                let wrong = |detail: &str| format!("the credentials file {} cannot be used: {detail}", path.display());
                let jwt = block(&text, "USER JWT").ok_or_else(|| wrong("expected a JWT, as `nsc` writes it"))?;
                let seed = block(&text, "SEED").ok_or_else(|| wrong("expected an nkey seed, as `nsc` writes it"))?;
                auth.signature = Some(signed(seed, nonce).map_err(wrong)?.1);
                auth.jwt = Some(jwt.to_owned());
            }
            Self::UserPassword { user, password } => {
                auth.username = Some(user.clone());
                auth.password = Some(password.read("password file")?.to_string());
            }
            Self::Token(token) => auth.token = Some(token.read("token file")?.to_string()),
            Self::Nkey(seed) => {
                let place = seed.place();
                let wrong = |detail: &str| format!("the nkey{place} cannot be used: {detail}");
                let text = seed.read("nkey file")?;
                // As `nk -gen user` writes it: comments aside, one line.
                let line = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
                let line = line.ok_or_else(|| wrong("expected the seed of a user, which begins with SU"))?;
                let (public, signature) = signed(line, nonce).map_err(wrong)?;
                auth.nkey = Some(public);
                auth.signature = Some(signature);
            }
        }
        Ok(auth)
    }

    /// What the client library calls for each connection that it makes.
    pub(super) fn callback(
        self,
    ) -> impl Fn(Vec<u8>) -> std::future::Ready<Result<Auth, AuthError>> + Send + Sync + 'static {
        let credentials = Arc::new(self);
        move |nonce| {
            let auth = credentials.auth(&nonce).map_err(|detail| {
                tracing::error!(detail, "the bus cannot be told who we are");
                AuthError::new(detail)
            });
            std::future::ready(auth)
        }
    }
}

fn read(path: &Path, what: &str) -> Result<Zeroizing<String>, String> {
    let wrong = |detail: String| format!("the {what} {} cannot be used: {detail}", path.display());
    let file = std::fs::File::open(path).map_err(|e| wrong(e.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| wrong(e.to_string()))?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// What stands between `-----BEGIN … what-----` and the line of dashes after it.
fn block<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    let head = |line: &str| line.starts_with("-----BEGIN") && line.trim_end_matches('-').ends_with(what);
    lines.find(|line| head(line))?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

/// Signs a nonce, and nothing else: a server that could choose what is signed could choose a check, where the key is
/// one that checks are signed with as well.
fn signed(seed: &str, nonce: &[u8]) -> Result<(String, Vec<u8>), &'static str> {
    let of_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=');
    if nonce.len() > NONCE_BYTES_MAX || !nonce.iter().all(of_base64) {
        return Err("the server wants something signed that is no nonce: expected a few letters and digits");
    }
    let pair = KeyPair::from_seed(seed).map_err(|_| "its seed is not that of an nkey")?;
    let signature = pair.sign(nonce).map_err(|_| "nothing can be signed with its seed")?;
    Ok((pair.public_key(), signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_credentials_file_are_found() {
        let text = "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n*** IMPORTANT ***\n\n\
                    -----BEGIN USER NKEY SEED-----\r\nSUAB\r\n------END USER NKEY SEED------\n";
        assert_eq!((block(text, "USER JWT"), block(text, "SEED")), (Some("eyJ0"), Some("SUAB")));
        assert_eq!(block("-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------", "USER JWT"), None);
        assert_eq!(block("", "SEED"), None);
    }

    #[test]
    fn nothing_is_signed_but_a_nonce() {
        let pair = KeyPair::new_user();
        let seed = pair.seed().unwrap();
        let jwt = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let file = std::env::temp_dir().join(format!("watchpost-nonce-{}.creds", std::process::id()));
        std::fs::write(&file, jwt).unwrap();
        for credentials in [NatsCredentials::Nkey(seed.as_str().into()), NatsCredentials::File(file.clone())] {
            for nonce in ["", "kzqXVnSYHFnXPL4", "a-b_c+d/e="] {
                assert!(credentials.auth(nonce.as_bytes()).is_ok(), "{nonce}");
            }
            let long = "x".repeat(NONCE_BYTES_MAX + 1);
            for nonce in
                ["watchpost signed check 1\n{\"at\":\"2026-11-21T20:00:00Z\"}", "{}", "a b", "a\nb", "é", &long]
            {
                let error = credentials.auth(nonce.as_bytes()).err().expect(nonce);
                assert!(error.contains("no nonce"), "{error}");
            }
        }
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn an_nkey_signs_what_the_server_says_and_shows_no_secret() {
        let pair = KeyPair::new_user();
        let seed = pair.seed().unwrap();
        let credentials = NatsCredentials::Nkey(NatsSecret::Text(format!("# made today\n{seed}\n")));
        let auth = credentials.auth(b"nonce").unwrap();
        assert_eq!(auth.nkey, Some(pair.public_key()));
        pair.verify(b"nonce", &auth.signature.unwrap()).unwrap();
        assert!(!format!("{credentials:?}").contains(&seed));
        for wrong in ["", "SUAB", "s3cret"] {
            let error = NatsCredentials::Nkey(wrong.into()).auth(b"").err().unwrap();
            assert!(error.contains("cannot be used") && !error.contains("s3cret"), "{error}");
        }
    }
}
