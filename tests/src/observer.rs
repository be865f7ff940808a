//! Whoever listens on the bus and writes down what passes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot listen has failed")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use tokio::task::JoinHandle;
use watchpost_model::{Format, Heartbeat, RunId, RunVerdict, Task, TaskId, TaskResult, decode, header};

use crate::process::{SOON, until};

/// Hears what Watchpost says on a NATS server.
#[derive(Debug)]
pub struct Observer {
    client: async_nats::Client,
    seen: Arc<Mutex<Seen>>,
    listening: JoinHandle<()>,
    marks: AtomicU32,
}

#[derive(Debug, Default)]
struct Seen {
    tasks: Vec<Arc<Task>>,
    results: Vec<Arc<TaskResult>>,
    verdicts: Vec<Arc<RunVerdict>>,
    heartbeats: Vec<Arc<Heartbeat>>,
    last_mark: Option<String>,
}

impl Observer {
    /// Listens to everything from now on. To the server it is one who listens to tasks: a task that
    /// no Runner takes is not sent back as one that nobody hears.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn start(url: &str) -> Self {
        Self::listen(url, "watchpost.>").await
    }

    /// Listens to results alone from now on.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn of_results(url: &str) -> Self {
        Self::listen(url, "watchpost.*.result.*").await
    }

    async fn listen(url: &str, filter: &'static str) -> Self {
        let client = async_nats::connect(url).await.expect("a connection to nats-server");
        let mut messages = client.subscribe(filter).await.expect("a subscription");
        client.flush().await.expect("nats-server answers");
        let seen = Arc::<Mutex<Seen>>::default();
        let noting = Arc::clone(&seen);
        let listening = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                noting.lock().expect("the notes").note(&message);
            }
        });
        Self { client, seen, listening, marks: AtomicU32::new(0) }
    }

    /// Its own connection, to publish with.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Waits until everything is written down that the server had before this call.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn catch_up(&self) {
        let mark = format!("watchpost.observer.result.mark-{}", self.marks.fetch_add(1, Ordering::Relaxed));
        self.client.publish(mark.clone(), "".into()).await.expect("a mark on the bus");
        until("the observer's own mark", SOON, || (self.lock().last_mark.as_ref() == Some(&mark)).then_some(())).await;
    }

    /// Every task that was published so far.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.lock().tasks.clone()
    }

    /// Every result so far.
    pub fn results(&self) -> Vec<Arc<TaskResult>> {
        self.lock().results.clone()
    }

    /// Every verdict so far.
    pub fn verdicts(&self) -> Vec<Arc<RunVerdict>> {
        self.lock().verdicts.clone()
    }

    /// Every heartbeat so far.
    pub fn heartbeats(&self) -> Vec<Arc<Heartbeat>> {
        self.lock().heartbeats.clone()
    }

    /// Every result so far, by task.
    pub fn results_by_task(&self) -> HashMap<TaskId, Vec<Arc<TaskResult>>> {
        let mut by_task = HashMap::<TaskId, Vec<_>>::new();
        for result in self.results() {
            by_task.entry(result.task).or_default().push(result);
        }
        by_task
    }

    /// Every result so far, by run.
    pub fn results_by_run(&self) -> HashMap<RunId, Vec<Arc<TaskResult>>> {
        let mut by_run = HashMap::<RunId, Vec<_>>::new();
        for result in self.results() {
            by_run.entry(result.run).or_default().push(result);
        }
        by_run
    }

    /// The tasks that have no result so far.
    pub fn unanswered(&self) -> Vec<Arc<Task>> {
        let answered = self.results_by_task();
        self.tasks().into_iter().filter(|task| !answered.contains_key(&task.task)).collect()
    }

    /// Asserts that no task has two results, and gives those that have none.
    ///
    /// # Panics
    /// When a task has two.
    pub fn assert_at_most_one_result_each(&self) -> Vec<Arc<Task>> {
        for (task, results) in self.results_by_task() {
            assert_eq!(results.len(), 1, "task {task} has more than one result: {results:#?}");
        }
        self.unanswered()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("the notes")
    }
}

impl Seen {
    /// What cannot be read is not ours to judge here.
    fn note(&mut self, message: &async_nats::Message) {
        let tokens: Vec<&str> = message.subject.split('.').collect();
        let content_type = message.headers.as_ref().and_then(|headers| headers.get(header::CONTENT_TYPE));
        let format = Format::detect(content_type.map(|value| value.as_str()), &message.payload);
        match tokens.as_slice() {
            [_, _, "task", _] => self.tasks.extend(decode(&message.payload, format).ok().map(Arc::new)),
            [_, "observer", "result", _] => self.last_mark = Some(message.subject.to_string()),
            [_, _, "result", _] => self.results.extend(decode(&message.payload, format).ok().map(Arc::new)),
            [_, _, "verdict", _] => self.verdicts.extend(decode(&message.payload, format).ok().map(Arc::new)),
            [_, _, "heartbeat"] => self.heartbeats.extend(decode(&message.payload, format).ok().map(Arc::new)),
            _ => {}
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
