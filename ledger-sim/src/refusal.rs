//! Why a run stops: one enum for every refusal of the crate.

use crate::account::Account;

/// A reason to stop. Nothing is repaired in silence: a refusal ends the replica that met it.
///
/// The variants are declared in order of precedence. When one input has several faults, the
/// fault declared first is the one reported (see [`Refusal::precedence`]), so that the same bad
/// input always gives the same answer whatever the order in which it was inspected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An amount left the range of base units.
    #[error("amount leaves the range of base units; hint: lower the supply or the decimals")]
    Overflow,
    /// An account that may not be negative would become negative.
    #[error("account {account} would become negative; hint: fund it before drawing on it")]
    Underflow {
        /// The account that lacks the money.
        account: Account,
    },
    /// The signed amounts of a posting do not sum to zero.
    #[error("posting {posting} does not sum to zero; hint: every debit needs its credit")]
    Unbalanced {
        /// Position the posting would have, or has, in the journal.
        posting: usize,
    },
    /// A score is NaN or infinite.
    #[error(
        "score of contributor {contributor} for query {query} is not finite; \
         hint: refuse it where it was computed, never clamp it"
    )]
    NonFinite {
        /// Index of the contributor.
        contributor: usize,
        /// Index of the query.
        query: usize,
    },
    /// A weight or a count that must be non-negative is negative.
    #[error("weight of {index} is negative; hint: clip or net before weighting")]
    NegativeWeight {
        /// Index of the offending entry.
        index: usize,
    },
    /// A pot cannot be split because no entry has weight.
    #[error("no entry has weight; hint: choose what happens to an unowned pot (carry, burn)")]
    ZeroTotalWeight,
    /// A posting names an account that was never opened.
    #[error("account {account} was never opened; hint: open its family first")]
    UnknownAccount {
        /// The account named.
        account: Account,
    },
    /// An identity occurs twice where it must be unique.
    #[error("identity `{id}` occurs twice; hint: merge its rows first")]
    DuplicateId {
        /// The repeated identity.
        id: String,
    },
    /// The parts of a split do not sum to one.
    #[error("split sums to {sum} ppb; hint: parts must sum to 1000000000 ppb")]
    SplitNotUnity {
        /// What the parts sum to, in parts per billion.
        sum: u64,
    },
    /// More would be minted than the cap allows.
    #[error("minting would pass the supply cap; hint: raise the cap or emit less")]
    SupplyCapExceeded,
    /// A locked bucket is drawn on before it is due.
    #[error("vesting bucket {bucket} is not due; hint: wait for the schedule")]
    VestingNotDue {
        /// Index of the bucket.
        bucket: usize,
    },
    /// A stake is below what the rule demands.
    #[error("stake of {index} is below the minimum; hint: bond more or lower the minimum")]
    StakeBelowMinimum {
        /// Index of the staker.
        index: usize,
    },
    /// A claim is below the minimum withdrawal.
    #[error("claim of {index} is below the minimum; hint: let the balance grow")]
    ClaimBelowMinimum {
        /// Index of the claimant.
        index: usize,
    },
    /// The same entitlement is claimed again.
    #[error("claim of {index} was already paid; hint: claim each epoch once")]
    ClaimTwice {
        /// Index of the claimant.
        index: usize,
    },
    /// A posting belongs to an epoch that is already over.
    #[error("epoch {epoch} is over, the ledger is at {current}; hint: post in order of time")]
    StaleEpoch {
        /// Epoch of the posting.
        epoch: u32,
        /// Epoch the ledger has reached.
        current: u32,
    },
    /// A settlement does not account for the money that it was given.
    #[error("settlement accounts for {got} of {expected}; hint: payouts + burn + carry = pot")]
    PotMismatch {
        /// Base units that entered.
        expected: u128,
        /// Base units that were accounted for.
        got: u128,
    },
    /// A rule, an agent or a metric lacks an input that it cannot work without.
    #[error("`{rule}` needs {input}; hint: pass it, nothing is extrapolated")]
    RuleNeeds {
        /// Name of the rule.
        rule: &'static str,
        /// The input missing or of the wrong shape.
        input: &'static str,
    },
    /// A parameter is unknown, of the wrong kind or out of its range.
    #[error("parameter `{name}` is unknown or out of range; hint: see the rule's documentation")]
    ParamOutOfRange {
        /// Name of the parameter.
        name: String,
    },
    /// Supply times scale does not fit an amount.
    #[error("supply times scale does not fit below 2^120; hint: fewer decimals")]
    ScaleTooSmall,
    /// Randomness is asked for and no seed was given.
    #[error("randomness is needed and no seed was given; hint: pass a seed")]
    SeedMissing,
    /// The auditor's balance differs from the ledger's.
    #[error("auditor finds {got} on account {account} where the ledger states {expected}")]
    AuditMismatch {
        /// The account that differs.
        account: Account,
        /// What the ledger states.
        expected: i128,
        /// What the replay gives.
        got: i128,
    },
    /// The auditor's Merkle root differs from the ledger's.
    #[error("the journal does not hash to the root that the ledger states")]
    RootMismatch,
}

