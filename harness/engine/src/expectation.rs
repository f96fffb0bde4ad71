//! Conditions of a specification, checked against the rows after the run.

use attribench_core::{Estimate, Row, Verdict};

/// What may be asked for in a condition, with one line each.
pub const METRICS: &[(&str, &str)] = &[
    ("account-clipping", "what clipping took from the credits of examples, mean over queries"),
    ("account-gain", "what a ledger has to explain, mean over queries"),
    ("account-rounding", "what closes a ledger, mean over queries"),
    ("account-unlogged", "what a ledger could not book from its log, mean over queries"),
    ("account-weight-decay", "what weight decay moved, mean over queries"),
    ("attack-gain", "what a closed-loop attack gains, share of the pool"),
    ("calibration-factor", "what scores of arbitrary scale are multiplied by before they pay"),
    ("calibration-r2", "variance of true removal effects explained by predicted ones as they are"),
    ("calibration-slope", "slope of true on predicted removal effects; ideal 1"),
    ("contributor-pearson", "Pearson correlation with leaving each contributor out"),
    ("contributor-spearman", "rank correlation with leaving each contributor out"),
    (
        "copy-gain",
        "mean change of a contributor's share by copying its examples into a second account",
    ),
    ("copy-largest-gain", "largest such change"),
    ("curvature-products", "Hessian- or GGN-vector products, examples times directions"),
    (
        "effect-of-round",
        "what queries lose without each of those who came in a round, sum over them",
    ),
    (
        "error-coverage",
        "how often the exact value lies within two standard errors of the sampled one",
    ),
    ("evaluations", "coalitions that a sampler evaluated"),
    ("explained-share", "credits of a method that walks the run, of the gain over the whole run"),
    ("false-positive-share", "money paid to those whom exact scores pay nothing, share"),
    ("forwards", "forward passes, examples"),
    ("found-by-audit", "share of audits of 20 drawn steps that find a forgery"),
    ("found-by-diff", "whether a head that somebody kept shows a forgery, 1 or 0"),
    ("found-by-verify", "whether reading the log with the public key shows a forgery, 1 or 0"),
    ("game-pearson", "correlation with contributors' values in the game of all coalitions"),
    ("game-spearman", "rank correlation with contributors' values in the game of all coalitions"),
    ("gradients", "gradients, examples"),
    ("largest-underpayment", "tokens missing to the contributor who is underpaid most"),
    ("lds", "linear datamodelling score: rank correlation with subset retraining"),
    ("lds-ceiling", "what a perfect score could reach, given the noise of the truth"),
    ("lds-p10", "LDS that a tenth of the queries stay below"),
    ("lds-p50", "median LDS over queries"),
    ("lds-p90", "LDS that a tenth of the queries exceed"),
    ("largest-attack-gain", "most that an attack gains under the first rule, share of the pool"),
    ("ledger-residual", "largest rounding account of a ledger, relative to the gain"),
    ("log-bytes", "bytes that the log of a method that walks the run holds"),
    ("logged-steps", "share of the steps that were logged"),
    ("loo-pearson", "Pearson correlation with leaving each example out"),
    ("loo-spearman", "rank correlation with leaving each example out"),
    ("merge-gain", "mean change of the joint share by merging the accounts of two contributors"),
    ("merge-largest-gain", "largest such change"),
    (
        "metasmoothness",
        "how straight the end moves as examples lose weight; below 0.9 expect poor derivatives",
    ),
    ("mislabel-ap", "average precision of flipped labels, least valuable first"),
    ("mislabel-auc", "chance that a flipped label is valued below a clean one"),
    ("mispaid-share", "share of the pool in wrong hands: total variation of the shares"),
    ("mispaid-tokens", "tokens in wrong hands"),
    ("noise-floor", "deviation of an effect that is nothing, from runs one ulp apart"),
    ("paid-share", "share of the pool that goes to those who came in a round; asked of the first"),
    ("payout-rank-correlation", "rank correlation of payouts"),
    ("query-accuracy", "share of queries that the run gets right"),
    ("replay-deviation", "how far a replay ends from the parameters that a given run reached"),
    ("replayed-steps", "training steps replayed"),
    ("retrainings", "models trained again"),
    ("sampled-mispaid-share", "share of the pool in wrong hands because coalitions were sampled"),
    ("score-bytes", "bytes of the score matrix"),
    ("share-distance", "total variation between shares by this value and by the first one"),
    ("share-error", "total variation between sampled and exact shares"),
    ("sign-agreement", "share of effects above the noise whose sign is right"),
    ("split-gain", "mean change of a contributor's share by splitting its account in two"),
    ("split-largest-gain", "largest such change"),
    ("tangents", "directional derivatives, examples times directions"),
    ("utility-at-end", "utility after the last step, mean over queries"),
    ("utility-at-start", "utility before the first step, mean over queries"),
    ("utility-gain", "what the run moved the utility by, mean over queries"),
];

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Number(f64),
    Metric { metric: String, method: String },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// `term < term`, where a term is a number or `metric(method)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    left: Term,
    comparison: Comparison,
    right: Term,
}

