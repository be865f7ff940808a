//! Translates the configurations of other monitors into checks of Watchpost.
//!
//! It owns what Prometheus' blackbox_exporter (with Prometheus' scrape configurations), Gatus and uptime-kuma say, and what
//! of it our checks can say. docs/import.md lists their keys.
//!
//! It refuses to do anything: no I/O, no clock, no environment. Texts go in; checks and notes come out.
//!
//! Invariants:
//! - Nothing is passed over: each key is translated or noted, keys that nobody knows included.
//! - Every check that comes out is valid by the model's own rules, and all of them together are.
//! - No note shows the value of a secret.
//! - Nothing panics, whatever the texts are.
//!
//! ```
//! use watchpost_import::{Source, import};
//!
//! let text = "endpoints:\n  - name: shop\n    url: https://shop.example/\n    conditions: ['[STATUS] == 200']\n";
//! let imported = import(&[Source { name: "gatus.yaml", text }], None)?;
//! assert!(imported.is_complete());
//! assert!(imported.to_yaml(false).contains("status: 200"));
//! # Ok::<(), watchpost_import::ImportError>(())
//! ```

mod blackbox;
mod draft;
mod duration;
mod format;
mod gatus;
mod ids;
mod imported;
mod keys;
mod kuma;
mod notes;
mod out;
mod prometheus;
mod tree;
mod written;
mod yaml;

pub use format::Format;
pub use imported::{FILE_BYTES_MAX, ImportError, Imported, Source, import};
pub use notes::{Note, NoteKind};
