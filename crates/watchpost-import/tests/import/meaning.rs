//! What single things mean, seen in the checks that they become.

use watchpost_import::{Format, NoteKind, Source, import};

use crate::support::{checks, one, paths};

/// The YAML of the only check of a Gatus endpoint with these lines.
fn endpoint(lines: &str) -> String {
    let text = format!("endpoints:\n  - name: x\n{lines}");
    let imported = one(&text, Format::Gatus);
    checks(&imported);
    imported.to_yaml(false)
}

#[test]
fn conditions_of_gatus_become_what_they_mean() {
    for (condition, ours) in [
        ("[STATUS] == 200", "status: 200\n"),
        ("[STATUS] == any(200, 429)", "status: [200, 429]\n"),
        ("[STATUS] < 300", "status: '100-299'\n"),
        ("[STATUS] >= 500", "status: '500-999'\n"),
        ("[STATUS] != 500", "that: 'status != 500'\n"),
        ("200 == [STATUS]", "status: 200\n"),
        ("[RESPONSE_TIME] < 1500", "max_latency: 1s 500ms\n"),
        ("[RESPONSE_TIME] > 10", "that: phases.total_ms > 10\n"),
        ("[CERTIFICATE_EXPIRATION] > 720h", "cert_days: 30\n"),
        ("[CERTIFICATE_EXPIRATION] > 12h", "that: tls.days_left > 0.5\n"),
        ("[BODY] == ok", "body_matches: '^\\s*ok\\s*$'\n"),
        ("[BODY] == pat(*a.b*)", "body_contains: a.b\n"),
        ("[BODY] != pat(*down*)", r#"that: '!body.text.matches(r"(?s)^.*down.*$")'"#),
        ("[BODY] > 5", "that: double(body.text) > 5\n"),
        ("[BODY].a == 1", r#"that: 'string(body.json.a) == "1"'"#),
        ("[BODY].a != x", r#"that: '!has(body.json.a) || body.json.a != "x"'"#),
        ("[BODY].a-b.in[2] == true", r#"that: 'string(body.json["a-b"]["in"][2]) == "true"'"#),
        ("[BODY][0].id < 2.5", "that: 'body.json[0].id < 2.5'\n"),
        ("len([BODY]) == 3", "that: 'has(body.json) ? body.json.size() == 3 : body.text.size() == 3'\n"),
        ("has([BODY].a) == true", "that: has(body.json.a)\n"),
        ("has([BODY].a) != true", ""),
        ("[IP] == 10.0.0.1", r#"that: 'address.startsWith("10.0.0.1:")'"#),
    ] {
        let yaml = endpoint(&format!("    url: https://a.example/\n    conditions: ['{condition}']\n"));
        assert!(yaml.contains(ours), "{condition}: {yaml}");
        // Where nothing is said of the status, any is good there.
        assert!(yaml.contains("status:"), "{condition}: {yaml}");
    }
}

#[test]
fn what_would_mean_the_opposite_becomes_no_check() {
    let gatus =
        one("endpoints:\n  - {name: x, url: 'tcp://a:1', conditions: ['[CONNECTED] == false']}\n", Format::Gatus);
    let kuma = r#"{"monitorList": [{"name": "x", "type": "port", "hostname": "a", "port": 1, "upsideDown": true}]}"#;
    for imported in [gatus, one(kuma, Format::UptimeKuma)] {
        assert!(imported.is_empty());
        assert_eq!(imported.notes().len(), 1, "{}", imported.list());
        assert_eq!(imported.notes()[0].kind, NoteKind::NotTranslated);
    }
}

#[test]
fn variables_of_the_environment_stay_what_they_are_where_they_can() {
    let yaml = "endpoints:\n  - name: x\n    url: https://$HOST/$$x/${PATH_}?q=$$1\n    headers: {A: 'b: ${C}'}\n    \
                conditions: ['[STATUS] == 200', '[BODY].v == ${VERSION}']\n";
    let imported = one(yaml, Format::Gatus);
    let out = imported.to_yaml(false);
    for line in ["url: https://${HOST}/$x/${PATH_}?q=$1\n", "A: 'b: ${C}'\n", "that: body.json.v == \"${VERSION}\"\n"] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(imported.reads_environment());
    let left: Vec<&str> = imported
        .notes()
        .iter()
        .filter(|note| note.kind == NoteKind::NotTranslated)
        .map(|note| note.text.as_str())
        .collect();
    assert!(left.len() == 1 && left[0].starts_with("`${C}` stands in a text that needs quotes"), "{left:?}");
}

#[test]
fn a_group_of_uptime_kuma_runs_its_members() {
    let monitor = |id: u64, parent: &str, interval: u64, more: &str| {
        format!(
            r#"{{"id": {id}, "name": "m{id}", "type": "port", "hostname": "a", "port": 1, "parent": {parent}, "interval": {interval}{more}}}"#
        )
    };
    let group = |id: u64, parent: &str, more: &str| {
        format!(r#"{{"id": {id}, "name": "g{id}", "type": "group", "parent": {parent}, "interval": 60{more}}}"#)
    };
    let text = format!(
        r#"{{"monitorList": [{}]}}"#,
        [
            group(1, "null", ""),
            group(2, "1", ""),
            group(3, "null", r#", "active": false"#),
            monitor(4, "2", 60, ""),
            monitor(5, "2", 20, ""),
            monitor(6, "1", 60, r#", "active": false"#),
            monitor(7, "3", 60, ""),
            monitor(8, "77", 60, ""),
        ]
        .join(",")
    );
    let imported = one(&text, Format::UptimeKuma);
    let checks = checks(&imported);
    let by_id = |id: &str| checks.iter().find(|check| check.id().as_str() == id).unwrap_or_else(|| panic!("{id}"));
    let members = |id: &str| by_id(id).group().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(members("g2"), ["m4", "m5"]);
    assert_eq!(members("g1"), ["g2"]);
    let scheduled: Vec<&str> =
        checks.iter().filter(|check| check.is_scheduled()).map(|check| check.id().as_str()).collect();
    // m4 runs with its group, g2 with its own; m6 is not active.
    assert_eq!(scheduled, ["m5", "m7", "m8", "g1"]);
    assert_eq!(paths(&imported, NoteKind::Changed), ["monitorList[4] (m5)"]);
    assert_eq!(paths(&imported, NoteKind::NotTranslated), ["monitorList[2] (g3)"]);
}

#[test]
fn members_of_a_group_that_is_refused_run_by_themselves() {
    // One run of the outermost would lead to more runs than one may.
    let mut monitors = vec![r#"{"id": "top", "name": "top", "type": "group", "interval": 60}"#.to_owned()];
    for g in 0..11 {
        monitors.push(format!(r#"{{"id": "g{g}", "name": "g{g}", "type": "group", "interval": 60, "parent": "top"}}"#));
        for m in 0..950 {
            monitors.push(format!(
                r#"{{"id": "{g}-{m}", "name": "m{g}-{m}", "type": "port", "hostname": "a", "port": 1, "interval": 60, "parent": "g{g}"}}"#
            ));
        }
    }
    let imported = one(&format!(r#"{{"monitorList": [{}]}}"#, monitors.join(",")), Format::UptimeKuma);
    let checks = checks(&imported);
    assert_eq!(paths(&imported, NoteKind::NotTranslated), ["monitorList[0] (top)"]);
    let groups: Vec<_> = checks.iter().filter(|check| check.group().is_some()).collect();
    assert!(groups.len() == 11 && groups.iter().all(|group| group.is_scheduled()));
}

#[test]
fn targets_of_prometheus_keep_their_labels() {
    let modules = Source { name: "b", text: "modules: {tcp: {prober: tcp}, web: {prober: http}}" };
    let jobs = "scrape_configs:\n- job_name: j\n  metrics_path: /probe\n  params: {module: [tcp]}\n  static_configs:\n  \
                - {targets: ['a:1', 'b:1', 'a:1'], labels: {env: prod}}\n  - {targets: ['c:1']}\n  relabel_configs:\n  \
                - {source_labels: [__address__], target_label: __param_target}\n  \
                - {source_labels: [env], regex: '(.).*', target_label: e}\n  \
                - {source_labels: [__address__], regex: 'b.*', action: drop}\n";
    let imported = import(&[modules, Source { name: "p", text: jobs }], None).unwrap();
    let checks = checks(&imported);
    let targets = checks[0].probe().unwrap().targets().unwrap().known().unwrap();
    let shown: Vec<String> = targets
        .iter()
        .map(|target| {
            let labels: Vec<String> = target.labels().iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", target.address().unwrap(), labels.join(","))
        })
        .collect();
    assert_eq!(shown, ["a:1 e=p,env=prod", "c:1 "]);
    assert_eq!(paths(&imported, NoteKind::NotTranslated), ["modules.web"]);
}

#[test]
fn what_is_given_twice_is_told() {
    let text =
        "endpoints:\n- {name: a, url: 'tcp://a:1', conditions: []}\n- {name: A, url: 'tcp://a:1', conditions: []}\n";
    let imported = one(text, Format::Gatus);
    let ids: Vec<String> = checks(&imported).iter().map(|check| check.id().to_string()).collect();
    assert_eq!(ids, ["a", "a-2"]);
    assert!(imported.is_complete(), "{}", imported.list());
    assert!(imported.list().contains("its id is `a-2`, since `a` is taken"));
}

#[test]
fn what_our_own_rules_refuse_is_told_and_not_printed() {
    let text = "endpoints:\n- {name: a, url: 'tcp://nowhere', conditions: []}\n- {name: b, url: 'tcp://b:1', conditions: []}\n";
    let imported = one(text, Format::Gatus);
    assert_eq!(checks(&imported).len(), 1);
    let told = imported.list();
    assert!(
        told.contains(
            "given:2: endpoints[0] (a): it would be no valid check: `tcp.address`: `nowhere` is not host:port"
        ),
        "{told}"
    );
}
