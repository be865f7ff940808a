//! Questions and answers as they travel, and which answer belongs to which question.

use hickory_proto::op::{Edns, Message, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use watchpost_model::{DnsEvidence, DnsRecord, DnsSettings, DnsTransport, Rcode, shorten};

/// The longest message, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 65_535;
const HEADER_BYTES: usize = 12;
/// The most records of a section that results show.
const RECORDS_SHOWN_MAX: usize = 32;
/// How much of a record's data results show.
const DATA_CHARS_SHOWN: usize = 400;

/// A question, ready to be sent.
#[derive(Debug)]
pub(super) struct Question {
    query: Query,
    id: u16,
    bytes: Vec<u8>,
}

/// Why a message is not the answer that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It belongs to another question. Anybody may have sent it who guesses at numbers.
    Stranger(String),
    /// It belongs to this question, and cannot be read.
    Malformed(String),
}

impl Question {
    /// The question that the settings describe.
    ///
    /// # Errors
    /// What in them cannot be asked. The model validates them, so this would be a defect.
    pub(super) fn of(settings: &DnsSettings) -> Result<Self, String> {
        let asked = settings.name.asked();
        let labels = asked.split('.').filter(|label| !label.is_empty()).map(str::as_bytes);
        let name = Name::from_labels(labels).map_err(|e| e.to_string())?;
        let query = Query::query(name, RecordType::from(settings.record_type.code()));
        let mut message = Message::query();
        if settings.transport == DnsTransport::Https {
            // The same question is the same request then, as caches like it (RFC 8484, section 4.1).
            message.metadata.id = 0;
        }
        message.metadata.recursion_desired = settings.recursion_desired;
        message.add_query(query.clone());
        if settings.edns_size > 0 {
            let mut edns = Edns::new();
            edns.set_max_payload(settings.edns_size).set_dnssec_ok(settings.dnssec);
            message.set_edns(edns);
        }
        let bytes = message.to_vec().map_err(|e| e.to_string())?;
        Ok(Self { query, id: message.metadata.id, bytes })
    }

    /// What is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is sent over a stream: the length comes first (RFC 1035, section 4.2.2).
    pub(super) fn framed(&self) -> Vec<u8> {
        let length = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes(), self.bytes.as_slice()].concat()
    }

    /// The name that is asked for.
    pub(super) fn name(&self) -> &Name {
        self.query.name()
    }

    /// Reads `bytes` as the answer.
    ///
    /// # Errors
    /// Why they are not.
    pub(super) fn answer(&self, bytes: &[u8]) -> Result<Answer, Unfit> {
        let stranger = |why: String| Err(Unfit::Stranger(why));
        let malformed = |why: String| Unfit::Malformed(why);
        match bytes {
            [] | [_] => return stranger(format!("it has {} bytes", bytes.len())),
            [high, low, ..] if u16::from_be_bytes([*high, *low]) != self.id => {
                return stranger(format!("its id is {}, not {}", u16::from_be_bytes([*high, *low]), self.id));
            }
            short if short.len() < HEADER_BYTES => {
                return Err(malformed(format!("it has {} bytes, fewer than its head", short.len())));
            }
            [_, _, flags, ..] if flags & 0x80 == 0 => return stranger("it is a question itself".to_owned()),
            _ => {}
        }
        let message = match Message::from_vec(bytes) {
            Ok(message) => message,
            // What was cut short may have been cut in the middle of a record.
            Err(_) if is_cut_short(bytes) => return Ok(Answer { message: None, bytes: bytes.len() }),
            Err(error) => return Err(malformed(shorten(&error.to_string(), 200).into_owned())),
        };
        if message.metadata.op_code != OpCode::Query {
            return stranger(format!(
                "it is about an operation that was not asked for, {:?}",
                message.metadata.op_code
            ));
        }
        match message.queries.as_slice() {
            [query] if *query == self.query => {}
            // A server that does not understand a question, or does not want to, need not repeat it.
            [] if !matches!(rcode(&message), Rcode::NOERROR | Rcode::NXDOMAIN) => {}
            [] => return stranger("it repeats no question".to_owned()),
            [other, ..] => {
                let other = format!("{} {}", type_word(other.query_type()), other.name());
                return stranger(format!("its question is {}", shorten(&other, 80)));
            }
        }
        Ok(Answer { message: Some(message), bytes: bytes.len() })
    }
}

