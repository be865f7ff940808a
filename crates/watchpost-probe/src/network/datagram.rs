//! Datagrams to a target and from it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use watchpost_model::RouteSettings;

use super::{Destination, Network, has_source};
use crate::recorder::Recorder;
use crate::{Verdict, failure};

/// The largest datagram that there is, in bytes (without the jumbograms of IPv6).
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A socket that is connected to one address: what comes from any other never reaches it, and what the
/// network says of datagrams that it could not deliver does.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    peer: SocketAddr,
}

impl Datagrams {
    /// Whom they go to.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
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
        self.socket.recv(buffer).await
    }
}

impl Network {
    /// Makes ready for datagrams to the first address of `to` that there is a way to.
    ///
    /// # Errors
    /// The verdict on the address that comes first. Whether anybody listens there shows only later.
    pub(crate) async fn datagrams(&self, to: Destination<'_>, recorder: &Recorder) -> Result<Datagrams, Verdict> {
        if let Some(source) = to.route.source_address {
            has_source(source)?;
        }
        let addresses = self.addresses(to, recorder).await?;
        recorder.leave();
        let mut first: Option<(SocketAddr, io::Error)> = None;
        for address in addresses {
            match open(address, to.route).await {
                Ok(socket) => {
                    recorder.connected_to(address);
                    return Ok(Datagrams { socket, peer: address });
                }
                Err(error) => drop(first.get_or_insert((address, error))),
            }
        }
        let Some((address, error)) = first else { return Err(failure::bad_task()) };
        recorder.connected_to(address);
        Err(failure::of_datagrams(&error, &to.whom(Some(address)), &recorder.position()))
    }
}

async fn open(address: SocketAddr, route: &RouteSettings) -> io::Result<UdpSocket> {
    let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(route.source_address.unwrap_or(any), 0)).await?;
    hear_of_failures(&socket, address)?;
    socket.connect(address).await?;
    Ok(socket)
}

/// Lets a socket hear of every failure that the network reports. Without this, Linux keeps those to itself
/// that may pass, an unreachable host among them.
pub(super) fn hear_of_failures(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::Resolver;

    async fn datagrams(endpoint: SocketAddr) -> Datagrams {
        let route = RouteSettings::default();
        let to = Destination { host: "a.example", port: 1, endpoint: Some(endpoint), route: &route };
        Network::new(Resolver::with_nameservers(Vec::new())).datagrams(to, &Recorder::new()).await.unwrap()
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
            ours.send(b"hello").await.unwrap();
            let error = ours.receive(&mut [0; 16]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
