//! The answer in words: sentences made from rows, each with the numbers it rests on.

use attribench_core::{AccessLevel, Payout, Record};

use crate::figures::{Paid, Scheme, schemes};
use crate::number::{self, count, estimate, percent, percent_estimate};
use crate::select::{
    CALIBRATION_FACTOR, Comparison, LDS, MISPAID_SHARE, MISPAID_TOKENS, NOISE_FLOOR, Scored,
    ceiling, comparisons, undefined,
};

/// Rank correlations with removals, put into words after the linear datamodelling score.
const REMOVAL_METRICS: [&str; 2] = ["loo-spearman", "contributor-spearman"];

/// Sentences that answer the question of an experiment, in plain text. Nothing is said that the
/// rows do not hold; a record without the metrics this knows gives one sentence that says so.
pub fn answers(record: &Record) -> Vec<String> {
    let mut sentences = Vec::new();
    for comparison in comparisons(record, LDS) {
        sentences.extend(accuracy(record, &comparison));
    }
    for metric in REMOVAL_METRICS {
        let found = comparisons(record, metric);
        sentences.extend(found.iter().filter_map(|comparison| removal(metric, comparison)));
    }
    sentences.extend(gain(record));
    sentences.extend(noise_floor(record));
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
    let mut sentences = Vec::new();
    let retrofit = most_accurate(comparison.scores.iter().filter(|scored| is_retrofit(scored)));
    let leaders = leaders(comparison);
    if let Some(best) = retrofit {
        sentences.push(best_retrofit(record, comparison, best));
        sentences.push(match leaders.last() {
            Some((AccessLevel::FullTrace, traced)) => gap(best, traced),
            _ => {
                "No method that reads a full trace was measured, so the retrofit gap is not known."
                    .to_owned()
            }
        });
    }
    sentences.extend(black_box(comparison));
    if leaders.len() > 1 {
        let each = |(level, best): &(AccessLevel, &Scored)| {
            format!("{level}: {} {}", best.method, estimate(&best.value))
        };
        let list: Vec<String> = leaders.iter().map(each).collect();
        let (list, gains) = (list.join("; "), gains(&leaders));
        sentences.push(format!("Best at each level of access: {list}. {gains}"));
    }
    let chance: Vec<&str> = comparison
        .scores
        .iter()
        .filter(|scored| scored.value.lower() <= 0.0 && scored.value.upper() >= 0.0)
        .map(|scored| scored.method.as_str())
        .collect();
    if !chance.is_empty() {
        let list = chance.join(", ");
        sentences
            .push(format!("Not told apart from chance by LDS, with zero in the interval: {list}."));
    }
    sentences
}

fn best_retrofit(record: &Record, comparison: &Comparison, best: &Scored) -> String {
    let reach = match ceiling(record, &comparison.setting) {
        Some(ceiling) if ceiling.point() > 0.0 => format!(
            ", {} of the noise ceiling {}",
            percent(best.value.point() / ceiling.point()),
            estimate(&ceiling)
        ),
        _ => "; no noise ceiling was measured".to_owned(),
    };
    format!(
        "The best retrofit method, one that needs no full trace, is {} ({}), with LDS {}{reach} \
         ({}).",
        best.method,
        level(best),
        estimate(&best.value),
        comparison.setting.title()
    )
}

fn gap(retrofit: &Scored, traced: &Scored) -> String {
    let gap = traced.value.point() - retrofit.value.point();
    let (size, apart) = (number::number(gap.abs()), apart(retrofit, traced));
    let reached =
        format!("With a full trace, {} reaches {}", traced.method, estimate(&traced.value));
    if gap > 0.0 {
        format!("{reached}: the retrofit gap is {size}{apart}.")
    } else {
        format!("{reached}, {size} less: no retrofit gap was found{apart}.")
    }
}

/// The methods that the best black-box method beats although they read more.
fn black_box(comparison: &Comparison) -> Option<String> {
    let is_black_box = |scored: &&Scored| scored.access == Some(AccessLevel::BlackBox);
    let best = most_accurate(comparison.scores.iter().filter(is_black_box))?;
    let further: Vec<&Scored> =
        comparison.scores.iter().filter(|scored| scored.access > best.access).collect();
    let beaten: Vec<&Scored> = further
        .iter()
        .copied()
        .filter(|scored| scored.value.point() < best.value.point())
        .collect();
    if beaten.is_empty() {
        return None;
    }
    let apart = beaten.iter().filter(|scored| !overlap(best, scored)).count();
    let names: Vec<&str> = beaten.iter().map(|scored| scored.method.as_str()).collect();
    Some(format!(
        "The black-box method {} is more accurate than {} methods that read more: {} (the \
         intervals of {} are apart).",
        best.method,
        share_of(beaten.len(), further.len()),
        names.join(", "),
        share_of(apart, beaten.len())
    ))
}