/// The TC bit of a message that has a head.
fn is_cut_short(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

fn rcode(message: &Message) -> Rcode {
    Rcode::from_code(u16::from(message.metadata.response_code))
}

/// An answer to the question that was asked.
#[derive(Debug)]
pub(super) struct Answer {
    /// `None` where nothing is known but that it was cut short.
    message: Option<Message>,
    bytes: usize,
}

impl Answer {
    pub(super) fn is_truncated(&self) -> bool {
        self.message.as_ref().is_none_or(|message| message.metadata.truncation)
    }

    /// How the server calls it; `None` where that was cut off.
    pub(super) fn rcode(&self) -> Option<Rcode> {
        self.message.as_ref().map(rcode)
    }

    /// Whether the flag `aa`, `tc`, `rd`, `ra`, `ad` or `cd` is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.flags().contains(&name)
    }

    /// The flags that are set.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let Some(message) = &self.message else { return vec!["tc"] };
        let head = &message.metadata;
        [
            ("aa", head.authoritative),
            ("tc", head.truncation),
            ("rd", head.recursion_desired),
            ("ra", head.recursion_available),
            ("ad", head.authentic_data),
            ("cd", head.checking_disabled),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect()
    }

    pub(super) fn answers(&self) -> &[Record] {
        self.message.as_ref().map_or(&[], |message| &message.answers)
    }

    pub(super) fn authority(&self) -> &[Record] {
        self.message.as_ref().map_or(&[], |message| &message.authorities)
    }

    /// How many records came along, without that of EDNS.
    pub(super) fn additional_count(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.additionals.len())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts into `evidence` what there is to see.
    pub(super) fn show(&self, evidence: &mut DnsEvidence) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shown = |records: &[Record]| records.iter().take(RECORDS_SHOWN_MAX).map(shown).collect();
        evidence.rcode = self.rcode().map(|rcode| rcode.to_string());
        evidence.flags = self.flags().into_iter().map(str::to_owned).collect();
        evidence.answers = shown(self.answers());
        evidence.answer_count = count(self.answers().len());
        evidence.authority = shown(self.authority());
        evidence.authority_count = count(self.authority().len());
        evidence.additional_count = count(self.additional_count());
        evidence.response_bytes = count(self.bytes);
    }
}

/// A record as results show it.
pub(super) fn shown(record: &Record) -> DnsRecord {
    DnsRecord {
        name: shorten(&record.name.to_string(), DATA_CHARS_SHOWN).into_owned(),
        record_type: type_word(record.record_type()),
        ttl: record.ttl,
        data: shorten(&data(record), DATA_CHARS_SHOWN).into_owned(),
    }
}

/// A type in the word that the model has for it.
pub(super) fn type_word(record_type: RecordType) -> String {
    watchpost_model::RecordType::from_code(u16::from(record_type)).to_string()
}

/// The data of a record as a zone file has it: the strings of a TXT record joined and without quotes, what
/// is not known in the form of RFC 3597.
pub(super) fn data(record: &Record) -> String {
    match &record.data {
        // Its parts are in no form that a zone file could have, and nobody asks for it.
        RData::OPT(_) => String::new(),
        RData::Unknown { rdata, .. } => {
            let bytes = &rdata.anything;
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\# {} {hex}", bytes.len()).trim_end().to_owned()
        }
        // Their parameters end in commas there.
        RData::SVCB(_) | RData::HTTPS(_) => {
            let words = record.data.to_string();
            let words: Vec<_> = words.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
            words.join(" ")
        }
        known => known.to_string(),
    }
}

