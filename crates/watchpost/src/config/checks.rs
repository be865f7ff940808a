//! Checks in files that hold nothing else, or whole configurations: any number of YAML documents.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;
use watchpost_model::{Check, CheckDocument, CheckId};

use super::error::ConfigError;
use super::file::FileConfig;
use super::places::place_of;
use super::read;

/// The most files that one directory may hold, those of its directories included.
const FILES_MAX: usize = 10_000;
/// How deep directories are looked into.
const DEPTH_MAX: usize = 16;

/// A check that was read, and is valid by itself.
#[derive(Debug)]
pub struct WrittenCheck {
    /// As it was written.
    pub document: CheckDocument,
    /// What it is.
    pub check: Check,
    /// `file:line` of it.
    pub place: String,
}

/// Reads every check of files and directories; `-` is standard input.
///
/// # Errors
/// Everything that is wrong with them: what, where, and what was expected.
pub fn read_checks(paths: &[PathBuf]) -> Result<Vec<WrittenCheck>, Vec<ConfigError>> {
    let (mut checks, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match files(path) {
            Ok(files) => {
                for file in files {
                    if let Err(error) = read_file(&file, &mut checks) {
                        errors.push(error);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    let mut seen: HashMap<&CheckId, &str> = HashMap::with_capacity(checks.len());
    for WrittenCheck { check, place, .. } in &checks {
        if let Some(first) = seen.insert(check.id(), place) {
            let message = format!("check `{}` is there already, in {first}: ids must differ", check.id());
            errors.push(ConfigError::whole(Path::new(place), message));
        }
    }
    if errors.is_empty() { Ok(checks) } else { Err(errors) }
}

/// The files of a path: itself, or those of a directory in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    if path == Path::new("-") || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    walk(path, 0, &mut files)?;
    if files.is_empty() {
        return Err(ConfigError::whole(path, "has no *.yaml or *.yml files"));
    }
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), ConfigError> {
    let unreadable = |e: std::io::Error| ConfigError::whole(folder, format!("cannot be read: {e}"));
    if depth > DEPTH_MAX {
        return Err(ConfigError::whole(folder, format!("is more than {DEPTH_MAX} directories deep")));
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // As of a Kubernetes volume, where each file is there once more below `..data`.
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(ConfigError::whole(folder, format!("has too many files: expected at most {FILES_MAX}")));
        }
    }
    Ok(())
}

fn read_file(file: &Path, checks: &mut Vec<WrittenCheck>) -> Result<(), ConfigError> {
    let (shown, text) = if file == Path::new("-") {
        let mut text = String::new();
        let limit = read::FILE_BYTES_MAX + 1;
        let shown = Path::new("standard input");
        let read = std::io::stdin().lock().take(limit).read_to_string(&mut text);
        read.map_err(|e| ConfigError::whole(shown, format!("cannot be read: {e}")))?;
        if text.len() as u64 >= limit {
            return Err(ConfigError::whole(shown, format!("has more than {} bytes", read::FILE_BYTES_MAX)));
        }
        (shown, text)
    } else {
        (file, read::text(file)?)
    };
    let environment = super::environment();
    for (line, document) in documents(&text) {
        read_document(&Part { file: shown, whole: &text, line, text: document }, &environment, checks)?;
    }
    Ok(())
}

/// One document of a file.
struct Part<'a> {
    file: &'a Path,
    whole: &'a str,
    /// How many lines of the file stand before it.
    line: usize,
    text: &'a str,
}

impl Part<'_> {
    fn error(&self, (line, column): (usize, usize), key: Option<String>, message: String) -> ConfigError {
        let line = if line == 0 { 0 } else { line + self.line };
        ConfigError::at(self.file, self.whole, (line, column), key, message)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, environment: &HashMap<String, String>) -> Result<T, ConfigError> {
        read::deserialize(self.text, environment).map_err(|(place, key, message)| self.error(place, key, message))
    }
}

fn read_document(
    part: &Part<'_>,
    environment: &HashMap<String, String>,
    checks: &mut Vec<WrittenCheck>,
) -> Result<(), ConfigError> {
    /// Whether it is a configuration or a check.
    #[derive(Deserialize)]
    struct Kind {
        id: Option<IgnoredAny>,
    }
    /// The checks of a configuration.
    #[derive(Deserialize)]
    struct Written {
        #[serde(default)]
        checks: Vec<Spanned<CheckDocument>>,
    }
    let is_check = match read::deserialize::<Kind>(part.text, environment) {
        Ok(Kind { id }) => id.is_some(),
        // What is wrong with it is told of what it seems to be.
        Err(_) => part.text.lines().any(|line| line.starts_with("id:")),
    };
    let documents: Vec<(String, Spanned<CheckDocument>)> = if is_check {
        vec![(String::new(), part.read::<Spanned<CheckDocument>>(environment)?)]
    } else {
        // As a configuration, whose every key is looked at, and then for what its checks are as they are written.
        part.read::<FileConfig>(environment)?;
        let Written { checks } = part.read(environment)?;
        checks.into_iter().enumerate().map(|(i, check)| (format!("checks[{i}]"), check)).collect()
    };
    for (key, document) in documents {
        let place = place_of(document.referenced);
        let check = Check::try_from(document.value.clone()).map_err(|e| {
            let key: Vec<_> =
                [key.as_str(), e.key().unwrap_or_default()].into_iter().filter(|k| !k.is_empty()).collect();
            let key = Some(key.join(".")).filter(|key| !key.is_empty());
            let found = key.as_ref().and_then(|key| read::find(part.text, environment, key, e.offset()));
            part.error(found.unwrap_or(place), key, e.to_string())
        })?;
        let place = format!("{}:{}", part.file.display(), place.0 + part.line);
        checks.push(WrittenCheck { document: document.value, check, place });
    }
    Ok(())
}

/// The YAML documents of a text that are not empty, each with how many lines stand before it.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut begin_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        // At the beginning of a line these are markers wherever they stand, within block scalars too.
        let bare = line.trim_end();
        if bare == "---" || bare == "..." {
            documents.push((begin_line, &text[begin..at]));
            (begin, begin_line) = (at + line.len(), number + 1);
        }
        at += line.len();
    }
    documents.push((begin_line, &text[begin..]));
    let says_something =
        |text: &str| text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with(['#', '%']));
    documents.retain(|(_, text)| says_something(text));
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<WrittenCheck>, String> {
        let mut checks = Vec::new();
        for (line, part) in documents(text) {
            let part = Part { file: Path::new("w.yaml"), whole: text, line, text: part };
            read_document(&part, &HashMap::new(), &mut checks).map_err(|e| e.to_string())?;
        }
        Ok(checks)
    }

    #[test]
    fn documents_of_both_kinds_may_stand_in_one_file() {
        let text = "# many\n---\nid: a\ntcp: {address: 'a:1'}\n---\n---\nbastion: b\nchecks:\n- {id: b, tcp: {address: \
                    'b:1'}}\n- id: c\n  tcp: {address: 'c:1'}\n...\n---\n{id: d, tcp: {address: 'd:1'}}\n";
        let checks = read(text).unwrap();
        let places: Vec<_> = checks.iter().map(|check| (check.check.id().as_str(), check.place.as_str())).collect();
        assert_eq!(places, [("a", "w.yaml:3"), ("b", "w.yaml:9"), ("c", "w.yaml:10"), ("d", "w.yaml:14")]);
    }

    #[test]
    fn an_error_tells_its_line_in_the_whole_file() {
        let good = "id: a\ntcp: {address: 'a:1'}\n---\n";
        for (text, told) in [
            ("id: b\ntcp: {address: 'b:1'}\nintervall: 1s\n", "w.yaml:6:1"),
            ("id: b\nhttp: {url: 'ftp://x'}\n", "w.yaml:5:13: `http.url`"),
            ("checks:\n- id: b\n", "w.yaml:5:3: `checks[0]`"),
            ("interval: 5s\n", "w.yaml:4:1"),
            ("id: b\ntcp:\n  address: ${NOWHERE_SET}:1\n", "environment variable `NOWHERE_SET` is not set"),
            ("id: b\nid: c\n", "the key `id` is there twice"),
        ] {
            let error = read(&format!("{good}{text}")).unwrap_err();
            assert!(error.contains(told), "{text}\n→ {error}\nlacks {told}");
        }
    }
}
