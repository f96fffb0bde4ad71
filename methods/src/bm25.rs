//! Words in common, weighted by BM25.
//!
//! # Computes
//! With `N` training texts, `n_t` of which hold the term `t`, `f_td` occurrences of it in text `d`,
//! `|d|` terms in that text and their mean `L`:
//! `tau[d, q] = sum_{t in q} ln(1 + (N - n_t + 1/2) / (n_t + 1/2)) f_td (k1 + 1) /
//! (f_td + k1 (1 - b + b |d| / L))`, a term counted as often as the query has it.
//!
//! # Reads
//! Training texts and queries, prompt and answer (black box); no model. An inverted index.
//!
//! # Shapes
//! Texts of `s` tokens to scores `(n, q)` in `f64`.
//!
//! # Differs from the paper
//! The logarithm has 1 added, so that no term counts against a text. It is the baseline that every
//! report on texts needs: what it finds, nobody needs a model for.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Bm25;
//! assert!(Bm25 { b: 1.5, ..Bm25::default() }.check().is_err());
//! ```
//!
//! # References
//! Robertson, Zaragoza, The probabilistic relevance framework: BM25 and beyond, 2009.

use attribench_core::{
    BlackBox, Context, Method, MethodError, MethodInfo, ModelInput, Queries, Real, Scale, Scorer,
    Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::terms::{Index, Term, Terms, score_each};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bm25 {
    /// What is counted.
    pub terms: Terms,
    /// How soon further occurrences stop to count, at least 0.
    pub k1: f64,
    /// How much long texts are held back, from 0 to 1.
    pub b: f64,
}

impl Default for Bm25 {
    fn default() -> Self {
        Self { terms: Terms::default(), k1: 1.2, b: 0.75 }
    }
}

impl Method for Bm25 {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Tokens);
    const INFO: MethodInfo = MethodInfo {
        name: "bm25",
        summary: "words in common, weighted by BM25",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if !(self.k1 >= 0.0 && self.k1.is_finite()) {
            return Err(format!("`k1` is {}\nhint: use for instance 1.2", self.k1));
        }
        if !(0.0..=1.0).contains(&self.b) {
            return Err(format!("`b` is {}\nhint: use a number from 0 to 1", self.b));
        }
        Ok(())
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let index = Index::of(&self.terms.of_all(view.train())?);
        Ok(Box::new(Fitted { view, index, method: self.clone() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    index: Index,
    method: Bm25,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = self.method.terms.of_all(&queries.examples)?;
        let score = |query: &Vec<Term>| self.method.scores(&self.index, query);
        score_each::<Bm25, T, _>(self.view.train(), queries, &asked, score)
    }
}

impl Bm25 {
    fn scores(&self, index: &Index, query: &[Term]) -> Vec<f64> {
        let documents = index.documents() as f64;
        let mean = index.lengths.iter().sum::<usize>() as f64 / documents;
        let mut scores = vec![0.0; index.documents()];
        for term in query {
            let postings = index.postings(term);
            let holding = postings.len() as f64;
            let weight = (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln();
            for &(document, count) in postings {
                let (count, length) = (count as f64, index.lengths[document] as f64);
                let held_back = self.k1 * (1.0 - self.b + self.b * length / mean);
                scores[document] += weight * count * (self.k1 + 1.0) / (count + held_back);
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Queries, Utility};

    use super::Bm25;
    use crate::common::{TestRun, assert_close, scores_of};
    use crate::terms::tests::letters;

    #[test]
    fn golden_values() {
        // Three texts of 3, 2 and 4 words with mean 3; `a` is in texts 0 and 2, `c` in 1 and 2, so
        // that both weigh ln(1 + 1.5 / 2.5) = ln 1.6.
        let run = TestRun::untrained(letters(&["a b a", "b c", "a c c d"]));
        let queries = Queries { examples: letters(&["a c"]), utility: Utility::NegativeLoss };
        let found = scores_of(&Bm25::default(), &run, &queries);
        let expected = [0.646_254_990_213, 0.544_214_728_600, 1.004_464_899_074];
        assert_close(found.values(), &expected, 1e-11);
    }

    #[test]
    fn without_length_a_word_counts_alike_everywhere() {
        // b = 0 and f = 1: the weight times (k1 + 1) / (1 + k1) = 1.
        let run = TestRun::untrained(letters(&["a", "b c d", "c a"]));
        let queries = Queries { examples: letters(&["a"]), utility: Utility::NegativeLoss };
        let found = scores_of(&Bm25 { b: 0.0, ..Bm25::default() }, &run, &queries);
        let weight = 1.6f64.ln();
        assert_close(found.values(), &[weight, 0.0, weight], 1e-15);
    }
}
