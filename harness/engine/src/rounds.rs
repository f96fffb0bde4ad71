//! Contributors who arrive in rounds: a model that is updated as new data come in.

use std::{ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

/// What an update trains on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// What those gave who came in this round; the model may forget the others.
    #[default]
    New,
    /// What all gave who have come so far.
    Arrived,
}

/// Training in `count` rounds of all epochs each. Parameters and the optimiser's state are carried
/// over, and the learning rate goes through its schedule anew in every round.
///
/// Contributors come in the order in which the data set lists them, contributor `c` of `C` in round
/// `c count / C`, rounded down. It is still one function of data weights, so that every truth and
/// every method holds for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rounds {
    /// Number of rounds.
    pub count: usize,
    /// What each round trains on.
    #[serde(default)]
    pub over: Over,
    /// Rows that come with each round, once it is known whose they are.
    #[serde(skip)]
    cohorts: Arc<[Vec<usize>]>,
}

/// One round of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its first step.
    pub first_step: usize,
    /// Rows that it trains on.
    pub rows: Vec<usize>,
}

impl Rounds {
    /// Learns who owns each row.
    ///
    /// # Errors
    /// When there are fewer contributors than rounds, or nobody who comes in a round owns anything.
    pub(crate) fn divide(&mut self, owners: &[u32], contributors: usize) -> Result<(), String> {
        if self.count < 2 || self.count > contributors {
            return Err(format!(
                "{} rounds of {contributors} contributors\nhint: use at least 2 rounds, and one \
                 contributor or more in each",
                self.count
            ));
        }
        let mut cohorts = vec![Vec::new(); self.count];
        for (row, &owner) in owners.iter().enumerate() {
            cohorts[self.round_of(owner as usize, contributors)].push(row);
        }
        if let Some(empty) = cohorts.iter().position(Vec::is_empty) {
            return Err(format!("nobody who comes in round {} owns an example", empty + 1));
        }
        self.cohorts = cohorts.into();
        Ok(())
    }

    /// The round, from 0, in which a contributor comes.
    pub fn round_of(&self, contributor: usize, contributors: usize) -> usize {
        contributor * self.count / contributors
    }

    /// Rows that come with each round.
    pub(crate) fn cohorts(&self) -> &[Vec<usize>] {
        &self.cohorts
    }

    /// Number of rows that a round trains on.
    fn size(&self, round: usize) -> usize {
        self.trained(round).iter().map(Vec::len).sum()
    }

    fn trained(&self, round: usize) -> &[Vec<usize>] {
        match self.over {
            Over::New => &self.cohorts[round..=round],
            Over::Arrived => &self.cohorts[..=round],
        }
    }

    /// Steps of each round, one after the other.
    fn spans(&self, epochs: usize, batch_size: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut end = 0;
        (0..self.cohorts.len()).map(move |round| {
            let start = end;
            end += epochs * self.size(round).div_ceil(batch_size);
            start..end
        })
    }

    /// Steps of all rounds.
    pub(crate) fn steps(&self, epochs: usize, batch_size: usize) -> usize {
        self.spans(epochs, batch_size).last().map_or(0, |span| span.end)
    }

    /// First step of the round that `step` is in, and how many rows that round trains on.
    pub(crate) fn at(&self, step: usize, epochs: usize, batch_size: usize) -> (usize, usize) {
        let mut spans = self.spans(epochs, batch_size).enumerate();
        let found = spans.find(|(_, span)| span.contains(&step));
        let (round, span) = found.expect("a step of the run is in a round");
        (span.start, self.size(round))
    }

    /// All rounds, first to last.
    pub fn rounds(&self, epochs: usize, batch_size: usize) -> Vec<Round> {
        let spans = self.spans(epochs, batch_size).enumerate();
        spans
            .map(|(round, span)| Round {
                first_step: span.start,
                rows: self.trained(round).concat(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Over, Round, Rounds};

    fn rounds(count: usize, over: Over) -> Rounds {
        Rounds { count, over, cohorts: Default::default() }
    }

    #[test]
    fn rounds_by_hand() {
        // Three contributors in two rounds: 0 * 2 / 3 = 0, 1 * 2 / 3 = 0, 2 * 2 / 3 = 1.
        let owners = [2, 0, 1, 1, 0, 2];
        let mut new = rounds(2, Over::New);
        new.divide(&owners, 3).unwrap();
        // Batches of 3, 2 epochs: 4 rows are 2 batches an epoch, 2 rows 1.
        let expected = vec![
            Round { first_step: 0, rows: vec![1, 2, 3, 4] },
            Round { first_step: 4, rows: vec![0, 5] },
        ];
        assert_eq!(new.rounds(2, 3), expected);
        assert_eq!(new.steps(2, 3), 6);
        assert_eq!((new.at(3, 2, 3), new.at(4, 2, 3)), ((0, 4), (4, 2)));
        let mut arrived = rounds(2, Over::Arrived);
        arrived.divide(&owners, 3).unwrap();
        assert_eq!(arrived.rounds(2, 3)[1].rows, [1, 2, 3, 4, 0, 5]);
        assert_eq!(arrived.steps(2, 3), 8);
    }

    #[test]
    fn rounds_without_data_are_refused() {
        assert!(rounds(4, Over::New).divide(&[0, 1, 2], 3).unwrap_err().contains("4 rounds of 3"));
        assert!(rounds(1, Over::New).divide(&[0, 1, 2], 3).unwrap_err().contains("at least 2"));
        let empty = rounds(3, Over::New).divide(&[0, 2], 3).unwrap_err();
        assert!(empty.contains("round 2"), "{empty}");
    }
}
