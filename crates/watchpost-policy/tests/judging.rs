//! What a policy decides, row by row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::net::IpAddr;
use std::path::Path;

use watchpost_model::CheckType;
use watchpost_policy::{Dial, Effect, Lookup, Own, Policy, PolicyFile, Purpose, Transport, literal};

fn policy(json: &str) -> Policy {
    Policy::try_from(serde_json::from_str::<PolicyFile>(json).unwrap()).unwrap()
}

fn dial<'a>(address: &str, host: Option<&'a str>) -> Dial<'a> {
    let address = address.parse().unwrap();
    let (check_type, transport, purpose) = (CheckType::Http, Transport::Tcp, Purpose::Target);
    Dial { check_type, host, address, transport, purpose, method: Some("GET") }
}

fn lookup(host: &str, port: u16) -> Lookup<'_> {
    let (check_type, transport, purpose) = (CheckType::Http, Transport::Tcp, Purpose::Target);
    Lookup { check_type, host, port, transport, purpose, method: Some("GET") }
}

/// The rule that denies it; `None` where it is allowed.
fn denied(policy: &Policy, dial: &Dial<'_>) -> Option<String> {
    policy.judge_dial(dial, &Own::default()).err().map(|denied| denied.rule)
}

#[test]
fn special_addresses_are_denied_in_every_disguise() {
    let strict = Policy::strict();
    for (ip, rule) in [
        ("127.0.0.1", "special.loopback"),
        ("127.255.255.254", "special.loopback"),
        ("0.0.0.0", "special.loopback"),
        ("0.1.2.3", "special.loopback"),
        ("::", "special.loopback"),
        ("::1", "special.loopback"),
        ("::ffff:127.0.0.1", "special.loopback"),
        ("::ffff:0.0.0.0", "special.loopback"),
        ("::127.0.0.1", "special.loopback"),
        ("::ffff:0:127.0.0.1", "special.loopback"),
        ("64:ff9b::127.0.0.1", "special.loopback"),
        ("64:ff9b:1::127.0.0.1", "special.loopback"),
        ("64:ff9b:1:7f00:0:100::", "special.loopback"),
        ("64:ff9b:1:7f:0:1::", "special.loopback"),
        ("64:ff9b:1:0:7f:0:100:0", "special.loopback"),
        // What follows the IPv4 address, translators pass over.
        ("64:ff9b:1:7f00:0:100::1", "special.loopback"),
        ("64:ff9b:1:7f:0:1:dead:beef", "special.loopback"),
        ("64:ff9b:1:0:7f:0:100:1", "special.loopback"),
        ("2002:7f00:1::", "special.loopback"),
        ("2001:0:7f00:1::1", "special.loopback"),
        ("2001::80ff:fffe", "special.loopback"),
        ("fd00::5efe:127.0.0.1", "special.loopback"),
        ("2001:db8::200:5efe:7f00:1", "special.loopback"),
        ("169.254.0.1", "special.link_local"),
        ("fe80::1", "special.link_local"),
        ("febf::1", "special.link_local"),
        ("::ffff:169.254.7.7", "special.link_local"),
        ("64:ff9b::169.254.7.7", "special.link_local"),
        ("169.254.169.254", "special.metadata"),
        ("::ffff:169.254.169.254", "special.metadata"),
        ("::ffff:a9fe:a9fe", "special.metadata"),
        ("64:ff9b::a9fe:a9fe", "special.metadata"),
        ("2002:a9fe:a9fe::1", "special.metadata"),
        ("fd00:ec2::254", "special.metadata"),
        ("fd20:ce::254", "special.metadata"),
        ("100.100.100.200", "special.metadata"),
        ("168.63.129.16", "special.metadata"),
        ("169.254.170.2", "special.metadata"),
        ("192.0.0.192", "special.metadata"),
        ("224.0.0.1", "special.multicast"),
        ("239.255.255.250", "special.multicast"),
        ("ff02::1", "special.multicast"),
        ("::ffff:224.0.0.1", "special.multicast"),
        ("255.255.255.255", "special.broadcast"),
        ("64:ff9b::255.255.255.255", "special.broadcast"),
    ] {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), 80).to_string();
        assert_eq!(denied(&strict, &dial(&address, None)).as_deref(), Some(rule), "{ip}");
    }
    for ip in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2001:db8::1", "64:ff9b::10.0.0.1", "::ffff:10.0.0.1"] {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), 80).to_string();
        assert_eq!(denied(&strict, &dial(&address, None)), None, "{ip}");
    }
}

