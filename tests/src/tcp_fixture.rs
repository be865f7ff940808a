//! A TCP server on loopback that counts its connections, and plain behaviours for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How many connections a server has seen.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    peak: AtomicUsize,
}

impl Counts {
    /// All that were ever accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// Those that are open now.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// The most that were open at once.
    pub fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    fn opened(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, SeqCst);
        let now = self.open.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(now, SeqCst);
        Open(Arc::clone(self))
    }
}

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The `number`th address of 127.0.0.0/8, from 127.0.0.1 on.
pub fn loopback(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number))
}

/// A connection that is counted as open until this is dropped.
struct Open(Arc<Counts>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

/// A listening server. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of `ip` and gives each connection to `handler`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start<H, F>(ip: IpAddr, handler: H) -> std::io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::serve(TcpListener::bind((ip, 0)).await?, handler)
    }

    /// Listens on one free port of every address of 127.0.0.0/8, so that one server is as many endpoints as
    /// a test wants: [`loopback`] names them. It is bound to the loopback device, and so to nothing else.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_everywhere<H, F>(handler: H) -> std::io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpSocket::new_v4()?;
        socket.bind_device(Some(b"lo"))?;
        socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        Self::serve(socket.listen(BACKLOG)?, handler)
    }

    fn serve<H, F>(listener: TcpListener, handler: H) -> std::io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let counting = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            // Dropping the set, when this task is aborted, aborts every connection with it.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            let open = counting.opened();
                            let handling = handler(stream);
                            connections.spawn(async move {
                                handling.await;
                                drop(open);
                            });
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, counts, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A listener that accepts nothing and whose queue is full: Linux ignores further attempts to connect, as
/// if the host were not there. Dropping it closes everything.
#[derive(Debug)]
pub struct FullListener {
    listener: TcpListener,
    queued: Vec<TcpStream>,
}

impl FullListener {
    /// Listens on `address`; port 0 is a free one.
    ///
    /// # Errors
    /// When the address cannot be bound, or the queue not be filled.
    pub async fn start(address: SocketAddr) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(address)?;
        // A queue is full once it holds one more than it was made for.
        let listener = socket.listen(0)?;
        let queued = vec![TcpStream::connect(listener.local_addr()?).await?];
        Ok(Self { listener, queued })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// How many connections fill its queue.
    pub fn queued(&self) -> usize {
        self.queued.len()
    }
}

/// What a plain TCP server does with a connection.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Says nothing, and waits until the peer is gone.
    Silent,
    /// Says this, and waits until the peer is gone.
    Says(Vec<u8>),
    /// Says this and closes, whatever the peer does.
    SaysAndCloses(Vec<u8>),
    /// Waits until it has heard something, says this and closes.
    AnswersAndCloses(Vec<u8>),
    /// Says the same without end.
    SaysForEver(Vec<u8>),
    /// Says this one byte at a time, with a pause after each.
    Trickles(Vec<u8>, Duration),
    /// Says back what it hears.
    Echoes,
    /// Resets the connection once it has heard something.
    Resets,
}

impl Behaviour {
    /// Starts a server that behaves so on a free port of `ip`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(self, ip: IpAddr) -> std::io::Result<Server> {
        Server::start(ip, move |stream| self.clone().handle(stream)).await
    }

    /// Starts a server that behaves so on one free port of every address of 127.0.0.0/8.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub async fn start_everywhere(self) -> std::io::Result<Server> {
        Server::start_everywhere(move |stream| self.clone().handle(stream)).await
    }

    /// A peer that goes away ends a connection; there is nothing else to do about it.
    async fn handle(self, mut stream: TcpStream) {
        self.converse(&mut stream).await.ok();
    }

    async fn converse(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Silent => {}
            Self::Says(bytes) => stream.write_all(&bytes).await?,
            Self::SaysAndCloses(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Self::AnswersAndCloses(bytes) => {
                // A close with something unread would be a reset.
                stream.readable().await?;
                stream.try_read(&mut [0; 4096]).ok();
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Self::SaysForEver(bytes) => loop {
                stream.write_all(&bytes).await?;
            },
            Self::Trickles(bytes, pause) => {
                stream.set_nodelay(true)?;
                for byte in bytes {
                    stream.write_u8(byte).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Self::Echoes => {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
            }
            Self::Resets => {
                stream.read_u8().await?;
                return stream.set_zero_linger();
            }
        }
        until_gone(stream).await
    }
}

/// Reads and discards until the peer has closed.
async fn until_gone(stream: &mut TcpStream) -> std::io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
}
