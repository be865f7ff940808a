//! Distinct secrets through every check type that sends any, to servers that say them back in every form, do not go on,
//! or do not speak the protocol at all. Whatever the processes wrote anywhere is searched.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use tokio_rustls::TlsAcceptor;
use watchpost_model::{Outcome, TaskResult};
use watchpost_tests::nats_server::NatsServer;
use watchpost_tests::observer::Observer;
use watchpost_tests::process::{Launch, PERMISSIVE, until};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::echo::Servers;
use crate::planted::{Directory, Planted, core};
use crate::search::{Written, files, finds};

/// How long all checks may take on a machine that is busy.
const ALL: Duration = Duration::from_secs(120);
/// What the HTTP server makes of a request.
const PATHS: [&str; 11] =
    ["plain", "base64", "hex", "percent", "every-byte", "json", "html", "cut", "garbage", "redirect", "stall"];

fn planted(client: (String, String)) -> Vec<Planted> {
    let (certificate, key) = client;
    let mut planted: Vec<_> = ["basic-user", "bearer", "cookie", "mail-user", "postgres-user", "websocket-bearer"]
        .map(Planted::plain)
        .into_iter()
        .collect();
    planted.extend(
        [
            "header",
            "basic-password",
            "json-body",
            "form-body",
            "text-body",
            "step-body",
            "step-header",
            "proxy-password",
            "websocket-header",
            "websocket-password",
            "metadata",
            "dialogue",
            "tcp-send",
            "udp-send",
            "unix-send",
            "redis-password",
            "redis-word",
            "smtp-password",
            "imap-password",
            "pop3-password",
        ]
        .map(Planted::odd),
    );
    planted.push(Planted { is_sent: false, ..Planted::odd("plugin") });
    planted.push(Planted { is_sent: false, ..Planted::odd("postgres-password") });
    planted.push(Planted { is_sent: false, ..Planted::odd("mysql-password") });
    planted.push(Planted::pem("client-key", key));
    // A certificate is nothing to hide, but this one is a secret.
    planted.push(Planted::pem("client-certificate", certificate));
    planted
}

/// The checks, each a YAML mapping without its times.
struct Checks(Vec<(String, String)>);

impl Checks {
    fn add(&mut self, id: &str, settings: String) {
        self.0.push((id.to_owned(), settings));
    }

    fn yaml(&self) -> String {
        let one =
            |(id, settings): &(String, String)| format!("- {{id: {id}, interval: 2s, timeout: 2s, {settings}}}\n");
        self.0.iter().map(one).collect()
    }
}

