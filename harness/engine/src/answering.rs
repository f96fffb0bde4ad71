//! An answer of a model of text: generated, and cut into the queries that were asked for it.
//!
//! Token `p` of the sequence is predicted from the window that begins at 0 where it fits, and
//! otherwise at the first multiple of half a window from which it fits. Where a model is asked at
//! some positions of a window only, each token has a window of its own, in which it is asked for at
//! the last of them. The queries of an answer ask for its tokens from those very windows, so that
//! their utilities sum to the logarithm of the probability with which the model gave the answer.

use std::sync::Arc;

use attribench_core::{
    Examples, Labels, Model, Queries, Real, TokenLoss, TokenTargets, Tokenizer, Utility, stream,
};
use ndarray::Array2;
use rand::RngExt;

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Tokens of the answer.
    pub tokens: usize,
    /// Logits are divided by it; 0 takes the likeliest token.
    pub temperature: f64,
    /// Root of the draws.
    pub seed: u64,
}

/// How texts lie in the windows of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Tokens of the texts.
    pub tokenizer: Arc<Tokenizer>,
    /// Positions of a window, `s`.
    pub positions: usize,
    /// Positions at which the model is ever asked, ascending.
    pub asked: Vec<usize>,
}

/// An edge, the prompt and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    sequence: Vec<u32>,
    /// Position of the answer's first token.
    first: usize,
    windows: Windows,
}

impl Answer {
    /// Lets the model go on with a prompt. The edge of a text is never chosen.
    pub fn generate<T: Real>(
        model: &dyn Model<T>,
        theta: &[T],
        windows: Windows,
        prompt: &str,
        sampling: Sampling,
    ) -> Self {
        let mut sequence = vec![windows.tokenizer.edge()];
        sequence.extend(windows.tokenizer.encode(prompt));
        let mut answer = Self { first: sequence.len(), sequence, windows };
        let mut draws = stream(sampling.seed, "explain", 0);
        for _ in 0..sampling.tokens {
            let place = answer.sequence.len();
            let end = answer.end_of(place);
            let outputs = model.outputs(theta, answer.read::<T>(&[end]).view());
            // (1, s c) -> (c) at the position that stands before the next token
            let tokens = outputs.ncols() / answer.windows.positions;
            let at = answer.position(place, end) * tokens;
            let mut logits: Vec<f64> =
                outputs.iter().skip(at).take(tokens).map(|logit| logit.to_f64()).collect();
            for (token, logit) in logits.iter_mut().enumerate() {
                if answer.windows.tokenizer.is_special(token as u32) {
                    *logit = f64::NEG_INFINITY;
                }
            }
            let next = choose(&logits, sampling.temperature, draws.random_range(0.0..1.0));
            answer.sequence.push(next as u32);
        }
        answer
    }

    /// The place behind the window from which the token at `place` is predicted.
    fn end_of(&self, place: usize) -> usize {
        let Windows { positions, asked, .. } = &self.windows;
        let (reach, last) = (asked.len(), asked.last().expect("a model is asked somewhere"));
        if reach <= *last {
            return place + positions - 1 - last;
        }
        let stride = (reach / 2).max(1);
        place.saturating_sub(reach).div_ceil(stride) * stride + positions
    }

    /// Position before the token at `place` in the window that ends before `end`.
    fn position(&self, place: usize, end: usize) -> usize {
        place + self.windows.positions - 1 - end
    }

    /// Tokens read in the windows that end before `ends`, padding before the first and behind the
    /// last, `(n, s)`.
    fn read<T: Real>(&self, ends: &[usize]) -> Array2<T> {
        let positions = self.windows.positions;
        Array2::from_shape_fn((ends.len(), positions), |(row, position)| {
            let place = (ends[row] + position).checked_sub(positions);
            let token = place.and_then(|place| self.sequence.get(place)).copied();
            T::from_f64(f64::from(token.unwrap_or(self.windows.tokenizer.padding())))
        })
    }

    /// One query for each window: the answer's tokens that are predicted from it.
    pub fn queries<T: Real>(&self, utility: Utility) -> Queries<T> {
        let places = self.first..self.sequence.len();
        let mut ends: Vec<usize> = places.clone().map(|place| self.end_of(place)).collect();
        ends.dedup();
        let shape = (ends.len(), self.windows.positions);
        let mut targets = Array2::from_elem(shape, TokenTargets::NONE);
        for place in places {
            let end = self.end_of(place);
            let row = ends.binary_search(&end).expect("every window is listed");
            targets[(row, self.position(place, end))] = self.sequence[place];
        }
        let tokens = TokenTargets::new(targets, TokenLoss::Sum);
        let tokens = tokens.spelt_by(self.windows.tokenizer.clone());
        Queries { examples: Examples::new(self.read(&ends), Labels::Tokens(tokens)), utility }
    }