/// Whether `record` is of the class that everybody means.
pub(super) fn is_internet(record: &Record) -> bool {
    record.dns_class == DNSClass::IN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(json: &str) -> Question {
        Question::of(&serde_json::from_str(json).unwrap()).unwrap()
    }

    /// An answer to `question` without records.
    fn reply(question: &Question) -> Vec<u8> {
        let mut bytes = question.bytes.clone();
        bytes[2] |= 0x80;
        bytes
    }

    #[test]
    fn a_question_is_what_the_settings_say() {
        let read = |json: &str| Message::from_vec(question(json).bytes()).unwrap();
        let plain = read(r#"{"name": "Example.com"}"#);
        assert_eq!(plain.queries[0].to_string(), "Example.com. IN A");
        let edns = plain.edns.as_ref().unwrap();
        assert!(plain.metadata.recursion_desired && edns.max_payload() == 1232 && !edns.flags().dnssec_ok);
        let other = read(r#"{"name": "10.0.0.1", "type": "PTR", "dnssec": true, "recursion_desired": false}"#);
        assert_eq!(other.queries[0].to_string(), "1.0.0.10.in-addr.arpa. IN PTR");
        assert!(other.edns.unwrap().flags().dnssec_ok && !other.metadata.recursion_desired);
        assert!(read(r#"{"name": "a", "edns_size": 0}"#).edns.is_none());
        assert_eq!(read(r#"{"name": "a", "type": 999}"#).queries[0].query_type(), RecordType::from(999));
        for name in
            [".", "_sip._tcp.a", "*.a", "0/25.2.0.192.in-addr.arpa", &["a".repeat(63), "b".repeat(63)].join(".")]
        {
            assert_eq!(read(&format!(r#"{{"name": "{name}"}}"#)).queries.len(), 1, "{name}");
        }
    }

    #[test]
    fn what_does_not_belong_to_the_question_is_told_from_what_cannot_be_read() {
        let asked = question(r#"{"name": "a.example"}"#);
        let good = reply(&asked);
        assert!(asked.answer(&good).is_ok());
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            asked.answer(&bytes)
        };
        let stranger = |answer: Result<Answer, Unfit>| matches!(answer.unwrap_err(), Unfit::Stranger(_));
        let malformed = |answer: Result<Answer, Unfit>| matches!(answer.unwrap_err(), Unfit::Malformed(_));
        assert!(stranger(with(0, !good[0])) && stranger(with(2, 0)) && stranger(with(13, b'b')));
        assert!(stranger(asked.answer(&[])));
        assert!(malformed(asked.answer(&good[..11])) && malformed(asked.answer(&good[..20])) && malformed(with(7, 9)));
        // A name whose first part is a pointer to itself.
        let mut looped = good.clone();
        looped.splice(12..13, [0xc0, 12]);
        assert!(malformed(asked.answer(&looped)));
        assert_eq!(with(3, 5).unwrap().rcode(), Some(Rcode::REFUSED));
    }

    #[test]
    fn what_is_cut_in_a_record_is_truncated_if_it_says_so() {
        let asked = question(r#"{"name": "a.example"}"#);
        let mut cut = reply(&asked);
        cut[7] = 9;
        assert!(asked.answer(&cut).is_err());
        cut[2] |= 0x02;
        let answer = asked.answer(&cut).unwrap();
        assert!(answer.is_truncated() && answer.rcode().is_none() && answer.flag("tc"));
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let asked = question(r#"{"name": "a.example"}"#);
        let good = reply(&asked);
        for at in 2..good.len() {
            for byte in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = byte;
                drop(asked.answer(&bytes));
                drop(asked.answer(&bytes[..at]));
            }
        }
    }
}
