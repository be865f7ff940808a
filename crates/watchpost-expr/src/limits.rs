//! What bounds an expression: when it is compiled, so that a program is small, and when it is
//! evaluated, so that it is done soon whatever a server answered.

/// The longest expression, in bytes.
pub const SOURCE_BYTES_MAX: usize = 2048;

/// How deep an expression may be nested: parentheses, calls and operators within each other. The
/// operands of one chain of `&&` or `||` lie side by side and count once.
pub const DEPTH_MAX: usize = 32;

/// The most nodes (values, operators, calls) that an expression may consist of.
pub const NODES_MAX: usize = 512;

/// The most entries of a list that is written out.
pub const LIST_LITERAL_MAX: usize = 256;

/// How many of `all`, `exists` and `filter` may lie within each other.
pub const LOOP_DEPTH_MAX: usize = 2;

/// The most calls of `matches` in one expression: each holds a compiled pattern.
pub const PATTERNS_MAX: usize = 8;

/// The longest pattern of `matches`, in bytes.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// The largest compiled form of a pattern, in bytes. Matching is linear in the text.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 * 1024;

/// How many steps an evaluation may take. Each node that is evaluated is a step, and so is each
/// entry that is compared, each [`TEXT_BYTES_PER_STEP`] of a text that is gone through, and each
/// [`MATCH_BYTES_PER_STEP`] of one that a pattern is tried on.
pub const STEPS_MAX: u32 = 10_000;

/// How many bytes of a text may be gone through for one step.
pub const TEXT_BYTES_PER_STEP: usize = 256;

/// How many bytes of a text a pattern may be tried on for one step.
pub const MATCH_BYTES_PER_STEP: usize = 64;

/// The longest text that an evaluation may make (`+`, `lowerAscii`), in bytes.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The longest list that an evaluation may make (`filter`), in entries.
pub const LIST_ITEMS_MAX: usize = 1024;

/// How deep two JSON values may be nested that are compared with `==`.
pub const JSON_DEPTH_MAX: usize = 128;

/// The most values that an evaluation reports as seen.
pub const SEEN_MAX: usize = 8;

/// The most characters of each value that is reported as seen.
pub const SEEN_CHARS_MAX: usize = 80;

/// The most of a text, in bytes, that is shown to [`Redact`](crate::Redact) before it is cut to
/// [`SEEN_CHARS_MAX`].
pub const REDACTED_BYTES_MAX: usize = 4096;
