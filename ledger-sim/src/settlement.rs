//! From a rule's settlement to a posting in the books.

use crate::account::{Account, Family};
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::posting::{Closing, Kind, Line};
use crate::refusal::Refusal;
use crate::rules::{Inputs, Settlement};

/// Money of one settlement, or of several that are posted together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Money {
    /// Fees in the pot.
    pub fees: Amount,
    /// Emission in the pot.
    pub emission: Amount,
    /// Money left by earlier settlements.
    pub carry_in: Amount,
    /// Payout of each contributor.
    pub payouts: Vec<Amount>,
    /// Payout of each node.
    pub nodes: Vec<Amount>,
    /// Stake taken from each contributor.
    pub slashed: Vec<Amount>,
    /// Money destroyed.
    pub burn: Amount,
    /// Money left for a later settlement.
    pub carry_out: Amount,
    /// Money returned to the treasury.
    pub returned: Amount,
    /// Money drawn from the treasury.
    pub drawn: Amount,
}

impl Money {
    /// Money of `settlement`, which found `carry_in` and a pot of `fees` and `emission`.
    pub fn of(carry_in: Amount, fees: Amount, emission: Amount, settlement: Settlement) -> Self {
        Self {
            fees,
            emission,
            carry_in,
            payouts: settlement.payouts,
            nodes: settlement.nodes,
            slashed: settlement.slashed,
            burn: settlement.burn,
            carry_out: settlement.carry,
            returned: settlement.returned,
            drawn: settlement.drawn,
        }
    }

    /// Adds the settlement that took over the carry of the last one.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn add(
        &mut self,
        fees: Amount,
        emission: Amount,
        settlement: &Settlement,
    ) -> Result<(), Refusal> {
        self.fees = self.fees.plus(fees)?;
        self.emission = self.emission.plus(emission)?;
        add_each(&mut self.payouts, &settlement.payouts)?;
        add_each(&mut self.nodes, &settlement.nodes)?;
        add_each(&mut self.slashed, &settlement.slashed)?;
        self.burn = self.burn.plus(settlement.burn)?;
        self.carry_out = settlement.carry;
        self.returned = self.returned.plus(settlement.returned)?;
        self.drawn = self.drawn.plus(settlement.drawn)?;
        Ok(())
    }
}

fn add_each(sums: &mut Vec<Amount>, amounts: &[Amount]) -> Result<(), Refusal> {
    if sums.len() < amounts.len() {
        sums.resize(amounts.len(), Amount::ZERO);
    }
    for (sum, amount) in sums.iter_mut().zip(amounts) {
        *sum = sum.plus(*amount)?;
    }
    Ok(())
}

/// Posts `settlement`, which a rule has made of `inputs`, and its closing line for the auditor.
/// The pot is `pot(inputs.epoch)` and must hold exactly the money of `inputs`.
///
/// # Errors
/// As [`post_money`].
pub fn post_settlement(
    ledger: &mut Ledger,
    inputs: &Inputs<'_>,
    settlement: &Settlement,
) -> Result<(), Refusal> {
    let pot = inputs.pot()?;
    let money = Money::of(inputs.carry_in, pot, Amount::ZERO, settlement.clone());
    post_money(ledger, inputs.epoch, &money)
}

