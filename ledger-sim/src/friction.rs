//! Between a claimable balance and money in hand: minimum withdrawals and the cost of a claim.

use crate::account::{Account, Family};
use crate::ledger::Ledger;
use crate::money::Amount;
use crate::posting::{Kind, Line};
use crate::refusal::Refusal;

/// What stands between a balance and its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Friction {
    /// Least balance that can be withdrawn.
    pub minimum_withdrawal: Amount,
    /// Cost of one claim, paid from the balance.
    pub claim_cost: Amount,
}

impl Friction {
    /// Whether a claim of `balance` is allowed and leaves its owner better off: at least the
    /// minimum, and more than the cost.
    pub fn is_worth_claiming(&self, balance: Amount) -> bool {
        balance >= self.minimum_withdrawal && balance > self.claim_cost
    }
}

/// Claims the whole balance of contributor `index` into the wallet of the same index.
///
/// # Errors
/// [`Refusal::ClaimTwice`] for an empty balance, [`Refusal::ClaimBelowMinimum`] for one that is
/// below the minimum or does not exceed the cost, and those of [`Ledger::post`].
pub fn claim(
    ledger: &mut Ledger,
    epoch: u32,
    index: u32,
    friction: &Friction,
) -> Result<Amount, Refusal> {
    let balance = ledger.balance(Account::contributor(index))?;
    if !friction.is_worth_claiming(balance) {
        let index = index as usize;
        let refusal = if balance.is_zero() {
            Refusal::ClaimTwice { index }
        } else {
            Refusal::ClaimBelowMinimum { index }
        };
        return Err(refusal);
    }
    let net = balance.minus(friction.claim_cost)?;
    let lines = [
        Line::new(Account::contributor(index), -balance.signed()?),
        Line::new(Account::GAS, friction.claim_cost.signed()?),
        Line::new(Account::new(Family::Wallet, index), net.signed()?),
    ];
    ledger.post(Kind::Claim, epoch, &lines)?;
    Ok(net)
}

/// Lets every contributor claim for whom it is worth it; returns what each received.
///
/// # Errors
/// Those of [`Ledger::post`].
pub fn claim_all(
    ledger: &mut Ledger,
    epoch: u32,
    friction: &Friction,
) -> Result<Vec<Amount>, Refusal> {
    let contributors = ledger.chart().count(Family::Contributor);
    ledger.open(Family::Wallet, contributors)?;
    let mut received = Vec::with_capacity(contributors);
    for index in 0..contributors as u32 {
        let balance = ledger.balance(Account::contributor(index))?;
        received.push(if friction.is_worth_claiming(balance) {
            claim(ledger, epoch, index, friction)?
        } else {
            Amount::ZERO
        });
    }
    Ok(received)
}

/// Lets every contributor of whom `may_claim` is true claim where it is worth it, all in one
/// posting; returns what each received.
///
/// # Errors
/// Those of [`Ledger::post`].
pub fn claim_together(
    ledger: &mut Ledger,
    epoch: u32,
    friction: &Friction,
    may_claim: impl Fn(u32) -> bool,
) -> Result<Vec<Amount>, Refusal> {
    let contributors = ledger.chart().count(Family::Contributor);
    ledger.open(Family::Wallet, contributors)?;
    let mut received = vec![Amount::ZERO; contributors];
    let (mut lines, mut gas) = (vec![], Amount::ZERO);
    for (index, slot) in (0u32..).zip(&mut received) {
        let balance = ledger.balance(Account::contributor(index))?;
        if may_claim(index) && friction.is_worth_claiming(balance) {
            *slot = balance.minus(friction.claim_cost)?;
            gas = gas.plus(friction.claim_cost)?;
            lines.push(Line::new(Account::contributor(index), -balance.signed()?));
            lines.push(Line::new(Account::new(Family::Wallet, index), slot.signed()?));
        }
    }
    if !gas.is_zero() {
        lines.push(Line::new(Account::GAS, gas.signed()?));
    }
    if !lines.is_empty() {
        ledger.post(Kind::Claim, epoch, &lines)?;
    }
    Ok(received)
}

/// Collects the balances of contributors who did not claim into the treasury.
///
/// # Errors
/// Those of [`Ledger::post`].
pub fn sweep(ledger: &mut Ledger, epoch: u32, contributors: &[u32]) -> Result<Amount, Refusal> {
    let mut lines = Vec::with_capacity(contributors.len() + 1);
    let mut swept = Amount::ZERO;
    for index in contributors {
        let account = Account::contributor(*index);
        let balance = ledger.balance(account)?;
        swept = swept.plus(balance)?;
        lines.push(Line::new(account, -balance.signed()?));
    }
    lines.push(Line::new(Account::TREASURY, swept.signed()?));
    ledger.post(Kind::Sweep, epoch, &lines)?;
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::audit;

    fn books(balances: &[i128]) -> Ledger {
        let mut ledger = Ledger::new(Amount::new(1_000)).unwrap();
        ledger.open(Family::Contributor, balances.len()).unwrap();
        let mut lines = vec![Line::new(Account::MINT, -balances.iter().sum::<i128>())];
        for (index, balance) in (0..).zip(balances) {
            lines.push(Line::new(Account::contributor(index), *balance));
        }
        ledger.post(Kind::Emit, 0, &lines).unwrap();
        ledger
    }

    #[test]
    fn the_rational_claim_and_the_rest_is_swept() {
        let mut ledger = books(&[100, 5, 3, 0]);
        let friction = Friction { minimum_withdrawal: Amount::new(4), claim_cost: Amount::new(5) };
        // 100 - 5 reaches its owner; 5 does not exceed the cost, 3 is below the minimum.
        let received = claim_all(&mut ledger, 1, &friction).unwrap();
        assert_eq!(received.iter().map(|a| a.get()).collect::<Vec<_>>(), [95, 0, 0, 0]);
        assert_eq!(ledger.balance(Account::GAS), Ok(Amount::new(5)));
        let twice = claim(&mut ledger, 1, 0, &friction).unwrap_err();
        assert_eq!(twice, Refusal::ClaimTwice { index: 0 });
        let small = claim(&mut ledger, 1, 1, &friction).unwrap_err();
        assert_eq!(small, Refusal::ClaimBelowMinimum { index: 1 });
        assert_eq!(sweep(&mut ledger, 2, &[1, 2]), Ok(Amount::new(8)));
        assert_eq!(ledger.balance(Account::TREASURY), Ok(Amount::new(8)));
        audit(&ledger).unwrap();
    }
}
