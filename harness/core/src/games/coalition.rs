//! Sets of players.

use std::fmt;

/// A set of players `0..n`, as bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coalition {
    players: usize,
    words: Vec<u64>,
}

impl Coalition {
    /// Nobody.
    pub fn empty(players: usize) -> Self {
        Self { players, words: vec![0; players.div_ceil(64)] }
    }

    /// Everybody.
    pub fn full(players: usize) -> Self {
        Self::of(players, 0..players)
    }

    /// The players named.
    ///
    /// # Panics
    /// When a player is not one of `0..players`.
    pub fn of(players: usize, members: impl IntoIterator<Item = usize>) -> Self {
        let mut coalition = Self::empty(players);
        for member in members {
            coalition.insert(member);
        }
        coalition
    }

    /// The players whose bits are set.
    ///
    /// # Panics
    /// With more than 63 players, or a bit of nobody.
    pub fn from_mask(players: usize, mask: u64) -> Self {
        assert!(players < 64 && mask >> players == 0, "a mask of {players} players, got {mask:#x}");
        let mut coalition = Self::empty(players);
        if let Some(word) = coalition.words.first_mut() {
            *word = mask;
        }
        coalition
    }

    /// The members as bits.
    ///
    /// # Panics
    /// With more than 63 players.
    pub fn mask(&self) -> u64 {
        assert!(self.players < 64, "a mask holds at most 63 players, not {}", self.players);
        self.words.first().copied().unwrap_or(0)
    }

    /// Players of the game, in or not.
    pub fn players(&self) -> usize {
        self.players
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nobody is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Whether everybody is in.
    pub fn is_full(&self) -> bool {
        self.len() == self.players
    }

    /// Whether `player` is in.
    pub fn contains(&self, player: usize) -> bool {
        self.words[player / 64] >> (player % 64) & 1 == 1
    }

    /// Takes a player in.
    ///
    /// # Panics
    /// When there is no such player.
    pub fn insert(&mut self, player: usize) {
        assert!(player < self.players, "player {player} of {}", self.players);
        self.words[player / 64] |= 1 << (player % 64);
    }

    /// Leaves a player out.
    ///
    /// # Panics
    /// When there is no such player.
    pub fn remove(&mut self, player: usize) {
        assert!(player < self.players, "player {player} of {}", self.players);
        self.words[player / 64] &= !(1 << (player % 64));
    }

    /// The same and `player`.
    #[must_use]
    pub fn with(&self, player: usize) -> Self {
        let mut coalition = self.clone();
        coalition.insert(player);
        coalition
    }

    /// The same but `player`.
    #[must_use]
    pub fn without(&self, player: usize) -> Self {
        let mut coalition = self.clone();
        coalition.remove(player);
        coalition
    }

    /// Members in ascending order.
    pub fn members(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| index * 64 + rest.trailing_zeros() as usize)
        })
    }
}

impl fmt::Display for Coalition {
    /// Short lists by their members, long ones by their length.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.len() > 20 {
            return write!(formatter, "of {} of {} players", self.len(), self.players);
        }
        let members: Vec<String> = self.members().map(|member| member.to_string()).collect();
        write!(formatter, "{{{}}}", members.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Coalition;

    #[test]
    fn sets_by_hand() {
        let mut odd = Coalition::of(70, [1, 3, 65]);
        assert_eq!(odd.members().collect::<Vec<_>>(), [1, 3, 65]);
        assert_eq!((odd.len(), odd.contains(65), odd.contains(64)), (3, true, false));
        odd.remove(3);
        assert_eq!(odd, Coalition::of(70, [65, 1]));
        assert_eq!(odd.to_string(), "{1, 65}");
        assert!(Coalition::full(70).is_full() && Coalition::empty(70).is_empty());
        assert_eq!(Coalition::from_mask(5, 0b10010).members().collect::<Vec<_>>(), [1, 4]);
        assert_eq!(Coalition::full(0).members().count(), 0);
    }

    proptest! {
        #[test]
        fn masks_go_both_ways(mask in 0u64..1 << 12) {
            let coalition = Coalition::from_mask(12, mask);
            prop_assert_eq!(coalition.mask(), mask);
            prop_assert_eq!(&Coalition::of(12, coalition.members()), &coalition);
            prop_assert_eq!(coalition.len(), mask.count_ones() as usize);
        }
    }
}
