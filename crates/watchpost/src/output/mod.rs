//! Results and verdicts on stdout.

mod detail;
mod item;
mod printer;
mod row;

pub use item::Heard;
pub use printer::{Format, Printed, Printer, Tally};
