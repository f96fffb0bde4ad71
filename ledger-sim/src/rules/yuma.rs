//! Yuma consensus over attribution nodes: staked nodes report weights, outliers are clipped.
//!
//! Node `v` with stake share `S_v` reports a row `W_vj` over contributors `j` (normalised to one).
//! Consensus `C_j = max {w : sum of S_v over W_vj >= w is at least kappa}`; clipped
//! `K_vj = min(W_vj, C_j)`; rank `R_j = sum_v S_v K_vj`; incentive `I = R / sum R`. Bonds come from
//! `X = (1 - beta) W + beta K`: `dB_vj = S_v X_vj / sum_u S_u X_uj`, then
//! `B <- alpha dB + (1 - alpha) B` (at first `B = dB`); node reward `D_v = sum_j B_vj I_j`. Nodes
//! share `xi` of the pot by `D`, contributors the rest by `I`.
//!
//! Parameters: `kappa`, `xi` (ppb, default half), `alpha` (default .1), `beta` (default 1).
//!
//! Attack: a cabal with stake of at least `kappa` sets weights; copying weights without computing.
//!
//! Source: `opentensor/subtensor`, docs/consensus.md.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::apportion::{Ties, apportion, weights_from_scores};
use crate::money::{Amount, BILLION, Ppb};
use crate::refusal::Refusal;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "yuma",
    summary: "stake-weighted consensus of node reports, outliers clipped",
    attack: "a cabal with stake above kappa; copying weights",
    needs: &["node reports"],
    build,
};

/// What attribution nodes report.
#[derive(Clone, Copy, Debug)]
pub struct NodeReports<'a> {
    /// Stake of each node.
    pub stakes: &'a [Amount],
    /// Reported weights, one row of contributors for each node.
    pub weights: &'a [f64],
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let kappa = Ppb::new(reader.integer("kappa", BILLION / 2, 1..=BILLION)?)?;
    let xi = Ppb::new(reader.integer("xi", BILLION / 2, 0..=BILLION)?)?;
    let unit = |rate: f64| (0.0..=1.0).contains(&rate);
    let alpha = reader.number("alpha", 0.1, unit)?;
    let beta = reader.number("beta", 1.0, unit)?;
    reader.finish()?;
    Ok(Box::new(Yuma { kappa, xi, alpha, beta }))
}

#[derive(Debug)]
struct Yuma {
    kappa: Ppb,
    xi: Ppb,
    alpha: f64,
    beta: f64,
}

/// Shares of contributors and of nodes, and the bonds that led to the latter.
struct Consensus {
    incentive: Vec<f64>,
    dividend: Vec<f64>,
    bonds: Vec<f64>,
}

impl Yuma {
    /// The largest weight of a column that nodes with enough stake reach.
    fn consensus(&self, stakes: &[Amount], total: u128, column: &[f64]) -> f64 {
        let mut order: Vec<usize> = (0..column.len()).collect();
        order.sort_unstable_by(|a, b| column[*b].total_cmp(&column[*a]));
        // Support S reaches a share k of the total T, S 10^9 >= k T, from ceil(k T / 10^9) on.
        let needed = total - self.kappa.complement().of(Amount::new(total)).get();
        let mut support: u128 = 0;
        for node in order {
            support += stakes[node].get();
            if support >= needed {
                return column[node];
            }
        }
        0.0
    }

