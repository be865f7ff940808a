//! A name server on loopback that knows the addresses it was given.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The time to live of each answer, in seconds.
const TTL_S: u32 = 60;
/// The largest question that is read.
const QUESTION_BYTES_MAX: usize = 4096;

/// A name server over UDP. Dropping it closes its socket.
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
        Self::serve(move |question| answer(&hosts, question)).await
    }

    /// Hears every question and answers none.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn silent() -> io::Result<Self> {
        Self::serve(|_| None).await
    }

    /// Answers every question with `code`.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn failing(code: ResponseCode) -> io::Result<Self> {
        Self::serve(move |question| {
            let mut message = reply(question)?;
            message.metadata.response_code = code;
            message.to_vec().ok()
        })
        .await
    }

    async fn serve(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let questions = Arc::<AtomicUsize>::default();
        let counting = Arc::clone(&questions);
        let serving = tokio::spawn(async move {
            let mut buffer = vec![0; QUESTION_BYTES_MAX];
            loop {
                // An asker that went away makes itself heard here as an error, and is no reason to stop.
                let Ok((length, asker)) = socket.recv_from(&mut buffer).await else { continue };
                counting.fetch_add(1, SeqCst);
                if let Some(answer) = answer(&buffer[..length]) {
                    socket.send_to(&answer, asker).await.ok();
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

fn reply(question: &[u8]) -> Option<Message> {
    let question = Message::from_vec(question).ok()?;
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(question.queries);
    Some(message)
}

fn answer(hosts: &HashMap<String, Vec<IpAddr>>, question: &[u8]) -> Option<Vec<u8>> {
    let mut message = reply(question)?;
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
