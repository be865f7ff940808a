//! A log on a real disk: begun, gone on with, put aside, cut off by a crash, and tampered with.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests document themselves by their names, and fail by panicking"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use watchpost_audit::{
    AuditError, AuditEvent, AuditLog, AuditSettings, Head, MAX_SIZE_MIN, Problem, Verified, read_entries, verify,
};
use watchpost_model::Timestamp;

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(120);

/// A folder that is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("watchpost-audit-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn active(&self) -> PathBuf {
        self.0.join("b.audit.jsonl")
    }

    /// Every file of the log, in the order of their names.
    fn all(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = names.filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect();
        all.sort();
        all
    }

    fn settings(&self) -> AuditSettings {
        let second = AtomicI64::new(0);
        let now = move || Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).unwrap();
        AuditSettings::new(self.active(), "b".parse().unwrap(), Arc::new(now))
    }

    fn open(&self) -> AuditLog {
        AuditLog::open(self.settings()).unwrap()
    }

    /// Writes so many entries by a process of its own.
    fn write(&self, entries: u64) {
        let log = self.open();
        (0..entries).for_each(|number| log.record(event(number)));
        assert!(log.close(SOON));
        drop(log);
        self.until_released();
    }

    /// Waits until the thread that wrote has let go of the file.
    fn until_released(&self) {
        let begun = Instant::now();
        loop {
            let lock = fs::OpenOptions::new().write(true).open(self.0.join("b.audit.jsonl.lock")).unwrap();
            if lock.try_lock().is_ok() {
                return;
            }
            assert!(begun.elapsed() < SOON, "the log is still held");
            std::thread::yield_now();
        }
    }

    fn verify(&self) -> Verified {
        verify(&self.all(), None).unwrap()
    }

    /// What the entries say, but for what differs each time.
    fn events(&self) -> Vec<String> {
        let mut events = Vec::new();
        read_entries(&self.all(), |line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            events.push(entry["event"].as_str().unwrap().to_owned());
        })
        .unwrap();
        events
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn event(number: u64) -> AuditEvent {
    AuditEvent::Exec {
        check: "c".parse().unwrap(),
        task: "6f0e35a1-7c7b-4e0e-9b52-5d2c41a890b7".parse().unwrap(),
        command: format!("/usr/lib/plugins/check_{number}"),
        ended: "pass".to_owned(),
    }
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn rewrite(file: &Path, lines: &[String]) {
    fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "it did not come to be: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_chain_goes_on_over_restarts() {
    let folder = Folder::new();
    folder.write(3);
    folder.write(2);
    folder.write(0);
    folder.write(1);
    let found = folder.verify();
    assert_eq!((found.entries, found.first.unwrap().seq, found.last.unwrap().seq), (6, 1, 6));
    assert_eq!(found.problems, []);
    let mode = fs::metadata(folder.active()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn full_files_are_put_aside_and_the_oldest_removed_and_the_chain_goes_on_over_them() {
    let folder = Folder::new();
    let settings = AuditSettings { max_size: MAX_SIZE_MIN, keep: 3, ..folder.settings() };
    let log = AuditLog::open(settings).unwrap();
    for number in 0..2_000 {
        log.record(event(number));
    }
    assert!(log.close(SOON));
    let files = folder.all();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= MAX_SIZE_MIN, "{}", file.display());
    }
    let found = folder.verify();
    assert_eq!(found.problems, []);
    let (first, last) = (found.first.unwrap(), found.last.unwrap());
    assert_eq!((last.seq, found.entries), (2_000, 2_000 - first.seq + 1));
    assert!(first.seq > 1_000, "{first}");
    // Their names say which entries they begin with.
    let name = format!("b.audit-{:012}.jsonl", first.seq);
    assert!(files.contains(&folder.0.join(&name)), "{name} {files:?}");

    // Without the one in the middle.
    drop(log);
    let without: Vec<PathBuf> =
        files.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, file)| file.clone()).collect();
    let problems = verify(&without, None).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].line == 1 && problems[0].what.contains("were removed before this one"), "{problems:?}");

    // And without the newest: the next process goes on where the one before it ended.
    folder.until_released();
    fs::remove_file(folder.active()).unwrap();
    let cut = folder.verify().last.unwrap();
    folder.write(1);
    let found = folder.verify();
    assert_eq!((found.problems, found.last.unwrap().seq), (vec![], cut.seq + 1));
    // Only somebody who knows a later entry can tell.
    let problems = verify(&folder.all(), Some(last)).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("what came after was removed"), "{problems:?}");
}

