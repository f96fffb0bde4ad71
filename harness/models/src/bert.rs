//! Encoder of texts in the form of BERT, trained by somebody else.

use std::ops::Range;

use attribench_core::{Encoder, ParameterError, Real, TakeTensor, math};
use ndarray::{Array1, Array2, ArrayViewMut1, Axis, s};
use serde_json::Value;

use crate::description::{count, expect, number, required};

/// Texts whose tokens go through the dense layers together.
const BLOCK_TEXTS: usize = 32;

/// Tokens and positions are looked up and normalised, and blocks follow, `x <- norm(x + W_o
/// attention(x))` and then `x <- norm(x + W_2 gelu(W_1 x))`, in which every position sees all of
/// its text (Devlin and others 2019). A text's vector is the mean over its positions, divided by
/// its length (Reimers and Gurevych 2019).
///
/// Texts are not padded: their positions stand one under the other, and attention alone knows where
/// a text ends. There is one reading, forwards and in `f32`.
pub(crate) struct Bert {
    /// `(v, d)`.
    tokens: Array2<f32>,
    /// With the vector that all tokens of a single text have in common, `(s, d)`.
    positions: Array2<f32>,
    norm: Norm,
    blocks: Vec<Block>,
    heads: usize,
}

/// `y = W x + b`.
struct Dense {
    /// `(out, in)`.
    weight: Array2<f32>,
    bias: Array1<f32>,
}

/// `y = gamma (x - mean) / sqrt(variance + epsilon) + beta`.
struct Norm {
    scales: Vec<f32>,
    shifts: Vec<f32>,
    epsilon: f64,
}

struct Block {
    queries: Dense,
    keys: Dense,
    values: Dense,
    projection: Dense,
    norm1: Norm,
    expand: Dense,
    contract: Dense,
    norm2: Norm,
}

impl Dense {
    /// `(r, in) x (in, out) -> (r, out)`
    fn of(&self, x: &Array2<f32>) -> Array2<f32> {
        let mut y = Array2::zeros((x.nrows(), self.weight.nrows()));
        y.assign(&self.bias);
        math::matmul_into(y.view_mut(), 1.0, x.view(), self.weight.t(), 1.0);
        y
    }
}

impl Norm {
    fn apply(&self, x: &mut Array2<f32>) {
        let width = self.scales.len() as f64;
        for mut row in x.outer_iter_mut() {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / width;
            let square = |&x: &f32| (f64::from(x) - mean) * (f64::from(x) - mean);
            let variance = row.iter().map(square).sum::<f64>() / width;
            let scale = 1.0 / (variance + self.epsilon).sqrt();
            for ((x, &gamma), &beta) in row.iter_mut().zip(&self.scales).zip(&self.shifts) {
                *x = ((f64::from(*x) - mean) * scale) as f32 * gamma + beta;
            }
        }
    }
}

/// `x Phi(x)` with the distribution function of the normal distribution.
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Softmax of every row.
fn softmax(scores: &mut Array2<f32>) {
    for mut row in scores.outer_iter_mut() {
        let row = row.as_slice_mut().expect("rows are contiguous");
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|score| *score -= top);
        f32::exp_in_place(row);
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|weight| *weight /= sum);
    }
}

impl Block {
    /// The stream `(r, d)` behind the block; `texts` are the rows of each text.
    fn of(&self, x: Array2<f32>, texts: &[Range<usize>], heads: usize) -> Array2<f32> {
        let mut y = self.projection.of(&self.attention(&x, texts, heads));
        y += &x;
        self.norm1.apply(&mut y);
        let mut hidden = self.expand.of(&y);
        hidden.mapv_inplace(gelu);
        let mut z = self.contract.of(&hidden);
        z += &y;
        self.norm2.apply(&mut z);
        z
    }

    /// `softmax(q k^T / sqrt(d_h)) v` of every head within every text, `(r, d)`.
    fn attention(&self, x: &Array2<f32>, texts: &[Range<usize>], heads: usize) -> Array2<f32> {
        let (q, k, v) = (self.queries.of(x), self.keys.of(x), self.values.of(x));
        let mut found = Array2::zeros(x.dim());
        let width = x.ncols() / heads;
        let scale = 1.0 / (width as f32).sqrt();
        for rows in texts {
            for head in 0..heads {
                let part = s![rows.clone(), head * width..(head + 1) * width];
                let mut weights = Array2::zeros((rows.len(), rows.len()));
                // (s, d_h) x (d_h, s) -> (s, s)
                let (q, k) = (q.slice(part), k.slice(part));
                math::matmul_into(weights.view_mut(), 0.0, q, k.t(), scale);
                softmax(&mut weights);
                // (s, s) x (s, d_h) -> (s, d_h)
                let to = found.slice_mut(part);
                math::matmul_into(to, 0.0, weights.view(), v.slice(part), 1.0);
            }
        }
        found
    }
}

