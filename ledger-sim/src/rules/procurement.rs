//! Procurement: contributors bid what their data cost them, and the mechanism buys.
//!
//! With values `v_i` and bids `b_i`, at most `count` are bought:
//! - `vcg`: those of largest positive surplus `v_i - b_i`; each is paid `b_i` plus what the optimum
//!   loses without him, that is `v_i - max(0, s)` with `s` the largest surplus left out.
//! - `myerson`: the same with the virtual cost `2 b_i` of costs uniform on [0, `cost_ceiling`];
//!   each is paid his threshold bid `(v_i - max(0, s)) / 2`, at most the ceiling.
//! - `budget-feasible` (Singer 2010, additive values): by ascending `b_i / v_i` the longest prefix
//!   with `b_k <= B v_k / sum v`; each is paid the smaller of `B v_i / sum v` and
//!   `b_(k+1) v_i / v_(k+1)`. Truthful, never above the budget `B`, which is the pot.
//!
//! Payments are floors. Money left is carried; `vcg` and `myerson` draw on the treasury when the
//! pot is short, for no truthful price can be rationed.
//!
//! Parameters: `mechanism`, `count` (default all), `cost_ceiling` (base units).
//!
//! Attack: bid rigging; several bids under false names.

use super::{Entry, Inputs, Parameters, Reader, Rule, Settlement, State, require};
use crate::money::{Amount, LARGEST_SUPPLY};
use crate::refusal::Refusal;
use crate::wide;

/// The registry's line.
pub(super) const ENTRY: Entry = Entry {
    name: "procurement",
    summary: "buys data at truthful prices from bids (VCG, Myerson, budget-feasible)",
    attack: "bid rigging; false-name bids",
    needs: &["bids"],
    build,
};

/// What one contributor asks, and what his data is worth to the buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// The price asked.
    pub cost: Amount,
    /// The value to the buyer.
    pub value: Amount,
}

fn build(parameters: &Parameters) -> Result<Box<dyn Rule>, Refusal> {
    let mut reader = Reader::new(parameters);
    let mechanisms = [
        ("vcg", Mechanism::Vcg),
        ("myerson", Mechanism::Myerson),
        ("budget-feasible", Mechanism::BudgetFeasible),
    ];
    let mechanism = reader.choice("mechanism", &mechanisms)?;
    let count = reader.integer("count", u64::MAX, 1..=u64::MAX)?;
    let cost_ceiling = reader.amount("cost_ceiling", Amount::new(LARGEST_SUPPLY - 1))?;
    reader.finish()?;
    Ok(Box::new(Procurement { mechanism, count, cost_ceiling }))
}

#[derive(Clone, Copy, Debug)]
enum Mechanism {
    Vcg,
    Myerson,
    BudgetFeasible,
}

#[derive(Debug)]
struct Procurement {
    mechanism: Mechanism,
    count: u64,
    cost_ceiling: Amount,
}

impl Procurement {
    /// Payments when a bid costs the buyer `factor` times itself and no payment exceeds `ceiling`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`] for a bid that no supply could pay.
    fn by_surplus(
        &self,
        bids: &[Bid],
        factor: i128,
        ceiling: Amount,
    ) -> Result<Vec<Amount>, Refusal> {
        if bids.iter().any(|bid| bid.cost.max(bid.value).get() >= LARGEST_SUPPLY) {
            return Err(Refusal::Overflow);
        }
        // Below 2^120, so that a signed number of 128 bits holds twice as much.
        let signed = |amount: Amount| amount.get() as i128;
        let surplus = |bid: &Bid| signed(bid.value) - factor * signed(bid.cost);
        let mut order: Vec<usize> = (0..bids.len()).collect();
        // A stable sort: among equals the earlier contributor wins.
        order.sort_by_key(|index| std::cmp::Reverse(surplus(&bids[*index])));
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let left_out = order.get(count).map_or(0, |index| surplus(&bids[*index]).max(0));
        let mut payments = vec![Amount::ZERO; bids.len()];
        for index in order.into_iter().take(count) {
            let bid = &bids[index];
            if surplus(bid) >= 0 {
                let threshold = (signed(bid.value) - left_out) / factor;
                // Between zero and the value, which is an amount.
                payments[index] = Amount::new(threshold as u128).min(ceiling);
            }
        }
        Ok(payments)
    }
}

/// Singer's mechanism; bids without value are never bought.
fn budget_feasible(bids: &[Bid], budget: Amount) -> Result<Vec<Amount>, Refusal> {
    // Products of amounts have up to 256 bits; pairs of halves compare as the products do.
    let product = |a: Amount, b: Amount| wide::product(a.get(), b.get());
    let mut order: Vec<usize> =
        (0..bids.len()).filter(|index| !bids[*index].value.is_zero()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&bids[*a], &bids[*b]);
        product(a.cost, b.value).cmp(&product(b.cost, a.value))
    });
    let mut total = Amount::ZERO;
    let mut winners = 0;
    for index in &order {
        let bid = &bids[*index];
        let with = total.plus(bid.value)?;
        if product(bid.cost, with) > product(budget, bid.value) {
            break;
        }
        total = with;
        winners += 1;
    }
    let mut payments = vec![Amount::ZERO; bids.len()];
    for index in &order[..winners] {
        let value = bids[*index].value.get();
        let by_budget = budget.scaled(value, total.get())?;
        payments[*index] = match order.get(winners) {
            Some(next) => {
                let next = &bids[*next];
                by_budget.min(next.cost.scaled(value, next.value.get())?)
            }
            None => by_budget,
        };
    }
    Ok(payments)
}

