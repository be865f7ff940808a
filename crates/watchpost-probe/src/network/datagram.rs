//! Datagrams to a target and from it.

use std::io::{self, IoSliceMut, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use watchpost_model::{Reason, ReasonCode, RouteSettings};
use watchpost_policy::Transport;

use super::{Destination, Network, has_source, of_the_source};
use crate::recorder::Recorder;
use crate::{Verdict, failure};

/// The largest datagram that there is, in bytes (without the jumbograms of IPv6).
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The most failures that are taken at once, and how much is kept of what each is about, in bytes.
const FAILURES_MAX: usize = 64;
const FAILED_BYTES_KEPT: usize = 64;

/// What is sent, and by what kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Datagrams of UDP.
    Udp,
    /// Echo requests of ICMP: the system fills in who asks, and hands over the replies to that only.
    Echo,
    /// Whole messages of ICMP, which takes a privilege.
    RawIcmp,
}

/// A socket that is connected to one address: what comes from any other never reaches it, and what the
/// network says of datagrams that it could not deliver does.
#[derive(Debug)]
pub(crate) struct Datagrams {
    /// The system calls are the same for every kind.
    socket: UdpSocket,
    kind: Kind,
    peer: SocketAddr,
}

/// What the network says of a datagram that it could not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// Who says so; `None` where it is this machine.
    pub(crate) by: Option<IpAddr>,
    /// Type and code of the ICMP message that says so.
    pub(crate) icmp: (u8, u8),
    /// The beginning of what was sent.
    pub(crate) sent: Vec<u8>,
}

impl Datagrams {
    /// Whom they go to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Sends one.
    ///
    /// # Errors
    /// Also what became of an earlier one.
    pub(crate) async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).await.map(|_| ())
    }

    /// Waits for one, of which as much is kept as `buffer` has room for, and returns its length.
    ///
    /// # Errors
    /// Also that one was not delivered.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // What could not be delivered makes a socket neither readable nor writable.
        let interest = Interest::READABLE.add(Interest::ERROR);
        self.socket.async_io(interest, || (&*SockRef::from(&self.socket)).read(buffer)).await
    }

    /// What the network has said so far of datagrams that it could not deliver. Each is told once.
    pub(crate) fn undelivered(&self) -> Vec<Undelivered> {
        let mut told = Vec::new();
        while told.len() < FAILURES_MAX {
            match self.next_undelivered() {
                Ok(Some(undelivered)) => told.push(undelivered),
                Ok(None) => {}
                Err(_) => break,
            }
        }
        told
    }

    fn next_undelivered(&self) -> nix::Result<Option<Undelivered>> {
        let mut sent = [0; FAILED_BYTES_KEPT];
        let mut control = [0; 512];
        let mut parts = [IoSliceMut::new(&mut sent)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let socket = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(socket, &mut parts, Some(&mut control), flags)?;
        let length = message.bytes;
        let told = message.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::Ipv4RecvErr(error, by) => {
                let by = by.map(|by| Ipv4Addr::from(u32::from_be(by.sin_addr.s_addr)).into());
                Some((by, (error.ee_type, error.ee_code)))
            }
            ControlMessageOwned::Ipv6RecvErr(error, by) => {
                let by = by.map(|by| Ipv6Addr::from(by.sin6_addr.s6_addr).into());
                Some((by, (error.ee_type, error.ee_code)))
            }
            _ => None,
        });
        let sent = sent.get(..length).unwrap_or_default().to_vec();
        Ok(told.map(|(by, icmp)| Undelivered { by, icmp, sent }))
    }
}

impl Network {
    /// Makes ready for datagrams by UDP to the first address of `to` that there is a way to.
    ///
    /// # Errors
    /// The verdict on the address that comes first. Whether anybody listens there shows only later.
    pub(crate) async fn datagrams(&self, to: Destination<'_>, recorder: &Recorder) -> Result<Datagrams, Verdict> {
        self.open(to, Transport::Udp, recorder, |address| open(Kind::Udp, address, to.route)).await
    }