/// How many of how many, in words where it is none or all.
fn share_of(part: usize, whole: usize) -> String {
    match part {
        0 => "none".to_owned(),
        part if part == whole => format!("all {whole}"),
        part => format!("{part} of {whole}"),
    }
}

fn level(scored: &Scored) -> &'static str {
    scored.access.map_or("access not stated", AccessLevel::title)
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
fn gains(leaders: &[(AccessLevel, &Scored)]) -> String {
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
    if best.method == leaders[0].1.method {
        return format!("No further level of access buys accuracy over {}.", best.method);
    }
    format!("What each further level buys: {}.", gains.join("; "))
}

fn overlap(one: &Scored, other: &Scored) -> bool {
    one.value.upper() >= other.value.lower() && other.value.upper() >= one.value.lower()
}

/// Whether intervals alone settle which of two is larger.
fn apart(one: &Scored, other: &Scored) -> &'static str {
    if overlap(one, other) { " (their intervals overlap)" } else { " (their intervals are apart)" }
}

/// How well the best method orders the effects of removals, and how many do so at all.
fn removal(metric: &str, comparison: &Comparison) -> Option<String> {
    let best = most_accurate(comparison.scores.iter())?;
    let all = comparison.scores.len();
    let above = comparison.scores.iter().filter(|scored| scored.value.lower() > 0.0).count();
    let told = match above {
        0 => format!("no interval of {all} lies above zero, so no method is told from chance"),
        above => format!("{} intervals lie above zero", share_of(above, all)),
    };
    Some(format!(
        "Rank correlation with measured removals ({metric}; {}): highest for {} ({}), {}; {told}.",
        comparison.setting.title(),
        best.method,
        level(best),
        estimate(&best.value)
    ))
}

/// What a run added to what it began with, and whose credits account for it.
fn gain(record: &Record) -> Option<String> {
    let of = |metric: &'static str| record.rows.iter().filter(move |row| row.metric == metric);
    let of_run = |metric| of(metric).find(|row| row.method == "run");
    let (start, gain) = (of_run("utility-at-start")?, of_run("utility-gain")?);
    let explained: Vec<String> = of("explained-share")
        .map(|row| format!("{} {}", row.method, percent(row.value.point())))
        .collect();
    let explained = match explained.is_empty() {
        true => String::new(),
        false => format!(" Credits account for this share of the gain: {}.", explained.join("; ")),
    };
    Some(format!(
        "The run began at a mean utility of {} {} and gained {}: the gain alone is owed to its \
         training data, and what was there at the start stays with what it began from, which is \
         paid nothing.{explained}",
        estimate(&start.value),
        start.unit,
        estimate(&gain.value)
    ))
}

fn noise_floor(record: &Record) -> Option<String> {
    let row = record.rows.iter().find(|row| row.metric == NOISE_FLOOR)?;
    Some(format!(
        "Noise floor: runs that differ by rounding alone deviate by {} {}; a measured effect \
         below that is no evidence.",
        estimate(&row.value),
        row.unit
    ))
}

fn money(record: &Record) -> Vec<String> {
    let mut sentences = Vec::new();
    let shares = comparisons(record, MISPAID_SHARE);
    let tokens = comparisons(record, MISPAID_TOKENS);
    for comparison in &tokens {
        let same = shares.iter().find(|share| share.setting == comparison.setting);
        let share = |scored: &Scored| {
            let share = same.and_then(|share| share.get(&scored.method));
            share.map_or(String::new(), |share| format!(" ({})", percent_estimate(&share.value)))
        };
        let say = |scored: &Scored| format!("{}{}", estimate(&scored.value), share(scored));
        sentences.extend(least_and_most(comparison, "Tokens mispaid", &say));
        sentences.extend(rank_of_most_accurate(record, comparison));
    }
    let alone = |share: &&Comparison| !tokens.iter().any(|found| found.setting == share.setting);
    for comparison in shares.iter().filter(alone) {
        let say = |scored: &Scored| percent_estimate(&scored.value);
        sentences.extend(least_and_most(comparison, "Share of the money mispaid", &say));
    }
    sentences.extend(calibrated(record));
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
    let named = |scored: &Scored| format!("{} ({}), {}", scored.method, level(scored), say(scored));
    let mut sentence =
        format!("{what} ({}): least by {}", comparison.setting.title(), named(least));
    let retrofit = comparison.scores.iter().filter(|scored| is_retrofit(scored)).min_by(by_value);
    if let Some(retrofit) = retrofit.filter(|retrofit| retrofit.method != least.method) {
        let (named, apart) = (named(retrofit), apart(least, retrofit));
        sentence += &format!("; least by a retrofit method: {named}{apart}");
    }
    if most.method != least.method {
        sentence += &format!("; most by {}", named(most));
    }
    Some(sentence + ".")
}

