//! Secrets that may be sent to some hosts only, tried through the binary: the servers say what they were sent.

use std::time::Duration;

use watchpost_tests::process::Launch;

use crate::echo::Servers;
use crate::planted::{Directory, Planted};
use crate::search::{Written, finds};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_secret_is_sent_to_its_hosts_and_to_nobody_else() {
    let planted = [Planted::odd("bound"), Planted::odd("free")];
    let directory = Directory::of(&planted, "bound");
    let (mut theirs, mut others) = (Servers::new(), Servers::new());
    let (own, other) = (theirs.http().await, others.http().await);
    let away = theirs
        .tcp(move |mut stream, _| async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let _read = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 307 Away\r\nlocation: http://{other}/\r\ncontent-length: 0\r\n\r\n");
            let _sent = stream.write_all(head.as_bytes()).await;
        })
        .await;
    let names = format!(
        "names: {{bound: {{allow_hosts: ['127.0.0.1:{}', '127.0.0.1:{}', vault.example], allow: [plain]}}}}",
        own.port(),
        away.port()
    );
    let get = |url: String, more: &str| {
        format!(
            "http: {{url: '{url}', method: POST, headers: {{x-key: '${{secret:bound}}'}}, body: '${{secret:bound}}', max_redirects: 3{more}}}"
        )
    };
    let refused = [
        ("elsewhere", get(format!("http://{other}/"), "")),
        ("decimal", get(format!("http://2130706433:{}/", other.port()), "")),
        ("mapped", get(format!("http://[::ffff:127.0.0.1]:{}/", other.port()), "")),
        ("by-name", get(format!("http://localhost:{}/", other.port()), "")),
        ("redirected", get(format!("http://{away}/"), "")),
        ("unverified", get("https://vault.example/".into(), ", tls: {insecure: true}")),
        ("other-name", get("https://vault.example/".into(), ", tls: {server_name: localhost}")),
        ("own-authority", get("https://vault.example/".into(), ", tls: {ca_file: /dev/null}")),
        ("to-the-proxy", format!("http: {{url: 'http://{own}/', proxy: 'http://u:${{secret:bound}}@{other}'}}")),
        ("pretended", format!("{}, addresses: ['{other}']", get("http://vault.example/".into(), ""))),
        ("tcp", format!("tcp: {{address: '{other}', send: '${{secret:bound}}'}}")),
        (
            "steps",
            format!(
                "steps: [{{http: {{url: 'http://{own}/'}}, expect: {{status: 500}}}}, {{http: {{url: 'http://{other}/', body: '${{secret:bound}}', method: POST}}}}]"
            ),
        ),
    ];
    let sent = [
        ("own", get(format!("http://{own}/"), "")),
        ("free", format!("http: {{url: 'http://{other}/', headers: {{x-key: '${{secret:free}}'}}}}")),
    ];
    let one = |(id, settings): &(&str, String)| format!("- {{id: {id}, {settings}}}\n");
    let checks: String = refused.iter().chain(&sent).map(one).collect();
    let yaml = format!("secrets: {{directory: '{}', {names}}}\nchecks:\n{checks}", directory.path().display());
    let mut check = Launch::new("check").config(&yaml).args(&["-o", "ndjson"]).start();
    assert_eq!(check.ended(Duration::from_secs(60)).await, 1, "{}", check.stderr());

    let results = check.results();
    let told = |id: &str| {
        let result = results.iter().find(|result| result.check.as_str() == id).unwrap_or_else(|| panic!("{id}"));
        let reason = result.reason.as_ref().map(|reason| (reason.code.as_str(), reason.message.clone()));
        (result.outcome.to_string(), reason)
    };
    for (id, _) in &refused {
        let (outcome, reason) = told(id);
        let (code, message) = reason.unwrap();
        assert_eq!((outcome.as_str(), code), ("cancelled", "secret_not_allowed"), "{id}: {message}");
        assert!(message.contains("`bound`"), "{id}: {message}");
    }
    assert!(told("own").1.is_some_and(|(code, _)| code != "secret_not_allowed"));
    let received = |servers: &Servers| [Written::new("received", servers.received.all())];
    assert!(!finds(&planted[0].core, &received(&theirs)).is_empty(), "the bound secret is sent to its host");
    assert!(finds(&planted[0].core, &received(&others)).is_empty(), "the bound secret is sent elsewhere");
    assert!(!finds(&planted[1].core, &received(&others)).is_empty(), "the free secret is sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_come_from_the_environment_too_and_files_that_name_them_wrongly_are_refused() {
    let mut servers = Servers::new();
    let http = servers.http().await;
    let yaml = format!(
        "secrets:\n  environment: SITE_\nchecks:\n- id: a\n  http:\n    url: http://{http}/\n    headers:\n      \
         x-key: Key ${{secret:api-key}}\n      x-plain: $${{secret:api-key}}\n"
    );
    let launch = Launch::new("check").config(&yaml).env("SITE_API_KEY", "from-the-environment");
    let mut check = launch.args(&["-o", "ndjson"]).start();
    assert_eq!(check.ended(Duration::from_secs(60)).await, 1, "{}", check.stderr());
    let sent = String::from_utf8(servers.received.all()).unwrap();
    assert!(sent.contains("x-key: Key from-the-environment\r\n"), "{sent}");
    assert!(sent.contains("x-plain: ${secret:api-key}\r\n"), "{sent}");
    for (settings, told) in [
        ("http: {url: 'http://a/${secret:x}'}", "results and logs show URLs"),
        ("exec: {command: /x, arguments: ['${secret:x}']}", "expected it in `environment`"),
        ("http: {url: 'http://a/', headers: {a: '${secret:../x}'}}", "cannot be the name of a secret"),
        ("heartbeat: {token: '${secret:x}'}", "the Checker takes the beats"),
    ] {
        let yaml = format!("checks:\n- {{id: a, {settings}}}\n");
        let mut check = Launch::new("check").config(&yaml).start();
        assert_eq!(check.ended(Duration::from_secs(60)).await, 2, "{}", check.stdout());
        assert!(check.stderr().contains(told) && check.stderr().contains("watchpost.yaml:2:"), "{}", check.stderr());
    }
}
