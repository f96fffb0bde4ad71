//! Calibrated gradients of the optimal transport from the training data to the queries.
//!
//! # Computes
//! `tau[i, q] = -(u_i - 1 / (n - 1) sum_{j != i} u_j)`, the same for every query `q`, where `u` and
//! `v` are the potentials of the transport from the training examples to all queries, `max sum_i
//! u_i / n + sum_q v_q / m - (e / (n m)) sum_iq (exp((u_i + v_q - C_iq) / e) - 1)`. Its cost is
//! `C_iq = |x_i - x_q| + c W(y_i, y_q)`: `W(y, z)` is Sinkhorn's divergence of the training inputs
//! of class `y` from the queries of class `z`, by the distance of inputs. So `tau` is minus the
//! change of the distance of the two data sets as example `i` gains weight at the others' expense.
//!
//! # Reads
//! Training inputs, labels and queries (black box). No forward pass, no gradient; a transport
//! between all training examples and queries, and one between each two classes.
//!
//! # Shapes
//! Costs `(n, m)` in `f64`; those within the classes of the training data, `n^2` divided by the
//! number of classes.
//!
//! # Differs from the paper
//! Inputs are taken as they are, where the paper embeds them by a network trained on other data.
//! Potentials are those of entropic transport, `e` being `regularisation` times the mean cost, and
//! the calibrated gradient is exactly the derivative of that distance at fixed costs.
//!
//! # Example
//! ```
//! use attribench_core::Method;
//! use attribench_methods::Lava;
//! assert!(Lava { regularisation: 0.0, ..Lava::default() }.check().is_err());
//! ```
//!
//! # References
//! Just, Kang, Wang, Zeng, Ko, Jin, Jia, LAVA: data valuation without pre-specified learning
//! algorithms, ICLR 2023, arXiv 2305.00054; Cuturi, Sinkhorn distances, NeurIPS 2013, arXiv
//! 1306.0895; Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn
//! divergences, AISTATS 2019, arXiv 1810.08278.

use std::collections::BTreeMap;

use attribench_core::{
    BlackBox, Context, Examples, Labels, Method, MethodError, MethodInfo, ModelInput, ProblemSize,
    Queries, Real, Scale, Scorer, Scores, View, math,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip};
use serde::{Deserialize, Serialize};

use crate::label;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lava {
    /// `c`, what a distance of labels costs beside a distance of inputs.
    pub label_weight: f64,
    /// `e` as a share of the mean cost.
    pub regularisation: f64,
    /// Mass that the transport may miss, of 1.
    pub tolerance: f64,
    /// Most iterations of one transport.
    pub iterations: usize,
}

impl Default for Lava {
    fn default() -> Self {
        Self { label_weight: 1.0, regularisation: 0.05, tolerance: 1e-8, iterations: 100_000 }
    }
}

impl Method for Lava {
    type Access = BlackBox;
    const READS: Option<ModelInput> = Some(ModelInput::Numbers);
    const INFO: MethodInfo = MethodInfo {
        name: "lava",
        summary: "calibrated gradients of the optimal transport from the training data to the \
                  queries",
        scale: Scale::Arbitrary,
    };

    fn check(&self) -> Result<(), String> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if !(self.label_weight.is_finite() && self.label_weight >= 0.0) {
            let found = self.label_weight;
            return Err(format!("`label-weight` is {found}\nhint: give a number from 0 up"));
        }
        for (field, number) in
            [("regularisation", self.regularisation), ("tolerance", self.tolerance)]
        {
            if !positive(number) {
                return Err(format!("`{field}` is {number}\nhint: give a number above 0"));
            }
        }
        Ok(())
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        let ProblemSize { examples, queries, .. } = size;
        // Costs and kernel; in the worst case all examples are of one class.
        let pairs = examples * queries + examples * examples.max(queries);
        (2 * pairs * size_of::<f64>()) as u64
    }

    fn fit<'a, T: Real>(
        &self,
        view: View<'a, BlackBox, T>,
        _context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError> {
        Sample::of(view.train())?;
        Ok(Box::new(Fitted { view, method: self.clone() }))
    }
}

