//! Documentation that is made from the code, held against it or written anew.

use std::path::{Path, PathBuf};

/// A file below `docs/`.
pub fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// What stands in the page between `<!-- NAME -->` and `<!-- end -->` must be `expected`.
pub fn holds(page_name: &str, name: &str, expected: &str) {
    let path = page(page_name);
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {name} -->\n");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page_name} has no {begin}"));
    let (listed, after) =
        rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{page_name} has no end of {begin}"));
    if listed != expected {
        write(&path, &format!("{before}{begin}{expected}<!-- end -->{after}"), expected);
    }
}

/// The whole file must be `expected`.
#[allow(dead_code, reason = "not every test has whole files")]
pub fn holds_file(name: &str, expected: &str) {
    let path = page(name);
    if std::fs::read_to_string(&path).unwrap_or_default() != expected {
        write(&path, expected, name);
    }
}

fn write(path: &Path, text: &str, expected: &str) {
    let writes = std::env::var_os("WATCHPOST_WRITE_DOCS").is_some();
    let shown = path.display();
    assert!(writes, "{shown} is not what the model declares; run this with WATCHPOST_WRITE_DOCS=1:\n{expected}");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
