//! The ledger simulator as the treasury of an experiment.

use anyhow::{Context, Result};
use attribench_engine::treasury::{PayoutError, RuleInfo, Treasury};
use ledger_sim::{
    metrics,
    money::Amount,
    refusal::Refusal,
    rules::{self, Parameters, Rule, Value},
    scores::ScoreView,
    stream::{StreamOptions, StreamOutcome, settle_stream},
};
use ndarray::ArrayView2;

/// Pays in audited double-entry books; the whole stream of queries is one settlement, so that rules
/// that net scores have something to net.
pub struct LedgerTreasury;

/// The rule of a name, which may be followed by parameters: `power exponent=2`.
fn built(text: &str) -> Result<Box<dyn Rule>, Refusal> {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap_or_default();
    let value = |text: &str| match (text.parse(), text.parse()) {
        (Ok(integer), _) => Value::Integer(integer),
        (_, Ok(number)) => Value::Number(number),
        _ => Value::Text(text.to_owned()),
    };
    let parameters: Parameters = words
        .map(|word| {
            let (name, given) = word.split_once('=').unwrap_or((word, ""));
            (name.to_owned(), value(given))
        })
        .collect();
    rules::build(name, &parameters)
}

impl Treasury for LedgerTreasury {
    fn rules(&self) -> Vec<RuleInfo> {
        rules::stream_rules()
            .map(|entry| RuleInfo { name: entry.name, summary: entry.summary })
            .collect()
    }

    fn settle(
        &self,
        rule: &str,
        scores: ArrayView2<'_, f64>,
        tokens: u64,
        seed: u64,
    ) -> Result<Vec<u64>, String> {
        let outcome = settled(rule, scores, tokens, seed)?;
        let units = outcome.payouts().iter().map(|amount| units(*amount));
        units.collect::<Result<_>>().map_err(|error| error.to_string())
    }

    fn compare(&self, exact: &[u64], estimated: &[u64]) -> Result<PayoutError, String> {
        let amounts = |values: &[u64]| -> Vec<Amount> {
            values.iter().map(|&value| Amount::new(u128::from(value))).collect()
        };
        let error =
            metrics::PayoutError::between(&amounts(exact), &amounts(estimated), Amount::default())
                .map_err(|refusal| refusal.to_string())?;
        Ok(PayoutError {
            mispaid_share: error.total_variation,
            mispaid_tokens: error.mispaid.get() as f64,
            largest_underpayment: error.maximum_underpayment.get() as f64,
            false_positive_share: error.false_positive_share,
            rank_correlation: error.spearman,
        })
    }
}

/// Units of an experiment's money: its pot has 64 bits, so that every part of it has.
///
/// # Errors
/// An amount that has more.
pub fn units(amount: Amount) -> Result<u64> {
    let hint =
        || format!("{amount} units do not fit 64 bits; hint: a run pays at most {}", u64::MAX);
    amount.narrow().with_context(hint)
}

/// Audited books after the whole stream was settled at once.
///
/// # Errors
/// What the rule or the auditor says.
pub fn settled(
    rule: &str,
    scores: ArrayView2<'_, f64>,
    tokens: u64,
    seed: u64,
) -> Result<StreamOutcome, String> {
    let (contributors, queries) = scores.dim();
    let values: Vec<f64> = scores.iter().copied().collect();
    let pay = || {
        let view = ScoreView::from_dense(contributors, queries, &values)?;
        let rule = built(rule)?;
        let options = StreamOptions::seeded(seed);
        settle_stream(&view, Amount::new(u128::from(tokens)), rule.as_ref(), &options)
    };
    pay().map_err(|refusal: Refusal| refusal.to_string())
}