struct Fitted<'a, T> {
    view: View<'a, BlackBox, T>,
    method: Lava,
}

impl<T: Real> Scorer<T> for Fitted<'_, T> {
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError> {
        let train = self.view.train();
        let (data, asked) = (Sample::of(train)?, Sample::of(&queries.examples)?);
        let cost = self.method.costs(&data, &asked)?;
        let transport = self.method.transport(cost.view(), self.method.entropy(cost.view()))?;
        let values = calibrated(&transport.u);
        let values = Array2::from_shape_fn(cost.dim(), |(i, _)| values[i]);
        label::<Lava, T>(train, queries, values)
    }
}

/// `-(u_i - 1 / (n - 1) sum_{j != i} u_j)`.
fn calibrated(u: &Array1<f64>) -> Array1<f64> {
    let n = u.len() as f64;
    let mean = u.sum() / n;
    // Of a single example nothing can be given to the others.
    u.mapv(|u| n / (n - 1.0).max(1.0) * (mean - u))
}

/// Inputs in `f64`, and the rows of each class.
struct Sample {
    inputs: Array2<f64>,
    classes: BTreeMap<u32, Vec<usize>>,
}

impl Sample {
    fn of<T: Real>(examples: &Examples<T>) -> Result<Self, MethodError> {
        let Labels::Classes(labels) = examples.labels() else {
            let message = "lava needs classes, and these targets are not\nhint: use \
                           input-similarity";
            return Err(MethodError::Unsuitable(message.to_owned()));
        };
        let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, &label) in labels.iter().enumerate() {
            classes.entry(label).or_default().push(row);
        }
        Ok(Self { inputs: examples.features().mapv(Real::to_f64), classes })
    }

    /// Inputs of a class.
    fn members(&self, rows: &[usize]) -> Array2<f64> {
        self.inputs.select(Axis(0), rows)
    }
}

impl Lava {
    /// `C`, `(n, m)`.
    fn costs(&self, data: &Sample, asked: &Sample) -> Result<Array2<f64>, MethodError> {
        let mut cost = distances(data.inputs.view(), asked.inputs.view());
        if self.label_weight == 0.0 {
            return Ok(cost);
        }
        let entropy = self.entropy(cost.view());
        let within = |sample: &Sample| -> Result<Vec<f64>, MethodError> {
            let classes = sample.classes.values();
            let of_itself = |rows: &Vec<usize>| {
                let inputs = sample.members(rows);
                let cost = distances(inputs.view(), inputs.view());
                self.onto_itself(cost.view(), entropy)
            };
            classes.map(of_itself).collect()
        };
        let (within_data, within_asked) = (within(data)?, within(asked)?);
        let plain = cost.clone();
        for (rows, &left) in data.classes.values().zip(&within_data) {
            for (columns, &right) in asked.classes.values().zip(&within_asked) {
                let between = plain.select(Axis(0), rows).select(Axis(1), columns);
                let between = self.transport(between.view(), entropy)?.value();
                let divergence = between - (left + right) / 2.0;
                for &row in rows {
                    for &column in columns {
                        cost[(row, column)] += self.label_weight * divergence;
                    }
                }
            }
        }
        Ok(cost)
    }

    /// `e` for a matrix of costs.
    fn entropy(&self, cost: ArrayView2<'_, f64>) -> f64 {
        let mean = cost.sum() / cost.len() as f64;
        // Where everything costs nothing, any number will do.
        if mean > 0.0 { self.regularisation * mean } else { 1.0 }
    }

    /// Sinkhorn's iteration between uniform weights.
    fn transport(&self, cost: ArrayView2<'_, f64>, entropy: f64) -> Result<Transport, MethodError> {
        let mut transport =
            Transport { u: Array1::zeros(cost.nrows()), v: Array1::zeros(cost.ncols()) };
        let mut missed = f64::INFINITY;
        let mut spent = 0;
        while spent < self.iterations {
            transport.u = soft_least(cost, &transport.v, entropy);
            transport.v = soft_least(cost.t(), &transport.u, entropy);
            let most = (self.iterations - spent - 1).min(SCALINGS);
            let done = transport.iterate_by_scaling(cost, entropy, (most, self.tolerance));
            missed = done.missed;
            spent += 1 + done.iterations;
            if missed <= self.tolerance {
                return Ok(transport);
            }
        }
        Err(self.unfinished(missed))
    }