#[test]
fn the_first_rule_that_fits_decides_and_the_default_where_none_does() {
    let policy = policy(
        r#"{"rules": [
            {"name": "payroll", "deny": {"networks": ["10.9.0.0/16", "fd00:9::/32"]}},
            {"name": "web", "allow": {"types": ["http"], "networks": ["10.0.0.0/8", "fd00::/8"], "ports": [80, "8000-8999"],
                                      "methods": ["GET", "head"]}},
            {"name": "intranet", "allow": {"hosts": ["*.corp.example", "wiki.example"], "networks": ["172.16.0.0/12"]}},
            {"name": "ping", "allow": {"types": ["icmp"], "networks": ["0.0.0.0/0"]}}
        ]}"#,
    );
    let http = |address: &str| dial(address, None);
    let named = |address: &str, host| dial(address, Some(host));
    for (what, dial, rule) in [
        ("within", http("10.1.1.1:80"), None),
        ("in a range of ports", http("[fd00::1]:8999"), None),
        ("in a network denied before", http("10.9.1.1:80"), Some("payroll")),
        ("the same, mapped", http("[::ffff:10.9.1.1]:80"), Some("payroll")),
        ("mapped into what is allowed", http("[::ffff:10.1.1.1]:80"), None),
        ("another port", http("10.1.1.1:443"), Some("default")),
        ("another network", http("11.1.1.1:80"), Some("default")),
        ("another method", Dial { method: Some("POST"), ..http("10.1.1.1:80") }, Some("default")),
        ("a method in lower case", Dial { method: Some("head"), ..http("10.1.1.1:80") }, None),
        ("no method", Dial { method: None, ..http("10.1.1.1:80") }, Some("default")),
        ("another type", Dial { check_type: CheckType::Tcp, ..http("10.1.1.1:80") }, Some("default")),
        ("a name", named("172.16.0.1:22", "a.corp.example"), None),
        ("in capitals, with a dot", named("172.16.0.1:22", "A.Corp.EXAMPLE."), None),
        ("two levels below", named("172.16.0.1:22", "a.b.corp.example"), None),
        ("the name itself is not below it", named("172.16.0.1:22", "corp.example"), Some("default")),
        ("an end is not a label", named("172.16.0.1:22", "evilcorp.example"), Some("default")),
        ("a name exactly", named("172.16.0.1:22", "wiki.example"), None),
        ("below an exact one", named("172.16.0.1:22", "a.wiki.example"), Some("default")),
        ("the name elsewhere", named("8.8.8.8:22", "wiki.example"), Some("default")),
        ("no name", http("172.16.0.1:22"), Some("default")),
        ("without a port", Dial { check_type: CheckType::Icmp, ..http("8.8.8.8:0") }, None),
        ("special before rules", Dial { check_type: CheckType::Icmp, ..http("127.0.0.1:0") }, Some("special.loopback")),
        // Both the translated address and what it leads to must be allowed.
        ("NAT64 to what is allowed", http("[64:ff9b::10.1.1.1]:80"), Some("default")),
    ] {
        assert_eq!(denied(&policy, &dial).as_deref(), rule, "{what}");
    }
}

