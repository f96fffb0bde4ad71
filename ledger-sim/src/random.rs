//! Counter-based randomness: Philox4x32-10 (Salmon et al. 2011).
//!
//! A draw is a pure function of the seed and of what it is for. It depends neither on threads nor
//! on the order of draws, and two policies under the same seed share every draw that they both
//! make (common random numbers).

use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// What a draw is for. The code is part of the counter, so purposes never share draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Purpose {
    /// Weights of the null rule.
    NullRule = 1,
    /// Times at which queries arrive.
    Arrival = 2,
    /// Acceptance of thinned arrivals.
    Thinning = 3,
    /// Errors of an estimator.
    EstimatorNoise = 4,
    /// Persistent errors of an estimator.
    EstimatorBias = 5,
    /// Whether a contributor stops.
    Churn = 6,
    /// Permutations of a sampled semivalue.
    Permutation = 7,
    /// Noise that only an attack arm draws.
    Attack = 8,
    /// Scrambling and shuffling of designs of experiments.
    Design = 9,
    /// Resampling for intervals.
    Bootstrap = 10,
    /// Whether a contributor is ever onboarded.
    Onboarding = 11,
    /// Steps of a token's price.
    Price = 12,
    /// Who asks a query, and about what.
    Demand = 13,
    /// What contributors are worth, what they ask and when they came.
    People = 14,
    /// Reports of attribution nodes.
    Reports = 15,
    /// Choices of teams between models.
    Choice = 16,
    /// Points of a search for parameters.
    Search = 17,
}

/// All random streams of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    key: [u32; 2],
}

impl Streams {
    /// Streams of `replica` under `master_seed`: the key is the first eight bytes of
    /// `SHA-256(seed || replica)`, both as eight big-endian bytes. Neither scenario nor policy is
    /// in it, so that all arms of an experiment share draws.
    pub fn new(master_seed: u64, replica: u64) -> Self {
        let digest: Hash = Sha256::new()
            .chain_update(master_seed.to_be_bytes())
            .chain_update(replica.to_be_bytes())
            .finalize()
            .into();
        let word = |at: usize| {
            u32::from_be_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]])
        };
        Self { key: [word(0), word(4)] }
    }

    /// Four random words for a purpose (16 bits), agent (low 40 bits), epoch (32 bits) and index
    /// (low 40 bits), laid out in this order from the top of the 128-bit counter.
    pub fn words(&self, purpose: Purpose, agent: u64, epoch: u32, index: u64) -> [u32; 4] {
        const LOW_40: u128 = (1 << 40) - 1;
        let counter = (purpose as u128) << 112
            | (u128::from(agent) & LOW_40) << 72
            | u128::from(epoch) << 40
            | u128::from(index) & LOW_40;
        let word = |shift: u32| (counter >> shift) as u32;
        philox4x32_10([word(0), word(32), word(64), word(96)], self.key)
    }

    /// A number strictly between 0 and 1: `(m + 1/2) / 2^52` with 52 random bits `m`.
    pub fn uniform(&self, purpose: Purpose, agent: u64, epoch: u32, index: u64) -> f64 {
        let words = self.words(purpose, agent, epoch, index);
        open_unit(words[0], words[1])
    }

    /// A standard normal number, by the polar-free Box-Muller transform of one block of words.
    pub fn normal(&self, purpose: Purpose, agent: u64, epoch: u32, index: u64) -> f64 {
        let words = self.words(purpose, agent, epoch, index);
        let radius = (-2.0 * open_unit(words[0], words[1]).ln()).sqrt();
        radius * (std::f64::consts::TAU * open_unit(words[2], words[3])).cos()
    }

    /// The standard normal number `index` of a row of many: two of them share one block of words,
    /// which halves the work of [`Streams::normal`].
    pub fn normal_in_row(&self, purpose: Purpose, agent: u64, epoch: u32, index: u64) -> f64 {
        let words = self.words(purpose, agent, epoch, index / 2);
        let radius = (-2.0 * open_unit(words[0], words[1]).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * open_unit(words[2], words[3])).sin_cos();
        radius * if index.is_multiple_of(2) { cosine } else { sine }
    }

    /// An exponential number of mean one.
    pub fn exponential(&self, purpose: Purpose, agent: u64, epoch: u32, index: u64) -> f64 {
        -self.uniform(purpose, agent, epoch, index).ln()
    }
}

fn open_unit(high: u32, low: u32) -> f64 {
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 12;
    (bits as f64 + 0.5) / (1u64 << 52) as f64
}

/// Ten rounds of Philox on a 128-bit counter (low word first) and a 64-bit key.
pub fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let first = u64::from(counter[0]) * 0xD251_1F53;
        let second = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G04, the known answers of the Random123 distribution.
    #[test]
    fn philox_known_answers() {
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox4x32_10(pi, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn each_part_of_the_counter_matters_and_nothing_else_does() {
        let streams = Streams::new(7, 0);
        let base = streams.words(Purpose::Arrival, 1, 2, 3);
        assert_eq!(base, Streams::new(7, 0).words(Purpose::Arrival, 1, 2, 3));
        let others = [
            streams.words(Purpose::Churn, 1, 2, 3),
            streams.words(Purpose::Arrival, 2, 2, 3),
            streams.words(Purpose::Arrival, 1, 3, 3),
            streams.words(Purpose::Arrival, 1, 2, 4),
            Streams::new(8, 0).words(Purpose::Arrival, 1, 2, 3),
            Streams::new(7, 1).words(Purpose::Arrival, 1, 2, 3),
        ];
        assert!(others.iter().all(|other| *other != base));
    }

    #[test]
    fn moments_are_those_of_the_laws() {
        let streams = Streams::new(1, 0);
        let count = 200_000;
        let mean = |draw: &dyn Fn(u64) -> f64| (0..count).map(draw).sum::<f64>() / count as f64;
        let purpose = Purpose::EstimatorNoise;
        // Five standard errors: sd of a uniform .2887, normal 1, square of a normal 1.414,
        // exponential 1; the square root of the count is 447.
        assert!((mean(&|i| streams.uniform(purpose, 0, 0, i)) - 0.5).abs() < 0.0033);
        assert!(mean(&|i| streams.normal(purpose, 1, 0, i)).abs() < 0.0112);
        assert!((mean(&|i| streams.normal(purpose, 2, 0, i).powi(2)) - 1.0).abs() < 0.0159);
        assert!((mean(&|i| streams.exponential(purpose, 3, 0, i)) - 1.0).abs() < 0.0112);
    }

    #[test]
    fn the_unit_interval_is_open() {
        assert!(open_unit(0, 0) > 0.0);
        assert!(open_unit(u32::MAX, u32::MAX) < 1.0);
    }
}
