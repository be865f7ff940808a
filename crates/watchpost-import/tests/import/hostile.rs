//! Whatever a file holds, nothing panics, and what comes out is valid.

use proptest::prelude::*;
use watchpost_import::{FILE_BYTES_MAX, Format, ImportError, Source, import};

use crate::support;

/// Translates whatever it is, by each format; what comes out must be valid.
fn survives(text: &str) {
    for format in [None].into_iter().chain(Format::ALL.map(Some)) {
        if let Ok(imported) = import(&[Source { name: "x", text }], format) {
            support::checks(&imported);
            imported.list();
        }
    }
}

/// Keys that mean something somewhere, and texts that are read in one way or another.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(
        "modules prober http tcp dns icmp grpc unix timeout query_response expect send starttls tls tls_config query_name \
         valid_status_codes headers fail_if_header_matches header regexp body basic_auth username password proxy_url \
         validate_answer_rrs fail_if_all_match_regexp min_version TLS13 global scrape_configs job_name metrics_path /probe \
         params module static_configs targets labels relabel_configs source_labels target_label __address__ __param_target \
         __param_module regex (.*) replacement $1 ${1}x action drop labelmap file_sd_configs files http_sd_configs url \
         dns_sd_configs names type endpoints name group interval conditions [STATUS]==200 client insecure suites store \
         external-endpoints heartbeat token context [CONTEXT].a [BODY].a ssh monitorList id parent keyword port ping push \
         hostname json-query jsonPath $.a expectedValue databaseConnectionString postgres://u:p@h/d mysql redis \
         accepted_statuscodes 200-299 proxyList proxyId 1 60 -1 1e400 true null https://a.example/ tcp://a:1 icmp://a \
         wss://a/ a.example:1 10.0.0.1 [::1]:1 (?P<a>b) ( * ** {{target.host}} ${A} $A 😀 30s 1h 99999999999y x"
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>(),
    )
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        word().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        "\\[(STATUS|BODY|IP|BODY\\]\\.[a-c.\\[0-9\\]]{0,6}|RESPONSE_TIME)\\] (==|!=|<|>=) [a-z0-9.()*?,$]{0,8}"
            .prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::vec((word(), inner), 0..8)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A tree below the keys of one of the formats, so that it gets somewhere.
fn configuration() -> impl Strategy<Value = serde_json::Value> {
    let kind = prop::sample::select(vec![
        "http",
        "keyword",
        "json-query",
        "port",
        "ping",
        "dns",
        "push",
        "group",
        "postgres",
        "mysql",
        "redis",
        "smtp",
        "grpc-keyword",
        "websocket-upgrade",
    ]);
    let prober = prop::sample::select(vec!["http", "tcp", "dns", "icmp", "grpc", "unix"]);
    let of_tree = |key: &'static str| tree().prop_map(move |tree| serde_json::json!({ key: [tree] }));
    prop_oneof![
        (prober, tree(), tree()).prop_map(|(prober, probe, more)| {
            serde_json::json!({"modules": {"m": {"prober": prober, prober: probe, "timeout": more}}})
        }),
        tree().prop_map(|tree| serde_json::json!({"scrape_configs": [{"job_name": "j", "metrics_path": "/probe", "relabel_configs": tree}]})),
        of_tree("scrape_configs"),
        of_tree("endpoints"),
        of_tree("suites"),
        of_tree("external-endpoints"),
        (word(), tree(), tree()).prop_map(|(url, conditions, client)| {
            serde_json::json!({"endpoints": [{"name": "n", "url": url, "conditions": conditions, "client": client}]})
        }),
        (kind, word(), tree(), tree()).prop_map(|(kind, word, value, more)| {
            serde_json::json!({"monitorList": [{"type": kind, "name": "n", "hostname": "h", "url": "http://a/", word: value, "headers": more}]})
        }),
        tree(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_texts(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_configurations(tree in configuration()) {
        survives(&tree.to_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn samples_with_a_part_cut_out(from in 0_usize..4000, length in 0_usize..60, with in word()) {
        for sample in [
            include_str!("samples/blackbox.yml"),
            include_str!("samples/prometheus.yml"),
            include_str!("samples/gatus.yaml"),
            include_str!("samples/uptime-kuma.json"),
        ] {
            let from = from % sample.len();
            let to = (from + length).min(sample.len());
            // The samples are ASCII.
            let text = format!("{}{with}{}", &sample[..from], &sample[to..]);
            if let Ok(imported) = import(&[Source { name: "x", text: &text }], None) {
                support::checks(&imported);
            }
        }
    }
}

#[test]
fn what_is_made_to_be_dear_is_refused_or_done() {
    let deep = format!("modules: {}", "{a: ".repeat(50_000));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        bomb += &format!("a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10));
    }
    for text in [&deep, &"[".repeat(100_000), &"{\"a\":".repeat(100_000), &bomb] {
        assert!(import(&[Source { name: "x", text }], None).is_err());
    }
    let large = "x".repeat(FILE_BYTES_MAX + 1);
    let error = import(&[Source { name: "x", text: &large }], None).unwrap_err();
    assert!(matches!(error, ImportError::TooLarge { bytes, .. } if bytes == FILE_BYTES_MAX + 1));
    // A label that doubles with each rule.
    let rule = "{source_labels: [a, a], separator: '', target_label: a}, ".repeat(100);
    let text = format!(
        "scrape_configs: [{{job_name: j, metrics_path: /probe, static_configs: [{{targets: [b], labels: {{a: x}}}}], \
         relabel_configs: [{rule}]}}]"
    );
    survives(&text);
    // A thousand groups within each other, and three thousand monitors of one name.
    let groups: Vec<String> = (0..1000)
        .map(|i| format!(r#"{{"id": {i}, "name": "g", "type": "group", "parent": {}}}"#, i + 1))
        .chain((0..3000).map(|i| {
            format!(
                r#"{{"id": "m{i}", "name": "g", "type": "port", "hostname": "h", "port": 1, "parent": {}}}"#,
                i % 1000
            )
        }))
        .collect();
    let imported = support::one(&format!(r#"{{"monitorList": [{}]}}"#, groups.join(",")), Format::UptimeKuma);
    assert!(support::checks(&imported).len() >= 3000);
}

#[test]
fn more_targets_than_a_check_may_have_are_told() {
    let targets: Vec<String> = (0..10_005).map(|i| format!("'10.0.{}.{}:1'", i / 250, i % 250)).collect();
    let jobs = format!(
        "scrape_configs: [{{job_name: j, metrics_path: /probe, params: {{module: [t]}}, static_configs: [{{targets: [{}]}}], \
         relabel_configs: [{{source_labels: [__address__], target_label: __param_target}}]}}]",
        targets.join(", ")
    );
    let modules = Source { name: "b", text: "modules: {t: {prober: tcp}}" };
    let imported = import(&[modules, Source { name: "p", text: &jobs }], None).unwrap();
    assert_eq!(support::checks(&imported).len(), 1);
    assert!(
        imported.list().contains("there are 10005 targets, of which the first 10000 are checked"),
        "{}",
        imported.list()
    );
}
