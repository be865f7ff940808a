//! Programs that speak the interface of Nagios plugins, and such as do not.

use crate::expected::{absent, at_least, has, is, present};
use crate::row::{Row, row};
use crate::server::Server;

const DEBIAN: &str = "/usr/lib/nagios/plugins";
/// Where programs lie that may be run.
pub const DIRECTORIES: [&str; 3] = [DEBIAN, "/bin", "/usr/bin"];

/// A row whose plugin is this shell script.
fn script(name: &str, script: &str) -> Row {
    row(format!("exec-{name}")).check(format!("exec: {{ command: /bin/sh, arguments: [-c, {script:?}] }}"))
}

/// A row whose plugin is one of Debian's.
fn plugin(name: &str, plugin: &str, arguments: &[&str]) -> Row {
    row(format!("exec-{name}")).check(format!("exec: {{ command: {DEBIAN}/{plugin}, arguments: {arguments:?} }}"))
}

pub fn rows() -> Vec<Row> {
    vec![
        plugin("ok", "check_dummy", &["0", "all is well"])
            .pass()
            .at("check_type", is("exec"))
            .at("target.name", is(format!("{DEBIAN}/check_dummy")))
            .at("evidence.exec.summary", is("OK: all is well"))
            .at("evidence.exec.exit_code", is(0))
            .at("phases_us.run", present())
            .at("assertions.0.expr", is("exit code is 0")),
        plugin("warning", "check_dummy", &["1", "hm"]).fail("plugin_warning").says("^check_dummy reports warning: WARNING: hm$"),
        row("exec-warning-that-passes")
            .check(format!("exec: {{ command: {DEBIAN}/check_dummy, arguments: ['1'], warning: pass }}"))
            .pass()
            .at("assertions.0.expr", is("exit code is 0 or 1")),
        plugin("critical", "check_dummy", &["2", "no"]).fail("plugin_critical").says("^check_dummy reports critical: "),
        plugin("unknown", "check_dummy", &["3"]).error("plugin_unknown").says("could not tell"),
        plugin("of-a-service", "check_tcp", &["-H", "{ip}", "-p", "{port}"])
            .server(Server::Tcp(watchpost_tests::tcp_fixture::Behaviour::Silent))
            .pass()
            .at("metrics.time_seconds", at_least(0.0)),
        plugin("of-a-service-that-is-away", "check_tcp", &["-H", "{ip}", "-p", "{port}"])
            .server(Server::Closed)
            .fail("plugin_critical")
            .says("Connection refused"),
        script("exit-4", "exit 4").error("plugin_exit").says("exit code 4"),
        script("command-not-found", "nonexistent_command").error("plugin_exit").says("127, as of a command that is not found"),
        script("segfault", "kill -SEGV $$").error("plugin_killed").says("SIGSEGV").at("evidence.exec.signal", is("SIGSEGV")),
        script("endless-output", "yes").error("plugin_output").says("more than 1048576 bytes").at("evidence.exec.truncated", is(true)),
        script("does-not-end", "sleep 600").timeout("plugin_timeout").says("the plugin did not end within"),
        script("leaves-a-child-behind", "sleep 600 & echo OK").pass().at("evidence.exec.output_held_open", absent()),
        script("says-nothing", "exit 2").fail("plugin_critical").says("and says nothing$"),
        script("explains-on-stderr", "echo why >&2; exit 2").fail("plugin_critical").at("evidence.exec.stderr_excerpt", has("why")),
        script("perfdata", "echo \"OK | 'a b'=1500ms;1;2;0 c=2KiB d=U e=1,5\"")
            .pass()
            .at("metrics.a b_seconds", is(1.5))
            .at("metrics.c_bytes", is(2048.0))
            .at("evidence.exec.perfdata", at_least(3.0))
            .at("evidence.exec.perfdata_passed_over", is(1)),
        script("perfdata-below-the-text", "printf 'OK\\nmore | x=1\\ny=2\\n'")
            .pass()
            .at("metrics.x", is(1.0))
            .at("metrics.y", is(2.0)),
        script("no-environment-of-ours", "test -z \"$HOME$USER\" && test \"$LC_ALL\" = C").pass(),
        row("exec-expression")
            .check("exec: { command: /bin/sh, arguments: [-c, \"echo 'OK | q=3'\"] }\nexpect: { that: 'metrics[\"q\"] < 3 && state == \"ok\"' }")
            .fail("assertion_failed"),
        row("exec-not-permitted").check("exec: { command: /etc/passwd }").cancelled("policy_denied").says("exec.directories"),
        row("exec-leads-out-of-what-is-permitted")
            .check("exec: { command: /usr/bin/../../etc/passwd }")
            .cancelled("policy_denied"),
        row("exec-missing").check(format!("exec: {{ command: {DEBIAN}/check_nothing }}")).cancelled("file_unusable"),
        row("exec-not-executable").check(format!("exec: {{ command: {DEBIAN}/utils.pm }}")).cancelled("file_unusable"),
        row("exec-relative").check("exec: { command: check_dummy }").refused("not an absolute path"),
        row("exec-with-a-limit-of-none").check("exec: { command: /a, limits: { cpu_seconds: 0 } }").refused("expected 1 to 300"),
    ]
}
