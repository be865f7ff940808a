//! What is expected of a name server, held against its answer.

use std::net::IpAddr;

use hickory_proto::rr::{Name, RData, Record};
use watchpost_model::{DnsExpect, DnsSettings, Rcode, ReasonCode, RecordData, RecordType, RecordsExpect, Ttl, shorten};

use super::message::{self, Answer, Question};
use crate::assertions::{Findings, quoted, slashed};
use crate::patterns::Patterns;

/// The most records that one assertion quotes.
const QUOTED_RECORDS_MAX: usize = 8;
/// The most records that expressions see of a section.
const FACTS_MAX: usize = 256;
/// The types whose data is made of names and numbers, where case means nothing.
const OF_NAMES: [&str; 9] = ["CNAME", "NS", "PTR", "MX", "SRV", "SOA", "DNAME", "SVCB", "HTTPS"];
/// The types whose data ends in hexadecimal digits.
const OF_DIGITS: [&str; 4] = ["DS", "CDS", "TLSA", "SSHFP"];

/// An answer, with those of its records that answer the question.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    settings: &'a DnsSettings,
    /// The server as sentences call it.
    server: &'a str,
    answer: &'a Answer,
    /// The name that was asked for, and those that it is an alias of.
    names: Vec<Name>,
    found: Vec<&'a Record>,
}

impl<'a> Judged<'a> {
    pub(super) fn new(settings: &'a DnsSettings, question: &Question, server: &'a str, answer: &'a Answer) -> Self {
        let names = names(settings.record_type, question.name(), answer.answers());
        let found = found(settings.record_type, &names, answer.answers());
        Self { settings, server, answer, names, found }
    }

    /// Everything that is expected of the answer.
    pub(super) fn findings(&self, patterns: &Patterns) -> Findings {
        let mut findings = Findings::default();
        let expect = &self.settings.expect;
        self.rcode(expect, &mut findings);
        if self.answer.is_truncated() && expect.flags.tc.is_none() {
            findings.note(ReasonCode::DnsTruncated, "not tc".to_owned(), false, "tc".to_owned(), |_| {
                format!("the answer of {} to {} is cut short", self.server, self.settings.question())
            });
        }
        if expect.answers.is_empty() {
            self.any_answer(&mut findings);
        }
        let data: Vec<_> = self.found.iter().map(|record| Told::data(record)).collect();
        records("answers", &expect.answers, &data, patterns, &mut findings);
        let authority: Vec<_> = self.answer.authority().iter().map(Told::with_type).collect();
        records("authority", &expect.authority, &authority, patterns, &mut findings);
        self.flags(expect, &mut findings);
        self.ttl(expect, &mut findings);
        findings
    }

    fn rcode(&self, expect: &DnsExpect, findings: &mut Findings) {
        let wanted: &[Rcode] = if expect.rcode.0.is_empty() { &[Rcode::NOERROR] } else { &expect.rcode.0 };
        // Nothing is known of the code where the answer was cut off before it could be read.
        let Some(rcode) = self.answer.rcode() else { return };
        let words = wanted.iter().map(Rcode::to_string).collect::<Vec<_>>().join(" or ");
        let code = match rcode {
            Rcode::NXDOMAIN => ReasonCode::DnsNxdomain,
            Rcode::SERVFAIL => ReasonCode::DnsServfail,
            Rcode::REFUSED => ReasonCode::DnsRefused,
            _ => ReasonCode::DnsRcode,
        };
        let passed = wanted.contains(&rcode);
        findings.note(code, format!("rcode is {words}"), passed, rcode.to_string(), |actual| {
            let (server, question) = (self.server, self.settings.question());
            match self.alias() {
                // The code is about the last name (RFC 6604, section 3).
                Some(alias) => {
                    let name = &self.settings.name;
                    format!("{server} answers {actual} to {question}, for {alias}, which {name} is an alias of, expected {words}")
                }
                None => format!("{server} answers {actual} to {question}, expected {words}"),
            }
        });
    }

    /// An answer without error has a record of the type that was asked for.
    fn any_answer(&self, findings: &mut Findings) {
        if self.answer.rcode() != Some(Rcode::NOERROR) || self.answer.is_truncated() {
            return;
        }
        let referred = self.referral();
        let code = if referred.is_some() { ReasonCode::DnsReferral } else { ReasonCode::DnsNoAnswer };
        let (record_type, name) = (self.settings.record_type, &self.settings.name);
        let count = self.found.len();
        findings.note(code, format!("{record_type} records >= 1"), count > 0, count.to_string(), |_| match referred {
            Some(others) => format!("{} does not answer for {name}, and refers to {others}", self.server),
            None => match self.alias() {
                Some(alias) => format!(
                    "{} says that {name} is an alias of {alias}, and has no {record_type} record for that",
                    self.server
                ),
                None => format!("{} has no {record_type} record for {name}", self.server),
            },
        });
    }

