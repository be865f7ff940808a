//! Configurations as they are found in the wild: what becomes of them is reviewed with each change.

use watchpost_import::{Format, ImportError, Source, import};

use crate::support;

const BLACKBOX: Source<'_> = Source { name: "blackbox.yml", text: include_str!("samples/blackbox.yml") };
const PROMETHEUS: Source<'_> = Source { name: "prometheus.yml", text: include_str!("samples/prometheus.yml") };
const GATUS: Source<'_> = Source { name: "gatus.yaml", text: include_str!("samples/gatus.yaml") };
const KUMA: Source<'_> = Source { name: "backup.json", text: include_str!("samples/uptime-kuma.json") };

#[test]
fn what_becomes_of_each_sample() {
    for (name, sources) in [
        ("modules_and_jobs", &[BLACKBOX, PROMETHEUS][..]),
        ("modules_alone", &[BLACKBOX]),
        ("jobs_alone", &[PROMETHEUS]),
        ("gatus", &[GATUS]),
        ("uptime_kuma", &[KUMA]),
    ] {
        let imported = import(sources, None).unwrap();
        support::checks(&imported);
        insta::assert_snapshot!(format!("{name}_checks"), imported.to_yaml(false));
        insta::assert_snapshot!(format!("{name}_notes"), imported.list());
        assert!(imported.to_yaml(true).starts_with("# not translated"), "{name}");
        assert!(!imported.is_complete());
    }
}

#[test]
fn the_same_files_give_the_same_checks() {
    let sources = [KUMA, GATUS, BLACKBOX, PROMETHEUS];
    let first = import(&sources, None).unwrap();
    let second = import(&sources, None).unwrap();
    assert_eq!((first.to_yaml(true), first.to_json()), (second.to_yaml(true), second.to_json()));
    support::checks(&first);
}

#[test]
fn no_note_shows_a_secret() {
    let imported = import(&[KUMA, GATUS, BLACKBOX, PROMETHEUS], None).unwrap();
    let (notes, checks) = (imported.list(), imported.to_json());
    for secret in ["k-1234", "correct-horse", "t0ken", "t0k", "potato", "carrot", "AbC123", "s3cr"] {
        assert!(checks.contains(secret), "{secret} is carried over");
        assert!(!notes.contains(secret), "{secret} is in the notes");
    }
    assert!(!notes.contains("hunter2"));
}

#[test]
fn what_a_file_is_is_told_by_its_content_or_by_whoever_gives_it() {
    let unclear = Source { name: "a.yaml", text: "a: 1" };
    let error = import(&[unclear], None).unwrap_err();
    assert!(error.to_string().starts_with("a.yaml: it is not clear whose"), "{error}");
    let error = import(&[GATUS], Some(Format::UptimeKuma)).unwrap_err();
    assert!(matches!(error, ImportError::NotThat { .. }) && error.to_string().contains("`monitorList`"), "{error}");
    // Modules and jobs belong together, whichever is named.
    assert!(import(&[BLACKBOX, PROMETHEUS], Some(Format::Blackbox)).is_ok());
    assert!(import(&[BLACKBOX, PROMETHEUS], Some(Format::Prometheus)).is_ok());
    let broken = Source { name: "b.yaml", text: "modules:\n  a: {\n" };
    let error = import(&[broken], None).unwrap_err();
    assert!(matches!(&error, ImportError::Unreadable { line, .. } if *line > 0), "{error:?}");
    assert_eq!(import(&[], None).unwrap().len(), 0);
}
