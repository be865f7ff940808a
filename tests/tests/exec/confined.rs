//! What a plugin is given, and how much it may use.

use std::fs::File;
use std::path::Path;

use watchpost_model::Outcome;
use watchpost_policy::ExecRules;
use watchpost_tests::process::until;

use crate::rig::{AMPLE, Folder, members, policy, probes, probes_by, run, run_script};

#[tokio::test]
async fn the_environment_is_what_the_check_says() {
    let env = Path::new("/usr/bin/env");
    let probes = probes(&[Path::new("/usr/bin")]);
    let of = |more: &str| format!(r#"{{"exec": {{"command": "{}"{more}}}}}"#, env.display());
    let printed = |ran: crate::rig::Ran| {
        let all = [ran.summary(), ran.exec().output_excerpt.as_deref().unwrap_or_default()].join("\n");
        all.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // Without an argument it prints its environment, and that it cannot find a command makes it fail otherwise.
    let bare = run(&probes, &of("")).await;
    bare.assert_passed();
    let scratch = std::env::temp_dir().join("watchpost-plugin-0123456789abcdef").display().to_string();
    let all =
        format!("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nTMPDIR={scratch}\n");
    assert_eq!(bare.exec().stdout_bytes, all.len() as u64);
    let folder = Folder::new();
    let script = folder.program("check_it", "#!/usr/bin/perl\nprint \"$_=$ENV{$_}\\n\" for sort keys %ENV; exit 2;\n");
    let own = r#", "environment": {"LC_ALL": "C.UTF-8", "PGPASSWORD": "hunter2hunter2", "ORACLE_SID": "x"}"#;
    let given = run(&crate::rig::probes(&[folder.path()]), &folder.check(&script, own)).await;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let printed = printed(given);
    assert_eq!(printed[..4], ["LC_ALL=C.UTF-8", "ORACLE_SID=x", path, "PGPASSWORD=[redacted]"]);
    assert!(printed.len() == 5 && printed[4].starts_with("TMPDIR="), "{printed:?}");
}

#[tokio::test]
async fn a_secret_of_the_environment_shows_nowhere() {
    let body = r#"echo "login with $API_KEY failed | '$API_KEY'=1"; echo "$API_KEY"; echo "$API_KEY" >&2; exit 2"#;
    let ran = run_script(body, r#", "environment": {"API_KEY": "hunter2-hunter2"}"#).await;
    ran.assert_ended(Outcome::Fail, "plugin_critical", "login with [redacted] failed");
    let all = format!("{ran:?}");
    assert!(!all.contains("hunter2"), "{all}");
    assert!(ran.evidence.metrics.contains_key("[redacted]"), "{ran:?}");
}

#[tokio::test]
async fn it_begins_in_its_directory_with_nothing_on_stdin_and_nothing_of_ours() {
    // One that exec would not close by itself.
    let left_open = File::open("/etc/passwd").unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let ran = run_script("echo \"$(pwd) $(umask) $(readlink /proc/self/fd/0)\"; ls -l /proc/self/fd; exit 2", "").await;
    let folder = ran.summary().split(' ').next().unwrap();
    assert!(folder.contains("watchpost-exec-"), "{folder}");
    assert_eq!(ran.summary(), format!("{folder} 0077 /dev/null"));
    assert!(!ran.excerpt().contains("passwd") && ran.excerpt().contains("/dev/null"), "{}", ran.excerpt());
    drop(left_open);

    let probes = probes(&[Path::new("/bin"), Path::new("/usr/bin")]);
    let ran = run(&probes, r#"{"exec": {"command": "/bin/pwd"}}"#).await;
    assert_eq!(ran.summary(), "/");
}

#[tokio::test]
async fn limits_are_in_force_from_the_beginning() {
    let show = "echo \"$(ulimit -t) $(ulimit -Ht) $(ulimit -v) $(ulimit -Hv) $(ulimit -n) $(ulimit -Hn) $(ulimit -f) \
                $(ulimit -c) $(ulimit -Hc)\"";
    // Files in blocks of 512 bytes, memory in KiB.
    assert_eq!(run_script(show, "").await.summary(), "60 61 2097152 2097152 256 256 131072 0 0");
    let own = r#", "limits": {"cpu_seconds": 5, "memory_mib": 512, "open_files": 32, "file_size_mib": 1}"#;
    assert_eq!(run_script(show, own).await.summary(), "5 6 524288 524288 32 32 2048 0 0");
}

#[tokio::test]
async fn what_goes_beyond_a_limit_is_told() {
    let spins = run_script("while :; do :; done", r#", "limits": {"cpu_seconds": 1}"#).await;
    let told = "check_it was ended by the signal SIGXCPU: it used up its 1 s of processor time and says nothing";
    spins.assert_ended(Outcome::Error, "plugin_killed", told);
    assert!(spins.took < AMPLE && spins.exec().signal.as_deref() == Some("SIGXCPU"), "{spins:?}");

    let writes = run_script("exec head -c 2M /dev/zero > large", r#", "limits": {"file_size_mib": 1}"#).await;
    writes.assert_ended(Outcome::Error, "plugin_killed", "SIGXFSZ: a file that it wrote became larger than 1 MiB");

    let hungry = "exec perl -e 'my $x = \"a\" x (1 << 29); print length $x;'";
    let fits = run_script(hungry, "").await;
    assert_eq!((fits.outcome, fits.summary()), (Outcome::Pass, "536870912"));
    let refused = run_script(hungry, r#", "limits": {"memory_mib": 256}"#).await;
    assert_ne!(refused.outcome, Outcome::Pass, "{refused:?}");
    assert!(refused.message().contains("Out of memory"), "{}", refused.message());
}

/// The limit of processes does not hold for the superuser, so the plugin runs as another user where it can. It stops by
/// itself after 300.
#[tokio::test]
async fn a_plugin_that_multiplies_is_bounded_and_leaves_nothing() {
    let folder = Folder::new();
    let bomb = r#"#!/usr/bin/perl
my $made = 0;
while ($made < 300) {
    my $child = fork;
    last unless defined $child;
    if ($child == 0) { sleep 600; exit }
    $made++;
}
print "$made were made by $$\n";
"#;
    let script = folder.program("check_it", bomb);
    let check = folder.check(&script, r#", "limits": {"processes": 64}"#);
    let user = rustix::process::geteuid().is_root().then(|| "65534".parse().unwrap());
    let ran = run(&probes_by(ExecRules { user, ..policy(&[folder.path()]) }), &check).await;
    ran.assert_passed();
    let (made, by) = ran.summary().split_once(" were made by ").unwrap();
    assert!(made.parse::<u32>().unwrap() < 64, "{ran:?}");
    let by = [by.parse().unwrap()];
    until("all of them are gone", AMPLE, || members(&by).is_empty().then_some(())).await;
}
