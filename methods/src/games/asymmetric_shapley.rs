//! Asymmetric Shapley value: players arrive block after block.
//!
//! # Computes
//! Mean of `v(predecessors and i) - v(predecessors)` over the orders in which every player of a
//! lower `block` comes before every player of a higher one, uniform within a block. With one player
//! a block it is the marginal contribution in order of arrival; with one block the Shapley value.
//!
//! # Axioms
//! Efficient, null-free and linear; symmetric only within a block: who came first is paid for what
//! both bring.
//!
//! # Costs
//! The sum over blocks of `2^(players of the block)` where no block has more than `exact-up-to`
//! players; else `n + 1` evaluations an order.
//!
//! # References
//! Frye, Rowat, Feige, Asymmetric Shapley values, NeurIPS 2020; Zheng et al., Towards data
//! valuation via asymmetric data Shapley, 2024.

use attribench_core::{
    Ask, Axioms, Coalition, Game, GameError, NamedValuation, Repeats, Valuation, ValuationContext,
    ValuationInfo, Valued,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    permutation_shapley::{MeanOfOrders, prefixes},
    recall::Recall,
    sampling::{Sampler, Stop, finish, sample, shuffled},
    semivalue::{Semivalue, of_all_coalitions, over_seeds, seeds},
    sums::Tally,
};

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AsymmetricShapley {
    /// The block of each player; lower blocks arrive first. Empty: players arrive one by one in
    /// their own order.
    pub blocks: Vec<usize>,
    /// Most players of a block whose coalitions are all evaluated.
    pub exact_up_to: usize,
    /// When to stop, where orders are sampled.
    pub stop: Stop,
}

impl Default for AsymmetricShapley {
    fn default() -> Self {
        Self { blocks: Vec::new(), exact_up_to: 12, stop: Stop::default() }
    }
}

impl NamedValuation for AsymmetricShapley {
    const INFO: ValuationInfo = ValuationInfo {
        name: "asymmetric-shapley",
        summary: "Shapley over the orders that respect who arrived first",
        estimates: "asymmetric-shapley",
        axioms: Axioms {
            is_efficient: true,
            is_symmetric: false,
            is_null_free: true,
            is_linear: true,
        },
    };

    fn check(&self) -> Result<(), String> {
        self.stop.check()
    }
}

impl Valuation for AsymmetricShapley {
    fn value(&self, game: &dyn Game, context: &ValuationContext<'_>) -> Result<Valued, GameError> {
        let players = game.players();
        let blocks = self.members(players)?;
        let largest = blocks.iter().map(Vec::len).max().unwrap_or(0);
        if largest <= self.exact_up_to && game.repeats() != Repeats::Endless {
            let mut evaluations = 0;
            let by_seed: Vec<_> = seeds(game)
                .map(|game| exact(&game, &blocks, &mut evaluations))
                .collect::<Result<_, _>>()?;
            return Ok(over_seeds(by_seed, evaluations));
        }
        let mut recall = Recall::new(game);
        let tally = Tally::of_means((players, game.outcomes()), game.repeats());
        let mut mean = MeanOfOrders::new(tally, |_, marginals| marginals);
        let arrivals = Arrivals { players, blocks };
        let stopped = sample(&mut recall, context, &self.stop, &arrivals, &mut mean)?;
        finish(&recall, stopped, &mean)
    }
}

impl AsymmetricShapley {
    /// Players of each block, first to arrive first.
    fn members(&self, players: usize) -> Result<Vec<Vec<usize>>, GameError> {
        let one_by_one: Vec<usize> = (0..players).collect();
        let blocks = if self.blocks.is_empty() { &one_by_one } else { &self.blocks };
        if blocks.len() != players {
            return Err(GameError::Unsuitable(format!(
                "`blocks` names {} players, the game has {players}\nhint: give the block of each player",
                blocks.len()
            )));
        }
        let mut names = blocks.clone();
        names.sort_unstable();
        names.dedup();
        let of = |name: &usize| (0..players).filter(|&player| blocks[player] == *name).collect();
        Ok(names.iter().map(of).collect())
    }
}

/// Each block's own game, on top of those who were there before it.
fn exact(
    game: &dyn Game,
    blocks: &[Vec<usize>],
    evaluations: &mut usize,
) -> Result<Array2<f64>, GameError> {
    let mut values = Array2::zeros((game.players(), game.outcomes()));
    let mut earlier = Coalition::empty(game.players());
    for members in blocks {
        let onto = Onto { game, earlier: &earlier, members };
        let weights = Semivalue::Shapley.size_weights(members.len());
        let found = of_all_coalitions(&onto, AsymmetricShapley::INFO.name, &weights)?;
        *evaluations += found.evaluations();
        for (&member, value) in members.iter().zip(found.values().outer_iter()) {
            values.row_mut(member).assign(&value);
            earlier.insert(member);
        }
    }
    Ok(values)
}

/// The game among `members` who join those that are there.
struct Onto<'a> {
    game: &'a dyn Game,
    earlier: &'a Coalition,
    members: &'a [usize],
}

impl Game for Onto<'_> {
    fn players(&self) -> usize {
        self.members.len()
    }

    fn outcomes(&self) -> usize {
        self.game.outcomes()
    }

    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let joined = |ask: &Ask| {
            let mut coalition = self.earlier.clone();
            for member in ask.coalition.members() {
                coalition.insert(self.members[member]);
            }
            Ask { coalition, repeat: ask.repeat }
        };
        self.game.values(&asks.iter().map(joined).collect::<Vec<_>>())
    }
}

struct Arrivals {
    players: usize,
    blocks: Vec<Vec<usize>>,
}

impl Sampler for Arrivals {
    type Draw = Vec<usize>;
    const STREAM: &'static str = "arrivals";

    fn most_coalitions(&self) -> usize {
        self.players + 1
    }

    fn draw(&self, _: u64, random: &mut ChaCha8Rng) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.players);
        for block in &self.blocks {
            order.extend(shuffled(block.len(), random).into_iter().map(|at| block[at]));
        }
        order
    }

    fn coalitions(&self, order: &Vec<usize>) -> Vec<Coalition> {
        prefixes(self.players, order)
    }
}
