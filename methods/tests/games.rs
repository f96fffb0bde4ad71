//! Values of games against closed forms, against other people's tables, and under their axioms.

use std::io::Cursor;

use attribench_core::{
    Ask, Game, GameError, GroupedGame, NamedValuation, Repeats, Stopped, TableGame, Valuation,
    ValuationContext, Valued, stream,
};
use attribench_methods::games::{
    Ame, AntitheticShapley, AsymmetricShapley, Banzhaf, BanzhafMsr, Beta, BetaPermutation,
    Datamodels, EgalitarianLeastCore, FaithfulGroup, GroupTesting, InfluenceSubsample, LeastCore,
    LeaveOneOut, PermutationShapley, REGISTRY, RotationShapley, Shapley, Stop, StratifiedShapley,
    TruncatedShapley, toy,
};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use proptest::prelude::*;
use rand_distr::{Distribution, StandardNormal};

fn value(of: &dyn Valuation, game: &dyn Game, seed: u64) -> Valued {
    of.value(game, &ValuationContext::new(seed, &|_| {})).unwrap()
}

fn column(of: &dyn Valuation, game: &dyn Game) -> Vec<f64> {
    value(of, game, 0).values().column(0).to_vec()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
    }
}

fn fact(valued: &Valued, name: &str) -> f64 {
    valued.facts().iter().find(|(found, _)| *found == name).expect("the fact is told").1
}

