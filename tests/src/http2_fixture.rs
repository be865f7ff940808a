//! HTTP/2 servers on loopback: one that is well-behaved, and one that says frames as a test writes them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::tcp_fixture::{Counts, Server};

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An HTTP/2 server, without TLS to those who know that it is one, or with it. Paths: `/ok`, `/echo`,
/// `/status/N`, `/large/N`, `/redirect`, `/early`, `/hang`, `/hang-body`, `/reset`, `/reset-body`.
#[derive(Debug)]
pub struct Http2Fixture(Server);

impl Http2Fixture {
    /// Starts a server on `ip`, with TLS if it is said how.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(ip: IpAddr, tls: Option<ServerConfig>) -> io::Result<Self> {
        let acceptor = tls.map(|mut config| {
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsAcceptor::from(Arc::new(config))
        });
        let server = Server::start(ip, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                // A client that goes away ends it; there is nothing else to do about it.
                match acceptor {
                    None => serve(stream).await.ok(),
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => serve(stream).await.ok(),
                        Err(_) => None,
                    },
                };
            }
        })
        .await?;
        Ok(Self(server))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        self.0.counts()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut streams = tokio::task::JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        streams.spawn(answer(request, respond));
    }
    Ok(())
}

fn head(status: u16) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    head
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let path = request.uri().path().to_owned();
    let number = |prefix: &str| path.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
    match path.as_str() {
        "/hang" => {
            std::future::pending::<()>().await;
        }
        "/hang-body" => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_data(Bytes::from_static(b"begun"), false)?;
            std::future::pending::<()>().await;
        }
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/reset-body" => {
            let mut body = respond.send_response(head(200), false)?;
            body.send_data(Bytes::from_static(b"begun"), false)?;
            // The reset would overtake what is not sent yet.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            body.send_reset(Reason::INTERNAL_ERROR);
        }
        "/echo" => {
            let (parts, body) = request.into_parts();
            let echo = echo(&parts, &whole(body).await?);
            send(respond.send_response(head(200), false)?, echo.into()).await?;
        }
        // The head of the answer comes before the request was read.
        "/early" => {
            let mut sending = respond.send_response(head(200), false)?;
            sending.send_data(Bytes::from_static(b"counted "), false)?;
            let heard = whole(request.into_body()).await?;
            send(sending, heard.len().to_string().into()).await?;
        }
        "/redirect" => {
            let mut answer = head(302);
            answer.headers_mut().insert("location", http::HeaderValue::from_static("/ok"));
            respond.send_response(answer, true)?;
        }
        "/ok" => send(respond.send_response(head(200), false)?, Bytes::from_static(b"ok")).await?,
        _ => match (number("/large/"), number("/status/")) {
            (Some(bytes), _) => send(respond.send_response(head(200), false)?, vec![b'a'; bytes].into()).await?,
            (_, Some(status)) => {
                let status = u16::try_from(status).unwrap_or(500);
                send(respond.send_response(head(status), false)?, Bytes::from_static(b"status")).await?;
            }
            _ => send(respond.send_response(head(404), false)?, Bytes::from_static(b"no such path")).await?,
        },
    }
    Ok(())
}

fn echo(parts: &http::request::Parts, body: &[u8]) -> String {
    let headers: std::collections::BTreeMap<_, _> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    serde_json::json!({
        "method": parts.method.as_str(),
        "scheme": parts.uri.scheme_str(),
        "authority": parts.uri.authority().map(|authority| authority.as_str()),
        "path": parts.uri.path_and_query().map(|path| path.as_str()),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    })
    .to_string()
}

/// Reads a body to its end.
async fn whole(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Sends a body as fast as the client takes it.
async fn send(mut stream: SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(capacity) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return Ok(()) };
        let piece = body.split_to(capacity?.min(body.len()));
        stream.send_data(piece, false)?;
    }
    stream.send_data(Bytes::new(), true)
}

/// A frame of HTTP/2 (RFC 9113, section 4.1), whatever is in it.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// What a server says once it has heard a client of HTTP/2.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What it says first.
    pub says: Vec<u8>,
    /// What it says again and again after that.
    pub repeats: Vec<u8>,
    /// Whether it then closes, and does not wait for the client to do so.
    pub closes: bool,
}

impl Script {
    /// A script that begins with the settings that every server begins with.
    pub fn new(frames: &[Vec<u8>]) -> Self {
        Self { says: [frame(4, 0, 0, &[]), frames.concat()].concat(), ..Self::default() }
    }

    /// Starts a server that follows the script with every client.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(self, ip: IpAddr) -> io::Result<Server> {
        Server::start(ip, move |mut stream| {
            let script = self.clone();
            async move {
                script.follow(&mut stream).await.ok();
            }
        })
        .await
    }

    async fn follow(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut heard = Vec::new();
        // The request is the first that a client says on a stream of its own.
        while !begins_a_stream(&heard) {
            if stream.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(&self.says).await?;
        while !self.repeats.is_empty() {
            stream.write_all(&self.repeats).await?;
        }
        if self.closes {
            return stream.shutdown().await;
        }
        tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
    }
}

/// Whether a frame with headers is among what a client said: only then may a server answer on its stream.
pub fn begins_a_stream(heard: &[u8]) -> bool {
    let Some(mut rest) = heard.strip_prefix(PREFACE) else { return false };
    while let [a, b, c, kind, ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        match rest.get(9 + length..) {
            Some(_) if *kind == 1 => return true,
            Some(next) => rest = next,
            None => return false,
        }
    }
    false
}
