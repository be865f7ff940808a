//! Types, and the variables that an expression may use.

use std::fmt;

/// How deep [`Environment::paths`] goes into records.
const RECORD_DEPTH_MAX: usize = 8;

/// What a value is, as far as it is known when an expression is compiled.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number of 64 bits with a sign.
    Int,
    /// A floating point number of 64 bits.
    Double,
    /// A text.
    String,
    /// The type of `null` itself; no variable has it.
    Null,
    /// JSON, whose shape is known only at run time.
    Dyn,
    /// A list whose entries have one type.
    List(&'static Type),
    /// Values of one type by names that are known only at run time, such as headers.
    Map(&'static Type),
    /// A fixed set of fields, each with a type of its own.
    Record(&'static RecordType),
}

impl Type {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// The list of such entries that an expression can make by itself.
    pub(crate) fn listed(self) -> Option<Type> {
        Some(Self::List(match self {
            Self::Bool => &Self::Bool,
            Self::Int => &Self::Int,
            Self::Double => &Self::Double,
            Self::String => &Self::String,
            Self::Null | Self::Dyn => &Self::Dyn,
            Self::List(_) | Self::Map(_) | Self::Record(_) => return None,
        }))
    }
}

/// Records are equal if they are the same one.
impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => std::ptr::eq(*a, *b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Type {}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Null => f.write_str("null"),
            Self::Dyn => f.write_str("dyn"),
            Self::List(of) => write!(f, "list<{of}>"),
            Self::Map(of) => write!(f, "map<string, {of}>"),
            Self::Record(record) => f.write_str(record.name),
        }
    }
}

/// A fixed set of fields. It must not contain itself, neither directly nor through its fields.
#[derive(Debug)]
pub struct RecordType {
    /// What messages call it, such as `record tls`.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A variable, or a field of a record.
#[derive(Debug)]
pub struct Field {
    /// Its name: an identifier of the language.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Whether it may be absent, and if so why: a sentence such as `the body is not JSON`. An
    /// empty one stands for "the answer has no (name)".
    pub absent: Option<&'static str>,
    /// What it is, for the documentation: units, bounds.
    pub doc: &'static str,
}

impl Field {
    /// A field that is always there.
    pub const fn new(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, absent: None, doc }
    }

    /// The same, but it may be absent: reading it then ends in "the answer has no (name)".
    #[must_use]
    pub const fn optional(self) -> Self {
        self.absent_because("")
    }

    /// The same, but it may be absent, for the reason given: a sentence without a full stop.
    #[must_use]
    pub const fn absent_because(self, sentence: &'static str) -> Self {
        Self { absent: Some(sentence), ..self }
    }
}

/// The variables that an expression may use. Cheap to copy; made of tables that are written as
/// statics, so that those which every check type has stand in one place.
///
/// ```
/// use watchpost_expr::{Environment, Field, RecordType, Type};
///
/// static PHASES: RecordType = RecordType {
///     name: "record phases",
///     fields: &[Field::new("first_byte_ms", Type::Int, "from the request to the first byte, in ms").optional()],
/// };
/// static COMMON: &[Field] = &[Field::new("phases", Type::Record(&PHASES), "how long each phase took")];
/// static HTTP: &[Field] = &[Field::new("status", Type::Int, "the status code")];
/// static ENVIRONMENT: Environment = Environment::new(&[COMMON, HTTP]);
///
/// let paths: Vec<String> = ENVIRONMENT.paths().into_iter().map(|variable| variable.path).collect();
/// assert_eq!(paths, ["phases", "phases.first_byte_ms", "status"]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Environment {
    tables: &'static [&'static [Field]],
}

impl Environment {
    /// The variables of all these tables. Where two have the same name, the first counts.
    pub const fn new(tables: &'static [&'static [Field]]) -> Self {
        Self { tables }
    }

    /// The variables themselves, in the order of the tables.
    pub fn variables(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.tables.iter().flat_map(|table| table.iter())
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'static Field> {
        self.variables().find(|field| field.name == name)
    }

    /// Each variable followed by its fields and theirs: what the documentation has to tell.
    pub fn paths(&self) -> Vec<Variable> {
        let mut paths = Vec::new();
        self.variables().for_each(|field| add_paths("", field, 0, &mut paths));
        paths
    }
}

fn add_paths(prefix: &str, field: &'static Field, depth: usize, paths: &mut Vec<Variable>) {
    let path = format!("{prefix}{}", field.name);
    let (under, record) = match field.ty {
        Type::Record(record) => (format!("{path}."), Some(record)),
        Type::List(Type::Record(record)) => (format!("{path}[]."), Some(*record)),
        _ => (String::new(), None),
    };
    paths.push(Variable { path, field });
    if let Some(record) = record.filter(|_| depth < RECORD_DEPTH_MAX) {
        record.fields.iter().for_each(|field| add_paths(&under, field, depth + 1, paths));
    }
}

/// A variable, or something within one.
#[derive(Debug, Clone)]
pub struct Variable {
    /// How an expression names it: `tls.days_left`. The entries of a list are `tls.chain[]`.
    pub path: String,
    /// What was declared of it.
    pub field: &'static Field,
}
