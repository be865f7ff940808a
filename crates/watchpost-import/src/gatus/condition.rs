//! Conditions as Gatus writes them: `[BODY].status == any(UP, STARTING)`.

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) left: Operand,
    pub(super) op: Op,
    pub(super) right: Operand,
}

/// How two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Le,
    Ge,
    Gt,
    Lt,
}

/// One side of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Status,
    ResponseTime,
    Ip,
    Connected,
    CertificateExpiration,
    DomainExpiration,
    DnsRcode,
    /// The body, or what is at a path in it.
    Body(Vec<Step>),
    /// What a suite knows by this name.
    Context(String),
    Len(Vec<Step>),
    Has(Vec<Step>),
    /// A pattern with `*` and `?`.
    Pat(String),
    Any(Vec<String>),
    Value(String),
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Op {
    const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Le, Self::Ge, Self::Gt, Self::Lt];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Le => "<=",
            Self::Ge => ">=",
            Self::Gt => ">",
            Self::Lt => "<",
        }
    }

    /// The same with the sides changed.
    fn turned(self) -> Self {
        match self {
            Self::Le => Self::Ge,
            Self::Ge => Self::Le,
            Self::Gt => Self::Lt,
            Self::Lt => Self::Gt,
            same => same,
        }
    }
}

impl Condition {
    /// Reads a condition; what is known of the answer comes to stand on the left.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (left, op, right) = Op::ALL.into_iter().find_map(|op| {
            let (left, right) = text.split_once(&format!(" {} ", op.as_str()))?;
            Some((left, op, right))
        })?;
        let (left, right) = (Operand::parse(left.trim())?, Operand::parse(right.trim())?);
        if left.is_given() && !right.is_given() {
            return Some(Self { left: right, op: op.turned(), right: left });
        }
        Some(Self { left, op, right })
    }
}

impl Operand {
    fn parse(text: &str) -> Option<Self> {
        let within = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')').map(str::trim);
        if let Some(inner) = within("len") {
            return body_path(inner).map(Self::Len);
        }
        if let Some(inner) = within("has") {
            return body_path(inner).map(Self::Has);
        }
        if let Some(inner) = within("pat") {
            return Some(Self::Pat(inner.to_owned()));
        }
        if let Some(inner) = within("any") {
            return Some(Self::Any(inner.split(',').map(|value| value.trim().to_owned()).collect()));
        }
        if let Some(name) = text.strip_prefix("[CONTEXT].") {
            return Some(Self::Context(name.to_owned()));
        }
        if text.starts_with("[BODY]") {
            return body_path(text).map(Self::Body);
        }
        Some(match text {
            "[STATUS]" => Self::Status,
            "[RESPONSE_TIME]" => Self::ResponseTime,
            "[IP]" => Self::Ip,
            "[CONNECTED]" => Self::Connected,
            "[CERTIFICATE_EXPIRATION]" => Self::CertificateExpiration,
            "[DOMAIN_EXPIRATION]" => Self::DomainExpiration,
            "[DNS_RCODE]" => Self::DnsRcode,
            value => Self::Value(value.to_owned()),
        })
    }

    /// Whether it stands in the configuration, and not in the answer.
    fn is_given(&self) -> bool {
        matches!(self, Self::Pat(_) | Self::Any(_) | Self::Value(_) | Self::Context(_))
    }
}

/// The path after `[BODY]`: `.data[0].id`.
pub(super) fn body_path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix("[BODY]")?;
    let mut path = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            path.push(Step::Index(index.parse().ok()?));
            rest = after;
        } else {
            rest = rest.strip_prefix('.')?;
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            if key.is_empty() {
                return None;
            }
            path.push(Step::Key(key.to_owned()));
            rest = after;
        }
    }
    Some(path)
}

/// A pattern with `*`, `?` and `[…]` as a regular expression for the whole of a text.
pub(super) fn regex_of(pat: &str) -> String {
    let mut regex = String::from("(?s)^");
    for c in pat.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            c => regex.push_str(&regex::escape(&c.to_string())),
        }
    }
    regex + "$"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let key = |key: &str| Step::Key(key.to_owned());
        for (text, left, op, right) in [
            ("[STATUS] == 200", Operand::Status, Op::Eq, Operand::Value("200".into())),
            ("500 > [RESPONSE_TIME]", Operand::ResponseTime, Op::Lt, Operand::Value("500".into())),
            (
                "[BODY].data[0].id == any(1, 2)",
                Operand::Body(vec![key("data"), Step::Index(0), key("id")]),
                Op::Eq,
                Operand::Any(vec!["1".into(), "2".into()]),
            ),
            ("len([BODY].x) >= 5", Operand::Len(vec![key("x")]), Op::Ge, Operand::Value("5".into())),
            ("has([BODY].errors) == false", Operand::Has(vec![key("errors")]), Op::Eq, Operand::Value("false".into())),
            ("[BODY] == pat(*a == b*)", Operand::Body(vec![]), Op::Eq, Operand::Pat("*a == b*".into())),
            ("[BODY].a == [CONTEXT].b", Operand::Body(vec![key("a")]), Op::Eq, Operand::Context("b".into())),
        ] {
            assert_eq!(Condition::parse(text), Some(Condition { left, op, right }), "{text}");
        }
        for bad in ["", "[STATUS]", "[STATUS]==200", "[BODY]x == 1", "[BODY].a..b == 1", "[BODY].a[x] == 1"] {
            assert_eq!(Condition::parse(bad), None, "{bad}");
        }
        assert_eq!(regex_of("a.*?"), r"(?s)^a\..*.$");
    }
}
