//! What a row's server does.

use std::any::Any;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, crypto};
use watchpost_tests::http_fixture::{HttpFixture, Transport};
use watchpost_tests::http2_fixture::begins_a_stream;
use watchpost_tests::tcp_fixture::{Behaviour, Counts, FullListener, Server as TcpServer};
use watchpost_tests::tls_fixture::{Authority, Certificate, TlsFixture};

use crate::words::Words;

/// The largest request that a script listens to.
const HEARD_BYTES_MAX: usize = 1024 * 1024;
/// The pause between the pieces of what drips.
const DRIP_EVERY: Duration = Duration::from_millis(20);

/// One thing that a script does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads until an empty line, as the head of a request has at its end.
    Hear,
    /// Reads until a client of HTTP/2 has begun a request.
    HearHttp2,
    /// Reads once, whatever comes.
    HearSome,
    /// Says this. Words in braces are filled in where it is text.
    Say(Vec<u8>),
    /// Does nothing for so long: for what must take at least that.
    Wait(Duration),
    /// Says the same without end, as fast as it is read.
    SayForEver(Vec<u8>),
    /// Says the same without end, slowly.
    Drip(Vec<u8>),
    /// Closes in an orderly way: by TLS, where there is TLS, and by TCP.
    Close,
    /// Closes the connection without a word of TLS.
    Cut,
    /// Resets the connection.
    Reset,
}

/// Says `text`; words in braces are filled in.
pub fn say(text: impl Into<Vec<u8>>) -> Step {
    Step::Say(text.into())
}

/// What a row's server is.
pub enum Server {
    /// [`HttpFixture`], whose paths say what it does.
    Paths,
    /// The same behind TLS.
    TlsPaths(Tls),
    /// A script for each connection. One that has come to its end waits until the peer is gone.
    Script(Vec<Step>),
    /// The same behind TLS.
    TlsScript(Tls, Vec<Step>),
    /// A behaviour of a plain TCP server.
    Tcp(Behaviour),
    /// Nobody listens, and nobody else will.
    Closed,
    /// A listener whose queue is full.
    Full,
    /// Anything else.
    Other(Start),
}

/// Starts a server of a row's own.
pub type Start = Box<dyn FnOnce(Words) -> Pin<Box<dyn Future<Output = io::Result<Running>>>>>;

/// A server that runs until this is dropped.
pub struct Running {
    pub address: Option<SocketAddr>,
    pub counts: Option<Arc<Counts>>,
    /// Further words, and what they stand for.
    pub words: Vec<(&'static str, String)>,
    /// What must live as long as the server.
    #[expect(dead_code, reason = "nobody looks at it")]
    pub keep: Box<dyn Any>,
}

impl Running {
    pub fn at(address: SocketAddr, keep: impl Any) -> Self {
        Self { address: Some(address), counts: None, words: Vec::new(), keep: Box::new(keep) }
    }

