//! What stands where no check may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};
use watchpost_tests::process::{SOON, until};

/// How often a port is looked for that is free for both.
const PORTS_TRIED_MAX: usize = 32;
/// How long a trap bears with somebody who does not go.
const BEARS_WITH: Duration = Duration::from_secs(2);
/// How long what was sent is waited for, and how often it is looked for.
const COMES_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Listens for connections and datagrams on one port of every address of the loopback device, whatever they are called,
/// and notes what comes. Dropping it closes everything.
#[derive(Debug)]
pub struct Trap {
    port: u16,
    caught: Arc<Mutex<Caught>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug, Default)]
struct Caught {
    /// From where, and to which of the addresses.
    connections: Vec<(SocketAddr, IpAddr)>,
    /// From where.
    datagrams: Vec<SocketAddr>,
}

impl Trap {
    pub async fn start() -> Self {
        let (listener, socket) = listen();
        let port = listener.local_addr().unwrap().port();
        let caught = Arc::<Mutex<Caught>>::default();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&caught)));
        let receiving = tokio::spawn(receive(socket, Arc::clone(&caught)));
        Self { port, caught, tasks: [accepting, receiving] }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// To which addresses connections have come so far, in order.
    pub fn connections(&self) -> Vec<IpAddr> {
        self.caught.lock().unwrap().connections.iter().map(|(_, at)| *at).collect()
    }

    /// Whether anything has come, or comes within some seconds: the system may take its time to deliver a datagram where
    /// every processor is busy.
    pub async fn catches(&self) -> bool {
        let end = Instant::now() + COMES_WITHIN;
        loop {
            let is_empty = {
                let caught = self.caught.lock().unwrap();
                caught.connections.is_empty() && caught.datagrams.is_empty()
            };
            if !is_empty || Instant::now() > end {
                return !is_empty;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How many connections and datagrams have come until now, however busy this machine is. What comes by this
    /// question itself, last in each queue, is not counted.
    pub async fn count(&self) -> usize {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.send_to(b"last", (Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let (by_stream, by_datagram) = (stream.local_addr().unwrap(), socket.local_addr().unwrap());
        until("a trap catches whoever asks it", SOON, || {
            let mut caught = self.caught.lock().unwrap();
            let connection = caught.connections.iter().position(|(from, _)| *from == by_stream)?;
            let datagram = caught.datagrams.iter().position(|from| *from == by_datagram)?;
            caught.connections.remove(connection);
            caught.datagrams.remove(datagram);
            Some(caught.connections.len() + caught.datagrams.len())
        })
        .await
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Both sockets, bound to the loopback device and so to nothing else.
fn listen() -> (TcpListener, UdpSocket) {
    for _ in 0..PORTS_TRIED_MAX {
        let listener = TcpSocket::new_v6().and_then(|socket| bound(socket, Ipv6Addr::UNSPECIFIED.into()));
        let listener = listener.or_else(|_| bound(TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into())).unwrap();
        let address = listener.local_addr().unwrap();
        let Ok(socket) = std::net::UdpSocket::bind(address) else { continue };
        socket.set_nonblocking(true).unwrap();
        return (listener, UdpSocket::from_std(socket).unwrap());
    }
    panic!("no port is free for both TCP and UDP");
}

fn bound(socket: TcpSocket, ip: IpAddr) -> std::io::Result<TcpListener> {
    socket.bind_device(Some(b"lo"))?;
    socket.bind(SocketAddr::new(ip, 0))?;
    socket.listen(1024)
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn accept(listener: TcpListener, caught: Arc<Mutex<Caught>>) {
    // Dropping the set, when this task is aborted, aborts every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, from)) = accepted {
                let at = stream.local_addr().map_or(from, plain).ip();
                caught.lock().unwrap().connections.push((plain(from), at));
                connections.spawn(async move {
                    let _gone = tokio::time::timeout(BEARS_WITH, answer(stream)).await;
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Says at once what is a good answer to a request, and waits until the peer is gone.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    while stream.read(&mut [0; 4096]).await? > 0 {}
    Ok(())
}

async fn receive(socket: UdpSocket, caught: Arc<Mutex<Caught>>) {
    let mut buffer = [0; 4096];
    loop {
        // A peer that went away makes itself heard here as an error, and is no reason to stop.
        if let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            caught.lock().unwrap().datagrams.push(plain(from));
        }
    }
}
