//! Whose files are run: nobody else's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use watchpost_model::Outcome;
use watchpost_policy::ExecRules;

use crate::rig::{Folder, policy, probes, probes_by, run};

/// Leaves a trace wherever it is run.
const SCRIPT: &str = "#!/bin/sh\ntouch \"$0.ran\"\necho OK\n";

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_others_may_write_is_not_run() {
    let folder = Folder::new();
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let program = folder.program("below/check_it", SCRIPT);
    symlink(&program, folder.path().join("alias")).unwrap();
    let probes = probes(&[folder.path()]);
    for (path, mode, told) in [
        (program.as_path(), 0o775, "may be written by its group (mode 0775)"),
        (&program, 0o707, "may be written by everybody (mode 0707)"),
        (&below, 0o775, "may be written by its group"),
        (folder.path(), 0o777, "may be written by everybody"),
    ] {
        chmod(path, mode);
        for name in ["below/check_it", "alias"] {
            let ran = run(&probes, &folder.check(&folder.path().join(name), "")).await;
            ran.assert_ended(Outcome::Cancelled, "policy_denied", told);
            assert!(ran.message().contains(&format!("{} may", path.display())), "{}", ran.message());
        }
        chmod(path, 0o755);
    }
    assert!(!below.join("check_it.ran").exists());
    run(&probes, &folder.check(&program, "")).await.assert_passed();
    assert!(below.join("check_it.ran").exists());
}

#[tokio::test]
async fn what_belongs_to_others_is_not_run() {
    // Only the superuser can give files away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = Folder::new();
    let program = folder.program("check_it", SCRIPT);
    let probes = probes(&[folder.path()]);
    lchown(&program, Some(65_534), None).unwrap();
    let ran = run(&probes, &folder.check(&program, "")).await;
    ran.assert_ended(Outcome::Cancelled, "policy_denied", "belongs to user 65534: expected root; use chown");
    assert!(!folder.path().join("check_it.ran").exists());
}

#[tokio::test]
async fn a_program_may_be_listed_by_itself() {
    let folder = Folder::new();
    let (listed, other) = (folder.program("check_it", SCRIPT), folder.program("check_other", SCRIPT));
    symlink("check_it", folder.path().join("alias")).unwrap();
    symlink("check_other", folder.path().join("leads_on")).unwrap();
    let leads_on = folder.path().join("leads_on");
    let programs = vec![listed.clone(), leads_on.clone()];
    let probes = probes_by(ExecRules { programs, writable: vec![folder.path().to_owned()], ..ExecRules::default() });
    run(&probes, &folder.check(&listed, "")).await.assert_passed();
    // The one that is listed, by its name and as what it leads to; not what merely leads to it.
    run(&probes, &folder.check(&leads_on, "")).await.assert_passed();
    for refused in [folder.path().join("alias"), "/bin/true".into()] {
        let ran = run(&probes, &folder.check(&refused, "")).await;
        ran.assert_ended(Outcome::Cancelled, "policy_denied", "`exec.directories`");
    }
    drop(other);
}

#[tokio::test]
async fn no_variable_makes_a_permitted_program_run_another() {
    let folder = Folder::new();
    let made = folder.path().join("made");
    let bash = folder.program("check_bash", "#!/bin/bash\necho OK\n");
    let perl = folder.program("check_perl", "#!/usr/bin/perl\nprint \"OK\\n\";\n");
    let touch = format!("$(touch {})", made.display());
    let module = format!("-Mstrict;system(\"touch\",\"{}\")", made.display());
    for (program, name, value) in
        [(&bash, "BASH_ENV", touch.as_str()), (&perl, "PERL5OPT", &module), (&bash, "LD_PRELOAD", "/tmp/x.so")]
    {
        let environment = serde_json::json!({ name: value });
        let check = folder.check(program, &format!(r#", "environment": {environment}"#));
        let ran = run(&probes(&[folder.path()]), &check).await;
        ran.assert_ended(Outcome::Cancelled, "policy_denied", &format!("the environment variable {name},"));
        assert!(!made.exists());
        let permitting = ExecRules { environment: vec![name.parse().unwrap()], ..policy(&[folder.path()]) };
        run(&probes_by(permitting), &check).await.assert_passed();
        // So it would have.
        if name != "LD_PRELOAD" {
            fs::remove_file(&made).unwrap();
        }
    }
}
