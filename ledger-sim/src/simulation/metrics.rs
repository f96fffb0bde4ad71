//! What is measured of a run.

use crate::metrics::concentration::{
    atkinson, gini, herfindahl, hoover, jain, lorenz, mean_log_deviation, nakamoto, theil,
    top_share,
};
use crate::metrics::people::{Waterfall, cost_of_approximation, individual_rationality};
use crate::metrics::strategy::{
    griefing_factor, griefing_loss, plagiarism_transfer, poison_return, price_of_names, sybil_gain,
};
use crate::metrics::{PayoutError, as_numbers, time_to_correct};
use crate::money::Amount;
use crate::noise::{false_positive_share, netted_sigma};
use crate::refusal::Refusal;
use crate::scenario::{Period, Values, World};

use super::arm::{EpochNumbers, Finished, Stage};
use super::{Arms, Outcome};

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Small ones.
    Low,
    /// Large ones.
    High,
    /// Neither by itself.
    Neither,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name in conditions and tables.
    pub name: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// Which values are better.
    pub better: Better,
    /// What it is, in a line.
    pub summary: &'static str,
}

const fn m(
    name: &'static str,
    unit: &'static str,
    better: Better,
    summary: &'static str,
) -> Metric {
    Metric { name, unit, better, summary }
}

use Better::{High, Low, Neither};

/// Every metric, sorted by name.
pub static METRICS: &[Metric] = &[
    m("atkinson", "share", Neither, "Atkinson index of what was received, aversion 1/2"),
    m("attack-cost", "tokens", Neither, "what the attacks cost"),
    m("attack-gain", "tokens", Low, "what agents receive beyond honesty, net of cost"),
    m("attack-gain-of-pot", "share", Low, "the same as a share of the contributors' money"),
    m("attack-gain-relative", "share", Low, "what agents receive over honest receipts, minus one"),
    m("attack-size", "number", Neither, "size of the attacks together"),
    m(
        "break-even-years",
        "years",
        Low,
        "horizon at which native recognises as much as retrofitted",
    ),
    m("burn-share", "share", Low, "contributors' money that is destroyed"),
    m("carry-share", "share", Low, "contributors' money left over at the end"),
    m("claim-cost-share", "share", Low, "contributors' money spent on claims"),
    m("cost-of-approximation", "share", Low, "recognised money lost against exact attribution"),
    m("cost-per-million", "tokens", Low, "recognised money lost in a million queries"),
    m("distance-from-worth", "share", Low, "total variation of payouts and shares of true worth"),
    m("emission", "tokens", Neither, "emitted to contributors"),
    m(
        "false-positive-law",
        "share",
        Neither,
        "what the closed form of clipped Gaussian errors pays to people who are owed nothing",
    ),
    m("false-positive-share", "share", Low, "money paid to people who are owed nothing"),
    m("false-zero-share", "share", Low, "money owed to people who are paid nothing"),
    m("fees", "tokens", Neither, "paid by users"),
    m("gini", "share", Neither, "Gini index of what was received"),
    m("griefing-factor", "number", Low, "others' loss over the agents' own cost"),
    m("griefing-of-pot", "share", Low, "others' loss beyond the agents' gain, of the money"),
    m("herfindahl", "share", Neither, "sum of squared shares of what was received"),
    m("hoover", "share", Neither, "share that would have to move for equality"),
    m(
        "individual-rationality",
        "share",
        High,
        "contributors who receive their cost and outside option",
    ),
    m("jain", "share", Neither, "Jain's fairness index of what was received"),
    m("kendall-tau", "number", High, "rank agreement of payouts with what is owed"),
    m("largest-underpayment", "tokens", Low, "most that one person is paid too little"),
    m("mean-log-deviation", "number", Neither, "mean logarithmic deviation of what was received"),
    m("median-epochs-to-pay", "epochs", Low, "epoch of the median first receipt"),
    m("misdirected-share", "share", Low, "contributors' money received beyond what is owed"),
    m("mispaid-share", "share", Low, "misallocation: total variation of payouts and what is owed"),
    m("mispaid-tokens", "tokens", Low, "money received beyond what is owed"),
    m("money-reach", "share", High, "share of owed money that is owed to people reached"),
    m("money-weighted-tau", "number", High, "rank agreement, pairs weighted by money"),
    m("nakamoto", "number", Neither, "fewest people who receive more than half"),
    m("nakamoto-third", "number", Neither, "fewest people who receive more than a third"),
    m("native-share", "share", High, "teams that use native models at the end"),
    m("others-loss", "tokens", Low, "what others lose to the attacks"),
    m("paid", "tokens", Neither, "paid out to contributors"),
    m(
        "paradox",
        "number",
        Neither,
        "recognised by native over retrofitted attribution within the runway",
    ),
    m(
        "paradox-below-one",
        "share",
        Neither,
        "whether retrofitted recognises more within the runway",
    ),
    m("plagiarism-transfer", "number", Low, "the copiers' take over their victims' loss"),
    m("poison-return", "number", Low, "payout less slashed stake over the cost of the attack"),
    m("postings", "number", Neither, "postings that the auditor replayed"),
    m("reach", "share", High, "people who are owed something and receive something"),
    m("recognised", "tokens", High, "money that reaches those who are owed it"),
    m("recognised-share", "share", High, "contributors' money that reaches those who are owed it"),
    m("recognition-gap", "share", Low, "owed money that does not reach those who are owed it"),
    m("residual", "tokens", Low, "money made or lost: zero, or the run fails"),
    m("runway-months", "months", High, "months until the treasury cannot pay"),
    m("self-sustaining-first", "share", High, "whether fees cover costs before the treasury ends"),
    m("self-sustaining-month", "months", Low, "first month from which fees cover costs"),
    m("size-bias", "number", Neither, "slope of log paid/owed on log owed"),
    m("stranded-share", "share", Low, "money in balances that nobody claims"),
    m(
        "sybil-proofing-price",
        "tokens",
        Low,
        "fee on each further name and epoch that takes the gain of names",
    ),
    m("theil", "number", Neither, "Theil index of what was received"),
    m("time-to-correct", "epochs", Low, "first epoch with cumulative misallocation below 5 %"),
    m("top-1-share", "share", Neither, "received by the best paid hundredth"),
    m("top-10-share", "share", Neither, "received by the best paid tenth"),
    m("treasury-end", "tokens", Neither, "tokens in the treasury at the end"),
    m("victim-loss", "share", Low, "share of their honest receipts that victims lose"),
];

