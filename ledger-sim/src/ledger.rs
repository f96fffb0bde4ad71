//! Double-entry books. Only [`Ledger::post`] changes a balance.

use crate::account::{Account, Family};
use crate::merkle::{Hash, Pages};
use crate::money::{Amount, LARGEST_SUPPLY};
use crate::posting::{Closing, Journal, Kind, Line, Posting};
use crate::refusal::Refusal;

/// How many accounts each family has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    counts: [usize; Family::ALL.len()],
}

impl Chart {
    /// Number of open accounts of `family`.
    pub fn count(&self, family: Family) -> usize {
        self.counts[family.position()]
    }

    /// Whether `account` is open.
    pub fn contains(&self, account: Account) -> bool {
        (account.index() as usize) < self.count(account.family())
    }
}

/// Balances, the journal that led to them and the root that the journal hashes to.
///
/// A posting is applied whole or not at all. Money comes from [`Account::MINT`], whose balance is
/// minus all that was ever minted, down to minus the supply cap; no other balance is negative.
#[derive(Clone, Debug)]
pub struct Ledger {
    supply_cap: Amount,
    epoch: u32,
    chart: Chart,
    balances: [Vec<i128>; Family::ALL.len()],
    journal: Journal,
    pages: Pages,
}

impl Ledger {
    /// Empty books for a currency of which at most `supply_cap` base units can ever be minted.
    ///
    /// # Errors
    /// [`Refusal::ScaleTooSmall`] when the cap is not below [`LARGEST_SUPPLY`].
    pub fn new(supply_cap: Amount) -> Result<Self, Refusal> {
        if supply_cap.get() >= LARGEST_SUPPLY {
            return Err(Refusal::ScaleTooSmall);
        }
        let counts = Family::ALL.map(|family| usize::from(family.is_single()));
        Ok(Self {
            supply_cap,
            epoch: 0,
            chart: Chart { counts },
            balances: counts.map(|count| vec![0; count]),
            journal: Journal::default(),
            pages: Pages::default(),
        })
    }

    /// Opens accounts `0..count` of `family`; those already open stay as they are.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for a second account of a family of one, and
    /// [`Refusal::Overflow`] for more accounts than an index can name.
    pub fn open(&mut self, family: Family, count: usize) -> Result<(), Refusal> {
        let last = u32::try_from(count.saturating_sub(1)).map_err(|_| Refusal::Overflow)?;
        if family.is_single() && count > 1 {
            return Err(Refusal::UnknownAccount { account: Account::new(family, last) });
        }
        let position = family.position();
        if count > self.chart.counts[position] {
            self.chart.counts[position] = count;
            self.balances[position].resize(count, 0);
        }
        Ok(())
    }

    /// Moves money: applies `lines`, writes them to the journal and hashes them.
    ///
    /// # Errors
    /// All-or-nothing, the first fault in [`Refusal::precedence`] order: `Overflow` of a balance,
    /// `Underflow` of an account that may not be negative, `Unbalanced`, `UnknownAccount`,
    /// `SupplyCapExceeded`, `StaleEpoch`.
    pub fn post(&mut self, kind: Kind, epoch: u32, lines: &[Line]) -> Result<usize, Refusal> {
        let position = self.journal.len();
        if let Some(fault) = self.try_apply(position, epoch, lines) {
            return Err(fault);
        }
        self.epoch = epoch;
        self.pages.push(|page| Posting { kind, epoch, lines }.append_bytes(page));
        self.journal.append(kind, epoch, lines);
        Ok(position)
    }

