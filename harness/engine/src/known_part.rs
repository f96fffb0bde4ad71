//! The end of a run beside a part of the data that it was trained on.

use attribench_core::{Queries, Real, Run, Scale, Scores, ScoresError, stream};
use ndarray::{Array2, Axis};
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::{imported::ImportedRun, trace::TrainedRun};

/// Share of the training examples that a method is shown; the others it credits with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct KnownShare(f64);

impl TryFrom<f64> for KnownShare {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        match share > 0.0 && share < 1.0 {
            true => Ok(Self(share)),
            false => Err(format!("{share} is no part\nhint: use more than 0 and less than 1")),
        }
    }
}

impl From<KnownShare> for f64 {
    fn from(share: KnownShare) -> Self {
        share.0
    }
}

/// Final parameters and the examples that are known, drawn from the stream `known` of the seed.
pub struct KnownPart<'a, T> {
    run: ImportedRun<'a, T>,
    rows: Vec<usize>,
}

impl<'a, T: Real> KnownPart<'a, T> {
    /// What is known of `run` where only a share of its examples is.
    pub fn new(run: &'a TrainedRun<'_, T>, share: KnownShare, seed: u64) -> Self {
        let n = run.train().len();
        let count = ((share.0 * n as f64).round() as usize).clamp(1, n);
        let mut rows = index::sample(&mut stream(seed, "known", 0), n, count).into_vec();
        rows.sort_unstable();
        let theta = run.final_parameters().to_vec();
        let run = ImportedRun::new(run.train().select(&rows), run.model(), theta, run.recipe());
        Self { run, rows }
    }

    /// The run as a method sees it.
    pub fn run(&self) -> &dyn Run<T> {
        &self.run
    }

    /// Scores of all examples of `whole`: those of the known ones, and 0 for the others. Methods
    /// take what they see for all that there is, so that a derivative by the weight of an example,
    /// which has a factor of one by the number of examples, is `n / m` times too large for `m`
    /// known ones; this is put right.
    ///
    /// # Errors
    /// When the scores are not those of the known examples.
    pub fn spread(
        &self,
        scores: &Scores,
        whole: &dyn Run<T>,
        queries: &Queries<T>,
    ) -> Result<Scores, ScoresError> {
        let n = whole.train().len();
        let factor = match scores.scale() {
            Scale::Arbitrary => 1.0,
            Scale::Unit | Scale::Derivative => self.rows.len() as f64 / n as f64,
        };
        let mut values = Array2::zeros((n, queries.examples.len()));
        for (&row, known) in self.rows.iter().zip(scores.values().axis_iter(Axis(0))) {
            values.row_mut(row).assign(&(&known * factor));
        }
        let (train, asked) = (whole.train().ids().to_vec(), queries.ids().to_vec());
        Scores::new(train, asked, values, scores.scale())
    }
}