    /// The answer without its prompt, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let answer = self.windows.tokenizer.spell(&self.sequence[self.first..]);
        answer.expect("a model chooses among the tokens that there are")
    }
}

/// The token below whose cumulated probability `draw` lies; the likeliest at temperature 0.
fn choose(logits: &[f64], temperature: f64, draw: f64) -> usize {
    let top = (0..logits.len()).fold(0, |top, token| match logits[token] > logits[top] {
        true => token,
        false => top,
    });
    if temperature == 0.0 {
        return top;
    }
    let weight = |logit: &f64| ((logit - logits[top]) / temperature).exp();
    let total: f64 = logits.iter().map(weight).sum();
    let mut left = draw * total;
    for (token, logit) in logits.iter().enumerate() {
        left -= weight(logit);
        if left < 0.0 {
            return token;
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use attribench_core::{DataShape, Labels, Model, Tokenizer, Utility};
    use attribench_models::{Gpt, Head, ModelSpec, Network, PositionKind, TextGenRnn};

    use super::{Answer, Sampling, Windows, choose};

    #[test]
    fn tokens_are_chosen_by_their_probability() {
        // Probabilities 1/6, 2/6 and 3/6.
        let logits = [1f64, 2.0, 3.0].map(f64::ln);
        let drawn = [0.1, 0.2, 0.49, 0.51, 0.99].map(|draw| choose(&logits, 1.0, draw));
        assert_eq!(drawn, [0, 1, 1, 2, 2]);
        assert_eq!(choose(&logits, 0.0, 0.1), 2);
        // Half the temperature squares them: 1/14, 4/14, 9/14.
        assert_eq!(choose(&logits, 0.5, 0.08), 1);
    }

    #[test]
    fn queries_ask_for_the_answer_from_the_windows_it_came_from() {
        let (positions, head) = (PositionKind::Learned, Head::Untied);
        let gpt = Gpt { layers: 1, width: 8, heads: 2, positions, head };
        let network = gpt.build(6, 256).unwrap();
        let asked = (0..6).collect();
        // Places 3 to 6 are predicted from 0, 7 to 9 from 3, 10 to 12 from 6, 13 from 9.
        check(
            &network,
            Windows { tokenizer: Tokenizer::bytes(), positions: 6, asked },
            &[4, 3, 3, 1],
        );
    }

    #[test]
    fn a_model_that_is_asked_here_and_there_answers_at_its_last_position() {
        let rnn = TextGenRnn { context: 3, embedding: 4, width: 4 };
        let asked = vec![2, 4];
        let shape = DataShape { inputs: 5, outputs: 256, asked: asked.clone() };
        let windows = Windows { tokenizer: Tokenizer::bytes(), positions: 5, asked };
        check(&rnn.build_for(&shape).unwrap(), windows, &[1; 11]);
    }

    /// `counts` of an answer of eleven tokens are asked for in each window.
    fn check(network: &Network, windows: Windows, counts: &[usize]) {
        let theta: Vec<f64> = network.initial_parameters(1);
        let theta: Vec<f64> = theta.iter().map(|value| value * 20.0).collect();
        let sampling = Sampling { tokens: 11, temperature: 1.0, seed: 3 };
        let answer = Answer::generate(network, &theta, windows.clone(), "ab", sampling);
        assert_eq!(answer.bytes().len(), 11);
        assert_eq!(answer, Answer::generate(network, &theta, windows, "ab", sampling));
        let queries = answer.queries::<f64>(Utility::NegativeLoss);
        let Labels::Tokens(tokens) = queries.examples.labels() else { panic!("tokens") };
        let found: Vec<usize> = (0..tokens.len()).map(|row| tokens.asked(row).count()).collect();
        assert_eq!(found, counts);
        let last = queries.examples.spelt(tokens.len() - 1).unwrap();
        assert!(answer.bytes().ends_with(&last[last.len() - 1..]));
        let asked = (0..tokens.len()).flat_map(|row| tokens.asked(row).collect::<Vec<_>>());
        let asked: Vec<u8> = asked.map(|(_, token)| token as u8).collect();
        assert_eq!(asked, answer.bytes());
        // The utilities sum to the log probability, token by token from what was read then.
        let found: f64 =
            network.utilities(&theta, &queries.examples, Utility::NegativeLoss).iter().sum();
        let mut expected = 0.0;
        for (row, example) in queries.examples.features().outer_iter().enumerate() {
            let read = example.to_owned().insert_axis(ndarray::Axis(0));
            let outputs = network.outputs(&theta, read.view());
            for (position, token) in tokens.asked(row) {
                let logits: Vec<f64> =
                    outputs.iter().skip(position * 256).take(256).copied().collect();
                let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
                expected += logits[token as usize] - total.ln();
            }
        }
        assert!((found - expected).abs() < 1e-10, "{found} {expected}");
    }
}