    /// Makes ready for echo requests to the first address of `to` that there is a way to, which may pass
    /// `ttl` routers.
    ///
    /// # Errors
    /// The verdict on the address that comes first, or on this process, which may not send any.
    pub(crate) async fn echoes(
        &self,
        to: Destination<'_>,
        ttl: Option<u8>,
        recorder: &Recorder,
    ) -> Result<Datagrams, Verdict> {
        self.open(to, Transport::Icmp, recorder, |address| {
            let datagrams = open(Kind::Echo, address, to.route).or_else(|error| {
                // Only some groups of users may have such a socket, and the privilege for the other kind is rare.
                match open(Kind::RawIcmp, address, to.route) {
                    Err(raw) if raw.kind() == io::ErrorKind::PermissionDenied => Err(error),
                    other => other,
                }
            })?;
            if let Some(ttl) = ttl {
                let socket = SockRef::from(&datagrams.socket);
                match address {
                    SocketAddr::V4(_) => socket.set_ttl_v4(ttl.into())?,
                    SocketAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into())?,
                }
            }
            Ok(datagrams)
        })
        .await
    }

    async fn open(
        &self,
        to: Destination<'_>,
        transport: Transport,
        recorder: &Recorder,
        open: impl Fn(SocketAddr) -> io::Result<Datagrams>,
    ) -> Result<Datagrams, Verdict> {
        if let Some(source) = to.route.source_address {
            has_source(source)?;
        }
        let addresses = of_the_source(to, self.addresses(to, transport, recorder).await?)?;
        recorder.leave();
        let mut first: Option<(SocketAddr, io::Error)> = None;
        for address in addresses {
            match first {
                None => self.admit(address, recorder).await?,
                Some(_) => self.admit_now(address).map_err(Verdict::denied)?,
            }
            recorder.leave();
            match open(address) {
                Ok(datagrams) => {
                    recorder.connected_to(address);
                    return Ok(datagrams);
                }
                Err(error) if is_not_permitted(&error, address) => return Err(not_permitted()),
                Err(error) => drop(first.get_or_insert((address, error))),
            }
        }
        let Some((address, error)) = first else { return Err(failure::bad_task()) };
        recorder.connected_to(address);
        Err(failure::of_datagrams(&error, &to.whom(Some(address)), &recorder.position()))
    }
}

/// Echo requests go to hosts, which have no ports. A socket of UDP needs no permission.
fn is_not_permitted(error: &io::Error, address: SocketAddr) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && address.port() == 0
}

fn not_permitted() -> Verdict {
    let message = "this process may not send echo requests: either a group of its user must be in the range of the \
                   sysctl net.ipv4.ping_group_range, or it needs the capability CAP_NET_RAW";
    Verdict::cancelled(Reason::new(ReasonCode::NotPermitted, message))
}

fn open(kind: Kind, address: SocketAddr, route: &RouteSettings) -> io::Result<Datagrams> {
    let icmp = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let (socket_type, protocol) = match kind {
        Kind::Udp => (Type::DGRAM, Protocol::UDP),
        Kind::Echo => (Type::DGRAM, icmp),
        Kind::RawIcmp => (Type::RAW, icmp),
    };
    let socket = Socket::new(Domain::for_address(address), socket_type.nonblocking(), Some(protocol))?;
    hear_of_failures(&socket, address)?;
    if let Some(source) = route.source_address {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&address.into())?;
    Ok(Datagrams { socket: UdpSocket::from_std(socket.into())?, kind, peer: address })
}

/// Opens a socket for echo requests to `address`, of the kind that wants a privilege or of the other, and closes it again.
///
/// # Errors
/// When this process may not have one.
pub(crate) fn echo_socket(address: std::net::IpAddr, raw: bool) -> io::Result<()> {
    let protocol = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let socket_type = if raw { Type::RAW } else { Type::DGRAM };
    Socket::new(Domain::for_address(SocketAddr::new(address, 0)), socket_type, Some(protocol)).map(drop)
}

/// Lets a socket hear of every failure that the network reports. Without this, Linux keeps those to itself
/// that may pass, an unreachable host among them.
fn hear_of_failures(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use watchpost_policy::Guard;

    use super::*;
    use crate::resolver::Resolver;

    /// More than anything here takes unless it hangs.
    const AMPLE: Duration = Duration::from_secs(10);

    async fn datagrams(endpoint: SocketAddr) -> Datagrams {
        let route = RouteSettings::default();
        let (endpoint, told) = (Some(endpoint), [None, None]);
        let to = Destination { host: "a.example", port: 1, endpoint, route: &route, told, errand: None };
        let network = Network::new(Resolver::with_nameservers(Vec::new()), Guard::local());
        network.datagrams(to, &Recorder::new()).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_peer_is_heard() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ours = datagrams(peer.local_addr().unwrap()).await;
        ours.send(b"hello").await.unwrap();
        let mut buffer = [0; 16];
        let (length, address) = peer.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"hello");
        stranger.send_to(b"from a stranger", address).await.unwrap();
        peer.send_to(b"from the peer", address).await.unwrap();
        let length = ours.receive(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"from the peer");
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_makes_itself_heard() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(gone) = UdpSocket::bind(address).await else { continue };
            let address = gone.local_addr().unwrap();
            let ours = datagrams(address).await;
            drop(gone);
            let mut buffer = [0; 16];
            // Whoever waits already is woken by it.
            let waiting = tokio::time::timeout(AMPLE, ours.receive(&mut buffer));
            let (received, sent) = tokio::join!(biased; waiting, ours.send(b"hello"));
            sent.unwrap();
            assert_eq!(received.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            let told = ours.undelivered();
            let icmp = if address.is_ipv4() { (3, 3) } else { (1, 4) };
            assert_eq!(told, [Undelivered { by: Some(address.ip()), icmp, sent: b"hello".to_vec() }]);
            assert_eq!(ours.undelivered(), []);
        }
    }
}
