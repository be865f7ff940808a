//! Secrets that are planted, each for one place.

use std::fs;
use std::path::{Path, PathBuf};

/// What is appended to a secret's core where its place can send it: characters that each encoding writes differently.
const ODD: &str = "/+\"<&'%=?";

/// A secret: twenty-four letters and digits that nothing else has, and perhaps odd characters.
pub struct Planted {
    pub name: &'static str,
    pub core: String,
    pub value: String,
    /// Whether a server must have been sent it.
    pub is_sent: bool,
}

/// Twenty-four letters and digits that follow from `name`, and that nobody would come upon by chance.
pub fn core(name: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
    let mut state = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(LETTERS[(state % LETTERS.len() as u64) as usize])
    };
    (0..24).map(|_| letter()).collect()
}

impl Planted {
    pub fn plain(name: &'static str) -> Self {
        let core = core(name);
        Self { name, value: core.clone(), core, is_sent: true }
    }

    pub fn odd(name: &'static str) -> Self {
        let core = core(name);
        Self { name, value: format!("{core}{ODD}"), core, is_sent: true }
    }

    /// A text in PEM form, of which no server sees the key.
    pub fn pem(name: &'static str, text: String) -> Self {
        // Near the end are numbers only. The names before them are no secret: base64 of a request has `authori…`, too.
        let line = text.lines().rev().nth(2).expect("a line within the text").to_owned();
        Self { name, value: text, core: line, is_sent: false }
    }
}

/// A directory with a file for each secret. It is removed when this is dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn of(planted: &[Planted], what: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watchpost-planted-{what}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for secret in planted {
            fs::write(folder.join(secret.name), format!("{}\n", secret.value)).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary directory is no reason to fail a test.
        fs::remove_dir_all(&self.0).ok();
    }
}
