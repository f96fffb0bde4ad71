//! Do scores have the sign of the effects that rise above the noise?

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3, Zip};

use crate::statistics::{
    Bootstrapped, Resamples, StatisticsError, check_shapes, ratio, seed_average,
};

/// Effects count from this many noise floors on.
const FLOORS: f64 = 2.0;

/// What a draw without a pair above the floor counts as: a guess.
const GUESS: f64 = 0.5;

/// Sign agreement of one method; `n` counts the pairs above the floor, `undefined` the pairs whose
/// effect or score is not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct SignAgreement {
    /// Share of the pairs.
    pub share: Bootstrapped,
    /// Share of the summed `|Delta|`.
    pub weighted: Bootstrapped,
}

/// Among pairs with `|Delta| > 2 floor`, the share with `sign(tau) = sign(Delta)`.
///
/// `measured (R, M, Q)` effects, averaged over runs; one `predicted (M, Q)` a method;
/// `noise_floor (Q)`, the standard deviation of an effect that is nothing, in the unit of the
/// utility. A score of 0 has no sign and agrees with nothing. Removals and queries are resampled
/// together, runs are not. Pairs are pooled: queries with larger effects hold more of them.
///
/// # Errors
/// When shapes do not fit, a floor is negative or not finite, or no effect is above its floor.
pub fn sign_agreement(
    measured: ArrayView3<'_, f64>,
    predicted: &[ArrayView2<'_, f64>],
    noise_floor: ArrayView1<'_, f64>,
    resamples: &Resamples,
) -> Result<Vec<SignAgreement>, StatisticsError> {
    check_shapes(measured, predicted, resamples)?;
    let columns = resamples.plan().columns;
    if noise_floor.len() != columns {
        let found = vec![noise_floor.len()];
        let what = "noise floors (queries)";
        return Err(StatisticsError::Shape { what, found, expected: vec![columns] });
    }
    if let Some(&value) = noise_floor.iter().find(|floor| !(floor.is_finite() && **floor >= 0.0)) {
        return Err(StatisticsError::Parameter { what: "a noise floor", value });
    }
    let effects = seed_average(measured);
    let one = |scores: &ArrayView2<'_, f64>| one_method(&effects, *scores, noise_floor, resamples);
    predicted.iter().map(one).collect()
}

fn one_method(
    effects: &Array2<f64>,
    scores: ArrayView2<'_, f64>,
    noise_floor: ArrayView1<'_, f64>,
    resamples: &Resamples,
) -> Result<SignAgreement, StatisticsError> {
    let defined = Zip::from(effects)
        .and(scores)
        .map_collect(|effect, score| effect.is_finite() && score.is_finite());
    let counted = Zip::from(effects).and_broadcast(noise_floor).and(&defined).map_collect(
        |effect, floor, &defined| f64::from(u8::from(defined && effect.abs() > FLOORS * floor)),
    );
    let agreeing = Zip::from(&counted)
        .and(effects)
        .and(scores)
        .map_collect(|&counted, effect, score| if effect * score > 0.0 { counted } else { 0.0 });
    // An effect that is not finite has no size, and its pair does not count.
    let size = Zip::from(&counted)
        .and(effects)
        .map_collect(|&counted, effect| if counted > 0.0 { effect.abs() } else { 0.0 });
    let undefined = defined.iter().filter(|&&defined| !defined).count();
    let sample = (counted.iter().filter(|&&counted| counted > 0.0).count(), undefined);
    let weighted = &agreeing * &size;
    Ok(SignAgreement {
        share: ratio(agreeing.view(), counted.view(), GUESS, sample, resamples)?,
        weighted: ratio(weighted.view(), size.view(), GUESS, sample, resamples)?,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, arr1, array};

    use super::sign_agreement;
    use crate::statistics::{Plan, Resamples, Seeds, StatisticsError};

    fn resamples() -> Resamples {
        Resamples::new(Plan { seed: 5, rows: 3, columns: 2, draws: 30, seeds: Seeds::Fixed })
            .unwrap()
    }

    #[test]
    fn only_effects_above_the_floor_count() {
        // Floors 1 and 0.1. Above: 3 (agrees), -5 (score 0, does not), 0.5 (agrees), -0.5 (does
        // not); 2 is not above 2, and one pair is NaN.
        let measured = array![[3.0, 0.5], [2.0, -0.5], [-5.0, f64::NAN]].insert_axis(Axis(0));
        let scores = array![[0.1, 7.0], [-1.0, 2.0], [0.0, 1.0]];
        let floors = arr1(&[1.0, 0.1]);
        let found = sign_agreement(measured.view(), &[scores.view()], floors.view(), &resamples());
        let found = found.unwrap().remove(0);
        assert_eq!(found.share.point(), 0.5);
        assert!((found.weighted.point() - 3.5 / 9.0).abs() < 1e-15);
        assert_eq!((found.share.estimate().n(), found.share.estimate().undefined()), (4, 1));
    }

    #[test]
    fn nothing_above_the_floor_is_refused() {
        let measured = array![[3.0, 0.5], [2.0, -0.5], [-5.0, 1.0]].insert_axis(Axis(0));
        let scores = measured.index_axis(Axis(0), 0);
        let floors = arr1(&[10.0, 10.0]);
        let refusal = sign_agreement(measured.view(), &[scores], floors.view(), &resamples());
        assert!(matches!(refusal, Err(StatisticsError::Undefined { .. })));
        let floors = arr1(&[-1.0, 10.0]);
        let refusal = sign_agreement(measured.view(), &[scores], floors.view(), &resamples());
        assert!(matches!(refusal, Err(StatisticsError::Parameter { value: -1.0, .. })));
    }
}