type Analytic = (TableGame, Vec<f64>, Vec<f64>, Vec<f64>);
type Sampled = (&'static str, Box<dyn Valuation>, Box<dyn Valuation>);

/// Games of definitions 8.1 with their Shapley, Banzhaf and leave-one-out values.
fn analytic() -> Vec<Analytic> {
    let edges = [(0, 1, 3.0), (0, 2, 5.0), (0, 3, 6.0), (1, 2, 2.0), (1, 3, 4.0), (2, 3, 1.0)];
    vec![
        (
            toy::voting(6.0, &[4.0, 3.0, 2.0, 1.0]).unwrap(),
            vec![5.0 / 12.0, 0.25, 0.25, 1.0 / 12.0],
            vec![5.0 / 8.0, 3.0 / 8.0, 3.0 / 8.0, 1.0 / 8.0],
            vec![0.0; 4],
        ),
        (
            toy::airport(&[1.0, 2.0, 4.0, 7.0]).unwrap(),
            vec![-0.25, -7.0 / 12.0, -19.0 / 12.0, -55.0 / 12.0],
            vec![-1.0 / 8.0, -3.0 / 8.0, -11.0 / 8.0, -35.0 / 8.0],
            vec![0.0, 0.0, 0.0, -3.0],
        ),
        (
            toy::gloves(1, 2).unwrap(),
            vec![2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0],
            vec![0.75, 0.25, 0.25],
            vec![1.0, 0.0, 0.0],
        ),
        (
            toy::gloves(2, 3).unwrap(),
            [[13.0 / 20.0; 2].as_slice(), &[7.0 / 30.0; 3]].concat(),
            [[11.0 / 16.0; 2].as_slice(), &[5.0 / 16.0; 3]].concat(),
            vec![1.0, 1.0, 0.0, 0.0, 0.0],
        ),
        (
            toy::spanning_tree(3, &edges).unwrap(),
            vec![-7.0 / 6.0, -5.0 / 3.0, -19.0 / 6.0],
            vec![-1.0, -1.5, -3.0],
            vec![0.0, 1.0, -1.0],
        ),
        (
            toy::coverage(&[0b0011, 0b0110, 0b0110, 0b1000]).unwrap(),
            vec![4.0 / 3.0, 5.0 / 6.0, 5.0 / 6.0, 1.0],
            vec![1.25, 0.75, 0.75, 1.0],
            vec![1.0, 0.0, 0.0, 1.0],
        ),
        (toy::majority(3).unwrap(), vec![1.0 / 3.0; 3], vec![0.5; 3], vec![0.0; 3]),
    ]
}

#[test]
fn exact_values_of_analytic_games() {
    for (game, shapley, banzhaf, leave_one_out) in analytic() {
        assert_close(&column(&Shapley::default(), &game), &shapley, 1e-12);
        assert_close(&column(&Banzhaf::default(), &game), &banzhaf, 1e-12);
        assert_close(&column(&LeaveOneOut::default(), &game), &leave_one_out, 1e-12);
        // One block of arrivals is the Shapley value, and so is one group for each item.
        let blocks = vec![3; game.players()];
        let at_once = AsymmetricShapley { blocks, ..Default::default() };
        assert_close(&column(&at_once, &game), &shapley, 1e-12);
        assert_close(&column(&FaithfulGroup::default(), &game), &shapley, 1e-12);
    }
    let costs = [3.0, 1.0, 8.0, 2.5, 2.5];
    let game = toy::airport(&costs).unwrap();
    assert_close(&column(&Shapley::default(), &game), &toy::airport_shapley(&costs), 1e-12);
    // Majority of 5: C(4, 2) / 2^4 = 3/8.
    let game = toy::majority(5).unwrap();
    assert_close(&column(&Banzhaf::default(), &game), &[0.375; 5], 1e-12);
}

#[test]
fn beta_values_of_the_voting_game() {
    let game = toy::voting(6.0, &[4.0, 3.0, 2.0, 1.0]).unwrap();
    let beta = |alpha, beta| column(&Beta { alpha, beta }, &game);
    let expected = [0.304_761_904_762, 0.171_428_571_429, 0.171_428_571_429, 0.038_095_238_095];
    assert_close(&beta(4.0, 1.0), &expected, 1e-12);
    let expected = [0.110_079_119_367, 0.057_791_537_668, 0.057_791_537_668, 0.005_503_955_968];
    assert_close(&beta(16.0, 1.0), &expected, 1e-12);
}

#[test]
fn least_cores_of_analytic_games() {
    let third = 1.0 / 3.0;
    let edges = [(0, 1, 3.0), (0, 2, 5.0), (0, 3, 6.0), (1, 2, 2.0), (1, 3, 4.0), (2, 3, 1.0)];
    let cases = [
        (
            toy::voting(6.0, &[4.0, 3.0, 2.0, 1.0]).unwrap(),
            third,
            Some(vec![third, third, third, 0.0]),
        ),
        (toy::airport(&[1.0, 2.0, 4.0, 7.0]).unwrap(), -0.5, Some(vec![-0.5, -1.0, -2.0, -3.5])),
        (toy::gloves(1, 2).unwrap(), 0.0, Some(vec![1.0, 0.0, 0.0])),
        (toy::spanning_tree(3, &edges).unwrap(), -1.5, Some(vec![-1.5, -2.0, -2.5])),
        (toy::majority(3).unwrap(), third, None),
    ];
    for (game, e, egalitarian) in cases {
        let found = value(&LeastCore::default(), &game, 0);
        assert!((fact(&found, "e") - e).abs() < 1e-12);
        let found = value(&EgalitarianLeastCore::default(), &game, 0);
        if let Some(expected) = egalitarian {
            assert_close(&found.values().column(0).to_vec(), &expected, 1e-12);
        }
    }
}

#[test]
fn who_arrives_first_is_paid_for_what_both_bring() {
    let voting = toy::voting(6.0, &[4.0, 3.0, 2.0, 1.0]).unwrap();
    let blocks = |blocks: &[usize]| AsymmetricShapley {
        blocks: blocks.to_vec(),
        ..AsymmetricShapley::default()
    };
    assert_close(&column(&blocks(&[0, 0, 1, 1]), &voting), &[0.5, 0.5, 0.0, 0.0], 1e-12);
    let coverage = toy::coverage(&[0b0011, 0b0110, 0b0110, 0b1000]).unwrap();
    assert_close(&column(&blocks(&[]), &coverage), &[2.0, 1.0, 0.0, 1.0], 1e-12);
    assert_close(&column(&blocks(&[3, 2, 1, 0]), &coverage), &[1.0, 0.0, 2.0, 1.0], 1e-12);
}

#[test]
fn splitting_accounts_pays_where_groups_are_players_and_not_by_items() {
    let items = toy::square_root(4).unwrap();
    let shapley = |accounts: Vec<Vec<usize>>| {
        column(&Shapley::default(), &GroupedGame::new(&items, accounts).unwrap())
    };
    assert_close(&shapley(vec![vec![0, 1], vec![2, 3]]), &[1.0, 1.0], 1e-12);
    let split = shapley(vec![vec![0], vec![1], vec![2, 3]]);
    assert_close(&[split[0] + split[1], split[2]], &[1.089_316_397_477, 0.910_683_602_523], 1e-12);
    let faithful = |groups: &[usize]| {
        let value = FaithfulGroup { groups: groups.to_vec(), ..Default::default() };
        column(&value, &items)
    };
    assert_close(&faithful(&[0, 0, 1, 1]), &[1.0, 1.0], 1e-12);
    assert_close(&faithful(&[0, 2, 1, 1]), &[0.5, 1.0, 0.5], 1e-12);
}

/// Samplers with what they estimate.
fn samplers(stop: Stop) -> Vec<Sampled> {
    let shapley = || Box::new(Shapley::default());
    let (alpha, beta) = (4.0, 1.0);
    vec![
        ("permutation", Box::new(PermutationShapley { stop }), shapley()),
        ("antithetic", Box::new(AntitheticShapley { stop }), shapley()),
        ("stratified", Box::new(StratifiedShapley { stop }), shapley()),
        ("rotation", Box::new(RotationShapley { stop }), shapley()),
        ("group testing", Box::new(GroupTesting { stop }), shapley()),
        ("tmc", Box::new(TruncatedShapley { tolerance: Some(0.0), stop }), shapley()),
        (
            "arrivals",
            Box::new(AsymmetricShapley { blocks: vec![], exact_up_to: 0, stop }),
            Box::new(AsymmetricShapley::default()),
        ),
        ("faithful", Box::new(FaithfulGroup { groups: vec![], exact_up_to: 0, stop }), shapley()),
        ("beta", Box::new(BetaPermutation { alpha, beta, stop }), Box::new(Beta { alpha, beta })),
        ("msr", Box::new(BanzhafMsr { stop }), Box::new(Banzhaf::default())),
    ]
}

#[test]
fn samplers_stay_within_four_standard_errors() {
    for (game, ..) in analytic() {
        for (name, sampler, exact) in samplers(Stop::after(400)) {
            let exact = value(exact.as_ref(), &game, 0);
            let found = value(sampler.as_ref(), &game, 3);
            let errors = found.standard_errors();
            for (player, expected) in exact.values().column(0).iter().enumerate() {
                let error = errors.map_or(0.0, |errors| errors[(player, 0)]);
                let distance = (found.values()[(player, 0)] - expected).abs();
                // Every coalition at every place of a game of three may be drawn: then no error.
                assert!(distance <= 4.0 * error + 1e-12, "{name}: {distance} with {error}");
            }
        }
    }
}

#[test]
fn means_over_all_coalitions_are_banzhaf() {
    // definitions, 8.1: MSR over all subsets equals Banzhaf exactly.
    for (game, _, banzhaf, _) in analytic() {
        let players = game.players();
        let list: Vec<_> = (0..1u64 << players)
            .map(|m| attribench_core::Coalition::from_mask(players, m))
            .collect();
        let asks: Vec<Ask> = list.iter().cloned().map(Ask::first).collect();
        let worths = game.values(&asks).unwrap();
        let known = Known { list, worths };
        assert_close(&column(&BanzhafMsr { stop: Stop::after(64) }, &known), &banzhaf, 1e-12);
    }
}

/// A sample that happens to hold every coalition.
struct Known {
    list: Vec<attribench_core::Coalition>,
    worths: Array2<f64>,
}

impl Game for Known {
    fn players(&self) -> usize {
        self.list[0].players()
    }
    fn outcomes(&self) -> usize {
        1
    }
    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let row = |ask: &Ask| ask.coalition.mask() as usize;
        let rows: Vec<usize> = asks.iter().map(row).collect();
        Ok(self.worths.select(ndarray::Axis(0), &rows))
    }
    fn known(&self) -> Option<&[attribench_core::Coalition]> {
        Some(&self.list)
    }
}

