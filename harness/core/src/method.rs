//! What an attribution method is, and the only door from a run to one.

use std::error::Error as StdError;

use attribench_datasets::ExampleId;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    Access, AccessLevel, AnyModel, Examples, Meter, Model, ModelInput, Real, Run, RunError, Scale,
    Scores, ScoresError, Utility, View, stream,
};

/// Queries with the utility that is attributed.
#[derive(Clone, Debug)]
pub struct Queries<T> {
    /// The examples asked about.
    pub examples: Examples<T>,
    /// What is measured at each.
    pub utility: Utility,
}

impl<T: Real> Queries<T> {
    /// Ids of the queries.
    pub fn ids(&self) -> &[ExampleId] {
        self.examples.ids()
    }
}

/// Why a method could not score.
#[derive(Debug, Error)]
pub enum MethodError {
    /// A matrix that had to be inverted is not positive definite.
    #[error(
        "{matrix} is not positive definite\nhint: raise `damping` or use the Gauss-Newton matrix"
    )]
    NotPositiveDefinite {
        /// Which matrix.
        matrix: &'static str,
    },
    /// An iteration did not reach its tolerance.
    #[error(
        "{what} stopped at a relative residual of {residual:.3e} after {iterations} iterations (wanted {tolerance:.1e})\nhint: raise `iterations` or `damping`"
    )]
    NotConverged {
        /// Which iteration.
        what: &'static str,
        /// Residual reached.
        residual: f64,
        /// Iterations spent.
        iterations: usize,
        /// Residual wanted.
        tolerance: f64,
    },
    /// The method cannot work on this run or these queries.
    #[error("{0}")]
    Unsuitable(String),
    /// The run could not be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The result is not a matrix of scores.
    #[error(transparent)]
    Scores(#[from] ScoresError),
}

/// Name and nature of a method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MethodInfo {
    /// Name in specifications and reports, in kebab-case.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What its scores mean.
    pub scale: Scale,
}

/// What a method is lent: random numbers that depend on the seed and the method alone.
pub struct Context<'a> {
    seed: u64,
    name: &'a str,
}

impl<'a> Context<'a> {
    /// Randomness for the method `name` under `seed`.
    pub fn new(seed: u64, name: &'a str) -> Self {
        Self { seed, name }
    }

    /// The method's stream called `purpose`.
    pub fn stream(&self, purpose: &str) -> ChaCha8Rng {
        stream(self.seed, &format!("method/{}/{purpose}", self.name), 0)
    }
}

/// How much a method is given to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemSize {
    /// Training examples, `n`.
    pub examples: usize,
    /// Queries, `q`.
    pub queries: usize,
    /// Parameters of the model, `p`.
    pub parameters: usize,
    /// Bytes of a number of the run: 4 or 8.
    pub number: usize,
}

/// An attribution method. Its fields are its parameters.
///
/// `fit` sees the run through a window of the declared level and never sees queries; `score` sees
/// queries and never sees truth.
pub trait Method: Send + Sync + Default + Serialize + DeserializeOwned + 'static {
    /// The least that the method must read.
    type Access: Access;
    /// Name and nature.
    const INFO: MethodInfo;
    /// What its examples must be; nothing where it takes any.
    const READS: Option<ModelInput> = None;
    /// Whether it compares [inputs](View::inputs) and reads nothing else of an example, so that it
    /// may be shown texts through an encoder.
    const COMPARES_INPUTS: bool = false;

    /// Whether each parameter is in its range; the message names the field.
    ///
    /// # Errors
    /// When a parameter is out of range.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Most bytes that the method holds at one time besides what it returns.
    fn working_bytes(&self, size: ProblemSize) -> u64 {
        // A pass over the data in blocks: nothing that grows with their product.
        (size.examples * size.number) as u64
    }

    /// Does all the work that does not depend on the queries.
    ///
    /// # Errors
    /// When the method cannot work on this run.
    fn fit<'a, T: Real>(
        &self,
        view: View<'a, Self::Access, T>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Scorer<T> + 'a>, MethodError>;
}

/// A fitted method.
pub trait Scorer<T: Real> {
    /// Scores of all training examples for the queries, `(n, q)`.
    ///
    /// # Errors
    /// When the method fails on these queries.
    fn score(&mut self, queries: &Queries<T>) -> Result<Scores, MethodError>;

    /// Scores of all training examples for the mean of the queries' utilities, `n`: one column,
    /// such as that of a validation loss.
    ///
    /// By default the mean of the columns, which is the same for every method that is linear in the
    /// utility; methods that walk the run have a shorter way.
    ///
    /// # Errors
    /// As [`Self::score`].
    fn score_mean(&mut self, queries: &Queries<T>) -> Result<Vec<f64>, MethodError> {
        let scores = self.score(queries)?;
        let columns = scores.values().ncols() as f64;
        Ok(scores.values().rows().into_iter().map(|row| row.sum() / columns).collect())
    }

    /// What the scores of the last call leave to accounts that no training example owns, for
    /// methods that keep books.
    fn accounts(&self) -> Vec<Account> {
        Vec::new()
    }
}

