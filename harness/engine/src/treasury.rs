//! Who turns contributors' scores into money; the rules live elsewhere.

use ndarray::ArrayView2;

/// Name and nature of a payout rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Name in specifications.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
}

/// Pays contributors from a pool.
pub trait Treasury: Sync {
    /// Known rules.
    fn rules(&self) -> Vec<RuleInfo>;

    /// Splits `tokens` over contributors by their scores, `(contributors, queries)`, in audited
    /// books; returns what each is paid, in integer units.
    ///
    /// # Errors
    /// When the rule refuses the scores or the books do not balance.
    fn settle(
        &self,
        rule: &str,
        scores: ArrayView2<'_, f64>,
        tokens: u64,
        seed: u64,
    ) -> Result<Vec<u64>, String>;

    /// How far payouts by estimated scores are from those by exact ones.
    ///
    /// # Errors
    /// When the two do not list the same contributors.
    fn compare(&self, exact: &[u64], estimated: &[u64]) -> Result<PayoutError, String>;
}

/// Distance of two lists of payouts of the same pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PayoutError {
    /// Total variation of the shares, `1/2 sum |share - exact share|`; absent where one side paid
    /// nothing.
    pub mispaid_share: Option<f64>,
    /// `sum max(estimated - exact, 0)`, tokens.
    pub mispaid_tokens: f64,
    /// `max (exact - estimated)`, tokens.
    pub largest_underpayment: f64,
    /// Share of the pool paid to contributors whose exact payout is 0.
    pub false_positive_share: Option<f64>,
    /// Spearman correlation of the payouts; absent where one side is constant.
    pub rank_correlation: Option<f64>,
}
