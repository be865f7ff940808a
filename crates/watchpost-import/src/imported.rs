//! From texts to checks.

use crate::blackbox;
use crate::draft::Import;
use crate::format::Format;
use crate::notes::{self, Note, NoteKind, Notes, Place};
use crate::out::{Fields, Out};
use crate::tree::Node;
use crate::{gatus, kuma, prometheus, yaml};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Where files of targets are looked for where nothing says where the targets of a module are.
const TARGETS_DIRECTORY: &str = "/etc/watchpost/targets";

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What notes call it.
    pub name: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// Why nothing was translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A file is too large.
    #[error("{file}: has {bytes} bytes: expected at most {FILE_BYTES_MAX}")]
    TooLarge {
        /// Which.
        file: String,
        /// How large it is.
        bytes: usize,
    },
    /// A file is neither YAML nor JSON.
    #[error("{file}:{line}:{column}: {message}")]
    Unreadable {
        /// Which.
        file: String,
        /// The line, counted from 1; 0 where it is not known.
        line: u64,
        /// The column, counted from 1; 0 where it is not known.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// It is not told whose a file is, and its content does not tell.
    #[error("{file}: it is not clear whose configuration this is: expected one of the keys {known}, or --from")]
    Unknown {
        /// Which.
        file: String,
        /// The keys by which files are told.
        known: String,
    },
    /// A file is not what it is said to be.
    #[error("{file}: this is not a configuration of {format}: expected one of the keys {known}")]
    NotThat {
        /// Which.
        file: String,
        /// What it is said to be.
        format: Format,
        /// The keys that such a file has.
        known: String,
    },
}

/// A translation.
#[derive(Debug)]
pub struct Imported {
    checks: Vec<Out>,
    notes: Vec<Note>,
}

impl Imported {
    /// How many checks there are.
    pub fn len(&self) -> usize {
        self.checks.len()
    }

    /// Whether there is no check.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// What is to be known.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether everything is in the checks, and means what it did.
    pub fn is_complete(&self) -> bool {
        self.notes.iter().all(|note| note.kind == NoteKind::Note)
    }

    /// Whether some text is to be filled in from the environment, which our reader does where no quotes are: in JSON
    /// nothing is.
    pub fn reads_environment(&self) -> bool {
        self.checks.iter().any(Out::reads_environment)
    }

    /// The notes for people; empty where there are none.
    pub fn list(&self) -> String {
        notes::listed(&self.notes)
    }

    /// The checks as a configuration file; with the notes as comments at its head, if they are wanted there.
    pub fn to_yaml(&self, with_notes: bool) -> String {
        let mut text = String::new();
        if with_notes {
            for line in self.list().lines() {
                text.push_str(format!("# {line}").trim_end());
                text.push('\n');
            }
        }
        text + &yaml::checks(&self.checks)
    }

    /// The checks as a configuration file in JSON.
    pub fn to_json(&self) -> String {
        let mut root = Fields::default();
        root.set("checks", Out::List(self.checks.clone()));
        // Maps with texts as keys are always JSON.
        serde_json::to_string_pretty(&Out::Map(root)).unwrap_or_default() + "\n"
    }
}

/// Translates files. All of them are of one format, if `format` says which (modules of the blackbox_exporter and
/// Prometheus' scrape configurations count as one); otherwise their content tells.
///
/// # Errors
/// A file that cannot be read, or of which it is not clear what it is. What is not translated is no error, but a note.
pub fn import(sources: &[Source<'_>], format: Option<Format>) -> Result<Imported, ImportError> {
    let mut read = Vec::new();
    for source in sources {
        read.push(read_one(source, format)?);
    }
    let mut import = Import::default();
    modules_and_jobs(&read, &mut import);
    for (place, format, root) in &read {
        match format {
            Format::Gatus => gatus::import(root, place, &mut import),
            Format::UptimeKuma => kuma::import(root, place, &mut import),
            Format::Blackbox | Format::Prometheus => {}
        }
    }
    let (checks, notes) = import.done();
    Ok(Imported { checks, notes: notes.into_vec() })
}

fn read_one(source: &Source<'_>, format: Option<Format>) -> Result<(Place, Format, Node), ImportError> {
    let file = source.name.to_owned();
    if source.text.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge { file, bytes: source.text.len() });
    }
    let root = Node::parse(source.text).map_err(|error| ImportError::Unreadable {
        file: file.clone(),
        line: error.line,
        column: error.column,
        message: error.message,
    })?;
    let of_exporter = |format: Format| matches!(format, Format::Blackbox | Format::Prometheus);
    let shown = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let found = Format::guess(&root);
    match (format, found) {
        (None, Some(found)) => Ok((Place::file(source.name), found, root)),
        (Some(told), Some(found)) if told == found || (of_exporter(told) && of_exporter(found)) => {
            Ok((Place::file(source.name), found, root))
        }
        (None, None) => {
            let known: Vec<_> = Format::ALL.iter().flat_map(|format| format.keys()).copied().collect();
            Err(ImportError::Unknown { file, known: shown(&known) })
        }
        (Some(format), _) => {
            let known = match of_exporter(format) {
                true => [Format::Blackbox.keys(), Format::Prometheus.keys()].concat(),
                false => format.keys().to_vec(),
            };
            Err(ImportError::NotThat { file, format, known: shown(&known) })
        }
    }
}

fn modules_and_jobs(read: &[(Place, Format, Node)], import: &mut Import) {
    let of = |wanted: Format| read.iter().filter(move |(_, format, _)| *format == wanted);
    let mut modules = Vec::new();
    for (place, _, root) in of(Format::Blackbox) {
        modules.extend(blackbox::modules(root, place, &mut import.notes));
    }
    let mut modules = prometheus::Modules::new(modules, &mut import.notes);
    for (place, _, root) in of(Format::Prometheus) {
        prometheus::import(root, place, &mut modules, import);
    }
    let has_jobs = of(Format::Prometheus).next().is_some();
    for module in modules.unused() {
        match has_jobs {
            true => {
                import.notes.not_translated(&module.place, "no job uses this module, so that there is nothing to check")
            }
            false => without_targets(module, &mut import.notes).into_iter().for_each(|draft| {
                import.add(draft);
            }),
        }
    }
}

/// What a module alone can give: a check that waits for its targets.
fn without_targets(module: &blackbox::Module, notes: &mut Notes) -> Option<crate::draft::Draft> {
    use watchpost_model::CheckType;

    let target = match module.check_type {
        CheckType::Http => "http://{{target.address}}/",
        CheckType::Icmp => "{{target.host}}",
        CheckType::Unix => {
            notes.not_translated(&module.place, "there are no targets: make a check for each socket");
            return None;
        }
        _ => "{{target.address}}",
    };
    let file = format!("{TARGETS_DIRECTORY}/{}.yaml", module.name.replace(['/', '*', '?'], "-"));
    let why = "there are no targets: give Prometheus' file with the jobs as well, or write them to the file that the check \
               names under `targets`, as for `file_sd_configs`, each as `host:port`";
    notes.not_translated(&module.place, why);
    let mut files = Fields::default();
    files.set("files", vec![Out::from(file)]);
    let mut targets = Fields::default();
    targets.set("file", files);
    let mut draft = module.draft(module.place.clone(), &[&module.name], target);
    draft.targets = Some(targets);
    Some(draft)
}
