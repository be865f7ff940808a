//! Policy files, and addresses in disguise: what stands for an address is judged no more kindly than the address itself.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use watchpost_model::CheckType;
use watchpost_policy::{Dial, Own, Policy, PolicyFile, Purpose, Transport};

/// Addresses of IPv6 that stand for `v4`.
fn disguises(v4: Ipv4Addr) -> [Ipv6Addr; 3] {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    [
        v4.to_ipv6_mapped(),
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ]
}

fuzz_target!(|input: ([u8; 4], u16, &str, &str)| {
    let (octets, port, host, text) = input;
    let Ok(file) = serde_saphyr::from_str::<PolicyFile>(text) else { return };
    let Ok(policy) = Policy::try_from(file) else { return };
    let own = Own::new(|ip| ip.is_loopback());
    let judge = |ip: IpAddr| {
        let dial = Dial {
            check_type: CheckType::Http,
            host: (!host.is_empty()).then_some(host),
            address: SocketAddr::new(ip, port),
            transport: Transport::Tcp,
            purpose: Purpose::Target,
            method: Some("GET"),
        };
        policy.judge_dial(&dial, &own)
    };
    let v4 = Ipv4Addr::from(octets);
    if let Err(denied) = judge(v4.into()) {
        assert!(!denied.message.is_empty(), "a refusal without a word");
        for disguise in disguises(v4) {
            assert!(judge(disguise.into()).is_err(), "{v4} is denied ({}), and {disguise} is not", denied.message);
        }
    }
});
