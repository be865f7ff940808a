//! Settings of the `exec` check type.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use watchpost_expr::{Field, Type};

use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

/// The most arguments of a command.
const ARGUMENTS_MAX: usize = 256;
/// The most variables that a check sets.
const VARIABLES_MAX: usize = 64;

text_type!(
    /// An absolute path on the machine that runs the check.
    AbsolutePath,
    "the path",
    1024,
    |text| match text {
        text if text.contains('\0') => Err("the path holds a NUL".into()),
        text if !text.starts_with('/') => {
            Err(format!("`{}` is not an absolute path: expected one that begins with /", crate::shorten(text, 80)))
        }
        _ => Ok(()),
    }
);

text_type!(
    /// One argument of a command, at most 8 KiB.
    Argument,
    "the argument",
    8 * 1024,
    |text| match text.contains('\0') {
        true => Err("the argument holds a NUL".into()),
        false => Ok(()),
    }
);

text_type!(
    /// The name of an environment variable.
    VariableName,
    "the name of an environment variable",
    128,
    |text| {
        let permitted = |(at, byte): (usize, u8)| byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit());
        match !text.is_empty() && text.bytes().enumerate().all(permitted) {
            true => Ok(()),
            false => Err(format!(
                "`{}` is not the name of an environment variable: expected letters, digits and _",
                crate::shorten(text, 40)
            )),
        }
    }
);

/// The value of an environment variable, at most 8 KiB. It may be a password, so it shows in no log.
#[derive(Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent, extend("maxLength" = VariableValue::BYTES_MAX))]
pub struct VariableValue(Box<str>);

/// As a newtype, as texts of other types: it may refer to secrets.
impl Serialize for VariableValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("VariableValue", &*self.0)
    }
}

impl Drop for VariableValue {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl VariableValue {
    const BYTES_MAX: usize = 8 * 1024;

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VariableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for VariableValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::text::deserialize(deserializer, "the value of an environment variable", Self::BYTES_MAX)?;
        if text.contains('\0') {
            return Err(D::Error::custom("the value of an environment variable holds a NUL"));
        }
        crate::secrets::sampled("VariableValue", &text).map_err(D::Error::custom)?;
        Ok(Self(text.into()))
    }
}

/// What an `exec` check does: run a program that speaks the interface of Nagios plugins. The machine
/// that runs it must permit the program's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecSettings {
    /// The absolute path of the program. No shell is involved.
    pub command: AbsolutePath,
    /// Its arguments, at most 256. Everybody on the machine can see them: pass secrets by `environment`.
    #[serde(default, deserialize_with = "arguments", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub arguments: Vec<Argument>,
    /// Environment variables, at most 64. Beyond them there are only `PATH` and `LC_ALL=C`, which may be set here too.
    #[serde(default, deserialize_with = "variables", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>", extend("maxProperties" = 64))]
    pub environment: BTreeMap<VariableName, VariableValue>,
    /// The directory to run it in; `/` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<AbsolutePath>,
    /// What a warning, exit code 1, means: `fail` (default) or `pass`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warning: WarningMeans,
    /// How much of the machine it may use. Each process that it starts has the same limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: ExecLimits,
}

/// What a plugin's warning means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WarningMeans {
    /// The check fails.
    #[default]
    Fail,
    /// The check passes.
    Pass,
}

/// Limits on each process of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecLimits {
    /// Processor time, in seconds: 1 to 300; 60 if left out.
    #[serde(deserialize_with = "bounded::<_, 300>")]
    #[schemars(range(min = 1, max = 300))]
    pub cpu_seconds: u32,
    /// Address space, in MiB: 1 to 1 048 576; 2 048 if left out. Runtimes that reserve more than they use
    /// (Java, Node.js) want more.
    #[serde(deserialize_with = "bounded::<_, 1_048_576>")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub memory_mib: u32,
    /// The largest file that it may write, in MiB: 1 to 1 048 576; 64 if left out.
    #[serde(deserialize_with = "bounded::<_, 1_048_576>")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub file_size_mib: u32,
    /// Open files and sockets: 8 to 65 536; 256 if left out.
    #[serde(deserialize_with = "open_files")]
    #[schemars(range(min = 8, max = 65_536))]
    pub open_files: u32,
    /// Processes and threads of the user that it runs as, those of others and of Watchpost itself among
    /// them: 1 to 1 048 576; 1 024 if left out. The superuser has no such limit.
    #[serde(deserialize_with = "bounded::<_, 1_048_576>")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub processes: u32,
}

impl Default for ExecLimits {
    fn default() -> Self {
        Self { cpu_seconds: 60, memory_mib: 2048, file_size_mib: 64, open_files: 256, processes: 1024 }
    }
}

impl ExecSettings {
    /// Runs `command` with `arguments` and every default.
    pub fn running(command: AbsolutePath, arguments: Vec<Argument>) -> Self {
        Self {
            command,
            arguments,
            environment: BTreeMap::new(),
            working_directory: None,
            warning: WarningMeans::default(),
            limits: ExecLimits::default(),
        }
    }
}

/// What expressions may ask of a program that has ended with 0, 1 or 2.
const VARIABLES: &[Field] = &[
    Field::new("exit_code", Type::Int, "the code with which the plugin ended: 0, 1 or 2"),
    Field::new("state", Type::String, "what that means: `ok`, `warning` or `critical`"),
    Field::new("summary", Type::String, "the first line that the plugin printed, up to the performance data"),
    Field::new("output", Type::String, "the lines below it, up to the performance data"),
];

