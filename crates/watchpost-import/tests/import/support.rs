//! What comes out, read back as our own reader reads it.

use serde::Deserialize;
use watchpost_import::{Format, Imported, NoteKind, Source, import};
use watchpost_model::{Check, validate_set};

/// Translates one text.
pub fn one(text: &str, format: Format) -> Imported {
    import(&[Source { name: "given", text }], Some(format)).unwrap()
}

/// The checks that an output holds, as the model reads them. Fails where one is not valid, or all together are not.
pub fn checks(imported: &Imported) -> Vec<Check> {
    #[derive(Deserialize)]
    struct File {
        checks: Vec<Check>,
    }
    let yaml = imported.to_yaml(true);
    let read: File = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    validate_set(&read.checks).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let json: File = serde_json::from_str(&imported.to_json()).unwrap();
    assert_eq!(json.checks, read.checks, "YAML and JSON say the same");
    assert_eq!(read.checks.len(), imported.len());
    read.checks
}

/// The paths of the notes of a kind.
pub fn paths(imported: &Imported, kind: NoteKind) -> Vec<String> {
    imported.notes().iter().filter(|note| note.kind == kind).map(|note| note.path.clone()).collect()
}
