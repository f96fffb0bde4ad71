//! The answer in words: sentences made from rows, each with the numbers it rests on.

use attribench_core::{AccessLevel, Record};

use crate::figures::{Scheme, schemes};
use crate::number::{self, count, estimate, percent, percent_estimate};
use crate::select::{
    Comparison, LDS, MISPAID_SHARE, MISPAID_TOKENS, Scored, ceiling, comparisons, undefined,
};

/// Sentences that answer the question of an experiment, in plain text. Nothing is said that the
/// rows do not hold; a record without the metrics this knows gives one sentence that says so.
pub fn answers(record: &Record) -> Vec<String> {
    let mut sentences = Vec::new();
    for comparison in comparisons(record, LDS) {
        sentences.extend(accuracy(record, &comparison));
    }
    sentences.extend(money(record));
    sentences.extend(schemes(record).iter().filter_map(loser));
    if sentences.is_empty() {
        sentences.push(format!(
            "None of the {} rows has a metric that is put into words; the table shows them all.",
            count(record.rows.len() as u64)
        ));
    }
    sentences.extend(undefined_values(record));
    sentences
}

/// A retrofit reads what remains of a run that nobody instrumented: anything but its full trace.
fn is_retrofit(scored: &Scored) -> bool {
    scored.access.is_some_and(|access| access < AccessLevel::FullTrace)
}

/// The most accurate of some methods; the first where several are.
fn most_accurate<'a>(scores: impl Iterator<Item = &'a Scored>) -> Option<&'a Scored> {
    scores.reduce(
        |best, scored| if scored.value.point() > best.value.point() { scored } else { best },
    )
}

fn accuracy(record: &Record, comparison: &Comparison) -> Vec<String> {
    let setting = comparison.setting.title();
    let ceiling = ceiling(record, &comparison.setting);
    let mut sentences = Vec::new();
    let retrofit = most_accurate(comparison.scores.iter().filter(|scored| is_retrofit(scored)));
    if let Some(best) = retrofit {
        let reach = match ceiling {
            Some(ceiling) if ceiling.point() > 0.0 => format!(
                ", {} of the noise ceiling {}",
                percent(best.value.point() / ceiling.point()),
                estimate(&ceiling)
            ),
            _ => "; no noise ceiling was measured".to_owned(),
        };
        let level = best.access.map_or("", AccessLevel::title);
        sentences.push(format!(
            "The best retrofit method is {} (reads: {level}), with LDS {}{reach} ({setting}).",
            best.method,
            estimate(&best.value)
        ));
    }
    let leaders = leaders(comparison);
    if let (Some(retrofit), Some((AccessLevel::FullTrace, traced))) = (retrofit, leaders.last()) {
        sentences.push(format!(
            "With a full trace, {} reaches {}: the retrofit gap is {}{}.",
            traced.method,
            estimate(&traced.value),
            number::number(traced.value.point() - retrofit.value.point()),
            apart(retrofit, traced)
        ));
    }
    if leaders.len() > 1 {
        let each = |(level, best): &(AccessLevel, &Scored)| {
            format!("{level}: {} {}", best.method, estimate(&best.value))
        };
        let list: Vec<String> = leaders.iter().map(each).collect();
        sentences.push(format!("Best at each level of access: {}.", list.join("; ")));
        sentences.push(format!("What each further level buys: {}.", gains(&leaders).join("; ")));
    }
    sentences
}

/// The most accurate method of each level, least access first.
fn leaders(comparison: &Comparison) -> Vec<(AccessLevel, &Scored)> {
    let best = |level| {
        let same = comparison.scores.iter().filter(|scored| scored.access == Some(level));
        Some((level, most_accurate(same)?))
    };
    AccessLevel::ALL.into_iter().filter_map(best).collect()
}

/// What a level adds to the best that less access reaches, which need not be the level before.
fn gains(leaders: &[(AccessLevel, &Scored)]) -> Vec<String> {
    let mut best = leaders[0].1;
    let mut gains = Vec::new();
    for &(level, scored) in &leaders[1..] {
        let gain = scored.value.point() - best.value.point();
        if gain > 0.0 {
            let gain = number::number(gain);
            gains.push(format!("{level} +{gain} over {}{}", best.method, apart(best, scored)));
            best = scored;
        } else {
            gains.push(format!("{level} nothing over {}", best.method));
        }
    }
    gains
}

