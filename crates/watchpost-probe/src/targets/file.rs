//! Targets that files have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use watchpost_model::{FileTargets, FoundTarget, Reason, ReasonCode, shorten};

use super::groups::{self, Format};
use super::pace::Pace;
use super::{ANSWER_BYTES_MAX, ANSWER_LIMIT, too_many};
use crate::context::ProbeContext;
use crate::failure;
use crate::files::{Files, Unopened};

/// The most files that patterns may match together.
const MATCHES_MAX: usize = 1_000;
/// The most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// How long a file that has changed must stay the same to be taken for complete, and how often it is looked at
/// until it is.
const SETTLE_FOR: Duration = Duration::from_millis(200);
const SETTLE_LOOKS: usize = 10;

/// Files whose groups are targets. They are taken together: one that cannot be used, and none is.
#[derive(Debug)]
pub(super) struct FileSource {
    files: Files,
    settings: FileTargets,
    pace: Pace,
    /// What the files held when they were good last, and the targets in that.
    last: Option<(Vec<Content>, Vec<FoundTarget>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl FileSource {
    pub(super) fn new(context: &ProbeContext, settings: FileTargets, pace: Pace) -> Self {
        Self { files: context.files.clone(), settings, pace, last: None }
    }

    pub(super) async fn next(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        self.pace.wait().await;
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.look()).await.unwrap_or_else(|_| {
            let message = format!("the files could not be read within {ANSWER_LIMIT:?}");
            Err(Reason::new(ReasonCode::FileUnusable, message))
        });
        self.pace.note(&answer);
        answer
    }

    async fn look(&mut self) -> Result<Vec<FoundTarget>, Reason> {
        let mut contents = self.read().await?;
        if let Some((last, targets)) = &self.last
            && *last == contents
        {
            return Ok(targets.clone());
        }
        // A file that is written in place is seen half written, and may be a good one even then.
        for _ in 0..SETTLE_LOOKS {
            tokio::time::sleep(SETTLE_FOR).await;
            let again = self.read().await?;
            if std::mem::replace(&mut contents, again) == contents {
                break;
            }
        }
        let (contents, targets) = off_the_runtime(move || parse(contents)).await?;
        self.last = Some((contents, targets.clone()));
        Ok(targets)
    }

    async fn read(&self) -> Result<Vec<Content>, Reason> {
        let patterns: Vec<PathBuf> = self.settings.files.iter().map(|path| PathBuf::from(path.as_str())).collect();
        let files = self.files.clone();
        off_the_runtime(move || read_all(&patterns, &files)).await
    }
}

/// Files may lie on a disk that does not answer.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or_else(|_| Err(Reason::new(ReasonCode::Panicked, "reading the files panicked")))
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Reason {
    let path = path.to_string_lossy();
    Reason::new(ReasonCode::FileUnusable, format!("the file {} {why}", shorten(&path, 200)))
}

fn unread(path: &Path, what: &str, why: Unopened) -> Reason {
    match why {
        Unopened::Denied(denied) => Reason::new(ReasonCode::PolicyDenied, denied.message),
        Unopened::Io(error) => unusable(path, format_args!("cannot be {what}: {}", failure::plain(&error))),
    }
}

fn read_all(patterns: &[PathBuf], files: &Files) -> Result<Vec<Content>, Reason> {
    let mut paths = Vec::new();
    for pattern in patterns {
        paths.extend(matches(pattern, files)?);
    }
    paths.sort();
    paths.dedup();
    if paths.len() > MATCHES_MAX {
        let message = format!("the patterns match {} files: expected at most {MATCHES_MAX}", paths.len());
        return Err(Reason::new(ReasonCode::FileUnusable, message));
    }
    let mut room = ANSWER_BYTES_MAX;
    let mut contents = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = read_one(&path, room, files)?;
        room -= bytes.len();
        contents.push(Content { path, bytes });
    }
    Ok(contents)
}

fn read_one(path: &Path, bytes_max: usize, files: &Files) -> Result<Vec<u8>, Reason> {
    let bytes = files.read_now(path, bytes_max as u64).map_err(|unopened| unread(path, "read", unopened))?;
    if bytes.len() > bytes_max {
        let most = ANSWER_BYTES_MAX;
        return Err(unusable(path, format_args!("is too large: expected at most {most} bytes of all files together")));
    }
    Ok(bytes)
}

fn parse(contents: Vec<Content>) -> Result<(Vec<Content>, Vec<FoundTarget>), Reason> {
    let mut found = Vec::new();
    for Content { path, bytes } in &contents {
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Format::Json,
            Some("yaml" | "yml") => Format::Yaml,
            _ => return Err(unusable(path, "has a name that ends neither in .json nor in .yaml or .yml")),
        };
        let added = [("__meta_filepath".to_owned(), path.to_string_lossy().into_owned())];
        let targets = groups::read(bytes, format, &added);
        found.extend(targets.map_err(|why| unusable(path, format_args!("is no list of targets: {why}")))?);
        if found.len() > watchpost_model::TARGETS_MAX {
            return Err(too_many());
        }
    }
    Ok((contents, found))
}

/// The files that a pattern means: a path without `*` or `?` is itself, whether or not it is there.
fn matches(pattern: &Path, files: &Files) -> Result<Vec<PathBuf>, Reason> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = pattern.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unreadable = |why: Unopened| unread(pattern, "looked for", why);
    let mut found = Vec::new();
    for entry in files.list(folder).map_err(unreadable)?.take(ENTRIES_MAX) {
        let path = entry.map_err(|error| unreadable(error.into()))?.path();
        let is_match = path.file_name().and_then(|name| name.to_str()).is_some_and(|given| fits(name, given));
        if is_match && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether `name` is as `pattern` says: `*` is any number of characters, `?` is one. As in a shell, neither of them
/// begins a hidden file.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last `*`, and how far the name had come when it was met: there it is taken up again, one character later.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some('?'), _) => (p, n) = (p + 1, n + 1),
            (Some(c), _) if *c == name[n] => (p, n) = (p + 1, n + 1),
            (_, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, fitting) in [
            ("*.json", "a.json", true),
            ("*.json", ".json", false),
            (".*.json", ".a.json", true),
            ("*.json", "a.json.tmp", false),
            ("tg_?.yml", "tg_1.yml", true),
            ("tg_?.yml", "tg_12.yml", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("*", "anything", true),
            ("ä?.json", "äö.json", true),
            ("****************************a", &"b".repeat(200), false),
        ] {
            assert_eq!(fits(pattern, name), fitting, "{pattern} {name}");
        }
    }
}
