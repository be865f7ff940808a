//! The way through a proxy: a tunnel by HTTP or SOCKS 5, or a request that goes to the proxy whole.
//!
//! Asking the proxy is a part of the phase `connect`. Nothing that it answers is trusted with more than a
//! status: what it says is bounded, and what follows is left on the connection.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::{Proxy, ProxyKind, Reason, ReasonCode, shorten};
use watchpost_policy::{Purpose, Transport};

use super::exchange::Way;
use super::hop::Hop;
use crate::network::{Destination, Errand, Network};
use crate::recorder::{Recorder, Stage};
use crate::secret::basic_credentials;
use crate::{Verdict, failure};

/// The largest head of an answer of a proxy, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a proxy is asked to connect to.
enum To<'a> {
    Name(&'a str, u16),
    Address(SocketAddr),
}

impl std::fmt::Display for To<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Why a proxy did not connect.
enum Refused {
    /// The connection to it failed.
    Io(io::Error),
    /// It says so. The text completes "the proxy …".
    Told(ReasonCode, String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn told<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Told(ReasonCode::ProxyError, message.into()))
}

/// Connects to the target of `hop` through `proxy`. With `tunnels`, the proxy is asked for a tunnel where it
/// could be asked for the answer as well.
///
/// # Errors
/// The verdict on a proxy that cannot be reached, or does not connect.
pub(crate) async fn connect<'a>(
    network: &Network,
    proxy: &'a Proxy,
    hop: &Hop,
    to: Destination<'_>,
    tunnels: bool,
    recorder: &Recorder,
) -> Result<Way<'a>, Verdict> {
    let target = if proxy.kind != ProxyKind::Socks5 && to.literal().is_none() && network.proxies_resolve() {
        network.permit_name_behind_proxy(to)?;
        To::Name(to.host, to.port)
    } else {
        let addresses = network.addresses(to, Transport::Tcp, recorder).await?;
        To::Address(*addresses.first().ok_or_else(failure::bad_task)?)
    };
    let errand = to.errand.map(|errand| Errand { purpose: Purpose::Proxy, method: None, ..errand });
    let (host, port) = (proxy.address.host(), proxy.address.port());
    let at_proxy = Destination { host, port, endpoint: None, route: to.route, told: [None, None], errand };
    let mut connection = network.connect(at_proxy, recorder).await.map_err(|mut verdict| {
        if let Some(reason) = &mut verdict.reason {
            reason.message.insert_str(0, "the proxy cannot be reached: ");
        }
        verdict
    })?;
    // A request that a proxy is to pass on has a place for the URL's host only, and none for the address that it is to
    // go to: where those differ, there has to be a tunnel. So it has where `Host` is another, by which some proxies go.
    let is_of_url = matches!(target, To::Name(..)) || (to.endpoint.is_none() && to.literal().is_some());
    let is_of_url = is_of_url && !hop.tells_another_host();
    if proxy.kind == ProxyKind::Http && !tunnels && !hop.is_tls() && is_of_url {
        return Ok(Way { proxy: Some(proxy), ..Way::direct(connection) });
    }
    recorder.enter(Stage::Connect);
    let whom = format!("the proxy {}", at_proxy.whom(recorder.position().address));
    recorder.tunnels(Some(format!("{whom} did not connect to {target}")));
    let asked = match proxy.kind {
        ProxyKind::Http => by_http(&mut connection, &target, proxy).await,
        ProxyKind::Socks5 | ProxyKind::Socks5h => by_socks(&mut connection, &target, proxy).await,
    };
    if let Err(refused) = asked {
        let (code, why) = match refused {
            Refused::Told(code, why) => (code, why),
            Refused::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                (ReasonCode::ProxyError, format!("closed the connection when it was asked for {target}"))
            }
            Refused::Io(error) => {
                (ReasonCode::ProxyError, format!("failed when it was asked for {target}: {}", failure::plain(&error)))
            }
        };
        return Err(Verdict::error(Reason::new(code, format!("{whom} {why}"))));
    }
    recorder.tunnels(None);
    Ok(Way::direct(connection))
}

/// How a proxy is told who asks, as the value of `Proxy-Authorization`.
pub(crate) fn authorization(proxy: &Proxy) -> Option<String> {
    let (user, password) = proxy.login.as_ref()?;
    Some(format!("Basic {}", basic_credentials(user, password)))
}

