//! Where money can be.

use serde::{Deserialize, Serialize};

/// A kind of account. Some kinds have one account, some have one for each index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Family {
    /// Contra account: minus everything ever minted.
    Mint,
    /// Reserve of the protocol.
    Treasury,
    /// Fee of one query, waiting for settlement.
    Escrow,
    /// Money of one settlement, about to be split.
    Pot,
    /// Money that a settlement left for a later one.
    Carry,
    /// Owner of a model.
    Model,
    /// Operator of the platform.
    Platform,
    /// A staking pool.
    Stakers,
    /// An attribution node.
    Node,
    /// Claimable balance of a contributor.
    Contributor,
    /// What an outside holder (a user, or a contributor who claimed) has in hand.
    Wallet,
    /// A locked bucket.
    Vest,
    /// Bonded stake.
    Stake,
    /// Destroyed money.
    Burn,
    /// Fractions that no account can hold.
    Dust,
    /// Money taken from misbehaving stake.
    Slashed,
    /// Money spent on execution.
    Gas,
}

impl Family {
    /// Every family, in declaration order.
    pub const ALL: [Self; 17] = [
        Self::Mint,
        Self::Treasury,
        Self::Escrow,
        Self::Pot,
        Self::Carry,
        Self::Model,
        Self::Platform,
        Self::Stakers,
        Self::Node,
        Self::Contributor,
        Self::Wallet,
        Self::Vest,
        Self::Stake,
        Self::Burn,
        Self::Dust,
        Self::Slashed,
        Self::Gas,
    ];

    /// Whether the family has exactly one account, which is always open.
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Self::Mint
                | Self::Treasury
                | Self::Carry
                | Self::Platform
                | Self::Burn
                | Self::Dust
                | Self::Slashed
                | Self::Gas
        )
    }

    /// Whether a balance of this family may be below zero: only the contra account's may.
    pub const fn may_be_negative(self) -> bool {
        matches!(self, Self::Mint)
    }

    /// Position of the family in [`Family::ALL`].
    pub const fn position(self) -> usize {
        self as usize
    }
}

/// One account: a family and an index in it (0 for a family of one).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Account {
    family: Family,
    index: u32,
}

impl Account {
    /// The contra account of everything minted.
    pub const MINT: Self = Self::new(Family::Mint, 0);
    /// The protocol's reserve.
    pub const TREASURY: Self = Self::new(Family::Treasury, 0);
    /// Money left for a later settlement.
    pub const CARRY: Self = Self::new(Family::Carry, 0);
    /// The platform's operator.
    pub const PLATFORM: Self = Self::new(Family::Platform, 0);
    /// Destroyed money.
    pub const BURN: Self = Self::new(Family::Burn, 0);
    /// Fractions.
    pub const DUST: Self = Self::new(Family::Dust, 0);
    /// Confiscated stake.
    pub const SLASHED: Self = Self::new(Family::Slashed, 0);
    /// Execution costs.
    pub const GAS: Self = Self::new(Family::Gas, 0);

    /// Account `index` of `family`.
    pub const fn new(family: Family, index: u32) -> Self {
        Self { family, index }
    }

    /// Claimable balance of contributor `index`.
    pub const fn contributor(index: u32) -> Self {
        Self::new(Family::Contributor, index)
    }

    /// Pot of settlement `index`.
    pub const fn pot(index: u32) -> Self {
        Self::new(Family::Pot, index)
    }

    /// The family.
    pub const fn family(self) -> Family {
        self.family
    }

    /// The index in the family.
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.family.is_single() {
            write!(formatter, "{:?}", self.family)
        } else {
            write!(formatter, "{:?}({})", self.family, self.index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_list() {
        for (position, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(family.position(), position);
        }
    }

    #[test]
    fn only_the_contra_account_may_be_negative() {
        let negative: Vec<_> = Family::ALL.into_iter().filter(|f| f.may_be_negative()).collect();
        assert_eq!(negative, [Family::Mint]);
    }

    #[test]
    fn an_account_is_eight_bytes_so_that_a_journal_line_is_twenty_four() {
        assert_eq!(size_of::<Account>(), 8);
        assert_eq!(Account::contributor(3).to_string(), "Contributor(3)");
        assert_eq!(Account::BURN.to_string(), "Burn");
    }
}
