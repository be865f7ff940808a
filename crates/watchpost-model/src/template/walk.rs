//! Going through all texts of something that can be serialised, each with the name of its type and its path.
//!
//! Settings of every check type are gone through without any of them knowing of it: types of texts serialise
//! as a newtype of their name, which no format shows.

use std::fmt::Display;

use serde::ser::{self, Serialize};

/// One text, and where it stands.
pub(crate) struct Text<'a> {
    pub(crate) path: &'a [Step],
    /// The name of its type; `None` of a plain string.
    pub(crate) type_name: Option<&'static str>,
    pub(crate) text: &'a str,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Field(&'static str),
    Key(String),
    Index(usize),
}

/// The path as keys of a file: `http.headers.x-env`.
pub(crate) fn shown(path: &[Step]) -> String {
    let mut shown = String::new();
    for step in path {
        let dot = if shown.is_empty() { "" } else { "." };
        match step {
            Step::Field(name) => shown.extend([dot, name]),
            Step::Key(key) => shown.extend([dot, key]),
            Step::Index(i) => shown.push_str(&format!("[{i}]")),
        }
    }
    shown
}

/// Shows `see` each text in `value`, until it returns an error.
///
/// # Errors
/// What `see` returned.
pub(crate) fn walk<V: Serialize + ?Sized>(
    value: &V,
    mut see: impl FnMut(Text<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut walker = Walker { see: &mut see, path: Vec::new(), type_name: None };
    value.serialize(&mut walker).map_err(|stopped| stopped.0)
}

/// Every text in `value` whose type is called by one of `names`, in the order in which they stand.
pub(crate) fn texts_of_type<V: Serialize + ?Sized>(value: &V, names: &[&str]) -> Vec<String> {
    let mut texts = Vec::new();
    let walked = walk(value, |Text { type_name, text, .. }| {
        if type_name.is_some_and(|name| names.contains(&name)) {
            texts.push(text.to_owned());
        }
        Ok(())
    });
    // Nothing that is written as it is can stop the walk: `see` never does, and keys are texts.
    debug_assert!(walked.is_ok(), "{walked:?}");
    texts
}

struct Walker<'a> {
    see: &'a mut dyn FnMut(Text<'_>) -> Result<(), String>,
    path: Vec<Step>,
    type_name: Option<&'static str>,
}

/// Why the walk ended early.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Stopped(String);

impl ser::Error for Stopped {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Walker<'_> {
    fn step<T: Serialize + ?Sized>(&mut self, step: Step, value: &T) -> Result<(), Stopped> {
        self.path.push(step);
        let walked = value.serialize(&mut *self);
        self.path.pop();
        walked
    }
}

macro_rules! no_text {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, _: $type) -> Result<(), Stopped> {
            Ok(())
        })*
    };
}

impl<'w, 'a> ser::Serializer for &'w mut Walker<'a> {
    type Ok = ();
    type Error = Stopped;
    type SerializeSeq = Items<'w, 'a>;
    type SerializeTuple = Items<'w, 'a>;
    type SerializeTupleStruct = Items<'w, 'a>;
    type SerializeTupleVariant = Items<'w, 'a>;
    type SerializeMap = Entries<'w, 'a>;
    type SerializeStruct = Fields<'w, 'a>;
    type SerializeStructVariant = Fields<'w, 'a>;

    no_text! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_f32(f32)
        serialize_f64(f64) serialize_char(char) serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    fn serialize_str(self, text: &str) -> Result<(), Stopped> {
        let type_name = self.type_name.take();
        (self.see)(Text { path: &self.path, type_name, text }).map_err(Stopped)
    }

    fn serialize_none(self) -> Result<(), Stopped> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stopped> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Stopped> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Stopped> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Stopped> {
        self.type_name = Some(name);
        let walked = value.serialize(&mut *self);
        self.type_name = None;
        walked
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stopped> {
        self.step(Step::Field(variant), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'w, 'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'w, 'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'w, 'a>, Stopped> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'w, 'a>, Stopped> {
        Ok(Items::new(self, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'w, 'a>, Stopped> {
        self.type_name = None;
        Ok(Entries { walker: self, key: String::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w, 'a>, Stopped> {
        Ok(Fields::new(self, None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'w, 'a>, Stopped> {
        Ok(Fields::new(self, Some(variant)))
    }
}

/// The items of a list.
struct Items<'w, 'a> {
    walker: &'w mut Walker<'a>,
    variant: Option<&'static str>,
    next: usize,
}

impl<'w, 'a> Items<'w, 'a> {
    fn new(walker: &'w mut Walker<'a>, variant: Option<&'static str>) -> Self {
        walker.type_name = None;
        walker.path.extend(variant.map(Step::Field));
        Self { walker, variant, next: 0 }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        let index = self.next;
        self.next += 1;
        self.walker.step(Step::Index(index), value)
    }

    fn leave(self) -> Result<(), Stopped> {
        if self.variant.is_some() {
            self.walker.path.pop();
        }
        Ok(())
    }
}

/// The fields of a struct.
struct Fields<'w, 'a> {
    walker: &'w mut Walker<'a>,
    variant: Option<&'static str>,
}

impl<'w, 'a> Fields<'w, 'a> {
    fn new(walker: &'w mut Walker<'a>, variant: Option<&'static str>) -> Self {
        walker.type_name = None;
        walker.path.extend(variant.map(Step::Field));
        Self { walker, variant }
    }

    fn leave(self) -> Result<(), Stopped> {
        if self.variant.is_some() {
            self.walker.path.pop();
        }
        Ok(())
    }
}

/// The entries of a map.
struct Entries<'w, 'a> {
    walker: &'w mut Walker<'a>,
    key: String,
}

macro_rules! items {
    ($($trait:ident::$method:ident)*) => {
        $(impl ser::$trait for Items<'_, '_> {
            type Ok = ();
            type Error = Stopped;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
                self.item(value)
            }

            fn end(self) -> Result<(), Stopped> {
                self.leave()
            }
        })*
    };
}

items! { SerializeSeq::serialize_element SerializeTuple::serialize_element SerializeTupleStruct::serialize_field SerializeTupleVariant::serialize_field }

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Fields<'_, '_> {
            type Ok = ();
            type Error = Stopped;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Stopped> {
                self.walker.step(Step::Field(key), value)
            }

            fn end(self) -> Result<(), Stopped> {
                self.leave()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Stopped;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stopped> {
        // As JSON writes it.
        self.key = match serde_json::to_value(key).map_err(ser::Error::custom)? {
            serde_json::Value::String(key) => key,
            other => other.to_string(),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stopped> {
        let key = std::mem::take(&mut self.key);
        self.walker.step(Step::Key(key), value)
    }

    fn end(self) -> Result<(), Stopped> {
        Ok(())
    }
}
