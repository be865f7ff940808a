//! What a bastion keeps of its checks on disk, so that it can begin without the bus.
//!
//! One file: a line that says what it is, a line of JSON about the whole, and for each key a line of JSON and the bytes
//! as they were written into the bucket. The last line is the SHA-256 of all before it. It is written beside the old
//! one and put in its place when it is on the disk, so that there is always a whole one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use watchpost_model::{BastionGroup, BastionId, CheckId, Timestamp};

use super::book::{BYTES_MAX, Kept};
use super::entry::{Key, Written};

const HEAD: &[u8] = b"watchpost checks 1\n";
/// The digest and its line break.
const TAIL_BYTES: usize = 65;
/// The largest file that is read: every check and its fallback, and a line for each.
const FILE_BYTES_MAX: u64 = 2 * BYTES_MAX + 64 * 1024 * 1024;

/// What is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pub(super) about: About,
    pub(super) entries: Vec<(Key, Kept)>,
}

/// What is kept besides the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) bucket: Option<String>,
    /// When the bucket was made, in µs since the Unix epoch.
    pub(super) bucket_created_us: Option<i64>,
    /// Its last revision that was seen.
    pub(super) revision: u64,
    /// The generation of the configuration that was in force.
    pub(super) generation: u64,
    pub(super) synced_at: Option<Timestamp>,
    pub(super) entries: usize,
}

/// What stands before the bytes of a key.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    group: BastionGroup,
    check: CheckId,
    revision: u64,
    bytes: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    running: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    orphaned: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<Part>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Part {
    revision: u64,
    bytes: usize,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    file: PathBuf,
}

/// Why there is nothing to begin with.
#[derive(Debug)]
pub(super) enum Unread {
    /// Nothing was ever kept there.
    Missing,
    /// It cannot be read, or not all of it is there.
    Damaged(String),
}

impl Disk {
    /// In `folder`, which is made if it is not there.
    pub(super) fn open(folder: &Path, bastion: &BastionId) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { file: folder.join(format!("{bastion}.checks")) })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn read(&self) -> Result<Image, Unread> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
            Err(error) => return Err(Unread::Damaged(error.to_string())),
        };
        let mut content = Vec::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
        read.map_err(|error| Unread::Damaged(error.to_string()))?;
        decode(&Bytes::from(content)).map_err(Unread::Damaged)
    }

    /// Puts a file that cannot be used aside, and returns where.
    pub(super) fn put_aside(&self) -> io::Result<PathBuf> {
        let aside = self.file.with_extension("checks.damaged");
        fs::rename(&self.file, &aside)?;
        Ok(aside)
    }

    /// Keeps `image` in place of what was kept. It is on the disk when this returns.
    pub(super) fn write(&self, image: &Image) -> io::Result<()> {
        let next = self.file.with_extension("checks.next");
        let content = encode(image)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&next, &self.file)?;
        match self.file.parent() {
            // The new name is to outlive a power cut as well.
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

fn encode(image: &Image) -> io::Result<Vec<u8>> {
    let values: usize = image.entries.iter().map(|(_, kept)| kept.latest.value.len() + 200).sum();
    let mut out = Vec::with_capacity(values + 1024);
    out.extend_from_slice(HEAD);
    let about = About { entries: image.entries.len(), ..image.about.clone() };
    line(&mut out, &about)?;
    for (key, kept) in &image.entries {
        let Kept { latest, fallback, running, orphaned } = kept;
        let part = |written: &Written| Part { revision: written.revision, bytes: written.value.len() };
        let about = Line {
            group: key.group.clone(),
            check: key.check.clone(),
            revision: latest.revision,
            bytes: latest.value.len(),
            running: *running,
            orphaned: *orphaned,
            fallback: fallback.as_ref().map(part),
        };
        line(&mut out, &about)?;
        for written in [Some(latest), fallback.as_ref()].into_iter().flatten() {
            out.extend_from_slice(&written.value);
            out.push(b'\n');
        }
    }
    let digest = HEXLOWER.encode(&Sha256::digest(&out));
    out.extend_from_slice(digest.as_bytes());
    out.push(b'\n');
    Ok(out)
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.push(b'\n');
    Ok(())
}

fn decode(content: &Bytes) -> Result<Image, String> {
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    let Some(body) = content.len().checked_sub(TAIL_BYTES).filter(|_| content.starts_with(HEAD)) else {
        return Err("it does not begin as such a file does, or is cut off".to_owned());
    };
    let (body, tail) = content.split_at(body);
    if tail != format!("{}\n", HEXLOWER.encode(&Sha256::digest(body))).as_bytes() {
        return Err("its content does not match its checksum: it is cut off or was altered".to_owned());
    }
    let mut rest = Rest { content: content.slice(..body.len()), at: HEAD.len() };
    let about: About = rest.json()?;
    let mut entries = Vec::new();
    for _ in 0..about.entries {
        let Line { group, check, revision, bytes, running, orphaned, fallback } = rest.json()?;
        let key = Key { check, group };
        let latest = Written::read(&key, revision, rest.take(bytes)?);
        let fallback = match fallback {
            Some(Part { revision, bytes }) => Some(Written::read(&key, revision, rest.take(bytes)?)),
            None => None,
        };
        entries.push((key, Kept { latest, fallback, running, orphaned }));
    }
    Ok(Image { about, entries })
}

/// What of a file is not read yet.
struct Rest {
    content: Bytes,
    at: usize,
}

impl Rest {
    fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, String> {
        let rest = self.content.get(self.at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Err("a line has no end".to_owned());
        };
        let value = serde_json::from_slice(&rest[..end]).map_err(|error| format!("a line cannot be read: {error}"))?;
        self.at += end + 1;
        Ok(value)
    }

    fn take(&mut self, bytes: usize) -> Result<Bytes, String> {
        let end = self.at.saturating_add(bytes);
        if self.content.get(end) != Some(&b'\n') {
            return Err("a check has another length than it is said to have".to_owned());
        }
        // A copy: a slice would keep the whole file in memory.
        let taken = Bytes::copy_from_slice(&self.content[self.at..end]);
        self.at = end + 1;
        Ok(taken)
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