impl Rule for Procurement {
    fn name(&self) -> &'static str {
        ENTRY.name
    }

    fn settle(&self, inputs: &Inputs<'_>, _: &State) -> Result<Settlement, Refusal> {
        let bids = require(inputs.side.bids, ENTRY.name, "bids")?;
        if bids.len() != inputs.contributors {
            return Err(Refusal::RuleNeeds { rule: ENTRY.name, input: "a bid of everyone" });
        }
        let money = inputs.money()?;
        let payouts = match self.mechanism {
            Mechanism::Vcg => self.by_surplus(bids, 1, Amount::new(LARGEST_SUPPLY))?,
            Mechanism::Myerson => self.by_surplus(bids, 2, self.cost_ceiling)?,
            Mechanism::BudgetFeasible => budget_feasible(bids, money)?,
        };
        let paid = Amount::total(payouts.iter().copied())?;
        Ok(Settlement {
            payouts,
            carry: money.excess_over(paid),
            drawn: paid.excess_over(money),
            ..Settlement::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::random::{Purpose, Streams};
    use crate::rules::{Value, settle};

    fn run(parameters: &[(&str, Value)], bids: &[(u128, u128)], pot: u128) -> Settlement {
        let rule = rule(ENTRY.name, parameters);
        let bid = |(cost, value): &(u128, u128)| Bid {
            cost: Amount::new(*cost),
            value: Amount::new(*value),
        };
        let bids: Vec<Bid> = bids.iter().map(bid).collect();
        let pots = amounts(&[pot]);
        let mut inputs = Inputs::new(bids.len(), &pots);
        inputs.side.bids = Some(&bids);
        settle(rule.as_ref(), &inputs, &State::Fresh).unwrap()
    }

    /// G40: costs 1, 2, 3, 5, 8, three bought: each is paid the fourth-lowest bid.
    #[test]
    fn three_of_five_at_the_fourth_price() {
        let bids = [(1, 100), (2, 100), (3, 100), (5, 100), (8, 100)];
        let settlement = run(&[("count", Value::Integer(3))], &bids, 20);
        assert_eq!(settlement.payouts, amounts(&[5, 5, 5, 0, 0]));
        assert_eq!((settlement.carry.get(), settlement.drawn.get()), (5, 0));
        assert_eq!(run(&[("count", Value::Integer(3))], &bids, 6).drawn.get(), 9);
    }

    /// G40 with eighteen decimals, where bids are compared by products of 124 bits and more.
    #[test]
    fn budget_of_eighteen_decimals() {
        let tenths = |tenths: u128| tenths * 10u128.pow(17);
        let bid = |cost| (tenths(cost), tenths(10));
        let bids = [bid(10), bid(20), bid(30), bid(35), bid(80)];
        let budget = [("mechanism", Value::Text("budget-feasible".to_owned()))];
        let settlement = run(&budget, &bids, tenths(120));
        assert_eq!(settlement.payouts, amounts(&[35, 35, 35, 0, 0].map(tenths)));
        assert_eq!(settlement.carry.get(), tenths(15));
        // Bids of a billion tokens: 10^54 is a product of 180 bits.
        let large = |tokens: u128| tokens * 10u128.pow(25);
        let bids: Vec<_> =
            [10, 20, 30, 35, 80].map(|cost| (large(cost), large(10))).into_iter().collect();
        let settlement = run(&budget, &bids, large(120));
        assert_eq!(settlement.payouts, amounts(&[35, 35, 35, 0, 0].map(large)));
    }

    /// G40 in tenths: budget 12, costs 1, 2, 3, 3.5, 8: three winners at 3.5, 1.5 is carried.
    #[test]
    fn budget_of_twelve() {
        let bids = [(10, 10), (20, 10), (30, 10), (35, 10), (80, 10)];
        let budget = [("mechanism", Value::Text("budget-feasible".to_owned()))];
        let settlement = run(&budget, &bids, 120);
        assert_eq!(settlement.payouts, amounts(&[35, 35, 35, 0, 0]));
        assert_eq!(settlement.carry.get(), 15);
    }

    /// G40: two sellers of uniform cost, one item of value one: Myerson 5/12, VCG 1/3.
    #[test]
    fn profits_of_two_uniform_sellers() {
        let streams = Streams::new(11, 0);
        let one = 1_000_000_000u128;
        let profit = |mechanism: &str| {
            let parameters =
                [("mechanism", Value::Text(mechanism.to_owned())), ("count", Value::Integer(1))];
            let rounds = 40_000;
            let total: f64 = (0..rounds)
                .map(|round| {
                    let cost = |agent| {
                        let draw = streams.uniform(Purpose::Design, agent, 0, round);
                        ((draw * one as f64) as u128, one)
                    };
                    let settlement = run(&parameters, &[cost(0), cost(1)], 0);
                    let paid = settlement.paid().unwrap().get();
                    if paid == 0 { 0.0 } else { 1.0 - paid as f64 / one as f64 }
                })
                .sum();
            total / rounds as f64
        };
        // The profits have sd below .3: five standard errors of 40,000 rounds are .0075.
        assert!((profit("myerson") - 5.0 / 12.0).abs() < 0.0075);
        assert!((profit("vcg") - 1.0 / 3.0).abs() < 0.0075);
    }

    #[test]
    fn bids_above_value_are_not_bought() {
        let settlement = run(&[], &[(11, 10), (4, 10)], 10);
        assert_eq!(settlement.payouts, amounts(&[0, 10]));
    }
}
