//! A Kubernetes API server on loopback, as far as EndpointSlices of one namespace go: list with label selectors and
//! pages, watch with bookmarks, versions that get too old, and bearer tokens. It answers as the real one does, down
//! to its `Status` objects, and knows nothing else.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test whose API server has a defect has failed")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::tcp_fixture::Server;

const NAMESPACE: &str = "shop";
/// The largest head of a request that is read.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The API server. Dropping it closes every connection.
#[derive(Debug)]
pub struct KubernetesApi {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    inner: Mutex<Inner>,
    /// Is sent each time that there is something for those who watch.
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    version: u64,
    /// Versions up to this one are forgotten: who asks about them is told so.
    forgotten: u64,
    slices: BTreeMap<String, Value>,
    events: Vec<(u64, Value)>,
    /// The state of lists whose pages are being fetched.
    snapshots: BTreeMap<u64, BTreeMap<String, Value>>,
    token: Option<String>,
    requests: Vec<String>,
    /// Counts up to end every watch.
    watches_ended: u64,
    is_down: bool,
}

/// One EndpointSlice of `service` called `name`, with ready endpoints at these addresses.
pub fn slice(name: &str, service: &str, port: u16, addresses: &[&str]) -> Value {
    let endpoint = |address: &&str| json!({ "addresses": [address], "conditions": { "ready": true } });
    json!({
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": { "kubernetes.io/service-name": service, "app": service },
        },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
    })
}

impl KubernetesApi {
    /// Starts a server that speaks plain HTTP.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::new(State::new());
        let serving = Arc::clone(&state);
        let server = Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), move |stream| {
            let state = Arc::clone(&serving);
            async move { state.serve(stream).await.unwrap_or_default() }
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Starts a server that speaks HTTPS.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start_with(config: ServerConfig) -> io::Result<Self> {
        let state = Arc::new(State::new());
        let (serving, acceptor) = (Arc::clone(&state), TlsAcceptor::from(Arc::new(config)));
        let server = Server::start(IpAddr::V4(Ipv4Addr::LOCALHOST), move |stream| {
            let (state, acceptor) = (Arc::clone(&serving), acceptor.clone());
            async move {
                // A client that does not like the certificate goes away.
                if let Ok(stream) = acceptor.accept(stream).await {
                    state.serve(stream).await.unwrap_or_default();
                }
            }
        })
        .await?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Adds a slice, or changes the one of its name.
    pub fn set(&self, mut slice: Value) {
        self.change(|inner| {
            let name = slice["metadata"]["name"].as_str().unwrap().to_owned();
            slice["metadata"]["resourceVersion"] = inner.version.to_string().into();
            let kind = if inner.slices.contains_key(&name) { "MODIFIED" } else { "ADDED" };
            inner.slices.insert(name, slice.clone());
            Some(json!({ "type": kind, "object": slice }))
        });
    }

    /// Removes a slice.
    pub fn remove(&self, name: &str) {
        self.change(|inner| {
            let mut slice = inner.slices.remove(name)?;
            slice["metadata"]["resourceVersion"] = inner.version.to_string().into();
            Some(json!({ "type": "DELETED", "object": slice }))
        });
    }

    /// Tells those who watch how far they are.
    pub fn bookmark(&self) {
        self.change(|inner| {
            let version = inner.version.to_string();
            let object = json!({ "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": { "resourceVersion": version } });
            Some(json!({ "type": "BOOKMARK", "object": object }))
        });
    }

    /// Sends those who watch a line of the test's own.
    pub fn say(&self, line: &Value) {
        self.change(|_| Some(line.clone()));
    }

    fn change(&self, change: impl FnOnce(&mut Inner) -> Option<Value>) {
        let mut inner = self.state.inner.lock().unwrap();
        inner.version += 1;
        let event = change(&mut inner);
        let version = inner.version;
        inner.events.extend(event.map(|event| (version, event)));
        drop(inner);
        self.state.wake();
    }

    /// Forgets what was before the present version, as the real one does after some minutes.
    pub fn forget(&self) {
        let mut inner = self.state.inner.lock().unwrap();
        inner.version += 1;
        inner.forgotten = inner.version;
        inner.events.clear();
        inner.snapshots.clear();
    }

    /// Ends every watch.
    pub fn end_watches(&self) {
        self.state.inner.lock().unwrap().watches_ended += 1;
        self.state.wake();
    }

    /// Answers requests with this bearer token only; `None`: all.
    pub fn set_token(&self, token: Option<&str>) {
        self.state.inner.lock().unwrap().token = token.map(str::to_owned);
    }

    /// Answers each request with 503, or does so no more.
    pub fn set_down(&self, is_down: bool) {
        self.state.inner.lock().unwrap().is_down = is_down;
    }

    /// The targets of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state.inner.lock().unwrap().requests.clone()
    }

    /// How many watches were begun.
    pub fn watches(&self) -> usize {
        self.requests().iter().filter(|request| request.contains("watch=1")).count()
    }

    /// How many lists were begun.
    pub fn lists(&self) -> usize {
        self.requests().iter().filter(|request| !request.contains("watch=1") && !request.contains("continue=")).count()
    }
}

