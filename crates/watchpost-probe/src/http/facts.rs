//! What expressions may ask of an HTTP answer. What is dear to make is made when it is asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::response::Parts;
use http::{HeaderMap, HeaderValue};
use serde_json::Value as Json;
use watchpost_expr::{Entries, Items, Value, Values};

use super::answer;

/// An answer that was read.
pub(crate) struct HttpFacts<'a> {
    head: &'a Parts,
    headers: Headers<'a>,
    body: Body<'a>,
    redirects: &'a [String],
}

impl<'a> HttpFacts<'a> {
    pub(crate) fn new(head: &'a Parts, body: &'a [u8], truncated: bool, redirects: &'a [String]) -> Self {
        let body = Body { bytes: body, truncated, text: OnceCell::new(), json: OnceCell::new() };
        Self { head, headers: Headers(&head.headers), body, redirects }
    }
}

impl Values for HttpFacts<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        Some(match name {
            "status" => Value::from(self.head.status.as_u16()),
            "version" => Value::from(answer::version(self.head.version)),
            "headers" => Value::Map(&self.headers),
            "body" => Value::Record(&self.body),
            "redirects" => {
                Value::List(Items::Owned(self.redirects.iter().map(|url| Value::from(url.as_str())).collect()))
            }
            _ => return None,
        })
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Entries for Headers<'_> {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        let mut values = self.0.get_all(key).iter().map(HeaderValue::as_bytes).map(String::from_utf8_lossy);
        let first = values.next()?;
        let joined = values.fold(first, |joined, value| Cow::Owned(format!("{joined}, {value}")));
        Some(Value::String(joined))
    }

    fn len(&self) -> usize {
        self.0.keys_len()
    }

    fn keys(&self) -> Box<dyn Iterator<Item = Cow<'_, str>> + '_> {
        Box::new(self.0.keys().map(|name| Cow::Borrowed(name.as_str())))
    }
}

struct Body<'a> {
    bytes: &'a [u8],
    truncated: bool,
    text: OnceCell<Cow<'a, str>>,
    json: OnceCell<Option<Json>>,
}

impl Values for Body<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "text" => {
                let text = self.text.get_or_init(|| String::from_utf8_lossy(self.bytes));
                Some(Value::String(Cow::Borrowed(text)))
            }
            "json" => self.json.get_or_init(|| serde_json::from_slice(self.bytes).ok()).as_ref().map(Value::Json),
            "size" => i64::try_from(self.bytes.len()).ok().map(Value::Int),
            "truncated" => Some(Value::Bool(self.truncated)),
            _ => None,
        }
    }
}