#[test]
fn translators_of_the_network_itself_are_seen_through() {
    let policy = policy(
        r#"{"default": "allow", "nat64": ["2001:db8:64::/96", "2001:db8:32::/48", "2001:db8:32:a08::/96", "64:ff9b:1:7f00::/96"],
            "rules": [{"name": "payroll", "deny": {"networks": ["10.9.0.0/16"]}}]}"#,
    );
    for (address, rule) in [
        ("[2001:db8:64::10.9.0.1]:80", Some("payroll")),
        ("[2001:db8:64::127.0.0.1]:80", Some("special.loopback")),
        ("[2001:db8:64::10.8.0.1]:80", None),
        // /48: the address stands around octet 8.
        ("[2001:db8:32:a09:0:100::]:80", Some("payroll")),
        ("[2001:db8:32:a08:0:100::]:80", None),
        ("[2001:db8:65::10.9.0.1]:80", None),
        // Below two prefixes it is judged by each: 10.8.0.0 and 10.9.0.1.
        ("[2001:db8:32:a08::10.9.0.1]:80", Some("payroll")),
        // What is said of the prefix for local use leaves nothing to be guessed: this is not 127.0.0.0.
        ("[64:ff9b:1:7f00::10.8.0.1]:80", None),
        ("[64:ff9b:1:7f00::10.9.0.1]:80", Some("payroll")),
        ("[64:ff9b:1:7f01::10.8.0.1]:80", Some("special.loopback")),
    ] {
        assert_eq!(denied(&policy, &dial(address, None)).as_deref(), rule, "{address}");
    }
}

#[test]
fn allowed_special_addresses_are_left_to_the_rules() {
    let policy = policy(
        r#"{"special": {"loopback": "allow", "metadata": "allow"},
            "rules": [{"name": "local", "allow": {"networks": ["127.0.0.1", "::1", "169.254.169.254"], "ports": [80]}}]}"#,
    );
    for (address, rule) in [
        ("127.0.0.1:80", None),
        ("[::1]:80", None),
        ("[::ffff:127.0.0.1]:80", None),
        ("127.0.0.1:81", Some("default")),
        ("127.0.0.2:80", Some("default")),
        // Metadata is told apart from other link-local addresses.
        ("169.254.169.254:80", None),
        ("169.254.169.253:80", Some("special.link_local")),
    ] {
        assert_eq!(denied(&policy, &dial(address, None)).as_deref(), rule, "{address}");
    }
}

#[test]
fn the_bastions_own_bus_and_console_are_denied_by_address_and_by_name() {
    let is_own = |ip: IpAddr| ip.to_string() == "10.0.0.5";
    let own = Own::new(is_own)
        .with_bus("10.0.0.5:4222".parse().unwrap())
        .with_bus("10.7.0.1:4222".parse().unwrap())
        .with_bus_name("Nats.example.", 4333)
        .with_console("0.0.0.0:8627".parse().unwrap());
    let strict = Policy::strict();
    let local = Policy::local();
    for (address, host, by_strict, by_local) in [
        ("10.7.0.1:4222", None, Some("special.own_bus"), Some("special.own_bus")),
        ("[::ffff:10.7.0.1]:4222", None, Some("special.own_bus"), Some("special.own_bus")),
        ("[64:ff9b::10.7.0.1]:4222", None, Some("special.own_bus"), Some("special.own_bus")),
        ("10.7.0.1:4223", None, None, None),
        ("10.7.0.2:4222", None, None, None),
        // A bus on this machine is at each of its addresses.
        ("10.0.0.5:4222", None, Some("special.own_bus"), Some("special.own_bus")),
        ("127.0.0.1:4222", None, Some("special.own_bus"), Some("special.own_bus")),
        ("10.1.1.1:4333", Some("nats.EXAMPLE"), Some("special.own_bus"), Some("special.own_bus")),
        ("10.1.1.1:4333", Some("other.example"), None, None),
        ("10.0.0.5:8627", None, Some("special.own_console"), None),
        ("[::1]:8627", None, Some("special.own_console"), None),
        ("10.1.1.1:8627", None, None, None),
    ] {
        let dial = dial(address, host);
        let rule = |policy: &Policy| policy.judge_dial(&dial, &own).err().map(|denied| denied.rule);
        assert_eq!(rule(&strict).as_deref(), by_strict, "{address} {host:?}");
        assert_eq!(rule(&local).as_deref(), by_local, "{address} {host:?}, locally");
    }
    let name = |host, port| strict.judge_name(&lookup(host, port), &own).err().map(|denied| denied.rule);
    assert_eq!(name("nats.example", 4333).as_deref(), Some("special.own_bus"));
    assert_eq!(name("nats.example", 80), None);
}

