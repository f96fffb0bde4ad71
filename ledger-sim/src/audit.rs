//! An auditor that replays the journal from genesis with arithmetic of its own.
//!
//! It shares only data types with the posting path: balances are kept in `i128`, and the tree is
//! hashed by its recursive definition instead of incrementally.

use sha2::{Digest, Sha256};

use crate::account::{Account, Family};
use crate::ledger::Ledger;
use crate::merkle::POSTINGS_A_PAGE;
use crate::posting::{Closing, Kind, Posting};
use crate::refusal::Refusal;

/// What an audit that found nothing wrong has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// Postings replayed.
    pub postings: usize,
    /// Lines replayed.
    pub lines: usize,
    /// Settlements whose pot identity was verified.
    pub settlements: usize,
    /// Sum of all balances including the contra account. Zero, or there is no report.
    pub residual: i128,
    /// Base units ever minted.
    pub minted: i128,
    /// Root of the journal's hash tree.
    pub root: [u8; 32],
}

/// Replays `ledger` and verifies: every posting sums to zero; epochs do not run backwards; no
/// account but the contra account ends a posting below zero; the supply cap; the pot identity of
/// every settlement; every balance; the sum of all balances; the root of the journal.
///
/// # Errors
/// The first violation met, as [`Refusal::Unbalanced`], [`Refusal::StaleEpoch`],
/// [`Refusal::UnknownAccount`], [`Refusal::Underflow`], [`Refusal::SupplyCapExceeded`],
/// [`Refusal::PotMismatch`], [`Refusal::AuditMismatch`] or [`Refusal::RootMismatch`].
pub fn audit(ledger: &Ledger) -> Result<AuditReport, Refusal> {
    let journal = ledger.journal();
    let mut replay = Replay::new(ledger);
    let mut closings = journal.closings().iter().peekable();
    let (mut leaves, mut page) = (Vec::new(), Vec::new());
    for (position, posting) in journal.postings().enumerate() {
        replay.apply(position, &posting)?;
        posting.append_bytes(&mut page);
        if (position + 1).is_multiple_of(POSTINGS_A_PAGE) || position + 1 == journal.len() {
            leaves.push(hash_leaf(&page));
            page.clear();
        }
        if posting.kind == Kind::Settle {
            let closing = closings.next().filter(|closing| closing.posting == position);
            let closing = closing.ok_or(Refusal::PotMismatch { expected: 1, got: 0 })?;
            replay.check_settlement(&posting, closing)?;
        }
    }
    if closings.next().is_some() {
        return Err(Refusal::PotMismatch { expected: 0, got: 1 });
    }
    replay.compare_with(ledger)?;
    let root = root_of(&leaves);
    if root != ledger.root() {
        return Err(Refusal::RootMismatch);
    }
    Ok(AuditReport {
        postings: journal.len(),
        lines: journal.line_count(),
        settlements: journal.closings().len(),
        residual: 0,
        minted: replay.minted(),
        root,
    })
}

/// Balances as the auditor sees them.
struct Replay {
    balances: [Vec<i128>; Family::ALL.len()],
    supply_cap: u128,
    epoch: u32,
}

impl Replay {
    fn new(ledger: &Ledger) -> Self {
        Self {
            balances: Family::ALL.map(|family| vec![0; ledger.chart().count(family)]),
            supply_cap: ledger.supply_cap().get(),
            epoch: 0,
        }
    }

    fn apply(&mut self, position: usize, posting: &Posting<'_>) -> Result<(), Refusal> {
        if posting.epoch < self.epoch {
            let (epoch, current) = (posting.epoch, self.epoch);
            return Err(Refusal::StaleEpoch { epoch, current });
        }
        self.epoch = posting.epoch;
        let mut sum: i128 = 0;
        for line in posting.lines {
            let balance = self.slot(line.account)?;
            let next = balance.checked_add(line.amount).ok_or(Refusal::Overflow)?;
            *balance = next;
            sum = sum.checked_add(line.amount).ok_or(Refusal::Overflow)?;
        }
        if sum != 0 {
            return Err(Refusal::Unbalanced { posting: position });
        }
        for line in posting.lines {
            let balance = *self.slot(line.account)?;
            if line.account.family() == Family::Mint {
                if balance < 0 && balance.unsigned_abs() > self.supply_cap {
                    return Err(Refusal::SupplyCapExceeded);
                }
            } else if balance < 0 {
                return Err(Refusal::Underflow { account: line.account });
            }
        }
        Ok(())
    }

    fn slot(&mut self, account: Account) -> Result<&mut i128, Refusal> {
        let family = &mut self.balances[account.family() as usize];
        family.get_mut(account.index() as usize).ok_or(Refusal::UnknownAccount { account })
    }

