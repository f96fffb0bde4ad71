//! Exact references on runs of the trainer itself: what needs training again.

use attribench_core::{
    Account, AdamW, Examples, FitReal, Labels, Meter, Method, Model, Optimiser, Queries, Utility,
};
use attribench_engine::{
    given::Given,
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::{AumannShapley, Metagradient};
use attribench_models::{Activation, Network};
use ndarray::Array2;

const TRAINING: Training = Training {
    epochs: 2,
    batch_size: 2,
    learning_rate: 0.5,
    optimiser: Optimiser::heavy_ball(0.0, 0.0),
    clip_norm: None,
    schedule: Schedule::Constant,
    rounds: None,
    given: Given::NONE,
};

/// `l_i = 1/2 (theta - y_i)^2` of the bias of a line whose inputs are 0.
fn points(targets: &[f64]) -> Examples<f64> {
    Examples::new(Array2::zeros((targets.len(), 1)), Labels::Values(targets.to_vec()))
}

type Scored = (Vec<f64>, Vec<Account>, Meter);

fn scores<M: Method>(
    method: &M,
    trainer: &Trainer<'_, f64>,
    queries: &Queries<f64>,
) -> Result<Scored, String> {
    let run = TrainedRun::new(trainer.clone(), train_states(trainer), 1);
    let meter = Meter::default();
    let (values, accounts) = {
        let mut scorer =
            f64::fit(method, &run, &meter, 1).map_err(|refusal| refusal.to_string())?;
        let scores = scorer.score(queries).map_err(|refusal| refusal.to_string())?;
        (scores.values().iter().copied().collect(), scorer.accounts())
    };
    Ok((values, accounts, meter))
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn shares_of_two_steps_by_hand() {
    // y = (1, 3), full batch of 2, two steps of 1/2 from 0. At weights s: theta_1 = s,
    // theta_2 = s + (s / 2)(2 - s) = 2 s - s^2 / 2; f = -1/2 (theta_2 - 2)^2, from -2 to -1/8.
    // The integral of a polynomial of degree 5 in s is exact from three nodes on.
    let network = Network::dense(&[1, 1], Activation::Tanh);
    let train = points(&[1.0, 3.0]);
    let start = vec![0.0, 0.0];
    let cases = [
        (0.0, 2.0, [79.0 / 192.0, 281.0 / 192.0], 1.875),
        (0.5, 4.0, [1.338_541_666_667, 4.661_458_333_333], 6.0),
    ];
    for (momentum, target, expected, gain) in cases {
        let training = Training { optimiser: Optimiser::heavy_ball(momentum, 0.0), ..TRAINING };
        let trainer = Trainer::new(&network, &train, &training, 1).with_initial(start.clone());
        let queries = Queries { examples: points(&[target]), utility: Utility::NegativeLoss };
        for nodes in [3, 8] {
            let (found, accounts, meter) =
                scores(&AumannShapley { nodes }, &trainer, &queries).unwrap();
            assert_close(&found, &expected, 1e-12);
            assert_eq!(accounts[0].name, "gain");
            assert_close(&accounts[0].per_query, &[gain], 1e-14);
            assert_close(&accounts[1].per_query, &[0.0], 1e-14);
            assert_eq!(meter.cost().trainings, nodes as u64 + 1);
        }
    }
}

#[test]
fn shares_of_a_network_sum_to_its_gain() {
    let network = Network::dense(&[2, 4, 2], Activation::Tanh);
    let features =
        Array2::from_shape_fn((12, 2), |(i, j)| ((i * 5 + j * 7) % 11) as f64 / 5.0 - 1.0);
    let labels = (0..12).map(|i| u32::from(features[(i, 0)] > features[(i, 1)])).collect();
    let train = Examples::new(features, Labels::Classes(labels));
    let optimiser = Optimiser::heavy_ball(0.5, 0.01);
    let training = Training { epochs: 6, batch_size: 5, learning_rate: 0.2, optimiser, ..TRAINING };
    let trainer = Trainer::new(&network, &train, &training, 3);
    let queries = Queries { examples: train.select(&[0, 5]), utility: Utility::Margin };
    let residual = |nodes: usize| {
        let (found, accounts, _) = scores(&AumannShapley { nodes }, &trainer, &queries).unwrap();
        let (gain, rounding) = (&accounts[0].per_query, &accounts[1].per_query);
        for query in 0..2 {
            let earned: f64 = found.iter().skip(query).step_by(2).sum();
            assert!((earned + rounding[query] - gain[query]).abs() < 1e-13);
            assert!(gain[query].abs() > 1e-2, "a gain of {} tests nothing", gain[query]);
        }
        // The gain is that of a run against one without any weight.
        let measure = |weight: f64| {
            let theta = trainer.final_parameters(&[vec![weight; 12]]).remove(0);
            network.utilities(&theta, &queries.examples, queries.utility)
        };
        let (all, none) = (measure(1.0), measure(0.0));
        assert_close(gain, &[all[0] - none[0], all[1] - none[1]], 1e-13);
        rounding.iter().fold(0.0f64, |top, value| top.max(value.abs()))
    };
    let (two, eight) = (residual(2), residual(8));
    assert!(eight < 1e-6 && eight < two / 10.0, "{two:e} with 2 nodes, {eight:e} with 8");
}

#[test]
fn runs_whose_gain_gathers_at_nothing_are_refused() {
    let network = Network::dense(&[1, 1], Activation::Tanh);
    let train = points(&[1.0, 3.0]);
    let queries = Queries { examples: points(&[2.0]), utility: Utility::NegativeLoss };
    let adam = Training { optimiser: Optimiser::AdamW(AdamW::default()), ..TRAINING };
    let clipped = Training { clip_norm: Some(1.0), ..TRAINING };
    for training in [adam, clipped] {
        let trainer = Trainer::new(&network, &train, &training, 1);
        let refusal = scores(&AumannShapley::default(), &trainer, &queries).unwrap_err();
        assert!(refusal.contains("hint: train with `sgd`"), "{refusal}");
        assert!(scores(&Metagradient::default(), &trainer, &queries).is_ok());
    }
}