#[test]
fn a_name_is_refused_before_it_is_resolved_only_where_that_is_certain() {
    let own = Own::default();
    let by_host = policy(
        r#"{"rules": [
            {"name": "no-hr", "deny": {"hosts": ["*.hr.corp.example"]}},
            {"name": "payroll", "deny": {"networks": ["10.9.0.0/16"]}},
            {"name": "web", "allow": {"hosts": ["*.corp.example"], "ports": [443], "networks": ["10.0.0.0/8"]}}
        ]}"#,
    );
    for (host, port, rule) in [
        ("a.corp.example", 443, None),
        ("a.corp.example", 80, Some("default")),
        ("a.hr.corp.example", 443, Some("no-hr")),
        ("elsewhere.example", 443, Some("default")),
        ("localhost", 443, Some("special.loopback")),
        ("LOCALHOST.", 443, Some("special.loopback")),
        ("a.localhost", 443, Some("special.loopback")),
        ("ip6-localhost", 443, Some("special.loopback")),
        ("10.9.0.1", 443, Some("payroll")),
    ] {
        let judged = by_host.judge_name(&lookup(host, port), &own).err().map(|denied| denied.rule);
        assert_eq!(judged.as_deref(), rule, "{host}:{port}");
    }
    // Some address of it may be allowed, or the default allows.
    assert!(Policy::strict().judge_name(&lookup("anything.example", 1), &own).is_ok());
    let networks_only = policy(r#"{"rules": [{"name": "a", "allow": {"networks": ["10.0.0.0/8"]}}]}"#);
    assert!(networks_only.judge_name(&lookup("anything.example", 1), &own).is_ok());
}

#[test]
fn a_name_behind_a_proxy_is_allowed_by_rules_that_need_no_address_only() {
    let policy = policy(
        r#"{"proxies": {"resolve": true}, "rules": [
            {"name": "partner", "allow": {"hosts": ["api.partner.example"]}},
            {"name": "payroll", "deny": {"networks": ["10.9.0.0/16"]}},
            {"name": "lan", "allow": {"networks": ["10.0.0.0/8"]}},
            {"name": "rest", "allow": {"ports": [443]}}
        ]}"#,
    );
    let judge = |host, port| policy.judge_behind_proxy(&lookup(host, port), &Own::default()).err().map(|d| d.rule);
    assert_eq!(judge("api.partner.example", 443), None);
    assert_eq!(judge("other.example", 443).as_deref(), Some("payroll"));
    assert_eq!(judge("localhost", 443).as_deref(), Some("special.loopback"));
    assert_eq!(judge("10.9.0.1", 443).as_deref(), Some("payroll"));
    assert_eq!(judge("10.1.0.1", 80), None);
}