/// Whether intervals alone settle which of two is larger.
fn apart(one: &Scored, other: &Scored) -> &'static str {
    let overlap =
        one.value.upper() >= other.value.lower() && other.value.upper() >= one.value.lower();
    if overlap { " (their intervals overlap)" } else { " (their intervals are apart)" }
}

fn money(record: &Record) -> Vec<String> {
    let mut sentences = Vec::new();
    for comparison in comparisons(record, MISPAID_SHARE) {
        let say = |scored: &Scored| percent_estimate(&scored.value);
        let what = format!("Share of the money mispaid ({})", comparison.setting.title());
        sentences.extend(least_and_most(&comparison, &what, &say));
    }
    for comparison in comparisons(record, MISPAID_TOKENS) {
        let what = format!("Tokens mispaid ({})", comparison.setting.title());
        let say = |scored: &Scored| estimate(&scored.value);
        sentences.extend(least_and_most(&comparison, &what, &say));
    }
    sentences
}

fn least_and_most(
    comparison: &Comparison,
    what: &str,
    say: &dyn Fn(&Scored) -> String,
) -> Option<String> {
    let by_value =
        |one: &&Scored, other: &&Scored| one.value.point().total_cmp(&other.value.point());
    let least = comparison.scores.iter().min_by(by_value)?;
    let most = comparison.scores.iter().max_by(by_value)?;
    let mut sentence = format!("{what}: least by {}, {}", least.method, say(least));
    let retrofit = comparison.scores.iter().filter(|scored| is_retrofit(scored)).min_by(by_value);
    if let Some(retrofit) = retrofit.filter(|retrofit| retrofit.method != least.method) {
        sentence +=
            &format!("; least by a retrofit method, {}, {}", retrofit.method, say(retrofit));
    }
    if most.method != least.method {
        sentence += &format!("; most by {}, {}", most.method, say(most));
    }
    Some(sentence + ".")
}

/// Who loses most to the errors of the least mispaying retrofit method, and to those of any.
fn loser(scheme: &Scheme<'_>) -> Option<String> {
    let retrofit = scheme.methods.iter().filter(|paid| paid.access < AccessLevel::FullTrace);
    let fairest = retrofit.min_by_key(|paid| paid.mispaid());
    let loss = |payout: &attribench_core::Payout| payout.exact.saturating_sub(payout.estimated);
    let words = |payout: &attribench_core::Payout| {
        format!(
            "{} is paid {} tokens instead of {} ({} too little)",
            payout.contributor,
            count(payout.estimated),
            count(payout.exact),
            count(loss(payout))
        )
    };
    let hurt = |payouts: Vec<&'_ attribench_core::Payout>| {
        payouts
            .into_iter()
            .filter(|payout| loss(payout) > 0)
            .max_by_key(|payout| loss(payout))
            .cloned()
    };
    let anyone = hurt(scheme.methods.iter().flat_map(|paid| paid.payouts.clone()).collect())?;
    let mut sentence = format!("Under rule {} (exact by {}), ", scheme.rule, scheme.reference);
    if let Some((fairest, payout)) =
        fairest.and_then(|paid| Some((paid, hurt(paid.payouts.clone())?)))
    {
        sentence += &format!(
            "the fairest retrofit method, {}, hurts one contributor most: {}; ",
            fairest.method,
            words(&payout)
        );
    }
    sentence += &format!("the largest loss of all is under {}: {}.", anyone.method, words(&anyone));
    Some(sentence)
}

fn undefined_values(record: &Record) -> Option<String> {
    let counts = undefined(record);
    let list: Vec<String> = counts
        .iter()
        .map(|(metric, undefined)| format!("{} of {metric}", count(*undefined as u64)))
        .collect();
    (!list.is_empty()).then(|| {
        format!(
            "Undefined and so left out of the numbers above, counted in the table: {}.",
            list.join(", ")
        )
    })
}
