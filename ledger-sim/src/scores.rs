//! Sparse attribution scores as a payout rule reads them.

use crate::refusal::Refusal;

/// Scores of contributors for queries, one sparse row for each query. Always finite.
///
/// Any unit: rules use ratios unless they say otherwise. An identity that a row leaves out has
/// score zero for that query.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreView {
    contributors: usize,
    offsets: Vec<usize>,
    ids: Vec<u32>,
    values: Vec<f64>,
}

impl ScoreView {
    /// Scores from a dense matrix in contributor-major order: the score of contributor `i` for
    /// query `q` is `values[i * queries + q]`. Zeros are not stored.
    ///
    /// # Errors
    /// [`Refusal::NonFinite`] for the first score, by contributor, that is not finite;
    /// [`Refusal::RuleNeeds`] when the number of values is not contributors x queries.
    pub fn from_dense(
        contributors: usize,
        queries: usize,
        values: &[f64],
    ) -> Result<Self, Refusal> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (contributor, query) = (at / queries.max(1), at % queries.max(1));
            return Err(Refusal::NonFinite { contributor, query });
        }
        if contributors.checked_mul(queries) != Some(values.len()) {
            let input = "contributors x queries scores";
            return Err(Refusal::RuleNeeds { rule: "score view", input });
        }
        let rows = (0..queries).map(|query| {
            (0..contributors).map(move |i| (i, values[i * queries + query])).collect::<Vec<_>>()
        });
        Self::from_rows(contributors, rows)
    }

    /// Scores from one list of (contributor, score) for each query. Zeros are not stored.
    ///
    /// # Errors
    /// [`Refusal::NonFinite`]; [`Refusal::DuplicateId`] for a contributor twice in a row;
    /// [`Refusal::RuleNeeds`] for a contributor beyond `contributors`.
    pub fn from_rows(
        contributors: usize,
        rows: impl IntoIterator<Item = Vec<(usize, f64)>>,
    ) -> Result<Self, Refusal> {
        u32::try_from(contributors).map_err(|_| Refusal::Overflow)?;
        let mut view = Self { contributors, offsets: vec![0], ids: vec![], values: vec![] };
        for (query, mut row) in rows.into_iter().enumerate() {
            row.sort_by_key(|(contributor, _)| *contributor);
            view.check_row(query, &row)?;
            for (contributor, value) in row.into_iter().filter(|(_, value)| *value != 0.0) {
                view.ids.push(contributor as u32);
                view.values.push(value);
            }
            view.offsets.push(view.ids.len());
        }
        Ok(view)
    }

    fn check_row(&self, query: usize, row: &[(usize, f64)]) -> Result<(), Refusal> {
        if let Some((contributor, _)) = row.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Refusal::NonFinite { contributor: *contributor, query });
        }
        if let Some(pair) = row.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::DuplicateId { id: pair[0].0.to_string() });
        }
        if row.last().is_some_and(|(contributor, _)| *contributor >= self.contributors) {
            let input = "contributor indices below the number of contributors";
            return Err(Refusal::RuleNeeds { rule: "score view", input });
        }
        Ok(())
    }

    /// Number of contributors.
    pub fn contributors(&self) -> usize {
        self.contributors
    }

    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Non-zero scores of one query as (contributor, score), by ascending contributor.
    pub fn query(&self, query: usize) -> impl Iterator<Item = (usize, f64)> {
        let range = self.offsets[query]..self.offsets[query + 1];
        let ids = self.ids[range.clone()].iter().map(|id| *id as usize);
        ids.zip(self.values[range].iter().copied())
    }

    /// The queries of `range` alone.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let first = self.offsets[range.start];
        let last = self.offsets[range.end];
        Self {
            contributors: self.contributors,
            offsets: self.offsets[range.start..=range.end].iter().map(|at| at - first).collect(),
            ids: self.ids[first..last].to_vec(),
            values: self.values[first..last].to_vec(),
        }
    }

    /// Scores of identities from scores of items: identity `o` has the sum of the scores of the
    /// items that `owners` gives it. Relabelling items changes owners and nothing else.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] unless every item has an owner below `identities`;
    /// [`Refusal::NonFinite`] when a sum leaves the range of f64.
    pub fn by_owner(&self, owners: &[usize], identities: usize) -> Result<Self, Refusal> {
        if owners.len() != self.contributors || owners.iter().any(|owner| *owner >= identities) {
            return Err(Refusal::RuleNeeds { rule: "score view", input: "an owner of each item" });
        }
        let rows = (0..self.queries()).map(|query| {
            let mut sums = std::collections::BTreeMap::new();
            for (item, value) in self.query(query) {
                *sums.entry(owners[item]).or_insert(0.0) += value;
            }
            sums.into_iter().collect()
        });
        Self::from_rows(identities, rows)
    }

    /// `sum over q of factor(q) s_iq` for every contributor `i`.
    ///
    /// # Errors
    /// [`Refusal::NonFinite`] when a sum leaves the range of f64.
    pub fn weighted_sums(&self, factor: impl Fn(usize) -> f64) -> Result<Vec<f64>, Refusal> {
        let mut sums = vec![0.0; self.contributors];
        for query in 0..self.queries() {
            let factor = factor(query);
            for (contributor, value) in self.query(query) {
                sums[contributor] += factor * value;
                if !sums[contributor].is_finite() {
                    return Err(Refusal::NonFinite { contributor, query });
                }
            }
        }
        Ok(sums)
    }

    /// `sum over q of s_iq` for every contributor `i`.
    ///
    /// # Errors
    /// [`Refusal::NonFinite`] when a sum leaves the range of f64.
    pub fn sums(&self) -> Result<Vec<f64>, Refusal> {
        self.weighted_sums(|_| 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_agree_and_zeros_are_not_stored() {
        // Contributor 0: (3, 0); contributor 1: (-1, 2).
        let dense = ScoreView::from_dense(2, 2, &[3.0, 0.0, -1.0, 2.0]).unwrap();
        let rows = [vec![(1, -1.0), (0, 3.0)], vec![(1, 2.0)]];
        assert_eq!(dense, ScoreView::from_rows(2, rows).unwrap());
        assert_eq!(dense.query(1).collect::<Vec<_>>(), [(1, 2.0)]);
        assert_eq!(dense.sums().unwrap(), [3.0, 1.0]);
        // 10 x (3, -1) + 100 x (0, 2).
        let weighted = dense.weighted_sums(|q| [10.0, 100.0][q]).unwrap();
        assert_eq!(weighted, [30.0, 190.0]);
    }

    #[test]
    fn slices_keep_their_queries() {
        let view = ScoreView::from_dense(1, 4, &[1.0, 2.0, 0.0, 4.0]).unwrap();
        let slice = view.slice(1..4);
        assert_eq!((slice.queries(), slice.sums().unwrap()), (3, vec![6.0]));
        assert_eq!(view.slice(2..2).queries(), 0);
    }

    #[test]
    fn items_sum_to_their_owners() {
        // Items 0 and 2 belong to identity 1: 1 + 4 and 2 + 8; item 1 to identity 0.
        let items = ScoreView::from_dense(3, 2, &[1.0, 2.0, -3.0, 0.0, 4.0, 8.0]).unwrap();
        let owned = items.by_owner(&[1, 0, 1], 2).unwrap();
        assert_eq!(owned, ScoreView::from_dense(2, 2, &[-3.0, 0.0, 5.0, 10.0]).unwrap());
        assert!(items.by_owner(&[1, 0, 2], 2).is_err());
        assert!(items.by_owner(&[1, 0], 2).is_err());
    }

    #[test]
    fn refusals() {
        let finite = Refusal::NonFinite { contributor: 1, query: 1 };
        assert_eq!(ScoreView::from_dense(2, 2, &[0.0, 0.0, 0.0, f64::NAN]), Err(finite.clone()));
        assert_eq!(ScoreView::from_rows(2, [vec![], vec![(1, f64::INFINITY)]]), Err(finite));
        let duplicate = Refusal::DuplicateId { id: "1".to_owned() };
        assert_eq!(ScoreView::from_rows(2, [vec![(1, 1.0), (1, 2.0)]]), Err(duplicate));
        assert!(matches!(
            ScoreView::from_rows(2, [vec![(2, 1.0)]]),
            Err(Refusal::RuleNeeds { .. })
        ));
        assert!(matches!(ScoreView::from_dense(2, 2, &[1.0]), Err(Refusal::RuleNeeds { .. })));
        let huge = ScoreView::from_dense(1, 2, &[f64::MAX, f64::MAX]).unwrap();
        assert_eq!(huge.sums(), Err(Refusal::NonFinite { contributor: 0, query: 1 }));
    }
}