/// The metric of that name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.binary_search_by(|metric| metric.name.cmp(name)).ok().map(|at| &METRICS[at])
}

/// Share below which misallocation counts as corrected.
const CORRECTED: f64 = 0.05;

/// Everything that the arms of a replica say.
pub(super) fn of_arms(
    stage: &Stage<'_>,
    arms: &Arms,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let unit = stage.world.economy.scale.base_units_per_token() as f64;
    let mut put = |name: &'static str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            outcome.metrics.insert(name, value);
        }
    };
    let (owed, actual) = (&arms.owed, &arms.actual);
    errors(owed, actual, unit, &mut put)?;
    put("distance-from-worth", distance_from_worth(stage, arms));
    put("false-positive-law", false_positive_law(stage));
    waterfall(owed, actual, unit, &mut put)?;
    people(stage, arms, &mut put)?;
    concentration(actual, &mut put);
    totals(actual, unit, &mut put);
    if let Some(honest) = &arms.honest {
        strategy(stage, arms, honest, unit, &mut put);
    }
    series(stage, owed, actual, unit, outcome)?;
    outcome.postings += actual.report.postings;
    outcome.root = actual.report.root.to_vec();
    outcome.lorenz = lorenz_percentiles(&as_numbers(&actual.received));
    Ok(())
}

/// Share of the money that a clip gives to people of no worth, as a ratio of expectations: with
/// noise `sigma`, correlation `rho` and `T` queries netted before the clip, of `u` useful people of
/// worth one and `z` of none, `z e(0, s) / (u e(1, s) + z e(0, s))` with
/// `s = sigma sqrt(rho + (1 - rho) / T)` and `e` the expected clipped score.
///
/// `None` where the form does not say what is simulated: for other rules, unequal worth, bias,
/// attributions that are missing, topics, people who come and go, and under attack.
fn false_positive_law(stage: &Stage<'_>) -> Option<f64> {
    let World { contributors, estimator, payouts, demand, .. } = stage.world;
    let queries = match (payouts.rule.name(), payouts.period) {
        ("linear-clipped", _) => 1,
        ("net-then-clip", Period::Queries(queries)) => queries.min(demand.queries),
        ("net-then-clip", Period::Epoch) => demand.queries,
        _ => return None,
    };
    let is_plain = contributors.values == Values::Equal
        && contributors.stops.is_none()
        && contributors.arrive_over == 0.0
        && contributors.topics == 1
        && estimator.bias == 0.0
        && estimator.coverage == 1.0
        && payouts.claims_half_life.is_none()
        && stage.world.agents.is_empty();
    let useful = (contributors.count as f64 * contributors.useful).ceil();
    let useless = contributors.count as f64 - useful;
    let noise = estimator.noise;
    let sigma = netted_sigma(noise.sigma(), queries as f64, noise.correlation());
    (is_plain && useless > 0.0).then(|| false_positive_share(useful, useless, 1.0, sigma))
}