impl Bert {
    /// The encoder that a `config.json` of Hugging Face describes.
    pub(crate) fn build(
        config: &Value,
        take: &mut TakeTensor<'_>,
    ) -> Result<Box<dyn Encoder>, ParameterError> {
        let bert = Self::of_hugging_face(config, take).map_err(ParameterError::Range)?;
        Ok(Box::new(bert))
    }

    fn of_hugging_face(config: &Value, take: &mut TakeTensor<'_>) -> Result<Self, String> {
        for (key, known) in [
            ("hidden_act", "gelu".into()),
            ("position_embedding_type", "absolute".into()),
            ("is_decoder", false.into()),
        ] {
            expect(config, key, &known)?;
        }
        let size = |key: &str| match required(count(config, key), key)? {
            0 => Err(format!("`{key}` is 0\nhint: is the file whole?")),
            size => Ok(size),
        };
        let (width, hidden) = (size("hidden_size")?, size("intermediate_size")?);
        let heads = size("num_attention_heads")?;
        if !width.is_multiple_of(heads) {
            return Err(format!(
                "`num_attention_heads` of {heads} does not divide `hidden_size` of {width}\n\
                 hint: is the file whole?"
            ));
        }
        let epsilon = required(number(config, "layer_norm_eps"), "layer_norm_eps")?;
        let mut file = Reader { take, epsilon };
        let tokens = file.matrix("embeddings.word_embeddings", size("vocab_size")?, width)?;
        let longest = size("max_position_embeddings")?;
        let mut positions = file.matrix("embeddings.position_embeddings", longest, width)?;
        let kinds = size("type_vocab_size")?;
        positions += &file.matrix("embeddings.token_type_embeddings", kinds, width)?.row(0);
        let norm = file.norm("embeddings.LayerNorm", width)?;
        let block = |index| file.block(index, (width, hidden));
        let blocks = (0..size("num_hidden_layers")?).map(block).collect::<Result<_, _>>()?;
        Ok(Self { tokens, positions, norm, blocks, heads })
    }

    /// The vectors of a few texts.
    fn embed_block(&self, texts: &[Vec<u32>]) -> Array2<f32> {
        let mut rows = Vec::with_capacity(texts.len());
        let mut end = 0;
        for text in texts {
            assert!((1..=self.longest()).contains(&text.len()), "a text of {} tokens", text.len());
            rows.push(end..end + text.len());
            end += text.len();
        }
        let mut x = Array2::zeros((end, self.tokens.ncols()));
        let placed = texts.iter().flat_map(|text| text.iter().enumerate());
        for (mut row, (position, &token)) in x.outer_iter_mut().zip(placed) {
            row.assign(&self.tokens.row(token as usize));
            row += &self.positions.row(position);
        }
        self.norm.apply(&mut x);
        for block in &self.blocks {
            x = block.of(x, &rows, self.heads);
        }
        let mut found = Array2::zeros((texts.len(), x.ncols()));
        for (rows, found) in rows.iter().zip(found.outer_iter_mut()) {
            pool(&x.slice(s![rows.clone(), ..]).to_owned(), found);
        }
        found
    }
}

/// The mean of the rows, divided by its length.
fn pool(rows: &Array2<f32>, mut to: ArrayViewMut1<'_, f32>) {
    let sums = rows.mapv(f64::from).sum_axis(Axis(0));
    let length = sums.dot(&sums).sqrt();
    // All zeros have no direction.
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    to.assign(&sums.mapv(|sum| (sum * scale) as f32));
}

impl Encoder for Bert {
    fn vocabulary(&self) -> usize {
        self.tokens.nrows()
    }

    fn longest(&self) -> usize {
        self.positions.nrows()
    }

    fn embed(&self, texts: &[Vec<u32>]) -> Array2<f32> {
        let mut found = Array2::zeros((texts.len(), self.tokens.ncols()));
        let blocks = found.axis_chunks_iter_mut(Axis(0), BLOCK_TEXTS);
        for (mut found, texts) in blocks.zip(texts.chunks(BLOCK_TEXTS)) {
            found.assign(&self.embed_block(texts));
        }
        found
    }
}

