//! Integer money: amounts in base units, rates in parts per billion, and the scale of a token.

use serde::{Deserialize, Serialize};

use crate::apportion::{Ties, apportion};
use crate::refusal::Refusal;

/// Parts per billion that make a whole.
pub const BILLION: u64 = 1_000_000_000;

/// An amount of money in base units. Never negative, never a float, never wrapping.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `base_units`.
    pub const fn new(base_units: u64) -> Self {
        Self(base_units)
    }

    /// The number of base units.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether there is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `self + other`, or [`Refusal::Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, Refusal> {
        self.0.checked_add(other.0).map(Self).ok_or(Refusal::Overflow)
    }

    /// `self - other`, or [`Refusal::Overflow`] when that would be negative.
    pub fn minus(self, other: Self) -> Result<Self, Refusal> {
        self.0.checked_sub(other.0).map(Self).ok_or(Refusal::Overflow)
    }

    /// The excess of `self` over `other`, zero when there is none.
    pub fn excess_over(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Sum of `amounts`, or [`Refusal::Overflow`].
    pub fn total(amounts: impl IntoIterator<Item = Self>) -> Result<Self, Refusal> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// `floor(self * numerator / denominator)` through a 128-bit product.
    ///
    /// Refuses a zero denominator and a quotient that does not fit with [`Refusal::Overflow`].
    pub fn scaled(self, numerator: u64, denominator: u64) -> Result<Self, Refusal> {
        let product = u128::from(self.0) * u128::from(numerator);
        let quotient = product.checked_div(u128::from(denominator)).ok_or(Refusal::Overflow)?;
        u64::try_from(quotient).map(Self).map_err(|_| Refusal::Overflow)
    }

    /// The same amount as a signed number, for a posting.
    pub fn signed(self) -> Result<i64, Refusal> {
        i64::try_from(self.0).map_err(|_| Refusal::Overflow)
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A rate in parts per billion, between 0 and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Ppb(u32);

impl Ppb {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(1_000_000_000);

    /// A rate of `parts` per billion; more than a billion is [`Refusal::SplitNotUnity`].
    pub fn new(parts: u64) -> Result<Self, Refusal> {
        match u32::try_from(parts) {
            Ok(small) if parts <= BILLION => Ok(Self(small)),
            _ => Err(Refusal::SplitNotUnity { sum: parts }),
        }
    }

    /// The parts per billion.
    pub const fn get(self) -> u64 {
        self.0 as u64
    }

    /// `floor(amount * rate)`; never more than `amount`.
    pub fn of(self, amount: Amount) -> Amount {
        let product = u128::from(amount.0) * u128::from(self.0);
        // The rate is at most one, so the quotient is at most the amount and fits.
        Amount((product / u128::from(BILLION)) as u64)
    }
}

impl TryFrom<u64> for Ppb {
    type Error = Refusal;
    fn try_from(parts: u64) -> Result<Self, Refusal> {
        Self::new(parts)
    }
}

impl From<Ppb> for u64 {
    fn from(rate: Ppb) -> Self {
        rate.get()
    }
}

/// Splits `amount` by rates that must sum to one, exactly, by largest remainder in list order.
///
/// # Errors
/// [`Refusal::SplitNotUnity`] when the rates do not sum to a billion.
pub fn split(amount: Amount, rates: &[Ppb]) -> Result<Vec<Amount>, Refusal> {
    let weights: Vec<u64> = rates.iter().map(|rate| rate.get()).collect();
    let sum: u64 = weights.iter().sum();
    if sum != BILLION {
        return Err(Refusal::SplitNotUnity { sum });
    }
    apportion(amount, &weights, &Ties::Index)
}

/// How many base units make a token, checked against the supply when a scenario is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    base_units_per_token: u64,
    supply: Amount,
}

impl Scale {
    /// A token of `10^decimals` base units and a supply of `supply_tokens` tokens.
    ///
    /// # Errors
    /// [`Refusal::ScaleTooSmall`] unless supply x scale stays below 2^63, which is what lets every
    /// balance be a signed 64-bit number and every product a 128-bit one.
    pub fn new(supply_tokens: u64, decimals: u32) -> Result<Self, Refusal> {
        let base_units_per_token = 10u64.checked_pow(decimals).ok_or(Refusal::ScaleTooSmall)?;
        let supply =
            supply_tokens.checked_mul(base_units_per_token).ok_or(Refusal::ScaleTooSmall)?;
        if supply >= 1 << 63 {
            return Err(Refusal::ScaleTooSmall);
        }
        Ok(Self { base_units_per_token, supply: Amount(supply) })
    }

    /// Base units of one token.
    pub const fn base_units_per_token(self) -> u64 {
        self.base_units_per_token
    }

    /// The whole supply in base units.
    pub const fn supply(self) -> Amount {
        self.supply
    }

    /// `tokens` whole tokens as an amount.
    pub fn tokens(self, tokens: u64) -> Result<Amount, Refusal> {
        Amount(tokens).scaled(self.base_units_per_token, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_refuses_at_both_ends() {
        let most = Amount::new(u64::MAX);
        assert_eq!(most.plus(Amount::new(1)), Err(Refusal::Overflow));
        assert_eq!(Amount::ZERO.minus(Amount::new(1)), Err(Refusal::Overflow));
        assert_eq!(most.signed(), Err(Refusal::Overflow));
        assert_eq!(most.scaled(2, 1), Err(Refusal::Overflow));
        assert_eq!(most.scaled(1, 0), Err(Refusal::Overflow));
        // The product needs 128 bits although the quotient does not: (2^64-1)*3/3.
        assert_eq!(most.scaled(3, 3), Ok(most));
        assert_eq!(Amount::total([most, Amount::new(1)]), Err(Refusal::Overflow));
    }

    #[test]
    fn scale_fits_a_billion_tokens_with_nine_decimals_and_not_eighteen() {
        // 10^9 tokens x 10^9 = 10^18 < 2^63 = 9.22e18.
        assert_eq!(Scale::new(BILLION, 9).unwrap().supply(), Amount::new(BILLION * BILLION));
        assert_eq!(Scale::new(BILLION, 18), Err(Refusal::ScaleTooSmall));
        assert_eq!(Scale::new(1, 20), Err(Refusal::ScaleTooSmall));
        // 2^63 base units is the first supply that is refused.
        assert_eq!(Scale::new(1 << 63, 0), Err(Refusal::ScaleTooSmall));
        assert!(Scale::new((1 << 63) - 1, 0).is_ok());
        assert_eq!(Scale::new(5, 2).unwrap().tokens(3), Ok(Amount::new(300)));
    }

    #[test]
    fn rates_are_floors_and_splits_close() {
        let tenth = Ppb::new(100_000_000).unwrap();
        // floor(19 / 10) = 1.
        assert_eq!(tenth.of(Amount::new(19)), Amount::new(1));
        assert_eq!(Ppb::ONE.of(Amount::new(u64::MAX)), Amount::new(u64::MAX));
        assert_eq!(Ppb::new(BILLION + 1), Err(Refusal::SplitNotUnity { sum: BILLION + 1 }));
        assert_eq!(
            split(Amount::new(5), &[tenth, tenth]),
            Err(Refusal::SplitNotUnity { sum: 200_000_000 })
        );
        // 7 x (.1, .9) = .7, 6.3: floors 0 and 6, and .7 is the larger remainder.
        let nine_tenths = Ppb::new(900_000_000).unwrap();
        assert_eq!(
            split(Amount::new(7), &[tenth, nine_tenths]),
            Ok(vec![Amount::new(1), Amount::new(6)])
        );
    }

    #[test]
    fn a_rate_above_one_cannot_be_read_from_a_file() {
        assert!(serde_json::from_str::<Ppb>("1000000001").is_err());
        assert_eq!(serde_json::from_str::<Ppb>("1000000000").unwrap(), Ppb::ONE);
        assert_eq!(serde_json::to_string(&Ppb::ONE).unwrap(), "1000000000");
    }
}
