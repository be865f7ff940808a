//! Every key of the formats, as their documentation has it: each changes what comes out, or is told of.

use watchpost_import::{Format, Imported, Source, import};

use crate::support;

/// `with` must not come out as `without` does, unless a note names one of the keys in `given`, which is what it has besides.
fn differs(without: &Imported, with: &Imported, given: &str) {
    support::checks(with);
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c))).map(str::to_owned).collect()
    };
    let given_words = words(given);
    let names_it = |path: &str| words(path).iter().any(|word| !word.is_empty() && given_words.contains(word));
    let told = with.notes().iter().any(|note| !without.notes().contains(note) && names_it(&note.path));
    let (yaml, notes) = (with.to_yaml(false), with.list());
    assert!(told || with.to_json() != without.to_json(), "`{given}` is passed over:\n{yaml}\n{notes}");
}

const JOB: &str = "scrape_configs: [{job_name: j, metrics_path: /probe, params: {module: [m]}, static_configs: [{targets: \
                   ['https://a.example/']}], relabel_configs: [{source_labels: [__address__], target_label: __param_target}]}]";

fn module(prober: &str, probe: &str, more: &str) -> Imported {
    let target = match prober {
        "http" => "https://a.example/",
        "icmp" => "a.example",
        _ => "a.example:1",
    };
    let job = JOB.replace("https://a.example/", target);
    let base = if prober == "dns" { "query_name: a.example" } else { "preferred_ip_protocol: ip6" };
    let base = if prober == "unix" { "" } else { base };
    let comma = if base.is_empty() || probe.is_empty() { "" } else { ", " };
    let text = format!("modules: {{m: {{prober: {prober}, {prober}: {{{base}{comma}{probe}}}{more}}}}}");
    let sources = [Source { name: "b", text: &text }, Source { name: "p", text: &job }];
    import(&sources, None).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn of_modules() {
    let tls = [
        "tls_config: {insecure_skip_verify: true}",
        "tls_config: {ca_file: /ca}",
        "tls_config: {ca: x}",
        "tls_config: {ca_ref: x}",
        "tls_config: {cert_file: /c, key_file: /k}",
        "tls_config: {cert: x}",
        "tls_config: {cert_ref: x}",
        "tls_config: {key: x}",
        "tls_config: {key_ref: x}",
        "tls_config: {server_name: x}",
        "tls_config: {min_version: TLS13}",
        "tls_config: {min_version: TLS10}",
        "tls_config: {max_version: TLS12}",
        "tls_config: {new_key: 1}",
    ];
    let http = [
        "valid_status_codes: [418]",
        "valid_http_versions: [HTTP/1.1]",
        "method: POST",
        "headers: {X-A: b}",
        "http_headers: {X-A: {values: [b], secrets: [c]}}",
        "http_headers: {X-A: {files: [/c]}}",
        "body_size_limit: 1KB",
        "body_size_limit: 10MB",
        "compression: gzip",
        "compression: identity",
        "follow_redirects: false",
        "no_follow_redirects: true",
        "fail_if_ssl: true",
        "fail_if_not_ssl: true",
        "fail_if_body_json_matches_cel: body.a == 1",
        "fail_if_body_json_not_matches_cel: body.a == 1",
        "fail_if_body_matches_regexp: [a]",
        "fail_if_body_not_matches_regexp: [a]",
        "fail_if_body_not_matches_regexp: ['(']",
        "fail_if_header_matches: [{header: a, regexp: b}]",
        "fail_if_header_not_matches: [{header: a, regexp: b}]",
        "fail_if_header_not_matches: [{header: a, regexp: b, allow_missing: true}]",
        "basic_auth: {username: a, password: b}",
        "basic_auth: {username_file: a}",
        "basic_auth: {password_file: a}",
        "basic_auth: {username_ref: a}",
        "basic_auth: {password_ref: a}",
        "authorization: {credentials: a}",
        "authorization: {type: Token, credentials: a}",
        "authorization: {credentials_file: a}",
        "authorization: {credentials_ref: a}",
        "bearer_token: a",
        "bearer_token_file: a",
        "oauth2: {client_id: a}",
        "enable_http2: false",
        "enable_http3: true",
        "proxy_url: 'http://a:1'",
        "no_proxy: a",
        "proxy_from_environment: true",
        "proxy_connect_header: {a: [b]}",
        "ip_protocol_fallback: false",
        "body: a",
        "body_file: /a",
        "new_key: 1",
    ];
    let http = http.map(str::to_owned);
    let tcp = [
        "ip_protocol_fallback: false",
        "source_ip_address: 10.0.0.1",
        "query_response: [{expect: a}]",
        "query_response: [{send: a}]",
        "query_response: [{starttls: true}]",
        "query_response: [{expect: a, labels: [{name: b, value: c}]}]",
        "query_response: [{new_key: 1}]",
        "tls: true",
        "new_key: 1",
    ];
    let dns = [
        "preferred_ip_protocol: ip4",
        "ip_protocol_fallback: false",
        "source_ip_address: 10.0.0.1",
        "transport_protocol: tcp",
        "dns_over_tls: true",
        "query_type: MX",
        "query_class: CH",
        "recursion_desired: false",
        "valid_rcodes: [NXDOMAIN]",
        "validate_answer_rrs: {fail_if_matches_regexp: [a]}",
        "validate_answer_rrs: {fail_if_all_match_regexp: [a, b]}",
        "validate_answer_rrs: {fail_if_not_matches_regexp: [a]}",
        "validate_answer_rrs: {fail_if_none_matches_regexp: [a, b]}",
        "validate_answer_rrs: {new_key: [a]}",
        "validate_authority_rrs: {fail_if_matches_regexp: [a]}",
        "validate_additional_rrs: {fail_if_matches_regexp: [a]}",
        "new_key: 1",
    ];
    let icmp = [
        "ip_protocol_fallback: false",
        "source_ip_address: 10.0.0.1",
        "dont_fragment: true",
        "payload_size: 9",
        "ttl: 9",
        "new_key: 1",
    ];
    let grpc = ["service: a", "tls: true", "metadata: {a: b}", "ip_protocol_fallback: false", "new_key: 1"];
    let check = |prober: &str, probes: Vec<String>, also: &str| {
        let without = module(prober, also, "");
        support::checks(&without);
        for probe in probes {
            let comma = if also.is_empty() { "" } else { ", " };
            differs(&without, &module(prober, &format!("{also}{comma}{probe}"), ""), &probe);
        }
    };
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    check("http", http.to_vec(), "");
    check("http", owned(&tls), "");
    check("tcp", owned(&tcp), "");
    check("tcp", owned(&tls), "tls: true");
    check("dns", owned(&dns), "");
    check("dns", owned(&tls), "dns_over_tls: true");
    check("icmp", owned(&icmp), "");
    check("grpc", owned(&grpc), "");
    check("grpc", owned(&tls), "tls: true");
    let without = module("http", "", "");
    for (key, more) in
        [("timeout", ", timeout: 3s"), ("timeout", ", timeout: x"), ("tcp", ", tcp: {tls: true}"), ("k", ", k: 1")]
    {
        differs(&without, &module("http", "", more), key);
    }
    differs(&without, &module("ftp", "", ""), "prober");
    let unix = |probe: &str| {
        let job = JOB.replace("https://a.example/", "/run/a.sock");
        let text = format!("modules: {{m: {{prober: unix, unix: {{{probe}}}}}}}");
        import(&[Source { name: "b", text: &text }, Source { name: "p", text: &job }], None).unwrap()
    };
    differs(&unix(""), &unix("query_response: [{send: a}]"), "query_response");
    differs(&unix(""), &unix("tls: true, tls_config: {server_name: a}"), "tls");
    differs(&unix(""), &unix("new_key: 1"), "new_key");
}

#[test]
fn of_prometheus() {
    let modules = Source { name: "b", text: "modules: {m: {prober: http}, other: {prober: tcp}}" };
    let of =
        |text: &str| import(&[modules, Source { name: "p", text }], None).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let without = of(JOB);
    for key in [
        "rule_files",
        "alerting",
        "remote_write",
        "remote_read",
        "storage",
        "tracing",
        "otlp",
        "runtime",
        "scrape_config_files",
        "new_key",
    ] {
        differs(&without, &of(&format!("{key}: [x]\n{JOB}")), key);
    }
    for global in [
        "scrape_interval: 7s",
        "scrape_timeout: 7s",
        "evaluation_interval: 7s",
        "external_labels: {a: b}",
        "query_log_file: a",
        "new_key: 1",
    ] {
        let key = global.split(':').next().unwrap();
        differs(&without, &of(&format!("global: {{{global}}}\n{JOB}")), key);
    }
    for job in [
        "scrape_interval: 7s",
        "scrape_timeout: 7s",
        "honor_labels: true",
        "honor_timestamps: true",
        "track_timestamps_staleness: true",
        "scrape_protocols: [a]",
        "fallback_scrape_protocol: a",
        "always_scrape_classic_histograms: true",
        "convert_classic_histograms_to_nhcb: true",
        "native_histogram_bucket_limit: 1",
        "native_histogram_min_bucket_factor: 1",
        "enable_compression: true",
        "body_size_limit: 1",
        "sample_limit: 1",
        "label_limit: 1",
        "label_name_length_limit: 1",
        "label_value_length_limit: 1",
        "target_limit: 1",
        "keep_dropped_targets: 1",
        "metric_name_validation_scheme: a",
        "metric_name_escaping_scheme: a",
        "scrape_failure_log_file: a",
        "scheme: https",
        "basic_auth: {username: a}",
        "authorization: {credentials: a}",
        "oauth2: {client_id: a}",
        "tls_config: {ca_file: a}",
        "bearer_token: a",
        "bearer_token_file: a",
        "proxy_url: a",
        "no_proxy: a",
        "proxy_from_environment: true",
        "proxy_connect_header: {a: [b]}",
        "follow_redirects: true",
        "enable_http2: true",
        "http_headers: {a: {}}",
        "metric_relabel_configs: [{action: drop}]",
        "consul_sd_configs: [{server: a}]",
        "kubernetes_sd_configs: [{role: ingress}]",
        "file_sd_configs: [{files: [/a.yaml]}]",
        "file_sd_configs: [{files: [/a.yaml], refresh_interval: 2m}]",
        "file_sd_configs: [{files: [/a.yaml], new_key: 1}]",
        "http_sd_configs: [{url: 'http://a/'}]",
        "dns_sd_configs: [{names: [a]}]",
        "new_key: 1",
    ] {
        let key = job.split(':').next().unwrap();
        differs(&without, &of(&JOB.replace("job_name: j,", &format!("job_name: j, {job},"))), key);
    }
    let with_source = |source: &str| {
        of(&JOB.replace("job_name: j,", &format!("job_name: j, http_sd_configs: [{{url: 'https://a/'{source}}}],")))
    };
    let source = with_source("");
    for more in [
        "refresh_interval: 2m",
        "basic_auth: {username: a, password: b}",
        "authorization: {credentials: a}",
        "bearer_token: a",
        "oauth2: {client_id: a}",
        "tls_config: {ca_file: /a}",
        "proxy_url: a",
        "no_proxy: a",
        "proxy_from_environment: true",
        "http_headers: {a: {}}",
        "follow_redirects: false",
        "new_key: 1",
    ] {
        differs(&source, &with_source(&format!(", {more}")), more.split(':').next().unwrap());
    }
    for params in ["hostname: [a]", "target: [b]", "x: [y]"] {
        let text = JOB.replace("module: [m]", &format!("module: [m], {params}")).replace(
            "relabel_configs: [{source_labels: [__address__], target_label: __param_target}]",
            "relabel_configs: []",
        );
        let without = of(&JOB.replace(
            "relabel_configs: [{source_labels: [__address__], target_label: __param_target}]",
            "relabel_configs: []",
        ));
        differs(&without, &of(&text), params.split(':').next().unwrap());
    }
    differs(&without, &of(&JOB.replace("module: [m]", "module: [nix]")), "j");
    differs(&without, &of(&JOB.replace("/probe", "/metrics")), "j");
    for rule in [
        "action: hashmod, modulus: 2",
        "regex: '('",
        "action: drop, regex: '.*'",
        "action: replace, new_key: 1, target_label: a",
    ] {
        let text = JOB.replace(
            "target_label: __param_target}",
            &format!("target_label: __param_target}}, {{source_labels: [job], {rule}}}"),
        );
        differs(&without, &of(&text), "relabel_configs");
    }
}

#[test]
fn of_gatus() {
    let of = |endpoint: &str, more: &str| {
        let text = format!("endpoints: [{{name: x, conditions: ['[STATUS] == 200']{endpoint}}}]\n{more}");
        let text =
            if endpoint.contains("url:") { text } else { text.replace("name: x,", "name: x, url: 'https://a/',") };
        support::one(&text, Format::Gatus)
    };
    let without = of("", "");
    for key in [
        "alerting",
        "announcements",
        "storage",
        "security",
        "ui",
        "web",
        "maintenance",
        "metrics",
        "debug",
        "concurrency",
        "disable-monitoring-lock",
        "skip-invalid-config-update",
        "connectivity",
        "remote",
        "tunneling",
        "new-key",
    ] {
        differs(&without, &of("", &format!("{key}: {{a: b}}\n")), key);
    }
    for endpoint in [
        "enabled: false",
        "group: g",
        "method: POST",
        "interval: 7s",
        "interval: x",
        "graphql: true",
        "body: a",
        "body: '[RANDOM_STRING_9]'",
        "headers: {A: b}",
        "dns: {query-name: a, query-type: A}",
        "ssh: {username: a}",
        "alerts: [{type: slack}]",
        "maintenance-windows: [{start: '1:00'}]",
        "ui: {hide-url: true}",
        "extra-labels: {a: b}",
        "new-key: 1",
        "client: {insecure: true}",
        "client: {ignore-redirect: true}",
        "client: {timeout: 7s}",
        "client: {dns-resolver: 'tcp://a:53'}",
        "client: {oauth2: {client-id: a}}",
        "client: {proxy-url: 'http://a:1'}",
        "client: {identity-aware-proxy: {audience: a}}",
        "client: {tls: {certificate-file: /a, private-key-file: /b}}",
        "client: {tls: {renegotiation: never}}",
        "client: {network: ip4}",
        "client: {tunnel: a}",
        "client: {new-key: 1}",
        "always-run: true",
        "store: {a: '[BODY]'}",
    ] {
        differs(&without, &of(&format!(", {endpoint}"), ""), endpoint);
    }
    let ssh = of(", url: 'ssh://a:22'", "");
    for key in ["username: a", "password: a", "private-key: a", "new-key: a"] {
        differs(&ssh, &of(&format!(", url: 'ssh://a:22', ssh: {{{key}}}"), ""), "ssh");
    }
    let with = |list: &str, entry: &str| support::one(&format!("{list}: [{{name: x, {entry}}}]"), Format::Gatus);
    let external = with("external-endpoints", "token: a");
    for (key, entry) in [
        ("enabled", "enabled: false"),
        ("group", "group: g"),
        ("alerts", "alerts: [a]"),
        ("interval", "heartbeat: {interval: 1h}"),
        ("new-key", "heartbeat: {new-key: 1}"),
        ("new-key", "new-key: 1"),
    ] {
        differs(&external, &with("external-endpoints", &format!("token: a, {entry}")), key);
    }
    differs(&external, &with("external-endpoints", "token: b"), "token");
    let suite = |suite: &str, endpoint: &str| {
        with(
            "suites",
            &format!("{suite} endpoints: [{{name: a, url: 'http://a/', conditions: ['[STATUS] == 200']{endpoint}}}]"),
        )
    };
    let without = suite("", "");
    for entry in [
        "enabled: false,",
        "group: g,",
        "interval: 7s,",
        "timeout: 7s,",
        "alerts: [a],",
        "maintenance-windows: [a],",
        "new-key: 1,",
    ] {
        differs(&without, &suite(entry, ""), entry.split(':').next().unwrap());
    }
    differs(&suite("", ", body: '[CONTEXT].a'"), &suite("context: {a: b},", ", body: '[CONTEXT].a'"), "context");
    for entry in [
        "store: {a: '[BODY].a'}",
        "store: {a: '[STATUS]'}",
        "always-run: true",
        "alerts: [a]",
        "client: {timeout: 7s}",
        "group: g",
        "interval: 1s",
        "new-key: 1",
        "method: POST",
        "headers: {a: b}",
        "body: a",
        "ui: {hide-url: true}",
    ] {
        differs(&without, &suite("", &format!(", {entry}")), entry.split(':').next().unwrap());
    }
}

#[test]
fn of_uptime_kuma() {
    let of = |kind: &str, more: &str| {
        let text = format!(r#"{{"monitorList": [{{"id": 1, "name": "x", "type": "{kind}"{more}}}]}}"#);
        support::one(&text, Format::UptimeKuma)
    };
    let check = |kind: &str, base: &str, keys: &[&str]| {
        let without = of(kind, base);
        support::checks(&without);
        for key in keys {
            differs(&without, &of(kind, &format!("{base}, {key}")), key);
        }
    };
    let url = r#", "url": "https://a.example/""#;
    check(
        "http",
        url,
        &[
            r#""method": "POST""#,
            r#""headers": "{\"A\": \"b\"}""#,
            r#""headers": "x""#,
            r#""body": "{}""#,
            r#""interval": 7"#,
            r#""timeout": 7"#,
            r#""maxretries": 1"#,
            r#""resendInterval": 1"#,
            r#""active": false"#,
            r#""upsideDown": true"#,
            r#""expiryNotification": true"#,
            r#""domainExpiryNotification": true"#,
            r#""ignoreTls": true"#,
            r#""maxredirects": 3"#,
            r#""maxredirects": 99"#,
            r#""accepted_statuscodes": ["204"]"#,
            r#""proxyId": 1"#,
            r#""notificationIDList": {"1": true}"#,
            r#""tags": [{"name": "a"}]"#,
            r#""description": "a""#,
            r#""basic_auth_user": "a", "basic_auth_pass": "b""#,
            r#""authMethod": "bearer", "bearer_token": "a""#,
            r#""authMethod": "mtls""#,
            r#""authMethod": "ntlm""#,
            r#""authMethod": "oauth2-cc""#,
            r#""cacheBust": true"#,
            r#""retryOnlyOnStatusCodeFailure": true"#,
            r#""conditions": [{"a": 1}]"#,
            r#""new_key": 1"#,
        ],
    );
    check("http", &format!(r#"{url}, "body": "a""#), &[r#""httpBodyEncoding": "xml""#]);
    check("keyword", url, &[r#""keyword": "a""#, r#""keyword": "a", "invertKeyword": true"#]);
    let query = format!(r#"{url}, "jsonPath": "$.a", "expectedValue": "1""#);
    check(
        "json-query",
        &query,
        &[r#""jsonPath": "$.b""#, r#""jsonPath": "$sum(a)""#, r#""expectedValue": "2""#, r#""jsonPathOperator": "!=""#],
    );
    check("port", r#", "hostname": "a""#, &[r#""port": 7"#]);
    check("port", r#", "hostname": "a", "port": 1"#, &[r#""hostname": "b""#, r#""ipFamily": "ipv6""#]);
    check(
        "ping",
        r#", "hostname": "a""#,
        &[r#""hostname": "b""#, r#""packetSize": 9"#, r#""ping_count": 2"#, r#""ping_per_request_timeout": 2"#],
    );
    check(
        "dns",
        r#", "hostname": "a""#,
        &[
            r#""dns_resolve_type": "MX""#,
            r#""dns_resolve_server": "10.0.0.1""#,
            r#""dns_resolve_server": "10.0.0.1,10.0.0.2""#,
            r#""port": 54, "dns_resolve_server": "10.0.0.1""#,
            r#""conditions": [{"a": 1}]"#,
        ],
    );
    check("push", "", &[r#""pushToken": "a""#, r#""interval": 7"#]);
    check("smtp", r#", "hostname": "a""#, &[r#""port": 7"#, r#""smtpSecurity": "secure""#]);
    check(
        "websocket-upgrade",
        r#", "url": "ws://a/""#,
        &[r#""wsSubprotocol": "a""#, r#""wsIgnoreSecWebsocketAcceptHeader": true"#],
    );
    check(
        "postgres",
        r#", "databaseConnectionString": "postgres://u@a/d""#,
        &[
            r#""databaseQuery": "SELECT 1""#,
            r#""databaseConnectionString": "postgres://u@a/d?x=1""#,
            r#""conditions": [{"a": 1}]"#,
        ],
    );
    check(
        "mysql",
        r#", "databaseConnectionString": "mysql://u@a/d""#,
        &[r#""databaseQuery": "SELECT 1""#, r#""radiusPassword": "a""#],
    );
    check("redis", r#", "databaseConnectionString": "rediss://a""#, &[r#""ignoreTls": true"#]);
    let health = r#", "grpcUrl": "a:1", "grpcServiceName": "grpc.health.v1.Health", "grpcMethod": "Check", "keyword": "SERVING""#;
    check(
        "grpc-keyword",
        health,
        &[
            r#""grpcEnableTls": true"#,
            r#""grpcBody": "{\"service\": \"a\"}""#,
            r#""grpcMetadata": "a""#,
            r#""invertKeyword": true"#,
        ],
    );
    check("group", "", &[r#""description": "a""#]);
    for kind in [
        "docker",
        "steam",
        "gamedig",
        "mqtt",
        "kafka-producer",
        "sqlserver",
        "mongodb",
        "oracledb",
        "radius",
        "real-browser",
        "tailscale-ping",
        "snmp",
        "rabbitmq",
        "manual",
        "system-service",
        "globalping",
        "",
    ] {
        let imported = of(kind, "");
        assert!(imported.is_empty() && imported.notes().len() == 1, "{kind}: {}", imported.list());
    }
    let with = |more: &str| support::one(&format!(r#"{{"monitorList": []{more}}}"#), Format::UptimeKuma);
    for key in ["notificationList", "statusPageList", "maintenanceList", "tagList", "newKey"] {
        differs(&with(""), &with(&format!(r#", "{key}": [1]"#)), key);
    }
    let proxy = |more: &str| {
        support::one(
            &format!(
                r#"{{"proxyList": [{{"id": 1, "protocol": "http", "host": "p", "port": 1{more}}}],
                "monitorList": [{{"name": "x", "type": "http", "url": "http://a/", "proxyId": 1}}]}}"#
            ),
            Format::UptimeKuma,
        )
    };
    for key in [
        r#""auth": true, "username": "a", "password": "b""#,
        r#""active": false"#,
        r#""protocol": "socks5""#,
        r#""newKey": 1"#,
    ] {
        differs(&proxy(""), &proxy(&format!(", {key}")), key.split('"').nth(1).unwrap());
    }
}
