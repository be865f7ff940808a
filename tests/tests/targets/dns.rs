//! Targets from name servers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use watchpost_probe::Resolver;
use watchpost_tests::dns_server::{DnsServer, Reply, response_to};

use crate::source::{look_out, next, owned, until};

/// A server whose name `_http._tcp.shop.example` has as many SRV records as `number` says.
async fn services(number: Arc<AtomicUsize>) -> DnsServer {
    DnsServer::answering(move |question, _| {
        let Some(mut message) = response_to(question) else { return Reply::Silence };
        let Some(query) = message.queries.first().cloned() else { return Reply::Silence };
        match number.load(SeqCst) {
            usize::MAX => message.metadata.response_code = ResponseCode::ServFail,
            0 => message.metadata.response_code = ResponseCode::NXDomain,
            number if query.query_type() == RecordType::SRV => {
                for i in 0..number as u16 {
                    let host = Name::from_ascii(format!("web-{i}.shop.example.")).unwrap();
                    let service = RData::SRV(SRV::new(10, 5, 8000 + i, host));
                    message.add_answer(Record::from_rdata(query.name().clone(), 0, service));
                }
                // What is decidedly not there.
                let nothing = RData::SRV(SRV::new(0, 0, 1, Name::root()));
                message.add_answer(Record::from_rdata(query.name().clone(), 0, nothing));
            }
            _ => {}
        }
        message.to_vec().map_or(Reply::Silence, Reply::Says)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn services_are_targets_with_ports_of_their_own() {
    let number = Arc::new(AtomicUsize::new(2));
    let dns = services(Arc::clone(&number)).await;
    let resolver = Resolver::with_nameservers(vec![dns.address()]);
    let json = r#"{"dns": {"name": "_http._tcp.shop.example", "type": "srv"}, "refresh": "1s"}"#;
    let mut lookout = look_out(json, &resolver);
    let found = lookout.next().await.unwrap();
    let shown: Vec<String> = found.iter().map(|target| target.address().unwrap().to_string()).collect();
    assert_eq!(shown, ["web-0.shop.example:8000", "web-1.shop.example:8001"]);
    let labels: Vec<_> = found[1].labels().iter().collect();
    assert_eq!(
        labels,
        [
            ("__meta_dns_name", "_http._tcp.shop.example"),
            ("__meta_dns_srv_record_port", "8001"),
            ("__meta_dns_srv_record_priority", "10"),
            ("__meta_dns_srv_record_target", "web-1.shop.example"),
            ("__meta_dns_srv_record_weight", "5"),
        ]
    );
    number.store(1, SeqCst);
    until(&mut lookout, &["web-0.shop.example:8000"]).await;
    // The server says that there is nothing: an answer, and no failure.
    number.store(0, SeqCst);
    until(&mut lookout, &[]).await;
    number.store(usize::MAX, SeqCst);
    let failed = loop {
        if let Err(failed) = next(&mut lookout).await {
            break failed;
        }
    };
    assert!(failed.starts_with("dns_error: "), "{failed}");
}

#[tokio::test]
async fn addresses_are_targets_by_family() {
    let ips: [IpAddr; 3] = ["10.0.0.2", "10.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap());
    let dns = DnsServer::start(&[("many.example", &ips), ("none.example", &[])]).await.unwrap();
    let resolver = Resolver::with_nameservers(vec![dns.address()]);
    for (name, records, expected) in [
        ("many.example", "any", &["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"][..]),
        ("many.example", "a", &["10.0.0.1:80", "10.0.0.2:80"]),
        ("many.example", "aaaa", &["[fd00::1]:80"]),
        ("none.example", "any", &[]),
        ("gone.example", "a", &[]),
    ] {
        let json = format!(r#"{{"dns": {{"name": "{name}", "type": "{records}", "port": 80}}}}"#);
        assert_eq!(next(&mut look_out(&json, &resolver)).await, Ok(owned(expected)), "{name} {records}");
    }
}
