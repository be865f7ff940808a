//! An HTTP server on loopback that remembers who logged in: by a token, or by a cookie and a form.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http_fixture::{Request, parameters, read_request};
use crate::tcp_fixture::{Counts, Server};

/// The password that `/login` wants.
pub const PASSWORD: &str = "open sesame";
/// What each token begins with: characters that mean something in URLs, forms and JSON.
pub const TOKEN: &str = "tok+/=&%\"-";
/// What each form's secret begins with.
pub const CSRF: &str = "csrf+/=&-";

/// The server. Paths:
/// - `POST /login` with a JSON object whose `password` is right: `{"token": …, "user": 17, "pin": 4711}`.
/// - `GET /orders/17` with `Authorization: Bearer TOKEN`, or with `?token=`: `{"user": 17, "token": …}`.
/// - `POST /logout` with `Authorization`: 204, and the token is good for nothing any more.
/// - `GET /form`: a cookie `sid`, and an HTML form with a hidden `csrf`.
/// - `POST /form` with both: a redirect to `/welcome`, which wants the cookie.
/// - `/value?v=TEXT`: `{"value": TEXT}`; `/bytes?n=N`: so many of `a`; `/location?to=URL`: a redirect.
/// - `/echo…`: what was asked, as JSON. `/hang`, `/close`.
#[derive(Debug)]
pub struct FlowFixture {
    server: Server,
    shop: Arc<Mutex<Shop>>,
}

#[derive(Debug, Default)]
struct Shop {
    /// How many secrets were given out.
    given: usize,
    tokens: BTreeSet<String>,
    /// The secret of each session's form.
    sessions: BTreeMap<String, String>,
    welcome: BTreeSet<String>,
    asked: Vec<String>,
}

/// Status, header lines, body.
type Answer = (u16, String, String);

impl FlowFixture {
    /// Starts a server on 127.0.0.1.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    /// Starts a server on `ip`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_on(ip: IpAddr) -> io::Result<Self> {
        let shop = Arc::<Mutex<Shop>>::default();
        let handling = Arc::clone(&shop);
        let server = Server::start(ip, move |stream| {
            let shop = Arc::clone(&handling);
            async move {
                // A client that goes away ends it; there is nothing else to do about it.
                handle(&shop, stream).await.ok();
            }
        })
        .await?;
        Ok(Self { server, shop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its connections so far.
    pub fn counts(&self) -> &Arc<Counts> {
        self.server.counts()
    }

    /// Method and path of each request so far.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.shop).asked.clone()
    }

    /// Whether somebody is logged in by a token.
    pub fn has_tokens(&self) -> bool {
        !locked(&self.shop).tokens.is_empty()
    }
}

fn locked(shop: &Mutex<Shop>) -> MutexGuard<'_, Shop> {
    shop.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn handle(shop: &Mutex<Shop>, mut stream: TcpStream) -> io::Result<()> {
    let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
    locked(shop).asked.push(format!("{} {}", request.method, request.path));
    match request.path.as_str() {
        "/close" => return Ok(()),
        "/hang" => return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop),
        _ => {}
    }
    let (status, headers, body) = locked(shop).answer(&request);
    let head =
        format!("HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

impl Shop {
    fn answer(&mut self, request: &Request) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/login") => self.login(request),
            ("GET", "/orders/17") => self.orders(request),
            ("POST", "/logout") => self.logout(request),
            ("GET", "/form") => self.form(),
            ("POST", "/form") => self.submit(request),
            ("GET", "/welcome") => match session(request).is_some_and(|session| self.welcome.contains(session)) {
                true => plain(200, "welcome"),
                false => plain(403, "who are you?"),
            },
            (_, "/value") => {
                let value = request.query.get("v").cloned().unwrap_or_default();
                json(200, &serde_json::json!({ "value": value }))
            }
            (_, "/bytes") => {
                let bytes = request.query.get("n").and_then(|n| n.parse().ok()).unwrap_or(0);
                plain(200, &"a".repeat(bytes))
            }
            (_, "/location") => {
                let to = request.query.get("to").cloned().unwrap_or_default();
                (302, format!("Location: {to}\r\n"), String::new())
            }
            (_, path) if path.starts_with("/echo") => json(
                200,
                &serde_json::json!({
                    "method": request.method,
                    "path": request.path,
                    "query": request.query,
                    "headers": request.headers,
                    "body": String::from_utf8_lossy(&request.body),
                }),
            ),
            _ => plain(404, "no such path"),
        }
    }

    fn secret(&mut self, prefix: &str) -> String {
        self.given += 1;
        format!("{prefix}{:04}", self.given)
    }

    fn login(&mut self, request: &Request) -> Answer {
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if asked["password"] != PASSWORD {
            return json(401, &serde_json::json!({ "error": "bad password" }));
        }
        let token = self.secret(TOKEN);
        self.tokens.insert(token.clone());
        json(200, &serde_json::json!({ "token": token, "user": 17, "pin": 4711 }))
    }

    /// The token that comes with a request, if it is a good one.
    fn token(&self, request: &Request) -> Option<String> {
        let header = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = header.or(request.query.get("token").map(String::as_str))?;
        self.tokens.get(token).cloned()
    }

    fn orders(&self, request: &Request) -> Answer {
        match self.token(request) {
            Some(token) => json(200, &serde_json::json!({ "user": 17, "items": ["a", "b"], "token": token })),
            None => json(401, &serde_json::json!({ "error": "no such token", "headers": request.headers })),
        }
    }

    fn logout(&mut self, request: &Request) -> Answer {
        match self.token(request) {
            Some(token) => {
                self.tokens.remove(&token);
                (204, String::new(), String::new())
            }
            None => plain(401, "who are you?"),
        }
    }

    fn form(&mut self) -> Answer {
        let (session, csrf) = (self.secret("session-"), self.secret(CSRF));
        let body = format!(
            "<html><form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\"><input name=\"user\"></form>"
        );
        let headers = format!("Set-Cookie: sid={session}; Path=/; HttpOnly\r\nContent-Type: text/html\r\n");
        self.sessions.insert(session, csrf);
        (200, headers, body)
    }

    fn submit(&mut self, request: &Request) -> Answer {
        let form = parameters(&String::from_utf8_lossy(&request.body).replace('+', " "));
        let Some(session) = session(request).filter(|session| self.sessions.contains_key(*session)) else {
            return plain(403, "no session");
        };
        if form.get("csrf") != self.sessions.get(session) {
            return plain(403, "the form was not ours");
        }
        self.welcome.insert(session.to_owned());
        (303, "Location: /welcome\r\n".to_owned(), String::new())
    }
}

/// The session that comes with a request as a cookie.
fn session(request: &Request) -> Option<&str> {
    let cookies = request.headers.get("cookie")?;
    cookies.split("; ").find_map(|pair| pair.strip_prefix("sid="))
}

fn json(status: u16, body: &serde_json::Value) -> Answer {
    (status, "Content-Type: application/json\r\n".to_owned(), body.to_string())
}

fn plain(status: u16, body: &str) -> Answer {
    (status, "Content-Type: text/plain\r\n".to_owned(), body.to_owned())
}