#[test]
fn a_line_that_a_crash_cut_off_is_cut_away_wherever_that_was_and_it_is_told() {
    for cut in [1, 20, 150, usize::MAX] {
        let folder = Folder::new();
        folder.write(3);
        let whole = fs::read(folder.active()).unwrap();
        let last = whole.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
        // Of the last line, all but its end at most.
        let kept = whole.len() - last.len() + cut.min(last.len() - 1);
        fs::write(folder.active(), &whole[..kept]).unwrap();
        folder.write(1);
        let found = folder.verify();
        assert_eq!((found.problems, found.entries), (vec![], 4), "{cut}");
        assert_eq!(folder.events(), ["exec", "exec", "repaired", "exec"], "{cut}");
    }
    // The very first line.
    let folder = Folder::new();
    fs::write(folder.active(), r#"{"seq":1,"at":"19"#).unwrap();
    folder.write(1);
    assert_eq!((folder.verify().problems, folder.events()), (vec![], vec!["repaired".to_owned(), "exec".to_owned()]));
}

#[test]
fn a_file_that_ends_in_something_else_is_put_aside_and_the_chain_goes_on_from_its_last_entry() {
    let folder = Folder::new();
    folder.write(3);
    let mut tampered = lines(&folder.active());
    tampered.push("somebody was here".to_owned());
    rewrite(&folder.active(), &tampered);
    folder.write(1);
    assert_eq!(folder.all().len(), 2);
    let found = folder.verify();
    let aside = folder.all().into_iter().find(|file| *file != folder.active()).unwrap();
    let what = "this line is not an entry: it was changed or put in".to_owned();
    assert_eq!(found.problems, [Problem { file: aside, line: 4, what }]);
    assert_eq!((found.entries, found.last.unwrap().seq), (5, 5));
    assert_eq!(lines(&folder.active()).len(), 2);
}

#[test]
fn what_was_changed_removed_put_in_or_moved_is_named_with_its_line() {
    let folder = Folder::new();
    folder.write(6);
    let written = lines(&folder.active());
    let other = Folder::new();
    let log = other.open();
    (10..16).for_each(|number| log.record(event(number)));
    assert!(log.close(SOON));
    let foreign = lines(&other.active());
    let tampered = |how: &dyn Fn(&mut Vec<String>)| {
        let mut lines = written.clone();
        how(&mut lines);
        rewrite(&folder.active(), &lines);
        let problems = folder.verify().problems;
        problems.into_iter().map(|problem| (problem.line, problem.what)).collect::<Vec<_>>()
    };
    assert_eq!(tampered(&|_| {}), []);
    for (how, expected) in [
        (
            &(|lines: &mut Vec<String>| {
                lines.remove(2);
            }) as &dyn Fn(&mut Vec<String>),
            (3, "entry 3 was removed"),
        ),
        (
            &|lines| {
                lines.drain(1..4);
            },
            (2, "the entries 2 to 4 were removed"),
        ),
        (&|lines| lines[2] = lines[2].replace("check_2", "check_9"), (3, "was changed after it was written")),
        (&|lines| lines[2] = lines[2].replace("\"seq\":3", "\"seq\": 3"), (3, "was changed after it was written")),
        (&|lines| lines.insert(3, lines[2].clone()), (4, "one of them was put in")),
        (&|lines| lines.insert(3, "{}".to_owned()), (4, "not an entry")),
        (&|lines| lines.insert(3, String::new()), (4, "not an entry")),
        (&|lines| lines.insert(3, "x".repeat(100_000)), (4, "longer than any entry")),
        (&|lines| lines[2] = foreign[2].clone(), (3, "does not follow the one in line 2")),
        (&|lines| lines.swap(2, 3), (3, "entry 3 was removed")),
    ] {
        let found = tampered(how);
        assert!(
            found.iter().any(|(line, what)| (*line, true) == (expected.0, what.contains(expected.1))),
            "{expected:?}: {found:?}"
        );
    }
    // Without its end, the last line is cut off.
    rewrite(&folder.active(), &written);
    let whole = fs::read_to_string(folder.active()).unwrap();
    fs::write(folder.active(), whole.trim_end()).unwrap();
    assert_eq!(
        folder.verify().problems.iter().map(|p| (p.line, p.what.as_str())).collect::<Vec<_>>(),
        [(6, "this line was cut off")]
    );
}

#[test]
fn a_log_that_was_written_anew_from_some_line_on_is_told_by_an_entry_that_was_seen_elsewhere() {
    let folder = Folder::new();
    folder.write(5);
    let seen: Head = folder.verify().last.unwrap();
    assert_eq!(verify(&folder.all(), Some(seen)).unwrap().problems, []);
    // Whoever can write the file can write a chain that holds.
    fs::remove_file(folder.active()).unwrap();
    folder.write(9);
    assert_eq!(folder.verify().problems, []);
    let other = AuditLog::open(folder.settings()).unwrap();
    assert!(other.close(SOON));
    let forged = Head { hash: [7; 32], ..seen };
    let problems = verify(&folder.all(), Some(forged)).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].line == 5 && problems[0].what.contains("rewritten"), "{problems:?}");
}