    /// Value of the transport of some examples onto themselves, whose two potentials are one.
    ///
    /// Sinkhorn's iteration hardly moves mass between points that are far apart; the mean of a
    /// potential and its image at least halves the error each time.
    fn onto_itself(&self, cost: ArrayView2<'_, f64>, entropy: f64) -> Result<f64, MethodError> {
        let mut u = Array1::<f64>::zeros(cost.nrows());
        let mut missed = f64::INFINITY;
        for _ in 0..self.iterations {
            let image = soft_least(cost, &u, entropy);
            let wrong = u.iter().zip(&image).map(|(u, image)| ((u - image) / entropy).exp() - 1.0);
            missed = wrong.map(f64::abs).sum::<f64>() / u.len() as f64;
            if missed <= self.tolerance {
                return Ok(2.0 * u.sum() / u.len() as f64);
            }
            u = (u + image) / 2.0;
        }
        Err(self.unfinished(missed))
    }

    fn unfinished(&self, missed: f64) -> MethodError {
        MethodError::Unsuitable(format!(
            "a transport misses {missed:.1e} of the mass after {} iterations (wanted {:.1e})\n\
             hint: raise `iterations` or `regularisation`",
            self.iterations, self.tolerance
        ))
    }
}

/// `-e log(1/m sum_q exp((v_q - C_iq) / e))`, `(n, m), (m) -> (n)`: safe at any cost.
fn soft_least(cost: ArrayView2<'_, f64>, v: &Array1<f64>, entropy: f64) -> Array1<f64> {
    let of_row = |costs: ArrayView1<'_, f64>| {
        let reduced = || costs.iter().zip(v).map(|(cost, v)| cost - v);
        let least = reduced().fold(f64::INFINITY, f64::min);
        let sum: f64 = reduced().map(|cost| ((least - cost) / entropy).exp()).sum();
        least - entropy * (sum / costs.len() as f64).ln()
    };
    cost.outer_iter().map(of_row).collect()
}

/// Distances `|x_i - z_q|`, `(n, d), (m, d) -> (n, m)`; differences are taken first, so that what
/// lies together is at distance 0.
fn distances(x: ArrayView2<'_, f64>, z: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut apart = vec![0.0; x.ncols()];
    Array2::from_shape_fn((x.nrows(), z.nrows()), |(i, q)| {
        for ((apart, x), z) in apart.iter_mut().zip(x.row(i)).zip(z.row(q)) {
            *apart = x - z;
        }
        math::dot(&apart, &apart).sqrt()
    })
}

/// Iterations by scaling between two in logarithms.
const SCALINGS: usize = 100;

/// Factors beyond this, or below its inverse, are taken into the potentials.
const LARGEST_FACTOR: f64 = 1e100;

/// Potentials of both sides.
struct Transport {
    u: Array1<f64>,
    v: Array1<f64>,
}

/// What some iterations came to.
struct Progress {
    iterations: usize,
    /// Mass missing from rows or too much in them.
    missed: f64,
}

impl Transport {
    /// `sum_i u_i / n + sum_q v_q / m`: at the optimum the rest of the objective is 0.
    fn value(&self) -> f64 {
        let mean = |side: &Array1<f64>| side.sum() / side.len() as f64;
        mean(&self.u) + mean(&self.v)
    }

