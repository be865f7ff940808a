//! A nats-server that `up --bus managed` runs as its child: on loopback, with credentials of its own and JetStream in the
//! state directory, for as long as this process lives.

mod files;
mod leftover;
mod ready;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use files::{Files, Lock};

/// Where it listens unless that port is taken, or another was used before.
const PORT: u16 = 4222;
/// How long it may take to be ready. It takes some 20 ms on an idle machine; recovering a large store takes longer.
const READY_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long it may take to end by itself.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How soon one that ended is started again: doubled each time up to the most, and the first again once it has lived that long.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// How often a port is looked for that is still free when the server takes it.
const PORT_TRIES: usize = 3;

/// A nats-server of our own. [`Managed::stop`] ends it; so does dropping it, less gently.
pub struct Managed {
    port: u16,
    password: String,
    stop: oneshot::Sender<()>,
    watched: JoinHandle<()>,
    _lock: Lock,
}

/// What is needed to start the server, each time.
struct Recipe {
    program: PathBuf,
    files: Files,
}

impl Managed {
    /// Starts a server that keeps its data below `state`; `program` is the nats-server, or it is looked for.
    ///
    /// # Errors
    /// When there is no nats-server, the directory cannot be used or is used by another, or it does not become ready.
    pub async fn start(state: &Path, program: Option<PathBuf>) -> Result<Self, Failure> {
        let program = match program {
            Some(program) => program,
            None => files::find_server()?,
        };
        let (files, lock) = Files::open(state)?;
        leftover::stop(&files).await?;
        let password = files.password()?;
        let recipe = Recipe { program, files };
        let (port, child) = recipe.first_start(&password).await?;
        recipe.files.tell_url(port, &password)?;
        tracing::info!(
            port,
            data = %recipe.files.folder().display(),
            url_file = %recipe.files.url().display(),
            "a nats-server of our own runs; other programs connect with the URL in the file"
        );
        let (stop, stopping) = oneshot::channel();
        let watched = tokio::spawn(recipe.watch(port, child, stopping));
        Ok(Self { port, password, stop, watched, _lock: lock })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Who we are, to it.
    pub fn user_and_password(&self) -> (&str, &str) {
        (files::USER, &self.password)
    }

    /// Ends the server, and waits for its end.
    pub async fn stop(self) {
        // Both fail only where whoever watches it has ended, and the server with it.
        let _gone = self.stop.send(());
        let _gone = self.watched.await;
    }
}

impl Recipe {
    /// Starts it for the first time, on a port that is free.
    async fn first_start(&self, password: &str) -> Result<(u16, Child), Failure> {
        let mut last = None;
        for _ in 0..PORT_TRIES {
            let port = free_port(self.files.last_port())?;
            self.files.write_config(port, password)?;
            match self.start(port).await {
                Ok(child) => return Ok((port, child)),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::stuck("no port is free for the nats-server")))
    }

    /// Starts it, and waits until it is ready.
    async fn start(&self, port: u16) -> Result<Child, Failure> {
        let failed = |what: String| Failure::stuck(format!("{} {what}", self.program.display()));
        let mut child = Command::new(&self.program)
            .arg("--config")
            .arg(self.files.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C is for us, and we end the server once everything is sent.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| failed(format!("cannot be started: {e}")))?;
        let until = Instant::now() + READY_LIMIT;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                let said = self.files.last_words();
                return Err(failed(format!("ended at once ({status}): {said}")));
            }
            if greets(port).await {
                return Ok(child);
            }
            if Instant::now() > until {
                let said = self.files.last_words();
                return Err(failed(format!("was not ready within {READY_LIMIT:?}: {said}")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Keeps it running until it is to stop.
    async fn watch(self, port: u16, mut child: Child, mut stop: oneshot::Receiver<()>) {
        let mut again = AGAIN_FIRST;
        loop {
            let started = Instant::now();
            let ended = tokio::select! {
                biased;
                // The handle was dropped: the same wish.
                _ = &mut stop => return end(child).await,
                ended = child.wait() => ended,
            };
            if started.elapsed() > AGAIN_MAX {
                again = AGAIN_FIRST;
            }
            let status = ended.map_or_else(|e| e.to_string(), |status| status.to_string());
            let said = self.files.last_words();
            tracing::error!(status, said, again_in = ?again, "the nats-server ended by itself; starting it again");
            child = loop {
                tokio::select! {
                    biased;
                    _ = &mut stop => return,
                    () = sleep(again) => {}
                }
                again = (again * 2).min(AGAIN_MAX);
                match self.start(port).await {
                    Ok(child) => break child,
                    Err(failure) => tracing::error!(again_in = ?again, "{failure}"),
                }
            };
        }
    }
}

/// Ends the server gently, then by force.
async fn end(mut child: Child) {
    leftover::terminate(child.id());
    if timeout(STOP_LIMIT, child.wait()).await.is_err() {
        tracing::warn!("the nats-server did not end within {STOP_LIMIT:?}; it is killed");
        // Fails only where it has ended meanwhile.
        child.kill().await.ok();
    }
}

/// The port that was used before, or the usual one; any other where that is taken.
fn free_port(last: Option<u16>) -> Result<u16, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, last.unwrap_or(PORT)))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let port = bound.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|e| Failure::stuck(format!("no port is free for the nats-server: {e}")))
}

/// Whether a NATS server greets who connects.
async fn greets(port: u16) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let mut first = [0; 5];
        stream.read_exact(&mut first).await?;
        std::io::Result::Ok(&first == b"INFO ")
    };
    matches!(timeout(Duration::from_secs(1), greeting).await, Ok(Ok(true)))
}
