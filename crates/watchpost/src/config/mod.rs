//! Configuration files: settings and checks in one YAML document.
//!
//! Settings come from flags, then `WATCHPOST_*` environment, then the file, then defaults. This is
//! the only place that reads the environment (besides clap's `env`).

mod error;
mod file;
mod read;
mod source;

pub use file::FileConfig;
pub use read::{Loaded, load, search_path};
pub use source::FileSource;
