//! A `watchpost up` with jobs to wait for, and a job's way to its console.

use std::collections::HashSet;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use watchpost_model::TaskResult;
use watchpost_tests::process::{Launch, SOON, Watchpost, until};

/// An `up` that runs `checks`.
pub struct Rig {
    pub watchpost: Watchpost,
    address: SocketAddr,
}

/// What the console answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Rig {
    pub async fn start(checks: &str) -> Self {
        Self::with(checks, &[]).await
    }

    pub async fn with(checks: &str, args: &[&str]) -> Self {
        let config = format!("bastion: b1\nchecks:\n{checks}");
        let launch = Launch::new("up").config(&config).args(&["--console", "127.0.0.1:0", "-o", "ndjson"]).args(args);
        let watchpost = launch.start_ready().await;
        let listens = watchpost.until_logged("the console listens").await;
        Self { watchpost, address: listens["address"].as_str().unwrap().parse().unwrap() }
    }

    /// Sends a request as it is, and hears the answer.
    pub async fn send(&self, request: &[u8]) -> Answer {
        let asked = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // It may have answered before it was told everything.
            stream.write_all(request).await.ok();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok();
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = tokio::time::timeout(SOON, asked).await.expect("an answer of the console");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: body.to_owned() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n{headers}\r\n{body}").as_bytes()).await
    }

    /// Beats, and must be heard.
    pub async fn beat(&self, path: &str) {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The results of a check so far.
    pub fn results(&self, check: &str) -> Vec<TaskResult> {
        self.watchpost.results().into_iter().filter(|result| result.check.as_str() == check).collect()
    }

    /// The latest result of a check, as soon as its reason is `code`; of one that passed, the empty text.
    pub async fn until_last(&self, check: &str, code: &str) -> TaskResult {
        let last = || self.results(check).pop().filter(|result| code_of(result) == code);
        until(&format!("{check} ends as `{code}`"), SOON, last).await
    }

    /// Stops it, and asserts that no task was told of twice.
    pub async fn stop(mut self) {
        assert_eq!(self.watchpost.stop().await, 0, "{}", self.watchpost.stderr());
        let mut seen = HashSet::new();
        for result in self.watchpost.results() {
            assert!(seen.insert(result.task), "told twice: {result:#?}");
        }
    }
}

pub fn code_of(result: &TaskResult) -> &str {
    result.reason.as_ref().map_or("", |reason| reason.code.as_str())
}

pub fn message_of(result: &TaskResult) -> &str {
    result.reason.as_ref().map_or("", |reason| reason.message.as_str())
}
