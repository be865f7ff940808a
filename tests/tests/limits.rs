//! What is too large, too many or too deep in a file is refused, with the limit and where it is crossed; what is right at
//! the limit is taken. Messages have theirs in `watchpost-model/tests/decode.rs`, expressions in `watchpost-expr/tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what cannot be set up fails its test")]

use std::fmt::Display;
use std::process::{Command, Stdio};

use watchpost_tests::process::{Launch, binary};

/// One file, and what is said of it: nothing if it is taken.
struct Row {
    name: &'static str,
    /// `config` or `policy`.
    kind: &'static str,
    text: String,
    told: &'static str,
}

fn row(name: &'static str, text: impl Into<String>, told: &'static str) -> Row {
    Row { name, kind: "config", text: text.into(), told }
}

fn policy(name: &'static str, text: impl Into<String>, told: &'static str) -> Row {
    Row { name, kind: "policy", text: text.into(), told }
}

/// A file with one check.
fn check(settings: impl Display) -> String {
    format!("checks:\n- {{id: a, {settings}}}\n")
}

/// The entries of a list, or a map.
fn list(count: usize, entry: impl Fn(usize) -> String) -> String {
    (0..count).map(entry).collect::<Vec<_>>().join(", ")
}

fn http(more: impl Display) -> String {
    check(format_args!("http: {{url: 'http://a'{more}}}"))
}

fn expecting(expect: impl Display) -> String {
    check(format_args!("http: {{url: 'http://a'}}, expect: {{{expect}}}"))
}

/// Nine entries, each of which stands for ten, nine times over.
fn bomb() -> String {
    let layer = |n: usize| format!("&x{n} [{}]", list(10, |_| format!("*x{}", n - 1)));
    format!("[&x0 [{}], {}]", list(10, |_| "x".into()), (1..9).map(layer).collect::<Vec<_>>().join(", "))
}

fn of_files() -> Vec<Row> {
    let chain = |count: usize| {
        let groups =
            (1..count).map(|n| format!("- {{id: g{n}, group: {{checks: [g{}]}}}}\n", n - 1)).collect::<String>();
        format!("checks:\n- {{id: g0, tcp: {{address: 'a:1'}}}}\n{groups}")
    };
    vec![
        row(
            "a whole file",
            format!("# {}\nchecks: []\n", "x".repeat(64 * 1024 * 1024)),
            "has more than 67108864 bytes",
        ),
        row("a file with several documents", "---\n".repeat(10_000), "a second document begins here"),
        row("a key twice", "checks: []\nchecks: []\n", "the key `checks` is there twice"),
        row(
            "depth of lists",
            format!("checks: {}{}\n", "[".repeat(20_000), "]".repeat(20_000)),
            "recursion limit exceeded",
        ),
        row("depth of maps", format!("bus: {}{}\n", "{a: ".repeat(20_000), "}".repeat(20_000)), "unknown field `a`"),
        row("an alias bomb", format!("groups: {}\n", bomb()), "`groups[0]`"),
        row("an alias bomb where anything may stand", format!("anything: {}\n", bomb()), "unknown field `anything`"),
        row(
            "one alias again and again",
            format!("checks:\n- &a {{id: a, tcp: {{address: 'a:1'}}}}\n{}", "- *a\n".repeat(2_000)),
            "budget breached: AliasAnchorRatio",
        ),
        row(
            "an id",
            format!("checks:\n- {{id: {}, tcp: {{address: 'a:1'}}}}\n", "a".repeat(65)),
            "check id has 65 bytes: expected at most 64",
        ),
        row("an id that fits", format!("checks:\n- {{id: {}, tcp: {{address: 'a:1'}}}}\n", "a".repeat(64)), ""),
        row(
            "bastion groups",
            format!("groups: [{}]\nchecks: []\n", list(65, |n| format!("g{n}"))),
            "expected at most 64",
        ),
        row(
            "members of a group",
            check(format_args!("group: {{checks: [{}]}}", list(1_001, |n| format!("m{n}")))),
            "expected at most 1000",
        ),
        row("depth of groups", chain(19), "nests deeper than 16 groups"),
        row("depth of groups that fits", chain(17), ""),
        row(
            "settings of a check together",
            http(format_args!(", headers: {{{}}}", list(40, |n| format!("h{n}: {}", "v".repeat(8_000))))),
            "expected at most 196608 together",
        ),
        row(
            "addresses",
            check(format_args!(
                "tcp: {{address: 'a:1'}}, addresses: [{}]",
                list(10_001, |n| format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255))
            )),
            "the list of addresses is too long",
        ),
        row(
            "labels",
            check(format_args!(
                "tcp: {{address: 'a:1'}}, targets: {{static: [{{address: 'a:1', labels: {{{}}}}}]}}",
                list(65, |n| format!("l{n}: x"))
            )),
            "more than 64 labels",
        ),
    ]
}

