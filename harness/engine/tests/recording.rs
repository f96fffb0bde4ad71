//! What a recorder is told, and that telling changes nothing.

use attribench_core::{Examples, FitReal, Labels, Meter, Optimiser, Queries, Utility, stream};
use attribench_engine::{
    given::Given,
    recording::{
        NumberBytes, RecordedStep, Recorder, record_segment, record_states, state_of_bytes,
    },
    trace::{TrainedRun, train_states},
    training::{Schedule, Trainer, Training},
};
use attribench_methods::InRunShapley;
use attribench_models::{Activation, Network};
use ndarray::Array2;
use rand::RngExt;

const EXAMPLES: usize = 30;

fn examples(rows: usize, name: &str) -> Examples<f64> {
    let mut numbers = stream(3, name, 0);
    let features = Array2::from_shape_simple_fn((rows, 5), || numbers.random_range(-1.0f64..1.0));
    let labels = (0..rows).map(|_| numbers.random_range(0..3)).collect();
    Examples::new(features, Labels::Classes(labels))
}

fn training() -> Training {
    Training {
        epochs: 3,
        batch_size: 8,
        learning_rate: 0.1,
        optimiser: Optimiser::default(),
        clip_norm: None,
        schedule: Schedule::Constant,
        rounds: None,
        given: Given::NONE,
    }
}

fn owned(NumberBytes { width, bytes }: NumberBytes<'_>) -> NumberBytes<'static> {
    NumberBytes { width, bytes: bytes.into_owned().into() }
}

fn owned_step(step: RecordedStep<'_>) -> RecordedStep<'static> {
    let RecordedStep { index, learning_rate, batch, parameters, credits } = step;
    RecordedStep { index, learning_rate, batch, parameters: owned(parameters), credits }
}

/// Remembers everything.
#[derive(Default)]
struct Memory {
    batches: Vec<Vec<u32>>,
    steps: Vec<RecordedStep<'static>>,
    kept: Vec<(usize, NumberBytes<'static>, NumberBytes<'static>)>,
    ended: usize,
    refuse_at: Option<usize>,
}

impl Recorder for Memory {
    fn begin(&mut self, batches: &mut dyn Iterator<Item = Vec<u32>>) -> Result<(), String> {
        self.batches = batches.collect();
        Ok(())
    }

    fn step(&mut self, step: RecordedStep<'_>) -> Result<(), String> {
        if self.refuse_at == Some(step.index) {
            return Err("the disk is full".to_owned());
        }
        self.steps.push(owned_step(step));
        Ok(())
    }

    fn keep(
        &mut self,
        steps: usize,
        parameters: NumberBytes<'_>,
        optimizer: NumberBytes<'_>,
    ) -> Result<(), String> {
        self.kept.push((steps, owned(parameters), owned(optimizer)));
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.ended += 1;
        Ok(())
    }
}

#[test]
fn a_recorded_run_is_the_run() {
    let (train, shown) = (examples(EXAMPLES, "train"), examples(6, "queries"));
    let queries = Queries { examples: shown, utility: Utility::Margin };
    let network = Network::dense(&[5, 4, 3], Activation::Tanh);
    let training = training();
    let trainer = Trainer::new(&network, &train, &training, 7);
    let mut memory = Memory::default();
    let states = record_states(&trainer, &queries, &mut memory).unwrap();
    assert_eq!(states, train_states(&trainer));
    // 30 examples in batches of 8: 4 steps an epoch, 12 in all, and a state every 4.
    assert_eq!((memory.steps.len(), memory.ended), (12, 1));
    assert_eq!(memory.kept.iter().map(|kept| kept.0).collect::<Vec<_>>(), [0, 4, 8, 12]);
    let batches: Vec<&Vec<u32>> = memory.steps.iter().map(|step| &step.batch).collect();
    assert_eq!(batches, memory.batches.iter().collect::<Vec<_>>());
    assert_eq!(memory.steps[11].parameters, memory.kept[3].1);
}

#[test]
fn credits_are_those_of_in_run_shapley() {
    let (train, shown) = (examples(EXAMPLES, "train"), examples(6, "queries"));
    let queries = Queries { examples: shown, utility: Utility::Margin };
    let network = Network::dense(&[5, 4, 3], Activation::Tanh);
    let training = training();
    let trainer = Trainer::new(&network, &train, &training, 7);
    let mut memory = Memory::default();
    let states = record_states(&trainer, &queries, &mut memory).unwrap();
    let run = TrainedRun::new(trainer.clone(), states, 1);
    let meter = Meter::default();
    let mut scorer = f64::fit(&InRunShapley::default(), &run, &meter, 1).unwrap();
    let scores = scorer.score(&queries).unwrap();
    let expected = scores.values().mean_axis(ndarray::Axis(1)).unwrap();
    let mut found = [0.0; EXAMPLES];
    for step in &memory.steps {
        step.batch.iter().zip(&step.credits).for_each(|(id, credit)| found[*id as usize] += credit);
    }
    // Sums of 12 steps in f64: rounding alone, some 1e-15 of scores near 0.1.
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
    }
}

#[test]
fn steps_are_taken_again_from_kept_bytes() {
    let (train, shown) = (examples(EXAMPLES, "train"), examples(6, "queries"));
    let queries = Queries { examples: shown, utility: Utility::Margin };
    let network = Network::dense(&[5, 4, 3], Activation::Tanh);
    let training = Training { optimiser: Optimiser::heavy_ball(0.9, 0.01), ..training() };
    let trainer = Trainer::new(&network, &train, &training, 7);
    let mut memory = Memory::default();
    record_states(&trainer, &queries, &mut memory).unwrap();
    let (step, parameters, optimizer) = &memory.kept[1];
    let state = state_of_bytes(&trainer, *step, parameters, optimizer).unwrap();
    let mut again = vec![];
    let mut tell = |step: RecordedStep<'_>| {
        again.push(owned_step(step));
        Ok(())
    };
    record_segment(&trainer, &queries, &state, 8, &mut tell).unwrap();
    assert_eq!(again, memory.steps[4..8]);
    let cut = NumberBytes { width: 8, bytes: parameters.bytes[8..].into() };
    assert_eq!(state_of_bytes(&trainer, *step, &cut, optimizer), None);
    let narrow = NumberBytes { width: 4, ..parameters.clone() };
    assert_eq!(state_of_bytes(&trainer, *step, &narrow, optimizer), None);
}

#[test]
fn a_recorder_that_fails_stops_the_run() {
    let (train, shown) = (examples(EXAMPLES, "train"), examples(6, "queries"));
    let queries = Queries { examples: shown, utility: Utility::Margin };
    let network = Network::dense(&[5, 4, 3], Activation::Tanh);
    let training = training();
    let trainer = Trainer::new(&network, &train, &training, 7);
    let mut memory = Memory { refuse_at: Some(5), ..Memory::default() };
    let error = record_states(&trainer, &queries, &mut memory).unwrap_err().to_string();
    assert!(error.contains("step 5: the record of the run: the disk is full"), "{error}");
}
