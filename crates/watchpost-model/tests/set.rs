//! What must hold between checks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Instant;

use proptest::prelude::*;
use watchpost_model::{
    Check, CheckDocument, GROUP_DEPTH_MAX, GROUP_RUNS_MAX, GroupSettings, SetError, SetErrorKind, TcpSettings,
    validate_set,
};

fn check(id: &str) -> Check {
    let tcp = TcpSettings::connect("a:1".parse().unwrap());
    Check::try_from(CheckDocument { tcp: Some(tcp), ..CheckDocument::new(id.parse().unwrap()) }).unwrap()
}

fn group(id: &str, members: &[&str]) -> Check {
    let checks = members.iter().map(|member| member.parse().unwrap()).collect();
    let group = Some(GroupSettings { checks });
    Check::try_from(CheckDocument { group, ..CheckDocument::new(id.parse().unwrap()) }).unwrap()
}

fn refused(checks: &[Check]) -> (SetError, String) {
    let error = validate_set(checks).unwrap_err();
    let told = error.to_string();
    (error, told)
}

#[test]
fn groups_of_groups_that_share_members_are_well() {
    let set = [group("all", &["shop", "db", "web"]), group("shop", &["web", "db"]), check("web"), check("db")];
    assert_eq!(validate_set(&set), Ok(()));
    assert_eq!(validate_set(&[]), Ok(()));
}

#[test]
fn two_checks_of_one_id_are_told_with_both_places() {
    let (error, told) = refused(&[check("a"), check("b"), check("a")]);
    assert_eq!((error.index, error.member), (2, None));
    assert!(matches!(error.kind, SetErrorKind::Duplicate { first: 0, .. }));
    assert!(told.contains("check `a` is there already"), "{told}");
}

#[test]
fn a_member_that_is_not_there_is_told_with_what_is_meant() {
    for (member, similar) in [("dbb", Some("db")), ("DB", Some("db")), ("wev", Some("web")), ("payments", None)] {
        let (error, told) = refused(&[check("web"), check("db"), group("shop", &["web", member])]);
        assert_eq!((error.index, error.member), (2, Some(1)));
        assert!(told.starts_with(&format!("group `shop` names `{member}`, which is not among the checks")), "{told}");
        let meant = told.split_once("did you mean `").map(|(_, id)| id.trim_end_matches("`?"));
        assert_eq!(meant, similar);
    }
}

#[test]
fn o5_a_circle_is_refused_with_its_path() {
    let set = [group("top", &["shop"]), group("shop", &["a", "payments"]), group("payments", &["shop"]), check("a")];
    let (error, told) = refused(&set);
    assert_eq!((error.index, error.member), (2, Some(0)));
    assert!(told.contains("(shop → payments → shop)"), "{told}");
    assert!(refused(&[group("g", &["g"])]).1.contains("(g → g)"));
}

/// Groups `g0` to `g{n-1}`, each around the next, and a check in the innermost.
fn nest(n: usize) -> Vec<Check> {
    let mut set: Vec<Check> = (0..n - 1).map(|i| group(&format!("g{i}"), &[&format!("g{}", i + 1)])).collect();
    set.extend([group(&format!("g{}", n - 1), &["a"]), check("a")]);
    set
}

#[test]
fn o5_nesting_is_bounded_and_needs_no_stack() {
    assert_eq!(validate_set(&nest(GROUP_DEPTH_MAX)), Ok(()));
    let (error, told) = refused(&nest(GROUP_DEPTH_MAX + 1));
    assert_eq!(error.index, 0);
    assert!(told.contains("nests deeper than 16 groups"), "{told}");
    // The innermost that is too deep is named, however far around it goes on.
    let many = 100_000;
    assert_eq!(refused(&nest(many)).0.index, many - 1 - GROUP_DEPTH_MAX);
    let mut circle = nest(many);
    circle[many - 1] = group(&format!("g{}", many - 1), &["g0"]);
    let (error, told) = refused(&circle);
    assert!(matches!(&error.kind, SetErrorKind::Cycle { path } if path.len() == many + 1));
    assert!(told.contains("→ … → g0") && told.len() < 400, "{told}");
}

#[test]
fn o5_what_a_group_expands_to_is_bounded() {
    // Each level runs the one below ten times over, under ten names: 1 + 10 × (1 + 10 × …).
    let mut set = vec![check("a")];
    let mut below = vec!["a".to_owned()];
    for level in 0..4 {
        let members: Vec<&str> = below.iter().map(String::as_str).collect();
        let ids: Vec<String> = (0..10).map(|i| format!("l{level}-{i}")).collect();
        set.extend(ids.iter().map(|id| group(id, &members)));
        below = ids;
    }
    assert_eq!(validate_set(&set), Ok(()));
    let members: Vec<&str> = below.iter().map(String::as_str).collect();
    set.push(group("top", &members));
    let (error, told) = refused(&set);
    assert_eq!(error.index, set.len() - 1);
    assert!(told.contains("leads to 21111 runs: expected at most 10000"), "{told}");
    assert!(matches!(error.kind, SetErrorKind::TooManyRuns { runs, .. } if runs > GROUP_RUNS_MAX));
}

#[test]
fn a_hundred_thousand_checks_are_looked_at_in_no_time() {
    let ids: Vec<String> = (0..100_000).map(|i| format!("check-{i}")).collect();
    let mut set: Vec<Check> = ids.iter().map(|id| check(id)).collect();
    for (i, members) in ids.chunks(1_000).enumerate() {
        set.push(group(&format!("g{i}"), &members.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let begun = Instant::now();
    assert_eq!(validate_set(&set), Ok(()));
    set.push(group("typo", &["chekc-7"]));
    assert!(refused(&set).1.contains("did you mean `check-7`?"));
    assert!(begun.elapsed().as_secs() < 10, "it took {:?}", begun.elapsed());
}

/// What `validate_set` decides, said plainly and without regard to cost.
fn plainly_valid(set: &[Check]) -> bool {
    fn measure(set: &[Check], id: &str, above: usize) -> Option<(usize, usize)> {
        // Deeper than there are checks is a circle.
        if above > set.len() {
            return None;
        }
        let check = set.iter().find(|check| check.id().as_str() == id)?;
        let Some(members) = check.group() else { return Some((0, 1)) };
        let parts: Option<Vec<_>> = members.iter().map(|member| measure(set, member.as_str(), above + 1)).collect();
        let parts = parts?;
        Some((1 + parts.iter().map(|part| part.0).max()?, 1 + parts.iter().map(|part| part.1).sum::<usize>()))
    }
    set.iter().all(|check| {
        measure(set, check.id().as_str(), 0)
            .is_some_and(|(depth, runs)| depth <= GROUP_DEPTH_MAX && runs <= GROUP_RUNS_MAX)
    })
}

proptest! {
    #[test]
    fn it_agrees_with_the_plain_definition(members in proptest::collection::vec(proptest::collection::btree_set(0usize..9, 0..3), 1..8)) {
        let name = |i: usize| format!("c{i}");
        let set: Vec<Check> = members
            .iter()
            .enumerate()
            .map(|(i, members)| {
                let names: Vec<String> = members.iter().map(|i| name(*i)).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                if names.is_empty() { check(&name(i)) } else { group(&name(i), &names) }
            })
            .collect();
        prop_assert_eq!(validate_set(&set).is_ok(), plainly_valid(&set));
    }
}
