//! A name server on loopback that knows the addresses it was given, or answers as a test says.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

/// The time to live of each answer, in seconds.
const TTL_S: u32 = 60;
/// The largest question that is read.
const QUESTION_BYTES_MAX: usize = 4096;
/// How often a port is looked for that is free for both UDP and TCP.
const PORTS_TRIED_MAX: usize = 32;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// In a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// What becomes of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing. A connection on which it came stays open.
    Silence,
    /// These bytes, whatever they are.
    Says(Vec<u8>),
    /// The same, some time later. Other questions are not held up.
    Later(Duration, Vec<u8>),
    /// The connection on which it came is closed; over UDP the same as silence.
    Closes,
}

/// A name server over UDP and TCP. Dropping it closes its sockets.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl DnsServer {
    /// Answers A and AAAA questions for the names in `hosts`. A name with no address exists without
    /// one; any other name does not exist.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start(hosts: &[(&str, &[IpAddr])]) -> io::Result<Self> {
        let hosts: HashMap<String, Vec<IpAddr>> =
            hosts.iter().map(|(name, addresses)| (name.to_ascii_lowercase(), addresses.to_vec())).collect();
        Self::answering(move |question, _| said(answer(&hosts, question))).await
    }

    /// Hears every question and answers none.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn silent() -> io::Result<Self> {
        Self::answering(|_, _| Reply::Silence).await
    }

    /// Answers every question with `code`.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn failing(code: ResponseCode) -> io::Result<Self> {
        Self::answering(move |question, _| {
            said(response_to(question).and_then(|mut message| {
                message.metadata.response_code = code;
                message.to_vec().ok()
            }))
        })
        .await
    }

    /// Answers each question with what `answer` says to its bytes.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn answering(answer: impl Fn(&[u8], Over) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let (datagrams, connections) = sockets().await?;
        let address = datagrams.local_addr()?;
        let questions = Arc::<AtomicUsize>::default();
        let counting = Arc::clone(&questions);
        let answer: Arc<Answering> = Arc::new(move |question, over| {
            counting.fetch_add(1, SeqCst);
            answer(question, over)
        });
        let serving = tokio::spawn(async move {
            let datagrams = Arc::new(datagrams);
            let mut buffer = vec![0; QUESTION_BYTES_MAX];
            // Dropping the set, when this task is aborted, aborts what is under way.
            let mut under_way = JoinSet::new();
            loop {
                tokio::select! {
                    // An asker that went away makes itself heard here as an error, and is no reason to stop.
                    heard = datagrams.recv_from(&mut buffer) => if let Ok((length, asker)) = heard {
                        let (datagrams, reply) = (Arc::clone(&datagrams), answer(&buffer[..length], Over::Udp));
                        under_way.spawn(async move {
                            if let Some(bytes) = reply.bytes().await {
                                datagrams.send_to(&bytes, asker).await.ok();
                            }
                        });
                    },
                    accepted = connections.accept() => if let Ok((stream, _)) = accepted {
                        let answer = Arc::clone(&answer);
                        under_way.spawn(async move { converse(stream, &*answer).await.unwrap_or_default() });
                    },
                    Some(_) = under_way.join_next() => {}
                }
            }
        });
        Ok(Self { address, questions, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions it has heard.
    pub fn questions(&self) -> usize {
        self.questions.load(SeqCst)
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Answering = dyn Fn(&[u8], Over) -> Reply + Send + Sync;

fn said(answer: Option<Vec<u8>>) -> Reply {
    answer.map_or(Reply::Silence, Reply::Says)
}

impl Reply {
    /// What is to be sent, once it is time; `None` where nothing is.
    async fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Silence | Self::Closes => None,
            Self::Says(bytes) => Some(bytes),
            Self::Later(pause, bytes) => {
                tokio::time::sleep(pause).await;
                Some(bytes)
            }
        }
    }
}

/// A socket for datagrams and one for connections, on the same port.
async fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tried = 0;
    loop {
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        tried += 1;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Ok(connections) => return Ok((datagrams, connections)),
            Err(_) if tried < PORTS_TRIED_MAX => {}
            Err(error) => return Err(error),
        }
    }
}

/// Answers questions on a connection, where each has its length before it, until the asker is gone.
async fn converse(mut stream: TcpStream, answer: &Answering) -> io::Result<()> {
    let (mut from, mut to) = stream.split();
    // Questions are answered as soon as it is time, whatever those before them wait for.
    let mut replies = FuturesUnordered::new();
    let mut read = Box::pin(question(&mut from));
    loop {
        tokio::select! {
            heard = &mut read => {
                let (heard, from) = heard?;
                let reply = answer(&heard, Over::Tcp);
                if reply == Reply::Closes {
                    return Ok(());
                }
                replies.push(reply.bytes());
                read = Box::pin(question(from));
            }
            Some(reply) = replies.next() => if let Some(bytes) = reply {
                let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
                to.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
            },
        }
    }
}

/// Reads one question, and gives back what it was read from.
async fn question<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<(Vec<u8>, &mut R)> {
    let mut question = vec![0; usize::from(from.read_u16().await?)];
    from.read_exact(&mut question).await?;
    Ok((question, from))
}

/// The beginning of an answer to `question`: its id and what it asks. `None` where it cannot be read.
pub fn response_to(question: &[u8]) -> Option<Message> {
    let question = Message::from_vec(question).ok()?;
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(question.queries);
    Some(message)
}

fn answer(hosts: &HashMap<String, Vec<IpAddr>>, question: &[u8]) -> Option<Vec<u8>> {
    let mut message = response_to(question)?;
    let query = message.queries.first()?.clone();
    let name = query.name().to_ascii();
    match hosts.get(name.trim_end_matches('.').to_ascii_lowercase().as_str()) {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some(addresses) => {
            for address in addresses {
                let (kind, data) = match address {
                    IpAddr::V4(v4) => (RecordType::A, RData::A((*v4).into())),
                    IpAddr::V6(v6) => (RecordType::AAAA, RData::AAAA((*v6).into())),
                };
                if kind == query.query_type() {
                    message.add_answer(Record::from_rdata(query.name().clone(), TTL_S, data));
                }
            }
        }
    }
    message.to_vec().ok()
}
