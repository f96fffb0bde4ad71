//! Rows about the run itself, what ledgers leave over, and what methods cost.

use attribench_core::Estimate;

use super::{Maker, MeasureError, place};

/// Quantile of Student's distribution at 97.5 %, with one degree of freedom less than directions
/// are measured.
const STUDENT: f64 = 2.131_450;

/// Mean over random directions, with Student's interval.
fn mean_of_directions(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let half = STUDENT * (square / (n - 1.0) / n).sqrt();
    let (lower, upper) = ((mean - half).max(-1.0), (mean + half).min(1.0));
    Estimate::new(mean, lower.min(mean), upper.max(mean), 0.95, values.len(), 0)
}

impl Maker<'_> {
    pub(super) fn run_rows(&mut self) -> Result<(), MeasureError> {
        if let Some(right) = &self.measurement.accuracy {
            let accuracy = self.mean_over_queries(right)?;
            self.push(None, "run", place("none", "query-accuracy", "run", "share"), accuracy);
        }
        for (metric, at) in ["utility-at-start", "utility-at-end"].into_iter().zip([0, 1]) {
            let mean = self.mean_over_queries(&self.measurement.utilities[at])?;
            self.push(None, "run", place("none", metric, "run", "nats"), mean);
        }
        let [start, end] = &self.measurement.utilities;
        let gain: Vec<f64> = end.iter().zip(start).map(|(end, start)| end - start).collect();
        let mean = self.mean_over_queries(&gain)?;
        self.push(None, "run", place("none", "utility-gain", "run", "nats"), mean);
        let floor = self.measurement.floor.of_effects(self.queries());
        let floor = self.mean_over_queries(&floor.to_vec())?;
        self.push(None, "run", place("none", "noise-floor", "run", "nats"), floor);
        if let Some(directions) = &self.measurement.metasmoothness {
            let estimate = mean_of_directions(directions);
            self.push(None, "run", place("none", "metasmoothness", "run", "share"), estimate);
        }
        if let Some(deviation) = self.measurement.replay_deviation {
            let place = place("none", "replay-deviation", "run", "relative");
            self.push(None, "run", place, Estimate::exact(deviation));
        }
        for method in 0..self.methods().len() {
            let accounts = self.methods()[method].scored.accounts.clone();
            let of = |name: &str| accounts.iter().find(|(found, _)| found == name);
            for (name, values) in &accounts {
                let mean = self.mean_over_queries(&values[..self.queries()])?;
                let metric = format!("account-{name}");
                self.push_method(method, place("none", &metric, "run", "nats"), mean);
            }
            if let (Some((_, rounding)), Some((_, gain))) = (of("rounding"), of("gain")) {
                let residual = rounding[..self.queries()]
                    .iter()
                    .zip(gain)
                    .map(|(rounding, gain)| rounding.abs() / gain.abs().max(1.0))
                    .fold(0.0, f64::max);
                let place = place("none", "ledger-residual", "run", "relative");
                self.push_method(method, place, Estimate::exact(residual));
            }
        }
        Ok(())
    }

    pub(super) fn cost_rows(&mut self) -> Result<(), MeasureError> {
        for method in 0..self.methods().len() {
            let scored = &self.methods()[method].scored;
            let bytes = (scored.scores.values().len() * size_of::<f64>()) as u64;
            let counts = [
                ("forwards", scored.cost.forwards, "examples"),
                ("gradients", scored.cost.gradients, "examples"),
                ("tangents", scored.cost.tangents, "examples"),
                ("curvature-products", scored.cost.curvature_products, "examples"),
                ("replayed-steps", scored.cost.replayed_steps, "steps"),
                ("retrainings", scored.cost.trainings, "models"),
                ("score-bytes", bytes, "bytes"),
            ];
            for (metric, count, unit) in counts {
                let place = place("none", metric, "run", unit);
                self.push_method(method, place, Estimate::exact(count as f64));
            }
            self.log_rows(method);
        }
        Ok(())
    }

    /// What a method that walks the run was given to walk on.
    fn log_rows(&mut self, method: usize) {
        let Some(logged) = self.methods()[method].logged else { return };
        let steps = place("none", "logged-steps", "run", "share");
        self.push_method(method, steps, Estimate::exact(logged.size.steps));
        let bytes = place("none", "log-bytes", "run", "bytes");
        self.push_method(method, bytes, Estimate::exact(logged.size.bytes as f64));
        if let Some(explained) = logged.explained {
            let place = place("none", "explained-share", "run", "share");
            self.push_method(method, place, Estimate::exact(explained));
        }
    }
}