impl TypeSettings for ExecSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        None
    }

    /// Without the arguments: there may be passwords among them.
    fn target_name(&self) -> String {
        self.command.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if self.arguments.len() > ARGUMENTS_MAX {
            return Err(format!(
                "the command has {} arguments: expected at most {ARGUMENTS_MAX}",
                self.arguments.len()
            ));
        }
        Ok(())
    }
}

fn is_default<T: Default + PartialEq>(given: &T) -> bool {
    *given == T::default()
}

fn open_files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 8, 65_536)
}

fn bounded<'de, D: Deserializer<'de>, const MAX: u64>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 1, MAX)
}

fn in_range<'de, D: Deserializer<'de>>(deserializer: D, min: u64, max: u64) -> Result<u32, D::Error> {
    let given = u64::deserialize(deserializer)?;
    match u32::try_from(given) {
        Ok(small) if (min..=max).contains(&given) => Ok(small),
        _ => Err(D::Error::custom(format_args!("the limit of {given} is out of range: expected {min} to {max}"))),
    }
}

fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Argument>, D::Error> {
    struct Arguments;

    impl<'de> Visitor<'de> for Arguments {
        type Value = Vec<Argument>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of arguments, each a text: numbers in quotes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut arguments = Vec::new();
            while let Some(argument) = seq.next_element()? {
                if arguments.len() == ARGUMENTS_MAX {
                    return Err(A::Error::custom(format_args!(
                        "the command has too many arguments: expected at most {ARGUMENTS_MAX}"
                    )));
                }
                arguments.push(argument);
            }
            Ok(arguments)
        }
    }

    deserializer.deserialize_seq(Arguments)
}

fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<VariableName, VariableValue>, D::Error> {
    struct Variables;

    impl<'de> Visitor<'de> for Variables {
        type Value = BTreeMap<VariableName, VariableValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("environment variables by name, each a text: numbers in quotes")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut variables = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<VariableName, VariableValue>()? {
                if variables.len() == VARIABLES_MAX {
                    return Err(A::Error::custom(format_args!(
                        "the environment has too many variables: expected at most {VARIABLES_MAX}"
                    )));
                }
                let told = format!("the environment names `{name}` twice: expected once");
                if variables.insert(name, value).is_some() {
                    return Err(A::Error::custom(told));
                }
            }
            Ok(variables)
        }
    }

    deserializer.deserialize_map(Variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ExecSettings, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let settings = read(r#"{"command": "/p/check_x", "arguments": ["-w", "1"]}"#).unwrap();
        let arguments = vec!["-w".parse().unwrap(), "1".parse().unwrap()];
        assert_eq!(settings, ExecSettings::running("/p/check_x".parse().unwrap(), arguments));
        let written = serde_json::to_string(&settings).unwrap();
        assert_eq!(written, r#"{"command":"/p/check_x","arguments":["-w","1"]}"#);
        let some = read(r#"{"command": "/p/check_x", "limits": {"cpu_seconds": 5}}"#).unwrap().limits;
        assert_eq!(some, ExecLimits { cpu_seconds: 5, ..ExecLimits::default() });
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_what_was_expected() {
        for (json, told) in [
            (r#"{}"#, "missing field `command`"),
            (r#"{"command": "check_x"}"#, "expected one that begins with /"),
            (r#"{"command": ""}"#, "expected one that begins with /"),
            (r#"{"command": "/a\u0000b"}"#, "holds a NUL"),
            (r#"{"command": "/a", "arguments": [1]}"#, "expected the argument"),
            (r#"{"command": "/a", "arguments": ["\u0000"]}"#, "holds a NUL"),
            (r#"{"command": "/a", "arguments": "-w 1"}"#, "expected a list of arguments"),
            (r#"{"command": "/a", "environment": {"1A": "x"}}"#, "expected letters, digits and _"),
            (r#"{"command": "/a", "environment": {"A=B": "x"}}"#, "expected letters, digits and _"),
            (r#"{"command": "/a", "environment": {"A": "\u0000"}}"#, "holds a NUL"),
            (r#"{"command": "/a", "environment": {"A": "x", "A": "y"}}"#, "names `A` twice"),
            (r#"{"command": "/a", "working_directory": "tmp"}"#, "not an absolute path"),
            (r#"{"command": "/a", "warning": "maybe"}"#, "unknown variant `maybe`"),
            (r#"{"command": "/a", "limits": {"cpu_seconds": 0}}"#, "expected 1 to 300"),
            (r#"{"command": "/a", "limits": {"cpu_seconds": 301}}"#, "expected 1 to 300"),
            (r#"{"command": "/a", "limits": {"open_files": 7}}"#, "expected 8 to 65536"),
            (r#"{"command": "/a", "limits": {"stack": 7}}"#, "unknown field `stack`"),
            (r#"{"command": "/a", "shell": true}"#, "unknown field `shell`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(told), "{json}: {error}");
        }
        let many = serde_json::json!({ "command": "/a", "arguments": vec!["x"; ARGUMENTS_MAX + 1] });
        assert!(read(&many.to_string()).unwrap_err().contains("expected at most 256"));
        let variables: BTreeMap<_, _> = (0..=VARIABLES_MAX).map(|n| (format!("V{n}"), "x")).collect();
        let many = serde_json::json!({ "command": "/a", "environment": variables });
        assert!(read(&many.to_string()).unwrap_err().contains("expected at most 64"));
    }

    #[test]
    fn no_value_of_a_variable_shows_in_a_log() {
        let settings = read(r#"{"command": "/a", "environment": {"PGPASSWORD": "hunter2"}}"#).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
