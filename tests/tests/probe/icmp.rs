//! `icmp` checks, by the built binary in a network namespace of its own, where it is known who may do what and which
//! way packets go.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;
use watchpost_tests::process::binary;

/// Nobody but who has the privilege may send echo requests: the range of groups that may is empty in new namespaces.
const PRIVILEGED: &str = "read from to < /proc/sys/net/ipv4/ping_group_range && [ $from -gt $to ]";
/// Everybody may. The only group of the namespace has number 0.
const EVERYBODY: &str = "echo '0 0' > /proc/sys/net/ipv4/ping_group_range";
/// Runs what follows without any privilege, though its user is root.
const WITHOUT: &str = "setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs";
/// A router at 10.9.0.2 that knows its own network, drops what is for 10.6.0.0/16, and passes on what is for
/// 10.8.0.0/24. It lives as long as the pipe that it reads from.
const ROUTER: &str = "
    mkfifo $dir/open && exec 3<>$dir/open
    unshare --net sh -c 'echo ready > $0/ready; read _ < $0/open' $dir &
    router=$!
    until [ -s $dir/ready ]; do :; done
    ip link add inside type veth peer name outside
    ip link set outside netns $router
    ip addr add 10.9.0.1/24 dev inside && ip link set inside up && ip route add default via 10.9.0.2
    nsenter --target $router --net sh -ec '
        ip link set lo up
        ip addr add 10.9.0.2/24 dev outside && ip link set outside up
        echo 1 > /proc/sys/net/ipv4/ip_forward
        ip route add blackhole 10.6.0.0/16 && ip route add 10.8.0.0/24 via 10.9.0.3
    '";

/// The router answers every other echo request, and the first of a check twice.
const LOSSY: &str = "
    nsenter --target $router --net sh -c 'echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all && exec python3 $0 $1' \
        $icmp_peer $dir/peer &
    peer=$!
    until [ -s $dir/peer ]; do :; done";