const COMPARISONS: [(&str, Comparison); 4] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Condition {
    /// Reads a condition; `methods` are the labels that it may name, besides `truth` and `run`.
    ///
    /// # Errors
    /// What cannot be read or is not known, with what is known.
    pub fn parse(text: &str, methods: &[&str]) -> Result<Self, String> {
        let (sign, comparison) =
            COMPARISONS.into_iter().find(|(sign, _)| text.contains(sign)).ok_or_else(|| {
                format!(
                    "`{text}` compares nothing\nhint: write `lds(a) > lds(b)` or `lds(a) > 0.2`"
                )
            })?;
        let (left, right) = text.split_once(sign).expect("the sign was found");
        Ok(Self {
            text: text.to_owned(),
            left: Term::parse(left.trim(), methods)?,
            comparison,
            right: Term::parse(right.trim(), methods)?,
        })
    }

    /// Whether the condition holds for these rows, with the figures that decide.
    pub fn check(&self, rows: &[Row]) -> Verdict {
        let (left, right) = (self.left.value(rows), self.right.value(rows));
        let held = match (&left, &right) {
            (Some(left), Some(right)) => match self.comparison {
                Comparison::Less => left.point() < right.point(),
                Comparison::LessOrEqual => left.point() <= right.point(),
                Comparison::Greater => left.point() > right.point(),
                Comparison::GreaterOrEqual => left.point() >= right.point(),
            },
            _ => false,
        };
        let say = |value: &Option<Estimate>| match value {
            Some(value) => value.to_string(),
            None => "no such row".to_owned(),
        };
        let evidence = format!("{} against {}", say(&left), say(&right));
        Verdict { condition: self.text.clone(), held, evidence }
    }
}

impl Term {
    fn parse(text: &str, methods: &[&str]) -> Result<Self, String> {
        if let Ok(number) = text.parse::<f64>() {
            return Ok(Self::Number(number));
        }
        let (metric, rest) = text
            .split_once('(')
            .ok_or_else(|| format!("`{text}` is neither a number nor `metric(method)`"))?;
        let method = rest
            .strip_suffix(')')
            .ok_or_else(|| format!("`{text}` lacks its closing parenthesis"))?
            .trim();
        if !METRICS.iter().any(|(name, _)| *name == metric) {
            let known: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
            return Err(format!("unknown metric `{metric}` (known: {})", known.join(", ")));
        }
        if !["truth", "run"].contains(&method) && !methods.contains(&method) {
            return Err(format!(
                "`{text}` names no method of this experiment (known: {}, truth, run)",
                methods.join(", ")
            ));
        }
        Ok(Self::Metric { metric: metric.to_owned(), method: method.to_owned() })
    }

    fn value(&self, rows: &[Row]) -> Option<Estimate> {
        match self {
            Self::Number(number) => Some(Estimate::exact(*number)),
            Self::Metric { metric, method } => rows
                .iter()
                .find(|row| row.metric == *metric && row.method == *method)
                .map(|row| row.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Estimate, Row};

    use super::Condition;

    fn row(metric: &str, method: &str, value: f64) -> Row {
        Row {
            experiment: "e".into(),
            dataset: "d".into(),
            model: "m".into(),
            method: method.into(),
            access: None,
            truth: "t".into(),
            metric: metric.into(),
            grain: "example".into(),
            unit: "correlation".into(),
            value: Estimate::new(value, value - 0.1, value + 0.1, 0.95, 10, 0),
            settings_tried: 1,
        }
    }

    #[test]
    fn conditions_are_decided_by_the_rows() {
        let rows = [row("lds", "a", 0.4), row("lds", "b", 0.2)];
        let decide = |text: &str| Condition::parse(text, &["a", "b", "c"]).unwrap().check(&rows);
        assert!(decide("lds(a) > lds(b)").held);
        assert!(!decide("lds(a) < lds(b)").held);
        assert!(decide("lds(b) >= 0.2").held);
        assert!(decide("0.3 <= lds(a)").held);
        let missing = decide("lds(c) > 0");
        assert!(!missing.held);
        assert!(missing.evidence.contains("no such row"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let refuse = |text: &str| Condition::parse(text, &["a"]).unwrap_err();
        assert!(refuse("lds(a)").contains("compares nothing"));
        assert!(refuse("lsd(a) > 0").contains("unknown metric `lsd`"));
        assert!(refuse("lds(z) > 0").contains("known: a, truth, run"));
        assert!(refuse("lds(a > 0").contains("closing parenthesis"));
        assert!(refuse("lds > 0").contains("neither a number"));
    }
}
