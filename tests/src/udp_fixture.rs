//! A peer on loopback that answers datagrams as a test says.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Answers datagrams. Dropping it closes its socket.
#[derive(Debug)]
pub struct UdpFixture {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    serving: JoinHandle<()>,
}

impl UdpFixture {
    /// Answers each datagram with those that `answer` makes of it.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let hearing = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            loop {
                // A peer that went away makes itself heard here as an error, and is no reason to stop.
                let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
                let datagram = buffer.get(..length).unwrap_or_default();
                hearing.lock().unwrap_or_else(PoisonError::into_inner).push(datagram.to_vec());
                for answer in answer(datagram) {
                    socket.send_to(&answer, peer).await.ok();
                }
            }
        });
        Ok(Self { address, heard, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has heard so far.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for UdpFixture {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
