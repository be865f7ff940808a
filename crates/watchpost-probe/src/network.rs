//! The way to a target: resolving its name, and connecting to one of its addresses.
//!
//! Every connection and every datagram of every check type goes through here, so that what is decided
//! about addresses is decided in one place, of the address that is dialled.

pub(crate) mod datagram;

mod judged;
mod unix;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};
use watchpost_model::{HostPort, IpPreference, Reason, ReasonCode, RouteSettings, Task, shown_address};

use watchpost_policy::{Denied, Guard, Transport, server_name};

pub(crate) use self::judged::Errand;
use crate::recorder::{Recorder, Stage};
use crate::resolver::Resolver;
use crate::{Verdict, failure};

/// How long an address may take to answer before the next one is tried as well (RFC 8305, section 5:
/// "Connection Attempt Delay").
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Where a connection goes, and by which way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The name or address, without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// The address to use in place of those of the name, where it is known already.
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) route: &'a RouteSettings,
    /// Names that whoever answers is told in place of `host`, in TLS or in a request: there may be many hosts at an address.
    pub(crate) told: [Option<&'a str>; 2],
    /// What the policy is told of it beside the address; `None` where it is the operator's own choice, which the policy
    /// is not asked about.
    pub(crate) errand: Option<Errand<'a>>,
}

impl<'a> Destination<'a> {
    /// Where `task` goes whose settings name `address`.
    pub(crate) fn of(task: &'a Task, address: &'a HostPort, route: &'a RouteSettings) -> Self {
        let errand = Some(Errand::to_target(task.check_type()));
        let told = [server_name(&task.probe), None];
        Self { host: address.host(), port: address.port(), endpoint: task.endpoint.address, route, told, errand }
    }

    /// The address, where it is known without a name server.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        self.endpoint.or_else(|| Some(SocketAddr::new(self.host.parse().ok()?, self.port)))
    }

    /// The peer as sentences call it: the address, and the name where that is another.
    pub(crate) fn whom(&self, address: Option<SocketAddr>) -> String {
        let is_name = self.host.parse::<IpAddr>().is_err();
        match address {
            Some(address) if is_name => format!("{} ({})", shown_address(address), self.host),
            Some(address) => shown_address(address),
            None if is_name && self.port != 0 => format!("{}:{}", self.host, self.port),
            None => self.host.to_owned(),
        }
    }
}

/// Finds addresses and connects to them, as far as the policy permits.
///
/// Invariant: an address that is connected to was judged in the same call, and nothing resolves its name again.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    resolver: Resolver,
    guard: Guard,
}

impl Network {
    pub(crate) fn new(resolver: Resolver, guard: Guard) -> Self {
        Self { resolver, guard }
    }

    /// How names are resolved.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The name server that names are resolved with first, `for_what` one is wanted.
    ///
    /// # Errors
    /// The verdict where it is not known.
    pub(crate) fn first_name_server(&self, for_what: &str) -> Result<SocketAddr, Verdict> {
        self.resolver.first_server(for_what).map_err(|e| e.verdict())
    }

    /// The addresses of `to` that the policy permits, best first, and at least one.
    ///
    /// # Errors
    /// The verdict on a name that has no address of the wanted kind, or none that is permitted.
    pub(crate) async fn addresses(
        &self,
        to: Destination<'_>,
        transport: Transport,
        recorder: &Recorder,
    ) -> Result<Vec<SocketAddr>, Verdict> {
        if let Some(address) = to.literal() {
            self.permit_given(to, transport, address, recorder).await?;
            return Ok(vec![address]);
        }
        self.permit_name(to, transport)?;
        recorder.enter(Stage::Dns);
        let mut found = self.resolver.lookup(to.host).await.map_err(|e| e.verdict())?;
        to.route.ip.arrange(&mut found);
        recorder.leave();
        if found.is_empty() {
            let kind = match to.route.ip {
                IpPreference::Ipv4 => "IPv4 address, and the check asks for one",
                IpPreference::Ipv6 => "IPv6 address, and the check asks for one",
                // The resolver never returns nothing.
                _ => "address",
            };
            let message = format!("{} has no {kind}", to.host);
            return Err(Verdict::error(Reason::new(ReasonCode::DnsNoAddress, message)));
        }
        recorder.resolved(&found);
        let found = found.into_iter().map(|ip| SocketAddr::new(ip, to.port)).collect();
        self.permitted(to, transport, found)
    }

    /// Connects to the first address of `to` that accepts: resolves its name, where it has one, and
    /// tries the next address where one fails or is slow to answer.
    ///
    /// # Errors
    /// The verdict on the address that comes first, since that is the one that clients prefer.
    ///
    /// # Cancel safety
    /// Dropping the future ends every attempt.
    pub(crate) async fn connect(&self, to: Destination<'_>, recorder: &Recorder) -> Result<TcpStream, Verdict> {
        if let Some(source) = to.route.source_address {
            has_source(source)?;
        }
        let addresses = of_the_source(to, self.addresses(to, Transport::Tcp, recorder).await?)?;
        let Some(preferred) = addresses.first().copied() else { return Err(failure::bad_task()) };
        self.admit(preferred, recorder).await?;
        recorder.enter(Stage::Connect);
        recorder.connected_to(preferred);
        let connected = match addresses.as_slice() {
            [only] => dial(*only, to.route).await.map(|stream| (*only, stream)).map_err(Undialled::Io),
            several => self.race(several, to.route).await,
        };
        match connected {
            Ok((address, stream)) => {
                recorder.connected_to(address);
                Ok(stream)
            }
            Err(Undialled::Denied(denied)) => Err(Verdict::denied(denied)),
            Err(Undialled::Io(error)) => {
                let position = recorder.position();
                Err(failure::of_io(&error, &to.whom(position.address), &position))
            }
        }
    }

