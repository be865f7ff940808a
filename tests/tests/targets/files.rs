//! Targets from files that change in every way in which files do.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use watchpost_probe::{Lookout, Resolver};

use crate::source::{look_out, next, owned, until};

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-targets-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// As editors and configuration management do it.
    fn replace(&self, name: &str, text: &str) {
        self.write("new.tmp", text);
        fs::rename(self.path("new.tmp"), self.path(name)).unwrap();
    }

    fn look_out(&self, patterns: &[&str]) -> Lookout {
        let files: Vec<PathBuf> = patterns.iter().map(|pattern| self.path(pattern)).collect();
        let json = serde_json::json!({ "file": { "files": files }, "refresh": "1s" });
        look_out(&json.to_string(), &Resolver::with_nameservers(Vec::new()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

async fn fails_with(lookout: &mut Lookout, told: &str) {
    let error = loop {
        if let Err(error) = next(lookout).await {
            break error;
        }
    };
    assert!(error.starts_with("file_unusable: ") && error.contains(told), "{error}\nlacks {told}");
}

#[tokio::test]
async fn files_that_are_replaced_or_rewritten_are_read_again() {
    let folder = Folder::new();
    folder.write("a.json", r#"[{"targets": ["a:1"]}]"#);
    let mut lookout = folder.look_out(&["a.json"]);
    assert_eq!(next(&mut lookout).await, Ok(owned(&["a:1"])));
    folder.replace("a.json", r#"[{"targets": ["a:1", "b:1"]}]"#);
    until(&mut lookout, &["a:1", "b:1"]).await;
    folder.write("a.json", r#"[{"targets": ["c:1"]}]"#);
    until(&mut lookout, &["c:1"]).await;
    folder.write("a.json", "[]");
    until(&mut lookout, &[]).await;
    // Of the same length, and within what a coarse clock calls the same moment.
    for address in ["d:1", "e:1", "f:1"] {
        folder.write("a.json", &format!(r#"[{{"targets": ["{address}"]}}]"#));
        until(&mut lookout, &[address]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_told_with_the_file_and_mends_itself() {
    let folder = Folder::new();
    let mut lookout = folder.look_out(&["a.yml"]);
    fails_with(&mut lookout, "a.yml cannot be read: No such file").await;
    for (text, told) in [
        ("- targets: ['a:1', 'b:", "a.yml is no list of targets"),
        ("", "it is empty: expected a list"),
        ("- target: ['a:1']\n", "target"),
        ("targets: ['a:1']\n", "a.yml is no list of targets"),
    ] {
        folder.write("a.yml", text);
        fails_with(&mut lookout, told).await;
    }
    fs::write(folder.path("a.yml"), [0xff, 0xfe, 0x00]).unwrap();
    fails_with(&mut lookout, "UTF-8").await;
    folder.write("a.yml", "- targets: ['a:1']\n  labels: {env: x}\n");
    until(&mut lookout, &["a:1"]).await;
    fs::remove_file(folder.path("a.yml")).unwrap();
    fails_with(&mut lookout, "cannot be read").await;
    fs::create_dir(folder.path("a.yml")).unwrap();
    fails_with(&mut lookout, "a.yml cannot be read: Is a directory").await;
}

#[tokio::test]
async fn patterns_follow_files_that_come_and_go() {
    let folder = Folder::new();
    let mut lookout = folder.look_out(&["tg_*.json", "more.yaml"]);
    fails_with(&mut lookout, "more.yaml cannot be read").await;
    folder.write("more.yaml", "[]");
    until(&mut lookout, &[]).await;
    for name in ["tg_b.json", "tg_a.json"] {
        folder.write(name, &format!(r#"[{{"targets": ["{}:1"]}}]"#, &name[3..4]));
    }
    folder.write("other.json", "nonsense");
    folder.write("tg_c.json.bak", "nonsense");
    until(&mut lookout, &["a:1", "b:1"]).await;
    fs::remove_file(folder.path("tg_a.json")).unwrap();
    until(&mut lookout, &["b:1"]).await;
    folder.write("tg_x.txt", "[]");
    let mut other = folder.look_out(&["*.txt"]);
    fails_with(&mut other, "tg_x.txt has a name that ends neither in .json nor").await;
}

/// Half a YAML file is often a good one, with fewer targets in it.
#[tokio::test]
async fn a_file_is_not_taken_while_it_is_being_written() {
    let folder = Folder::new();
    folder.write("a.yaml", "- targets: ['old:1']\n");
    let mut lookout = folder.look_out(&["a.yaml"]);
    assert_eq!(next(&mut lookout).await, Ok(owned(&["old:1"])));
    let path = folder.path("a.yaml");
    let writing = tokio::spawn(async move { write_slowly(&path).await });
    let all: Vec<String> = (0..10).map(|i| format!("n{i}:1")).collect();
    loop {
        let said = next(&mut lookout).await;
        // Old, new, or not to be read just now: but never a part of the new.
        match said {
            Ok(found) if found == all => break,
            Ok(found) => assert_eq!(found, ["old:1"]),
            Err(error) => assert!(error.starts_with("file_unusable: "), "{error}"),
        }
    }
    writing.await.unwrap();
}

async fn write_slowly(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for i in 0..10 {
        file.write_all(format!("- targets: ['n{i}:1']\n").as_bytes()).unwrap();
        file.flush().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
