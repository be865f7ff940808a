//! From the text of a file to settings and valid checks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_saphyr::{Options, Spanned};
use watchpost_model::{Check, SetErrorKind, validate_set};

use super::error::ConfigError;
use super::file::{FileConfig, ReadCheck};
use super::places::{self, place_of};
use super::shield::Shielded;
use super::wording::message_of;

/// The largest file that is read, in bytes: enough for 100 000 checks.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How many characters are told of who runs this.
const SENDER_CHARS_MAX: usize = 128;

/// A file that was read, and is valid.
#[derive(Debug)]
pub struct Loaded {
    /// Everything but the checks.
    pub settings: FileConfig,
    /// The checks.
    pub checks: Vec<Check>,
    /// What is permitted and probably not meant.
    pub warnings: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it, where, and what was expected.
pub fn load(file: &Path) -> Result<Loaded, ConfigError> {
    let text = text(file)?;
    parse(file, &text, &environment())
}

/// The text of a file that is not too large.
///
/// # Errors
/// When it cannot be read.
pub(super) fn text(file: &Path) -> Result<String, ConfigError> {
    let whole = |message: String| ConfigError::whole(file, message);
    let cannot = |e: std::io::Error| whole(format!("cannot be read: {e}"));
    let mut text = String::new();
    let read = File::open(file).map_err(cannot)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(whole(format!("has more than {FILE_BYTES_MAX} bytes: expected at most that")));
    }
    Ok(text)
}

/// Reads a document in which nothing is filled in.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn document<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    deserialize(text, &HashMap::new()).map_err(|(place, key, message)| ConfigError::at(file, text, place, key, message))
}

/// The environment, for `${NAME}` in files.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub(super) fn environment() -> HashMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Whether this variable is set. What it holds is nobody's business.
pub fn is_set(variable: &str) -> bool {
    environment().contains_key(variable)
}

/// Where programs of this user keep what is to outlive them (XDG Base Directory Specification).
pub fn state_home() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

/// Who runs this, as `user@host`: what requests over the bus say of whoever sends them.
pub fn sender() -> String {
    let said = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
    let user = said("USER").or_else(|| said("LOGNAME")).filter(|user| !user.is_empty());
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Headers hold plain text.
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    format!("{user}@{}", host.trim()).chars().map(plain).take(SENDER_CHARS_MAX).collect()
}

/// Where programs are looked for.
pub fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn parse(file: &Path, text: &str, environment: &HashMap<String, String>) -> Result<Loaded, ConfigError> {
    if text.trim().is_empty() {
        return Err(ConfigError::whole(file, "is empty: expected at least `checks:`"));
    }
    let fault = |(place, key, message)| ConfigError::at(file, text, place, key, message);
    let mut settings: FileConfig = deserialize(text, environment).map_err(fault)?;
    validate_pools(file, text, &settings)?;
    let wrong = |message| ConfigError::whole(file, format!("`bus`: {message}"));
    settings.bus.context().validate().map_err(wrong)?;
    let read = std::mem::take(&mut settings.checks);
    let checks = validate_checks(file, text, environment, read)?;
    Ok(Loaded { settings, checks, warnings: warnings(file, text) })
}

/// How a file is read. The reader's own budget is used up by some 16 000 checks; this one lets in what the file may be
/// long, and no alias bomb.
fn options(properties: HashMap<String, String>) -> Options {
    literal_options().with_properties(properties)
}

/// The same where nothing is filled in.
fn literal_options() -> Options {
    let budget = serde_saphyr::budget! { max_events: 4_000_000, max_nodes: 2_000_000 };
    serde_saphyr::options! { budget: budget }
}

/// The line and column of what lies `offset` bytes within the text at `key`, as [`places::find`] has them.
pub(super) fn find(
    text: &str,
    environment: &HashMap<String, String>,
    key: &str,
    offset: usize,
) -> Option<(usize, usize)> {
    let shielded = Shielded::new(text);
    places::find(&shielded.text, options(shielded.properties(environment)), key, offset)
}

/// What is wrong with a text: its line and column, its key, and one sentence.
type Fault = ((usize, usize), Option<String>, String);

