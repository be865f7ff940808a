//! Bad input (a configuration, a message, a server) is answered with a clear error and changes nothing else.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "bad_input/command_line.rs"]
mod command_line;
#[path = "bad_input/payloads.rs"]
mod payloads;
#[path = "bad_input/servers.rs"]
mod servers;