    /// Sinkhorn's iterations as products with the kernel `exp((u_i + v_q - C_iq) / e)`, by which
    /// potentials are moved when all are done, or when factors leave their range.
    fn iterate_by_scaling(
        &mut self,
        cost: ArrayView2<'_, f64>,
        entropy: f64,
        (most, tolerance): (usize, f64),
    ) -> Progress {
        let (n, m) = cost.dim();
        let (u, v) = (&self.u, &self.v);
        let kernel =
            Array2::from_shape_fn((n, m), |(i, q)| ((u[i] + v[q] - cost[(i, q)]) / entropy).exp());
        let (mut rows, mut columns) = (Array1::<f64>::ones(n), Array1::<f64>::ones(m));
        let mut progress = Progress { iterations: 0, missed: f64::INFINITY };
        while progress.iterations < most {
            let mut next_rows = rows.clone();
            let mut sums = Array1::<f64>::zeros(m);
            let mut missed = 0.0;
            for (row, next) in kernel.outer_iter().zip(&mut next_rows) {
                let sum = row.dot(&columns) / m as f64;
                missed += (*next * sum - 1.0).abs() / n as f64;
                *next = 1.0 / sum;
                sums.scaled_add(*next / n as f64, &row);
            }
            let next_columns = sums.mapv(f64::recip);
            let in_range = |factor: &f64| (1.0 / LARGEST_FACTOR..LARGEST_FACTOR).contains(factor);
            if !next_rows.iter().chain(&next_columns).all(in_range) {
                break;
            }
            (rows, columns) = (next_rows, next_columns);
            progress = Progress { iterations: progress.iterations + 1, missed };
            if missed <= tolerance {
                break;
            }
        }
        let absorb = |potentials: &mut Array1<f64>, factors: &Array1<f64>| {
            Zip::from(potentials).and(factors).for_each(|p, factor| *p += entropy * factor.ln());
        };
        absorb(&mut self.u, &rows);
        absorb(&mut self.v, &columns);
        progress
    }
}

#[cfg(test)]
mod tests {
    use attribench_core::{Examples, Labels, Method, Queries, Utility};
    use ndarray::{Array1, Array2, array};

    use super::{Lava, calibrated, distances};
    use crate::common::{TestRun, assert_close, digits_like, scores_of, try_scores_of};

    const TIGHT: Lava =
        Lava { label_weight: 1.0, regularisation: 0.05, tolerance: 1e-13, iterations: 100_000 };

    fn line(places: &[f64], labels: &[u32]) -> Examples<f64> {
        let features = Array2::from_shape_vec((places.len(), 1), places.to_vec()).unwrap();
        Examples::new(features, Labels::Classes(labels.to_vec()))
    }

    fn asked(examples: Examples<f64>) -> Queries<f64> {
        Queries { examples, utility: Utility::Margin }
    }

    #[test]
    fn one_query_by_hand() {
        // All mass goes to the query, so u_i = C_i up to a constant. Distances 1, 2, 6 and one
        // class: the mean of the others is 4, 3.5, 1.5.
        let run = TestRun::untrained(line(&[1.0, 2.0, -6.0], &[0, 0, 0]));
        let scores = scores_of(&TIGHT, &run, &asked(line(&[0.0], &[0])));
        assert_close(scores.values(), &[3.0, 1.5, -4.5], 1e-12);
    }

    #[test]
    fn labels_cost_what_their_inputs_are_apart() {
        // Class 0 lies at 1 twice, class 1 at 3, the query of class 0 at 0: divergences of points
        // are distances, 1 and 3. C = 1 + 1, 1 + 1, 3 + 3 c: the mean of the others is 4, 4, 2.
        let run = TestRun::untrained(line(&[1.0, 1.0, 3.0], &[0, 0, 1]));
        let queries = asked(line(&[0.0], &[0]));
        assert_close(scores_of(&TIGHT, &run, &queries).values(), &[2.0, 2.0, -4.0], 1e-12);
        let blind = Lava { label_weight: 0.0, ..TIGHT };
        assert_close(scores_of(&blind, &run, &queries).values(), &[1.0, 1.0, -2.0], 1e-12);
        // Of two at one place the one of the other class is worth less: class 0 lies at 0 and 1,
        // nearer to the query's class than class 1 at 1 and 3.
        let run = TestRun::untrained(line(&[0.0, 1.0, 1.0, 3.0], &[0, 0, 1, 1]));
        let scores = scores_of(&TIGHT, &run, &queries);
        assert!(scores.values()[(1, 0)] > scores.values()[(2, 0)] + 0.5);
    }