    /// Recomputes every figure of the closing line from the posting's own lines.
    fn check_settlement(
        &mut self,
        posting: &Posting<'_>,
        closing: &Closing,
    ) -> Result<(), Refusal> {
        let flows = Flows::of(posting)?;
        let stated = [
            (flows.given(Family::Pot), closing.pot),
            (flows.given(Family::Carry), closing.carry_in),
            (flows.given(Family::Treasury), closing.drawn),
            (flows.given(Family::Stake), closing.slashed),
            (flows.received(Family::Contributor), closing.paid),
            (flows.received(Family::Node), closing.nodes),
            (flows.received(Family::Burn), closing.burn),
            (flows.received(Family::Carry), closing.carry_out),
            (flows.received(Family::Treasury), closing.returned),
        ];
        for (got, expected) in stated {
            let expected = expected.get();
            if got != expected {
                return Err(Refusal::PotMismatch { expected, got });
            }
        }
        // Any other account on the posting would be money that the closing line hides.
        let explained = checked_sum(stated.into_iter().map(|(got, _)| got))?;
        let total = flows.total()?;
        if total != explained {
            return Err(Refusal::PotMismatch { expected: total, got: explained });
        }
        let emptied = *self.slot(Account::pot(closing.pot_index))?;
        if emptied != 0 {
            return Err(Refusal::PotMismatch { expected: 0, got: emptied.unsigned_abs() });
        }
        Ok(())
    }

    fn compare_with(&self, ledger: &Ledger) -> Result<(), Refusal> {
        let mut sum: i128 = 0;
        for (family, replayed) in Family::ALL.into_iter().zip(&self.balances) {
            for (index, (got, stated)) in replayed.iter().zip(ledger.family(family)).enumerate() {
                sum = sum.checked_add(*got).ok_or(Refusal::Overflow)?;
                let (expected, got) = (*stated, *got);
                if expected != got {
                    let account = Account::new(family, index as u32);
                    return Err(Refusal::AuditMismatch { account, expected, got });
                }
            }
        }
        if sum == 0 {
            return Ok(());
        }
        Err(Refusal::AuditMismatch { account: Account::MINT, expected: 0, got: sum })
    }

    fn minted(&self) -> i128 {
        self.balances[Family::Mint as usize].iter().map(|balance| -balance).sum()
    }
}

/// Money that each family gave to and received from one posting.
struct Flows {
    given: [u128; Family::ALL.len()],
    received: [u128; Family::ALL.len()],
}

impl Flows {
    fn of(posting: &Posting<'_>) -> Result<Self, Refusal> {
        let mut flows = Self { given: [0; Family::ALL.len()], received: [0; Family::ALL.len()] };
        for line in posting.lines {
            let side = if line.amount < 0 { &mut flows.given } else { &mut flows.received };
            let sum = &mut side[line.account.family() as usize];
            *sum = sum.checked_add(line.amount.unsigned_abs()).ok_or(Refusal::Overflow)?;
        }
        Ok(flows)
    }

    fn given(&self, family: Family) -> u128 {
        self.given[family as usize]
    }

    fn received(&self, family: Family) -> u128 {
        self.received[family as usize]
    }

    fn total(&self) -> Result<u128, Refusal> {
        checked_sum(self.given.into_iter().chain(self.received))
    }
}

fn checked_sum(parts: impl IntoIterator<Item = u128>) -> Result<u128, Refusal> {
    let mut parts = parts.into_iter();
    parts.try_fold(0u128, |sum, part| sum.checked_add(part)).ok_or(Refusal::Overflow)
}

fn hash_leaf(page: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(page);
    hasher.finalize().into()
}