/// A game with noise of deviation `noise`, fresh for every coalition and seed.
struct Noisy<'a> {
    game: &'a TableGame,
    noise: f64,
    seed: u64,
}

impl Game for Noisy<'_> {
    fn players(&self) -> usize {
        self.game.players()
    }
    fn outcomes(&self) -> usize {
        1
    }
    fn repeats(&self) -> Repeats {
        Repeats::Endless
    }
    fn values(&self, asks: &[Ask]) -> Result<Array2<f64>, GameError> {
        let mut values = self.game.values(asks)?;
        for (value, ask) in values.iter_mut().zip(asks) {
            let name = format!("noise/{}", ask.coalition.mask());
            let draw: f64 = StandardNormal.sample(&mut stream(self.seed, &name, ask.repeat));
            *value += self.noise * draw;
        }
        Ok(values)
    }
}

#[test]
fn standard_errors_cover_what_they_promise() {
    // Noise as large as the effects: an error that forgot the seeds would cover far less.
    let game = toy::coverage(&[0b0011, 0b0110, 0b0110, 0b1000, 0b1100]).unwrap();
    for (name, sampler, exact) in samplers(Stop::after(300)) {
        let exact = column(exact.as_ref(), &game);
        let (mut inside, mut total) = (0, 0);
        for seed in 0..60 {
            let noisy = Noisy { game: &game, noise: 0.5, seed };
            let found = value(sampler.as_ref(), &noisy, seed);
            let errors = found.standard_errors().expect("a noisy game has errors");
            for (player, expected) in exact.iter().enumerate() {
                let distance = (found.values()[(player, 0)] - expected).abs();
                inside += usize::from(distance <= 2.0 * errors[(player, 0)]);
                total += 1;
            }
        }
        // Two standard errors hold 95 % of a normal; 300 trials, of which the five of a seed
        // depend on each other, have a deviation of about 2 %. Few draws a seed (stratified: 6)
        // have the wider tails of Student's law: 90 %.
        let coverage = inside as f64 / total as f64;
        assert!((0.86..=0.995).contains(&coverage), "{name}: {coverage}");
    }
}

