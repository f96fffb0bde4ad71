//! Where a model's parameters lie in the flat vector, and what the layers that use them look like.

use std::ops::Range;

/// What a layer does with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// `y = W x + b`: the weight is row-major `(outputs, inputs)`, then `outputs` biases.
    ///
    /// Without inputs it is a vector of parameters whose gradient is the captured output gradient:
    /// scales, shifts, positions.
    Dense,
    /// `y = W x`: the weight is row-major `(outputs, inputs)`.
    DenseWithoutBias,
    /// `y = W[x]`, a row of a table for each token `x < inputs`: row-major `(inputs, outputs)`.
    Lookup,
}

/// One use of parameters by a layer.
///
/// A layer is applied at `positions` places of every example (the patches of a convolution, the
/// tokens of a text) with the same parameters, so that an example's gradient is the sum over its
/// positions `s` of `delta_s a_s^T`, with the input `a_s` (one-hot for a lookup) and the gradient
/// `delta_s` at the output; that of a bias is the sum of `delta_s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name, for instance `layer0`.
    pub name: String,
    /// What the layer does.
    pub kind: LayerKind,
    /// Start of the weight in the flat vector.
    pub weight_offset: usize,
    /// End of the weight, where the bias starts if there is one.
    pub bias_offset: usize,
    /// Width of the input; for a lookup the number of rows of its table.
    pub inputs: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Positions of an example at which the layer is applied.
    pub positions: usize,
    /// Outputs of the layers that other programs keep in its place, one under the other in the
    /// weight; empty where it is one layer everywhere.
    pub parts: Vec<usize>,
}

impl Layer {
    /// A dense layer with bias at one position.
    pub fn dense(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self {
            name: name.into(),
            kind: LayerKind::Dense,
            weight_offset: 0,
            bias_offset: inputs * outputs,
            inputs,
            outputs,
            positions: 1,
            parts: Vec::new(),
        }
    }

    /// A dense layer without bias at one position.
    pub fn dense_without_bias(name: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self { kind: LayerKind::DenseWithoutBias, ..Self::dense(name, inputs, outputs) }
    }

    /// A table of `rows` rows of `width` numbers, looked up at one position.
    pub fn lookup(name: impl Into<String>, rows: usize, width: usize) -> Self {
        Self { kind: LayerKind::Lookup, ..Self::dense(name, rows, width) }
    }

    /// `length` parameters whose per-example gradient is captured as it is.
    pub fn vector(name: impl Into<String>, length: usize) -> Self {
        Self::dense(name, 0, length)
    }

    /// The same layer applied at `positions` positions of every example.
    #[must_use]
    pub fn at_positions(self, positions: usize) -> Self {
        Self { positions, ..self }
    }

    /// The same layer, which is several elsewhere, of so many outputs each.
    ///
    /// # Panics
    /// When they do not add up to its own.
    #[must_use]
    pub fn in_parts(self, parts: &[usize]) -> Self {
        assert_eq!(parts.iter().sum::<usize>(), self.outputs, "outputs of {}", self.name);
        Self { parts: parts.to_vec(), ..self }
    }

    /// Whether a bias follows the weight.
    pub fn has_bias(&self) -> bool {
        self.kind == LayerKind::Dense
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.inputs * self.outputs + if self.has_bias() { self.outputs } else { 0 }
    }

    /// Where all parameters lie in the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.weight_offset..self.weight_offset + self.parameters()
    }

    /// Where the biases lie in the flat vector; empty without bias.
    pub fn biases(&self) -> Range<usize> {
        self.bias_offset..self.weight_offset + self.parameters()
    }

    /// Rows and columns of the weight as it lies in memory.
    pub fn weight_shape(&self) -> (usize, usize) {
        match self.kind {
            LayerKind::Dense | LayerKind::DenseWithoutBias => (self.outputs, self.inputs),
            LayerKind::Lookup => (self.inputs, self.outputs),
        }
    }

    fn moved_to(self, offset: usize) -> Self {
        let bias_offset = offset + self.inputs * self.outputs;
        Self { weight_offset: offset, bias_offset, ..self }
    }
}

/// Parameters that belong together, with the layers that use them: one, or several that are tied.
///
/// The gradient of a block is the sum over its layers. Whoever squares or projects it must add
/// them up first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where the block lies in the flat vector.
    pub range: Range<usize>,
    /// Indices of its layers, at least one.
    pub layers: Vec<usize>,
}

/// The order of the parameters in the flat vector: block after block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    layers: Vec<Layer>,
    blocks: Vec<Block>,
    parameters: usize,
    features_enter_first: bool,
}

impl Layout {
    /// Dense layers in order of application, given `(inputs, outputs)` of each; the first reads the
    /// features.
    pub fn dense(widths: &[(usize, usize)]) -> Self {
        let mut layout = Self { features_enter_first: true, ..Self::default() };
        for (index, &(inputs, outputs)) in widths.iter().enumerate() {
            layout.push(Layer::dense(format!("layer{index}"), inputs, outputs));
        }
        layout
    }