    pub fn counted(address: SocketAddr, counts: &Arc<Counts>, keep: impl Any) -> Self {
        Self { counts: Some(Arc::clone(counts)), ..Self::at(address, keep) }
    }
}

/// What TLS a server speaks.
#[derive(Clone)]
pub enum Tls {
    /// With a certificate for the row's `{host}`.
    Shows(Certificate),
    /// With a certificate for this name or address.
    For(&'static str),
    /// With a certificate for `{host}` by an authority that nobody trusts.
    Untrusted,
    /// By this version, with a valid certificate, to clients that show one of the trusted authority's.
    AsksWho(&'static SupportedProtocolVersion),
    /// With a valid certificate, and a configuration that was changed so.
    With(fn(ServerConfig) -> ServerConfig),
}

impl Tls {
    fn config(&self, host: &str, authority: &Authority) -> io::Result<ServerConfig> {
        let made = match self {
            Self::Shows(kind) => authority.server_config(*kind, host),
            Self::For(name) => authority.server_config(Certificate::Valid, name),
            Self::Untrusted => Authority::new().map_err(io::Error::other)?.server_config(Certificate::Valid, host),
            Self::AsksWho(version) => {
                let config = authority.server_config(Certificate::Valid, host);
                config.and_then(|config| asking_who(version, &config, authority))
            }
            Self::With(change) => authority.server_config(Certificate::Valid, host).map(change),
        };
        made.map_err(|error| io::Error::other(error.to_string()))
    }
}

fn asking_who(
    version: &'static SupportedProtocolVersion,
    config: &ServerConfig,
    authority: &Authority,
) -> Result<ServerConfig, Box<dyn Error>> {
    let provider = Arc::new(crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().into())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    Ok(ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&config.cert_resolver)))
}

/// Says `bytes` to a request, and closes.
pub fn answer(bytes: impl Into<Vec<u8>>) -> Server {
    Server::Script(vec![Step::Hear, say(bytes), Step::Close])
}

/// Says `bytes` to a request, and keeps the connection open.
pub fn answer_and_stay(bytes: impl Into<Vec<u8>>) -> Server {
    Server::Script(vec![Step::Hear, say(bytes)])
}

/// An answer of status 200 with these header lines and this body, and its length.
pub fn ok(headers: &[&str], body: impl AsRef<[u8]>) -> Server {
    answer(response("200 OK", headers, body))
}

/// An answer with its length.
pub fn response(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

impl Server {
    /// Starts it on `ip`. `host` is the name that leads to it.
    pub async fn start(self, ip: IpAddr, host: &str, authority: &Authority, words: &Words) -> io::Result<Running> {
        Ok(match self {
            Self::Paths => {
                let fixture = HttpFixture::start_on(ip, host).await?;
                Running::counted(fixture.address(), &Arc::clone(fixture.counts()), fixture)
            }
            Self::TlsPaths(tls) => {
                let fixture = TlsFixture::start_with(ip, host, tls.config(host, authority)?).await?;
                Running::counted(fixture.address(), &Arc::clone(fixture.counts()), fixture)
            }
            Self::Script(steps) => {
                let steps = filled_in(&steps, words)?;
                let server = TcpServer::start(ip, move |stream| follow(Arc::clone(&steps), stream)).await?;
                Running::counted(server.address(), &Arc::clone(server.counts()), server)
            }
            Self::TlsScript(tls, steps) => {
                let steps = filled_in(&steps, words)?;
                let acceptor = TlsAcceptor::from(Arc::new(tls.config(host, authority)?));
                let server = TcpServer::start(ip, move |stream| {
                    let (steps, acceptor) = (Arc::clone(&steps), acceptor.clone());
                    async move {
                        // A client that does not like what it is shown goes away.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            follow(steps, stream).await;
                        }
                    }
                })
                .await?;
                Running::counted(server.address(), &Arc::clone(server.counts()), server)
            }
            Self::Tcp(behaviour) => {
                let server = behaviour.start(ip).await?;
                Running::counted(server.address(), &Arc::clone(server.counts()), server)
            }
            Self::Closed => {
                let socket = reserved(SocketAddr::new(ip, 0))?;
                Running::at(socket.local_addr()?, socket)
            }
            Self::Full => {
                let listener = FullListener::start((ip, 0).into()).await?;
                Running::at(listener.address()?, listener)
            }
            Self::Other(start) => start(words.clone()).await?,
        })
    }
}

/// A port that nobody listens on, and nobody else can have.
pub fn reserved(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(address)?;
    Ok(socket)
}

fn filled_in(steps: &[Step], words: &Words) -> io::Result<Arc<[Step]>> {
    let fill = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => words.filled_in(text).map(String::into_bytes).map_err(io::Error::other),
        Err(_) => Ok(bytes.to_vec()),
    };
    let filled = steps.iter().map(|step| match step {
        Step::Say(bytes) => fill(bytes).map(Step::Say),
        other => Ok(other.clone()),
    });
    filled.collect::<io::Result<Vec<_>>>().map(Into::into)
}

/// A peer that goes away ends a script; there is nothing else to do about it.
async fn follow(steps: Arc<[Step]>, mut stream: impl Transport) {
    for step in steps.iter() {
        match take(step, &mut stream).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
    until_gone(&mut stream).await.ok();
}

/// Takes one step, and says whether the connection goes on.
async fn take(step: &Step, stream: &mut impl Transport) -> io::Result<bool> {
    match step {
        Step::Hear => hear(stream).await?,
        Step::HearHttp2 => {
            let mut heard = Vec::new();
            while !begins_a_stream(&heard) {
                if stream.read_buf(&mut heard).await? == 0 {
                    return Ok(false);
                }
            }
        }
        Step::HearSome => drop(stream.read(&mut [0; 16 * 1024]).await?),
        Step::Say(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await?;
        }
        Step::Wait(pause) => tokio::time::sleep(*pause).await,
        Step::SayForEver(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        Step::Drip(bytes) => loop {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            tokio::time::sleep(DRIP_EVERY).await;
        },
        Step::Close => {
            stream.shutdown().await?;
            // What comes late is read, lest the end becomes a reset.
            until_gone(stream).await?;
            return Ok(false);
        }
        Step::Cut => return Ok(false),
        Step::Reset => {
            stream.tcp().set_zero_linger()?;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn hear(stream: &mut impl Transport) -> io::Result<()> {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|window| window == b"\r\n\r\n") {
        if heard.len() > HEARD_BYTES_MAX || stream.read_buf(&mut heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

async fn until_gone(stream: &mut impl Transport) -> io::Result<()> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}

/// A server that does what `handler` does with each connection.
pub fn each<F>(handler: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    Server::Other(Box::new(move |_| {
        Box::pin(async move {
            let server = TcpServer::start(IpAddr::from([127, 0, 0, 1]), handler).await?;
            Ok(Running::counted(server.address(), &Arc::clone(server.counts()), server))
        })
    }))
}
