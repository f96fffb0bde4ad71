//! Randomness: one root seed, named streams, nothing else.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The stream of random numbers called `name` (and `index`, an epoch or a repeat) under a root
/// seed.
///
/// The key is `SHA-256(seed || len(name) || name || index)`: streams are independent of each other
/// and of the order in which they are asked for.
pub fn stream(seed: u64, name: &str, index: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    hash.update(index.to_le_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::stream;

    #[test]
    fn streams_repeat_and_differ_by_each_part_of_their_name() {
        let draw = |seed, name, index| stream(seed, name, index).next_u64();
        assert_eq!(draw(1, "init", 0), draw(1, "init", 0));
        let all = [draw(1, "init", 0), draw(2, "init", 0), draw(1, "order", 0), draw(1, "init", 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }
}
