//! O4: a check on every address of a name has one outcome for each, and an outcome too where there is none.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use watchpost_model::TaskResult;
use watchpost_tests::dns_server::DnsServer;
use watchpost_tests::http_fixture::HttpFixture;
use watchpost_tests::process::{Launch, SOON};

use crate::agent::told;

async fn check(config: &str) -> Vec<TaskResult> {
    let args = ["-o", "ndjson", "--timeout", "3s"];
    let mut check = Launch::new("check").config(config).args(&args).start();
    assert_eq!(check.ended(SOON).await, 1, "{}", check.stderr());
    check.results()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_each_address_of_a_name_has_its_own_outcome() {
    let server = HttpFixture::start("one").await.unwrap();
    let port = server.address().port();
    let ips: Vec<IpAddr> = vec![
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::new(127, 0, 0, 2).into(),
        Ipv4Addr::new(127, 0, 0, 3).into(),
        Ipv6Addr::LOCALHOST.into(),
    ];
    let dns = DnsServer::start(&[("many.example", ips.as_slice()), ("empty.example", &[])]).await.unwrap();
    let mut config = format!("dns: {{nameservers: ['{}']}}\nchecks:\n", dns.address());
    for name in ["many", "empty", "gone"] {
        let url = format!("http://{name}.example:{port}/name");
        config += &format!("- {{id: {name}, http: {{url: '{url}'}}, addresses: all}}\n");
    }
    let results = check(&config).await;
    let of = |id: &str| results.iter().filter(|result| result.check.as_str() == id).collect::<Vec<_>>();

    let by_address: BTreeMap<IpAddr, String> =
        of("many").into_iter().map(|result| (result.target.address.unwrap().ip(), told(result))).collect();
    assert_eq!(by_address.keys().copied().collect::<Vec<_>>(), ips);
    assert_eq!(of("many").len(), ips.len());
    assert_eq!(by_address[&ips[0]], "pass");
    assert!(ips[1..].iter().all(|ip| by_address[ip] == "error/connect_refused"), "{by_address:?}");

    let told_of = |id: &str| of(id).into_iter().map(told).collect::<Vec<_>>();
    assert!(
        matches!(told_of("empty").as_slice(), [one] if one == "error/dns_no_address" || one == "error/no_endpoints"),
        "{results:#?}"
    );
    assert_eq!(told_of("gone"), ["error/dns_nxdomain"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o4_a_name_that_nobody_resolves_has_its_outcome_in_time() {
    let dns = DnsServer::silent().await.unwrap();
    let mut config = format!("dns: {{nameservers: ['{}']}}\nchecks:\n", dns.address());
    for (id, addresses) in [("every", "all"), ("some", "any")] {
        config += &format!("- {{id: {id}, tcp: {{address: 'svc.example:1'}}, addresses: {addresses}}}\n");
    }
    let results = check(&config).await;
    let told: BTreeMap<&str, String> = results.iter().map(|r| (r.check.as_str(), told(r))).collect();
    let expected = "timeout/dns_timeout".to_owned();
    assert_eq!(told, BTreeMap::from([("every", expected.clone()), ("some", expected)]), "{results:#?}");
}
