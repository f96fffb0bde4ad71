//! Longest passages that an answer shares with the training texts.
//!
//! # Computes
//! From every start in the tokens asked for, the longest run of tokens that stands in a training
//! text. A run shorter than `shortest`, part of another run, or found more than `most` times is
//! dropped. Run `r` has the weight `omega_r`, its length or `-sum ln p` over its tokens with their
//! frequencies `p` in the training texts, and shares it out by occurrences:
//! `tau[d, q] = sum_r omega_r occ_rd / sum_e occ_re`.
//!
//! # Reads
//! Training texts and the tokens asked for (black box); no model. A suffix array over the texts,
//! two bisections a start.
//!
//! # Shapes
//! Texts of `s` tokens to scores `(n, q)` in `f64`; the scores of a query sum to the weights of its
//! runs.
//!
//! # Differs from the paper
//! Runs lie within one window of a text. It is evidence of copying and says nothing of causes: what
//! a text taught in other words scores 0.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::NGramSpans;
//! assert!(NGramSpans { shortest: 0, ..NGramSpans::default() }.check().is_err());
//! ```
//!
//! # References
//! Liu, Min, Zettlemoyer, Choi, Hajishirzi, Infini-gram: scaling unbounded n-gram language models
//! to a trillion tokens, COLM 2024, arXiv 2401.17377; Liu and others, OLMoTrace: tracing language
//! model outputs back to trillions of training tokens, ACL 2025, arXiv 2504.07096.

use std::collections::BTreeMap;
use std::ops::Range;

use attribench_core::{
    BlackBox, Context, Examples, Labels, Method, MethodError, MethodInfo, ModelInput, Queries,
    Real, Scale, Scorer, Scores, View,
};
use serde::{Deserialize, Serialize};

use crate::suffix_array::SuffixArray;
use crate::terms::{score_each, texts};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NGramSpans {
    /// Fewest tokens of a run.
    pub shortest: usize,
    /// Most places at which a run may be found.
    pub most: usize,
    /// What a run weighs.
    pub weight: SpanWeight,
}

/// What a run of tokens weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanWeight {
    /// Its number of tokens.
    #[default]
    Length,
    /// How surprising its tokens are one by one, in nats.
    Surprise,
}

impl Default for NGramSpans {
    fn default() -> Self {
        Self { shortest: 4, most: 1000, weight: SpanWeight::default() }
    }
}

impl Method for NGramSpans {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Tokens);
    const INFO: MethodInfo = MethodInfo {
        name: "n-gram-spans",
        summary: "longest passages that an answer shares with the training texts",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        if self.shortest == 0 || self.most == 0 {
            let (shortest, most) = (self.shortest, self.most);
            return Err(format!(
                "`shortest` is {shortest} and `most` {most}\nhint: use at least 1 for both"
            ));
        }
        Ok(())
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        let texts = texts(view.train())?;
        let mut counts = BTreeMap::new();
        for &token in texts.iter().flatten() {
            *counts.entry(token).or_insert(0.0) += 1.0;
        }
        let array = SuffixArray::of(texts);
        Ok(Box::new(Fitted { view, array, counts, method: self.clone() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    array: SuffixArray,
    /// How often each token occurs.
    counts: BTreeMap<u32, f64>,
    method: NGramSpans,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let asked = answers(&queries.examples)?;
        let score = |answer: &Vec<u32>| self.scores(answer);
        score_each::<NGramSpans, T, _>(self.view.train(), queries, &asked, score)
    }
}

/// Tokens that are asked for, without the prompt.
fn answers<T: Real>(examples: &Examples<T>) -> Result<Vec<Vec<u32>>, MethodError> {
    let Labels::Tokens(tokens) = examples.labels() else {
        return texts(examples);
    };
    Ok((0..examples.len()).map(|row| tokens.asked(row).map(|(_, token)| token).collect()).collect())
}

impl<T: Real> Fitted<'_, T> {
    fn scores(&self, answer: &[u32]) -> Vec<f64> {
        let mut scores = vec![0.0; self.view.train().len()];
        for span in longest_spans(&self.array, answer, self.method.shortest) {
            let places = self.array.beginning_with(&answer[span.clone()]);
            if places.len() > self.method.most {
                continue;
            }
            let share = self.weight(&answer[span]) / places.len() as f64;
            for text in self.array.texts_at(places) {
                scores[text] += share;
            }
        }
        scores
    }

    fn weight(&self, span: &[u32]) -> f64 {
        match self.method.weight {
            SpanWeight::Length => span.len() as f64,
            SpanWeight::Surprise => {
                let all = self.array.tokens() as f64;
                span.iter().map(|token| (all / self.counts[token]).ln()).sum()
            }
        }
    }
}

/// Runs of `answer` that stand in the texts and are part of no longer one.
fn longest_spans(array: &SuffixArray, answer: &[u32], shortest: usize) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for start in 0..answer.len() {
        let end = start + array.longest_prefix(&answer[start..]);
        // Ends never move back, so that a run within another ends where that one does.
        let is_within = spans.last().is_some_and(|last| end <= last.end);
        if end - start >= shortest && !is_within {
            spans.push(start..end);
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use attribench_core::{Queries, Utility};

    use super::{NGramSpans, SpanWeight, longest_spans};
    use crate::common::{TestRun, assert_close, scores_of};
    use crate::suffix_array::SuffixArray;
    use crate::terms::tests::letters;

    #[test]
    fn golden_values() {
        // "abc" stands in texts 0 and 3, "abd" in text 1: 3/2, 3, 0, 3/2.
        let run = TestRun::untrained(letters(&["xabc", "abdy", "ab", "abc"]));
        let queries = Queries { examples: letters(&["abcabd"]), utility: Utility::NegativeLoss };
        let method = NGramSpans { shortest: 2, ..NGramSpans::default() };
        let found = scores_of(&method, &run, &queries);
        assert_close(found.values(), &[1.5, 3.0, 0.0, 1.5], 1e-15);
        // 13 letters, 4 edges; a and b occur 4 times, c twice, d once.
        let surprise = NGramSpans { weight: SpanWeight::Surprise, ..method.clone() };
        let (abc, abd) = ((17f64.powi(3) / 32.0).ln(), (17f64.powi(3) / 16.0).ln());
        let found = scores_of(&surprise, &run, &queries);
        assert_close(found.values(), &[abc / 2.0, abd, 0.0, abc / 2.0], 1e-14);
        let rare = NGramSpans { most: 1, ..method };
        let found = scores_of(&rare, &run, &queries);
        assert_close(found.values(), &[0.0, 3.0, 0.0, 0.0], 1e-15);
    }

    #[test]
    fn runs_within_others_are_dropped() {
        let text = |word: &str| -> Vec<u32> { word.bytes().map(u32::from).collect() };
        let array = SuffixArray::of(vec![text("abcd"), text("cde")]);
        // "abcd", then from c "cde"; "bcd" ends where "abcd" does, "de" and "e" where "cde" does.
        assert_eq!(longest_spans(&array, &text("abcde"), 1), [0..4, 2..5]);
        assert_eq!(longest_spans(&array, &text("abcde"), 4), vec![0..4; 1]);
    }
}
