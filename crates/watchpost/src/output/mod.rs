//! Results on stdout.

mod printer;
mod row;

pub use printer::{Format, Printed, Printer, Tally};
