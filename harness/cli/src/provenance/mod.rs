//! Where runs meet the log: what is recorded of them, and how steps are taken again.

pub mod audit;
pub mod forgeries;
pub mod record;
