//! Gaussian noise on features.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Amount, AnswerKey, CorruptionError};
use crate::dataset::{Dataset, Targets};
use crate::moments::{Moments, column_moments};
use crate::random::choose_rows;

pub(super) fn apply(
    data: Dataset,
    amount: Amount,
    noise_sd: f64,
    stream: &mut ChaCha8Rng,
) -> Result<(Dataset, AnswerKey), CorruptionError> {
    let rows = choose_rows(data.len(), amount.resolve(data.len())?, stream);
    let mut features = data.features().clone();
    add_noise(&mut features, &rows, &moments_of_measurements(&data)?, noise_sd, stream)?;
    let disturbed = rows.iter().map(|&row| data.ids()[row]).collect();
    Ok((data.with_features(features)?, AnswerKey::of_disturbed(disturbed)))
}

/// Moments of the columns, where these are measurements.
pub(super) fn moments_of_measurements(data: &Dataset) -> Result<Vec<Moments>, CorruptionError> {
    match data.targets() {
        Targets::Tokens { .. } => Err(CorruptionError::Tokens { name: data.name().to_owned() }),
        Targets::Classes { .. } | Targets::Values(_) => Ok(column_moments(data)),
    }
}

/// x_ij += noise_sd * sd_j * z_ij with z_ij ~ N(0, 1) in the given rows; constant columns stay.
pub(super) fn add_noise(
    features: &mut Array2<f32>,
    rows: &[usize],
    moments: &[Moments],
    noise_sd: f64,
    stream: &mut ChaCha8Rng,
) -> Result<(), CorruptionError> {
    if !(noise_sd.is_finite() && noise_sd > 0.0) {
        return Err(CorruptionError::Noise { found: noise_sd });
    }
    for &row in rows {
        for (value, column) in features.row_mut(row).iter_mut().zip(moments) {
            let noise: f64 = stream.sample(StandardNormal);
            *value = (f64::from(*value) + noise_sd * column.sd * noise) as f32;
        }
    }
    Ok(())
}
