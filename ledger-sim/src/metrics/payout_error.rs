//! Payouts by an estimate of attribution against payouts by exact attribution.

use serde::Serialize;

use super::rank::{kendall_tau_b, money_weighted_tau, spearman};
use crate::money::Amount;
use crate::refusal::Refusal;

/// How far payouts `q` by an estimate are from payouts `p` by exact attribution of the same money.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PayoutError {
    /// Misallocation: total variation `1/2 sum |q_i / sum q - p_i / sum p|` of the shares.
    pub total_variation: Option<f64>,
    /// Mis-paid money `sum (q_i - p_i)+` in base units.
    pub mispaid: Amount,
    /// Recognised money `sum min(q_i, p_i)` in base units.
    pub recognised: Amount,
    /// Recognition gap `1 - sum min(q_i, p_i) / sum p_i`.
    pub recognition_gap: Option<f64>,
    /// Largest under-payment `max (p_i - q_i)+` in base units.
    pub maximum_underpayment: Amount,
    /// Largest `(p_i - q_i)+ / p_i` among contributors who are owed more than the threshold.
    pub maximum_relative_underpayment: Option<f64>,
    /// Share of the contributors with `p_i > 0` who receive nothing.
    pub false_zero_count_share: Option<f64>,
    /// Share of exact money that is owed to contributors who receive nothing.
    pub false_zero_money_share: Option<f64>,
    /// Money paid to contributors with `p_i = 0`, as a share of the larger of `sum p_i` and
    /// `sum q_i`: of the pot, where either of them pays it out.
    pub false_positive_share: Option<f64>,
    /// Money-weighted tau, see [`money_weighted_tau`].
    pub money_weighted_tau: Option<f64>,
    /// Kendall's tau-b.
    pub kendall_tau_b: Option<f64>,
    /// Spearman's rank correlation.
    pub spearman: Option<f64>,
    /// Size bias: least-squares slope of `ln(q/p)` on `ln p` where both are positive. Positive
    /// when the estimate favours those to whom much is owed.
    pub size_bias: Option<f64>,
}

impl PayoutError {
    /// Compares `estimated` with `exact`, contributor by contributor. Relative under-payment is
    /// taken over contributors who are owed more than `threshold`.
    ///
    /// # Errors
    /// [`Refusal::RuleNeeds`] when the lists differ in length, [`Refusal::Overflow`] when a sum
    /// leaves the range of amounts.
    pub fn between(
        exact: &[Amount],
        estimated: &[Amount],
        threshold: Amount,
    ) -> Result<Self, Refusal> {
        if exact.len() != estimated.len() {
            let input = "payouts of the same contributors";
            return Err(Refusal::RuleNeeds { rule: "payout error", input });
        }
        let pairs = || exact.iter().copied().zip(estimated.iter().copied());
        let total = Amount::total(exact.iter().copied())?;
        let pot = total.max(Amount::total(estimated.iter().copied())?);
        let recognised = Amount::total(pairs().map(|(p, q)| p.min(q)))?;
        let unpaid = || pairs().filter(|(p, q)| !p.is_zero() && q.is_zero());
        let owed = exact.iter().filter(|p| !p.is_zero()).count();
        let unearned = pairs().filter(|(p, _)| p.is_zero()).map(|(_, q)| q);
        let relative = pairs().filter(|(p, _)| *p > threshold && !p.is_zero());
        Ok(Self {
            total_variation: total_variation(exact, estimated)?,
            mispaid: Amount::total(pairs().map(|(p, q)| q.excess_over(p)))?,
            recognised,
            recognition_gap: ratio(recognised, total).map(|share| 1.0 - share),
            maximum_underpayment: pairs().map(|(p, q)| p.excess_over(q)).max().unwrap_or_default(),
            maximum_relative_underpayment: relative
                .filter_map(|(p, q)| ratio(p.excess_over(q), p))
                .max_by(f64::total_cmp),
            false_zero_count_share: (owed > 0).then(|| unpaid().count() as f64 / owed as f64),
            false_zero_money_share: ratio(Amount::total(unpaid().map(|(p, _)| p))?, total),
            false_positive_share: ratio(Amount::total(unearned)?, pot),
            money_weighted_tau: money_weighted_tau(exact, estimated),
            kendall_tau_b: kendall_tau_b(exact, estimated),
            spearman: spearman(exact, estimated),
            size_bias: size_bias(exact, estimated),
        })
    }
}

