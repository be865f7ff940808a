//! The customer's policy against everything that a check can do to get around it, through the built binary.
//!
//! Each row is a check that is refused, and a trap of its own stands where it would have gone: the trap's own count of
//! connections and datagrams says that nothing came. The same row without a policy gets there, so that the trap is known
//! to be one; and beside each kind there are rows that the policy permits, which get there as well.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod addresses;
mod built_in;
mod doors;
mod files;
mod limits;
mod names;
mod own;
mod proxies;
mod redirects;
mod sources;
mod special;
mod table;
mod trap;
mod types;
