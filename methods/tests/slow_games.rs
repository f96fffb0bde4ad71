//! Other people's game of ten contributors, every coalition of it retrained here.

use std::io::Cursor;

use attribench_core::{
    Examples, Labels, Optimiser, Queries, TableGame, Utility, Valuation, ValuationContext,
};
use attribench_engine::{
    given::Given,
    training::{Schedule, Trainer, Training},
};
use attribench_methods::games::{Banzhaf, Beta, LeaveOneOut, Shapley};
use attribench_models::{Activation, Network};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;

/// Mean cross-entropy over the coalition and `0.005 |theta|^2`, to its optimum.
#[test]
fn ten_contributors_retrained() {
    let bytes = include_bytes!("oracles/digits_shapley_exact10.npz");
    let mut file = NpzReader::new(Cursor::new(&bytes[..])).unwrap();
    let mut examples = |x: &str, y: &str| {
        let labels: Array1<i64> = file.by_name(y).unwrap();
        let labels = labels.iter().map(|&label| u32::try_from(label).unwrap()).collect();
        Examples::<f64>::new(file.by_name(x).unwrap(), Labels::Classes(labels))
    };
    let (train, queries) = (examples("X", "y"), examples("Xt", "yt"));
    let owner: Array1<i64> = file.by_name("owner").unwrap();
    let utility: Array2<f64> = file.by_name("utility").unwrap();
    let n = train.len();
    let training = Training {
        epochs: 1500,
        batch_size: n,
        learning_rate: 0.1,
        optimiser: Optimiser::heavy_ball(0.95, 0.01),
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    };
    let network = Network::dense(&[64, 10], Activation::Tanh);
    let trainer = Trainer::new(&network, &train, &training, 0);
    let initial = vec![0.0; trainer.initial().len()];
    let trainer = trainer.with_initial(initial);
    let queries = Queries { examples: queries, utility: Utility::NegativeLoss };
    let mut table = Array2::zeros((1024, 1));
    let masks: Vec<usize> = (0..1024).collect();
    for block in masks.chunks(32) {
        let weights: Vec<Vec<f64>> = block
            .iter()
            .map(|mask| {
                let is_in = |owner: &i64| mask >> owner & 1 == 1;
                let size = owner.iter().filter(|owner| is_in(owner)).count().max(1);
                // The divisor of a step is n; that of the coalition's mean is its size.
                let weight = n as f64 / size as f64;
                owner.iter().map(|owner| if is_in(owner) { weight } else { 0.0 }).collect()
            })
            .collect();
        for (&mask, theta) in block.iter().zip(trainer.final_parameters(&weights)) {
            let model: &dyn attribench_core::Model<f64> = &network;
            let found = model.utilities(&theta, &queries.examples, queries.utility);
            table[(mask, 0)] = found.iter().sum::<f64>() / found.len() as f64;
        }
    }
    for (mask, (found, expected)) in table.column(0).iter().zip(utility.column(0)).enumerate() {
        assert!((found - expected).abs() < 1e-6, "coalition {mask}: {found} is not {expected}");
    }
    let game = TableGame::complete(10, vec![table]).unwrap();
    let values: [(&str, &dyn Valuation); 4] = [
        ("shapley", &Shapley::default()),
        ("banzhaf", &Banzhaf::default()),
        ("beta16_1", &Beta { alpha: 16.0, beta: 1.0 }),
        ("loo", &LeaveOneOut::default()),
    ];
    for (name, valuation) in values {
        let found = valuation.value(&game, &ValuationContext::new(0, &|_| {})).unwrap();
        let expected: Array1<f64> = file.by_name(&format!("negloss_{name}")).unwrap();
        for (found, expected) in found.values().column(0).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found} is not {expected}");
        }
    }
}
