//! Where this process's own bus and console are.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::task::JoinSet;
use watchpost_policy::{Guard, Own, literal};

/// How often the names of the bus's servers are looked up anew.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Where this process's own bus and console are, as far as it is told.
#[derive(Debug, Clone, Default)]
pub struct OwnPlaces {
    bus: Vec<(String, u16)>,
    console: Option<SocketAddr>,
    /// What the names of the bus's servers were found to be.
    found: Vec<SocketAddr>,
}

impl OwnPlaces {
    /// The servers of the bus, each with its port, and the address of the console.
    pub fn new(bus: Vec<(String, u16)>, console: Option<SocketAddr>) -> Self {
        Self { bus, console, found: Vec::new() }
    }

    /// As the policy is asked about them.
    pub fn own(&self) -> Own {
        let mut own = Own::new(is_of_this_machine);
        for (host, port) in &self.bus {
            own = match literal(host) {
                Some(ip) => own.with_bus(SocketAddr::new(ip, *port)),
                None => own.with_bus_name(host, *port),
            };
        }
        own = self.found.iter().fold(own, |own, address| own.with_bus(*address));
        self.console.iter().fold(own, |own, address| own.with_console(*address))
    }

    /// Looks up the names once, by the system's own means, as the connection to the bus does. Of a name that cannot be
    /// found, what was known of it stays.
    pub async fn look_up(&mut self) {
        // All at once: while names cannot be found, nobody waits for one after the other.
        let mut looks = JoinSet::new();
        for (host, port) in self.bus.iter().filter(|(host, _)| literal(host).is_none()).cloned() {
            looks.spawn(async move {
                let look = tokio::net::lookup_host((host.as_str(), port));
                let found = tokio::time::timeout(LOOK_LIMIT, look).await;
                (port, found.ok().and_then(Result::ok).map(Iterator::collect::<Vec<SocketAddr>>))
            });
        }
        let mut found = Vec::new();
        while let Some(looked) = looks.join_next().await {
            match looked {
                Ok((_, Some(addresses))) => found.extend(addresses),
                Ok((port, None)) => found.extend(self.found.iter().filter(|address| address.port() == port)),
                // It panicked, and has told why.
                Err(_) => return,
            }
        }
        self.found = found;
    }

    /// Looks the names up anew regularly, where there are any, and tells the guard. Runs until it is dropped.
    pub async fn keep(mut self, guard: Guard) {
        if self.bus.iter().all(|(host, _)| literal(host).is_some()) {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look_up().await;
            guard.set_own(self.own());
        }
    }
}

/// Whether an address is one of this machine's: only then may a socket have it. Nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use watchpost_model::CheckType;
    use watchpost_policy::{Dial, Policy, Purpose, Transport};

    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are() {
        for own in ["127.0.0.1", "127.9.9.9", "0.0.0.0"] {
            assert!(is_of_this_machine(own.parse().unwrap()), "{own}");
        }
        // For documentation only (RFC 5737): no machine has it.
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_bus_on_this_machine_is_found_under_each_of_its_addresses() {
        let places = OwnPlaces::new(vec![("127.0.0.1".to_owned(), 4222)], Some("0.0.0.0:8627".parse().unwrap()));
        let own = places.own();
        let mut policy = Policy::local();
        policy = Policy::try_from(watchpost_policy::PolicyFile {
            special: watchpost_policy::Special { own_console: watchpost_policy::Effect::Deny, ..policy.file().special },
            ..policy.file().clone()
        })
        .unwrap();
        for (address, denied) in [
            ("127.0.0.1:4222", Some("special.own_bus")),
            ("127.0.0.2:4222", Some("special.own_bus")),
            ("[::ffff:127.0.0.1]:4222", Some("special.own_bus")),
            ("0.0.0.0:4222", Some("special.own_bus")),
            ("127.0.0.1:4223", None),
            ("192.0.2.1:4222", None),
            ("127.0.0.1:8627", Some("special.own_console")),
            ("[::1]:8627", Some("special.own_console")),
        ] {
            let (check_type, transport, purpose) = (CheckType::Tcp, Transport::Tcp, Purpose::Target);
            let address = address.parse().unwrap();
            let dial = Dial { check_type, host: None, address, transport, purpose, method: None };
            let judged = policy.judge_dial(&dial, &own).map_err(|denied| denied.rule);
            assert_eq!(judged.err().as_deref(), denied, "{address}");
        }
    }
}