#[test]
fn seeds_of_a_table_are_in_the_error() {
    // Two seeds that differ by a constant gain of player 0: 1 and 3. Mean 2, error 1.
    let table = |gain: f64| Array2::from_shape_fn((4, 1), |(mask, _)| gain * (mask & 1) as f64);
    let game = TableGame::complete(2, vec![table(1.0), table(3.0)]).unwrap();
    let stop = Stop::after(64);
    let all: [&dyn Valuation; 4] = [
        &Shapley::default(),
        &LeaveOneOut::default(),
        &PermutationShapley { stop },
        &LeastCore::default(),
    ];
    for valuation in all {
        let found = value(valuation, &game, 0);
        // An odd number of draws sees one seed once more than the other.
        assert_close(&found.values().column(0).to_vec(), &[2.0, 0.0], 2e-3);
        assert!((found.standard_errors().unwrap()[(0, 0)] - 1.0).abs() < 2e-3);
    }
}

#[test]
fn regressions_find_an_additive_game() {
    // v(S) = sum of what its members bring: AME, datamodels and every semivalue are that.
    let brings = [3.0, 0.0, -1.0, 2.0, 0.5, 0.0];
    let game = TableGame::from_fn(6, |mask| {
        (0..6).filter(|player| mask >> player & 1 == 1).map(|player| brings[player]).sum()
    })
    .unwrap();
    let stop = Stop::after(300);
    // Penalties halve twelve times: 2^-12 of the largest covariance, over variances of 1/4.
    assert_close(&column(&Datamodels { stop }, &game), &brings, 5e-3);
    // The worth of the average coalition of a density is noise to AME's features.
    let found = value(&Ame { stop: Stop::after(2000), ..Ame::default() }, &game, 0);
    let errors = found.standard_errors().unwrap();
    for (player, expected) in brings.iter().enumerate() {
        let distance = (found.values()[(player, 0)] - expected).abs();
        assert!(distance < 4.0 * errors[(player, 0)] + 0.05, "{player}: {distance}");
    }
    // The contrast of fixed sizes is undone, so that it sums to v(N) like the game itself.
    let found = value(&InfluenceSubsample { share: 0.5, stop: Stop::after(2000) }, &game, 0);
    let errors = found.standard_errors().unwrap();
    for (player, expected) in brings.iter().enumerate() {
        let distance = (found.values()[(player, 0)] - expected).abs();
        assert!(distance < 4.0 * errors[(player, 0)], "{player}: {distance}");
    }
}

