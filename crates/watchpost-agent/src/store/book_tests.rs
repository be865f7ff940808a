use bytes::Bytes;
use watchpost_model::{BastionGroup, Standing};

use super::super::book::Kept;
use super::super::entry::Written;
use super::super::views::Counts;
use super::*;

/// `a` is a plain check, `a!` a paused one, `g: a b` a group, and `?` none that can be read.
fn json(id: &str, text: &str) -> String {
    match text.split_once(':') {
        _ if text.starts_with('?') => "{".to_owned(),
        None if text.ends_with('!') => format!(r#"{{"id": "{id}", "tcp": {{"address": "x:1"}}, "paused": true}}"#),
        None => format!(r#"{{"id": "{id}", "tcp": {{"address": "{}:1"}}}}"#, text.replace(' ', "-")),
        Some((_, members)) => {
            let members: Vec<String> = members.split_whitespace().map(|m| format!("\"{m}\"")).collect();
            format!(r#"{{"id": "{id}", "group": {{"checks": [{}]}}}}"#, members.join(","))
        }
    }
}

struct Rig {
    book: Book,
    revision: u64,
}

impl Rig {
    /// Of a bastion `own` that is in the groups `eu` and `all`.
    fn new() -> Self {
        let groups = ["own", "eu", "all"].map(|group| group.parse::<BastionGroup>().unwrap());
        Self { book: Book::new(groups.to_vec(), None), revision: 0 }
    }

    fn put(&mut self, key: &str, text: &str) -> u64 {
        self.revision += 1;
        let key = Key::parse(key).unwrap();
        let value = json(key.check.as_str(), text);
        self.book.take(key, self.revision, Some(value.into()));
        self.revision
    }

    fn delete(&mut self, key: &str) {
        self.revision += 1;
        self.book.take(Key::parse(key).unwrap(), self.revision, None);
    }

    fn file(&mut self, checks: &[(&str, &str)]) {
        let parse = |(id, text): &(&str, &str)| serde_json::from_str::<Check>(&json(id, text)).unwrap();
        self.book.set_file(checks.iter().map(parse));
    }

    /// Judges, and returns what was set, what was removed, and what is told.
    fn judge(&mut self) -> (Vec<String>, Vec<String>, Vec<String>) {
        let Outcome { change, news } = self.book.judge(false);
        let change = change.unwrap_or_default();
        let told = |news: News| {
            let group = news.group.map_or_else(|| "file".to_owned(), |group| group.to_string());
            let revision = news.revision.map_or_else(String::new, |revision| format!("@{revision}"));
            let why = news.refusal.map_or_else(String::new, |refusal| format!(" {:?}", refusal.code));
            format!("{:?} {group}.{}{revision}{why}", news.kind, news.check).replacen("Check", "", 1)
        };
        let mut news: Vec<String> = news.into_iter().map(told).collect();
        news.sort();
        let set = change.set.iter().map(|check| check.id().to_string()).collect();
        (set, change.removed.iter().map(ToString::to_string).collect(), news)
    }

    /// Which key and revision stands under each id.
    fn in_force(&self) -> Vec<String> {
        let shown = |(id, in_force): (&CheckId, &InForce)| match &in_force.from {
            None => format!("file.{id}"),
            Some((key, revision)) => format!("{key}@{revision}"),
        };
        self.book.in_force.iter().map(shown).collect()
    }

    fn standing(&self, key: &str) -> (Standing, Option<RefusalCode>, Option<u64>) {
        let report = self.book.report(&Key::parse(key).unwrap()).unwrap();
        (report.standing, report.refusal.map(|refusal| refusal.code), report.running_revision)
    }

    /// What a bucket holds that has all that is known but `missing`.
    fn snapshot_without(&mut self, missing: &[&str]) {
        let all = self.book.shelves.iter();
        let entries = all.map(|(key, shelf)| (key.clone(), (shelf.latest.revision, Some(shelf.latest.value.clone()))));
        let entries = entries.filter(|(key, _)| !missing.contains(&key.to_string().as_str())).collect();
        self.book.take_snapshot(entries, &Default::default());
    }
}

fn strings(of: &[&str]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

#[test]
fn checks_come_into_force_are_replaced_and_go() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    rig.put("eu.b", "b");
    assert_eq!(rig.judge(), (strings(&["a", "b"]), vec![], strings(&["Applied eu.b@2", "Applied own.a@1"])));
    assert_eq!(rig.judge(), (vec![], vec![], vec![]));
    rig.put("own.a", "other");
    assert_eq!(rig.judge(), (strings(&["a"]), vec![], strings(&["Applied own.a@3"])));
    // The same again is another revision, and keeps its timer.
    rig.put("own.a", "other");
    assert_eq!(rig.judge(), (vec![], vec![], strings(&["Applied own.a@4"])));
    rig.delete("own.a");
    assert_eq!(rig.judge(), (vec![], strings(&["a"]), strings(&["Removed own.a@4"])));
    rig.put("own.a", "other");
    rig.delete("own.a");
    assert_eq!(rig.judge(), (vec![], vec![], vec![]));
    // Deleted and put again at once: nothing stops in between.
    rig.delete("eu.b");
    rig.put("eu.b", "b");
    assert_eq!(rig.judge(), (vec![], vec![], strings(&["Applied eu.b@9", "Removed eu.b@2"])));
}

#[test]
fn the_file_outranks_the_store_and_its_own_group_the_others() {
    let mut rig = Rig::new();
    rig.put("all.a", "third");
    rig.put("eu.a", "second");
    rig.judge();
    assert_eq!(rig.in_force(), ["eu.a@2"]);
    assert_eq!(rig.standing("all.a"), (Standing::Refused, Some(RefusalCode::Duplicate), None));
    rig.put("own.a", "first");
    assert_eq!(rig.judge().2, ["Applied own.a@3", "Refused eu.a@2 Duplicate"]);
    rig.file(&[("a", "file")]);
    assert_eq!(rig.judge().2, ["Applied file.a", "Refused own.a@3 Duplicate"]);
    assert_eq!(rig.in_force(), ["file.a"]);
    // As each goes, the next comes into force.
    rig.file(&[]);
    assert_eq!(rig.judge().2, ["Applied own.a@3", "Removed file.a"]);
    rig.delete("own.a");
    assert_eq!(rig.judge(), (strings(&["a"]), vec![], strings(&["Applied eu.a@2", "Removed own.a@3"])));
    rig.delete("eu.a");
    rig.judge();
    assert_eq!(rig.in_force(), ["all.a@1"]);
    // One that cannot be read does not keep a good one of a lower group from running.
    rig.put("own.a", "?");
    rig.judge();
    assert_eq!(rig.in_force(), ["all.a@1"]);
}

#[test]
fn a_refused_revision_leaves_the_one_before_it_running() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    rig.put("own.g", "g:a");
    rig.judge();
    rig.put("own.a", "?");
    assert_eq!(rig.judge(), (vec![], vec![], strings(&["Refused own.a@3 Invalid"])));
    assert_eq!(rig.standing("own.a"), (Standing::Refused, Some(RefusalCode::Invalid), Some(1)));
    rig.put("own.a", "??");
    rig.put("own.g", "g:nowhere");
    assert_eq!(rig.judge().2, ["Refused own.a@4 Invalid", "Refused own.g@5 DoesNotFit"]);
    assert_eq!(rig.in_force(), ["own.a@1", "own.g@2"]);
    // What the group needs is deleted: neither revision of it fits any more.
    rig.delete("own.a");
    assert_eq!(rig.judge().1, ["a", "g"]);
    rig.put("own.nowhere", "n");
    rig.judge();
    assert_eq!(rig.in_force(), ["own.g@5", "own.nowhere@7"]);
    assert_eq!(rig.standing("own.g"), (Standing::Running, None, None));
}

#[test]
fn what_is_missing_runs_on_as_an_orphan_and_only_a_deletion_ends_it() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    rig.put("own.b", "b");
    rig.judge();
    rig.put("own.b", "?");
    rig.put("own.never", "?");
    rig.judge();
    rig.snapshot_without(&["own.a", "own.b", "own.never"]);
    let (set, removed, news) = rig.judge();
    assert_eq!((set, removed), (vec![], vec![]));
    assert_eq!(news, ["Orphaned own.a@1", "Orphaned own.b@2", "Removed own.never@4"]);
    assert_eq!(rig.in_force(), ["own.a@1", "own.b@2"]);
    assert_eq!(rig.standing("own.b"), (Standing::Orphaned, None, None));
    assert_eq!(rig.book.counts(), Counts { running: 2, orphaned: 2, ..Counts::default() });
    // A second time says nothing new.
    rig.snapshot_without(&["own.a", "own.b"]);
    assert_eq!(rig.judge(), (vec![], vec![], vec![]));
    rig.delete("own.a");
    assert_eq!(rig.judge().2, ["Removed own.a@1"]);
    // Another bucket counts from the beginning again.
    rig.revision = 0;
    rig.put("own.b", "b");
    assert_eq!(rig.judge().2, ["Applied own.b@1"]);
    assert_eq!(rig.standing("own.b"), (Standing::Running, None, None));
}

#[test]
fn what_was_written_while_the_bucket_was_read_stays_unless_something_newer_was_read() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    let written = rig.put("own.a", "written");
    let key = Key::parse("own.a").unwrap();
    let latest = |rig: &Rig| rig.book.shelves[&key].latest.value.clone();
    let read = |revision, text: &str| [(key.clone(), (revision, Some(Bytes::from(json("a", text)))))].into();
    rig.book.take_snapshot(read(1, "a"), &[(key.clone(), written)].into());
    assert_eq!(latest(&rig), json("a", "written"));
    rig.book.take_snapshot(Default::default(), &[(key.clone(), written)].into());
    assert_eq!(latest(&rig), json("a", "written"));
    rig.book.take_snapshot(read(written + 1, "newer"), &[(key.clone(), written)].into());
    assert_eq!(latest(&rig), json("a", "newer"));
    // What nobody wrote here is taken as it is read, also where it counts less: the bucket was restored.
    rig.book.take_snapshot(read(1, "a"), &Default::default());
    assert_eq!(latest(&rig), json("a", "a"));
}

