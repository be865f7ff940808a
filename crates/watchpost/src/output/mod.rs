//! Results and verdicts on stdout.

mod item;
mod printer;
mod row;

pub use item::Heard;
pub use printer::{Format, Printed, Printer, Tally};
