//! Targets from a Kubernetes cluster, whose API server is told what to do.

use std::path::PathBuf;

use serde_json::json;
use watchpost_probe::{Lookout, Resolver};
use watchpost_tests::kubernetes_api::{KubernetesApi, slice};
use watchpost_tests::process::{SOON, until as until_seen};
use watchpost_tests::tls_fixture::{Authority, Certificate};

use crate::source::{is_silent, look_out, next, owned, until};

async fn cluster() -> KubernetesApi {
    let api = KubernetesApi::start().await.unwrap();
    api.set(slice("web-1", "web", 80, &["10.0.0.1", "10.0.0.2"]));
    api.set(slice("db-1", "db", 5432, &["10.0.9.1"]));
    api
}

fn look_out_for(api: &KubernetesApi, more: &str) -> Lookout {
    let json = format!(
        r#"{{"kubernetes": {{"api": "http://{}", "namespace": "shop", "service": "web"{more}}}, "refresh": "10m"}}"#,
        api.address()
    );
    look_out(&json, &Resolver::with_nameservers(Vec::new()))
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let api = cluster().await;
    let mut lookout = look_out_for(&api, "");
    assert_eq!(next(&mut lookout).await, Ok(owned(&["10.0.0.1:80", "10.0.0.2:80"])));
    api.set(slice("web-2", "web", 81, &["10.0.0.3"]));
    until(&mut lookout, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:81"]).await;
    api.remove("web-1");
    until(&mut lookout, &["10.0.0.3:81"]).await;
    // What is said of others, and of nobody, is no news.
    api.remove("db-1");
    api.bookmark();
    assert!(is_silent(&mut lookout).await);
    api.set(slice("web-2", "web", 81, &[]));
    until(&mut lookout, &[]).await;
    assert_eq!(api.lists(), 1, "{:#?}", api.requests());
}

#[tokio::test]
async fn a_watch_that_ends_is_taken_up_where_it_was() {
    let api = cluster().await;
    let mut lookout = look_out_for(&api, "");
    assert_eq!(next(&mut lookout).await.unwrap().len(), 2);
    for i in 3..6 {
        // A change that comes while nobody watches is not lost.
        api.end_watches();
        api.set(slice("web-2", "web", 80, &[&format!("10.0.0.{i}")]));
        until(&mut lookout, &["10.0.0.1:80", "10.0.0.2:80", &format!("10.0.0.{i}:80")]).await;
    }
    assert_eq!(api.lists(), 1, "{:#?}", api.requests());
}

#[tokio::test]
async fn a_bookmark_keeps_a_watch_from_getting_too_old() {
    let api = cluster().await;
    let mut lookout = look_out_for(&api, "");
    assert_eq!(next(&mut lookout).await.unwrap().len(), 2);
    let waiting = tokio::spawn(async move {
        let said = next(&mut lookout).await;
        (lookout, said)
    });
    until_seen("a watch", SOON, || (api.watches() > 0).then_some(())).await;
    api.bookmark();
    api.set(slice("web-2", "web", 80, &["10.0.0.3"]));
    assert_eq!(waiting.await.unwrap().1.unwrap().len(), 3);
    assert_eq!(api.lists(), 1);
}

#[tokio::test]
async fn what_is_too_old_is_listed_anew() {
    let api = cluster().await;
    let mut lookout = look_out_for(&api, "");
    assert_eq!(next(&mut lookout).await.unwrap().len(), 2);
    api.set(slice("web-2", "web", 80, &["10.0.0.3"]));
    // The watch begins at a version that is forgotten: it is told so in its stream.
    api.forget();
    until(&mut lookout, &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).await;
    assert_eq!(api.lists(), 2, "{:#?}", api.requests());
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let api = KubernetesApi::start().await.unwrap();
    for i in 0..1203 {
        api.set(slice(&format!("web-{i:04}"), "web", 80, &[&format!("10.0.{}.{}", i / 250, i % 250)]));
    }
    let mut lookout = look_out_for(&api, "");
    assert_eq!(next(&mut lookout).await.unwrap().len(), 1203);
    let pages = api.requests().iter().filter(|request| request.contains("continue=")).count();
    assert_eq!((api.lists(), pages), (1, 2));
}

#[tokio::test]
async fn selectors_and_ports_choose() {
    let api = cluster().await;
    let mut two = slice("web-2", "web", 80, &["10.0.0.3"]);
    two["metadata"]["labels"]["tier"] = json!("canary");
    two["ports"] = json!([{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}]);
    two["endpoints"][0]["conditions"]["ready"] = json!(false);
    api.set(two);
    for (more, expected) in [
        (r#", "selector": "tier!=canary""#, &["10.0.0.1:80", "10.0.0.2:80"][..]),
        (r#", "selector": "tier=canary""#, &[]),
        (r#", "selector": "tier=canary", "not_ready": true"#, &["10.0.0.3:8080", "10.0.0.3:9090"]),
        (r#", "port": "admin", "not_ready": true"#, &["10.0.0.3:9090"]),
        (r#", "port": 80"#, &["10.0.0.1:80", "10.0.0.2:80"]),
    ] {
        assert_eq!(next(&mut look_out_for(&api, more)).await, Ok(owned(expected)), "{more}");
    }
}

#[tokio::test]
async fn a_token_is_read_again_when_it_is_renewed() {
    let authority = Authority::new().unwrap();
    let config = authority.server_config(Certificate::Valid, "127.0.0.1").unwrap();
    let api = KubernetesApi::start_with(config).await.unwrap();
    api.set(slice("web-1", "web", 80, &["10.0.0.1"]));
    api.set_token(Some("first"));
    let file = |name: &str| -> PathBuf {
        std::env::temp_dir().join(format!("watchpost-kubernetes-{}-{name}", std::process::id()))
    };
    let (token, ca) = (file("token"), file("ca"));
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&token, "first\n").unwrap();
    let json = json!({
        "kubernetes": {
            "api": format!("https://{}", api.address()), "namespace": "shop", "service": "web",
            "token_file": token, "ca_file": ca,
        },
        "refresh": "1s",
    });
    let mut lookout = look_out(&json.to_string(), &Resolver::with_nameservers(Vec::new()));
    assert_eq!(next(&mut lookout).await, Ok(owned(&["10.0.0.1:80"])));
    api.set_token(Some("second"));
    let refused = loop {
        if let Err(refused) = next(&mut lookout).await {
            break refused;
        }
    };
    assert_eq!(refused, "http_status: the API server answered with the status 401: Unauthorized");
    std::fs::write(&token, "second\n").unwrap();
    until(&mut lookout, &["10.0.0.1:80"]).await;
    std::fs::remove_file(&token).unwrap();
    let refused = loop {
        if let Err(refused) = next(&mut lookout).await {
            break refused;
        }
    };
    assert!(refused.starts_with("file_unusable: the token file "), "{refused}");
    std::fs::remove_file(&ca).unwrap();
}

#[tokio::test]
async fn a_server_that_fails_is_told_and_listed_again_when_it_is_back() {
    let api = cluster().await;
    let mut lookout = look_out_for(&api, r#", "port": "http""#);
    assert_eq!(next(&mut lookout).await.unwrap().len(), 2);
    api.set_down(true);
    api.end_watches();
    let refused = next(&mut lookout).await.unwrap_err();
    assert!(refused.contains("status 503: the server is currently unable"), "{refused}");
    api.set_down(false);
    until(&mut lookout, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    // Nonsense in the stream is a failure of the server too.
    api.say(&json!({"type": "NEW", "object": {}}));
    let refused = next(&mut lookout).await.unwrap_err();
    assert!(refused.starts_with("protocol_error: ") && refused.contains("there is no type `NEW`"), "{refused}");
    api.forget();
    until(&mut lookout, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    let wrong =
        format!(r#"{{"kubernetes": {{"api": "http://{}", "namespace": "other", "service": "web"}}}}"#, api.address());
    let refused = next(&mut look_out(&wrong, &Resolver::with_nameservers(Vec::new()))).await.unwrap_err();
    assert!(refused.contains("status 404: the server could not find"), "{refused}");
}