#[test]
fn a_later_process_begins_where_the_one_before_was_and_tells_nothing() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    rig.judge();
    rig.put("own.a", "?");
    rig.put("eu.b", "b!");
    rig.put("gone.c", "c");
    rig.judge();
    let kept: Vec<(Key, Kept)> = rig.book.kept();
    assert_eq!(kept.len(), 2, "a group that it does not belong to is left alone");
    let mut later = Rig::new();
    kept.into_iter().for_each(|(key, kept)| later.book.restore(key, kept));
    let outcome = later.book.judge(true);
    assert_eq!((outcome.change.unwrap().set.len(), outcome.news), (2, vec![]));
    assert_eq!(later.in_force(), rig.in_force());
    assert_eq!(later.standing("own.a"), (Standing::Refused, Some(RefusalCode::Invalid), Some(1)));
    assert_eq!(later.standing("eu.b"), (Standing::Paused, None, None));
    later.snapshot_without(&[]);
    assert_eq!(later.judge(), (vec![], vec![], vec![]));
}

#[test]
fn a_group_of_which_nothing_is_left_is_paused() {
    let mut rig = Rig::new();
    rig.put("own.a", "a!");
    rig.put("own.b", "b");
    rig.put("own.g", "g:a b");
    rig.put("own.outer", "outer:g");
    rig.judge();
    assert_eq!(rig.standing("own.outer").0, Standing::Running);
    rig.put("own.b", "b!");
    rig.judge();
    assert_eq!((rig.standing("own.g").0, rig.standing("own.outer").0), (Standing::Paused, Standing::Paused));
    assert_eq!(rig.book.counts(), Counts { running: 4, paused: 4, ..Counts::default() });
}