    /// Whom the server refers to, if that is all that its answer says.
    fn referral(&self) -> Option<String> {
        if !self.answer.answers().is_empty() || self.answer.flag("aa") {
            return None;
        }
        let mut servers = Vec::new();
        for record in self.answer.authority() {
            match &record.data {
                RData::NS(server) => servers.push(shorten(&server.to_string(), 100).into_owned()),
                // It knows that there is nothing.
                RData::SOA(_) => return None,
                _ => {}
            }
        }
        servers.truncate(QUOTED_RECORDS_MAX);
        (!servers.is_empty()).then(|| servers.join(", "))
    }

    /// What the name is an alias of, at last.
    fn alias(&self) -> Option<String> {
        let [_, .., last] = self.names.as_slice() else { return None };
        let name = last.to_string();
        Some(shorten(name.strip_suffix('.').unwrap_or(&name), 100).into_owned())
    }

    fn flags(&self, expect: &DnsExpect, findings: &mut Findings) {
        let wanted = &expect.flags;
        for (name, wanted) in [("aa", wanted.aa), ("ra", wanted.ra), ("ad", wanted.ad), ("tc", wanted.tc)] {
            let Some(wanted) = wanted else { continue };
            let is_set = self.answer.flag(name);
            let says = |is_set| if is_set { "is set" } else { "is not set" };
            let expr = if wanted { name.to_owned() } else { format!("not {name}") };
            let actual = self.answer.flags().join(" ");
            findings.note(ReasonCode::AssertionFailed, expr, is_set == wanted, actual, |_| {
                format!(
                    "the flag {name} of the answer of {} {}, expected that it {}",
                    self.server,
                    says(is_set),
                    says(wanted)
                )
            });
        }
    }

    fn ttl(&self, expect: &DnsExpect, findings: &mut Findings) {
        let ttls = || self.found.iter().map(|record| record.ttl);
        let mut bound = |bound: Option<Ttl>, sign: &str, seen: Option<u32>, holds: fn(u64, u64) -> bool| {
            let Some(bound) = bound else { return };
            let passed = seen.is_some_and(|ttl| holds(ttl.into(), bound.get().as_secs()));
            let actual = seen.map_or_else(|| "no record".to_owned(), |ttl| format!("{ttl} s"));
            findings.note(ReasonCode::AssertionFailed, format!("ttl {sign} {bound}"), passed, actual, |actual| {
                format!("the time to live is {actual}, expected {sign} {bound}")
            });
        };
        bound(expect.min_ttl, ">=", ttls().min(), |ttl, bound| ttl >= bound);
        bound(expect.max_ttl, "<=", ttls().max(), |ttl, bound| ttl <= bound);
    }

    /// The shortest time to live of what was found, in seconds.
    pub(super) fn min_ttl(&self) -> Option<u32> {
        self.found.iter().map(|record| record.ttl).min()
    }

    /// How many records answer the question.
    pub(super) fn found_count(&self) -> usize {
        self.found.len()
    }

    /// What expressions can ask for.
    pub(super) fn facts(&self) -> serde_json::Value {
        let shown = |record: &Record| serde_json::json!(message::shown(record));
        let flag = |name| self.answer.flag(name);
        serde_json::json!({
            "rcode": self.answer.rcode().map(|rcode| rcode.to_string()),
            "records": self.found.iter().take(FACTS_MAX).map(|record| message::data(record)).collect::<Vec<_>>(),
            "record_count": self.found.len(),
            "answers": self.answer.answers().iter().take(FACTS_MAX).map(shown).collect::<Vec<_>>(),
            "answer_count": self.answer.answers().len(),
            "authority": self.answer.authority().iter().take(FACTS_MAX).map(shown).collect::<Vec<_>>(),
            "authority_count": self.answer.authority().len(),
            "additional_count": self.answer.additional_count(),
            "aa": flag("aa"), "tc": flag("tc"), "rd": flag("rd"), "ra": flag("ra"), "ad": flag("ad"), "cd": flag("cd"),
            "min_ttl_s": self.min_ttl(),
            "response_bytes": self.answer.bytes(),
        })
    }
}

/// `name`, and those that it is an alias of by `answers`, one after the other.
fn names(wanted: RecordType, name: &Name, answers: &[Record]) -> Vec<Name> {
    let mut names = vec![name.clone()];
    if wanted == RecordType::CNAME || wanted == RecordType::ANY {
        return names;
    }
    while names.len() <= ALIASES_MAX {
        let next = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(to) if names.last() == Some(&record.name) && !names.contains(&to.0) => Some(to.0.clone()),
            _ => None,
        });
        match next {
            Some(next) => names.push(next),
            None => break,
        }
    }
    names
}