/// Time to correct: the first epoch, counted from zero, at whose end the cumulative payouts are
/// within `tolerance` of cumulative exact ones in total variation. `None` if there is none.
///
/// # Errors
/// [`Refusal::RuleNeeds`] for lists of different lengths, [`Refusal::Overflow`].
pub fn time_to_correct(
    exact: &[Vec<Amount>],
    estimated: &[Vec<Amount>],
    tolerance: f64,
) -> Result<Option<usize>, Refusal> {
    let contributors = exact.first().map_or(0, Vec::len);
    let full = |epoch: &Vec<Amount>| epoch.len() == contributors;
    if exact.len() != estimated.len() || !exact.iter().chain(estimated).all(full) {
        let input = "payouts of the same contributors at the same epochs";
        return Err(Refusal::RuleNeeds { rule: "time to correct", input });
    }
    let mut owed = vec![Amount::ZERO; contributors];
    let mut paid = owed.clone();
    for (epoch, (exact, estimated)) in exact.iter().zip(estimated).enumerate() {
        accumulate(&mut owed, exact)?;
        accumulate(&mut paid, estimated)?;
        if total_variation(&owed, &paid)?.is_some_and(|distance| distance < tolerance) {
            return Ok(Some(epoch));
        }
    }
    Ok(None)
}

fn accumulate(sums: &mut [Amount], amounts: &[Amount]) -> Result<(), Refusal> {
    for (sum, amount) in sums.iter_mut().zip(amounts) {
        *sum = sum.plus(*amount)?;
    }
    Ok(())
}

fn ratio(part: Amount, whole: Amount) -> Option<f64> {
    (!whole.is_zero()).then(|| part.get() as f64 / whole.get() as f64)
}

fn total_variation(exact: &[Amount], estimated: &[Amount]) -> Result<Option<f64>, Refusal> {
    let total_exact = Amount::total(exact.iter().copied())?;
    let total_estimated = Amount::total(estimated.iter().copied())?;
    let distance = |(p, q): (&Amount, &Amount)| -> Option<f64> {
        Some((ratio(*q, total_estimated)? - ratio(*p, total_exact)?).abs())
    };
    if exact.is_empty() {
        return Ok(None);
    }
    let sum: Option<f64> = exact.iter().zip(estimated).map(distance).sum();
    Ok(sum.map(|sum| sum / 2.0))
}