    fn agree(
        &self,
        reports: &NodeReports<'_>,
        contributors: usize,
        old: Option<&[f64]>,
    ) -> Consensus {
        let nodes = reports.stakes.len();
        let total: u128 = reports.stakes.iter().map(|stake| stake.get()).sum();
        let share: Vec<f64> =
            reports.stakes.iter().map(|stake| stake.get() as f64 / total as f64).collect();
        let rows: Vec<f64> = reports.weights.chunks(contributors).flat_map(normalised).collect();
        let mut incentive = vec![0.0; contributors];
        let mut bonds = vec![0.0; nodes * contributors];
        for contributor in 0..contributors {
            let column: Vec<f64> =
                (0..nodes).map(|node| rows[node * contributors + contributor]).collect();
            let consensus = self.consensus(reports.stakes, total, &column);
            let blend = |w: f64| (1.0 - self.beta) * w + self.beta * w.min(consensus);
            let bonded: f64 = (0..nodes).map(|v| share[v] * blend(column[v])).sum();
            for node in 0..nodes {
                incentive[contributor] += share[node] * column[node].min(consensus);
                let fresh =
                    if bonded > 0.0 { share[node] * blend(column[node]) / bonded } else { 0.0 };
                let at = node * contributors + contributor;
                bonds[at] = match old {
                    Some(old) => self.alpha * fresh + (1.0 - self.alpha) * old[at],
                    None => fresh,
                };
            }
        }
        let incentive: Vec<f64> = normalised(&incentive).collect();
        let reward = |row: &[f64]| row.iter().zip(&incentive).map(|(b, i)| b * i).sum();
        let dividend: Vec<f64> = bonds.chunks(contributors).map(reward).collect();
        Consensus { dividend: normalised(&dividend).collect(), incentive, bonds }
    }
}

/// The row scaled to sum one; a row of zeros stays.
fn normalised(row: &[f64]) -> impl Iterator<Item = f64> + use<'_> {
    let sum: f64 = row.iter().sum();
    let scale = if sum > 0.0 { sum } else { 1.0 };
    row.iter().map(move |weight| weight / scale)
}

fn check(reports: &NodeReports<'_>, contributors: usize) -> Result<(), Refusal> {
    let shape = reports.stakes.len().checked_mul(contributors);
    if shape != Some(reports.weights.len()) || contributors == 0 {
        let input = "a stake and a full row of weights for each node";
        return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
    }
    for (at, weight) in reports.weights.iter().enumerate() {
        if !weight.is_finite() {
            let (contributor, query) = (at % contributors, at / contributors);
            return Err(Refusal::NonFinite { contributor, query });
        }
        if *weight < 0.0 {
            return Err(Refusal::NegativeWeight { index: at % contributors });
        }
    }
    if reports.stakes.iter().all(|stake| stake.is_zero()) {
        return Err(Refusal::StakeBelowMinimum { index: 0 });
    }
    Ok(())
}

