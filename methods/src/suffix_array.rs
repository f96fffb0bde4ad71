//! All suffixes of a number of texts in order, so that what two texts share is found by bisection.

use std::ops::Range;

/// Suffixes `(text, start)` in order; a suffix ends with its text, so nothing spans two.
pub(crate) struct SuffixArray {
    texts: Vec<Vec<u32>>,
    suffixes: Vec<(u32, u32)>,
}

impl SuffixArray {
    /// The suffixes of `texts`, sorted.
    pub fn of(texts: Vec<Vec<u32>>) -> Self {
        let starts = |(text, tokens): (usize, &Vec<u32>)| {
            (0..tokens.len()).map(move |start| (text as u32, start as u32))
        };
        let mut suffixes: Vec<(u32, u32)> = texts.iter().enumerate().flat_map(starts).collect();
        // Texts are windows, so that a comparison is short however often they repeat each other.
        suffixes.sort_unstable_by(|&a, &b| slice(&texts, a).cmp(slice(&texts, b)).then(a.cmp(&b)));
        Self { texts, suffixes }
    }

    /// Number of tokens, of all texts.
    pub fn tokens(&self) -> usize {
        self.suffixes.len()
    }

    fn suffix(&self, at: usize) -> &[u32] {
        slice(&self.texts, self.suffixes[at])
    }

    /// Positions of the suffixes that begin with `pattern`.
    pub fn beginning_with(&self, pattern: &[u32]) -> Range<usize> {
        let head = |&suffix: &(u32, u32)| {
            let suffix = slice(&self.texts, suffix);
            &suffix[..suffix.len().min(pattern.len())]
        };
        let start = self.suffixes.partition_point(|suffix| head(suffix) < pattern);
        let count = self.suffixes[start..].partition_point(|suffix| head(suffix) == pattern);
        start..start + count
    }

    /// Tokens at the start of `pattern` that stand somewhere in the texts, as many as possible.
    pub fn longest_prefix(&self, pattern: &[u32]) -> usize {
        let at = self.suffixes.partition_point(|&suffix| slice(&self.texts, suffix) < pattern);
        let neighbours = at.saturating_sub(1)..(at + 1).min(self.suffixes.len());
        neighbours.map(|at| common_prefix(self.suffix(at), pattern)).max().unwrap_or(0)
    }

    /// The texts of the suffixes at these positions, one for each.
    pub fn texts_at(&self, range: Range<usize>) -> impl Iterator<Item = usize> + '_ {
        self.suffixes[range].iter().map(|&(text, _)| text as usize)
    }
}

fn slice(texts: &[Vec<u32>], (text, start): (u32, u32)) -> &[u32] {
    &texts[text as usize][start as usize..]
}

fn common_prefix(left: &[u32], right: &[u32]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SuffixArray;

    /// Texts in which `pattern` stands, once for each place.
    fn naive(texts: &[Vec<u32>], pattern: &[u32]) -> Vec<usize> {
        let places = |text: &Vec<u32>| {
            (0..text.len()).filter(|&start| text[start..].starts_with(pattern)).count()
        };
        texts.iter().enumerate().flat_map(|(t, text)| vec![t; places(text)]).collect()
    }

    #[test]
    fn a_small_one_by_hand() {
        // Suffixes of "banana" and "nab" in order: a, ab, ana, anana, b, banana, na, nab, nana.
        let text = |word: &str| -> Vec<u32> { word.bytes().map(u32::from).collect() };
        let array = SuffixArray::of(vec![text("banana"), text("nab")]);
        assert_eq!(array.tokens(), 9);
        assert_eq!(array.beginning_with(&text("na")), 6..9);
        assert_eq!(array.beginning_with(&text("ab")), 1..2);
        assert!(array.beginning_with(&text("x")).is_empty());
        assert_eq!(array.texts_at(6..9).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(array.longest_prefix(&text("nabob")), 3);
        // Not across the end of one text into the next.
        assert_eq!(array.longest_prefix(&text("anab")), 3);
    }

    proptest! {
        #[test]
        fn bisection_finds_what_a_search_of_every_place_finds(
            texts in proptest::collection::vec(proptest::collection::vec(0u32..3, 0..12), 0..6),
            pattern in proptest::collection::vec(0u32..3, 1..8),
        ) {
            let array = SuffixArray::of(texts.clone());
            let mut found: Vec<usize> = array.texts_at(array.beginning_with(&pattern)).collect();
            found.sort_unstable();
            prop_assert_eq!(found, naive(&texts, &pattern));
            let longest = (0..=pattern.len())
                .rev()
                .find(|&length| length == 0 || !naive(&texts, &pattern[..length]).is_empty());
            prop_assert_eq!(Some(array.longest_prefix(&pattern)), longest);
        }
    }
}
