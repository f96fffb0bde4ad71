//! What is measured at a query: one orientation, so that more is better.

use serde::{Deserialize, Serialize};

/// The utility `f_q(theta)` of a model at a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Utility {
    /// Minus the loss, in nats for classes.
    NegativeLoss,
    /// `log(p / (1 - p))` of the probability of the query's label, in nats. Does not saturate the
    /// way a loss does, so that well-learned queries do not tie.
    #[default]
    Margin,
}

/// A scalar of each example whose gradient is wanted.
///
/// Gradients are those of descent: the utility's is taken with a minus sign, `b_q = -grad f_q`,
/// so that every similarity reads `+ b_q . g_i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The training loss, `l_i`.
    Loss,
    /// Minus the utility, `-f_q`.
    NegativeUtility(Utility),
}

impl Quantity {
    /// Whether this is minus the margin `m = log(p / (1 - p))`, the one quantity whose gradient is
    /// not that of the loss: `dm/dp = 1 / (p (1 - p))` and `dl/dp = -1 / p` for `l = -log p`, so
    /// `grad(-m) = grad l / (1 - p)`.
    pub fn is_margin(self) -> bool {
        self == Self::NegativeUtility(Utility::Margin)
    }
}
