//! `docs/schemas/policy.json`, made from the file's types. `WATCHPOST_WRITE_DOCS=1` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be read fails its test")]

use std::path::Path;

use watchpost_policy::PolicyFile;

#[test]
fn the_schema_is_that_of_the_types() {
    let mut schema = schemars::schema_for!(PolicyFile);
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    let expected = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/policy.json");
    if std::fs::read_to_string(&path).ok().as_ref() == Some(&expected) {
        return;
    }
    let writes = std::env::var_os("WATCHPOST_WRITE_DOCS").is_some();
    assert!(writes, "docs/schemas/policy.json is not what the types declare; run this with WATCHPOST_WRITE_DOCS=1");
    std::fs::write(path, expected).unwrap();
}