#[test]
fn addresses_are_read_in_every_form_that_systems_read() {
    for (host, ip) in [
        ("10.0.0.1", Some("10.0.0.1")),
        ("10.0.0.1.", Some("10.0.0.1")),
        ("[::1]", Some("::1")),
        ("fe80::1%eth0", Some("fe80::1")),
        ("2130706433", Some("127.0.0.1")),
        ("0x7f000001", Some("127.0.0.1")),
        ("0X7F.1", Some("127.0.0.1")),
        ("0177.0.0.1", Some("127.0.0.1")),
        ("127.1", Some("127.0.0.1")),
        ("127.0.1", Some("127.0.0.1")),
        ("127.0.0.0x1", Some("127.0.0.1")),
        ("00000000000000000000000000000000000177.1", Some("127.0.0.1")),
        ("4294967295", Some("255.255.255.255")),
        ("4294967296", None),
        ("256.0.0.1", None),
        ("1.2.3.256", None),
        ("1.2.3.4.5", None),
        ("08.0.0.1", None),
        ("", None),
        (".", None),
        ("1..2", None),
        ("a", None),
        ("10.0.0.1x", None),
        ("-1", None),
        ("+1", None),
    ] {
        assert_eq!(literal(host), ip.map(|ip| ip.parse::<IpAddr>().unwrap()), "{host}");
    }
}

#[test]
fn programs_files_and_sockets_are_permitted_by_their_paths() {
    let policy = policy(
        r#"{"exec": {"directories": ["/usr/lib/nagios/plugins"]}, "files": {"directories": ["/etc/watchpost/checks/"]},
            "unix": {"paths": ["/run/app/*.sock", "/run/db-*/s", "/srv/**"]},
            "rules": [{"name": "no-exec-here", "deny": {"types": ["exec"], "networks": ["10.0.0.0/8"]}}]}"#,
    );
    type Judge = fn(&Policy, &Path) -> bool;
    let exec: Judge = |policy, path| policy.judge_exec(path).is_ok();
    let file: Judge = |policy, path| policy.judge_file(path).is_ok();
    let unix: Judge = |policy, path| policy.judge_unix(path).is_ok();
    for (judge, path, permitted) in [
        (exec, "/usr/lib/nagios/plugins/check_load", true),
        (exec, "/usr/lib/nagios/plugins/contrib/check_x", true),
        (exec, "/usr/lib/nagios/plugins/../../../bin/sh", false),
        (exec, "/usr/lib/nagios/pluginsx/check_load", false),
        (exec, "/bin/sh", false),
        (file, "/etc/watchpost/checks/ca.pem", true),
        (file, "/etc/watchpost/checks/./deep//ca.pem", true),
        (file, "/etc/watchpost/checks/../policy.yaml", false),
        (file, "/etc/watchpost/policy.yaml", false),
        (file, "checks/ca.pem", false),
        (file, "/etc/shadow", false),
        (unix, "/run/app/a.sock", true),
        (unix, "/run/app/.sock", true),
        (unix, "/run//app/./a.sock", true),
        (unix, "/run/app/deep/a.sock", false),
        (unix, "/run/app/a.sock.old", false),
        (unix, "/run/app/../docker.sock", false),
        (unix, "/run/db-1/s", true),
        (unix, "/run/db-/t", false),
        (unix, "/srv/a/b/c", true),
        (unix, "/srv", false),
        (unix, "/run/docker.sock", false),
    ] {
        assert_eq!(judge(&policy, Path::new(path)), permitted, "{path}");
    }
    let strict = Policy::strict();
    assert_eq!(strict.judge_exec(Path::new("/bin/true")).unwrap_err().rule, "exec");
    assert_eq!(strict.judge_file(Path::new("/etc/hosts")).unwrap_err().rule, "files");
    assert_eq!(strict.judge_unix(Path::new("/run/docker.sock")).unwrap_err().rule, "unix");
    assert!(Policy::local().judge_file(Path::new("ca.pem")).is_ok());
    assert!(Policy::local().judge_unix(Path::new("/run/docker.sock")).is_ok());
    assert!(Policy::local().judge_exec(Path::new("/bin/true")).is_err());
}

