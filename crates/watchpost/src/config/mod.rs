//! Configuration files: settings and checks in one YAML document.
//!
//! Settings come from flags, then `WATCHPOST_*` environment, then the file, then defaults. This is
//! the only place that reads the environment (besides clap's `env`).

mod audit;
mod checks;
mod contexts;
mod error;
mod file;
mod places;
mod policy;
mod read;
mod secrets;
mod shield;
mod source;
mod trust;
mod wording;

pub use checks::{WrittenCheck, read_checks};
pub use contexts::{Context, ContextName, Contexts};
pub use file::{BUCKET_DEFAULT, FileConfig};
pub use policy::{LoadedPolicy, load_policy};
use read::environment;
pub use read::{Loaded, is_set, load, search_path, sender, state_home};
pub use source::{FileSource, fingerprint};
