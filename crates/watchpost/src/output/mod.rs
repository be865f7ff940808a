//! Results on stdout.

mod printer;
mod row;

pub use printer::{Format, Printer, Tally};