async fn checks(servers: &mut Servers, tls: &TlsAcceptor, folder: &std::path::Path) -> Checks {
    let mut checks = Checks(Vec::new());
    let http = servers.http().await;
    let raw = servers.raw().await;
    for path in PATHS {
        let url = format!("url: 'http://{http}/{path}', method: POST, max_redirects: 2");
        // A marker that is no secret: it must be found, or else the search finds nothing.
        let marker = format!("x-marker: '{}'", core("marker"));
        let header = "x-key: '${secret:header}', x-escaped: '$${secret:header}'";
        checks.add(
            &format!("http-{path}"),
            format!(
                "http: {{{url}, headers: {{{header}, {marker}, cookie: 'a=${{secret:cookie}}', content-type: application/json}}, \
                 body: '{{\"m\": \"{}\", \"p\": \"${{secret:json-body}}\"}}', auth: {{bearer: '${{secret:bearer}}'}}}}, \
                 expect: {{that: [\"status == 200 && body.text == 'x'\", \"headers['x-said'] == 'x'\"], body_contains: nothing, \
                 header: {{x-said: {{equals: x}}}}, json_path: {{$.said: x}}}}",
                core("marker"),
            ),
        );
        checks.add(
            &format!("form-{path}"),
            format!(
                "http: {{{url}, headers: {{x-key: '${{secret:header}}', content-type: application/x-www-form-urlencoded}}, \
                 body: 'p=${{secret:form-body}}&q=1', auth: {{basic: {{username: '${{secret:basic-user}}', password: '${{secret:basic-password}}'}}}}}}"
            ),
        );
        checks.add(
            &format!("steps-{path}"),
            format!(
                "steps: [{{name: in, http: {{url: 'http://{http}/json', method: POST, body: 'p=${{secret:step-body}}'}}, \
                 expect: {{status: 500}}, capture: {{said: {{json_path: $.said, show: true}}}}}}, \
                 {{http: {{url: 'http://{http}/{path}', method: POST, headers: {{x-key: '${{secret:step-header}}'}}, \
                 body: 'again ${{said}} $${{secret:step-body}}'}}}}]"
            ),
        );
    }
    checks.add("text-body", format!("http: {{url: 'http://{http}/', method: PUT, body: 'a ${{secret:text-body}} b'}}"));
    checks.add(
        "proxy",
        format!("http: {{url: 'http://proxied.example/', proxy: 'http://u:${{secret:proxy-password}}@{http}'}}"),
    );
    checks.add("http-raw", format!("http: {{url: 'http://{raw}/', headers: {{x-key: '${{secret:header}}'}}}}"));
    for (id, address) in [("websocket", http), ("websocket-raw", raw)] {
        checks.add(
            id,
            format!(
                "websocket: {{url: 'ws://{address}/', headers: {{x-key: '${{secret:websocket-header}}'}}, \
                 auth: {{bearer: '${{secret:websocket-bearer}}'}}}}"
            ),
        );
    }
    checks.add(
        "websocket-basic",
        format!(
            "websocket: {{url: 'ws://{http}/base64', auth: {{basic: {{username: u, password: '${{secret:websocket-password}}'}}}}}}"
        ),
    );
    let grpc = servers.grpc().await;
    for (id, address) in [("grpc", grpc), ("grpc-raw", raw), ("grpc-http", http)] {
        checks.add(id, format!("grpc: {{address: '{address}', metadata: {{x-key: '${{secret:metadata}}'}}}}"));
    }
    checks.add("tcp", format!("tcp: {{address: '{raw}', send: \"${{secret:tcp-send}}\\r\\n\", expect: 'never'}}"));
    checks.add(
        "dialogue",
        format!(
            "tcp: {{address: '{raw}', steps: [{{send: \"PASS ${{secret:dialogue}} $${{secret:dialogue}}\\r\\n\", \
             expect: '^PASS (?P<said>.*)$'}}, {{send: \"and ${{said}}\\r\\n\", expect: '^never$'}}]}}"
        ),
    );
    let udp = servers.udp().await;
    checks.add("udp", format!("udp: {{address: '{udp}', send: '${{secret:udp-send}}', expect: never, wait: 300ms}}"));
    let socket = folder.join("socket");
    servers.unix(&socket);
    checks.add("unix", format!("unix: {{path: '{}', send: '${{secret:unix-send}}', expect: never}}", socket.display()));
    let redis = servers.redis().await;
    for (id, address) in [("redis", redis), ("redis-raw", raw)] {
        checks.add(
            id,
            format!("redis: {{address: '{address}', password: '${{secret:redis-password}}', command: [PING]}}"),
        );
        checks.add(
            &format!("{id}-word"),
            format!(
                "redis: {{address: '{address}', command: [AUTH, '${{secret:redis-word}}'], expect: {{equals: x}}}}"
            ),
        );
    }
    for (id, kind, greeting, error) in [
        ("smtp", "smtp", "220 mirror\r\n", "535 you said"),
        ("imap", "imap", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] mirror\r\n", "TAG NO you said"),
        ("imap-login", "imap", "* OK mirror\r\n", "TAG NO you said"),
        ("pop3", "pop3", "+OK mirror\r\n", "-ERR you said"),
    ] {
        let address = servers.tls_lines(tls.clone(), greeting, error).await;
        checks.add(
            id,
            format!(
                "{kind}: {{address: '{address}', starttls: implicit, tls: {{insecure: true}}, \
                 auth: {{username: '${{secret:mail-user}}', password: '${{secret:{kind}-password}}'}}}}"
            ),
        );
    }
    for (kind, more) in [("postgres", "'${secret:postgres-user}'"), ("mysql", "u")] {
        checks.add(
            kind,
            format!(
                "{kind}: {{address: '{raw}', tls_mode: disable, user: {more}, password: '${{secret:{kind}-password}}'}}"
            ),
        );
    }
    let closed = servers.tls_lines(tls.clone(), "", "?").await;
    checks.add(
        "tls",
        format!(
            "tls: {{address: '{closed}', tls: {{insecure: true, client: {{certificate_file: '${{secret:client-certificate}}', \
             key_file: '${{secret:client-key}}'}}}}}}"
        ),
    );
    checks.add(
        "tls-mixed-up",
        format!(
            "tls: {{address: '{closed}', tls: {{insecure: true, client: {{certificate_file: '${{secret:client-key}}', \
             key_file: '${{secret:client-certificate}}'}}}}}}"
        ),
    );
    let plugin = folder.join("plugin");
    std::fs::write(&plugin, "#!/bin/sh\necho \"CRITICAL - $P | $P=1 x=1\"\necho \"and $P\"\necho \"$P\" >&2\nexit 2\n")
        .unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    checks
        .add("plugin", format!("exec: {{command: '{}', environment: {{P: '${{secret:plugin}}'}}}}", plugin.display()));
    // What does not fit where it is to stand, and what is not there.
    checks.add("unfit", format!("http: {{url: 'http://{http}/', headers: {{x-key: '${{secret:client-key}}'}}}}"));
    checks.add(
        "missing",
        format!("http: {{url: 'http://{http}/', headers: {{x-key: '${{secret:header}} ${{secret:nowhere}}'}}}}"),
    );
    checks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_no_secret_is_found_anywhere_whatever_servers_do_with_it() {
    let authority = Authority::new().unwrap();
    let planted = planted(authority.client_pem("mirror").unwrap());
    let directory = Directory::of(&planted, "mirror");
    let tls = TlsAcceptor::from(Arc::new(authority.server_config(Certificate::Valid, "mirror.example").unwrap()));
    let mut servers = Servers::new();
    let nats = NatsServer::start_with(&["-js", "-sd", "store"]);
    let observer = Observer::start(&nats.url()).await;
    let bus = Arc::<Mutex<Vec<u8>>>::default();
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut messages = listener.subscribe(">").await.unwrap();
    listener.flush().await.unwrap();
    let noted = Arc::clone(&bus);
    let listening = tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let headers = format!("{:?}", message.headers);
            let mut all = noted.lock().unwrap();
            all.extend_from_slice(&[message.subject.as_bytes(), headers.as_bytes(), &message.payload].concat());
        }
    });

    let args = |role: &str| Launch::new(role).args(&["--bus", &nats.url(), "--console", "127.0.0.1:0"]).log("trace");
    let runner = args("runner");
    let checks = checks(&mut servers, &tls, runner.folder()).await;
    let settings = format!(
        "bastion: b1\nsecrets: {{directory: '{}'}}\nevidence: {{excerpt_bytes: 16384}}\nstate_dir: state\ngrace: 60s\n",
        directory.path().display(),
    );
    let policy = format!("{PERMISSIVE}exec: {{directories: ['{}']}}\n", runner.folder().display());
    let mut runner = runner.config(&settings).policy(&policy).start_ready().await;
    let yaml = format!("bastion: b1\nstate_dir: state\ngrace: 60s\nchecks:\n{}", checks.yaml());
    let mut checker = args("checker").config(&yaml).start_ready().await;
    let all = checks.0.len();
    let ended = || {
        let results = observer.results();
        let seen: std::collections::BTreeSet<_> = results.iter().map(|result| result.check.to_string()).collect();
        (seen.len() == all && results.len() >= 2 * all).then_some(())
    };
    until("two results of each check", ALL, ended).await;
    let health = [checker.health().await, runner.health().await].map(|health| health.to_string());
    for role in [&mut runner, &mut checker] {
        role.signal("TERM");
        let code = role.ended(ALL).await;
        let log = role.stderr();
        let warned: Vec<_> =
            log.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect();
        // On a machine that is busy a result may come too late. It must say so then.
        let is_late = code == 3 && log.contains("a result was not sent in time");
        assert!(code == 0 || is_late, "ended with {code}: {warned:#?}");
    }
    observer.catch_up().await;

    // The same once more without a bus, as people see it.
    let whole = format!("{settings}checks:\n{}", checks.yaml());
    let mut written = vec![Written::new("the bus", bus.lock().unwrap().clone())];
    for output in ["table", "json"] {
        let check =
            Launch::new("check").config(&whole).policy(&policy).args(&["-o", output, "--timeout", "20s"]).log("trace");
        let plugin = runner.folder().join("plugin");
        assert!(plugin.exists());
        let mut check = check.start();
        assert_eq!(check.ended(ALL).await, 1, "{}", check.stderr());
        files(check.folder(), &mut written);
    }
    listening.abort();

    written.extend(health.map(|health| Written::new("/healthz", health)));
    files(nats.folder(), &mut written);
    files(runner.folder(), &mut written);
    files(checker.folder(), &mut written);

    let sent = [Written::new("what servers were sent", servers.received.all())];
    let leaks: Vec<_> = planted
        .iter()
        .map(|secret| (secret.name, finds(&secret.core, &written)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    assert!(leaks.is_empty(), "{} secrets are found: {leaks:#?}", leaks.len());
    let is_unsent = |secret: &&Planted| secret.is_sent && finds(&secret.core, &sent).is_empty();
    let unsent: Vec<_> = planted.iter().filter(is_unsent).map(|secret| secret.name).collect();
    assert!(unsent.is_empty(), "these secrets were sent to nobody: {unsent:?}");
    let marker = finds(&core("marker"), &written);
    let forms: Vec<_> = marker.keys().copied().collect();
    assert_eq!(forms, ["base64 at 0", "base64 at 1", "base64 at 2", "hex", "plain"]);
    told(&observer.results());
    let tasks = observer.tasks();
    assert!(tasks.iter().all(|task| !task.probe.secrets().unwrap().is_empty()), "tasks carry references");
}

/// What results say in place of the secrets.
fn told(results: &[Arc<TaskResult>]) {
    let of = |check: &str| results.iter().find(|result| result.check.as_str() == check).unwrap();
    let text = |check: &str| serde_json::to_string(of(check)).unwrap();
    for check in [
        "http-plain",
        "http-json",
        "form-percent",
        "grpc",
        "dialogue",
        "redis",
        "redis-word",
        "smtp",
        "imap",
        "imap-login",
        "pop3",
        "plugin",
        "udp",
    ] {
        assert!(text(check).contains("[redacted]"), "{check}: {}", text(check));
    }
    for (check, code, message) in [
        ("missing", "secret_missing", "`nowhere`"),
        ("unfit", "secret_missing", "`client-key` in `http.headers.x-key`"),
        ("tls-mixed-up", "file_unusable", "holds no certificate"),
    ] {
        let reason = of(check).reason.as_ref().unwrap();
        assert_eq!(reason.code.as_str(), code, "{check}: {}", reason.message);
        assert!(reason.message.contains(message), "{}", reason.message);
    }
    assert_eq!(of("tls").outcome, Outcome::Pass, "{}", text("tls"));
    assert_eq!(of("plugin").outcome, Outcome::Fail, "{}", text("plugin"));
    assert_eq!(of("http-stall").outcome, Outcome::Timeout, "{}", text("http-stall"));
}