/// Reads one document.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn deserialize<T: DeserializeOwned>(text: &str, environment: &HashMap<String, String>) -> Result<T, Fault> {
    let shielded = Shielded::new(text);
    deserialize_with(&shielded.text, options(shielded.properties(environment))).map_err(|(place, key, message)| {
        // The reader tells nothing of texts in which something was filled in. What is wrong with a reference to a
        // secret is the same where nothing is.
        let told = match shielded.text {
            Cow::Owned(_) => deserialize_with::<T>(text, literal_options()).err(),
            Cow::Borrowed(_) => None,
        };
        let of_secret = told.filter(|(at, _, told)| *at == place && told.contains("secret"));
        of_secret.unwrap_or_else(|| (place, key, shielded.restore(message)))
    })
}

fn deserialize_with<T: DeserializeOwned>(text: &str, options: Options) -> Result<T, Fault> {
    // The error's place comes from the YAML reader, the key's path from the wrapper around it.
    let mut key = None;
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize::<_, T>(deserializer).map_err(|e| {
            // The wrapper that keeps a check's place is no key of the file.
            let path = e.path().to_string().replace("].value", "]");
            let path = path.strip_prefix("value.").unwrap_or(&path);
            // Where a key itself is wrong, its parent is named.
            let path = path.trim_end_matches(".?");
            key = Some(path.to_owned()).filter(|path| !matches!(path.as_str(), "." | "?" | "value"));
            e.into_inner()
        })
    });
    read.map_err(|error| {
        let error = error.without_snippet();
        (error.location().map_or((0, 0), place_of), key, message_of(error))
    })
}

fn validate_pools(file: &Path, text: &str, settings: &FileConfig) -> Result<(), ConfigError> {
    for (check_type, pool) in &settings.pools {
        if !check_type.has_tasks() {
            let message = format!("`pools.{check_type}` has no meaning: no worker runs checks of that type");
            return Err(ConfigError::whole(file, message));
        }
        let Some(per_check) = &pool.per_check else { continue };
        let (given, size) = (per_check.value, pool.size());
        if !usize::try_from(given).is_ok_and(|given| (1..=size).contains(&given)) {
            let message =
                format!("{given} workers for one check are out of range: expected 1 to the pool's size, {size}");
            let key = format!("pools.{check_type}.per_check");
            return Err(ConfigError::at(file, text, place_of(per_check.referenced), Some(key), message));
        }
    }
    Ok(())
}

fn validate_checks(
    file: &Path,
    text: &str,
    environment: &HashMap<String, String>,
    read: Vec<Spanned<ReadCheck>>,
) -> Result<Vec<Check>, ConfigError> {
    let places: Vec<_> = read.iter().map(|check| place_of(check.referenced)).collect();
    let error = |i: usize, key: Option<&str>, offset: usize, message: String| {
        let key = key.map(|key| format!("checks[{i}].{key}")).unwrap_or_else(|| format!("checks[{i}]"));
        let place = find(text, environment, &key, offset).unwrap_or(places[i]);
        ConfigError::at(file, text, place, Some(key), message)
    };
    let mut checks = Vec::with_capacity(read.len());
    for (i, Spanned { value: ReadCheck(check), .. }) in read.into_iter().enumerate() {
        checks.push(check.map_err(|e| error(i, e.key(), e.offset(), e.to_string()))?);
    }
    validate_set(&checks).map_err(|e| match (&e.kind, e.member) {
        (SetErrorKind::Duplicate { id, first }, _) => {
            let line = places[*first].0;
            let message = format!("check `{id}` is there already, in line {line}: ids must differ");
            error(e.index, Some("id"), 0, message)
        }
        (_, Some(member)) => error(e.index, Some(&format!("group.checks[{member}]")), 0, e.to_string()),
        (_, None) => error(e.index, Some("group"), 0, e.to_string()),
    })?;
    Ok(checks)
}

