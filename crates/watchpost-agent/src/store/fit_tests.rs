use std::time::Instant;

use watchpost_model::validate_set;

use super::*;

/// `a` is a plain check, `g: a b` a group.
fn check(text: &str) -> Check {
    let json = match text.split_once(':') {
        None => format!(r#"{{"id": "{text}", "tcp": {{"address": "a:1"}}}}"#),
        Some((id, members)) => {
            let members: Vec<String> = members.split_whitespace().map(|m| format!("\"{m}\"")).collect();
            format!(r#"{{"id": "{id}", "group": {{"checks": [{}]}}}}"#, members.join(","))
        }
    };
    serde_json::from_str(&json).unwrap()
}

/// Each place as its candidates: those that are in force have an exclamation mark behind.
fn fitted(places: &[&[&str]]) -> Vec<Fitted> {
    let checks: Vec<Vec<(Check, bool)>> = places
        .iter()
        .map(|candidates| candidates.iter().map(|c| (check(c.trim_end_matches('!')), c.ends_with('!'))).collect())
        .collect();
    let places: Vec<Place<'_>> = checks
        .iter()
        .map(|candidates| Place {
            id: candidates[0].0.id(),
            candidates: candidates.iter().map(|(check, in_force)| Candidate { check, in_force: *in_force }).collect(),
        })
        .collect();
    let fitted = fit(&places);
    let chosen: Vec<Check> = fitted
        .iter()
        .zip(&places)
        .filter_map(|(fitted, place)| Some(place.candidates[fitted.chosen?].check.clone()))
        .collect();
    validate_set(&chosen).unwrap();
    fitted
}

fn chosen(places: &[&[&str]]) -> Vec<Option<usize>> {
    fitted(places).into_iter().map(|fitted| fitted.chosen).collect()
}

#[test]
fn only_what_is_at_fault_and_what_depends_on_it_is_out() {
    let fitted = fitted(&[&["a"], &["g:a b"], &["h:a"], &["outer:g h"], &["other:h"]]);
    let chosen: Vec<_> = fitted.iter().map(|fitted| fitted.chosen).collect();
    assert_eq!(chosen, [Some(0), None, Some(0), None, Some(0)]);
    assert_eq!(fitted[1].faults, ["group `g` names `b`, which is not among the checks: expected the id of a check"]);
    assert_eq!(fitted[3].faults, ["group `outer` names `g`, which is refused itself"]);
}

#[test]
fn where_a_new_revision_does_not_fit_the_one_in_force_runs_on_and_so_does_what_depends_on_it() {
    assert_eq!(chosen(&[&["a"], &["g:b", "g:a!"], &["outer:g!"]]), [Some(0), Some(1), Some(0)]);
    // The member is gone for the one in force as well.
    assert_eq!(chosen(&[&["g:b", "g:a!"], &["outer:g!"]]), [None, None]);
}

#[test]
fn of_a_circle_that_is_out_which_closed_it_in_any_order() {
    for (places, expected) in [
        (&[&["a:b!"][..], &["b:a", "b:c!"], &["c"]][..], &[Some(0), Some(1), Some(0)][..]),
        (&[&["c"], &["b:a", "b:c!"], &["a:b!"]], &[Some(0), Some(1), Some(0)]),
        (&[&["a:b"], &["b:a"], &["leads:a"], &["c"]], &[None, None, None, Some(0)]),
        (&[&["a:a"], &["c"]], &[None, Some(0)]),
        (&[&["a:b", "a:c!"], &["b:a", "b:c!"], &["c"]], &[Some(1), Some(1), Some(0)]),
        (&[&["leads:a c"], &["a:b c", "a:c!"], &["b:a"], &["c"]], &[Some(0), Some(1), None, Some(0)]),
    ] {
        assert_eq!(chosen(places), expected, "{places:?}");
    }
}

#[test]
fn depth_and_runs_are_bounded() {
    let chain: Vec<String> = (0..30).map(|n| if n == 0 { "n0".into() } else { format!("n{n}:n{}", n - 1) }).collect();
    let places: Vec<[&str; 1]> = chain.iter().map(|text| [text.as_str()]).collect();
    let places: Vec<&[&str]> = places.iter().map(<[_; 1]>::as_slice).collect();
    let chosen = chosen(&places);
    assert_eq!(chosen.iter().filter(|chosen| chosen.is_some()).count(), GROUP_DEPTH_MAX + 1);

    // Each level names the one below ten times over, under ten names.
    let mut texts = vec!["l0".to_owned()];
    let mut below = vec!["l0".to_owned()];
    for level in 1..=4 {
        let names: Vec<String> = (0..10).map(|n| format!("l{level}-{n}")).collect();
        texts.extend(names.iter().map(|name| format!("{name}:{}", below.join(" "))));
        below = names;
    }
    texts.push(format!("top:{}", below.join(" ")));
    let places: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
    let places: Vec<&[&str]> = places.iter().map(<[_; 1]>::as_slice).collect();
    let fitted = fitted(&places);
    assert!(fitted.last().unwrap().faults[0].contains("runs: expected at most 10000"), "{fitted:?}");
}

#[test]
fn a_long_chain_on_something_missing_takes_no_quadratic_time() {
    let took = |n: usize| {
        let checks: Vec<Check> = (0..n).map(|i| check(&format!("n{i}:n{}", i + 1))).collect();
        let places: Vec<Place<'_>> = checks
            .iter()
            .map(|check| Place { id: check.id(), candidates: vec![Candidate { check, in_force: false }] })
            .collect();
        let begun = Instant::now();
        let fitted = fit(&places);
        assert!(fitted.iter().all(|fitted| fitted.chosen.is_none() && fitted.faults.len() == 1));
        begun.elapsed()
    };
    let (small, large) = (took(1_000), took(16_000));
    // Quadratic time would be 256 times as much; there is room for a machine that is busy.
    assert!(large < small * 128 + std::time::Duration::from_millis(200), "{small:?} {large:?}");
}
