//! Proxies on loopback, by HTTP and by SOCKS 5, that note what they are asked for.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tcp_fixture::{Counts, Server};

/// The largest head of a request that is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How a proxy works.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The names that it can resolve.
    pub hosts: HashMap<String, IpAddr>,
    /// The username and the password that it wants.
    pub login: Option<(String, String)>,
}

impl Rules {
    /// Knows `hosts` and serves everybody.
    pub fn knowing(hosts: &[(&str, IpAddr)]) -> Self {
        Self { hosts: hosts.iter().map(|(name, ip)| ((*name).to_owned(), *ip)).collect(), login: None }
    }

    /// The same for those who log in.
    #[must_use]
    pub fn for_user(self, user: &str, password: &str) -> Self {
        Self { login: Some((user.to_owned(), password.to_owned())), ..self }
    }

    fn resolve(&self, authority: &str) -> Option<SocketAddr> {
        authority.parse().ok().or_else(|| {
            let (host, port) = authority.rsplit_once(':')?;
            Some(SocketAddr::new(*self.hosts.get(host)?, port.parse().ok()?))
        })
    }
}

/// A proxy. Dropping it closes every connection.
#[derive(Debug)]
pub struct ProxyFixture {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ProxyFixture {
    /// Starts a proxy that is spoken to by HTTP.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn http(ip: IpAddr, rules: Rules) -> io::Result<Self> {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noting = Arc::clone(&asked);
        let server = Server::start(ip, move |stream| {
            let (rules, noting) = (rules.clone(), Arc::clone(&noting));
            async move {
                // Whoever goes away ends it; there is nothing else to do about it.
                by_http(stream, &rules, &noting).await.ok();
            }
        })
        .await?;
        Ok(Self { server, asked })
    }

    /// Starts a proxy that is spoken to by SOCKS 5.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn socks(ip: IpAddr, rules: Rules) -> io::Result<Self> {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noting = Arc::clone(&asked);
        let server = Server::start(ip, move |stream| {
            let (rules, noting) = (rules.clone(), Arc::clone(&noting));
            async move {
                by_socks(stream, &rules, &noting).await.ok();
            }
        })
        .await?;
        Ok(Self { server, asked })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        self.server.counts()
    }

    /// What it was asked for, in order: `CONNECT a:443`, `GET http://a/`, `name a:80`, `address 127.0.0.1:80`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn note(asked: &Mutex<Vec<String>>, what: String) {
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

async fn by_http(mut client: TcpStream, rules: &Rules, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if head.len() > HEAD_BYTES_MAX || client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    };
    let rest = head.split_off(end);
    let head = String::from_utf8_lossy(&head).into_owned();
    let (line, headers) = head.split_once("\r\n").unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    note(asked, format!("{method} {target}"));
    let wanted = rules.login.as_ref().map(|(user, password)| {
        let encoded = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
        format!("proxy-authorization: basic {encoded}").to_ascii_lowercase()
    });
    if wanted.is_some_and(|wanted| !head.to_ascii_lowercase().contains(&wanted)) {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.write_all(refusal).await?;
        return client.shutdown().await;
    }
    let (authority, path) = match method {
        "CONNECT" => (target.to_owned(), String::new()),
        _ => {
            let rest = target.strip_prefix("http://").unwrap_or_default();
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
            (authority, format!("/{path}"))
        }
    };
    let connected = match rules.resolve(&authority) {
        Some(address) => TcpStream::connect(address).await,
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let Ok(mut server) = connected else {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndead").await?;
        return client.shutdown().await;
    };
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await?;
    } else {
        let kept = headers.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
        let request = format!("{method} {path} HTTP/1.1\r\n{}", kept.collect::<Vec<_>>().join("\r\n"));
        server.write_all(request.as_bytes()).await?;
    }
    server.write_all(&rest).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn by_socks(mut client: TcpStream, rules: &Rules, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let [_, count] = read(&mut client).await?;
    let mut methods = vec![0; usize::from(count)];
    client.read_exact(&mut methods).await?;
    let chosen = if rules.login.is_some() { 2 } else { 0 };
    if !methods.contains(&chosen) {
        return client.write_all(&[5, 0xff]).await;
    }
    client.write_all(&[5, chosen]).await?;
    if let Some((user, password)) = &rules.login {
        let [_] = read(&mut client).await?;
        let given = (text(&mut client).await?, text(&mut client).await?);
        let is_right = given == (user.clone(), password.clone());
        client.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(());
        }
    }
    let [_, _, _, kind] = read(&mut client).await?;
    let (what, host) = match kind {
        1 => ("address", IpAddr::from(Ipv4Addr::from(read::<4>(&mut client).await?)).to_string()),
        4 => ("address", format!("[{}]", Ipv6Addr::from(read::<16>(&mut client).await?))),
        _ => ("name", text(&mut client).await?),
    };
    let authority = format!("{host}:{}", client.read_u16().await?);
    note(asked, format!("{what} {authority}"));
    let (reply, server) = match rules.resolve(&authority) {
        None => (4, None),
        Some(address) => match TcpStream::connect(address).await {
            Ok(server) => (0, Some(server)),
            Err(_) => (5, None),
        },
    };
    client.write_all(&[5, reply, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    match server {
        Some(mut server) => tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop),
        None => Ok(()),
    }
}

async fn read<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A text after its length.
async fn text(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