#[test]
fn the_shift_of_fixed_sizes_by_hand() {
    // Additive tau = (1, 2, 3), all coalitions of 2: {0,1} 3, {0,2} 4, {1,2} 5. Contrasts are
    // 3.5 - 5, 4 - 4, 4.5 - 3 = -3/2, 0, 3/2; undone ((n-1) x + T) / n with T = 6: 1, 2, 3. With
    // many draws every coalition comes up as often as the others, up to their error.
    let game = TableGame::from_fn(3, |mask| {
        (0..3).filter(|i| mask >> i & 1 == 1).map(|i| (i + 1) as f64).sum()
    })
    .unwrap();
    let stop = Stop::after(3000);
    let found = column(&InfluenceSubsample { share: 2.0 / 3.0, stop }, &game);
    assert_close(&found, &[1.0, 2.0, 3.0], 0.05);
}

#[test]
fn samplers_stop_by_rule() {
    let game = toy::airport(&(1..=12).map(f64::from).collect::<Vec<_>>()).unwrap();
    let stop = Stop { standard_error: Some(0.2), ..Stop::after(100_000) };
    let found = value(&PermutationShapley { stop }, &game, 1);
    assert_eq!(found.stopped(), Stopped::StandardError);
    assert!(found.standard_errors().unwrap().iter().all(|error| *error <= 0.2));
    let stop = Stop { rank_stability: Some(0.9), ..Stop::after(100_000) };
    let found = value(&PermutationShapley { stop }, &game, 1);
    assert_eq!(found.stopped(), Stopped::RankStability);
    let found = value(&PermutationShapley { stop: Stop::after(100) }, &game, 1);
    assert_eq!(found.stopped(), Stopped::Evaluations);
    assert!(found.evaluations() <= 100);
}

#[test]
fn orders_are_cut_where_nothing_is_left_to_gain() {
    // Who comes first wins everything: all that follow are cut.
    let game = TableGame::from_fn(8, |mask| f64::from(u8::from(mask != 0))).unwrap();
    let stop = Stop::after(200);
    let found = value(&TruncatedShapley { tolerance: Some(0.5), stop }, &game, 0);
    assert!((fact(&found, "truncated-share") - 7.0 / 8.0).abs() < 1e-12);
    let total: f64 = found.values().iter().sum();
    assert!((total - 1.0).abs() < 1e-12);
}

#[test]
fn sampled_cores_say_how_wrong_they_are() {
    let game = toy::airport(&(1..=18).map(f64::from).collect::<Vec<_>>()).unwrap();
    let found = value(&LeastCore { exact_up_to: 4, stop: Stop::after(600) }, &game, 0);
    let exact_total: f64 = found.values().iter().sum();
    assert!((exact_total + 18.0).abs() < 1e-9);
    assert!(fact(&found, "held-out-violation") >= -1e-9);
    assert!(found.standard_errors().is_some());
}

