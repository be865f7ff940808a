use super::*;

fn image() -> Image {
    let written =
        |key: &Key, revision, text: &str| Written::read(key, revision, Bytes::copy_from_slice(text.as_bytes()));
    let web = Key::parse("site.web").unwrap();
    let db = Key::parse("eu.db").unwrap();
    let good = r#"{"id": "web", "tcp": {"address": "a:1"}}"#;
    let kept = |latest, fallback, running, orphaned| Kept { latest, fallback, running, orphaned };
    let entries = vec![
        (web.clone(), kept(written(&web, 7, "{\n\nbroken"), Some(written(&web, 5, good)), Some(5), false)),
        (db.clone(), kept(written(&db, 6, ""), None, None, true)),
    ];
    let about = About {
        bucket: Some("CHECKS".to_owned()),
        bucket_created_us: Some(1),
        revision: 9,
        generation: 3,
        synced_at: Some(Timestamp::from_microsecond(1_700_000_000_000_000).unwrap()),
        entries: 2,
    };
    Image { about, entries }
}

fn assert_same(read: &Image, written: &Image) {
    assert_eq!(read.about, written.about);
    assert_eq!(format!("{:?}", read.entries), format!("{:?}", written.entries));
}

/// A folder of its own, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("watchpost-disk-{name}-{}", std::process::id()));
        fs::remove_dir_all(&folder).ok();
        Self(folder)
    }

    fn disk(&self) -> Disk {
        Disk::open(&self.0, &"site".parse().unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn what_is_written_is_read_again_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("whole");
    let disk = folder.disk();
    assert!(matches!(disk.read(), Err(Unread::Missing)));
    disk.write(&image()).unwrap();
    assert_same(&disk.read().unwrap(), &image());
    assert_eq!(fs::metadata(disk.file()).unwrap().permissions().mode() & 0o777, 0o600);
    disk.write(&Image::default()).unwrap();
    assert!(disk.read().unwrap().entries.is_empty());
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_damaged_and_never_half_read() {
    let folder = Folder::new("cut");
    let disk = folder.disk();
    let whole = encode(&image()).unwrap();
    for length in 0..whole.len() {
        fs::write(disk.file(), &whole[..length]).unwrap();
        assert!(matches!(disk.read(), Err(Unread::Damaged(_))), "cut off at {length}");
    }
    let aside = disk.put_aside().unwrap();
    assert!(aside.exists() && matches!(disk.read(), Err(Unread::Missing)));
}

#[test]
fn a_byte_that_was_altered_anywhere_is_noticed() {
    let whole = encode(&image()).unwrap();
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        assert!(decode(&Bytes::from(altered)).is_err(), "altered at {at}");
    }
}

#[test]
fn a_write_that_was_cut_off_leaves_the_file_before_it_whole() {
    let folder = Folder::new("next");
    let disk = folder.disk();
    disk.write(&image()).unwrap();
    let whole = encode(&image()).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        // What a process leaves that is killed in the middle of writing.
        fs::write(disk.file().with_extension("checks.next"), &whole[..length]).unwrap();
        assert_same(&disk.read().unwrap(), &image());
    }
    disk.write(&Image::default()).unwrap();
    assert!(disk.read().unwrap().entries.is_empty());
}

#[test]
fn lines_that_lie_about_lengths_and_counts_are_refused() {
    for (head, body) in [
        (
            r#"{"revision":1,"generation":1,"entries":2}"#,
            "{\"group\":\"g\",\"check\":\"c\",\"revision\":1,\"bytes\":1}\nx\n",
        ),
        (
            r#"{"revision":1,"generation":1,"entries":1}"#,
            "{\"group\":\"g\",\"check\":\"c\",\"revision\":1,\"bytes\":9}\nx\n",
        ),
        (
            r#"{"revision":1,"generation":1,"entries":1}"#,
            "{\"group\":\"g\",\"check\":\"c\",\"revision\":1,\"bytes\":18446744073709551615}\nx\n",
        ),
        (r#"{"revision":1,"generation":1,"entries":1}"#, "no line"),
        ("[]", ""),
    ] {
        let mut content = [HEAD, head.as_bytes(), b"\n", body.as_bytes()].concat();
        let digest = HEXLOWER.encode(&Sha256::digest(&content));
        content.extend_from_slice(format!("{digest}\n").as_bytes());
        assert!(decode(&Bytes::from(content)).is_err(), "{head} {body}");
    }
}
