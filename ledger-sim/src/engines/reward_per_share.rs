//! Exact reward per share.
//!
//! Scale `S = 2^64`, global index `A`, residue `r`. A pot `P` over total weight `W`:
//! `x = P S + r`, `d = floor(x / W)`, `A += d`, `r = x - d W`. An account of weight `w` and
//! checkpoint `a` holds `c + w (A - a)` scaled units. At every instant
//!
//! `S sum P = S sum paid + sum over accounts of (c + w (A - a)) + r`
//!
//! exactly: nothing is lost. Less than one unit an account waits, and the residue is below the
//! weight at the last pot.

use super::fixed::Fixed;
use super::unknown;
use crate::money::Amount;
use crate::refusal::Refusal;

/// Units and 2^64-ths of a unit: the whole units may be of any width, so that pots may be too.
type Scaled = Fixed<{ 1 << 64 }>;

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    weight: u64,
    checkpoint: Scaled,
    scaled: Scaled,
}

/// Pots shared by weight among any number of accounts, in constant time for each pot.
#[derive(Clone, Debug)]
pub struct RewardPerShare {
    index: Scaled,
    residue: u128,
    total_weight: u64,
    deposited: Amount,
    paid: Amount,
    accounts: Vec<Account>,
}

impl RewardPerShare {
    /// `accounts` accounts without weight.
    pub fn new(accounts: usize) -> Self {
        Self {
            index: Scaled::default(),
            residue: 0,
            total_weight: 0,
            deposited: Amount::ZERO,
            paid: Amount::ZERO,
            accounts: vec![Account::default(); accounts],
        }
    }

    /// Shares `pot` among all accounts by weight.
    ///
    /// # Errors
    /// [`Refusal::ZeroTotalWeight`] when no account has weight: the caller decides what becomes of
    /// the pot, it is never dropped. [`Refusal::Overflow`] when pots sum to 2^127 or more.
    pub fn deposit(&mut self, pot: Amount) -> Result<(), Refusal> {
        if self.total_weight == 0 {
            return Err(Refusal::ZeroTotalWeight);
        }
        let deposited = self.deposited.plus(pot)?;
        deposited.signed()?;
        let weight = u128::from(self.total_weight);
        let (step, residue) = Scaled::quotient(pot.get(), self.residue, weight)?;
        self.index = self.index.plus(step)?;
        self.residue = residue;
        self.deposited = deposited;
        Ok(())
    }

    /// Gives account `index` another weight, after crediting what it has earned so far.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an account that does not exist, [`Refusal::Overflow`] when
    /// weights would sum to 2^63 or more.
    pub fn set_weight(&mut self, index: usize, weight: u64) -> Result<(), Refusal> {
        self.touch(index)?;
        let account = &mut self.accounts[index];
        let total = (self.total_weight - account.weight).checked_add(weight);
        let total = total.filter(|total| *total < 1 << 63).ok_or(Refusal::Overflow)?;
        self.total_weight = total;
        account.weight = weight;
        Ok(())
    }

    /// Pays out the whole units of account `index`.
    ///
    /// # Errors
    /// [`Refusal::UnknownAccount`] for an account that does not exist.
    pub fn withdraw(&mut self, index: usize) -> Result<Amount, Refusal> {
        self.touch(index)?;
        let account = &mut self.accounts[index];
        let units = Amount::new(std::mem::take(&mut account.scaled.units));
        self.paid = self.paid.plus(units)?;
        Ok(units)
    }

    /// Credits what account `index` has earned since it was last touched.
    fn touch(&mut self, index: usize) -> Result<(), Refusal> {
        let account = self.accounts.get_mut(index).ok_or(unknown(index))?;
        let growth = self.index.minus(account.checkpoint)?;
        account.scaled = account.scaled.plus(growth.times(u128::from(account.weight))?)?;
        account.checkpoint = self.index;
        Ok(())
    }

    /// Money of all pots so far.
    pub fn deposited(&self) -> Amount {
        self.deposited
    }

    /// Money withdrawn so far.
    pub fn paid(&self) -> Amount {
        self.paid
    }