impl Rule for Yuma {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, state: &State) -> Result<Settlement, Refusal> {
        let reports = require(inputs.side.reports, ENTRY.name, "node reports")?;
        check(&reports, inputs.contributors)?;
        let old = match state {
            State::Fresh => None,
            State::Bonds(bonds) if bonds.len() == reports.weights.len() => Some(bonds.as_slice()),
            _ => {
                let input = "its own bonds of every node";
                return Err(Refusal::RuleNeeds { rule: ENTRY.name, input });
            }
        };
        let agreed = self.agree(&reports, inputs.contributors, old);
        let money = inputs.money()?;
        let node_weights = weights_from_scores(&agreed.dividend)?;
        let weights = weights_from_scores(&agreed.incentive)?;
        let mut settlement = if weights.iter().all(|weight| *weight == 0) {
            let mut unowned = inputs.unowned(money);
            unowned.nodes = vec![Amount::ZERO; reports.stakes.len()];
            unowned
        } else {
            let for_nodes = self.xi.of(money);
            Settlement {
                payouts: apportion(money.minus(for_nodes)?, &weights, &inputs.ties())?,
                nodes: apportion(for_nodes, &node_weights, &Ties::Index)?,
                ..Settlement::default()
            }
        };
        settlement.state = State::Bonds(agreed.bonds);
        Ok(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::random::{Purpose, Streams};
    use crate::rules::settle;

    fn standard() -> Yuma {
        let half = Ppb::new(BILLION / 2).unwrap();
        Yuma { kappa: half, xi: half, alpha: 0.1, beta: 1.0 }
    }

    /// G08.
    #[test]
    fn three_nodes_by_hand() {
        let stakes = amounts(&[5, 3, 2]);
        let weights = [0.6, 0.4, 0.5, 0.5, 0.0, 1.0];
        let pots = amounts(&[1_800_000]);
        let mut inputs = Inputs::new(2, &pots);
        inputs.side.reports = Some(NodeReports { stakes: &stakes, weights: &weights });
        let settlement = settle(&standard(), &inputs, &State::Fresh).unwrap();
        // Half of the pot each: contributors (1/2, 1/2), nodes (5/9, 1/3, 1/9) of 900,000.
        assert_eq!(settlement.payouts, amounts(&[450_000, 450_000]));
        assert_eq!(settlement.nodes, amounts(&[500_000, 300_000, 100_000]));
    }

    /// Emission of the honest side: half incentive, half dividend of honest stake `s`, when it
    /// gives its own contributor `w` and the cabal gives its own `w_c`.
    fn honest_emission(s: u128, w: f64, w_c: f64) -> f64 {
        let stakes = amounts(&[s, 1_000 - s]);
        let weights = [w, 1.0 - w, 1.0 - w_c, w_c];
        let reports = NodeReports { stakes: &stakes, weights: &weights };
        let agreed = standard().agree(&reports, 2, None);
        (agreed.incentive[0] + agreed.dividend[0]) / 2.0
    }

    /// G07.
    #[test]
    fn closed_form_without_noise() {
        assert!((honest_emission(600, 0.7, 0.9) - 0.697_368_421_1).abs() < 1e-9);
        assert!((honest_emission(600, 0.5, 0.2) - 0.625).abs() < 1e-9);
        let formula = |s: f64, w: f64, w_c: f64| {
            if w_c >= 1.0 - w {
                let r = s * w + (1.0 - s) * (1.0 - w_c) + 1.0 - w;
                (1.0 + (w - (1.0 - s)) / r) / 2.0
            } else {
                (s + w) / (2.0 * (w + s * (1.0 - w) + (1.0 - s) * w_c))
            }
        };
        // Honest stake above kappa = 1/2, so that the cabal alone is no majority.
        for s in [510, 550, 600, 800] {
            for step in 0..=20 {
                let w_c = f64::from(step) / 20.0;
                for w in [0.5, 0.6, 0.75, 0.9] {
                    let expected = formula(s as f64 / 1_000.0, w, w_c);
                    // The two branches meet at w_c = 1 - w only up to rounding of the table.
                    if (w_c - (1.0 - w)).abs() > 1e-9 {
                        let got = honest_emission(s, w, w_c);
                        assert!((got - expected).abs() < 1e-9, "{s} {w} {w_c}: {got} {expected}");
                    }
                }
            }
        }
        // The honest side keeps its stake's share against every cabal exactly from w = s on.
        let worst = |w: f64| {
            (0..=1_000)
                .map(|step| honest_emission(600, w, f64::from(step) / 1_000.0))
                .fold(f64::INFINITY, f64::min)
        };
        assert!(worst(0.6) >= 0.6 - 1e-9 && worst(0.59) < 0.6 - 1e-4);
    }

    /// Emission of the honest side of 64 nodes with stakes `N(1, .3)`, scaled so that the honest
    /// 60 % of them hold 60 %, over 448 contributors, 60 % of them honest. Weights have relative
    /// standard deviation `noise`; honest nodes give honest contributors `w`, the cabal its own
    /// `w_c`.
    fn noisy_emission(noise: f64, w: f64, w_c: f64) -> f64 {
        const NODES: u64 = 64;
        const CONTRIBUTORS: u64 = 448;
        let honest = |at: u64, of: u64| at < (of * 3).div_ceil(5);
        let streams = Streams::new(6, 0);
        let mut stakes: Vec<f64> = (0..NODES)
            .map(|node| (1.0 + 0.3 * streams.normal(Purpose::People, node, 0, 0)).max(0.01))
            .collect();
        let shares = |values: &mut [f64], wanted: f64| {
            let sum: f64 = values.iter().sum();
            values.iter_mut().for_each(|value| *value *= wanted / sum);
        };
        let border = (0..NODES).filter(|node| honest(*node, NODES)).count();
        let (ours, theirs) = stakes.split_at_mut(border);
        shares(ours, 0.6);
        shares(theirs, 0.4);
        let stakes: Vec<Amount> =
            stakes.iter().map(|stake| Amount::new((stake * 1e12) as u128)).collect();
        let own = (0..CONTRIBUTORS).filter(|at| honest(*at, CONTRIBUTORS)).count();
        let mut weights = vec![];
        for node in 0..NODES {
            let draw = |at| 1.0 + noise * streams.normal(Purpose::Reports, node, 0, at);
            let mut row: Vec<f64> = (0..CONTRIBUTORS).map(|at| draw(at).max(0.0)).collect();
            let (ours, theirs) = row.split_at_mut(own);
            let to_ours = if honest(node, NODES) { w } else { 1.0 - w_c };
            shares(ours, to_ours);
            shares(theirs, 1.0 - to_ours);
            weights.extend(row);
        }
        let reports = NodeReports { stakes: &stakes, weights: &weights };
        let agreed = standard().agree(&reports, CONTRIBUTORS as usize, None);
        let sum = |shares: &[f64]| shares.iter().sum::<f64>();
        (sum(&agreed.incentive[..own]) + sum(&agreed.dividend[..border])) / 2.0
    }

    /// G06: where weights are noisy, clipping costs the honest side some of its own weight, so that
    /// its utility must be larger than its stake of .6: .67 and .73 at deviations of .2 and .4, as
    /// subtensor's documentation gives them. Tolerance .01 on either side.
    #[test]
    fn noise_raises_the_honest_utility_that_a_majority_needs() {
        for (noise, needed) in [(0.0, 0.60), (0.2, 0.67), (0.4, 0.735)] {
            let worst = |w: f64| {
                let cabals = (0..=20).map(|step| f64::from(step) / 20.0);
                cabals.map(|w_c| noisy_emission(noise, w, w_c)).fold(f64::INFINITY, f64::min)
            };
            assert!(worst(needed + 0.01) >= 0.6, "{noise}: {}", worst(needed + 0.01));
            assert!(worst(needed - 0.01) < 0.6, "{noise}: {}", worst(needed - 0.01));
        }
    }

    #[test]
    fn bonds_move_slowly() {
        let stakes = amounts(&[1, 1]);
        let pots = amounts(&[100]);
        let mut inputs = Inputs::new(1, &pots);
        inputs.side.reports = Some(NodeReports { stakes: &stakes, weights: &[1.0, 1.0] });
        let old = State::Bonds(vec![1.0, 0.0]);
        let settlement = settle(&standard(), &inputs, &old).unwrap();
        // dB = (1/2, 1/2): .1 x .5 + .9 x (1, 0) = (.95, .05) of the nodes' 50.
        let State::Bonds(bonds) = settlement.state else { panic!("bonds expected") };
        assert!((bonds[0] - 0.95).abs() < 1e-12 && (bonds[1] - 0.05).abs() < 1e-12);
        assert_eq!(Amount::total(settlement.nodes).unwrap(), Amount::new(50));
    }

    #[test]
    fn bad_reports_are_refused_in_order() {
        let pots = amounts(&[1]);
        let stakes = amounts(&[1]);
        let none = amounts(&[0]);
        let go = |stakes: &[Amount], weights: &[f64]| {
            let mut inputs = Inputs::new(2, &pots);
            inputs.side.reports = Some(NodeReports { stakes, weights });
            settle(&standard(), &inputs, &State::Fresh).map(|s| s.carry)
        };
        assert_eq!(
            go(&stakes, &[f64::NAN, 1.0]),
            Err(Refusal::NonFinite { contributor: 0, query: 0 })
        );
        assert_eq!(go(&stakes, &[1.0, -1.0]), Err(Refusal::NegativeWeight { index: 1 }));
        assert_eq!(go(&none, &[1.0, 1.0]), Err(Refusal::StakeBelowMinimum { index: 0 }));
        assert!(matches!(go(&stakes, &[1.0]), Err(Refusal::RuleNeeds { .. })));
        assert_eq!(go(&stakes, &[0.0, 0.0]), Ok(Amount::new(1)));
    }
}
