//! Rows about the game over contributors.

use attribench_core::{Estimate, Manipulated, SamplingError};

use super::{Maker, Place, place};

impl Maker<'_> {
    pub(super) fn game_rows(&mut self) {
        let Some(findings) = self.measurement.game else { return };
        self.distance_rows();
        for found in &findings.sampling {
            // The largest budget is last: what a condition names is what the most money buys.
            let largest = findings.sampling.iter().filter(|other| other.sampler == found.sampler);
            if largest.map(|other| other.budget).max() == Some(found.budget) {
                self.sampling_rows(found);
            }
        }
        self.manipulation_rows(&findings.manipulated);
        self.record.game_shares = findings.shares.clone();
        self.record.sampling_errors = findings.sampling.clone();
        self.record.manipulated = findings.manipulated.clone();
    }

    /// How far the shares of every value are from those of the first.
    fn distance_rows(&mut self) {
        let Some(findings) = self.measurement.game else { return };
        let of = |label: &str| -> Vec<f64> {
            let shares = findings.shares.iter().filter(|share| share.value == label);
            shares.map(|share| share.share).collect()
        };
        let mut labels: Vec<&str> = Vec::new();
        for share in &findings.shares {
            if !labels.contains(&share.value.as_str()) {
                labels.push(&share.value);
            }
        }
        let first = labels.first().map(|label| of(label)).unwrap_or_default();
        for label in labels {
            let distance: f64 =
                of(label).iter().zip(&first).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
            let place = place("game", "share-distance", "contributor", "share");
            self.push(None, label, place, Estimate::exact(distance));
        }
    }

    fn sampling_rows(&mut self, found: &SamplingError) {
        let of = |metric| place("game", metric, "contributor", "share");
        self.push(None, &found.sampler, of("share-error"), found.share_error);
        if let Some(mispaid) = found.mispaid {
            self.push(None, &found.sampler, of("sampled-mispaid-share"), mispaid);
        }
        if let Some(coverage) = found.coverage {
            let value = Estimate::exact(coverage);
            self.push(None, &found.sampler, of("error-coverage"), value);
        }
        let place = place("game", "evaluations", "contributor", "models");
        self.push(None, &found.sampler, place, Estimate::exact(found.evaluations));
    }

    /// Mean and largest change of a manipulator's share, by value and manipulation.
    fn manipulation_rows(&mut self, manipulated: &[Manipulated]) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for found in manipulated {
            let key = (found.value.as_str(), found.manipulation.as_str());
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let same = manipulated
                .iter()
                .filter(|other| (other.value.as_str(), other.manipulation.as_str()) == key);
            let gains: Vec<f64> = same.map(|other| other.after - other.before).collect();
            let mean = gains.iter().sum::<f64>() / gains.len() as f64;
            let largest = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            for (metric, value) in [("gain", mean), ("largest-gain", largest)] {
                let metric = format!("{}-{metric}", found.manipulation);
                let place =
                    Place { truth: "game", metric: &metric, grain: "contributor", unit: "share" };
                self.push(None, &found.value, place, Estimate::exact(value));
            }
        }
    }
}