    /// Tries one address after the other; the next begins when the one before has failed, or has not
    /// answered for a while.
    ///
    /// # Errors
    /// What went wrong with the first address.
    async fn race(
        &self,
        addresses: &[SocketAddr],
        route: &RouteSettings,
    ) -> Result<(SocketAddr, TcpStream), Undialled> {
        let mut waiting = addresses.iter().copied().enumerate();
        let mut attempts = FuturesUnordered::new();
        let mut failed: Option<(usize, Undialled)> = None;
        let attempt = |(rank, address)| async move {
            // The first has been admitted, and the others must not keep it waiting.
            let admitted = if rank == 0 { Ok(()) } else { self.admit_now(address) };
            let dialled = match admitted {
                Ok(()) => dial(address, route).await.map_err(Undialled::Io),
                Err(denied) => Err(Undialled::Denied(denied)),
            };
            (rank, address, dialled)
        };
        attempts.extend(waiting.next().map(attempt));
        while !attempts.is_empty() {
            let ended = match waiting.len() {
                0 => attempts.next().await,
                // Time over: the next address joins those that are being tried.
                _ => tokio::time::timeout(NEXT_ADDRESS_AFTER, attempts.next()).await.unwrap_or(None),
            };
            match ended {
                Some((_, address, Ok(stream))) => return Ok((address, stream)),
                Some((rank, _, Err(error))) if failed.as_ref().is_none_or(|(first, _)| rank < *first) => {
                    failed = Some((rank, error));
                }
                _ => {}
            }
            attempts.extend(waiting.next().map(attempt));
        }
        Err(failed.map_or_else(|| Undialled::Io(io::ErrorKind::NotFound.into()), |(_, error)| error))
    }
}

async fn dial(address: SocketAddr, route: &RouteSettings) -> io::Result<TcpStream> {
    let Some(source) = route.source_address else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

/// Why there is no connection to an address.
#[derive(Debug)]
pub(crate) enum Undialled {
    /// The policy's limits do not permit another one now.
    Denied(Denied),
    /// The system says so.
    Io(io::Error),
}

impl From<io::Error> for Undialled {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether this machine has the address `source` at all. Connecting from one that it has not fails as it
/// does where no port is free.
fn has_source(source: IpAddr) -> Result<(), Verdict> {
    let Err(error) = std::net::UdpSocket::bind((source, 0)) else { return Ok(()) };
    let message = format!("the check is to connect from {source}, and this machine cannot: {}", failure::plain(&error));
    Err(Verdict::cancelled(Reason::new(ReasonCode::SourceAddressUnusable, message)))
}

/// Those of `addresses` that can be reached from the address that the check is to connect from.
///
/// # Errors
/// The verdict where there is none, which says nothing about the target.
fn of_the_source(to: Destination<'_>, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Verdict> {
    let Some(source) = to.route.source_address else { return Ok(addresses) };
    addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    if addresses.is_empty() {
        let kind = if source.is_ipv4() { "IPv4" } else { "IPv6" };
        let message = format!("the check is to connect from {source}, and {} has no {kind} address", to.host);
        return Err(Verdict::cancelled(Reason::new(ReasonCode::SourceAddressUnusable, message)));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn network() -> Network {
        Network::new(Resolver::with_nameservers(Vec::new()), Guard::local())
    }

    /// An address that nobody listens at.
    async fn dead() -> SocketAddr {
        listener().await.1
    }

    #[tokio::test]
    async fn the_next_address_is_tried_where_one_refuses() {
        let (_listener, live) = listener().await;
        let (address, _) = network().race(&[dead().await, live], &RouteSettings::default()).await.unwrap();
        assert_eq!(address, live);
    }

    #[tokio::test]
    async fn of_several_failures_the_preferred_address_is_told() {
        let wrong_family: SocketAddr = "[::1]:1".parse().unwrap();
        let route = RouteSettings { source_address: Some("127.0.0.1".parse().unwrap()), ..RouteSettings::default() };
        let error = network().race(&[dead().await, wrong_family], &route).await.unwrap_err();
        assert!(matches!(error, Undialled::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn the_source_address_is_the_one_that_is_asked_for() {
        let (listener, address) = listener().await;
        let route = RouteSettings { source_address: Some("127.0.0.5".parse().unwrap()), ..RouteSettings::default() };
        let stream = dial(address, &route).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, stream.local_addr().unwrap());
        assert_eq!(stream.local_addr().unwrap().ip(), route.source_address.unwrap());
    }

    #[test]
    fn a_peer_is_called_by_its_address_and_its_name() {
        let route = RouteSettings::default();
        let to = |host| Destination { host, port: 80, endpoint: None, route: &route, told: [None, None], errand: None };
        let address = "10.0.0.1:80".parse().ok();
        assert_eq!(to("a.example").whom(address), "10.0.0.1:80 (a.example)");
        assert_eq!(to("a.example").whom(None), "a.example:80");
        assert_eq!(to("10.0.0.1").whom(address), "10.0.0.1:80");
    }
}
