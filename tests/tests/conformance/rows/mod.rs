//! The rows of the table, a file for each area.

pub mod datagrams;
pub mod dialogues;
pub mod dns_type;
pub mod exec;
pub mod expressions;
pub mod http_bodies;
pub mod http_endings;
pub mod http_expect;
pub mod http_heads;
pub mod http_proxies;
pub mod http_redirects;
pub mod http_requests;
pub mod http_sends;
pub mod http_status;
pub mod http_versions;
pub mod http_ways;
pub mod lacking;
pub mod mail;
pub mod names;
pub mod packed_bodies;
pub mod refused;
pub mod steps;
pub mod tcp;
pub mod tls;
pub mod tls_type;
pub mod unreachable;