/// What a request asks for.
struct Asked {
    path: String,
    query: BTreeMap<String, String>,
    token: Option<String>,
}

impl State {
    fn new() -> Self {
        let inner = Inner {
            version: 1000,
            forgotten: 0,
            slices: BTreeMap::new(),
            events: Vec::new(),
            snapshots: BTreeMap::new(),
            token: None,
            requests: Vec::new(),
            watches_ended: 0,
            is_down: false,
        };
        Self { inner: Mutex::new(inner), news: watch::Sender::new(0) }
    }

    fn wake(&self) {
        self.news.send_modify(|n| *n += 1);
    }

    /// Answers one request.
    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let Some(asked) = read_request(&mut stream, |target| self.inner.lock().unwrap().requests.push(target)).await?
        else {
            return Ok(());
        };
        let refusal = self.inner.lock().unwrap().refuse(&asked);
        if let Some(status) = refusal {
            return whole(&mut stream, &status).await;
        }
        if asked.query.get("watch").is_some_and(|watch| watch == "1" || watch == "true") {
            return self.watch(&mut stream, &asked).await;
        }
        let page = self.inner.lock().unwrap().list(&asked);
        whole(&mut stream, &page).await
    }

    async fn watch(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), asked: &Asked) -> io::Result<()> {
        let mut news = self.news.subscribe();
        let mut from: u64 = asked.query["resourceVersion"].parse().unwrap();
        let seconds = asked.query.get("timeoutSeconds").and_then(|n| n.parse().ok()).unwrap_or(1800);
        let until = Instant::now() + Duration::from_secs(seconds);
        let (wants_bookmarks, ended) = {
            let inner = self.inner.lock().unwrap();
            (asked.query.get("allowWatchBookmarks").is_some_and(|allow| allow == "true"), inner.watches_ended)
        };
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await?;
        loop {
            let (lines, over) = {
                let inner = self.inner.lock().unwrap();
                let is_wanted = |event: &Value| match event["type"].as_str() {
                    Some("BOOKMARK") => wants_bookmarks,
                    Some("ADDED" | "MODIFIED" | "DELETED") => selects(asked, &event["object"]),
                    _ => true,
                };
                let new = inner.events.iter().filter(|(version, event)| *version > from && is_wanted(event));
                let mut lines: Vec<Value> = new.map(|(_, event)| event.clone()).collect();
                // The version of the list itself is still known.
                let is_forgotten = from < inner.forgotten;
                if is_forgotten {
                    lines =
                        vec![json!({ "type": "ERROR", "object": status(410, "Expired", "too old resource version") })];
                }
                from = inner.version;
                (lines, is_forgotten || inner.watches_ended != ended || inner.is_down)
            };
            for line in lines {
                // In two pieces, since a line may arrive in any number of them.
                let line = format!("{line}\n");
                let (head, tail) = line.split_at(line.len() / 2);
                for piece in [head, tail] {
                    stream.write_all(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).await?;
                    stream.flush().await?;
                }
            }
            if over || Instant::now() >= until {
                stream.write_all(b"0\r\n\r\n").await?;
                return stream.shutdown().await;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep_until(until) => {}
                // A client says nothing more, so this is its end.
                _ = stream.read_u8() => return Ok(()),
            }
        }
    }
}

