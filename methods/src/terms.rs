//! What lexical methods count: words of a text, or its tokens as they are.

use std::collections::BTreeMap;

use attribench_core::{Examples, MethodError, Queries, Real, Scores};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// What is counted in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Terms {
    /// Words of the text that the tokens spell: runs of letters, digits and bytes above 127, with
    /// capitals made small. A window may begin or end within a word; what it holds of it counts.
    #[default]
    Words,
    /// Every token.
    Tokens,
}

/// A term: the tokens that it is made of.
pub(crate) type Term = Vec<u32>;

impl Terms {
    /// Terms of every example.
    ///
    /// # Errors
    /// When the examples are no texts, or words are asked of tokens that spell nothing.
    pub(crate) fn of_all<T: Real>(
        self,
        examples: &Examples<T>,
    ) -> Result<Vec<Vec<Term>>, MethodError> {
        let texts = texts(examples)?;
        if self == Self::Tokens {
            let terms = |text: Vec<u32>| text.into_iter().map(|token| vec![token]).collect();
            return Ok(texts.into_iter().map(terms).collect());
        }
        let words = |row| examples.spelt(row).map(|text| words(&text));
        (0..examples.len()).map(words).collect::<Option<_>>().ok_or_else(|| {
            let message = "words are made of bytes, and some tokens spell none";
            MethodError::Unsuitable(format!("{message}\nhint: use `terms: tokens`"))
        })
    }
}

fn words(text: &[u8]) -> Vec<Term> {
    let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || byte > 127;
    let runs = text.split(|&byte| !is_of_word(byte)).filter(|run| !run.is_empty());
    runs.map(|run| run.iter().map(|byte| u32::from(byte.to_ascii_lowercase())).collect()).collect()
}

/// Texts of the examples, as tokens.
pub(crate) fn texts<T: Real>(examples: &Examples<T>) -> Result<Vec<Vec<u32>>, MethodError> {
    (0..examples.len()).map(|row| examples.text(row)).collect::<Option<_>>().ok_or_else(|| {
        let message = "the method counts words, and the examples are no texts";
        MethodError::Unsuitable(format!("{message}\nhint: leave it out"))
    })
}

/// How often each term occurs in a text.
pub(crate) fn counts(terms: &[Term]) -> BTreeMap<&[u32], usize> {
    let mut counts = BTreeMap::new();
    for term in terms {
        *counts.entry(term.as_slice()).or_default() += 1;
    }
    counts
}

/// Where each term occurs.
pub(crate) struct Index {
    /// Document and number of occurrences, by term.
    postings: BTreeMap<Term, Vec<(usize, usize)>>,
    /// Terms of each document.
    pub lengths: Vec<usize>,
}

impl Index {
    /// The index of documents given by their terms.
    pub fn of(documents: &[Vec<Term>]) -> Self {
        let mut postings: BTreeMap<Term, Vec<(usize, usize)>> = BTreeMap::new();
        for (document, terms) in documents.iter().enumerate() {
            for (term, count) in counts(terms) {
                postings.entry(term.to_vec()).or_default().push((document, count));
            }
        }
        Self { postings, lengths: documents.iter().map(Vec::len).collect() }
    }

    /// Documents, `N`.
    pub fn documents(&self) -> usize {
        self.lengths.len()
    }

    /// Documents with a term, and how often each has it; none for a term that is nowhere.
    pub fn postings(&self, term: &[u32]) -> &[(usize, usize)] {
        self.postings.get(term).map_or(&[], Vec::as_slice)
    }

    /// Every term with its documents, in order of terms.
    pub fn iter(&self) -> impl Iterator<Item = (&[u32], &[(usize, usize)])> {
        self.postings.iter().map(|(term, postings)| (term.as_slice(), postings.as_slice()))
    }
}

/// Scores `(n, q)` from a function that scores all documents for one query.
pub(crate) fn score_each<M: attribench_core::Method, T: Real, Q>(
    train: &Examples<T>,
    queries: &Queries<T>,
    asked: &[Q],
    score: impl Fn(&Q) -> Vec<f64>,
) -> Result<Scores, MethodError> {
    let mut values = Array2::zeros((train.len(), asked.len()));
    for (mut column, asked) in values.columns_mut().into_iter().zip(asked) {
        column.assign(&ndarray::Array1::from(score(asked)));
    }
    crate::label::<M, T>(train, queries, values)
}

#[cfg(test)]
pub(crate) mod tests {
    use attribench_core::{Examples, Labels, TokenLoss, TokenTargets};
    use ndarray::Array2;

    use super::{Terms, words};

    /// Texts of one byte a word, an edge before each and behind the shorter ones.
    pub fn letters(texts: &[&str]) -> Examples<f64> {
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let byte = |row: usize, at: usize| texts[row].as_bytes().get(at).copied();
        let shape = (texts.len(), longest);
        let features = Array2::from_shape_fn(shape, |(row, position)| {
            let before = position.checked_sub(1).and_then(|at| byte(row, at));
            f64::from(before.filter(|_| byte(row, position).is_some()).unwrap_or(0))
        });
        let targets = Array2::from_shape_fn(shape, |(row, position)| {
            byte(row, position).map_or(TokenTargets::NONE, u32::from)
        });
        Examples::new(features, Labels::Tokens(TokenTargets::new(targets, TokenLoss::Mean)))
    }

    #[test]
    fn words_are_runs_of_small_letters() {
        let words: Vec<String> = words(b"\0To be, R2D2!")
            .iter()
            .map(|word| word.iter().map(|&token| char::from(token as u8)).collect())
            .collect();
        assert_eq!(words, ["to", "be", "r2d2"]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let numbers = Examples::new(Array2::zeros((1, 2)), Labels::<f64>::Classes(vec![0]));
        let message = Terms::Words.of_all(&numbers).unwrap_err().to_string();
        assert!(message.contains("no texts"), "{message}");
        let wide = TokenTargets::new(Array2::from_elem((1, 1), 300), TokenLoss::Sum);
        let wide = Examples::new(Array2::<f64>::zeros((1, 1)), Labels::Tokens(wide));
        let message = Terms::Words.of_all(&wide).unwrap_err().to_string();
        assert!(message.contains("terms: tokens"), "{message}");
        assert_eq!(Terms::Tokens.of_all(&wide).unwrap(), [[[0], [300]]]);
    }

    #[test]
    fn texts_are_read_back() {
        let examples = letters(&["ab c", "d"]);
        let text = |row| {
            String::from_utf8(
                examples.text(row).unwrap().iter().map(|&token| token as u8).collect(),
            )
        };
        assert_eq!(text(0).unwrap(), "\0ab c");
        assert_eq!(text(1).unwrap(), "\0d");
    }
}