    /// Appends a layer with parameters of its own; returns its index.
    pub fn push(&mut self, layer: Layer) -> usize {
        let layer = layer.moved_to(self.parameters);
        self.parameters += layer.parameters();
        self.blocks.push(Block { range: layer.range(), layers: vec![self.layers.len()] });
        self.layers.push(layer);
        self.layers.len() - 1
    }

    /// Appends a layer that uses the weight of layer `owner`; returns its index.
    ///
    /// # Panics
    /// When the two weights differ in shape, or one of the layers has a bias.
    pub fn push_tied(&mut self, layer: Layer, owner: usize) -> usize {
        let of_owner = &self.layers[owner];
        assert_eq!(layer.weight_shape(), of_owner.weight_shape(), "shapes of tied weights");
        assert!(!layer.has_bias() && !of_owner.has_bias(), "tied weights have no bias");
        self.layers.push(layer.moved_to(of_owner.weight_offset));
        let index = self.layers.len() - 1;
        let owns = |block: &&mut Block| block.layers.contains(&owner);
        let block = self.blocks.iter_mut().find(owns).expect("every layer is in a block");
        block.layers.push(index);
        index
    }

    /// The layers, first applied first; tied ones occur once for each use.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The blocks, in the order of the flat vector.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Length of the flat vector, `p`.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Whether the captured inputs of the first layer are the features, whatever the parameters.
    pub fn features_enter_first(&self) -> bool {
        self.features_enter_first
    }

    /// Numbers that the captures of one example hold.
    pub fn captured_numbers(&self) -> usize {
        let width = |layer: &Layer| match layer.kind {
            LayerKind::Dense | LayerKind::DenseWithoutBias => layer.inputs + layer.outputs,
            LayerKind::Lookup => 1 + layer.outputs,
        };
        self.layers.iter().map(|layer| layer.positions * width(layer)).sum()
    }

    /// The layout of the first `blocks` blocks, and that of the others as if they stood alone.
    ///
    /// # Panics
    /// When a block on one side has a layer that is applied among those of the other.
    pub fn split_at(&self, blocks: usize) -> (Self, Self) {
        let (first, rest) = self.blocks.split_at(blocks);
        let layers: usize = first.iter().map(|block| block.layers.len()).sum();
        let start = rest.first().map_or(self.parameters, |block| block.range.start);
        assert!(
            first.iter().all(|block| block.layers.iter().all(|&layer| layer < layers)),
            "the layers of the first blocks come first"
        );
        let moved = |layer: &Layer| layer.clone().moved_to(layer.weight_offset - start);
        let rest = Self {
            layers: self.layers[layers..].iter().map(moved).collect(),
            blocks: rest
                .iter()
                .map(|block| Block {
                    range: block.range.start - start..block.range.end - start,
                    layers: block.layers.iter().map(|&layer| layer - layers).collect(),
                })
                .collect(),
            parameters: self.parameters - start,
            features_enter_first: self.features_enter_first && blocks == 0,
        };
        let first = Self {
            layers: self.layers[..layers].to_vec(),
            blocks: first.to_vec(),
            parameters: start,
            features_enter_first: self.features_enter_first && blocks > 0,
        };
        (first, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, Layout};

    #[test]
    fn offsets_by_hand() {
        // A table 5 x 3, a vector of 4, a layer 3 -> 2 with bias at 6 positions, and the table as
        // the head 3 -> 5: 15 + 4 + (6 + 2) = 27 parameters, as the head has none of its own.
        let mut layout = Layout::default();
        let table = layout.push(Layer::lookup("table", 5, 3).at_positions(6));
        layout.push(Layer::vector("shift", 4));
        layout.push(Layer::dense("mix", 3, 2).at_positions(6));
        layout.push_tied(Layer::dense_without_bias("head", 3, 5).at_positions(6), table);
        assert_eq!(layout.parameters(), 27);
        let ranges: Vec<_> = layout.blocks().iter().map(|block| block.range.clone()).collect();
        assert_eq!(ranges, [0..15, 15..19, 19..27]);
        assert_eq!(layout.blocks()[0].layers, [0, 3]);
        assert_eq!(layout.layers()[2].biases(), 25..27);
        assert_eq!(layout.layers()[3].range(), 0..15);
        // 6 (1 + 3) + 4 + 6 (3 + 2) + 6 (3 + 5)
        assert_eq!(layout.captured_numbers(), 106);
        assert!(!layout.features_enter_first());
    }

    #[test]
    fn a_layout_is_cut_between_blocks() {
        let layout = Layout::dense(&[(4, 3), (3, 2)]);
        let (first, rest) = layout.split_at(1);
        assert_eq!(first, Layout::dense(&[(4, 3)]));
        assert_eq!((rest.parameters(), rest.layers()[0].weight_offset), (8, 0));
        assert!(!rest.features_enter_first());
        let (nothing, all) = layout.split_at(0);
        assert_eq!((nothing.parameters(), all), (0, layout));
    }
}
