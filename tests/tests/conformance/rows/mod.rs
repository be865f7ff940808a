//! The rows of the table, a file for each area.

pub mod http_status;