#[test]
fn a_type_is_denied_where_nothing_of_it_could_be_permitted() {
    let policy = policy(
        r#"{"exec": {"directories": ["/plugins"]}, "rules": [
            {"name": "no-plugins", "deny": {"types": ["exec"]}},
            {"name": "web", "allow": {"types": ["http", "steps"], "networks": ["10.0.0.0/8"]}}
        ]}"#,
    );
    let rule = |check_type| policy.judge_type(check_type).err().map(|denied| denied.rule);
    assert_eq!(rule(CheckType::Http), None);
    assert_eq!(rule(CheckType::Steps), None);
    assert_eq!(rule(CheckType::Heartbeat), None);
    assert_eq!(rule(CheckType::Tcp).as_deref(), Some("default"));
    assert_eq!(rule(CheckType::Exec).as_deref(), Some("no-plugins"));
    assert_eq!(rule(CheckType::Unix).as_deref(), Some("unix"));
    assert_eq!(Policy::strict().judge_type(CheckType::Icmp), Ok(()));
}

#[test]
fn a_refusal_says_which_rule_about_what_and_what_would_have_to_change() {
    let policy = policy(
        r#"{"rules": [{"name": "no-payroll", "deny": {"networks": ["10.9.0.0/16"]}},
                       {"name": "lan", "allow": {"networks": ["10.0.0.0/8"], "methods": ["GET"]}}]}"#,
    );
    let told = |dial: &Dial<'_>| policy.judge_dial(dial, &Own::default()).unwrap_err().message;
    assert_eq!(
        told(&dial("10.9.1.1:443", Some("api.example"))),
        "rule `no-payroll` of the policy denies api.example at 10.9.1.1:443 by GET to checks of the type http"
    );
    assert_eq!(
        told(&dial("[64:ff9b::127.0.0.1]:443", None)),
        "no rule of the policy allows [64:ff9b::7f00:1]:443 by GET to checks of the type http: one with `allow` would have to"
    );
    assert_eq!(
        told(&Dial { purpose: Purpose::Proxy, method: None, ..dial("[::ffff:127.0.0.1]:3128", None) }),
        "`special.loopback` of the policy denies the proxy [::ffff:127.0.0.1]:3128 (which stands for 127.0.0.1), the \
         machine of the Runner itself: only with `allow` there would the rules decide"
    );
    let long = "x".repeat(5_000);
    assert!(told(&dial("10.9.1.1:443", Some(&long))).len() < 500);
}

#[test]
fn an_explanation_names_the_rules_that_were_passed_over() {
    let policy = policy(
        r#"{"rules": [{"name": "a", "allow": {"types": ["tcp"]}}, {"name": "b", "deny": {"ports": [81], "networks": ["10.0.0.0/8"]}},
                       {"name": "c", "allow": {"networks": ["10.0.0.0/8", "64:ff9b::/96"]}}]}"#,
    );
    let explained = policy.explain(&dial("[64:ff9b::10.1.1.1]:80", None), &Own::default());
    let told: Vec<_> = explained.iter().map(|one| (one.ip.to_string(), one.rule.as_str(), one.effect)).collect();
    assert_eq!(
        told,
        [("64:ff9b::a01:101".to_owned(), "c", Effect::Allow), ("10.1.1.1".to_owned(), "c", Effect::Allow)]
    );
    let passed: Vec<_> = explained[1].passed_over.iter().map(|passed| (passed.rule.as_str(), passed.key)).collect();
    assert_eq!(passed, [("a", "types"), ("b", "ports")]);
    let explained = policy.explain(&dial("127.0.0.1:80", None), &Own::default());
    assert_eq!(explained[0].rule, "special.loopback");
    assert!(explained[0].passed_over.is_empty() && explained[0].denied.is_some());
}

