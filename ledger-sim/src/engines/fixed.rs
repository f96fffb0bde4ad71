//! Amounts with a fraction of a fixed scale, for engines that keep what is less than a unit.

use crate::refusal::Refusal;
use crate::wide;

/// `units + parts / SCALE` with `parts < SCALE`, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fixed<const SCALE: u128> {
    pub units: u128,
    pub parts: u128,
}

impl<const SCALE: u128> Fixed<SCALE> {
    /// So many whole units.
    pub fn whole(units: u128) -> Self {
        Self { units, parts: 0 }
    }

    /// `floor((money SCALE + rest) / by) / SCALE` for a `rest` below `by`, and the new rest.
    pub fn quotient(money: u128, rest: u128, by: u128) -> Result<(Self, u128), Refusal> {
        let units = money.checked_div(by).ok_or(Refusal::Overflow)?;
        let (high, low) = wide::product(money % by, SCALE);
        let (low, carries) = low.overflowing_add(rest);
        let (parts, rest) =
            wide::divide(high + u128::from(carries), low, by).ok_or(Refusal::Overflow)?;
        // A divisor above the scale may find a whole unit in what was left of earlier money.
        let sum = Self::whole(units).plus(Self { units: parts / SCALE, parts: parts % SCALE })?;
        Ok((sum, rest))
    }

    /// `self + other`.
    pub fn plus(self, other: Self) -> Result<Self, Refusal> {
        let parts = self.parts + other.parts;
        let units = self.units.checked_add(other.units);
        let units = units.and_then(|units| units.checked_add(parts / SCALE));
        Ok(Self { units: units.ok_or(Refusal::Overflow)?, parts: parts % SCALE })
    }

    /// `self - other`, or [`Refusal::Overflow`] when that would be negative.
    pub fn minus(self, other: Self) -> Result<Self, Refusal> {
        let borrows = self.parts < other.parts;
        let units = self.units.checked_sub(other.units);
        let units = units.and_then(|units| units.checked_sub(u128::from(borrows)));
        let parts = self.parts + if borrows { SCALE } else { 0 } - other.parts;
        Ok(Self { units: units.ok_or(Refusal::Overflow)?, parts })
    }

    /// `self x count`.
    pub fn times(self, count: u128) -> Result<Self, Refusal> {
        let units = self.units.checked_mul(count).ok_or(Refusal::Overflow)?;
        let (carried, parts) =
            wide::product_over(self.parts, count, SCALE).ok_or(Refusal::Overflow)?;
        Self::whole(units).plus(Self { units: carried, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::Fixed;
    use crate::refusal::Refusal;
    use proptest::prelude::*;

    type Hundredths = Fixed<100>;

    /// A number of hundredths.
    fn of(hundredths: u128) -> Hundredths {
        Fixed { units: hundredths / 100, parts: hundredths % 100 }
    }

    #[test]
    fn refuses_what_is_negative_or_too_large() {
        assert_eq!(of(100).minus(of(101)), Err(Refusal::Overflow));
        assert_eq!(Hundredths::whole(u128::MAX).plus(of(100)), Err(Refusal::Overflow));
        assert_eq!(Hundredths::whole(u128::MAX).times(2), Err(Refusal::Overflow));
        assert_eq!(Hundredths::quotient(1, 0, 0), Err(Refusal::Overflow));
        // 10^27 / 7 x 7 of 2^64-ths: what is cut off is less than seven parts.
        let (seventh, rest) = Fixed::<{ 1 << 64 }>::quotient(10u128.pow(27), 0, 7).unwrap();
        let back = seventh.times(7).unwrap();
        assert_eq!(back.plus(Fixed { units: 0, parts: rest }), Ok(Fixed::whole(10u128.pow(27))));
    }

    proptest! {
        /// Against whole hundredths.
        #[test]
        fn is_arithmetic_of_parts(
            a in 0u128..1 << 100, b in 0u128..1 << 100, by in 1u128..1 << 20
        ) {
            prop_assert_eq!(of(a).plus(of(b)), Ok(of(a + b)));
            prop_assert_eq!(of(a.max(b)).minus(of(a.min(b))), Ok(of(a.abs_diff(b))));
            prop_assert_eq!(of(a).times(by), Ok(of(a * by)));
            let rest = b % by;
            let all = a * 100 + rest;
            prop_assert_eq!(Hundredths::quotient(a, rest, by), Ok((of(all / by), all % by)));
        }
    }
}
