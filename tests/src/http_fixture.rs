//! An HTTP server on loopback that behaves as badly as its paths say.
//!
//! It is written on plain sockets, since no HTTP library would send what some paths send. It answers
//! one request for each connection and then closes it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::packed;
use crate::tcp_fixture::{Counts, Server};

/// The largest request that is read.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// What one block of the gzip bomb expands to.
const BOMB_BLOCK_BYTES: usize = 1024 * 1024;
/// How many blocks it has: 10 GiB in all.
const BOMB_BLOCKS: usize = 10 * 1024;

/// An HTTP server. Paths: `/ok`, `/name`, `/status/N`, `/echo`, `/redirect?to=URL&code=N`, `/secret`,
/// `/large?bytes=N`, `/large-open?bytes=N`, `/gzip`, `/deflate`, `/slow?ms=N`, `/slow-body?ms=N`, `/hang`,
/// `/hang-body`, `/reset`, `/reset-body`, `/close`, `/garbage`, `/bad-gzip`, `/cut-gzip`, `/cut-deflate`,
/// `/short`, `/short-chunks`, `/endless?ms=N`, `/gzip-bomb`, `/many-headers`, `/br`, `/zstd`, `/bad-br`, `/bad-zstd`,
/// `/cut-br`, `/cut-zstd`, `/open-zstd`, `/br-bomb`, `/zstd-bomb`. `/redirect` takes
/// `set=COOKIE|COOKIE` as well.
#[derive(Debug)]
pub struct HttpFixture {
    server: Server,
    handler: Arc<Handler>,
}

impl HttpFixture {
    /// Starts a server called `name` on 127.0.0.1.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(name: &str) -> io::Result<Self> {
        Self::start_on(IpAddr::V4(Ipv4Addr::LOCALHOST), name).await
    }

    /// Starts a server called `name` on `ip`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_on(ip: IpAddr, name: &str) -> io::Result<Self> {
        let handler = Arc::new(Handler::new(name));
        let handling = Arc::clone(&handler);
        let server = Server::start(ip, move |stream| {
            let handler = Arc::clone(&handling);
            async move { handler.handle(stream).await }
        })
        .await?;
        Ok(Self { server, handler })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        self.server.counts()
    }

    /// How many bytes of bodies it has sent.
    pub fn bytes_sent(&self) -> u64 {
        self.handler.bytes_sent.load(SeqCst)
    }
}

/// A connection, plain or encrypted.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
    /// The name that the client asked for by SNI.
    fn sni(&self) -> Option<&str>;
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn sni(&self) -> Option<&str> {
        None
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn sni(&self) -> Option<&str> {
        self.get_ref().1.server_name()
    }
}

/// Answers requests; the same over TCP and TLS.
#[derive(Debug)]
pub struct Handler {
    name: String,
    bytes_sent: AtomicU64,
}