#[test]
fn what_is_probably_not_meant_is_told() {
    let policy = policy(
        r#"{"rules": [
            {"name": "a", "allow": {"hosts": ["*.example"]}}, {"name": "b", "deny": {"hosts": ["x.example"]}},
            {"name": "c", "allow": {"types": ["exec"]}}, {"name": "d", "allow": {"types": ["tcp"], "methods": ["GET"]}},
            {"name": "e", "allow": {"networks": ["10.0.0.0/8"], "hosts": ["*.example"]}},
            {"name": "f", "deny": {}}, {"name": "g", "allow": {"networks": ["10.0.0.0/8"]}}
        ]}"#,
    );
    let oddities = policy.oddities();
    for (oddity, begins) in oddities.iter().zip([
        "rule `a` allows names and no `networks`",
        "rule `b` denies names and no `networks`",
        "rule `c` allows nothing",
        "rule `d` names methods, which a check of the type tcp does not have",
        "rule `g` never decides: `f`",
    ]) {
        assert!(oddity.starts_with(begins), "{oddity}");
    }
    assert_eq!(oddities.len(), 5, "{oddities:?}");
    assert!(Policy::strict().oddities().is_empty());
}

#[test]
fn of_a_check_all_that_is_certain_is_told_and_nothing_else() {
    let policy = policy(
        r#"{"files": {"directories": ["/etc/checks"]}, "exec": {"directories": ["/plugins"]}, "unix": {"paths": ["/run/a.sock"]},
            "rules": [{"name": "payroll", "deny": {"networks": ["10.9.0.0/16"]}},
                      {"name": "partner", "allow": {"hosts": ["*.partner.example"]}},
                      {"name": "lan", "allow": {"types": ["http", "steps", "dns"], "networks": ["10.0.0.0/8"], "methods": ["GET"]}},
                      {"name": "dns", "allow": {"types": ["dns"], "networks": ["10.0.0.53"], "ports": [53]}}]}"#,
    );
    for (check, rules) in [
        (r#""http": {"url": "http://10.1.1.1/"}"#, &[][..]),
        (r#""http": {"url": "http://anything.example/"}"#, &[]),
        (r#""http": {"url": "http://anything.example/", "method": "POST"}"#, &["default"]),
        (r#""http": {"url": "http://10.9.1.1/"}"#, &["payroll"]),
        (r#""http": {"url": "http://0x0a090101/"}"#, &["payroll"]),
        (r#""http": {"url": "http://localhost/"}"#, &["special.loopback"]),
        (r#""http": {"url": "http://a.example/"}, "addresses": ["10.1.1.1", "10.9.1.1"]"#, &["payroll"]),
        // The name may have that address.
        (r#""http": {"url": "http://a.partner.example/"}, "addresses": ["11.1.1.1"]"#, &[]),
        (r#""http": {"url": "http://a.example/"}, "addresses": ["11.1.1.1"]"#, &["default"]),
        (r#""http": {"url": "http://10.1.1.1/", "proxy": "http://10.9.0.1:3128"}"#, &["payroll"]),
        (r#""http": {"url": "https://10.1.1.1/", "tls": {"ca_file": "/etc/ssl/ca.pem"}}"#, &["files"]),
        (r#""http": {"url": "https://10.1.1.1/", "tls": {"ca_file": "/etc/checks/ca.pem"}}"#, &[]),
        (
            r#""http": {"url": "https://10.1.1.1/", "tls": {"client": {"certificate_file": "/etc/c.pem", "key_file": "/etc/k.pem"}}}"#,
            &["files", "files"],
        ),
        (
            r#""http": {"url": "https://10.1.1.1/", "tls": {"client": {"certificate_file": "${secret:c}", "key_file": "${secret:k}"}}}"#,
            &[],
        ),
        (r#""http": {"url": "http://10.1.1.1/", "body": {"file": "/etc/shadow"}}"#, &["files"]),
        (r#""steps": [{"http": {"url": "http://10.1.1.1/"}}, {"http": {"url": "http://10.9.1.1/"}}]"#, &["payroll"]),
        (r#""dns": {"name": "a.example", "server": "10.0.0.53"}"#, &[]),
        (r#""dns": {"name": "a.example", "server": "10.0.0.54"}"#, &["default"]),
        // The system's own server is its operator's choice.
        (r#""dns": {"name": "a.example"}"#, &[]),
        (r#""tcp": {"address": "a.partner.example:25"}"#, &[]),
        (r#""tcp": {"address": "10.1.1.1:25"}"#, &["default"]),
        (r#""exec": {"command": "/plugins/check_x"}"#, &[]),
        (r#""exec": {"command": "/bin/sh"}"#, &["exec"]),
        (r#""unix": {"path": "/run/a.sock"}"#, &[]),
        (r#""unix": {"path": "/run/b.sock"}"#, &["unix"]),
        (r#""group": {"checks": ["a"]}"#, &[]),
        (r#""heartbeat": {"every": "1h"}"#, &[]),
        (
            r#""http": {"url": "http://{{target.address}}/"}, "targets": {"static": ["10.1.1.1:80", "10.9.1.1:80", "10.9.1.2:80"]}"#,
            &["payroll", "payroll"],
        ),
        (
            r#""http": {"url": "http://{{target.address}}/"}, "targets": {"file": {"files": ["/etc/t/*.yaml"]}}"#,
            &["files"],
        ),
        (
            r#""http": {"url": "http://{{target.address}}/"}, "targets": {"http": {"url": "http://169.254.169.254/sd"}}"#,
            &["special.metadata"],
        ),
    ] {
        let json = format!(r#"{{"id": "c", {check}}}"#);
        let check: watchpost_model::Check = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{json}: {e}"));
        let told: Vec<String> = policy.judge_check(&check, &Own::default()).into_iter().map(|d| d.rule).collect();
        assert_eq!(told, rules, "{json}");
    }
    let many: Vec<String> = (0..200).map(|n| format!("\"10.9.0.{n}:80\"")).collect();
    let json = format!(
        r#"{{"id": "c", "http": {{"url": "http://{{{{target.address}}}}/"}}, "targets": {{"static": [{}]}}}}"#,
        many.join(",")
    );
    let check: watchpost_model::Check = serde_json::from_str(&json).unwrap();
    assert_eq!(policy.judge_check(&check, &Own::default()).len(), 16);
}

#[test]
fn a_name_that_a_server_is_told_is_judged_with_the_check() {
    let policy =
        policy(r#"{"default": "allow", "rules": [{"name": "payroll", "deny": {"hosts": ["payroll.example"]}}]}"#);
    let denied = |check: &str| {
        let check = serde_json::from_str(&format!(r#"{{"id": "c", {check}}}"#)).unwrap();
        policy.judge_check(&check, &Own::default()).into_iter().map(|denied| denied.rule).collect::<Vec<_>>()
    };
    let payroll = vec!["payroll".to_owned()];
    for header in ["payroll.example", "Payroll.Example.", "payroll.example:8443", " payroll.example"] {
        let http = format!(r#""http": {{"url": "http://10.0.0.1/", "headers": {{"Host": "{header}"}}}}"#);
        assert_eq!(denied(&http), payroll, "{header}");
    }
    let tls = r#""tls": {"server_name": "payroll.example"}"#;
    assert_eq!(denied(&format!(r#""http": {{"url": "https://web.example/", {tls}}}"#)), payroll);
    assert_eq!(
        denied(&format!(r#""http": {{"url": "https://web.example/", {tls}}}, "addresses": ["10.0.0.1"]"#)),
        payroll
    );
    assert_eq!(denied(&format!(r#""redis": {{"address": "web.example:6379", {tls}}}"#)), payroll);
    // Without TLS nobody is told it, and a machine's own name for itself is told to others as well.
    assert!(denied(r#""http": {"url": "http://web.example/", "headers": {"Host": "localhost"}}"#).is_empty());
    assert!(denied(r#""http": {"url": "https://web.example/", "headers": {"Host": "[::1]:80"}}"#).is_empty());
}