/// Posts money of settlements from the pot of that index, at the epoch of that index, with its
/// closing line.
///
/// # Errors
/// Those of [`Ledger::post`]: an underfunded pot, carry, treasury or stake, or a contributor whose
/// account was not opened.
pub fn post_money(ledger: &mut Ledger, pot_index: u32, money: &Money) -> Result<(), Refusal> {
    let total = |amounts: &[Amount]| Amount::total(amounts.iter().copied());
    let closing = Closing {
        posting: ledger.journal().len(),
        pot_index,
        pot: money.fees.plus(money.emission)?,
        carry_in: money.carry_in,
        drawn: money.drawn,
        slashed: total(&money.slashed)?,
        paid: total(&money.payouts)?,
        nodes: total(&money.nodes)?,
        burn: money.burn,
        carry_out: money.carry_out,
        returned: money.returned,
    };
    let mut lines = Vec::with_capacity(money.payouts.len() + 7);
    give(&mut lines, Account::pot(pot_index), closing.pot)?;
    give(&mut lines, Account::CARRY, closing.carry_in)?;
    give(&mut lines, Account::TREASURY, closing.drawn)?;
    for (index, amount) in (0u32..).zip(&money.slashed) {
        give(&mut lines, Account::new(Family::Stake, index), *amount)?;
    }
    for (index, amount) in (0u32..).zip(&money.payouts) {
        receive(&mut lines, Account::contributor(index), *amount)?;
    }
    for (index, amount) in (0u32..).zip(&money.nodes) {
        receive(&mut lines, Account::new(Family::Node, index), *amount)?;
    }
    receive(&mut lines, Account::BURN, closing.burn)?;
    receive(&mut lines, Account::CARRY, closing.carry_out)?;
    receive(&mut lines, Account::TREASURY, closing.returned)?;
    ledger.post(Kind::Settle, pot_index, &lines)?;
    ledger.close(closing);
    Ok(())
}

fn give(lines: &mut Vec<Line>, account: Account, amount: Amount) -> Result<(), Refusal> {
    if !amount.is_zero() {
        lines.push(Line::new(account, -amount.signed()?));
    }
    Ok(())
}

fn receive(lines: &mut Vec<Line>, account: Account, amount: Amount) -> Result<(), Refusal> {
    if !amount.is_zero() {
        lines.push(Line::new(account, amount.signed()?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::audit;

    #[test]
    fn every_destination_reaches_its_account_and_the_audit_agrees() {
        let mut ledger = Ledger::new(Amount::new(1_000)).unwrap();
        for (family, count) in
            [(Family::Pot, 3), (Family::Contributor, 2), (Family::Node, 1), (Family::Stake, 2)]
        {
            ledger.open(family, count).unwrap();
        }
        let genesis = [
            Line::new(Account::MINT, -300),
            Line::new(Account::pot(2), 100),
            Line::new(Account::CARRY, 50),
            Line::new(Account::TREASURY, 80),
            Line::new(Account::new(Family::Stake, 1), 70),
        ];
        ledger.post(Kind::Emit, 2, &genesis).unwrap();
        let pots = [Amount::new(60), Amount::new(40)];
        let mut inputs = Inputs::new(2, &pots);
        inputs.epoch = 2;
        inputs.carry_in = Amount::new(50);
        // 100 + 50 + 30 drawn + 20 slashed = 200 = 90 + 10 + 15 + 25 + 40 + 20.
        let settlement = Settlement {
            payouts: vec![Amount::new(90), Amount::new(10)],
            nodes: vec![Amount::new(15)],
            burn: Amount::new(25),
            carry: Amount::new(40),
            returned: Amount::new(20),
            drawn: Amount::new(30),
            slashed: vec![Amount::ZERO, Amount::new(20)],
            ..Settlement::default()
        };
        post_settlement(&mut ledger, &inputs, &settlement).unwrap();
        assert_eq!(ledger.family(Family::Contributor), [90, 10]);
        assert_eq!(ledger.family(Family::Node), [15]);
        assert_eq!(ledger.family(Family::Stake), [0, 50]);
        assert_eq!(ledger.family(Family::Carry), [40]);
        assert_eq!(ledger.family(Family::Treasury), [70]);
        assert_eq!(ledger.family(Family::Burn), [25]);
        assert_eq!(audit(&ledger).unwrap().settlements, 1);
    }

    #[test]
    fn an_underfunded_pot_is_refused() {
        let mut ledger = Ledger::new(Amount::new(10)).unwrap();
        ledger.open(Family::Pot, 1).unwrap();
        ledger.open(Family::Contributor, 1).unwrap();
        let pots = [Amount::new(5)];
        let settlement = Settlement { payouts: pots.to_vec(), ..Settlement::default() };
        let account = Account::pot(0);
        assert_eq!(
            post_settlement(&mut ledger, &Inputs::new(1, &pots), &settlement),
            Err(Refusal::Underflow { account })
        );
        assert!(ledger.journal().closings().is_empty());
    }
}
