//! Numbers as people read them: three significant digits, thousands separated, with intervals.

use attribench_core::Estimate;

/// The sign with a space that no line breaks at.
const PERCENT: &str = "\u{a0}%";

/// Three significant digits; whole numbers from a thousand on keep all digits, in groups.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if !(1e-4..1e15).contains(&size) {
        format!("{value:.2e}")
    } else if value.fract() == 0.0 || size >= 999.5 {
        grouped(value, 0)
    } else {
        // 0.0456 needs 4 decimals for three digits, 45.6 needs one; 9.998 rounds up to 10.0.
        let power = size.log10().floor() as i32;
        let carries = size / 10f64.powi(power) >= 9.995;
        let decimals = (2 - power - i32::from(carries)).max(0) as usize;
        grouped(value, decimals)
    }
}

/// An integer in groups of three digits.
pub(crate) fn count(value: u64) -> String {
    group_digits(&value.to_string())
}

/// A fixed number of decimals, thousands separated.
pub(crate) fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{:.*}", decimals, value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    // What rounds to zero has no sign.
    let sign = if value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        "-"
    } else {
        ""
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group_digits(whole))
}

fn group_digits(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Point and interval, with the decimals that the interval's width justifies.
pub(crate) fn estimate(value: &Estimate) -> String {
    match interval(value) {
        None => number(value.point()),
        Some(interval) => format!("{} {interval}", point(value)),
    }
}

/// The point alone, with the decimals that the interval's width justifies.
pub(crate) fn point(value: &Estimate) -> String {
    rounded(value, value.point())
}

/// The interval alone; none for a quantity that is known without error.
pub(crate) fn interval(value: &Estimate) -> Option<String> {
    (!value.is_exact())
        .then(|| format!("[{}, {}]", rounded(value, value.lower()), rounded(value, value.upper())))
}

/// Two significant digits of the width decide the decimals, three the digits of thousands; those
/// beyond them are noise.
fn rounded(estimate: &Estimate, value: f64) -> String {
    let width = estimate.upper() - estimate.lower();
    if estimate.is_exact() || width <= 0.0 || !(1e-6..1e12).contains(&width) {
        return number(value);
    }
    let power = width.log10().floor();
    if power >= 3.0 {
        let step = 10f64.powf(power - 2.0);
        return grouped((value / step).round() * step, 0);
    }
    grouped(value, (1.0 - power).clamp(0.0, 7.0) as usize)
}

/// A percentage of a share.
pub(crate) fn percent(share: f64) -> String {
    format!("{}{PERCENT}", number(share * 100.0))
}

/// Point and interval of a share in percent.
pub(crate) fn percent_estimate(value: &Estimate) -> String {
    let hundred = |share: f64| share * 100.0;
    let scaled = Estimate::new(
        hundred(value.point()),
        hundred(value.lower()),
        hundred(value.upper()),
        value.level(),
        value.n(),
        value.undefined(),
    );
    match interval(&scaled) {
        None => percent(value.point()),
        Some(interval) => format!("{}{PERCENT} {interval}", point(&scaled)),
    }
}

/// A label on an axis: short, so that ticks stay apart.
pub(crate) fn tick(value: f64, step: f64) -> String {
    let (divisor, suffix) = match value.abs().max(step) {
        size if size >= 1e9 => (1e9, "G"),
        size if size >= 1e6 => (1e6, "M"),
        size if size >= 1e4 => (1e3, "k"),
        size if size < 1e-3 && value != 0.0 => return format!("{value:.0e}"),
        _ => (1.0, ""),
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (0..6)
        .find(|&decimals| {
            let power = 10f64.powi(decimals);
            let scaled = value / divisor * power;
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
        })
        .unwrap_or(6);
    format!("{}{suffix}", grouped(value / divisor, decimals as usize))
}

/// A duration in the unit that suits it.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        value if value < 1e-3 => format!("{} µs", number(value * 1e6)),
        value if value < 1.0 => format!("{} ms", number(value * 1e3)),
        value if value < 120.0 => format!("{} s", number(value)),
        value if value < 7200.0 => format!("{} min", number(value / 60.0)),
        value => format!("{} h", number(value / 3600.0)),
    }
}

/// A size in memory.
pub(crate) fn bytes(value: u64) -> String {
    match value as f64 {
        value if value >= 1e9 => format!("{} GB", number(value / 1e9)),
        value if value >= 1e6 => format!("{} MB", number(value / 1e6)),
        value if value >= 1e3 => format!("{} kB", number(value / 1e3)),
        value => format!("{} bytes", number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_groups() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.42371, "0.424"),
            (-0.0456, "-0.0456"),
            (12.345, "12.3"),
            (9.998, "10.0"),
            (99.96, "100"),
            (999.0, "999"),
            (1234567.0, "1,234,567"),
            (12345.678, "12,346"),
            (0.00001234, "1.23e-5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(count(1 << 63), "9,223,372,036,854,775,808");
    }

    #[test]
    fn the_width_decides_the_decimals() {
        let narrow = Estimate::new(0.42371, 0.41, 0.437, 0.95, 50, 0);
        assert_eq!(estimate(&narrow), "0.424 [0.410, 0.437]");
        let wide = Estimate::new(1234.6, 1000.0, 1500.0, 0.95, 50, 0);
        assert_eq!(estimate(&wide), "1,235 [1,000, 1,500]");
        assert_eq!(estimate(&Estimate::exact(50_000.0)), "50,000");
        let around_zero = Estimate::new(-0.0001, -0.1, 0.1, 0.95, 50, 0);
        assert_eq!(estimate(&around_zero), "0.00 [-0.10, 0.10]");
        let tokens = Estimate::new(192_737.0, 174_350.4, 277_676.3, 0.95, 60, 0);
        assert_eq!(estimate(&tokens), "193,000 [174,000, 278,000]");
    }

    #[test]
    fn ticks_are_short() {
        let cases = [(0.25, 0.25, "0.25"), (2_500_000.0, 5e5, "2.5M"), (0.0, 0.1, "0")];
        for (value, step, text) in cases {
            assert_eq!(tick(value, step), text);
        }
    }

    #[test]
    fn durations_have_the_unit_that_suits() {
        let cases = [(2.64e-6, "2.64 µs"), (0.25, "250 ms"), (34.4, "34.4 s"), (600.0, "10 min")];
        for (value, text) in cases {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent(0.1234), "12.3\u{a0}%");
        let share = Estimate::new(0.1234, 0.1, 0.15, 0.95, 9, 0);
        assert_eq!(percent_estimate(&share), "12.3\u{a0}% [10.0, 15.0]");
    }
}