/// Half the sum over people of the distance between their share of payouts and their share of true
/// worth, which is their positive scores over the epochs in which they contribute: how far a rule
/// is from paying in proportion, whatever it was given to see.
fn distance_from_worth(stage: &Stage<'_>, arms: &Arms) -> Option<f64> {
    let mut worth = vec![0.0; arms.honest_population.persons as usize];
    for identity in &arms.honest_population.identities {
        let end = identity.left.min(stage.clock.epochs);
        let epochs = f64::from(end.saturating_sub(identity.joined));
        worth[identity.person as usize] += identity.exact.max(0.0) * epochs;
    }
    let paid = as_numbers(&arms.actual.gross);
    let (all, total) = (worth.iter().sum::<f64>(), paid.iter().sum::<f64>());
    let pairs = worth.iter().zip(&paid);
    let distance: f64 = pairs.map(|(worth, paid)| (worth / all - paid / total).abs()).sum();
    (all > 0.0 && total > 0.0).then_some(distance / 2.0)
}

type Put<'a> = &'a mut dyn FnMut(&'static str, Option<f64>);

fn errors(owed: &Finished, actual: &Finished, unit: f64, put: Put<'_>) -> Result<(), Refusal> {
    let error = PayoutError::between(&owed.gross, &actual.gross, Amount::ZERO)?;
    put("mispaid-share", error.total_variation);
    put("false-positive-share", error.false_positive_share);
    put("false-zero-share", error.false_zero_money_share);
    put("largest-underpayment", Some(error.maximum_underpayment.get() as f64 / unit));
    put("money-weighted-tau", error.money_weighted_tau);
    put("kendall-tau", error.kendall_tau_b);
    put("size-bias", error.size_bias);
    let corrected = time_to_correct(&owed.payouts_by_epoch, &actual.payouts_by_epoch, CORRECTED)?;
    put("time-to-correct", corrected.map(|epoch| epoch as f64));
    Ok(())
}

/// Closes the waterfall: every base unit between pots and people is accounted for, or the run
/// fails.
fn waterfall(owed: &Finished, actual: &Finished, unit: f64, put: Put<'_>) -> Result<(), Refusal> {
    let waterfall = Waterfall::close(
        actual.money_in,
        &owed.received,
        &actual.received,
        actual.burn,
        actual.carry,
        actual.stranded,
        actual.claim_costs,
    )?;
    let money = actual.money_in.get() as f64;
    let share = |amount: Amount| (money > 0.0).then(|| amount.get() as f64 / money);
    put("burn-share", share(waterfall.burn));
    put("carry-share", share(waterfall.carry));
    put("stranded-share", share(waterfall.stranded));
    put("claim-cost-share", share(waterfall.claim_costs));
    put("recognised-share", share(waterfall.recognised));
    put("misdirected-share", share(waterfall.mispaid));
    put("recognised", Some(waterfall.recognised.get() as f64 / unit));
    put("mispaid-tokens", Some(waterfall.mispaid.get() as f64 / unit));
    let total = Amount::total(owed.received.iter().copied())?;
    let gap = cost_of_approximation(total, waterfall.recognised);
    put("recognition-gap", gap);
    put("cost-of-approximation", gap);
    let queries: f64 = actual.numbers.iter().map(|epoch| epoch.queries).sum();
    let lost = total.minus(waterfall.recognised)?.get() as f64 / unit;
    put("cost-per-million", (queries > 0.0).then(|| lost / queries * 1e6));
    Ok(())
}

fn people(stage: &Stage<'_>, arms: &Arms, put: Put<'_>) -> Result<(), Refusal> {
    let (owed, actual) = (&arms.owed, &arms.actual);
    let is_owed = |person: &usize| !owed.received[*person].is_zero();
    let is_reached = |person: &usize| !actual.received[*person].is_zero();
    let all = || (0..owed.received.len()).filter(is_owed);
    let count = all().count();
    put("reach", (count > 0).then(|| all().filter(is_reached).count() as f64 / count as f64));
    let money = |people: &mut dyn Iterator<Item = usize>| -> f64 {
        people.map(|person| owed.received[person].get() as f64).sum()
    };
    let total = money(&mut all());
    put("money-reach", (total > 0.0).then(|| money(&mut all().filter(is_reached)) / total));
    let contributors = &stage.world.contributors;
    let honest = contributors.count as usize;
    let mut epochs = vec![0u64; arms.honest_population.persons as usize];
    for identity in &arms.honest_population.identities {
        let end = identity.left.min(stage.clock.epochs);
        epochs[identity.person as usize] += u64::from(end.saturating_sub(identity.joined));
    }
    let scaled = |amount: Amount| -> Result<Vec<Amount>, Refusal> {
        epochs[..honest].iter().map(|epochs| amount.times(*epochs)).collect()
    };
    let (costs, outside) = (scaled(contributors.cost)?, scaled(contributors.outside_option)?);
    put(
        "individual-rationality",
        individual_rationality(&actual.received[..honest], &costs, &outside),
    );
    let mut first: Vec<u32> = all().filter_map(|person| actual.first_paid[person]).collect();
    first.sort_unstable();
    put("median-epochs-to-pay", first.get(first.len() / 2).map(|epoch| f64::from(*epoch)));
    Ok(())
}

fn concentration(actual: &Finished, put: Put<'_>) {
    let received = as_numbers(&actual.received);
    put("gini", gini(&received));
    put("theil", theil(&received));
    put("mean-log-deviation", mean_log_deviation(&received));
    put("atkinson", atkinson(&received, 0.5));
    put("jain", jain(&received));
    put("herfindahl", herfindahl(&received));
    put("hoover", hoover(&received));
    put("nakamoto", nakamoto(&received, 0.5).map(|count| count as f64));
    put("nakamoto-third", nakamoto(&received, 1.0 / 3.0).map(|count| count as f64));
    put("top-1-share", top_share(&received, 0.01));
    put("top-10-share", top_share(&received, 0.1));
}

fn totals(actual: &Finished, unit: f64, put: Put<'_>) {
    let sum = |what: fn(&EpochNumbers) -> Amount| -> f64 {
        actual.numbers.iter().map(|epoch| what(epoch).get()).sum::<u128>() as f64 / unit
    };
    put("fees", Some(sum(|epoch| epoch.fees)));
    put("emission", Some(sum(|epoch| epoch.emission)));
    put("paid", Some(sum(|epoch| epoch.paid)));
    put("treasury-end", actual.numbers.last().map(|epoch| epoch.treasury.get() as f64 / unit));
    put("postings", Some(actual.report.postings as f64));
    put("residual", Some(actual.report.residual as f64));
}

/// Persons behind agents.
fn attackers(world: &World) -> std::ops::Range<usize> {
    let first = world.contributors.count as usize;
    first..first + world.agents.len()
}

fn sum_of(amounts: &[Amount], people: std::ops::Range<usize>) -> f64 {
    amounts[people].iter().map(|amount| amount.get()).sum::<u128>() as f64
}

fn costs(world: &World) -> f64 {
    world.agents.iter().map(|agent| agent.cost().get() as f64).sum()
}

/// What agents receive beyond honesty, less what their attacks cost and the stake they lost.
pub(super) fn net_gain(world: &World, honest: &Finished, actual: &Finished) -> f64 {
    let people = attackers(world);
    sum_of(&actual.received, people.clone())
        - sum_of(&honest.received, people)
        - costs(world)
        - wash_fees(honest, actual)
        - actual.slashed.get() as f64
}

/// Fees that were paid for washed queries: what users pay beyond the honest run.
fn wash_fees(honest: &Finished, actual: &Finished) -> f64 {
    let fees = |run: &Finished| run.numbers.iter().map(|epoch| epoch.fees.get()).sum::<u128>();
    fees(actual).saturating_sub(fees(honest)) as f64
}

fn strategy(stage: &Stage<'_>, arms: &Arms, honest: &Finished, unit: f64, put: Put<'_>) {
    let (world, actual) = (stage.world, &arms.actual);
    let people = attackers(world);
    let before = sum_of(&honest.received, people.clone());
    let after = sum_of(&actual.received, people.clone());
    let cost = costs(world) + wash_fees(honest, actual);
    let gain = net_gain(world, honest, actual);
    put("attack-cost", Some(cost / unit));
    put("attack-size", Some(world.agents.iter().map(|agent| agent.size() as f64).sum()));
    put("attack-gain", Some(gain / unit));
    let money = actual.money_in.get() as f64;
    put("attack-gain-of-pot", (money > 0.0).then(|| gain / money));
    put("attack-gain-relative", sybil_gain(before, after));
    let names = arms.population.identities.len();
    let further = names.saturating_sub(arms.honest_population.identities.len());
    let epochs = stage.clock.epochs as f64;
    put("sybil-proofing-price", price_of_names(before, after, further).map(|p| p / unit / epochs));
    let loss = |people: &mut dyn Iterator<Item = usize>| -> f64 {
        people
            .map(|person| honest.received[person].excess_over(actual.received[person]).get() as f64)
            .sum()
    };
    let others = loss(&mut (0..people.start));
    put("others-loss", Some(others / unit));
    put("griefing-factor", griefing_factor(others, cost + (before - after).max(0.0)));
    put("griefing-of-pot", (money > 0.0).then(|| griefing_loss(others, gain) / money));
    let victims: Vec<usize> = arms.population.victims.iter().map(|at| *at as usize).collect();
    if !victims.is_empty() {
        let lost = loss(&mut victims.iter().copied());
        let had: f64 = victims.iter().map(|at| honest.received[*at].get() as f64).sum();
        put("victim-loss", (had > 0.0).then(|| lost / had));
        put("plagiarism-transfer", plagiarism_transfer(after - before, lost));
    }
    if !arms.population.watches.is_empty() {
        put("poison-return", poison_return(after - before, actual.slashed.get() as f64, cost));
    }
}

fn series(
    stage: &Stage<'_>,
    owed: &Finished,
    actual: &Finished,
    unit: f64,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let column =
        |what: fn(&EpochNumbers) -> f64| -> Vec<f64> { actual.numbers.iter().map(what).collect() };
    outcome.series.insert("queries", column(|epoch| epoch.queries));
    outcome.series.insert("contributors", column(|epoch| epoch.contributors));
    let column = |what: fn(&EpochNumbers) -> Amount| -> Vec<f64> {
        actual.numbers.iter().map(|epoch| what(epoch).get() as f64 / unit).collect()
    };
    outcome.series.insert("fees", column(|epoch| epoch.fees));
    outcome.series.insert("emission", column(|epoch| epoch.emission));
    outcome.series.insert("paid", column(|epoch| epoch.paid));
    outcome.series.insert("treasury", column(|epoch| epoch.treasury));
    let prices = stage.prices.iter().map(|price| price.dollars()).collect();
    outcome.series.insert("price", prices);
    let mut sums = [vec![Amount::ZERO; owed.gross.len()], vec![Amount::ZERO; owed.gross.len()]];
    let mut distance = vec![];
    for (exact, paid) in owed.payouts_by_epoch.iter().zip(&actual.payouts_by_epoch) {
        for (sums, amounts) in sums.iter_mut().zip([exact, paid]) {
            for (sum, amount) in sums.iter_mut().zip(amounts) {
                *sum = sum.plus(*amount)?;
            }
        }
        let error = PayoutError::between(&sums[0], &sums[1], Amount::ZERO)?;
        distance.push(error.total_variation.unwrap_or(0.0));
    }
    outcome.series.insert("mispaid-share", distance);
    Ok(())
}

/// The Lorenz curve at 0, 1, ..., 100 % of people.
fn lorenz_percentiles(received: &[f64]) -> Vec<f64> {
    let Some(curve) = lorenz(received) else { return vec![] };
    let at = |percent: usize| {
        let place = percent as f64 / 100.0 * curve.len() as f64;
        let below = place.floor() as usize;
        let value = |at: usize| if at == 0 { 0.0 } else { curve[at - 1] };
        let above = (below + 1).min(curve.len());
        value(below) + (value(above) - value(below)) * place.fract()
    };
    (0..=100).map(at).collect()
}
