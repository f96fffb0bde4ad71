//! Small convolutional network.

use std::sync::Arc;

use attribench_core::{Layer, ParameterError};
use serde::{Deserialize, Serialize};

use crate::{
    Activation, ModelSpec, Network,
    average_pool::AveragePool,
    gather::{Gather, Image, ImageOrder},
    local::LocalOp,
    network::{Builder, Op, Start},
    normalise::Normalise,
};

/// What stands between a convolution and its non-linearity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Nothing.
    #[default]
    None,
    /// Group normalisation with this many groups of channels: each example by itself, never the
    /// batch.
    Groups(usize),
}

/// Blocks of convolution (square kernel, stride 1, zeros around the image so that it keeps its
/// size), normalisation, non-linearity and average pooling; then dense layers.
///
/// Features are the numbers of an image, `(channels, height, width)`. Weights lie as those of other
/// libraries: filters `(out, in, kernel, kernel)`, and the first dense layer reads
/// `(channels, height, width)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cnn {
    /// `[channels, height, width]` of the features.
    pub image: [usize; 3],
    /// Channels after each convolution.
    pub channels: Vec<usize>,
    /// Height and width of every kernel, an odd number.
    #[serde(default = "three")]
    pub kernel: usize,
    /// Height and width of what every pooling averages; 1 pools nothing.
    #[serde(default = "two")]
    pub pool: usize,
    /// What stands behind every convolution.
    #[serde(default)]
    pub normalisation: Normalisation,
    /// Widths of dense layers between the last block and the outputs.
    #[serde(default)]
    pub hidden: Vec<usize>,
    /// The non-linearity.
    #[serde(default)]
    pub activation: Activation,
}

fn two() -> usize {
    2
}

fn three() -> usize {
    3
}

impl Cnn {
    fn check(&self, inputs: usize) -> Result<(), ParameterError> {
        let [channels, height, width] = self.image;
        let refused = if channels * height * width != inputs {
            format!("`image` has {channels} x {height} x {width} numbers, the data have {inputs}")
        } else if self.kernel.is_multiple_of(2) {
            format!("`kernel` is {}\nhint: an odd kernel has a middle", self.kernel)
        } else if self.channels.contains(&0) || self.hidden.contains(&0) {
            "a layer of `channels` or `hidden` has width 0\nhint: give it at least one".into()
        } else if self.channels.is_empty() {
            "`channels` is empty\nhint: without convolutions the model is `mlp`".into()
        } else if self.pool == 0
            || height / self.pool.pow(self.channels.len() as u32) == 0
            || width / self.pool.pow(self.channels.len() as u32) == 0
        {
            format!("`pool` is {}: nothing is left of the image\nhint: pool less", self.pool)
        } else if let Normalisation::Groups(groups) = self.normalisation
            && (groups == 0 || self.channels.iter().any(|channels| channels % groups != 0))
        {
            format!("{groups} groups do not divide {:?} channels evenly", self.channels)
        } else {
            return Ok(());
        };
        Err(ParameterError::Range(refused))
    }
}

impl ModelSpec for Cnn {
    fn build(&self, inputs: usize, outputs: usize) -> Result<Network, ParameterError> {
        self.check(inputs)?;
        let [channels, height, width] = self.image;
        let mut image = Image { channels, height, width };
        let mut order = ImageOrder::ChannelsFirst;
        let mut builder = Builder::new(inputs);
        for (index, &channels) in self.channels.iter().enumerate() {
            let positions = image.height * image.width;
            let patch = image.channels * self.kernel * self.kernel;
            builder.local(LocalOp::Gather(Arc::new(Gather::patches(image, order, self.kernel))));
            let filters = Layer::dense(format!("conv{index}"), patch, channels);
            builder.dense(filters.at_positions(positions), Start::ByInputs);
            image.channels = channels;
            order = ImageOrder::ChannelsLast;
            if let Normalisation::Groups(groups) = self.normalisation {
                let op = LocalOp::Normalise(Normalise { rows: positions, channels, groups });
                let layer = Layer::vector(format!("norm{index}"), 2 * channels);
                builder.with_layer(op, layer, Start::ScalesAndShifts);
            }
            builder.op(Op::Activation(self.activation));
            if self.pool > 1 {
                let pool = AveragePool { image, size: self.pool };
                image = pool.output();
                builder.local(LocalOp::AveragePool(pool));
            }
        }
        builder.local(LocalOp::Gather(Arc::new(Gather::flatten(image))));
        let mut width = image.numbers();
        for (index, &hidden) in self.hidden.iter().enumerate() {
            builder.dense(Layer::dense(format!("dense{index}"), width, hidden), Start::ByInputs);
            builder.op(Op::Activation(self.activation));
            width = hidden;
        }
        builder.dense(Layer::dense("head", width, outputs), Start::ByInputs);
        Ok(builder.finish())
    }
}
