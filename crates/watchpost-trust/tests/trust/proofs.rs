//! Tasks, and the signed checks that say what they do.

use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{Check, Endpoint, FoundTarget, Labels, Task};
use watchpost_trust::{Aimed, DEADLINE_SLACK, Fault, FoundTargets, Proof};

use crate::rig::{FULL, at, firing, group, signed, task, trusted};

fn proof(check: &Check) -> Proof {
    Proof::read(&Proof::write(check).unwrap(), &trusted(), &[group("b"), group("site")]).unwrap()
}

fn judge(proof: &Proof, task: &Task) -> Result<Aimed, Fault> {
    proof.judge(task, at(), FoundTargets::Refuse, |endpoint| endpoint)
}

#[test]
fn tasks_of_a_signed_check_do_what_it_says() {
    let check = signed(FULL, 3);
    let proof = proof(&check);
    assert_eq!(proof.check(), &check);
    for n in 0..2 {
        assert_eq!(judge(&proof, &task(&check, n)), Ok(Aimed::There));
    }
}

/// What somebody changes of a task, and how.
type Alteration<'a> = (&'static str, Box<dyn Fn(&mut Task) + 'a>);

#[test]
fn a_task_that_does_anything_else_is_refused() {
    let check = signed(FULL, 3);
    let proof = proof(&check);
    let other = signed(&FULL.replace("/login", "/admin"), 3);
    let lax = signed(&FULL.replace("status < 400", "status < 500"), 3);
    let alter: [Alteration<'_>; 12] = [
        ("its settings", Box::new(|t| t.probe = Arc::clone(&other.probe().unwrap().settings))),
        ("it expects something else", Box::new(|t| t.expect = Arc::clone(&lax.probe().unwrap().expect))),
        ("a task of the check", Box::new(|t| t.check = "other".parse().unwrap())),
        ("not an endpoint", Box::new(|t| t.endpoint = Endpoint::at("10.0.0.3:8443".parse().unwrap()))),
        ("not an endpoint", Box::new(|t| t.endpoint = Endpoint::at("10.0.0.1:8444".parse().unwrap()))),
        ("not an endpoint", Box::new(|t| t.endpoint.address = Some("10.9.9.9:1".parse().unwrap()))),
        ("not an endpoint", Box::new(|t| t.endpoint.address = None)),
        ("not an endpoint", Box::new(|t| t.endpoint.name = "10.0.0.9:8443".to_owned())),
        ("labels or a source", Box::new(|t| t.endpoint.labels = labels("env", "prod"))),
        ("later than the timeout", Box::new(|t| t.deadline = at() + DEADLINE_SLACK + Duration::from_secs(8))),
        ("later than the timeout", Box::new(|t| t.deadline = "9999-12-30T00:00:00Z".parse().unwrap())),
        ("its settings of tcp", Box::new(|t| t.probe = tcp())),
    ];
    for (told, alter) in alter {
        let mut altered = task(&check, 0);
        alter(&mut altered);
        let fault = judge(&proof, &altered).unwrap_err();
        assert!(fault.to_string().contains(told), "{told}: {fault}");
    }
    let members = signed(r#"{"id": "g", "group": {"checks": ["shop-login"]}}"#, 3);
    let mut of_group = task(&check, 0);
    of_group.check = "g".parse().unwrap();
    let read = Proof::read(&Proof::write(&members).unwrap(), &trusted(), &[group("site")]).unwrap();
    assert!(judge(&read, &of_group).unwrap_err().to_string().contains("has no tasks"));
}

fn tcp() -> Arc<watchpost_model::ProbeSettings> {
    Arc::clone(&signed(r#"{"id": "t", "tcp": {"address": "a:1"}}"#, 1).probe().unwrap().settings)
}

fn labels(name: &str, value: &str) -> Labels {
    Labels::new([(name.to_owned(), value.to_owned())]).unwrap()
}

#[test]
fn a_proof_is_signed_by_somebody_trusted_for_a_group_of_the_runners() {
    let check = signed(FULL, 3);
    let text = Proof::write(&check).unwrap();
    let fault = Proof::read(&text, &trusted(), &[group("b"), group("c")]).unwrap_err();
    assert!(fault.to_string().contains("for the bastion group `site`, and is used for `b, c`"), "{fault}");
    for (text, told) in [
        ("", "cannot be read"),
        ("{}", "not a signed check"),
        (&*text.replace("/login", "/logon"), "not over what the check says"),
        (r#"{"id": "t", "tcp": {"address": "a:1"}}"#, "is not signed"),
    ] {
        let fault = Proof::read(text, &trusted(), &[group("site")]).unwrap_err().to_string();
        assert!(fault.contains(told) || fault.contains("not a signed check"), "{told}: {fault}");
    }
    let unsigned: Check = serde_json::from_str(r#"{"id": "t", "tcp": {"address": "a:1"}}"#).unwrap();
    assert_eq!(Proof::write(&unsigned), None);
}

#[test]
fn of_a_name_the_runner_resolves_itself_or_looks_whether_it_resolves_so() {
    let any = signed(r#"{"id": "t", "tcp": {"address": "db.example:5432"}}"#, 1);
    assert_eq!(judge(&proof(&any), &task(&any, 0)), Ok(Aimed::There));
    let mut aimed = task(&any, 0);
    aimed.endpoint.address = Some("10.0.0.1:5432".parse().unwrap());
    assert!(judge(&proof(&any), &aimed).is_err(), "whoever sends it does not choose where the name is");

    let all = signed(r#"{"id": "t", "tcp": {"address": "db.example:5432"}, "addresses": "all"}"#, 1);
    let at = |address: &str| {
        let endpoint = Endpoint::at(address.parse().unwrap());
        Task::new(all.id(), all.probe().unwrap(), endpoint, &firing(&all))
    };
    let there = judge(&proof(&all), &at("10.0.0.7:5432")).unwrap();
    assert_eq!(there, Aimed::IfResolved { host: "db.example".to_owned(), ip: "10.0.0.7".parse().unwrap() });
    assert!(judge(&proof(&all), &at("10.0.0.7:22")).is_err(), "another port");
    let mut renamed = at("10.0.0.7:5432");
    renamed.endpoint.name = "10.0.0.8:5432".to_owned();
    assert!(judge(&proof(&all), &renamed).is_err());
}

const TARGETS: &str = r#"{"id": "many", "http": {"url": "http://{{target.address}}/{{target.labels.path}}"},
    "targets": SOURCE}"#;

fn of_target(check: &Check, name: &str, target: &FoundTarget) -> Task {
    let (body, endpoint) = check.probe().unwrap().aim(name, target).unwrap();
    Task::new(check.id(), &body, endpoint, &firing(check))
}

#[test]
fn listed_targets_are_signed_with_the_check() {
    let list = r#"{"static": [{"address": "10.0.0.1:80", "labels": {"path": "a"}},
                              {"address": "10.0.0.2:80", "labels": {"path": "b"}}]}"#;
    let check = signed(&TARGETS.replace("SOURCE", list), 1);
    let proof = proof(&check);
    let target = |address: &str, path: &str| FoundTarget::new(address, [("path".to_owned(), path.to_owned())]);
    let good = of_target(&check, "10.0.0.1:80", &target("10.0.0.1:80", "a"));
    assert_eq!(judge(&proof, &good), Ok(Aimed::There));
    for (name, target) in [
        ("10.0.0.3:80", target("10.0.0.3:80", "a")),
        ("10.0.0.1:80", target("10.0.0.3:80", "a")),
        ("10.0.0.1:80", target("10.0.0.1:80", "b")),
        ("10.0.0.1:80", target("10.0.0.2:80", "b")),
    ] {
        assert!(judge(&proof, &of_target(&check, name, &target)).is_err(), "{name} {target:?}");
    }
    let mut labelled = good;
    labelled.endpoint.labels = labels("path", "c");
    assert!(judge(&proof, &labelled).is_err());
}

#[test]
fn targets_of_a_source_run_only_where_that_is_accepted_and_as_the_template_says() {
    let check = signed(&TARGETS.replace("SOURCE", r#"{"file": {"files": ["/etc/targets.json"]}}"#), 1);
    let proof = proof(&check);
    let target = FoundTarget::new("10.0.0.1:80", [("path".to_owned(), "a".to_owned())]);
    let task = of_target(&check, "10.0.0.1:80#0123456789ab", &target);
    let fault = judge(&proof, &task).unwrap_err();
    assert!(
        matches!(&fault, Fault::FoundTargets { source_name, .. } if source_name == "file /etc/targets.json"),
        "{fault}"
    );
    assert_eq!(FoundTargets::Refuse.judge(&check), Err(fault));
    assert_eq!(FoundTargets::Accept.judge(&check), Ok(()));
    let accept = |task: &Task| proof.judge(task, at(), FoundTargets::Accept, |endpoint| endpoint);
    assert_eq!(accept(&task), Ok(Aimed::There));
    // Signed is what is done at each target.
    let mut altered = of_target(&check, "10.0.0.1:80", &target);
    altered.endpoint.address = Some("10.9.9.9:80".parse().unwrap());
    assert!(accept(&altered).is_err());
    let mut altered = of_target(&check, "10.0.0.1:80", &target);
    altered.probe = tcp();
    assert!(accept(&altered).is_err());
    let mut altered = of_target(&check, "10.0.0.1:80", &target);
    altered.endpoint.labels = labels("path", "b");
    assert!(accept(&altered).is_err());
}
