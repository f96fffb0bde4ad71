//! Numbers with units. Money is read digit by digit, so that no float ever holds it.

use crate::money::{Amount, BILLION, LARGEST_SUPPLY, Ppb, Scale};
use crate::wide;

/// Base units of a dollar in the stable ledger: a millionth of a dollar each.
pub const DOLLAR: u128 = 1_000_000;

/// Money in one of the two currencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Money {
    /// Base units of the token.
    Tokens(Amount),
    /// Millionths of a dollar.
    Dollars(Amount),
}

/// A number and the word behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// The number as it is written, underscores and commas left out.
    pub digits: String,
    /// The unit; empty where none is given.
    pub unit: String,
}

impl Quantity {
    /// Splits `10 %`, `1_000 tokens`, `0.2 USD`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_digit = |letter: char| letter.is_ascii_digit() || "+-._eE".contains(letter);
        let end = text.find(|letter| !is_digit(letter)).unwrap_or(text.len());
        // An `e` that begins the unit is not part of the number.
        let digits = text[..end].trim_end_matches(['e', 'E']);
        let unit = text[digits.len()..].trim().to_owned();
        let digits: String = digits.chars().filter(|letter| *letter != '_').collect();
        digits.parse::<f64>().ok().filter(|value| value.is_finite())?;
        Some(Self { digits, unit })
    }

    /// The number as a float, for what is not money.
    pub fn number(&self) -> f64 {
        self.digits.parse().unwrap_or(f64::NAN)
    }

    /// An amount of money in `tokens`, `base-units` or `USD`, of which there can be so much.
    pub fn money(&self, scale: Scale) -> Option<Money> {
        let read =
            |unit| decimal(&self.digits, unit).filter(|amount| amount.get() < LARGEST_SUPPLY);
        match self.unit.as_str() {
            "token" | "tokens" => read(scale.base_units_per_token()).map(Money::Tokens),
            "base-unit" | "base-units" => read(1).map(Money::Tokens),
            "USD" => read(DOLLAR).map(Money::Dollars),
            _ => None,
        }
    }

    /// A rate in `%`, `ppb` or without a unit.
    pub fn rate(&self) -> Option<Ppb> {
        let whole = match self.unit.as_str() {
            "%" => u128::from(BILLION / 100),
            "ppb" => 1,
            "" => u128::from(BILLION),
            _ => return None,
        };
        Ppb::new(decimal(&self.digits, whole)?.narrow()?).ok()
    }

    /// A time in days, from `days`, `weeks`, `months` (30 days) or `years` (365 days).
    pub fn days(&self) -> Option<f64> {
        let days = match self.unit.as_str() {
            "day" | "days" => 1.0,
            "week" | "weeks" => 7.0,
            "month" | "months" => 30.0,
            "year" | "years" => 365.0,
            _ => return None,
        };
        Some(self.number() * days)
    }
}

/// `digits x unit` for a decimal numeral, exactly; `None` for a negative one, one that is finer
/// than a unit, or one that does not fit.
pub fn decimal(digits: &str, unit: u128) -> Option<Amount> {
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let all: u128 = match format!("{whole}{fraction}").as_str() {
        "" => return None,
        all => all.parse().ok()?,
    };
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10u128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 {
        return all.checked_mul(unit)?.checked_mul(power).map(Amount::new);
    }
    let (units, finer) = wide::product_over(all, unit, power)?;
    (finer == 0).then(|| Amount::new(units))
}

#[cfg(test)]
mod tests {
    use super::{DOLLAR, Money, Quantity, decimal};
    use crate::money::{Amount, Ppb, Scale};

    #[test]
    fn numerals_become_integers_digit_by_digit() {
        // 0.1 + 0.2 is no float's 0.3, but 0.3 tokens of 10^9 units are exactly 3 x 10^8.
        assert_eq!(decimal("0.3", 1_000_000_000), Some(Amount::new(300_000_000)));
        assert_eq!(decimal("1e-9", 1_000_000_000), Some(Amount::new(1)));
        assert_eq!(decimal("1.50e3", 1), Some(Amount::new(1_500)));
        assert_eq!(decimal("0.5", 1), None);
        assert_eq!(decimal("-1", 1), None);
        assert_eq!(
            decimal("99999999999999999999", 1),
            Some(Amount::new(99_999_999_999_999_999_999))
        );
        // A billion tokens and the least part of one, of eighteen decimals.
        let token = 10u128.pow(18);
        let amount = Amount::new(10u128.pow(27) + 1);
        assert_eq!(decimal("1000000000.000000000000000001", token), Some(amount));
        assert_eq!(decimal("1e39", 1), None);
    }

    #[test]
    fn units_say_what_a_number_is() {
        let scale = Scale::new(1_000, 9).unwrap();
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!(read("0.2 USD").money(scale), Some(Money::Dollars(Amount::new(DOLLAR / 5))));
        let tokens = Money::Tokens(Amount::new(1_500_000_000_000));
        assert_eq!(read("1_500 tokens").money(scale), Some(tokens));
        assert_eq!(read("3 euros").money(scale), None);
        assert_eq!(read("12.5 %").rate(), Ppb::new(125_000_000).ok());
        assert_eq!(read("0.125").rate(), Ppb::new(125_000_000).ok());
        assert_eq!(read("101 %").rate(), None);
        assert_eq!(read("2 weeks").days(), Some(14.0));
        assert_eq!(read("1e2 days").days(), Some(100.0));
        assert_eq!(Quantity::parse("epoch"), None);
    }
}