/// Root by the definition: split at the largest power of two below the number of leaves.
fn root_of(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let middle = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(middle);
            let mut hasher = Sha256::new();
            hasher.update([1]);
            hasher.update(root_of(left));
            hasher.update(root_of(right));
            hasher.finalize().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Amount;
    use crate::posting::Line;

    /// Books with one settlement of 60 out of a pot: 40 to a contributor, 20 carried.
    fn books() -> Ledger {
        let mut ledger = Ledger::new(Amount::new(1_000)).unwrap();
        ledger.open(Family::Contributor, 2).unwrap();
        ledger.open(Family::Pot, 1).unwrap();
        let emit = [Line::new(Account::MINT, -60), Line::new(Account::pot(0), 60)];
        ledger.post(Kind::Emit, 0, &emit).unwrap();
        let settle = [
            Line::new(Account::pot(0), -60),
            Line::new(Account::contributor(1), 40),
            Line::new(Account::CARRY, 20),
        ];
        let posting = ledger.post(Kind::Settle, 0, &settle).unwrap();
        let (pot, paid, carry_out) = (Amount::new(60), Amount::new(40), Amount::new(20));
        ledger.close(Closing { posting, pot, paid, carry_out, ..Closing::default() });
        ledger
    }

    #[test]
    fn honest_books_pass() {
        let report = audit(&books()).unwrap();
        assert_eq!((report.postings, report.lines, report.settlements), (2, 5, 1));
        assert_eq!((report.residual, report.minted), (0, 60));
    }

    #[test]
    fn a_falsified_balance_is_found() {
        let mut ledger = books();
        ledger.falsify_balance(Account::contributor(0), 1);
        let account = Account::contributor(0);
        assert_eq!(audit(&ledger), Err(Refusal::AuditMismatch { account, expected: 1, got: 0 }));
    }

    #[test]
    fn a_falsified_line_is_found() {
        let mut ledger = books();
        ledger.journal_mut().line_mut(1).amount = 61;
        assert_eq!(audit(&ledger), Err(Refusal::Unbalanced { posting: 0 }));
    }

    #[test]
    fn a_rewritten_history_that_balances_is_found_by_its_root() {
        let mut ledger = books();
        // Swap who is paid, in journal and balances alike: only the root can tell.
        ledger.journal_mut().line_mut(3).account = Account::contributor(0);
        ledger.falsify_balance(Account::contributor(0), 40);
        ledger.falsify_balance(Account::contributor(1), 0);
        assert_eq!(audit(&ledger), Err(Refusal::RootMismatch));
    }

    #[test]
    fn a_false_closing_line_is_found() {
        let mut ledger = books();
        ledger.journal_mut().closing_mut(0).paid = Amount::new(41);
        assert_eq!(audit(&ledger), Err(Refusal::PotMismatch { expected: 41, got: 40 }));
        let mut ledger = books();
        ledger.journal_mut().closing_mut(0).posting = 0;
        assert_eq!(audit(&ledger), Err(Refusal::PotMismatch { expected: 1, got: 0 }));
    }

    #[test]
    fn a_settlement_that_leaves_money_in_the_pot_is_found() {
        let mut ledger = Ledger::new(Amount::new(1_000)).unwrap();
        ledger.open(Family::Contributor, 1).unwrap();
        ledger.open(Family::Pot, 1).unwrap();
        let emit = [Line::new(Account::MINT, -60), Line::new(Account::pot(0), 60)];
        ledger.post(Kind::Emit, 0, &emit).unwrap();
        let settle = [Line::new(Account::pot(0), -50), Line::new(Account::contributor(0), 50)];
        let posting = ledger.post(Kind::Settle, 0, &settle).unwrap();
        let (pot, paid) = (Amount::new(50), Amount::new(50));
        ledger.close(Closing { posting, pot, paid, ..Closing::default() });
        assert_eq!(audit(&ledger), Err(Refusal::PotMismatch { expected: 0, got: 10 }));
    }

    #[test]
    fn a_journal_that_runs_backwards_and_an_account_that_nobody_opened_are_found() {
        let mut ledger = books();
        *ledger.journal_mut().epoch_mut(0) = 1;
        assert_eq!(audit(&ledger), Err(Refusal::StaleEpoch { epoch: 0, current: 1 }));
        let mut ledger = books();
        let account = Account::contributor(2);
        ledger.journal_mut().line_mut(3).account = account;
        assert_eq!(audit(&ledger), Err(Refusal::UnknownAccount { account }));
    }

    #[test]
    fn an_overdraft_is_found_wherever_in_the_posting_it_was_given() {
        // The pot holds 60; it receives 10 on the first line and gives 90 on the last.
        let mut ledger = books();
        let journal = ledger.journal_mut();
        journal.line_mut(2).amount = 10;
        journal.line_mut(3).amount = 80;
        *journal.line_mut(4) = Line::new(Account::pot(0), -90);
        assert_eq!(audit(&ledger), Err(Refusal::Underflow { account: Account::pot(0) }));
    }

    #[test]
    fn an_overdrawn_account_and_a_broken_cap_are_found() {
        let mut ledger = books();
        ledger.journal_mut().line_mut(0).amount = -2_000;
        ledger.journal_mut().line_mut(1).amount = 2_000;
        assert_eq!(audit(&ledger), Err(Refusal::SupplyCapExceeded));
        let mut ledger = books();
        ledger.journal_mut().line_mut(0).amount = 60;
        ledger.journal_mut().line_mut(1).amount = -60;
        assert_eq!(audit(&ledger), Err(Refusal::Underflow { account: Account::pot(0) }));
    }
}