/// Tensors under the names of Hugging Face's transformers.
struct Reader<'t, 'f> {
    take: &'t mut TakeTensor<'f>,
    epsilon: f64,
}

impl Reader<'_, '_> {
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Array2<f32>, String> {
        let values = (self.take)(&format!("{name}.weight"), &[rows, columns])?;
        Ok(Array2::from_shape_vec((rows, columns), values).expect("the shape was asked for"))
    }

    fn dense(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Dense, String> {
        let weight = self.matrix(name, outputs, inputs)?;
        let bias = (self.take)(&format!("{name}.bias"), &[outputs])?.into();
        Ok(Dense { weight, bias })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, String> {
        let scales = (self.take)(&format!("{name}.weight"), &[width])?;
        let shifts = (self.take)(&format!("{name}.bias"), &[width])?;
        Ok(Norm { scales, shifts, epsilon: self.epsilon })
    }

    fn block(&mut self, index: usize, (d, hidden): (usize, usize)) -> Result<Block, String> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        Ok(Block {
            queries: self.dense(&name("attention.self.query"), d, d)?,
            keys: self.dense(&name("attention.self.key"), d, d)?,
            values: self.dense(&name("attention.self.value"), d, d)?,
            projection: self.dense(&name("attention.output.dense"), d, d)?,
            norm1: self.norm(&name("attention.output.LayerNorm"), d)?,
            expand: self.dense(&name("intermediate.dense"), d, hidden)?,
            contract: self.dense(&name("output.dense"), hidden, d)?,
            norm2: self.norm(&name("output.LayerNorm"), d)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::Encoder;
    use ndarray::{Array2, array};
    use serde_json::{Value, json};

    use super::{Bert, gelu, pool};

    fn config() -> Value {
        json!({
            "model_type": "bert", "hidden_size": 4, "num_hidden_layers": 2, "vocab_size": 7,
            "num_attention_heads": 2, "intermediate_size": 6, "max_position_embeddings": 5,
            "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12
        })
    }

    fn built(config: &Value) -> Result<Box<dyn Encoder>, String> {
        let mut place = 0;
        let mut take = |_: &str, shape: &[usize]| {
            let value = |_| {
                place += 1;
                (1.7 * place as f32).sin()
            };
            Ok((0..shape.iter().product()).map(value).collect())
        };
        Bert::build(config, &mut take).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_by_hand() {
        // Phi(1) = 0.8413447461, Phi(-2) = 0.0227501319.
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((gelu(-2.0) + 2.0 * 0.022_750_13).abs() < 1e-6);
        // The mean (3, 4) has length 5.
        let mut pooled = Array2::zeros((1, 2));
        pool(&array![[2.0, 8.0], [4.0, 0.0]], pooled.row_mut(0));
        assert_eq!(pooled, array![[0.6, 0.8]]);
    }

    #[test]
    fn no_text_changes_anothers_vector() {
        let bert = built(&config()).unwrap();
        assert_eq!((bert.vocabulary(), bert.longest()), (7, 5));
        let text = |at: usize| (0..1 + at % 5).map(move |place| (at * 3 + place * 2) as u32 % 7);
        // More than one block.
        let texts: Vec<Vec<u32>> = (0..40).map(|at| text(at).collect()).collect();
        let together = bert.embed(&texts);
        for (text, together) in texts.iter().zip(together.outer_iter()) {
            let alone = bert.embed(std::slice::from_ref(text));
            for (alone, together) in alone.iter().zip(together) {
                assert!((alone - together).abs() < 1e-6, "{alone} and {together}");
            }
            let length: f32 = together.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-6);
        }
        // The order of tokens counts.
        let turned = bert.embed(&[vec![1, 2, 3], vec![3, 2, 1]]);
        assert!((&turned.row(0) - &turned.row(1)).iter().any(|gap| gap.abs() > 1e-3));
    }

    #[test]
    fn what_is_computed_otherwise_is_refused() {
        for (key, value) in [
            ("hidden_act", json!("relu")),
            ("position_embedding_type", json!("relative_key")),
            ("is_decoder", json!(true)),
            ("num_attention_heads", json!(3)),
            ("hidden_size", json!(0)),
            ("layer_norm_eps", Value::Null),
            ("vocab_size", Value::Null),
        ] {
            let mut config = config();
            config[key] = value;
            let refused = built(&config).err().expect("it is refused");
            assert!(refused.contains(&format!("`{key}`")), "{refused}");
            assert!(refused.contains("hint: "), "{refused}");
        }
    }
}