#[test]
fn one_process_at_a_time_writes_a_log() {
    let folder = Folder::new();
    let log = folder.open();
    let error = AuditLog::open(folder.settings()).unwrap_err();
    assert!(matches!(error, AuditError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("audit.file"), "{error}");
    drop(log);
    folder.until_released();
    folder.write(1);
}

#[test]
fn a_full_disk_is_told_nobody_waits_and_it_goes_on_once_there_is_room() {
    let folder = Folder::new();
    symlink("/dev/full", folder.active()).unwrap();
    let log = folder.open();
    log.record(event(1));
    until("the disk is full", || log.status().unwrap().failing.is_some());
    assert!(log.status().unwrap().failing.unwrap().contains("No space left"));
    // More than may wait: what does not fit is counted.
    let begun = Instant::now();
    for number in 0..70_000 {
        log.record(event(number));
    }
    assert!(begun.elapsed() < SOON);
    let dropped = log.status().unwrap().dropped;
    assert!((1..70_000).contains(&dropped), "{dropped}");
    fs::remove_file(folder.active()).unwrap();
    until("what waited is written", || log.status().unwrap().failing.is_none());
    log.record(event(0));
    assert!(log.close(SOON));
    let found = folder.verify();
    assert_eq!(found.problems, []);
    let events = folder.events();
    assert_eq!(events.iter().filter(|event| *event == "repaired").count(), 1);
    assert_eq!(events.iter().filter(|event| *event == "exec").count() as u64, 70_002 - dropped);
    let told: u64 = fs::read_to_string(folder.active())
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["entries"].as_u64())
        .sum();
    assert_eq!(told, dropped, "what is missing is told in the log");
}

#[test]
fn a_disk_that_never_takes_anything_holds_no_stop_up() {
    let folder = Folder::new();
    symlink("/dev/full", folder.active()).unwrap();
    let log = folder.open();
    log.record(event(1));
    let begun = Instant::now();
    assert!(!log.close(SOON));
    assert!(begun.elapsed() < SOON / 2, "it is tried once more, and then given up");
}

#[test]
fn a_file_that_somebody_removes_cuts_or_writes_to_while_it_is_written_is_told() {
    let folder = Folder::new();
    let log = folder.open();
    let written = |entries: u64| until("it is written", || log.status().unwrap().head.seq == entries);
    log.record(event(1));
    written(1);
    fs::remove_file(folder.active()).unwrap();
    log.record(event(2));
    written(3);
    assert_eq!(folder.events(), ["repaired", "exec"]);
    let first = folder.verify().first.unwrap();
    assert_eq!(first.seq, 2, "the chain goes on");

    fs::OpenOptions::new().write(true).open(folder.active()).unwrap().set_len(0).unwrap();
    log.record(event(3));
    written(5);
    assert_eq!(folder.events(), ["repaired", "exec"]);

    let mut content = fs::read_to_string(folder.active()).unwrap();
    content.push_str("somebody");
    fs::write(folder.active(), content).unwrap();
    log.record(event(4));
    written(7);
    assert!(log.close(SOON));
    let problems = folder.verify().problems;
    assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3], "{problems:?}");
    assert_eq!(lines(&folder.active()).len(), 5);
}

#[test]
fn clones_write_one_chain_from_many_threads() {
    let folder = Folder::new();
    let log = folder.open();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let log = log.clone();
            scope.spawn(move || (0..500).for_each(|number| log.record(event(number))));
        }
    });
    assert!(log.close(SOON));
    log.record(event(0));
    assert_eq!(log.status().unwrap().dropped, 1, "a closed log takes nothing more");
    let found = folder.verify();
    assert_eq!((found.entries, found.problems), (4_000, vec![]));
}

#[test]
fn texts_of_others_are_cut_off_and_cannot_break_a_line() {
    let folder = Folder::new();
    let log = folder.open();
    let hostile = "\n\u{0}\",\"hash\":\"".repeat(20_000);
    log.record(AuditEvent::ControlRequest {
        verb: hostile.clone(),
        from: watchpost_audit::Requester {
            reply: Some(hostile.clone()),
            claimed: Some(hostile.clone()),
            connection: Some(hostile.clone()),
        },
        request: Some(hostile.clone()),
        check: None,
        answer: hostile,
    });
    log.record(event(1));
    assert!(log.close(SOON));
    let found = folder.verify();
    assert_eq!((found.entries, found.problems), (2, vec![]));
    assert_eq!(log.status().unwrap().dropped, 0);
}

#[test]
fn one_that_is_off_takes_everything_and_writes_nothing() {
    let log = AuditLog::off();
    log.record(event(1));
    assert!(log.close(Duration::ZERO));
    assert_eq!((log.is_on(), log.status(), log.instance()), (false, None, None));
}