/// Accuracy and fair pay need not go together.
fn rank_of_most_accurate(record: &Record, money: &Comparison) -> Option<String> {
    let accuracy = comparisons(record, LDS).into_iter().next()?;
    let paid = accuracy.scores.iter().filter(|scored| money.get(&scored.method).is_some());
    let best = most_accurate(paid)?;
    let mispaid = money.get(&best.method)?.value.point();
    let better = money.scores.iter().filter(|scored| scored.value.point() < mispaid).count();
    (money.scores.len() > 1).then(|| {
        format!(
            "Of the methods that pay, {} is the most accurate by LDS; of the others, {} mispay \
             fewer tokens.",
            best.method,
            share_of(better, money.scores.len() - 1)
        )
    })
}

/// Which methods pay by a factor that had to be measured first, and which cannot pay at all.
fn calibrated(record: &Record) -> Vec<String> {
    let factors = comparisons(record, CALIBRATION_FACTOR);
    let (payers, others): (Vec<&Scored>, Vec<&Scored>) = factors
        .iter()
        .flat_map(|comparison| &comparison.scores)
        .partition(|scored| scored.value.point() > 0.0);
    let named = |scored: &Scored| format!("{} ({})", scored.method, estimate(&scored.value));
    let list = |scores: Vec<&Scored>| scores.into_iter().map(named).collect::<Vec<_>>().join(", ");
    let mut sentences = Vec::new();
    if !payers.is_empty() {
        sentences.push(format!(
            "Scores of an arbitrary scale pay only after calibration, multiplied by a factor \
             fitted to measured effects: {}.",
            list(payers)
        ));
    }
    if !others.is_empty() {
        sentences.push(format!(
            "Nothing is paid by scores whose calibration factor is not positive: {}.",
            list(others)
        ));
    }
    sentences
}

/// Who loses most to the errors of the least mispaying retrofit method, and to those of any.
fn loser(scheme: &Scheme<'_>) -> Option<String> {
    let (worst, hurt) = largest_loss(scheme.methods.iter())?;
    let retrofit = scheme.methods.iter().filter(|paid| paid.access < AccessLevel::FullTrace);
    let least = retrofit.min_by_key(|paid| paid.mispaid());
    let mut sentence =
        format!("Under rule {}, with exact payouts by {}, ", scheme.rule, scheme.reference);
    let in_retrofit = least.and_then(|paid| largest_loss(std::iter::once(paid)));
    if let Some((paid, payout)) = in_retrofit.filter(|(paid, _)| paid.method != worst.method) {
        sentence += &format!(
            "{} loses most to {}, the least mispaying retrofit method: {}; of all methods, ",
            payout.contributor,
            paid.method,
            loss_words(payout)
        );
    }
    let (contributor, words) = (&hurt.contributor, loss_words(hurt));
    sentence += &format!("{contributor} loses most to {}: {words}.", worst.method);
    Some(sentence)
}

/// The largest loss of a contributor to some methods, with the method; none where nobody loses.
fn largest_loss<'a, 'b>(
    methods: impl Iterator<Item = &'b Paid<'a>>,
) -> Option<(&'b Paid<'a>, &'a Payout)>
where
    'a: 'b,
{
    methods
        .flat_map(|paid| paid.payouts.iter().map(move |&payout| (paid, payout)))
        .filter(|(_, payout)| loss(payout) > 0)
        .max_by_key(|(_, payout)| loss(payout))
}

/// Tokens that a contributor is paid too little.
fn loss(payout: &Payout) -> u64 {
    payout.exact.saturating_sub(payout.estimated)
}

fn loss_words(payout: &Payout) -> String {
    format!(
        "{} tokens instead of {} ({} too little)",
        count(payout.estimated),
        count(payout.exact),
        count(loss(payout))
    )
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
