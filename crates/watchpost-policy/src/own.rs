//! The addresses of the bastion itself.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::host;

/// Tells whether an address is one of this machine's.
type IsLocal = dyn Fn(IpAddr) -> bool + Send + Sync;

/// Where the bastion's own bus and console are, which no check is to reach.
#[derive(Clone)]
pub struct Own {
    bus: Vec<Place>,
    console: Vec<Place>,
    is_local: Arc<IsLocal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    At(SocketAddr),
    Named(Box<str>, u16),
}

impl Default for Own {
    fn default() -> Self {
        Self::new(|ip| ip.is_loopback())
    }
}

impl Own {
    /// Nothing yet. `is_local` tells which addresses are this machine's; it is asked seldom: about what goes to a port of
    /// the bastion's own.
    pub fn new(is_local: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { bus: Vec::new(), console: Vec::new(), is_local: Arc::new(is_local) }
    }

    /// The bus is at `address` as well. If that is this machine, it is at each of the machine's addresses.
    #[must_use]
    pub fn with_bus(mut self, address: SocketAddr) -> Self {
        self.bus.push(Place::At(address));
        self
    }

    /// The bus is known by this name as well, whatever it resolves to.
    #[must_use]
    pub fn with_bus_name(mut self, host: &str, port: u16) -> Self {
        self.bus.push(Place::Named(host::plain(host).into(), port));
        self
    }

    /// The console listens at `address`.
    #[must_use]
    pub fn with_console(mut self, address: SocketAddr) -> Self {
        self.console.push(Place::At(address));
        self
    }

    pub(crate) fn is_bus(&self, ip: IpAddr, port: u16, host: Option<&str>) -> bool {
        self.bus.iter().any(|place| self.is_at(place, ip, port, host))
    }

    pub(crate) fn is_console(&self, ip: IpAddr, port: u16, host: Option<&str>) -> bool {
        self.console.iter().any(|place| self.is_at(place, ip, port, host))
    }

    /// Whether a name alone says that it is the bus.
    pub(crate) fn is_bus_name(&self, plain: &str, port: u16) -> bool {
        self.bus.iter().any(|place| matches!(place, Place::Named(name, at) if **name == *plain && *at == port))
    }

    fn is_at(&self, place: &Place, ip: IpAddr, port: u16, host: Option<&str>) -> bool {
        match place {
            Place::At(at) => {
                let same_port = at.port() == port && port != 0;
                let own = at.ip().to_canonical();
                same_port && (own == ip || (self.is_of_this_machine(own) && self.is_of_this_machine(ip)))
            }
            Place::Named(name, at) => *at == port && host.is_some_and(|host| *host::plain(host) == **name),
        }
    }

    fn is_of_this_machine(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || (self.is_local)(ip)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("bus", &self.bus).field("console", &self.console).finish_non_exhaustive()
    }
}