    /// Transport between weights `a` and uniform ones by the plain iteration in logarithms.
    fn distance_slowly(cost: &Array2<f64>, a: &Array1<f64>, entropy: f64) -> f64 {
        let (n, m) = cost.dim();
        let (mut u, mut v) = (vec![0.0; n], vec![0.0; m]);
        for _ in 0..20_000 {
            for i in 0..n {
                let sum: f64 = (0..m).map(|q| ((v[q] - cost[(i, q)]) / entropy).exp()).sum();
                u[i] = -entropy * (sum / m as f64).ln();
            }
            for q in 0..m {
                let sum: f64 = (0..n).map(|i| a[i] * ((u[i] - cost[(i, q)]) / entropy).exp()).sum();
                v[q] = -entropy * sum.ln();
            }
        }
        let left: f64 = u.iter().zip(a).map(|(u, a)| u * a).sum();
        left + v.iter().sum::<f64>() / m as f64
    }

    #[test]
    fn it_is_the_derivative_of_the_distance() {
        let (run, queries) = digits_like::<f64>(9).untrained().pair(4, Utility::Margin);
        let cost = distances(run.train.features(), queries.examples.features());
        let method = Lava { regularisation: 0.2, ..TIGHT };
        let entropy = method.entropy(cost.view());
        let u = method.transport(cost.view(), entropy).unwrap().u;
        // Example i gains h, each of the other eight loses h / 8.
        let shifted = |i: usize, h: f64| {
            let weights =
                Array1::from_shape_fn(9, |j| 1.0 / 9.0 + if i == j { h } else { -h / 8.0 });
            distance_slowly(&cost, &weights, entropy)
        };
        let h = 1e-4;
        let expected: Vec<f64> =
            (0..9).map(|i| -(shifted(i, h) - shifted(i, -h)) / (2.0 * h)).collect();
        // Central differences leave an error of order h^2, relative to gradients of order 1.
        assert_close(calibrated(&u).insert_axis(ndarray::Axis(1)).view(), &expected, 1e-6);
    }

    #[test]
    fn little_entropy_comes_near_to_the_transport_itself() {
        // On a line, monotone: 0 -> 0.5, 4 -> 6, costs 0.5 and 2, and the pairs apart cost more.
        let cost = distances(array![[0.0], [4.0]].view(), array![[0.5], [6.0]].view());
        let method = Lava { regularisation: 2e-3, ..TIGHT };
        let entropy = method.entropy(cost.view());
        let value = method.transport(cost.view(), entropy).unwrap().value();
        // A pair carries 1/2 where independence would 1/4: the entropy costs e ln 2 in all.
        assert!((value - 1.25 - entropy * 2f64.ln()).abs() < 1e-9, "{value}");
    }

    #[test]
    fn flipped_labels_are_worth_less() {
        let (mut run, queries) = digits_like::<f64>(80).untrained().pair(40, Utility::Margin);
        let Labels::Classes(mut labels) = run.train.labels().clone() else { panic!("classes") };
        for label in labels.iter_mut().step_by(10) {
            *label = (*label + 1) % 4;
        }
        run.train = Examples::new(run.train.features().to_owned(), Labels::Classes(labels));
        let scores = scores_of(&Lava::default(), &run, &queries);
        let values = scores.values().column(0).to_vec();
        let mean = |flipped: bool| {
            let rows = (0..80).filter(|row| (row % 10 == 0) == flipped);
            let rows: Vec<f64> = rows.map(|row| values[row]).collect();
            rows.iter().sum::<f64>() / rows.len() as f64
        };
        assert!(mean(true) < mean(false), "{} and {}", mean(true), mean(false));
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        let refusal = Lava { label_weight: -1.0, ..TIGHT }.check().unwrap_err();
        assert!(refusal.contains("`label-weight` is -1"), "{refusal}");
        let (run, queries) = digits_like::<f64>(9).untrained().pair(4, Utility::Margin);
        let hasty = Lava { iterations: 3, ..TIGHT };
        let refusal = try_scores_of(&hasty, &run, &queries).unwrap_err().to_string();
        assert!(refusal.contains("hint: raise `iterations`"), "{refusal}");
    }
}