    /// Verifies the identity of the module's documentation.
    ///
    /// # Errors
    /// [`Refusal::PotMismatch`] with both sides in whole units, what is less than one counting as
    /// one.
    pub fn verify(&self) -> Result<(), Refusal> {
        let mut got = Scaled { units: self.paid.get(), parts: self.residue };
        for account in &self.accounts {
            let growth = self.index.minus(account.checkpoint)?;
            let owed = growth.times(u128::from(account.weight))?;
            got = got.plus(account.scaled)?.plus(owed)?;
        }
        let expected = self.deposited.get();
        if got == Scaled::whole(expected) {
            return Ok(());
        }
        Err(Refusal::PotMismatch { expected, got: got.units + u128::from(got.parts > 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Streams};

    #[test]
    fn two_accounts_by_hand() {
        let mut engine = RewardPerShare::new(2);
        assert_eq!(engine.deposit(Amount::new(1)), Err(Refusal::ZeroTotalWeight));
        engine.set_weight(0, 100).unwrap();
        engine.deposit(Amount::new(60)).unwrap();
        engine.set_weight(1, 50).unwrap();
        engine.deposit(Amount::new(90)).unwrap();
        // 60 + 90 x 2/3 = 120 and 30. 60/100 has no finite binary expansion: the last unit of the
        // first account waits in the scaled balance and the residue until another pot.
        assert_eq!(engine.withdraw(0), Ok(Amount::new(119)));
        assert_eq!(engine.withdraw(1), Ok(Amount::new(30)));
        engine.verify().unwrap();
    }

    /// G35: 20 accounts, 20,000 random operations, the identity after each.
    #[test]
    fn nothing_is_lost_in_random_operation() {
        let streams = Streams::new(35, 0);
        let mut engine = RewardPerShare::new(20);
        engine.set_weight(0, 1).unwrap();
        for step in 0..20_000 {
            let words = streams.words(Purpose::Design, 0, 0, step);
            let index = words[1] as usize % 20;
            match words[0] % 3 {
                // Account 0 keeps weight, so that no pot is refused.
                0 => engine.set_weight(index, u64::from(words[2]) + u64::from(index == 0)).unwrap(),
                1 => engine.deposit(Amount::new(u128::from(words[2]))).unwrap(),
                _ => drop(engine.withdraw(index).unwrap()),
            }
            engine.verify().unwrap();
        }
        let waiting = (0..20).map(|i| engine.withdraw(i).unwrap().get()).sum::<u128>();
        engine.verify().unwrap();
        assert!(waiting > 0);
        // After everybody has withdrawn less than a unit an account, and one of residue, waits.
        assert!(engine.deposited().minus(engine.paid()).unwrap().get() <= 21);
    }

    #[test]
    fn limits_are_refused() {
        let mut engine = RewardPerShare::new(1);
        assert_eq!(engine.set_weight(1, 1), Err(unknown(1)));
        assert_eq!(engine.set_weight(0, 1 << 63), Err(Refusal::Overflow));
        engine.set_weight(0, 1).unwrap();
        assert_eq!(engine.deposit(Amount::new(1 << 127)), Err(Refusal::Overflow));
        engine.deposit(Amount::new((1 << 127) - 1)).unwrap();
        engine.verify().unwrap();
        assert_eq!(engine.withdraw(0), Ok(Amount::new((1 << 127) - 1)));
        assert_eq!(engine.deposit(Amount::new(1)), Err(Refusal::Overflow));
    }

    /// Pots of 10^27 units, a billion tokens of eighteen decimals, over weights 1 and 2 and 4.
    #[test]
    fn pots_of_eighteen_decimals() {
        let pot = Amount::new(10u128.pow(27));
        let mut engine = RewardPerShare::new(3);
        for (account, weight) in [(0, 1), (1, 2), (2, 4)] {
            engine.set_weight(account, weight).unwrap();
        }
        engine.deposit(pot).unwrap();
        engine.deposit(pot).unwrap();
        engine.verify().unwrap();
        // 2 x 10^27 / 7 = 285714285714285714285714285.71..., and twice and four times that.
        let seventh = 2 * 10u128.pow(27) / 7;
        assert_eq!(engine.withdraw(0), Ok(Amount::new(seventh)));
        assert_eq!(engine.withdraw(1), Ok(Amount::new(2 * 2 * 10u128.pow(27) / 7)));
        assert_eq!(engine.withdraw(2), Ok(Amount::new(4 * 2 * 10u128.pow(27) / 7)));
        engine.verify().unwrap();
    }
}
