//! From the rows of an experiment to tables, figures and one page.
//!
//! This crate reads a [`Record`](attribench_core::Record) and nothing else of an experiment: it
//! cannot run a method, see a truth or recompute a number. [`write_tables`] stores the record,
//! [`read_tables`] reads it back, [`draw_figures`] draws it, [`write_page`] writes `report.html`
//! with everything in it, and [`summary_table`] is the short answer for a terminal.
//!
//! Nothing here reads a clock, and every map is ordered: the same record gives the same bytes.

mod answers;
mod beside;
mod columns;
mod costs;
pub mod economics;
mod error;
mod explained;
mod facts;
mod figures;
mod forgeries;
mod games;
mod number;
mod page;
mod score_tables;
mod select;
mod summary;
mod tables;

pub use answers::answers;
pub use beside::write_beside;
pub use columns::{NamedColumn, read_columns};
pub use error::ReportError;
pub use explained::{ExplainedBy, Explanation, Passage, write_explanation};
pub use facts::{Fact, Notice, RunFacts, read_facts, write_facts};
pub use figures::{Figure, draw_figures};
pub use page::{PAGE_FILE, write_page};
pub use score_tables::{LabelledScores, read_scores, write_scores};
pub use summary::summary_table;
pub use tables::{read_tables, write_tables};

// The fixture is written against the public names, and serves tests inside and outside alike.
#[cfg(test)]
extern crate self as attribench_reports;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod fixture;
