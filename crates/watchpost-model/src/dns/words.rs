//! Names, types and response codes as people write them.

use std::fmt;
use std::net::IpAddr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Invalid;
use crate::text::text_type;

/// The longest part between two dots, in bytes (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

text_type!(
    /// A name to ask for, in ASCII, with or without the dot at its end; `.` is the root.
    DnsName,
    "the name",
    254,
    |text| {
        let shown = || crate::shorten(text, 80);
        if !text.is_ascii() {
            return Err(format!("`{}` is not in ASCII: expected the form that begins with `xn--`", shown()));
        }
        if text == "." || text.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let whole = text.strip_suffix('.').unwrap_or(text);
        let permitted = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'@' | b';' | b'(' | b')');
        let is_label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(permitted);
        match whole.len() <= 253 && whole.split('.').all(is_label) {
            true => Ok(()),
            false => Err(format!("`{}` is not a name: expected for example `example.com`", shown())),
        }
    }
);

impl DnsName {
    /// The name as it is asked for; of an address the name below `in-addr.arpa` or `ip6.arpa`, by which
    /// its `PTR` record is found.
    pub fn asked(&self) -> String {
        match self.as_str().parse() {
            Ok(IpAddr::V4(v4)) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
            }
            Ok(IpAddr::V6(v6)) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa."
            }
            Err(_) if self.as_str().ends_with('.') => self.as_str().to_owned(),
            Err(_) => format!("{self}."),
        }
    }
}

/// Makes a number that has words of its own type: text on the wire, a word or a number when it is read.
macro_rules! number_with_words {
    ($(#[$doc:meta])* $type:ident, $what:literal, $example:literal, $prefix:literal, $max:expr, $words:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $type(u16);

        impl $type {
            /// The number on the wire.
            pub fn code(self) -> u16 {
                self.0
            }

            /// The one with this number.
            pub const fn from_code(code: u16) -> Self {
                Self(code)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match $words.iter().find(|(_, code)| *code == self.0) {
                    Some((word, _)) => f.pad(word),
                    None => write!(f, "{}{}", $prefix, self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $type {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                let known = $words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, code)| *code);
                let digits = match text.get(..$prefix.len()) {
                    Some(start) if start.eq_ignore_ascii_case($prefix) => &text[$prefix.len()..],
                    _ => text,
                };
                let number = || digits.parse().ok().filter(|code: &u16| *code <= $max);
                known.or_else(number).map(Self).ok_or_else(|| {
                    Invalid::new(format!("`{}` is not {}: expected {}", crate::shorten(text, 40), $what, $example))
                })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct WordOrNumber;

                impl Visitor<'_> for WordOrNumber {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "{}: {}", $what, $example)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                        self.visit_str(&number.to_string())
                    }

                    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                        self.visit_str(&number.to_string())
                    }
                }

                deserializer.deserialize_any(WordOrNumber)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": ["string", "integer"],
                    "description": concat!($what, ": ", $example),
                })
            }
        }
    };
}

number_with_words!(
    /// The type of a record.
    RecordType,
    "a type of records",
    "for example `A`, `MX`, `TYPE65` or a number",
    "TYPE",
    u16::MAX,
    TYPES
);

impl Default for RecordType {
    fn default() -> Self {
        Self(1)
    }
}

impl RecordType {
    /// Every type, of which a server sends what it likes (RFC 8482).
    pub const ANY: Self = Self(255);
    /// The type whose records say that a name is another one's alias.
    pub const CNAME: Self = Self(5);
    /// The type that finds names by addresses.
    pub const PTR: Self = Self(12);
}

number_with_words!(
    /// How a name server calls its answer.
    Rcode,
    "a response code",
    "for example `noerror`, `nxdomain`, `servfail`, `refused` or `rcode23`",
    "rcode",
    4095,
    RCODES
);

impl Rcode {
    /// There was no error.
    pub const NOERROR: Self = Self(0);
    /// The server failed.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not want to answer.
    pub const REFUSED: Self = Self(5);
}

/// IANA, "Resource Record (RR) TYPEs": those that are met today.
const TYPES: &[(&str, u16)] = &[
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("CERT", 37),
    ("DNAME", 39),
    ("DS", 43),
    ("SSHFP", 44),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
];

/// IANA, "DNS RCODEs".
const RCODES: &[(&str, u16)] = &[
    ("noerror", 0),
    ("formerr", 1),
    ("servfail", 2),
    ("nxdomain", 3),
    ("notimp", 4),
    ("refused", 5),
    ("yxdomain", 6),
    ("yxrrset", 7),
    ("nxrrset", 8),
    ("notauth", 9),
    ("notzone", 10),
    ("badvers", 16),
    ("badcookie", 23),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_ascii_with_labels_of_63_bytes() {
        let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        for good in ["example.com", "example.com.", ".", "_sip._tcp.a", "*.a", "0/25.2.0.192.in-addr.arpa", &longest] {
            assert!(good.parse::<DnsName>().is_ok(), "{good}");
        }
        for bad in ["", "..", "a..b", ".a", "ä.example", "a b", "a\\.b", &"a".repeat(64), &format!("{longest}e")] {
            assert!(bad.parse::<DnsName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_asked_for_below_arpa() {
        for (name, asked) in [
            ("example.com", "example.com."),
            ("10.2.3.4", "4.3.2.10.in-addr.arpa."),
            ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."),
        ] {
            assert_eq!(name.parse::<DnsName>().unwrap().asked(), asked);
        }
    }

    #[test]
    fn types_and_codes_are_words_or_numbers() {
        for (json, code, shown) in [("\"mx\"", 15, "MX"), ("65", 65, "HTTPS"), ("\"TYPE1000\"", 1000, "TYPE1000")] {
            let read: RecordType = serde_json::from_str(json).unwrap();
            assert_eq!((read.code(), read.to_string().as_str()), (code, shown));
        }
        for (json, code, shown) in
            [("\"NXDOMAIN\"", 3, "nxdomain"), ("\"rcode23\"", 23, "badcookie"), ("11", 11, "rcode11")]
        {
            let read: Rcode = serde_json::from_str(json).unwrap();
            assert_eq!((read.code(), read.to_string().as_str()), (code, shown));
        }
        for bad in ["\"ÄÖ\"", "\"AXXX\"", "65536", "-1", "\"\"", "true"] {
            assert!(serde_json::from_str::<RecordType>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Rcode>("4096").is_err());
    }
}
