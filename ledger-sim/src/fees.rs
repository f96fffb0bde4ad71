//! From a query to a fee, and from a fee to its parties. Every level closes exactly.

use crate::money::{Amount, Ppb, split};
use crate::refusal::Refusal;

/// Price of a query by its tokens, in base units for a thousand of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPrices {
    /// For a thousand tokens read.
    pub input: Amount,
    /// For a thousand tokens written.
    pub output: Amount,
}

impl TokenPrices {
    /// `floor((input tokens x input price + output tokens x output price) / 1000)`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn fee(&self, input_tokens: u64, output_tokens: u64) -> Result<Amount, Refusal> {
        self.input.times(input_tokens)?.plus(self.output.times(output_tokens)?)?.scaled(1, 1_000)
    }
}

/// How a fee is shared: the platform's cut first, then the net fee between three parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeSplit {
    platform: Ppb,
    parties: [Ppb; 3],
}

/// A fee by party; the four sum to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeShares {
    /// Platform.
    pub platform: Amount,
    /// Owner of the model.
    pub model: Amount,
    /// Stakers.
    pub stakers: Amount,
    /// Contributors: the pot of a payout rule.
    pub contributors: Amount,
}

impl FeeSplit {
    /// A platform cut of the fee, and shares of the net fee that sum to one.
    ///
    /// # Errors
    /// [`Refusal::SplitNotUnity`].
    pub fn new(
        platform: Ppb,
        model: Ppb,
        stakers: Ppb,
        contributors: Ppb,
    ) -> Result<Self, Refusal> {
        let parties = [model, stakers, contributors];
        split(Amount::ZERO, &parties)?;
        Ok(Self { platform, parties })
    }

    /// Shares `fee`: the cut is a floor, the net fee is split by largest remainder.
    ///
    /// # Errors
    /// Those of [`split`].
    pub fn share(&self, fee: Amount) -> Result<FeeShares, Refusal> {
        let platform = self.platform.of(fee);
        let parts = split(fee.minus(platform)?, &self.parties)?;
        Ok(FeeShares { platform, model: parts[0], stakers: parts[1], contributors: parts[2] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> FeeSplit {
        let percent = |percent: u64| Ppb::new(percent * 10_000_000).unwrap();
        FeeSplit::new(percent(10), percent(20), percent(30), percent(50)).unwrap()
    }

    /// G32, a token of 1e9 base units.
    #[test]
    fn a_query_by_hand() {
        let prices = TokenPrices { input: Amount::new(2_000_000), output: Amount::new(6_000_000) };
        // 1.2 x 2,000,000 + .3 x 6,000,000.
        let fee = prices.fee(1_200, 300).unwrap();
        assert_eq!(fee, Amount::new(4_200_000));
        let shares = example().share(fee).unwrap();
        assert_eq!(shares.platform, Amount::new(420_000));
        assert_eq!(shares.model, Amount::new(756_000));
        assert_eq!(shares.stakers, Amount::new(1_134_000));
        assert_eq!(shares.contributors, Amount::new(1_890_000));
    }

    /// G32 again, of eighteen decimals: every amount is a billion times as large.
    #[test]
    fn a_query_of_eighteen_decimals_by_hand() {
        let tokens = |millions: u128| Amount::new(millions * 10u128.pow(15));
        let prices = TokenPrices { input: tokens(2), output: tokens(6) };
        let fee = prices.fee(1_200, 300).unwrap();
        assert_eq!(fee, Amount::new(42 * 10u128.pow(14)));
        // A fee of all tokens: 10^27 units, whose shares have up to 89 bits.
        let shares = example().share(Amount::new(10u128.pow(27))).unwrap();
        let percent = 10u128.pow(25);
        assert_eq!(shares.platform, Amount::new(10 * percent));
        // 20, 30 and 50 of the other 90 %.
        assert_eq!(shares.model, Amount::new(18 * percent));
        assert_eq!(shares.stakers, Amount::new(27 * percent));
        assert_eq!(shares.contributors, Amount::new(45 * percent));
    }

    #[test]
    fn limits() {
        let prices = TokenPrices { input: Amount::new(u128::MAX), output: Amount::ZERO };
        assert_eq!(prices.fee(u64::MAX, 0), Err(Refusal::Overflow));
        let refusal = FeeSplit::new(Ppb::ZERO, Ppb::ONE, Ppb::ONE, Ppb::ZERO).unwrap_err();
        assert_eq!(refusal, Refusal::SplitNotUnity { sum: 2_000_000_000 });
    }

    proptest! {
        #[test]
        fn every_fee_closes(fee in any::<u128>()) {
            let shares = example().share(Amount::new(fee)).unwrap();
            let parts = [shares.platform, shares.model, shares.stakers, shares.contributors];
            prop_assert_eq!(Amount::total(parts), Ok(Amount::new(fee)));
        }
    }
}
