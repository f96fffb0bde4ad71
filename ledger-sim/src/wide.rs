//! Products of 256 bits, for amounts of more than 64: what a product of two amounts is divided by
//! before it is an amount again.

const HALF: u128 = u64::MAX as u128;

/// `a b` as `(high, low)` with `a b = 2^128 high + low`; tuples of products compare as products.
pub fn product(a: u128, b: u128) -> (u128, u128) {
    let (a_high, a_low) = (a >> 64, a & HALF);
    let (b_high, b_low) = (b >> 64, b & HALF);
    let low = a_low * b_low;
    // Each sum is at most (2^64 - 1)^2 + 2^64 - 1, which fits.
    let middle = a_high * b_low + (low >> 64);
    let other = a_low * b_high + (middle & HALF);
    let high = a_high * b_high + (middle >> 64) + (other >> 64);
    (high, other << 64 | low & HALF)
}

/// Quotient and remainder of `2^128 high + low` by `divisor`; `None` where the quotient needs more
/// than 128 bits, or there is nothing to divide by.
pub fn divide(high: u128, low: u128, divisor: u128) -> Option<(u128, u128)> {
    if high == 0 {
        return Some((low.checked_div(divisor)?, low % divisor));
    }
    if high >= divisor {
        return None;
    }
    // One bit of the quotient at a time. The remainder may pass 2^128 before it is reduced: the
    // bit that is shifted out says so.
    let (mut remainder, mut quotient) = (high, low);
    for _ in 0..128 {
        let beyond = remainder >> 127 == 1;
        remainder = remainder << 1 | quotient >> 127;
        quotient <<= 1;
        if beyond || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    Some((quotient, remainder))
}

/// `floor(a b / divisor)` and `a b mod divisor`; `None` as for [`divide`].
pub fn product_over(a: u128, b: u128, divisor: u128) -> Option<(u128, u128)> {
    let (high, low) = product(a, b);
    divide(high, low, divisor)
}

#[cfg(test)]
mod tests {
    use super::{divide, product, product_over};
    use proptest::prelude::*;

    /// The product in base 2^16, as on paper: eight digits by eight, lowest first.
    fn on_paper(a: u128, b: u128) -> [u16; 16] {
        let digit = |value: u128, at: usize| (value >> (16 * at)) as u16;
        let mut sums = [0u64; 16];
        for i in 0..8 {
            for j in 0..8 {
                sums[i + j] += u64::from(digit(a, i)) * u64::from(digit(b, j));
            }
        }
        let mut carry = 0;
        sums.map(|sum| {
            let with = sum + carry;
            carry = with >> 16;
            with as u16
        })
    }

    fn joined(digits: &[u16]) -> u128 {
        digits.iter().rev().fold(0, |sum, digit| sum << 16 | u128::from(*digit))
    }

    /// Numbers of every length: a random one with a random number of bits cut off.
    fn any_length() -> impl Strategy<Value = u128> {
        (any::<u128>(), 0u32..128).prop_map(|(value, cut)| value >> cut)
    }

    #[test]
    fn by_hand() {
        let most = u128::MAX;
        // (2^128 - 1)^2 = 2^256 - 2^129 + 1 = 2^128 (2^128 - 2) + 1.
        assert_eq!(product(most, most), (most - 1, 1));
        assert_eq!(product_over(most, most, most), Some((most, 0)));
        // 10^27 x 10^27 / 3 x 10^18 = 10^36 / 3.
        let billion_tokens = 10u128.pow(27);
        let third = 10u128.pow(36) / 3;
        let over = product_over(billion_tokens, billion_tokens, 3 * 10u128.pow(18));
        assert_eq!(over, Some((third, 10u128.pow(18))));
        assert_eq!(divide(1, 0, 1), None);
        assert_eq!(divide(0, 1, 0), None);
        assert_eq!(divide(1, 0, 0), None);
    }

    proptest! {
        #[test]
        fn products_are_those_on_paper(a in any_length(), b in any_length()) {
            let (high, low) = product(a, b);
            let digits = on_paper(a, b);
            prop_assert_eq!((high, low), (joined(&digits[8..]), joined(&digits[..8])));
        }

        /// `a b + r` with `r < b` gives back `a` and `r`.
        #[test]
        fn division_undoes_a_product(a in any_length(), b in any_length(), r in any::<u128>()) {
            prop_assume!(b > 0);
            let r = r % b;
            let (high, low) = product(a, b);
            let (low, carries) = low.overflowing_add(r);
            let high = high + u128::from(carries);
            prop_assert_eq!(divide(high, low, b), Some((a, r)));
        }
    }
}
