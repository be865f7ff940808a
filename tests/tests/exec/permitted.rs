//! Which programs may be run, and which can.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use watchpost_model::Outcome;

use crate::rig::{Folder, probes, run};

const SCRIPT: &str = "#!/bin/sh\necho OK\n";

#[tokio::test]
async fn only_programs_in_directories_that_are_listed_are_run() {
    let (allowed, elsewhere) = (Folder::new(), Folder::new());
    let below = allowed.path().join("below");
    fs::create_dir(&below).unwrap();
    let inside = allowed.program("check_it", SCRIPT);
    let outside = elsewhere.program("check_it", SCRIPT);
    fs::copy(&inside, below.join("check_it")).unwrap();
    symlink(&outside, allowed.path().join("leads_out")).unwrap();
    symlink(&inside, elsewhere.path().join("leads_in")).unwrap();
    symlink("check_it", allowed.path().join("alias")).unwrap();
    symlink(elsewhere.path(), allowed.path().join("door")).unwrap();
    let probes = probes(&[allowed.path(), Path::new("/nowhere")]);
    let command = |path: &Path| format!(r#"{{"exec": {{"command": "{}"}}}}"#, path.display());
    for permitted in ["check_it", "below/check_it", "alias", "./check_it"] {
        run(&probes, &command(&allowed.path().join(permitted))).await.assert_passed();
    }
    let name = allowed.path().file_name().unwrap().to_str().unwrap();
    for refused in [
        outside.clone(),
        elsewhere.path().join("leads_in"),
        elsewhere.path().join("is_not_there"),
        allowed.path().join("leads_out"),
        allowed.path().join("door/check_it"),
        allowed.path().join(format!("../{}/check_it", elsewhere.path().file_name().unwrap().to_str().unwrap())),
        // Its name begins as that of the directory does.
        allowed.path().with_file_name(format!("{name}-more")).join("check_it"),
        allowed.path().join(".."),
        // Whoever reads the policy sees what is permitted, without walking.
        allowed.path().join("below/../check_it"),
        "/bin/sh".into(),
        "/".into(),
    ] {
        let ran = run(&probes, &command(&refused)).await;
        ran.assert_ended(Outcome::Cancelled, "policy_denied", "`exec.directories`");
        assert!(ran.message().contains(allowed.path().to_str().unwrap()), "{}", ran.message());
    }
}

#[tokio::test]
async fn nothing_is_run_where_no_directory_is_listed() {
    let folder = Folder::new();
    let check = folder.check(&folder.program("check_it", SCRIPT), "");
    let ran = run(&probes(&[]), &check).await;
    ran.assert_ended(Outcome::Cancelled, "policy_denied", "the policy permits no programs");
}

#[tokio::test]
async fn what_is_no_program_says_why() {
    let folder = Folder::new();
    let probes = probes(&[folder.path()]);
    fs::write(folder.path().join("plain"), SCRIPT).unwrap();
    fs::create_dir(folder.path().join("directory")).unwrap();
    symlink("nothing", folder.path().join("dangling")).unwrap();
    folder.program("no_interpreter", "#!/nonexistent/sh\n");
    for (name, told) in [
        ("missing", "No such file or directory"),
        ("dangling", "No such file or directory"),
        ("plain", "it is not executable"),
        ("directory", "it is not a regular file"),
        ("no_interpreter", "is the interpreter there"),
    ] {
        let ran = run(&probes, &folder.check(&folder.path().join(name), "")).await;
        ran.assert_ended(Outcome::Cancelled, "file_unusable", told);
        assert!(ran.message().contains(name) && ran.evidence.of_type.is_none(), "{ran:?}");
    }
    // The system hands what has no interpreter to /bin/sh.
    run(&probes, &folder.check(&folder.program("no_first_line", "echo OK\n"), "")).await.assert_passed();
    let program = folder.program("check_it", SCRIPT);
    let check = format!(r#"{{"exec": {{"command": "{}", "working_directory": "/nonexistent"}}}}"#, program.display());
    run(&probes, &check).await.assert_ended(Outcome::Cancelled, "file_unusable", "the working directory /nonexistent");
}

#[tokio::test]
async fn no_shell_looks_at_the_arguments() {
    let folder = Folder::new();
    let program = folder.program("check_it", "#!/bin/sh\nprintf '<%s>' \"$@\"\nexit 2\n");
    let check = folder.check(&program, r#", "arguments": ["$(touch made)", "a b", "*", "; touch made", ""]"#);
    let ran = run(&probes(&[folder.path()]), &check).await;
    assert_eq!(ran.summary(), "<$(touch made)><a b><*><; touch made><>");
    assert!(!folder.path().join("made").exists());
}