fn of_checks() -> Vec<Row> {
    let url =
        |length: usize| check(format_args!("http: {{url: 'http://a/{}'}}", "x".repeat(length - "http://a/".len())));
    let headers = |count: usize| http(format_args!(", headers: {{{}}}", list(count, |n| format!("h{n}: v"))));
    let header = |length: usize| http(format_args!(", headers: {{h: '{}'}}", "v".repeat(length)));
    let body = |length: usize| http(format_args!(", method: POST, body: '{}'", "v".repeat(length)));
    let arguments =
        |count: usize| check(format_args!("exec: {{command: /a, arguments: [{}]}}", list(count, |_| "x".into())));
    let argument = |length: usize| check(format_args!("exec: {{command: /a, arguments: ['{}']}}", "x".repeat(length)));
    let that = |depth: usize| expecting(format_args!("that: '{}true{}'", "(".repeat(depth), ")".repeat(depth)));
    vec![
        row("a URL", url(4_097), "the url has 4097 bytes: expected at most 4096"),
        row("a URL that fits", url(4_096), ""),
        row("headers", headers(65), "`http.headers` has 65 entries: expected at most 64"),
        row("headers that fit", headers(64), ""),
        row("a header's value", header(8_193), "a header value has 8193 bytes: expected at most 8192"),
        row("a header's value that fits", header(8_192), ""),
        row("a body", body(65_537), "the text to send has 65537 bytes: expected at most 65536"),
        row("a body that fits", body(65_536), ""),
        row("arguments", arguments(257), "the command has too many arguments: expected at most 256"),
        row("arguments that fit", arguments(256), ""),
        row("an argument", argument(8_193), "the argument has 8193 bytes: expected at most 8192"),
        row("an argument that fits", argument(8_192), ""),
        row(
            "variables",
            check(format_args!("exec: {{command: /a, environment: {{{}}}}}", list(65, |n| format!("V{n}: x")))),
            "expected at most 64",
        ),
        row(
            "a path",
            check(format_args!("exec: {{command: '/{}'}}", "x".repeat(1_024))),
            "the path has 1025 bytes: expected at most 1024",
        ),
        row(
            "an expression",
            expecting(format_args!("that: '{}true'", "1 == 1 && ".repeat(2_000))),
            "expected at most 2048",
        ),
        row("depth of an expression", that(500), "`expect.that`"),
        row("depth of an expression that fits", that(8), ""),
        row(
            "expressions",
            expecting(format_args!("that: [{}]", list(65, |_| "'true'".into()))),
            "expected at most 64 entries",
        ),
        row(
            "a regular expression",
            expecting(format_args!("body_matches: '{}'", "a".repeat(1_025))),
            "the regular expression has 1025 bytes: expected at most 1024",
        ),
        row(
            "a regular expression once compiled",
            expecting("body_matches: '(a{1000}){1000}'"),
            "too large once compiled",
        ),
        row(
            "depth of a regular expression",
            expecting(format_args!("body_matches: '{}{}'", "(".repeat(400), ")".repeat(400))),
            "nested parentheses",
        ),
        row(
            "a JSON path",
            expecting(format_args!("json_path: {{'${}': 1}}", "[0]".repeat(33))),
            "more than 32 brackets",
        ),
        row("a JSON path that fits", expecting(format_args!("json_path: {{'${}': 1}}", "[0]".repeat(32))), ""),
        row(
            "steps of a flow",
            check(format_args!("steps: [{}]", list(33, |n| format!("{{name: s{n}, http: {{url: 'http://a'}}}}")))),
            "the list of steps is too long: expected at most 32",
        ),
        row(
            "steps of a dialogue",
            check(format_args!("tcp: {{address: 'a:1', steps: [{}]}}", list(33, |_| "{send: x}".into()))),
            "the list of steps is too long: expected at most 32",
        ),
        row(
            "secrets in a text",
            http(format_args!(", headers: {{h: '{}'}}", "${secret:a}".repeat(17))),
            "refers to more than 16 secrets",
        ),
        row("secrets in a text that fit", http(format_args!(", headers: {{h: '{}'}}", "${secret:a}".repeat(16))), ""),
    ]
}

