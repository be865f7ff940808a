//! Debian's own plugins. `deploy/fetch-test-servers.sh` installs them where they are missing.

use std::path::Path;

use watchpost_model::Outcome;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::tcp_fixture::{Behaviour, loopback};

use crate::rig::{DEBIAN, Ran, probes, run};

async fn plugin(name: &str, arguments: &[&str], more: &str) -> Ran {
    let arguments = serde_json::to_string(arguments).unwrap();
    let json = format!(r#"{{"exec": {{"command": "{DEBIAN}/{name}", "arguments": {arguments}{more}}}}}"#);
    run(&probes(&[Path::new(DEBIAN)]), &json).await
}

#[tokio::test]
async fn each_state_has_its_outcome() {
    let ok = plugin("check_dummy", &["0", "all is well"], "").await;
    ok.assert_passed();
    assert_eq!((ok.summary(), ok.exec().exit_code), ("OK: all is well", Some(0)));
    assert_eq!((ok.evidence.assertions[0].expr.as_str(), ok.evidence.assertions[0].passed), ("exit code is 0", true));

    let warning = plugin("check_dummy", &["1", "hm"], "").await;
    warning.assert_ended(Outcome::Fail, "plugin_warning", "check_dummy reports warning: WARNING: hm");
    plugin("check_dummy", &["1", "hm"], r#", "warning": "pass""#).await.assert_passed();

    let critical = plugin("check_dummy", &["2", "no"], r#", "warning": "pass""#).await;
    critical.assert_ended(Outcome::Fail, "plugin_critical", "check_dummy reports critical: CRITICAL: no");
    assert_eq!(critical.evidence.assertions[0].actual, "2 (critical)");

    let unknown = plugin("check_dummy", &["3", "who knows"], "").await;
    unknown.assert_ended(
        Outcome::Error,
        "plugin_unknown",
        "check_dummy could not tell (exit code 3): UNKNOWN: who knows",
    );
}

#[tokio::test]
async fn the_machine_is_measured() {
    let load = plugin("check_load", &["-w", "10000", "-c", "20000"], "").await;
    load.assert_passed();
    for metric in ["load1", "load5", "load15"] {
        assert!(load.evidence.metrics[metric] >= 0.0, "{load:?}");
    }
    let disk = plugin("check_disk", &["-w", "0%", "-c", "0%", "-p", "/"], "").await;
    disk.assert_passed();
    let used = &disk.exec().perfdata[0];
    assert_eq!((used.label.as_str(), used.unit.as_deref(), used.min), ("/", Some("bytes"), Some(0.0)));
    assert!(disk.evidence.metrics["/_bytes"] > 1e6 && used.max > used.value, "{disk:?}");
    let procs = plugin("check_procs", &["-w", "0:0"], "").await;
    procs.assert_ended(Outcome::Fail, "plugin_warning", "check_procs reports warning: PROCS WARNING: ");
    assert!(procs.evidence.metrics["procs"] >= 1.0 && procs.evidence.phases.run.is_some(), "{procs:?}");
}

#[tokio::test]
async fn services_are_checked() {
    let server = HttpFixture::start("target").await.unwrap();
    let port = server.address().port().to_string();
    let web = |path| {
        let arguments = ["-I", "127.0.0.1", "-p", port.as_str(), "-u", path].map(str::to_owned);
        async move { plugin("check_http", &arguments.each_ref().map(String::as_str), "").await }
    };
    let ok = web("/ok").await;
    ok.assert_passed();
    assert!(ok.evidence.metrics["time_seconds"] > 0.0 && ok.evidence.metrics["size_bytes"] > 0.0, "{ok:?}");
    web("/status/500").await.assert_ended(Outcome::Fail, "plugin_critical", "HTTP CRITICAL");

    let tcp = plugin("check_tcp", &["-H", "127.0.0.1", "-p", &port], "").await;
    tcp.assert_passed();
    assert!(tcp.evidence.metrics["time_seconds"] >= 0.0, "{tcp:?}");

    let ssh = Behaviour::Says(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).start(loopback(0)).await.unwrap();
    let port = ssh.address().port().to_string();
    let ssh = plugin("check_ssh", &["-p", &port, "127.0.0.1"], "").await;
    ssh.assert_passed();
    assert!(ssh.summary().contains("OpenSSH_9.2"), "{}", ssh.summary());
}

/// `check_ftp` is a link to `check_tcp`, which goes by the name that it is called by: only an FTP server's greeting
/// will do.
#[tokio::test]
async fn a_plugin_keeps_the_name_that_it_was_called_by() {
    let server = Behaviour::Says(b"500 no\r\n".to_vec()).start(loopback(0)).await.unwrap();
    let port = server.address().port().to_string();
    let arguments = ["-H", "127.0.0.1", "-p", port.as_str()];
    plugin("check_tcp", &arguments, "").await.assert_passed();
    let ftp = plugin("check_ftp", &arguments, "").await;
    assert_ne!(ftp.outcome, Outcome::Pass, "{ftp:?}");
    assert!(ftp.summary().starts_with("FTP "), "{}", ftp.summary());
}
