//! Values that are coefficients of a regression of worths on who is in.

use attribench_core::{Ask, Coalition, GameError, Reached, Stopped, ValuationContext, Valued};
use ndarray::{Array2, Axis};

use super::{
    lasso::{FOLDS, Moments, cross_validated},
    recall::Recall,
    sampling::Stop,
};

/// A coalition with what stands for it in the regression, `n`.
pub(crate) struct Row {
    pub(crate) coalition: Coalition,
    pub(crate) features: Vec<f64>,
}

/// Coefficients times `factor`, by LASSO with cross-validation over draws, and their standard
/// errors by a jackknife over the same parts.
///
/// # Errors
/// When the game cannot answer or the evaluations are too few.
pub(crate) fn coefficients(
    recall: &mut Recall<'_>,
    context: &ValuationContext<'_>,
    stop: &Stop,
    rows: &[Row],
    factor: f64,
) -> Result<Valued, GameError> {
    if rows.len() < 4 * FOLDS {
        return Err(GameError::Unsuitable(format!(
            "{} coalitions are too few for a regression\nhint: raise `stop.evaluations`, to several times the number of players",
            rows.len()
        )));
    }
    let repeats = recall.game().repeats();
    let asks: Vec<Ask> = rows
        .iter()
        .enumerate()
        .map(|(draw, row)| Ask {
            coalition: row.coalition.clone(),
            repeat: repeats.of_draw(draw as u64),
        })
        .collect();
    let worths = recall.values(&asks)?;
    let players = rows[0].features.len();
    let features =
        Array2::from_shape_fn((rows.len(), players), |(row, player)| rows[row].features[player]);
    let parts: Vec<Moments> = (0..FOLDS)
        .map(|fold| {
            let own: Vec<usize> = (0..rows.len()).filter(|row| row % FOLDS == fold).collect();
            let (features, worths) = (features.select(Axis(0), &own), worths.select(Axis(0), &own));
            Moments::new(features.view(), worths.view())
        })
        .collect();
    let (found, without) = cross_validated(&parts);
    let mut square = Array2::<f64>::zeros(found.dim());
    for other in &without {
        square += &(other - &found).mapv(|deviation| deviation * deviation);
    }
    let scale = (FOLDS - 1) as f64 / FOLDS as f64;
    let errors = square.mapv(|square| (square * scale).sqrt() * factor);
    let valued =
        Valued::sampled(found * factor, errors, recall.evaluations(), Stopped::Evaluations);
    let errors = valued.standard_errors().expect("just given");
    context.tell(Reached {
        evaluations: recall.evaluations(),
        most_evaluations: stop.evaluations,
        standard_error: errors
            .mean_axis(Axis(1))
            .expect("outcomes")
            .iter()
            .copied()
            .fold(0.0, f64::max),
        rank_stability: 0.0,
    });
    Ok(valued)
}
