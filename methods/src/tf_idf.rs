//! Cosine of the texts' weighted words.
//!
//! # Computes
//! With `N` training texts, `n_t` of which hold the term `t`, a text with `f_t > 0` occurrences of
//! it has the entry `(1 + ln f_t) (ln((1 + N) / (1 + n_t)) + 1)`; `tau[d, q]` is the cosine of the
//! angle between the two vectors, 0 where one has no entry.
//!
//! # Reads
//! Training texts and queries, prompt and answer (black box); no model. An inverted index.
//!
//! # Shapes
//! Texts of `s` tokens to scores `(n, q)` in `f64`.
//!
//! # Differs from the paper
//! One is added to `N`, `n_t` and the logarithm, so that a word that all texts hold still counts
//! and one that none holds lengthens the query.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::{Terms, TfIdf};
//! assert!(TfIdf { terms: Terms::Tokens }.check().is_ok());
//! ```
//!
//! # References
//! Sparck Jones, A statistical interpretation of term specificity and its application in
//! retrieval, Journal of Documentation 1972.

use attribench_core::{
    BlackBox, Context, Method, MethodError, MethodInfo, ModelInput, Queries, Real, Scale, Scorer,
    Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::terms::{Index, Term, Terms, counts, score_each};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TfIdf {
    /// What is counted.
    pub terms: Terms,
}

impl Method for TfIdf {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Tokens);
    const INFO: MethodInfo = MethodInfo {
        name: "tf-idf",
        summary: "cosine of the texts' weighted words",
        scale: Scale::Arbitrary,
    };

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let index = Index::of(&self.terms.of_all(view.train())?);
        let mut squares = vec![0.0; index.documents()];
        for (term, postings) in index.iter() {
            for &(document, count) in postings {
                squares[document] += entry(&index, term, count).powi(2);
            }
        }
        let norms = squares.into_iter().map(f64::sqrt).collect();
        Ok(Box::new(Fitted { view, index, norms, terms: self.terms }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    index: Index,
    /// Length of each training text's vector, `n`.
    norms: Vec<f64>,
    terms: Terms,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = self.terms.of_all(&queries.examples)?;
        let score = |query: &Vec<Term>| cosines(&self.index, &self.norms, query);
        score_each::<TfIdf, T, _>(self.view.train(), queries, &asked, score)
    }
}

/// Entry of a text that holds `term` `count` times.
fn entry(index: &Index, term: &[u32], count: usize) -> f64 {
    let (documents, holding) = (index.documents() as f64, index.postings(term).len() as f64);
    (1.0 + (count as f64).ln()) * (((1.0 + documents) / (1.0 + holding)).ln() + 1.0)
}

fn cosines(index: &Index, norms: &[f64], query: &[Term]) -> Vec<f64> {
    let mut products = vec![0.0; norms.len()];
    let mut square = 0.0;
    for (term, count) in counts(query) {
        let asked = entry(index, term, count);
        square += asked * asked;
        for &(document, count) in index.postings(term) {
            products[document] += asked * entry(index, term, count);
        }
    }
    let norm = f64::sqrt(square);
    let cosine = |(product, own): (f64, &f64)| match product {
        0.0 => 0.0,
        product => product / (own * norm),
    };
    products.into_iter().zip(norms).map(cosine).collect()
}

#[cfg(test)]
mod tests {
    use attribench_core::{Queries, Utility};

    use super::TfIdf;
    use crate::common::{TestRun, assert_close, scores_of};
    use crate::terms::tests::letters;

    #[test]
    fn golden_values() {
        let run = TestRun::untrained(letters(&["a b a", "b c", "a c c d"]));
        let queries = Queries { examples: letters(&["a c"]), utility: Utility::NegativeLoss };
        let found = scores_of(&TfIdf::default(), &run, &queries);
        // `a`, `b` and `c` weigh the same, so that `b c` against `a c` has the cosine 1/2.
        assert_close(found.values(), &[0.608_845_098_684, 0.5, 0.805_043_918_411], 1e-11);
    }

    #[test]
    fn a_text_and_its_repetition_have_the_cosine_one() {
        let run = TestRun::untrained(letters(&["x y", "..", "z"]));
        let queries = Queries { examples: letters(&["y x", "?"]), utility: Utility::NegativeLoss };
        let found = scores_of(&TfIdf::default(), &run, &queries);
        assert_close(found.values(), &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1e-15);
    }
}
