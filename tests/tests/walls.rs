//! The walls of the house: which crate may know what. Reads `cargo metadata`, so that a dependency
//! that crosses one fails here and not in a review.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do, and cargo says in the environment where it is"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate's own dependencies, without those for tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("there are packages");
    packages
        .iter()
        .map(|package| {
            let all = package["dependencies"].as_array().expect("there are dependencies");
            let own = all.iter().filter(|dependency| dependency["kind"] != "dev").map(|d| text(&d["name"])).collect();
            (text(&package["name"]), own)
        })
        .collect()
}

/// The only crates that may depend on `what`, besides the tests.
fn only(what: &str, permitted: &[&str]) {
    for (name, dependencies) in dependencies() {
        if name == "watchpost-tests" || permitted.contains(&name.as_str()) {
            continue;
        }
        assert!(!dependencies.contains(what), "{name} depends on {what}; only {permitted:?} may");
    }
}

#[test]
fn expressions_model_core_and_import_know_no_runtime_actors_or_bus() {
    let dependencies = dependencies();
    for pure in [
        "watchpost-expr",
        "watchpost-model",
        "watchpost-core",
        "watchpost-import",
        "watchpost-policy",
        "watchpost-trust",
    ] {
        for runtime in ["tokio", "actix", "actix-rt", "async-nats", "hyper", "futures-util", "tracing"] {
            assert!(!dependencies[pure].contains(runtime), "{pure} depends on {runtime}");
        }
    }
}

#[test]
fn one_crate_each_knows_nats_actix_http_and_the_web() {
    only("async-nats", &["watchpost-bus"]);
    only("actix", &["watchpost-agent"]);
    only("actix-rt", &["watchpost-agent"]);
    only("hyper", &["watchpost-probe"]);
    only("axum", &["watchpost-console"]);
    only("clap", &["watchpost"]);
}

#[test]
fn dependencies_between_our_crates_point_inward() {
    let permitted: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("watchpost-expr", &[][..]),
        ("watchpost-model", &["watchpost-expr"]),
        ("watchpost-core", &["watchpost-model"]),
        ("watchpost-bus", &["watchpost-model"]),
        ("watchpost-import", &["watchpost-model"]),
        ("watchpost-policy", &["watchpost-model"]),
        ("watchpost-audit", &["watchpost-model"]),
        ("watchpost-trust", &["watchpost-model"]),
        ("watchpost-probe", &["watchpost-model", "watchpost-expr", "watchpost-policy"]),
        (
            "watchpost-agent",
            &[
                "watchpost-model",
                "watchpost-core",
                "watchpost-bus",
                "watchpost-probe",
                "watchpost-policy",
                "watchpost-audit",
                "watchpost-trust",
            ],
        ),
        ("watchpost-console", &["watchpost-model", "watchpost-agent"]),
        (
            "watchpost",
            &[
                "watchpost-model",
                "watchpost-agent",
                "watchpost-bus",
                "watchpost-probe",
                "watchpost-console",
                "watchpost-import",
                "watchpost-policy",
                "watchpost-audit",
                "watchpost-trust",
            ],
        ),
    ]);
    for (name, dependencies) in dependencies() {
        if name == "watchpost-tests" {
            continue;
        }
        let permitted = permitted.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place in the house yet"));
        let ours = dependencies.iter().filter(|d| d.starts_with("watchpost"));
        for dependency in ours {
            assert!(permitted.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}
