//! Results and verdicts on stdout.

mod detail;
mod item;
mod printer;
mod row;
mod table;

pub use item::Heard;
pub use printer::{Format, Printed, Printer, Tally};
pub use row::{Clock, Lead, duration, word};
pub use table::{Cell, Table, Tone, print, print_objects};