/// A request, read in full.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Handler {
    /// A handler for a server called `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), bytes_sent: AtomicU64::new(0) }
    }

    /// Answers one request. A client that goes away ends it; there is nothing else to do about it.
    pub async fn handle(&self, mut stream: impl Transport) {
        if let Ok(Some(request)) = read_request(&mut stream).await
            && self.answer(&mut stream, &request).await.is_ok()
        {
            stream.shutdown().await.ok();
        }
    }

    async fn answer(&self, stream: &mut impl Transport, request: &Request) -> io::Result<()> {
        let number = |key: &str| request.query.get(key).and_then(|n| n.parse::<u64>().ok());
        let pause = Duration::from_millis(number("ms").unwrap_or(0));
        match request.path.as_str() {
            "/ok" => self.whole(stream, 200, "", b"ok").await,
            "/name" => self.whole(stream, 200, "", self.name.as_bytes()).await,
            "/echo" => {
                let echo = self.echo(request, stream.sni());
                self.whole(stream, 200, "Content-Type: application/json\r\n", echo.as_bytes()).await
            }
            "/redirect" => {
                let location = request.query.get("to").map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
                let set = request.query.get("set").map(String::as_str).unwrap_or_default();
                let cookies = set.split('|').filter(|cookie| !cookie.is_empty());
                let cookies: String = cookies.map(|cookie| format!("Set-Cookie: {cookie}\r\n")).collect();
                self.whole(stream, number("code").unwrap_or(302), &(location + &cookies), b"elsewhere").await
            }
            "/secret" => self.whole(stream, 200, "Set-Cookie: sid=hunter2\r\nX-Auth-Token: hunter2\r\n", b"hush").await,
            "/large" => {
                let bytes = usize::try_from(number("bytes").unwrap_or(0)).unwrap_or(0);
                self.whole(stream, 200, "", &vec![b'a'; bytes]).await
            }
            "/large-open" => {
                let bytes = usize::try_from(number("bytes").unwrap_or(0)).unwrap_or(0);
                let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n");
                self.send(stream, head.as_bytes()).await?;
                self.send(stream, &vec![b'a'; bytes]).await?;
                until_gone(stream).await
            }
            "/gzip" => self.whole(stream, 200, "Content-Encoding: gzip\r\n", &gzip(b"unpacked")?).await,
            "/deflate" => self.whole(stream, 200, "Content-Encoding: deflate\r\n", &zlib(b"unpacked")?).await,
            "/cut-gzip" => {
                let packed = gzip(b"unpacked")?;
                self.whole(stream, 200, "Content-Encoding: gzip\r\n", &packed[..packed.len() - 9]).await
            }
            "/cut-deflate" => {
                let packed = zlib(b"unpacked")?;
                self.whole(stream, 200, "Content-Encoding: deflate\r\n", &packed[..packed.len() - 5]).await
            }
            "/bad-gzip" => self.whole(stream, 200, "Content-Encoding: gzip\r\n", b"this is not gzip at all").await,
            "/many-headers" => {
                let many: String = (0..300).map(|i| format!("X-{i}: 1\r\n")).collect();
                self.whole(stream, 200, &many, b"ok").await
            }
            "/slow" => {
                tokio::time::sleep(pause).await;
                self.whole(stream, 200, "", b"slow").await
            }
            "/slow-body" => {
                self.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await?;
                tokio::time::sleep(pause).await;
                self.send(stream, b"slow").await
            }
            "/hang" => until_gone(stream).await,
            "/hang-body" => {
                self.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun").await?;
                until_gone(stream).await
            }
            "/reset" => stream.tcp().set_zero_linger().and(Err(io::ErrorKind::ConnectionReset.into())),
            "/reset-body" => {
                self.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun").await?;
                // The reset must not overtake what was sent before the client has read it.
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.tcp().set_zero_linger().and(Err(io::ErrorKind::ConnectionReset.into()))
            }
            "/close" => Ok(()),
            "/garbage" => self.send(stream, b"\x00\x01\x02 this is no HTTP\r\n\r\n").await,
            "/short" => self.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ntoo short").await,
            "/short-chunks" => {
                self.send(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n").await
            }
            "/endless" => self.endless(stream, pause).await,
            "/gzip-bomb" => self.bomb(stream).await,
            "/open-zstd" => self.send(stream, &packed::open_zstd()).await,
            path => match path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
                Some(status) => self.whole(stream, status, "", format!("status {status}").as_bytes()).await,
                None => match packed::body(path) {
                    Some((encoding, body)) => {
                        self.whole(stream, 200, &format!("Content-Encoding: {encoding}\r\n"), &body).await
                    }
                    None => self.whole(stream, 404, "", b"no such path").await,
                },
            },
        }
    }

    async fn send(&self, stream: &mut impl Transport, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        self.bytes_sent.fetch_add(bytes.len() as u64, SeqCst);
        Ok(())
    }

    async fn whole(&self, stream: &mut impl Transport, status: u64, headers: &str, body: &[u8]) -> io::Result<()> {
        let mut answer = format!(
            "HTTP/1.1 {status} Status\r\nX-Instance: {}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.name,
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(body);
        self.send(stream, &answer).await
    }

    fn echo(&self, request: &Request, sni: Option<&str>) -> String {
        serde_json::json!({
            "instance": self.name,
            "method": request.method,
            "path": request.path,
            "host": request.headers.get("host"),
            "sni": sni,
            "headers": request.headers,
            "body": String::from_utf8_lossy(&request.body),
        })
        .to_string()
    }

    async fn endless(&self, stream: &mut impl Transport, pause: Duration) -> io::Result<()> {
        self.send(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        loop {
            self.send(stream, b"a\r\nand so on \r\n").await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn bomb(&self, stream: &mut impl Transport) -> io::Result<()> {
        let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
        self.send(stream, head).await?;
        self.send(stream, b"a\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff\r\n").await?;
        let block = bomb_block()?;
        let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
        chunk.extend_from_slice(&block);
        chunk.extend_from_slice(b"\r\n");
        for _ in 0..BOMB_BLOCKS {
            self.send(stream, &chunk).await?;
        }
        until_gone(stream).await
    }
}

/// A megabyte of zeros as a deflate block that can be repeated: a full flush ends it on a byte border
/// and makes what follows independent of it.
fn bomb_block() -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(BOMB_BLOCK_BYTES);
    compress.compress_vec(&vec![0; BOMB_BLOCK_BYTES], &mut block, FlushCompress::Full)?;
    Ok(block)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

fn zlib(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

/// Reads and discards until the peer has closed.
async fn until_gone(stream: &mut impl Transport) -> io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
}

/// Reads a request; `None` where the client closed before it was complete.
pub(crate) async fn read_request(stream: &mut impl Transport) -> io::Result<Option<Request>> {
    let mut bytes = Vec::with_capacity(1024);
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length.min(REQUEST_BYTES_MAX) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let body = bytes[head_end + 4..].to_vec();
    Ok(Some(Request { method, path: path.to_owned(), query: parameters(query), headers, body }))
}

pub(crate) fn parameters(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), percent_decoded(value)))
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