impl Inner {
    fn refuse(&self, asked: &Asked) -> Option<Value> {
        if self.is_down {
            return Some(status(503, "ServiceUnavailable", "the server is currently unable to handle the request"));
        }
        if self.token.is_some() && self.token != asked.token {
            return Some(status(401, "Unauthorized", "Unauthorized"));
        }
        match asked.path == format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices") {
            true => None,
            false => Some(status(404, "NotFound", "the server could not find the requested resource")),
        }
    }

    /// A page of the list. The state of its first page holds for the others.
    fn list(&mut self, asked: &Asked) -> Value {
        let limit: usize = asked.query.get("limit").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let (version, after, slices) = match asked.query.get("continue") {
            None => (self.version, String::new(), self.slices.clone()),
            Some(token) => {
                let (version, after) = token.split_once('/').unwrap();
                let version: u64 = version.parse().unwrap();
                match self.snapshots.get(&version) {
                    Some(slices) => (version, after.to_owned(), slices.clone()),
                    None => return status(410, "Expired", "The provided continue parameter is too old"),
                }
            }
        };
        let rest: Vec<&Value> =
            slices.iter().filter(|(name, slice)| **name > after && selects(asked, slice)).map(|(_, s)| s).collect();
        let page: Vec<&Value> = rest.iter().take(limit).copied().collect();
        let goes_on = match page.last() {
            Some(last) if rest.len() > limit => {
                format!("{version}/{}", last["metadata"]["name"].as_str().unwrap())
            }
            _ => String::new(),
        };
        let list = json!({
            "kind": "EndpointSliceList",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": { "resourceVersion": version.to_string(), "continue": goes_on },
            "items": page,
        });
        self.snapshots.insert(version, slices.clone());
        list
    }
}

/// Whether the label selector of a request selects an object: `k=v`, `k==v`, `k!=v`, `k`, `!k`, each of them.
fn selects(asked: &Asked, object: &Value) -> bool {
    let label = |key: &str| object["metadata"]["labels"][key].as_str();
    let selector = asked.query.get("labelSelector").map_or("", String::as_str);
    selector.split(',').filter(|term| !term.is_empty()).all(|term| {
        if let Some((key, value)) = term.split_once("!=") {
            label(key) != Some(value)
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            label(key) == Some(value)
        } else if let Some(key) = term.strip_prefix('!') {
            label(key).is_none()
        } else {
            label(term).is_some()
        }
    })
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code })
}

async fn whole(stream: &mut (impl AsyncWrite + Unpin), body: &Value) -> io::Result<()> {
    let code = if body["kind"] == "Status" { body["code"].as_u64().unwrap() } else { 200 };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} Status\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin), note: impl FnOnce(String)) -> io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    note(target.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(key, value)| (decoded(key), decoded(value))).collect();
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().strip_prefix("Bearer "))?.map(str::to_owned)
    });
    Ok(Some(Asked { path: path.to_owned(), query, token }))
}

/// As `application/x-www-form-urlencoded` has it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut hex = || char::from(rest.next().unwrap_or(b'0')).to_digit(16).unwrap_or(0);
        bytes.push(match byte {
            b'%' => u8::try_from(hex() * 16 + hex()).unwrap_or(b'?'),
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