fn size_bias(exact: &[Amount], estimated: &[Amount]) -> Option<f64> {
    let points: Vec<(f64, f64)> = exact
        .iter()
        .zip(estimated)
        .filter(|(p, q)| !p.is_zero() && !q.is_zero())
        .map(|(p, q)| {
            let (p, q) = (p.get() as f64, q.get() as f64);
            (p.ln(), (q / p).ln())
        })
        .collect();
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    // A NaN variance, of no points at all, fails the comparison as well.
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts(units: &[u128]) -> Vec<Amount> {
        units.iter().copied().map(Amount::new).collect()
    }

    fn close(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-12)
    }

    /// G50.
    #[test]
    fn four_contributors() {
        let (exact, estimated) = (amounts(&[50, 30, 20, 0]), amounts(&[40, 35, 10, 15]));
        let error = PayoutError::between(&exact, &estimated, Amount::ZERO).unwrap();
        assert!(close(error.total_variation, 0.2));
        assert_eq!(error.mispaid, Amount::new(20));
        assert_eq!(error.recognised, Amount::new(80));
        assert!(close(error.recognition_gap, 0.2));
        assert_eq!(error.maximum_underpayment, Amount::new(10));
        assert!(close(error.maximum_relative_underpayment, 0.5));
        assert!(close(error.false_positive_share, 0.15));
        assert!(close(error.false_zero_count_share, 0.0));
        assert!(close(error.false_zero_money_share, 0.0));
        assert!(close(error.money_weighted_tau, 0.75));
        assert!(close(error.kendall_tau_b, 2.0 / 3.0));
        // Over those owed more than 20: (50 - 40) / 50.
        let large = PayoutError::between(&exact, &estimated, Amount::new(20)).unwrap();
        assert!(close(large.maximum_relative_underpayment, 0.2));
    }

    #[test]
    fn unearned_money_is_a_share_of_the_pot_when_the_exact_arm_carries_most_of_it() {
        // Owed 10 of a pot of 100, the rest carried; paid 10 and 90 to somebody without worth.
        let error =
            PayoutError::between(&amounts(&[10, 0]), &amounts(&[10, 90]), Amount::ZERO).unwrap();
        assert!(close(error.false_positive_share, 0.9));
    }

    #[test]
    fn zeros_and_size() {
        // Owed 30, 10; paid 40, 0: one of two is forgotten, and a quarter of the money.
        let error =
            PayoutError::between(&amounts(&[30, 10]), &amounts(&[40, 0]), Amount::ZERO).unwrap();
        assert!(close(error.false_zero_count_share, 0.5));
        assert!(close(error.false_zero_money_share, 0.25));
        assert_eq!(error.size_bias, None);
        // q = p^2 / 10: ln(q/p) = ln p - ln 10, slope 1.
        let error = PayoutError::between(&amounts(&[10, 100]), &amounts(&[10, 1000]), Amount::ZERO)
            .unwrap();
        assert!(close(error.size_bias, 1.0));
    }

    #[test]
    fn errors_that_cancel_are_corrected_in_time() {
        let exact = vec![amounts(&[5, 5]); 3];
        // Cumulative shares of the first: .8, .5, .5.
        let paid = [amounts(&[8, 2]), amounts(&[2, 8]), amounts(&[5, 5])];
        assert_eq!(time_to_correct(&exact, &paid, 0.1), Ok(Some(1)));
        assert_eq!(time_to_correct(&exact, &paid, 0.31), Ok(Some(0)));
        assert_eq!(time_to_correct(&exact[..1], &paid[..1], 0.1), Ok(None));
        assert!(time_to_correct(&exact, &paid[..1], 0.1).is_err());
    }

    #[test]
    fn undefined_and_refused() {
        let error = PayoutError::between(&[], &[], Amount::ZERO).unwrap();
        assert_eq!((error.total_variation, error.recognition_gap), (None, None));
        let none = amounts(&[0, 0]);
        let error = PayoutError::between(&none, &amounts(&[1, 1]), Amount::ZERO).unwrap();
        // Whoever is owed nothing was paid all that there was.
        assert_eq!((error.total_variation, error.false_positive_share), (None, Some(1.0)));
        let error = PayoutError::between(&none, &none, Amount::ZERO).unwrap();
        assert_eq!(error.false_positive_share, None);
        assert!(PayoutError::between(&none, &[], Amount::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn when_both_pay_the_pot_misallocation_is_mispaid_money(
            p in prop::collection::vec(1u128..1000, 2..20), seed in any::<u64>()
        ) {
            // The same amounts in another order have the same sum.
            let mut q = p.clone();
            q.rotate_left(seed as usize % p.len());
            let error =
                PayoutError::between(&amounts(&p), &amounts(&q), Amount::ZERO).unwrap();
            let pot: u128 = p.iter().sum();
            let mispaid = error.mispaid.get() as f64;
            prop_assert!((error.total_variation.unwrap() * pot as f64 - mispaid).abs() < 1e-6);
            prop_assert_eq!(error.recognised.plus(error.mispaid).unwrap(), Amount::new(pot));
        }
    }
}