fn of_policies() -> Vec<Row> {
    let rules = |count: usize| {
        let rules = (0..count).map(|n| format!("- {{name: r{n}, deny: {{ports: [1]}}}}\n")).collect::<String>();
        format!("default: deny\nrules:\n{rules}")
    };
    let allow =
        |of: &str, entries: String| format!("default: deny\nrules:\n- {{name: a, allow: {{{of}: [{entries}]}}}}\n");
    let network = |n: usize| format!("10.{}.{}.0/24", n >> 8, n & 255);
    let exec = |of: &str, entries: String| format!("default: deny\nexec: {{{of}: [{entries}]}}\n");
    vec![
        policy(
            "a policy",
            format!("# {}\ndefault: deny\n", "x".repeat(4 * 1024 * 1024)),
            "has more than 4194304 bytes",
        ),
        policy("rules", rules(1_001), "expected at most 1000 entries"),
        policy("rules that fit", rules(1_000), ""),
        policy("networks of a rule", allow("networks", list(1_001, network)), "expected at most 1000 entries"),
        policy("networks of a rule that fit", allow("networks", list(1_000, network)), ""),
        policy(
            "hosts of a rule",
            allow("hosts", list(1_001, |n| format!("h{n}.example"))),
            "expected at most 1000 entries",
        ),
        policy(
            "directories of programs",
            exec("directories", list(65, |n| format!("/d{n}"))),
            "expected at most 64 entries",
        ),
        policy("directories of programs that fit", exec("directories", list(64, |n| format!("/d{n}"))), ""),
        policy(
            "variables of programs",
            exec("environment", list(65, |n| format!("V{n}"))),
            "expected at most 64 entries",
        ),
        policy(
            "ports of programs",
            exec("connect_ports", list(1_025, |n| (n + 1).to_string())),
            "expected at most 1024 entries",
        ),
        policy(
            "depth of a policy",
            format!("rules: {}{}\n", "[".repeat(20_000), "]".repeat(20_000)),
            "recursion limit exceeded",
        ),
        policy("an alias bomb in a policy", format!("rules: {}\n", bomb()), "`rules"),
    ]
}

/// What is not as the row says.
fn fault(launch: &Launch, row: &Row) -> Option<String> {
    let Row { name, kind, text, told } = row;
    let file = launch.folder().join("file.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(binary());
    let output = command.args([kind, "validate"]).arg(&file).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let wanted = if told.is_empty() { 0 } else { 2 };
    let is_as_said = output.status.code() == Some(wanted) && stderr.contains(told);
    // An error quotes a line, and no more of it than a screen is wide.
    let is_short = stderr.len() < 16 * 1024;
    let shown: String = stderr.chars().take(400).collect();
    (!(is_as_said && is_short))
        .then(|| format!("{name}: exit {:?}, {} bytes: {shown}", output.status.code(), stderr.len()))
}

fn hold(rows: &[Row]) {
    let launch = Launch::new("config");
    let faults: Vec<_> = rows.iter().filter_map(|row| fault(&launch, row)).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

#[test]
fn files_and_lists_of_checks_are_bounded() {
    hold(&of_files());
}

#[test]
fn what_a_check_says_is_bounded() {
    hold(&of_checks());
}

#[test]
fn policies_are_bounded() {
    hold(&of_policies());
}