/// Runs `checks` in a namespace in which `setup` was done, `how` they are to be run; their results by their names.
fn results(setup: &str, how: &str, checks: &[(&str, &str)]) -> BTreeMap<String, Value> {
    let folder = std::env::temp_dir().join(format!("watchpost-icmp-{}", uuid()));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("checks.yaml");
    let yaml: String =
        checks.iter().map(|(id, check)| format!("- {{id: {id}, scheduled: false, {check}}}\n")).collect();
    std::fs::write(&file, format!("checks:\n{yaml}")).unwrap();
    let script = format!(
        "set -e\nip link set lo up\n{setup}\nif {how} {} check -c {} --timeout 30s -o ndjson\nthen :; else [ $? = 1 ]; fi\n\
         [ -z \"$peer\" ] || kill $peer\n[ -z \"$router\" ] || kill $router",
        binary().display(),
        file.display()
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .env("dir", &folder)
        .env("icmp_peer", concat!(env!("CARGO_MANIFEST_DIR"), "/src/icmp_peer.py"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let results = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let results = results.filter(|result| result.get("task").is_some());
    results.map(|result| (result["check"].as_str().unwrap().to_owned(), result)).collect()
}

/// A name that no other test of this machine has.
fn uuid() -> String {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

#[track_caller]
fn assert_ended(result: &Value, outcome: &str, code: &str, sentence: &str) {
    assert_eq!((&result["outcome"], &result["reason"]["code"]), (&outcome.into(), &code.into()), "{result:#}");
    let message = result["reason"]["message"].as_str().unwrap();
    assert!(message.contains(sentence), "{message}");
}

const HERE: [(&str, &str); 2] = [
    ("v4", "icmp: {host: 127.0.0.1, count: 5, interval: 10ms}"),
    ("v6", "icmp: {host: '::1', size: 0, max_loss: 0}, expect: {that: 'sent == 3 && rtt_max_ms >= rtt_min_ms'}"),
];

#[test]
fn replies_are_counted_and_timed_by_either_kind_of_socket() {
    for (setup, how, socket) in [(PRIVILEGED, "", "raw"), (EVERYBODY, WITHOUT, "datagram")] {
        let results = results(setup, how, &HERE);
        for (id, sent) in [("v4", 5.0), ("v6", 3.0)] {
            let result = &results[id];
            assert_eq!(result["outcome"], "pass", "{result:#}");
            let evidence = &result["evidence"]["icmp"];
            assert_eq!(evidence["socket"], socket);
            assert_eq!((&evidence["duplicates"], &evidence["errors"]), (&0.into(), &Value::Null));
            assert_eq!(
                (&result["metrics"]["icmp_sent"], &result["metrics"]["icmp_received"]),
                (&sent.into(), &sent.into())
            );
            assert_eq!(result["metrics"]["icmp_loss_percent"], 0.0);
            let ms = |name: &str| result["metrics"][format!("icmp_rtt_{name}_ms")].as_f64().unwrap();
            assert!(0.0 < ms("min") && ms("min") <= ms("avg") && ms("avg") <= ms("max") && ms("stddev") >= 0.0);
        }
        assert_eq!(results["v4"]["target"]["endpoint"], "127.0.0.1");
    }
}

#[test]
fn who_may_not_send_is_told_what_it_takes() {
    for (_, result) in results(PRIVILEGED, WITHOUT, &HERE) {
        assert_ended(
            &result,
            "cancelled",
            "not_permitted",
            "net.ipv4.ping_group_range, or it needs the capability CAP_NET_RAW",
        );
    }
}

#[test]
fn what_routers_say_is_told_and_silence_is_no_reply() {
    let checks = [
        ("router", "icmp: {host: 10.9.0.2, size: 3000}"),
        ("no-route", "icmp: {host: 10.5.0.1}"),
        ("too-far", "icmp: {host: 10.8.0.7, ttl: 1}"),
        ("silence", "icmp: {host: 10.6.0.1, count: 2, interval: 10ms, wait: 300ms}"),
        ("nobody", "icmp: {host: 10.9.0.77, count: 1, wait: 20s}"),
        ("out-of-time", "timeout: 300ms, icmp: {host: 10.6.0.2, wait: 20s}"),
        ("udp-no-route", "udp: {address: '10.5.0.2:9', expect: x}"),
    ];
    for (setup, how) in [(PRIVILEGED, ""), (EVERYBODY, WITHOUT)] {
        let results = results(&format!("{setup}\n{ROUTER}"), how, &checks);
        assert_eq!(results["router"]["outcome"], "pass", "{:#}", results["router"]);
        let unreachable = |id: &str, sentence: &str| {
            assert_ended(&results[id], "error", "connect_unreachable", sentence);
        };
        unreachable("no-route", "10.5.0.1 cannot be reached: 10.9.0.2 says that there is no route to the network");
        unreachable("too-far", "10.9.0.2 says that the packet has passed as many routers as it may");
        unreachable("nobody", "10.9.0.1 says that the host cannot be reached");
        unreachable("udp-no-route", "no route to 10.5.0.2:9");
        let sentence = "10.6.0.1 did not answer any of 2 echo requests within 300 ms";
        assert_ended(&results["silence"], "error", "no_reply", sentence);
        assert_eq!(results["silence"]["evidence"]["icmp"]["loss_percent"], 100.0);
        assert_ended(&results["out-of-time"], "timeout", "no_reply", "no reply from 10.6.0.2 to ");
    }
}

#[test]
fn what_is_lost_is_counted_and_held_against_what_may_be() {
    let lossy = "host: 10.9.0.2, count: 4, interval: 10ms, wait: 3s";
    let allowed = |max_loss: &str| format!("icmp: {{{lossy}{max_loss}}}");
    let (too_much, enough, any) = (allowed(", max_loss: 49"), allowed(", max_loss: 50"), allowed(""));
    let checks = [("too-much", too_much.as_str()), ("enough", &enough), ("any", &any)];
    for (setup, how) in [(PRIVILEGED, ""), (EVERYBODY, WITHOUT)] {
        let results = results(&format!("{setup}\n{ROUTER}\n{LOSSY}"), how, &checks);
        let sentence = "10.9.0.2 answered 2 of 4 echo requests: 50.0% are lost, expected at most 49%";
        assert_ended(&results["too-much"], "fail", "packet_loss", sentence);
        for id in ["enough", "any"] {
            assert_eq!(results[id]["outcome"], "pass", "{:#}", results[id]);
        }
        for result in results.values() {
            let evidence = &result["evidence"]["icmp"];
            let counted = ["sent", "received", "duplicates"].map(|name| evidence[name].as_u64());
            assert_eq!(counted, [Some(4), Some(2), Some(1)], "{evidence}");
            assert_eq!(
                (&evidence["loss_percent"], &result["metrics"]["icmp_loss_percent"]),
                (&50.0.into(), &50.0.into())
            );
        }
    }
}