/// `${NAME}` is replaced in plain scalars only. Within quotes it stays as it is, which is seldom meant of a name in
/// capitals, as environment variables have them; `${name}` is what a dialogue captured.
fn warnings(file: &Path, text: &str) -> Vec<String> {
    let quoted_reference = |line: &str| {
        let (before, after) = line.split_once("${")?;
        let open = |quote| before.matches(quote).count() % 2 == 1;
        let in_capitals = !after.split(['}', ':']).next().unwrap_or_default().contains(char::is_lowercase);
        (!before.trim_start().starts_with('#') && in_capitals && (open('"') || open('\''))).then_some(())
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| quoted_reference(line).is_some())
        .map(|(i, _)| {
            let line = i + 1;
            format!(
                "{}:{line}: `${{…}}` within quotes is not replaced; leave the quotes out if it should be",
                file.display()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Loaded, String> {
        let environment = HashMap::from([("HOST".to_owned(), "svc.example".to_owned())]);
        parse(Path::new("w.yaml"), text, &environment).map_err(|e| e.to_string())
    }

    #[test]
    fn every_error_names_file_line_column_key_and_expectation() {
        for (text, parts) in [
            (
                "checks:\n  - id: a\n    tcp: {address: 'a:1'}\n    intervall: 5s\n",
                &["w.yaml:4:5", "intervall", "expected one of"][..],
            ),
            (
                "checks:\n  - id: a\n    tcp: {address: 'a:1'}\n    interval: ten\n",
                &["w.yaml:4:15", "`checks[0].interval`", "is not a duration"],
            ),
            (
                "checks:\n  - id: a\n    tcp: {address: 'a:1'}\n    interval: 25h\n",
                &["w.yaml:4:15", "expected 1s to 24h"],
            ),
            (
                "checks:\n  - id: a\n    http: {url: 'ftp://x'}\n",
                &["w.yaml:3:17", "`checks[0].http.url`", "expected `http` or `https`"],
            ),
            ("checks:\n  - id: a\n    http: [1]\n", &["w.yaml:3:11", "`checks[0].http`"]),
            ("checks:\n  - id: a\n", &["w.yaml:2:5", "`checks[0]`", "expected one of `http:`, `tcp:`, "]),
            (
                "checks:\n  - {id: a, tcp: {address: 'a:1'}}\n  - {id: a, tcp: {address: 'a:2'}}\n",
                &["w.yaml:3:10", "in line 2", "ids must differ"],
            ),
            (
                "checks:\n  - id: a\n    tcp:\n      address: ${MISSING}:1\n",
                &["w.yaml:4:", "environment variable `MISSING` is not set"],
            ),
            ("pools: {http: {size: 0}}\n", &["w.yaml:1:22", "`pools.http.size`", "expected 1 to 10000"]),
            (
                "pools: {http: {size: 8, per_check: 9}}\n",
                &["w.yaml:1:36", "`pools.http.per_check`", "expected 1 to the pool's size, 8"],
            ),
            ("pools: {tcp: {per_check: 0}}\n", &["w.yaml:1:26", "expected 1 to the pool's size, 64"]),
            (
                "checks:\n  - {id: a, tcp: {address: 'a:1'}}\n  - {id: g, group: {checks: [a, b]}}\n",
                &["w.yaml:3:33", "`checks[1].group.checks[1]`", "names `b`, which is not among the checks"],
            ),
            (
                "checks:\n  - id: a\n    tcp: {address: 'a:1'}\n    verdict: {quorum: 0}\n",
                &["w.yaml:4:23", "`checks[0].verdict.quorum`", "expected 1 to 10000"],
            ),
            ("pools: {gopher: {size: 1}}\n", &["w.yaml:1:", "gopher"]),
            ("checks: [\n", &["w.yaml:"]),
            ("checks:\n- id: a\n  id: b\n", &["w.yaml:3:3", "the key `id` is there twice"]),
            ("", &["expected at least `checks:`"]),
            ("chekcs: []\n", &["w.yaml:1:1", "did you mean `checks`? unknown field"]),
            ("checks:\n  - id: a\n    htpp: {url: 'http://a/'}\n", &["w.yaml:3:5", "did you mean `http`?"]),
            ("checks: []\n---\nchecks: []\n", &["w.yaml:3:1", "expected one in each file"]),
            ("checks:\n\t- id: a\n", &["w.yaml:2:2", "expected spaces"]),
            ("checks:\n  id: a\n", &["w.yaml:2:3", "`checks`", "expected one, whose entries begin with `- `"]),
            ("hello\n", &["w.yaml:1:1", "expected some, as in `key: value`"]),
            ("checks:\n  - id: a\n    http: {url: [x]}\n", &["w.yaml:3:17", "expected a text"]),
        ] {
            let error = read(text).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}\n→ {error}\nlacks {part}");
            }
        }
    }

    #[test]
    fn what_a_check_may_not_say_is_placed_where_it_says_it() {
        let http = "checks:\n  - id: a\n    http: {url: 'http://a/'}\n";
        let tcp = "checks:\n  - id: a\n    tcp: {address: 'a:1'}\n";
        let steps = "checks:\n  - id: a\n    steps:\n      - http: {url: 'http://a/'}\n";
        for (before, after, parts) in [
            (
                http,
                "    expect:\n      that: status == 200 && stat == 1\n",
                &["w.yaml:5:30", "`checks[0].expect.that[0]`"][..],
            ),
            (
                http,
                "    expect:\n      that:\n        - status == 200\n        - status == 200 && stat == 1\n",
                &["w.yaml:7:28"],
            ),
            (http, "    expect: {that: [\"status == 200 && stat == 1\"]}\n", &["w.yaml:4:39"]),
            // What is written with escapes is placed as a whole.
            (http, "    expect: {that: ['body.text == ''b'' || stat == 1']}\n", &["w.yaml:4:21"]),
            (
                http,
                "    expect:\n      that: |\n        status == 200 &&\n        stat == 200\n",
                &["w.yaml:7:9", "7 |         stat"],
            ),
            (tcp, "    expect: {status: 200}\n", &["w.yaml:4:22", "`checks[0].expect.status`"]),
            (tcp, "    timeout: 2m\n", &["w.yaml:4:14", "`checks[0].timeout`"]),
            (tcp, "    addresses: [10.0.0.1, '10.0.0.1:1']\n", &["w.yaml:4:16", "`checks[0].addresses`"]),
            (tcp, "    verdict: {quorum: 2}\n", &["w.yaml:4:14", "`checks[0].verdict`"]),
            (
                steps,
                "        expect: {that: stat == 200}\n",
                &["w.yaml:5:24", "`checks[0].steps[0].expect.that[0]`", "step 1"],
            ),
        ] {
            let error = read(&format!("{before}{after}")).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{after}\n→ {error}\nlacks {part}");
            }
        }
    }

    #[test]
    fn the_environment_fills_in_plain_scalars_and_quoted_ones_are_warned_of() {
        let loaded = read("checks:\n  - id: a\n    tcp:\n      address: ${HOST}:1\n").unwrap();
        assert_eq!(loaded.checks[0].target_name(), "svc.example:1");
        assert!(loaded.warnings.is_empty());
        let loaded = read("checks:\n  - id: a\n    tcp: {address: 'a:1'}\n    # plain\n  - id: b\n    http:\n      url: http://${HOST}/\n      headers:\n        x: Bearer ${secret:t}\n        y: '${secret:u}'\n      body: $${secret:v}\n").unwrap();
        let settings = serde_json::to_value(&loaded.checks[1]).unwrap();
        let http = &settings["http"];
        assert_eq!(
            (&http["url"], &http["headers"]["x"]),
            (&"http://svc.example/".into(), &"Bearer ${secret:t}".into())
        );
        assert_eq!((&http["headers"]["y"], &http["body"]), (&"${secret:u}".into(), &"$${secret:v}".into()));
        let error = read("checks:\n  - id: a\n    http:\n      url: http://a/${secret:t}\n").unwrap_err();
        for part in ["w.yaml:4:12", "`checks[0].http.url`", "results and logs show URLs"] {
            assert!(error.contains(part), "{error}");
        }
        let loaded = read("checks:\n  - id: a\n    http: {url: 'http://a/', body: \"${HOST}\"}\n").unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    }

    #[test]
    fn a_file_of_many_checks_is_read() {
        let check =
            |i| format!("- {{id: c{i}, http: {{url: 'http://a/', max_redirects: 3}}, expect: {{status: 200}}}}\n");
        let text = format!("checks:\n{}", (0..20_000).map(check).collect::<String>());
        assert_eq!(read(&text).unwrap().checks.len(), 20_000);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        assert!(read(&text).is_err());
    }
}
