//! Named random streams.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The stream `name` of a root seed: ChaCha8 keyed by sha256(seed in little endian, name).
///
/// A stream depends on nothing but its name, so that a new use of randomness elsewhere never moves
/// the numbers drawn here.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(name.as_bytes());
    ChaCha8Rng::from_seed(hasher.finalize().into())
}

/// `count` of the rows `0..total` without replacement, in ascending order.
///
/// The caller has checked that `count <= total`.
pub(crate) fn choose_rows(total: usize, count: usize, stream: &mut ChaCha8Rng) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..total).collect();
    rows.shuffle(stream);
    rows.truncate(count);
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn streams_differ_by_seed_and_by_name_and_repeat() {
        let first = stream(1, "split/query").next_u64();
        assert_eq!(first, stream(1, "split/query").next_u64());
        assert_ne!(first, stream(2, "split/query").next_u64());
        assert_ne!(first, stream(1, "split/train").next_u64());
    }

    #[test]
    fn the_stream_is_chacha8_keyed_by_sha256() {
        // By an implementation of ChaCha8 in Python, with hashlib's sha256.
        assert_eq!(stream(7, "split/query").next_u64(), 0x79cf_b863_ab47_27bb);
    }

    #[test]
    fn chosen_rows_are_distinct_and_sorted() {
        let rows = choose_rows(100, 30, &mut stream(3, "rows"));
        assert_eq!(rows.len(), 30);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rows.iter().all(|&row| row < 100));
    }
}
