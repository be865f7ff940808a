//! Servers that say back whatever they are sent, in every form that they can think of.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What all servers were sent.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<Vec<u8>>>);

impl Received {
    fn note(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    pub fn all(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// Servers that run until this is dropped.
pub struct Servers {
    tasks: JoinSet<()>,
    pub received: Received,
}

impl Servers {
    pub fn new() -> Self {
        Self { tasks: JoinSet::new(), received: Received::default() }
    }

    /// HTTP: what is done with a request, its path says.
    pub async fn http(&mut self) -> SocketAddr {
        self.tcp(|mut stream, received| async move {
            let Some(request) = request(&mut stream, &received).await else { return };
            answer(stream, &request).await;
        })
        .await
    }

    /// Says back every byte, as it comes.
    pub async fn raw(&mut self) -> SocketAddr {
        self.tcp(reflect).await
    }

    /// Answers every line with `error` and the line, over TLS.
    pub async fn tls_lines(&mut self, tls: TlsAcceptor, greeting: &'static str, error: &'static str) -> SocketAddr {
        self.tcp(move |stream, received| {
            let tls = tls.clone();
            async move {
                if let Ok(stream) = tls.accept(stream).await {
                    talk(stream, received, greeting, error).await;
                }
            }
        })
        .await
    }

    /// Redis: answers `PING`, and every other command with an error that says it back.
    pub async fn redis(&mut self) -> SocketAddr {
        self.tcp(|stream, received| async move {
            let (read, mut write) = tokio::io::split(stream);
            let mut lines = BufReader::new(read).lines();
            while let Some(words) = words(&mut lines).await {
                received.note(words.join(" ").as_bytes());
                let answer = match words.first().map(String::as_str) {
                    Some("PING") => "+PONG\r\n".to_owned(),
                    _ => format!("-ERR you said {}\r\n", words.join(" ")),
                };
                if write.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// gRPC: tells the metadata in the message of the call's status.
    pub async fn grpc(&mut self) -> SocketAddr {
        self.tcp(|stream, received| async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let told = format!("{:?}", request.headers());
                received.note(told.as_bytes());
                let said = request.headers().get("x-key").map_or(&b""[..], |value| value.as_bytes());
                let head = http::Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", "13")
                    .header("grpc-message", said)
                    .body(())
                    .unwrap();
                respond.send_response(head, true).ok();
            }
        })
        .await
    }

    pub async fn udp(&mut self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (socket.local_addr().unwrap(), self.received.clone());
        self.tasks.spawn(async move {
            let mut datagram = vec![0; 65_536];
            while let Ok((length, whom)) = socket.recv_from(&mut datagram).await {
                received.note(&datagram[..length]);
                socket.send_to(&datagram[..length], whom).await.ok();
            }
        });
        address
    }

    pub fn unix(&mut self, path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        let received = self.received.clone();
        self.tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                streams.spawn(reflect(stream, received.clone()));
            }
        });
    }

    pub async fn tcp<F, Fut>(&mut self, serve: F) -> SocketAddr
    where
        F: Fn(tokio::net::TcpStream, Received) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (listener.local_addr().unwrap(), self.received.clone());
        self.tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                streams.spawn(serve(stream, received.clone()));
            }
        });
        address
    }
}

async fn reflect(mut stream: impl AsyncRead + AsyncWrite + Unpin, received: Received) {
    let mut bytes = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        received.note(&bytes[..length]);
        if stream.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite, received: Received, greeting: &str, error: &str) {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).split(b'\n');
    if write.write_all(greeting.as_bytes()).await.is_err() {
        return;
    }
    // Of the command of which the line that follows is a part.
    let mut open = None;
    while let Ok(Some(line)) = lines.next_segment().await {
        received.note(&line);
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match (tag, command) {
            ("EHLO", _) => "250-mirror\r\n250 AUTH PLAIN LOGIN\r\n".to_owned(),
            ("CAPA", _) => "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n".to_owned(),
            ("USER", _) => format!("+OK {line}\r\n"),
            (tag, "CAPABILITY") => {
                let offered = if greeting.contains("AUTH=PLAIN") { " AUTH=PLAIN" } else { "" };
                format!("* CAPABILITY IMAP4rev1{offered}\r\n{tag} OK done\r\n")
            }
            (tag, "AUTHENTICATE PLAIN") => {
                open = Some(tag.to_owned());
                "+ \r\n".to_owned()
            }
            _ => format!("{} {line}\r\n", error.replace("TAG", open.as_deref().unwrap_or(tag))),
        };
        if write.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The words of one command of Redis, of which none has a line break.
async fn words(lines: &mut Lines<impl AsyncBufRead + Unpin>) -> Option<Vec<String>> {
    let count: usize = lines.next_line().await.ok()??.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        let _length = lines.next_line().await.ok()??;
        words.push(lines.next_line().await.ok()??);
    }
    Some(words)
}

/// The whole of one request.
async fn request(stream: &mut (impl AsyncRead + Unpin), received: &Received) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                received.note(&request);
                return Some(request);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

async fn answer(mut stream: impl AsyncWrite + Unpin, request: &[u8]) {
    let text = String::from_utf8_lossy(request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
    let header = |name: &str| {
        let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map_or("none", |(_, value)| value).to_owned()
    };
    let percent = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let key = header("x-key");
    let body: Bytes = match path.as_str() {
        "/base64" => {
            ["", "a", "ab"].map(|before| BASE64.encode(&[before.as_bytes(), request].concat())).join("\n").into()
        }
        "/hex" => HEXLOWER.encode(request).into(),
        "/percent" => form(&text).into(),
        "/every-byte" => percent(request).replace("%20", "+").into(),
        "/json" => {
            serde_json::json!({ "said": text, "again": serde_json::Value::from(&*text).to_string() }).to_string().into()
        }
        "/html" => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;").into(),
        // The excerpt ends in the middle of what is said back.
        "/cut" => format!("{}{key}", "x".repeat(16_384 - 12)).into(),
        "/garbage" => {
            let _sent = stream.write_all(request).await;
            return;
        }
        "/redirect" => {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: /json?key={key}\r\ncontent-length: 0\r\n\r\n");
            let _sent = stream.write_all(head.as_bytes()).await;
            return;
        }
        "/stall" => {
            let head = format!("HTTP/1.1 200 {key}\r\nx-said: {key}\r\ncontent-length: 1000000\r\n\r\n{text}");
            let _sent = stream.write_all(head.as_bytes()).await;
            std::future::pending::<()>().await;
            return;
        }
        _ => text.clone().into(),
    };
    let named: String = key.chars().filter(char::is_ascii_alphanumeric).collect();
    let head = format!(
        "HTTP/1.1 500 {key}\r\nx-said: {key}\r\nx-{named}: a name\r\nset-cookie: c={key}\r\nx-authorized: {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        header("authorization"),
        body.len()
    );
    let _sent = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}

/// As a form writes it.
fn form(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |done, byte| match byte {
        b' ' => done + "+",
        byte if unreserved(byte) => done + char::from(byte).to_string().as_str(),
        byte => format!("{done}%{byte:02x}"),
    })
}
