//! What slices come to, without a server.

use watchpost_model::{FoundTarget, KubernetesTargets};

use super::slices::{Change, Line, Page, Slices};

const PAGE: &str = r#"{
  "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
  "metadata": {"resourceVersion": "100"},
  "items": [
    {"metadata": {"name": "web-a", "resourceVersion": "7", "labels": {"kubernetes.io/service-name": "web"}},
     "addressType": "IPv4",
     "endpoints": [
       {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "nodeName": "n1", "zone": "z1",
        "targetRef": {"kind": "Pod", "name": "web-1"}},
       {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
       {"addresses": ["10.0.0.3"], "conditions": {}}],
     "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "admin", "port": 9090}, {"name": "all"}]},
    {"metadata": {"name": "web-b"}, "addressType": "IPv6",
     "endpoints": [{"addresses": ["fd00::1"]}, {"addresses": ["10.0.0.1"]}],
     "ports": [{"name": "http", "port": 8080}]},
    {"metadata": {"name": "web-c"}, "endpoints": null, "ports": null}
  ]}"#;

fn settings(rest: &str) -> KubernetesTargets {
    serde_json::from_str(&format!(r#"{{"namespace": "shop", "service": "web"{rest}}}"#)).unwrap()
}

fn slices() -> Slices {
    let mut slices = Slices::default();
    slices.add(serde_json::from_str::<Page>(PAGE).unwrap()).unwrap();
    slices
}

fn addresses(slices: &Slices, rest: &str) -> Vec<String> {
    let targets = slices.targets(&settings(rest)).unwrap();
    targets.iter().filter_map(FoundTarget::address).map(ToString::to_string).collect()
}

#[test]
fn ready_endpoints_count_once_for_each_port_that_is_asked_for() {
    let slices = slices();
    assert_eq!(addresses(&slices, r#", "port": "http""#), ["10.0.0.1:8080", "10.0.0.3:8080", "[fd00::1]:8080"]);
    assert_eq!(addresses(&slices, r#", "port": 9090"#), ["10.0.0.1:9090", "10.0.0.3:9090"]);
    assert_eq!(addresses(&slices, r#", "port": 9090, "not_ready": true"#).len(), 3);
    assert_eq!(addresses(&slices, r#", "port": "none""#), Vec::<String>::new());
    assert_eq!(addresses(&slices, "").len(), 5);
}

#[test]
fn labels_are_those_of_prometheus() {
    let found = slices().targets(&settings(r#", "port": "http""#)).unwrap();
    let label = |name: &str| found[0].labels().get(&format!("__meta_kubernetes_{name}"));
    for (name, value) in [
        ("namespace", "shop"),
        ("service_name", "web"),
        ("endpointslice_name", "web-a"),
        ("endpointslice_port", "8080"),
        ("endpointslice_port_name", "http"),
        ("endpointslice_endpoint_conditions_ready", "true"),
        ("endpointslice_endpoint_node_name", "n1"),
        ("endpointslice_endpoint_zone", "z1"),
        ("endpointslice_address_target_kind", "Pod"),
        ("endpointslice_address_target_name", "web-1"),
    ] {
        assert_eq!(label(name), Some(value), "{name}");
    }
}

#[test]
fn changes_are_applied_and_bookmarks_move_the_version_only() {
    let mut slices = slices();
    let mut tell = |line: &str| {
        let change: Change = Line::read(line.as_bytes()).unwrap().unwrap();
        (slices.apply(change), slices.version().to_owned(), addresses(&slices, r#", "port": "http""#).len())
    };
    let line = |kind: &str, version: u32, rest: &str| {
        format!(
            r#"{{"type": "{kind}", "object": {{"metadata": {{"name": "web-b", "resourceVersion": "{version}"}}{rest}}}}}"#
        )
    };
    assert_eq!(tell(&line("BOOKMARK", 101, "")), (false, "101".into(), 3));
    assert_eq!(tell(&line("DELETED", 102, "")), (true, "102".into(), 2));
    assert_eq!(tell(&line("DELETED", 103, "")), (false, "103".into(), 2));
    let one = r#", "endpoints": [{"addresses": ["10.0.0.9"]}], "ports": [{"name": "http", "port": 1}]"#;
    assert_eq!(tell(&line("ADDED", 104, one)), (true, "104".into(), 3));
    assert_eq!(tell(&line("MODIFIED", 105, "")), (true, "105".into(), 2));

    let gone =
        r#"{"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}"#;
    assert_eq!(Line::read(gone.as_bytes()).unwrap().unwrap_err().code, 410);
    for bad in ["", "{}", "[]", r#"{"type": "ADDED", "object": 1}"#, r#"{"type": "NEW", "object": {}}"#] {
        assert!(Line::read(bad.as_bytes()).is_err(), "{bad}");
    }
}