    /// Applies all lines, or none and returns the fault.
    fn try_apply(&mut self, position: usize, epoch: u32, lines: &[Line]) -> Option<Refusal> {
        let mut fault = None;
        let mut sum: i128 = 0;
        let mut skipped = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            match sum.checked_add(line.amount) {
                Some(next) => sum = next,
                None => fault = Refusal::first(fault, Refusal::Overflow),
            }
            if let Err(found) = self.add(line.account, line.amount) {
                skipped.push(index);
                fault = Refusal::first(fault, found);
            }
        }
        if sum != 0 {
            fault = Refusal::first(fault, Refusal::Unbalanced { posting: position });
        }
        if epoch < self.epoch {
            let stale = Refusal::StaleEpoch { epoch, current: self.epoch };
            fault = Refusal::first(fault, stale);
        }
        // Signs are judged once all lines are in: one account may occur on several lines.
        for line in lines {
            if let Some(found) = self.sign_fault(line.account) {
                fault = Refusal::first(fault, found);
            }
        }
        if fault.is_some() {
            self.take_back(lines, &skipped);
        }
        fault
    }

    /// Undoes the lines that [`Self::add`] has applied, last first, so that every balance passes
    /// through values that it has already had.
    fn take_back(&mut self, lines: &[Line], skipped: &[usize]) {
        for (index, line) in lines.iter().enumerate().rev() {
            if skipped.binary_search(&index).is_err() {
                let family = &mut self.balances[line.account.family().position()];
                family[line.account.index() as usize] -= line.amount;
            }
        }
    }

    fn add(&mut self, account: Account, amount: i128) -> Result<(), Refusal> {
        let slot = self.balances[account.family().position()]
            .get_mut(account.index() as usize)
            .ok_or(Refusal::UnknownAccount { account })?;
        *slot = slot.checked_add(amount).ok_or(Refusal::Overflow)?;
        Ok(())
    }

    fn sign_fault(&self, account: Account) -> Option<Refusal> {
        let balance = self.signed_balance(account)?;
        if account.family().may_be_negative() {
            let minted = balance.unsigned_abs();
            let beyond = balance < 0 && minted > self.supply_cap.get();
            return beyond.then_some(Refusal::SupplyCapExceeded);
        }
        (balance < 0).then_some(Refusal::Underflow { account })
    }

    /// Writes the closing line of a settlement whose posting is already in the journal.
    pub(crate) fn close(&mut self, closing: Closing) {
        self.journal.close(closing);
    }

    /// Balance in signed base units, or `None` for an account that is not open.
    pub fn signed_balance(&self, account: Account) -> Option<i128> {
        self.balances[account.family().position()].get(account.index() as usize).copied()
    }

    /// What an account other than the contra account holds.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an account that is not open, [`Refusal::Underflow`] for a
    /// negative balance, which only the contra account can have.
    pub fn balance(&self, account: Account) -> Result<Amount, Refusal> {
        let signed = self.signed_balance(account).ok_or(Refusal::UnknownAccount { account })?;
        u128::try_from(signed).map(Amount::new).map_err(|_| Refusal::Underflow { account })
    }

    /// All balances of a family, by index.
    pub fn family(&self, family: Family) -> &[i128] {
        &self.balances[family.position()]
    }

    /// Everything posted since genesis.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Which accounts are open.
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// The most that can ever be minted.
    pub fn supply_cap(&self) -> Amount {
        self.supply_cap
    }

    /// Epoch of the latest posting.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Root of the hash tree over all pages of postings.
    pub fn root(&self) -> Hash {
        self.pages.root()
    }

    /// Falsifies a balance, so that a test can see the auditor find it.
    #[cfg(test)]
    pub(crate) fn falsify_balance(&mut self, account: Account, balance: i128) {
        self.balances[account.family().position()][account.index() as usize] = balance;
    }

    /// Lets a test falsify the journal.
    #[cfg(test)]
    pub(crate) fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> Ledger {
        let mut ledger = Ledger::new(Amount::new(100)).unwrap();
        ledger.open(Family::Contributor, 2).unwrap();
        let lines = [Line::new(Account::MINT, -60), Line::new(Account::TREASURY, 60)];
        ledger.post(Kind::Emit, 5, &lines).unwrap();
        ledger
    }

    #[test]
    fn a_posting_moves_money_and_is_written_down() {
        let mut ledger = books();
        let lines = [
            Line::new(Account::TREASURY, -50),
            Line::new(Account::contributor(0), 30),
            Line::new(Account::contributor(1), 20),
        ];
        assert_eq!(ledger.post(Kind::Split, 6, &lines), Ok(1));
        assert_eq!(ledger.balance(Account::TREASURY), Ok(Amount::new(10)));
        assert_eq!(ledger.family(Family::Contributor), [30, 20]);
        assert_eq!(ledger.signed_balance(Account::MINT), Some(-60));
        assert_eq!((ledger.journal().len(), ledger.epoch()), (2, 6));
    }

    /// Each case has all faults of the cases below it, so that the table shows the precedence.
    #[test]
    fn refusals_come_in_documented_precedence_and_leave_the_books_alone() {
        let unknown = Account::contributor(9);
        let overflow = Line::new(Account::TREASURY, i128::MAX);
        let underflow = Line::new(Account::contributor(0), -1);
        let uneven = Line::new(Account::TREASURY, 7);
        let stranger = Line::new(unknown, 0);
        let mint = Line::new(Account::MINT, -41);
        let balanced = Line::new(Account::TREASURY, 41);
        let table: [(&[Line], u32, Refusal); 6] = [
            (&[stranger, mint, underflow, overflow], 4, Refusal::Overflow),
            (
                &[stranger, mint, uneven, underflow],
                4,
                Refusal::Underflow { account: Account::contributor(0) },
            ),
            (&[stranger, mint, uneven], 4, Refusal::Unbalanced { posting: 1 }),
            (&[stranger, mint, balanced], 4, Refusal::UnknownAccount { account: unknown }),
            (&[mint, balanced], 4, Refusal::SupplyCapExceeded),
            (&[], 4, Refusal::StaleEpoch { epoch: 4, current: 5 }),
        ];
        for (lines, epoch, expected) in table {
            let mut ledger = books();
            let before = ledger.clone();
            assert_eq!(ledger.post(Kind::Emit, epoch, lines), Err(expected));
            assert_eq!(ledger.balances, before.balances);
            assert_eq!(ledger.journal, before.journal);
            assert_eq!(ledger.root(), before.root());
        }
    }

    #[test]
    fn an_account_may_dip_within_a_posting_as_long_as_it_ends_above_zero() {
        let mut ledger = books();
        let lines = [
            Line::new(Account::contributor(0), -5),
            Line::new(Account::TREASURY, -5),
            Line::new(Account::contributor(0), 10),
        ];
        assert_eq!(ledger.post(Kind::Split, 5, &lines), Ok(1));
    }

    #[test]
    fn what_cannot_be_opened_is_refused() {
        let mut ledger = books();
        let second = Account::new(Family::Burn, 1);
        assert_eq!(ledger.open(Family::Burn, 2), Err(Refusal::UnknownAccount { account: second }));
        assert_eq!(ledger.balance(second), Err(Refusal::UnknownAccount { account: second }));
        ledger.open(Family::Contributor, 1).unwrap();
        assert_eq!(ledger.chart().count(Family::Contributor), 2);
        assert!(matches!(Ledger::new(Amount::new(LARGEST_SUPPLY)), Err(Refusal::ScaleTooSmall)));
    }
}