/// An entry of a method's books that belongs to no training example.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Name, in kebab-case: `gain`, `weight-decay`, `rounding`.
    pub name: &'static str,
    /// Amount by query, in the unit of the utility.
    pub per_query: Vec<f64>,
}

mod sealed {
    pub trait Sealed {}
    impl<M: super::Method> Sealed for M {}
}

/// A method whose type is forgotten: the only way in which a run reaches a method.
pub trait ErasedMethod: sealed::Sealed + Send + Sync {
    /// Name and nature.
    fn info(&self) -> MethodInfo;
    /// What the method may read.
    fn level(&self) -> AccessLevel;
    /// Whether it may have models trained again.
    fn retrains(&self) -> bool;
    /// Parameters as they will be used, defaults filled in.
    fn parameters(&self) -> serde_json::Value;
    /// [`Method::working_bytes`].
    fn working_bytes(&self, size: ProblemSize) -> u64;
    /// [`Method::fit`] on a run in single precision.
    ///
    /// # Errors
    /// As [`Method::fit`].
    fn fit_f32<'a>(
        &self,
        run: &'a dyn Run<f32>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<f32> + 'a>, MethodError>;
    /// [`Method::fit`] on a run in double precision.
    ///
    /// # Errors
    /// As [`Method::fit`].
    fn fit_f64<'a>(
        &self,
        run: &'a dyn Run<f64>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<f64> + 'a>, MethodError>;
}

impl<M: Method> ErasedMethod for M {
    fn info(&self) -> MethodInfo {
        M::INFO
    }

    fn level(&self) -> AccessLevel {
        M::Access::LEVEL
    }

    fn retrains(&self) -> bool {
        M::Access::RETRAINS
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("parameters of a method are plain data")
    }

    fn working_bytes(&self, size: ProblemSize) -> u64 {
        Method::working_bytes(self, size)
    }

    fn fit_f32<'a>(
        &self,
        run: &'a dyn Run<f32>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<f32> + 'a>, MethodError> {
        self.fit(View::new(run, meter), &Context::new(seed, M::INFO.name))
    }

    fn fit_f64<'a>(
        &self,
        run: &'a dyn Run<f64>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<f64> + 'a>, MethodError> {
        self.fit(View::new(run, meter), &Context::new(seed, M::INFO.name))
    }
}

/// Number types in which a forgotten method can be fitted.
pub trait FitReal: Real {
    /// [`Method::fit`] on a run in this precision.
    ///
    /// # Errors
    /// As [`Method::fit`].
    fn fit<'a>(
        method: &dyn ErasedMethod,
        run: &'a dyn Run<Self>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<Self> + 'a>, MethodError>;

    /// The model in this precision.
    fn model(model: &dyn AnyModel) -> &dyn Model<Self>;
}

impl FitReal for f32 {
    fn fit<'a>(
        method: &dyn ErasedMethod,
        run: &'a dyn Run<Self>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<Self> + 'a>, MethodError> {
        method.fit_f32(run, meter, seed)
    }

    fn model(model: &dyn AnyModel) -> &dyn Model<Self> {
        model
    }
}

impl FitReal for f64 {
    fn fit<'a>(
        method: &dyn ErasedMethod,
        run: &'a dyn Run<Self>,
        meter: &'a Meter,
        seed: u64,
    ) -> Result<Box<dyn Scorer<Self> + 'a>, MethodError> {
        method.fit_f64(run, meter, seed)
    }

    fn model(model: &dyn AnyModel) -> &dyn Model<Self> {
        model
    }
}

/// One line of a registry of methods.
pub struct MethodEntry {
    /// Name and nature.
    pub info: MethodInfo,
    /// What the method may read.
    pub level: AccessLevel,
    /// Whether it may have models trained again.
    pub retrains: bool,
    /// What its examples must be; nothing where it takes any.
    pub reads: Option<ModelInput>,
    /// Whether it may be shown texts through an encoder.
    pub compares_inputs: bool,
    /// Builds the method from its parameters.
    pub build: fn(serde_json::Value) -> Result<Box<dyn ErasedMethod>, ParameterError>,
}

/// A parameter of a method that cannot be used.
#[derive(Debug, Error)]
pub enum ParameterError {
    /// Unknown field or wrong type.
    #[error("{0}")]
    Shape(#[source] Box<dyn StdError + Send + Sync>),
    /// Out of range.
    #[error("{0}")]
    Range(String),
}

impl MethodEntry {
    /// The entry of a method.
    pub const fn of<M: Method>() -> Self {
        Self {
            info: M::INFO,
            level: <M::Access as Access>::LEVEL,
            retrains: <M::Access as Access>::RETRAINS,
            reads: M::READS,
            compares_inputs: M::COMPARES_INPUTS,
            build: |parameters| {
                let method: M = serde_json::from_value(parameters)
                    .map_err(|error| ParameterError::Shape(Box::new(error)))?;
                method.check().map_err(ParameterError::Range)?;
                Ok(Box::new(method))
            },
        }
    }
}
