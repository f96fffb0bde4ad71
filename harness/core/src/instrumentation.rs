//! How much of a run was logged: what a trainer must keep so that a method can walk the run.

use rand::{RngExt, seq::index};
use serde::{Deserialize, Serialize};

use crate::stream;

/// A description of a log; by default everything is kept.
///
/// Of every logged step the log keeps which examples were in the batch, what entered and left the
/// layers on the way back, and the parameters on both sides of the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Instrumentation {
    /// Steps that are logged.
    pub steps: LoggedSteps,
    /// Names of the layers whose gradients are logged; all where absent.
    pub layers: Option<Vec<String>>,
    /// Numbers to which a layer's inputs, and the gradients at its outputs, are compressed; not at
    /// all where absent.
    ///
    /// A vector `a` of width `d` is kept as `P^T a` with a fixed Gaussian `P`, `(d, rank)`, of
    /// variance `1 / rank`, so that products of `P P^T a` with anything are right on average.
    pub rank: Option<usize>,
}

/// Which steps are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoggedSteps {
    /// All of them.
    #[default]
    All,
    /// This step and all later ones, counted from 0.
    From(usize),
    /// The first step and every so many after it.
    Every(usize),
    /// A share of the steps, drawn at random.
    Share(f64),
}

impl Instrumentation {
    /// Whether everything is kept.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the numbers are in range and the layers are among `layers`.
    ///
    /// # Errors
    /// A message that names what is wrong and ends in what to do.
    pub fn check(&self, steps: usize, layers: &[&str]) -> Result<(), String> {
        match self.steps {
            LoggedSteps::From(first) if first >= steps => {
                return Err(format!(
                    "`steps: from` is {first}, but the run has {steps} steps\nhint: use less"
                ));
            }
            LoggedSteps::Every(0) => {
                return Err("`steps: every` is 0\nhint: use 1 or more".into());
            }
            LoggedSteps::Share(share) if !(share > 0.0 && share <= 1.0) => {
                return Err(format!(
                    "`steps: share` is {share}\nhint: use more than 0 and at most 1"
                ));
            }
            _ => {}
        }
        if self.rank == Some(0) {
            return Err("`rank` is 0\nhint: use 1 or more".into());
        }
        let unknown = |name: &&String| !layers.contains(&name.as_str());
        match self.layers.iter().flatten().find(unknown) {
            Some(name) => Err(format!(
                "the model has no layer `{name}` (known: {})\nhint: name one of those",
                layers.join(", ")
            )),
            None => Ok(()),
        }
    }

    /// Whether each of `steps` steps is logged; the draw of a share is that of the stream `log` of
    /// the seed.
    pub fn chosen(&self, steps: usize, seed: u64) -> Vec<bool> {
        match self.steps {
            LoggedSteps::All => vec![true; steps],
            LoggedSteps::From(first) => (0..steps).map(|step| step >= first).collect(),
            LoggedSteps::Every(every) => (0..steps).map(|step| step % every == 0).collect(),
            LoggedSteps::Share(share) => {
                let count = ((share * steps as f64).round() as usize).clamp(1, steps.max(1));
                let mut chosen = vec![false; steps];
                let mut numbers = stream(seed, "log", 0);
                for step in index::sample(&mut numbers, steps, count.min(steps)) {
                    chosen[step] = true;
                }
                chosen
            }
        }
    }

    /// Whether the layer of this name is logged.
    pub fn logs_layer(&self, name: &str) -> bool {
        self.layers.as_ref().is_none_or(|layers| layers.iter().any(|layer| layer == name))
    }

    /// The compression `P` of vectors of width `width`, `(width, rank)` row by row; `None` where
    /// they are kept as they are, which they are where that is shorter.
    pub fn compression(&self, width: usize, seed: u64, index: u64) -> Option<Vec<f64>> {
        let rank = self.rank.filter(|&rank| rank < width)?;
        let mut numbers = stream(seed, "log/compression", index);
        let scale = 1.0 / (rank as f64).sqrt();
        // Pairs of normal numbers from pairs of uniform ones (Box and Muller).
        let mut normal = || -> f64 {
            let radius = (-2.0 * (1.0 - numbers.random::<f64>()).ln()).sqrt();
            radius * (std::f64::consts::TAU * numbers.random::<f64>()).cos()
        };
        Some((0..width * rank).map(|_| scale * normal()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Instrumentation, LoggedSteps};

    fn steps(steps: LoggedSteps) -> Instrumentation {
        Instrumentation { steps, ..Instrumentation::default() }
    }

    #[test]
    fn steps_by_hand() {
        let of = |logged| steps(logged).chosen(5, 3);
        assert_eq!(of(LoggedSteps::All), [true; 5]);
        assert_eq!(of(LoggedSteps::From(3)), [false, false, false, true, true]);
        assert_eq!(of(LoggedSteps::Every(2)), [true, false, true, false, true]);
        let drawn = steps(LoggedSteps::Share(0.4)).chosen(1000, 3);
        assert_eq!(drawn.iter().filter(|&&logged| logged).count(), 400);
        assert_ne!(drawn, steps(LoggedSteps::Share(0.4)).chosen(1000, 4));
    }

    #[test]
    fn what_cannot_be_logged_is_refused() {
        let refused = [
            steps(LoggedSteps::From(5)),
            steps(LoggedSteps::Every(0)),
            steps(LoggedSteps::Share(0.0)),
            steps(LoggedSteps::Share(f64::NAN)),
            Instrumentation { rank: Some(0), ..Instrumentation::default() },
            Instrumentation { layers: Some(vec!["layer9".into()]), ..Instrumentation::default() },
        ];
        for log in refused {
            let message = log.check(5, &["layer0"]).unwrap_err();
            assert!(message.contains("hint:"), "{message}");
        }
        assert_eq!(Instrumentation::default().check(5, &["layer0"]), Ok(()));
    }

    #[test]
    fn compression_keeps_products_on_average() {
        // |P^T a|^2 has mean |a|^2 and variance 2 |a|^4 / rank; here over 400 draws of rank 8.
        let log = Instrumentation { rank: Some(8), ..Instrumentation::default() };
        let a: Vec<f64> = (0..30).map(|i| f64::from(i) / 10.0 - 1.0).collect();
        let square: f64 = a.iter().map(|x| x * x).sum();
        let mut sum = 0.0;
        for index in 0..400 {
            let p = log.compression(30, 1, index).unwrap();
            for k in 0..8 {
                let image: f64 = a.iter().enumerate().map(|(j, x)| x * p[j * 8 + k]).sum();
                sum += image * image;
            }
        }
        let deviation = square * (2.0 / 8.0 / 400.0f64).sqrt();
        assert!((sum / 400.0 - square).abs() < 4.0 * deviation, "{} {square}", sum / 400.0);
        assert_eq!(log.compression(8, 1, 0), None);
    }
}