/// The records of the type `wanted` that one of `names` has in `answers`.
fn found<'a>(wanted: RecordType, names: &[Name], answers: &'a [Record]) -> Vec<&'a Record> {
    let is_wanted = |record: &&Record| {
        let record_type = u16::from(record.record_type());
        message::is_internet(record)
            && (wanted == RecordType::ANY || record_type == wanted.code())
            && names.contains(&record.name)
    };
    answers.iter().filter(is_wanted).collect()
}

/// The most aliases that are followed. Servers give up earlier.
const ALIASES_MAX: usize = 32;

/// A record as expectations see it.
struct Told {
    record_type: String,
    text: String,
}

impl Told {
    fn data(record: &Record) -> Self {
        Self { record_type: message::type_word(record.record_type()), text: message::data(record) }
    }

    fn with_type(record: &Record) -> Self {
        let record_type = message::type_word(record.record_type());
        Self { text: format!("{record_type} {}", message::data(record)), record_type }
    }

    /// Whether the two say the same: an address has more than one form, names have no case and may end in a
    /// dot, digits have no case.
    fn is(&self, wanted: &RecordData) -> bool {
        let wanted = wanted.as_str().trim();
        if self.text == wanted {
            return true;
        }
        let same_address = || self.text.parse::<IpAddr>().is_ok_and(|ours| wanted.parse() == Ok(ours));
        let undotted = |text: &str| {
            let words = text.split_whitespace().map(|word| word.strip_suffix('.').unwrap_or(word));
            words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
        };
        match self.record_type.as_str() {
            "A" | "AAAA" => same_address(),
            of if OF_NAMES.contains(&of) => undotted(&self.text) == undotted(wanted),
            of if OF_DIGITS.contains(&of) => self.text.eq_ignore_ascii_case(wanted),
            _ => false,
        }
    }
}

fn records(what: &str, expect: &RecordsExpect, seen: &[Told], patterns: &Patterns, findings: &mut Findings) {
    let all = || match seen {
        [] => "none".to_owned(),
        seen => {
            let mut told: Vec<_> = seen.iter().take(QUOTED_RECORDS_MAX).map(|told| quoted(&told.text)).collect();
            if seen.len() > QUOTED_RECORDS_MAX {
                told.push(format!("and {} more", seen.len() - QUOTED_RECORDS_MAX));
            }
            told.join(", ")
        }
    };
    let mut note = |expr: String, passed: bool, wanted: String| {
        findings.note(ReasonCode::AssertionFailed, expr, passed, all(), |actual| {
            format!("the {what} are {actual}, expected {wanted}")
        });
    };
    for data in &expect.contains.0 {
        let wanted = quoted(data.as_str());
        let passed = seen.iter().any(|told| told.is(data));
        note(format!("{what} contain {wanted}"), passed, format!("{wanted} among them"));
    }
    if !expect.equals.0.is_empty() {
        let known = |told: &Told| expect.equals.0.iter().any(|data| told.is(data));
        let passed = seen.iter().all(known) && expect.equals.0.iter().all(|data| seen.iter().any(|told| told.is(data)));
        let wanted = expect.equals.0.iter().map(|data| quoted(data.as_str())).collect::<Vec<_>>().join(", ");
        note(format!("{what} equal {wanted}"), passed, wanted);
    }
    for pattern in &expect.matches.0 {
        let compiled = patterns.compiled(pattern);
        let passed = seen.iter().any(|told| compiled.is_match(told.text.as_bytes()));
        note(
            format!("{what} match {}", slashed(pattern.as_str())),
            passed,
            format!("one that matches {}", slashed(pattern.as_str())),
        );
    }
    let count = seen.len();
    let mut counted = |wanted: Option<u16>, sign: &str, words: &str, holds: fn(usize, usize) -> bool| {
        let Some(wanted) = wanted else { return };
        let passed = holds(count, wanted.into());
        findings.note(
            ReasonCode::AssertionFailed,
            format!("{what} count {sign} {wanted}"),
            passed,
            count.to_string(),
            |actual| format!("the number of {what} is {actual}, expected {words}{wanted}"),
        );
    };
    counted(expect.count, "==", "", |count, wanted| count == wanted);
    counted(expect.min_count, ">=", "at least ", |count, wanted| count >= wanted);
    counted(expect.max_count, "<=", "at most ", |count, wanted| count <= wanted);
}
