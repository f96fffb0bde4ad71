//! Integer money: amounts in base units, rates in parts per billion, and the scale of a token.

use serde::{Deserialize, Serialize};

use crate::apportion::{Ties, apportion};
use crate::refusal::Refusal;
use crate::wide;

/// Parts per billion that make a whole.
pub const BILLION: u64 = 1_000_000_000;

/// An amount of money in base units. Never negative, never a float, never wrapping.
///
/// 128 bits hold a billion tokens of eighteen decimals, `10^27`, as well as anything smaller;
/// where money is split, 64-bit arithmetic does the work wherever what is split fits it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Amount(u128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount of `base_units`.
    pub const fn new(base_units: u128) -> Self {
        Self(base_units)
    }

    /// The number of base units.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// The number of base units where 64 bits hold it.
    pub fn narrow(self) -> Option<u64> {
        u64::try_from(self.0).ok()
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

    /// `self * count`, or [`Refusal::Overflow`].
    pub fn times(self, count: u64) -> Result<Self, Refusal> {
        self.0.checked_mul(u128::from(count)).map(Self).ok_or(Refusal::Overflow)
    }

    /// `floor(self * numerator / denominator)` through a 256-bit product.
    ///
    /// Refuses a zero denominator and a quotient that does not fit with [`Refusal::Overflow`].
    pub fn scaled(self, numerator: u128, denominator: u128) -> Result<Self, Refusal> {
        let (quotient, _) =
            wide::product_over(self.0, numerator, denominator).ok_or(Refusal::Overflow)?;
        Ok(Self(quotient))
    }

    /// The same amount as a signed number, for a posting.
    pub fn signed(self) -> Result<i128, Refusal> {
        i128::try_from(self.0).map_err(|_| Refusal::Overflow)
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

    /// What is missing to the whole.
    pub const fn complement(self) -> Self {
        Self(Self::ONE.0 - self.0)
    }

    /// `floor(amount * rate)`; never more than `amount`.
    pub fn of(self, amount: Amount) -> Amount {
        let (billion, rate) = (u128::from(BILLION), u128::from(self.0));
        // Billions first, then what is left of them: neither product passes the amount.
        Amount(amount.0 / billion * rate + amount.0 % billion * rate / billion)
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

/// Base units that no supply reaches. Balances are signed numbers of 128 bits; seven of them are
/// kept free, so that the doubles and the few sums that rules form of amounts fit as well.
pub const LARGEST_SUPPLY: u128 = 1 << 120;

/// How many base units make a token, checked against the supply when a scenario is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    base_units_per_token: u128,
    supply: Amount,
}

impl Scale {
    /// A token of `10^decimals` base units and a supply of `supply_tokens` tokens.
    ///
    /// # Errors
    /// [`Refusal::ScaleTooSmall`] unless supply x scale stays below [`LARGEST_SUPPLY`].
    pub fn new(supply_tokens: u128, decimals: u32) -> Result<Self, Refusal> {
        let base_units_per_token = 10u128.checked_pow(decimals).ok_or(Refusal::ScaleTooSmall)?;
        let supply = supply_tokens.checked_mul(base_units_per_token);
        let supply = supply.filter(|supply| *supply < LARGEST_SUPPLY);
        let supply = Amount(supply.ok_or(Refusal::ScaleTooSmall)?);
        Ok(Self { base_units_per_token, supply })
    }

    /// Base units of one token.
    pub const fn base_units_per_token(self) -> u128 {
        self.base_units_per_token
    }

    /// `amount` in tokens, for reports: this number is no money.
    pub fn in_tokens(self, amount: Amount) -> f64 {
        amount.0 as f64 / self.base_units_per_token as f64
    }

    /// The whole supply in base units.
    pub const fn supply(self) -> Amount {
        self.supply
    }

    /// `tokens` whole tokens as an amount.
    pub fn tokens(self, tokens: u64) -> Result<Amount, Refusal> {
        Amount(self.base_units_per_token).times(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_refuses_at_both_ends() {
        let most = Amount::new(u128::MAX);
        assert_eq!(most.plus(Amount::new(1)), Err(Refusal::Overflow));
        assert_eq!(Amount::ZERO.minus(Amount::new(1)), Err(Refusal::Overflow));
        assert_eq!(most.signed(), Err(Refusal::Overflow));
        assert_eq!(most.scaled(2, 1), Err(Refusal::Overflow));
        assert_eq!(most.times(2), Err(Refusal::Overflow));
        assert_eq!(most.scaled(1, 0), Err(Refusal::Overflow));
        // The product needs 256 bits although the quotient does not: (2^128-1)*3/3.
        assert_eq!(most.scaled(3, 3), Ok(most));
        assert_eq!(Amount::total([most, Amount::new(1)]), Err(Refusal::Overflow));
        assert_eq!(Amount::new(1 << 64).narrow(), None);
        assert_eq!(Amount::new((1 << 64) - 1).narrow(), Some(u64::MAX));
    }

    #[test]
    fn scale_fits_a_billion_tokens_with_eighteen_decimals() {
        let billion = u128::from(BILLION);
        assert_eq!(Scale::new(billion, 9).unwrap().supply(), Amount::new(10u128.pow(18)));
        assert_eq!(Scale::new(billion, 18).unwrap().supply(), Amount::new(10u128.pow(27)));
        assert_eq!(Scale::new(1, 39), Err(Refusal::ScaleTooSmall));
        // 2^120 base units is the first supply that is refused: 1329 x 10^15 tokens x 10^18.
        assert_eq!(Scale::new(1 << 120, 0), Err(Refusal::ScaleTooSmall));
        assert!(Scale::new((1 << 120) - 1, 0).is_ok());
        assert!(Scale::new(1_329_227_995_784_915_872, 18).is_ok());
        assert_eq!(Scale::new(1_329_227_995_784_915_873, 18), Err(Refusal::ScaleTooSmall));
        assert_eq!(Scale::new(u128::MAX, 1), Err(Refusal::ScaleTooSmall));
        assert_eq!(Scale::new(5, 2).unwrap().tokens(3), Ok(Amount::new(300)));
    }

    #[test]
    fn rates_are_floors_and_splits_close() {
        let tenth = Ppb::new(100_000_000).unwrap();
        // floor(19 / 10) = 1.
        assert_eq!(tenth.of(Amount::new(19)), Amount::new(1));
        assert_eq!(Ppb::ONE.of(Amount::new(u128::MAX)), Amount::new(u128::MAX));
        // floor(.1 x (10^27 + 9)) = 10^26: more than 64 bits, and a product of more than 128.
        assert_eq!(tenth.of(Amount::new(10u128.pow(27) + 9)), Amount::new(10u128.pow(26)));
        assert_eq!(tenth.complement(), Ppb::new(900_000_000).unwrap());
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
    fn an_amount_of_eighteen_decimals_goes_through_a_file_whole() {
        let amount = Amount::new(10u128.pow(27) + 1);
        let text = serde_json::to_string(&amount).unwrap();
        assert_eq!(text, "1000000000000000000000000001");
        assert_eq!(serde_json::from_str::<Amount>(&text).unwrap(), amount);
    }

    #[test]
    fn a_rate_above_one_cannot_be_read_from_a_file() {
        assert!(serde_json::from_str::<Ppb>("1000000001").is_err());
        assert_eq!(serde_json::from_str::<Ppb>("1000000000").unwrap(), Ppb::ONE);
        assert_eq!(serde_json::to_string(&Ppb::ONE).unwrap(), "1000000000");
    }
}