#[test]
fn what_would_become_of_a_check_is_known_before_it_is_written() {
    let mut rig = Rig::new();
    rig.file(&[("f", "f")]);
    rig.put("own.a", "a");
    rig.put("own.g", "g:a");
    rig.judge();
    let would = |rig: &Rig, key: &str, text: &str| {
        let key = Key::parse(key).unwrap();
        let check = Arc::new(serde_json::from_str(&json(key.check.as_str(), text)).unwrap());
        rig.book.refusal_of(&key, &check).map(|refusal| refusal.code)
    };
    for (key, text, expected) in [
        ("own.a", "other", None),
        ("own.new", "n", None),
        ("eu.new", "n", None),
        ("own.new", "new:a f", None),
        ("own.new", "new:nowhere", Some(RefusalCode::DoesNotFit)),
        ("own.a", "a:g", Some(RefusalCode::DoesNotFit)),
        ("eu.a", "a", Some(RefusalCode::Duplicate)),
        ("own.f", "f", Some(RefusalCode::Duplicate)),
    ] {
        assert_eq!(would(&rig, key, text), expected, "{key} {text}");
    }
    assert_eq!(rig.in_force(), ["own.a@1", "file.f", "own.g@2"]);
}

#[test]
fn there_is_a_limit_and_what_is_beyond_it_is_turned_away() {
    use super::super::book::CHECKS_MAX;
    let mut rig = Rig::new();
    for n in 0..CHECKS_MAX {
        rig.book.take(Key::parse(&format!("own.c{n}")).unwrap(), 1, Some(Bytes::from_static(b"?")));
    }
    rig.judge();
    rig.put("own.more", "more");
    assert_eq!(rig.judge().2, ["Refused own.more@1 TooMany"]);
    rig.delete("own.c0");
    rig.put("own.more", "more");
    assert_eq!(rig.judge().2, ["Applied own.more@3", "Removed own.c0@1"]);
}

#[test]
fn a_check_whose_bytes_stay_the_same_is_not_read_again() {
    let mut rig = Rig::new();
    rig.put("own.a", "a");
    rig.judge();
    let before = Arc::clone(&rig.book.in_force[&"a".parse::<CheckId>().unwrap()].check);
    rig.snapshot_without(&[]);
    rig.judge();
    assert!(Arc::ptr_eq(&before, &rig.book.in_force[&"a".parse::<CheckId>().unwrap()].check));
    let key = Key::parse("own.a").unwrap();
    assert_eq!(Written::read(&key, 1, Bytes::from(json("a", "a"))).check.unwrap(), before);
}
