//! Where long work says how far it is.

/// Told about stages and their parts; called from many threads.
pub trait Progress: Sync {
    /// A stage of `total` parts begins.
    fn begin(&self, stage: &str, total: usize);
    /// So many more parts are done.
    fn advance(&self, parts: usize);
    /// The stage is over.
    fn end(&self);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: &str, _total: usize) {}
    fn advance(&self, _parts: usize) {}
    fn end(&self) {}
}