#[test]
fn other_peoples_table_of_ten_contributors() {
    let bytes = include_bytes!("oracles/digits_shapley_exact10.npz");
    let mut file = NpzReader::new(Cursor::new(&bytes[..])).unwrap();
    let utility: Array2<f64> = file.by_name("utility").unwrap();
    // The empty coalition's value is part of the table.
    let game = TableGame::complete(10, vec![utility]).unwrap();
    let values: [(&str, &dyn Valuation); 5] = [
        ("shapley", &Shapley::default()),
        ("banzhaf", &Banzhaf::default()),
        ("beta16_1", &Beta { alpha: 16.0, beta: 1.0 }),
        ("beta4_1", &Beta { alpha: 4.0, beta: 1.0 }),
        ("loo", &LeaveOneOut::default()),
    ];
    for (name, valuation) in values {
        let found = value(valuation, &game, 0);
        for (outcome, prefix) in ["negloss", "acc"].into_iter().enumerate() {
            let expected: Array1<f64> = file.by_name(&format!("{prefix}_{name}")).unwrap();
            let found = found.values().column(outcome).to_vec();
            assert_close(&found, expected.as_slice().unwrap(), 1e-12);
        }
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let context = ValuationContext::new(0, &|_| {});
    let list = vec![attribench_core::Coalition::from_mask(3, 1)];
    let sample = TableGame::sampled(3, list, Array2::ones((1, 1))).unwrap();
    let error = Shapley::default().value(&sample, &context).unwrap_err();
    assert!(error.to_string().contains("hint: give all 2^3 coalitions"), "{error}");
    let large = toy::square_root(20).unwrap();
    let many = GroupedGame::new(&large, (0..21).map(|i| vec![i % 20]).collect()).unwrap();
    assert!(matches!(
        Banzhaf::default().value(&many, &context),
        Err(GameError::TooManyPlayers { players: 21, .. })
    ));
    let build = |name: &str, parameters: serde_json::Value| {
        let entry = REGISTRY.iter().find(|entry| entry.info.name == name).unwrap();
        (entry.build)(parameters).err().map(|error| error.to_string())
    };
    assert!(build("beta", serde_json::json!({"alpha": -1.0})).unwrap().contains("positive"));
    assert!(build("permutation-shapley", serde_json::json!({"steps": 3})).is_some());
    assert!(
        build("permutation-shapley", serde_json::json!({"stop": {"evaluations": 9}})).is_none()
    );
}

#[test]
fn names_are_unique() {
    let mut names: Vec<&str> = REGISTRY.iter().map(|entry| entry.info.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REGISTRY.len());
    assert_eq!(Shapley::INFO.name, "shapley");
}

/// The exact values that claim axioms, and the sampled ones that keep them draw by draw.
fn with_axioms() -> Vec<(attribench_core::Axioms, Box<dyn Valuation>)> {
    let stop = Stop::after(60);
    vec![
        (Shapley::INFO.axioms, Box::new(Shapley::default())),
        (Banzhaf::INFO.axioms, Box::new(Banzhaf::default())),
        (Beta::INFO.axioms, Box::new(Beta::default())),
        (LeaveOneOut::INFO.axioms, Box::new(LeaveOneOut::default())),
        (LeastCore::INFO.axioms, Box::new(LeastCore::default())),
        (EgalitarianLeastCore::INFO.axioms, Box::new(EgalitarianLeastCore::default())),
        (AsymmetricShapley::INFO.axioms, Box::new(AsymmetricShapley::default())),
        (FaithfulGroup::INFO.axioms, Box::new(FaithfulGroup::default())),
        (
            attribench_core::Axioms { is_symmetric: false, ..PermutationShapley::INFO.axioms },
            Box::new(PermutationShapley { stop }),
        ),
        (
            attribench_core::Axioms { is_symmetric: false, ..RotationShapley::INFO.axioms },
            Box::new(RotationShapley { stop }),
        ),
        (
            attribench_core::Axioms {
                is_symmetric: false,
                is_null_free: false,
                ..GroupTesting::INFO.axioms
            },
            Box::new(GroupTesting { stop }),
        ),
    ]
}

fn game_of(numbers: &[f64]) -> TableGame {
    let players = numbers.len().ilog2() as usize;
    TableGame::from_fn(players, |mask| numbers[mask as usize]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn values_keep_the_axioms_they_claim(
        first in prop::collection::vec(-5.0f64..5.0, 16),
        second in prop::collection::vec(-5.0f64..5.0, 16),
        factor in -2.0f64..2.0,
    ) {
        // Player 3 is null and players 0 and 1 are interchangeable in `ordered`.
        let ordered: Vec<f64> = (0..16usize)
            .map(|mask| {
                let mask = mask & 0b0111;
                let swapped = (mask & 0b100) | (mask & 1) << 1 | (mask >> 1 & 1);
                first[mask] + first[swapped]
            })
            .collect();
        let sum: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a + factor * b).collect();
        for (axioms, valuation) in with_axioms() {
            let of = |numbers: &[f64]| column(valuation.as_ref(), &game_of(numbers));
            let (a, b, both) = (of(&first), of(&second), of(&sum));
            if axioms.is_efficient {
                prop_assert!((a.iter().sum::<f64>() - (first[15] - first[0])).abs() < 1e-9);
            }
            if axioms.is_linear {
                for ((a, b), both) in a.iter().zip(&b).zip(&both) {
                    prop_assert!((a + factor * b - both).abs() < 1e-9);
                }
            }
            let found = of(&ordered);
            if axioms.is_symmetric {
                prop_assert!((found[0] - found[1]).abs() < 1e-8, "{found:?}");
            }
            if axioms.is_null_free {
                prop_assert!(found[3].abs() < 1e-9, "{found:?}");
            }
        }
    }
}
