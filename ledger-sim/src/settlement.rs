//! From a rule's settlement to a posting in the books.

use crate::account::{Account, Family};
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::posting::{Closing, Kind, Line};
use crate::refusal::Refusal;
use crate::rules::{Inputs, Settlement};

/// Posts `settlement`, which a rule has made of `inputs`, and its closing line for the auditor.
/// The pot is `pot(inputs.epoch)` and must hold exactly the money of `inputs`.
///
/// # Errors
/// Those of [`Ledger::post`]: an underfunded pot, carry, treasury or stake, or a contributor whose
/// account was not opened.
pub fn post_settlement(
    ledger: &mut Ledger,
    inputs: &Inputs<'_>,
    settlement: &Settlement,
) -> Result<(), Refusal> {
    let closing = Closing {
        posting: ledger.journal().len(),
        pot_index: inputs.epoch,
        pot: inputs.pot()?,
        carry_in: inputs.carry_in,
        drawn: settlement.drawn,
        slashed: Amount::total(settlement.slashed.iter().copied())?,
        paid: settlement.paid()?,
        nodes: Amount::total(settlement.nodes.iter().copied())?,
        burn: settlement.burn,
        carry_out: settlement.carry,
        returned: settlement.returned,
    };
    let mut lines = Vec::with_capacity(settlement.payouts.len() + 7);
    give(&mut lines, Account::pot(inputs.epoch), closing.pot)?;
    give(&mut lines, Account::CARRY, closing.carry_in)?;
    give(&mut lines, Account::TREASURY, closing.drawn)?;
    for (index, amount) in (0u32..).zip(&settlement.slashed) {
        give(&mut lines, Account::new(Family::Stake, index), *amount)?;
    }
    for (index, amount) in (0u32..).zip(&settlement.payouts) {
        receive(&mut lines, Account::contributor(index), *amount)?;
    }
    for (index, amount) in (0u32..).zip(&settlement.nodes) {
        receive(&mut lines, Account::new(Family::Node, index), *amount)?;
    }
    receive(&mut lines, Account::BURN, closing.burn)?;
    receive(&mut lines, Account::CARRY, closing.carry_out)?;
    receive(&mut lines, Account::TREASURY, closing.returned)?;
    ledger.post(Kind::Settle, inputs.epoch, &lines)?;
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