/// Asks for a tunnel by `CONNECT` (RFC 9110, section 9.3.6).
async fn by_http(connection: &mut TcpStream, to: &To<'_>, proxy: &Proxy) -> Result<(), Refused> {
    let login = authorization(proxy).map(|login| format!("Proxy-Authorization: {login}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{login}\r\n");
    connection.write_all(request.as_bytes()).await?;
    let head = read_head(connection).await?;
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.splitn(2, ' ');
    let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let code = status.get(..3).and_then(|code| code.parse::<u16>().ok());
    match code {
        Some(200..=299) if version.starts_with("HTTP/1.") => Ok(()),
        Some(407) if proxy.login.is_none() => told("wants a user and a password, and the check has none (status 407)"),
        Some(407) => told("does not accept the user and the password of the check (status 407)"),
        Some(_) if version.starts_with("HTTP/1.") => {
            told(format!("did not connect to {to}: status {}", shorten(status.trim_end(), 80)))
        }
        _ => told("does not speak HTTP"),
    }
}

/// Reads the head of an answer, and nothing of what follows it.
async fn read_head(connection: &mut TcpStream) -> Result<Vec<u8>, Refused> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    while head.len() <= HEAD_BYTES_MAX {
        let had = head.len();
        head.resize(had + 1024, 0);
        let seen = connection.peek(head.get_mut(had..).unwrap_or_default()).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        head.truncate(had + seen);
        let end = memchr::memmem::find(head.get(had.saturating_sub(3)..).unwrap_or_default(), END);
        let end = end.map(|at| had.saturating_sub(3) + at + END.len());
        head.truncate(end.unwrap_or(head.len()));
        connection.read_exact(head.get_mut(had..).unwrap_or_default()).await?;
        if end.is_some() {
            return Ok(head);
        }
    }
    told(format!("does not speak HTTP: the head of its answer has more than {HEAD_BYTES_MAX} bytes"))
}

/// Asks for a connection by SOCKS 5 (RFC 1928).
async fn by_socks(connection: &mut TcpStream, to: &To<'_>, proxy: &Proxy) -> Result<(), Refused> {
    const VERSION: u8 = 5;
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let offers: &[u8] = if proxy.login.is_some() { &[VERSION, 2, NO_LOGIN, PASSWORD] } else { &[VERSION, 1, NO_LOGIN] };
    connection.write_all(offers).await?;
    let mut chosen = [0; 2];
    connection.read_exact(&mut chosen).await?;
    match (chosen, &proxy.login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some((user, password))) => log_in(connection, user, password).await?,
        ([VERSION, _], None) => return told("wants a user and a password, and the check has none"),
        ([VERSION, _], Some(_)) => return told("does not take a user and a password"),
        _ => return told("does not speak SOCKS 5"),
    }
    let mut request = vec![VERSION, 1, 0];
    let port = match to {
        To::Name(name, port) => {
            request.push(3);
            push_text(&mut request, name);
            *port
        }
        To::Address(SocketAddr::V4(address)) => {
            request.push(1);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
        To::Address(SocketAddr::V6(address)) => {
            request.push(4);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    connection.write_all(&request).await?;
    let mut reply = [0; 4];
    connection.read_exact(&mut reply).await?;
    let [VERSION, reply, _, kind] = reply else { return told("does not speak SOCKS 5") };
    if reply != 0 {
        return Err(of_reply(reply, to));
    }
    // From where the proxy connects, which is of no interest.
    let length = match kind {
        1 => 4,
        3 => usize::from(connection.read_u8().await?),
        4 => 16,
        _ => return told("does not speak SOCKS 5"),
    };
    let mut bound = [0; 255 + 2];
    connection.read_exact(bound.get_mut(..length + 2).unwrap_or_default()).await?;
    Ok(())
}

/// Logs in by a username and a password (RFC 1929).
async fn log_in(connection: &mut TcpStream, user: &str, password: &str) -> Result<(), Refused> {
    let mut login = vec![1];
    push_text(&mut login, user);
    push_text(&mut login, password);
    connection.write_all(&login).await?;
    let mut answer = [0; 2];
    connection.read_exact(&mut answer).await?;
    match answer {
        [_, 0] => Ok(()),
        _ => told("does not accept the user and the password of the check"),
    }
}

/// Appends a text after its length. Names and logins are never longer than that can say.
fn push_text(request: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..255).unwrap_or(bytes);
    request.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    request.extend_from_slice(bytes);
}

/// Why SOCKS did not connect to `to`: some of it speaks of the target.
fn of_reply(reply: u8, to: &To<'_>) -> Refused {
    let (code, why) = match reply {
        2 => (ReasonCode::ProxyError, "its rules do not allow it"),
        3 => (ReasonCode::ConnectUnreachable, "it has no route to its network"),
        4 => (ReasonCode::ConnectUnreachable, "it has no route to it"),
        5 => (ReasonCode::ConnectRefused, "it refused the connection"),
        6 => (ReasonCode::ConnectTimeout, "it did not answer in time"),
        7 => (ReasonCode::ProxyError, "it does not connect at all"),
        8 => (ReasonCode::ProxyError, "it does not know such addresses"),
        _ => (ReasonCode::ProxyError, "it gives no reason"),
    };
    Refused::Told(code, format!("did not connect to {to}: {why} (reply {reply})"))
}