impl Refusal {
    /// Rank of the variant in the documented order; the lowest is reported first.
    pub const fn precedence(&self) -> u8 {
        match self {
            Self::Overflow => 0,
            Self::Underflow { .. } => 1,
            Self::Unbalanced { .. } => 2,
            Self::NonFinite { .. } => 3,
            Self::NegativeWeight { .. } => 4,
            Self::ZeroTotalWeight => 5,
            Self::UnknownAccount { .. } => 6,
            Self::DuplicateId { .. } => 7,
            Self::SplitNotUnity { .. } => 8,
            Self::SupplyCapExceeded => 9,
            Self::VestingNotDue { .. } => 10,
            Self::StakeBelowMinimum { .. } => 11,
            Self::ClaimBelowMinimum { .. } => 12,
            Self::ClaimTwice { .. } => 13,
            Self::StaleEpoch { .. } => 14,
            Self::PotMismatch { .. } => 15,
            Self::RuleNeeds { .. } => 16,
            Self::ParamOutOfRange { .. } => 17,
            Self::ScaleTooSmall => 18,
            Self::SeedMissing => 19,
            Self::AuditMismatch { .. } => 20,
            Self::RootMismatch => 21,
        }
    }

    /// Keeps the fault of lower precedence rank among what was found so far and `found`.
    pub(crate) fn first(so_far: Option<Self>, found: Self) -> Option<Self> {
        match so_far {
            Some(known) if known.precedence() <= found.precedence() => Some(known),
            _ => Some(found),
        }
    }

    /// A [`Refusal::ParamOutOfRange`] for `name`.
    pub(crate) fn parameter(name: &str) -> Self {
        Self::ParamOutOfRange { name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_says_what_to_do_or_what_differs() {
        let account = Account::BURN;
        let all = [
            Refusal::Overflow,
            Refusal::Underflow { account },
            Refusal::Unbalanced { posting: 1 },
            Refusal::NonFinite { contributor: 1, query: 2 },
            Refusal::NegativeWeight { index: 1 },
            Refusal::ZeroTotalWeight,
            Refusal::UnknownAccount { account },
            Refusal::DuplicateId { id: "a".to_owned() },
            Refusal::SplitNotUnity { sum: 1 },
            Refusal::SupplyCapExceeded,
            Refusal::VestingNotDue { bucket: 1 },
            Refusal::StakeBelowMinimum { index: 1 },
            Refusal::ClaimBelowMinimum { index: 1 },
            Refusal::ClaimTwice { index: 1 },
            Refusal::StaleEpoch { epoch: 1, current: 2 },
            Refusal::PotMismatch { expected: 1, got: 2 },
            Refusal::RuleNeeds { rule: "r", input: "i" },
            Refusal::parameter("p"),
            Refusal::ScaleTooSmall,
            Refusal::SeedMissing,
            Refusal::AuditMismatch { account, expected: 1, got: 2 },
            Refusal::RootMismatch,
        ];
        for (rank, refusal) in all.iter().enumerate() {
            assert_eq!(usize::from(refusal.precedence()), rank, "{refusal:?}");
            let message = refusal.to_string();
            assert!(message.contains("hint:") || rank >= 20, "{message}");
        }
    }

    #[test]
    fn the_earlier_fault_wins_in_either_order() {
        let late = Refusal::SeedMissing;
        let early = Refusal::Overflow;
        for (a, b) in [(late.clone(), early.clone()), (early.clone(), late)] {
            let kept = Refusal::first(Refusal::first(None, a), b);
            assert_eq!(kept, Some(early.clone()));
        }
    }
}
