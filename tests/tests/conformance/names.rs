//! What the name server of a run says of each name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use watchpost_tests::dns_server::{Over, Reply, response_to};

/// The time to live of each answer, in seconds.
const TTL_S: u32 = 60;

/// What the name server says of a name. One that it was told nothing about does not exist.
#[derive(Debug, Clone)]
pub enum Dns {
    /// It has these addresses.
    Is(Vec<IpAddr>),
    /// The same, some time later.
    Slow(Duration, Vec<IpAddr>),
    /// It does not exist.
    Missing,
    /// The answer is this code.
    Code(ResponseCode),
    /// No answer.
    Silent,
    /// It is another name for this one, which has these addresses.
    Alias(&'static str, Vec<IpAddr>),
    /// It is another name for itself.
    AliasOfItself,
    /// An alias of a name that the same answer says does not exist.
    AliasOfMissing(&'static str),
    /// Another name server is said to know, which is no use to a client.
    Lame,
    /// The answer does not fit into a datagram; over TCP it is these addresses.
    Truncated(Vec<IpAddr>),
    /// The same, but connections are closed without an answer. Other questions that are under way on them have
    /// none either.
    TruncatedForEver,
    /// The answer does not fit into anything.
    TruncatedEverywhere,
    /// Questions for IPv4 addresses are answered with this code, and those for IPv6 with these addresses.
    HalfBroken(ResponseCode, Vec<IpAddr>),
    /// The answer is these bytes, with the id of the question before them.
    Garbage(Vec<u8>),
    /// An answer to another question, with the id of this one.
    OtherName(Vec<IpAddr>),
    /// These addresses, with another id than the question has.
    OtherId(Vec<IpAddr>),
}

/// What is said of each name, in lower case.
pub type Zone = HashMap<String, Dns>;

/// The reply to `question`.
pub fn reply(zone: &Zone, question: &[u8], over: Over) -> Reply {
    replied(zone, question, over).unwrap_or(Reply::Silence)
}

fn replied(zone: &Zone, question: &[u8], over: Over) -> Option<Reply> {
    let mut message = response_to(question)?;
    let query = message.queries.first()?.clone();
    let (name, kind) = (query.name().clone(), query.query_type());
    let known = zone.get(name.to_ascii().trim_end_matches('.').to_ascii_lowercase().as_str());
    match known.unwrap_or(&Dns::Missing) {
        Dns::Is(addresses) => add(&mut message, &name, kind, addresses),
        Dns::Slow(pause, addresses) => {
            add(&mut message, &name, kind, addresses);
            return Some(Reply::Later(*pause, message.to_vec().ok()?));
        }
        Dns::Missing => message.metadata.response_code = ResponseCode::NXDomain,
        Dns::Code(code) => message.metadata.response_code = *code,
        Dns::Silent => return Some(Reply::Silence),
        Dns::Alias(target, addresses) => {
            let target = Name::from_ascii(target).ok()?;
            message.add_answer(Record::from_rdata(name, TTL_S, RData::CNAME(CNAME(target.clone()))));
            add(&mut message, &target, kind, addresses);
        }
        Dns::AliasOfMissing(target) => {
            let target = Name::from_ascii(target).ok()?;
            message.metadata.response_code = ResponseCode::NXDomain;
            message.add_answer(Record::from_rdata(name, TTL_S, RData::CNAME(CNAME(target))));
        }
        Dns::AliasOfItself => {
            message.add_answer(Record::from_rdata(name.clone(), TTL_S, RData::CNAME(CNAME(name))));
        }
        Dns::Lame => {
            let (zone, server) = (Name::from_ascii("test.").ok()?, Name::from_ascii("ns.elsewhere.test.").ok()?);
            message.add_authority(Record::from_rdata(zone, TTL_S, RData::NS(NS(server))));
        }
        Dns::Truncated(_) | Dns::TruncatedForEver if over == Over::Udp => message.metadata.truncation = true,
        Dns::TruncatedEverywhere => message.metadata.truncation = true,
        Dns::Truncated(addresses) => add(&mut message, &name, kind, addresses),
        Dns::TruncatedForEver => return Some(Reply::Closes),
        Dns::HalfBroken(code, _) if kind == RecordType::A => message.metadata.response_code = *code,
        Dns::HalfBroken(_, addresses) => add(&mut message, &name, kind, addresses),
        Dns::Garbage(bytes) => return Some(Reply::Says([&question[..2], bytes].concat())),
        Dns::OtherName(addresses) => {
            let other = Name::from_ascii("other.test.").ok()?;
            message.queries.clear();
            message.add_query(hickory_proto::op::Query::query(other.clone(), kind));
            add(&mut message, &other, kind, addresses);
        }
        Dns::OtherId(addresses) => {
            add(&mut message, &name, kind, addresses);
            let mut bytes = message.to_vec().ok()?;
            bytes[0] ^= 0xff;
            return Some(Reply::Says(bytes));
        }
    }
    Some(Reply::Says(message.to_vec().ok()?))
}

fn add(message: &mut Message, name: &Name, kind: RecordType, addresses: &[IpAddr]) {
    for address in addresses {
        let data = match address {
            IpAddr::V4(v4) => RData::A((*v4).into()),
            IpAddr::V6(v6) => RData::AAAA((*v6).into()),
        };
        if data.record_type() == kind {
            message.add_answer(Record::from_rdata(name.clone(), TTL_S, data));
        }
    }
}
