//! Data sets with their contributors: loaders, embedded excerpts, ownership rules and corruptions.

mod dataset;

pub use dataset::{Dataset, DatasetError, ExampleId, Targets};
