//! The record as tables: Parquet to compute on, CSV to look at, and the words in JSON.

use std::path::Path;

use attribench_core::{
    AccessLevel, Agreement, EffectPair, Estimate, Failure, ForgeryFinding, GameShare, Manipulated,
    Payout, QueryUtility, Record, Row, SamplingError, Trial, Verdict,
};
use polars::prelude::*;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::ReportError;
use crate::error::{from_json, make_folder, read_file, to_json, write_file};

const ROWS_FILE: &str = "rows.parquet";
const ROWS_TEXT_FILE: &str = "rows.csv";
const EFFECTS_FILE: &str = "effects.parquet";
const PAYOUTS_FILE: &str = "payouts.parquet";
const WORDS_FILE: &str = "record.json";

/// What of a record is words rather than a table.
#[derive(Serialize, Deserialize)]
struct Words {
    question: String,
    prediction: String,
    verdicts: Vec<Verdict>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    predicted: Vec<Verdict>,
    failures: Vec<Failure>,
    trials: Vec<Trial>,
    game_shares: Vec<GameShare>,
    sampling_errors: Vec<SamplingError>,
    manipulated: Vec<Manipulated>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forgeries: Vec<ForgeryFinding>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    agreements: Vec<Agreement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query_utilities: Vec<QueryUtility>,
}

/// Writes a record into a folder: `rows.parquet`, `rows.csv`, `effects.parquet`,
/// `payouts.parquet` and `record.json`. The same record gives the same bytes.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tables(record: &Record, folder: &Path) -> Result<(), ReportError> {
    make_folder(folder)?;
    let words = Words {
        question: record.question.clone(),
        prediction: record.prediction.clone(),
        verdicts: record.verdicts.clone(),
        predicted: record.predicted.clone(),
        failures: record.failures.clone(),
        trials: record.trials.clone(),
        game_shares: record.game_shares.clone(),
        sampling_errors: record.sampling_errors.clone(),
        manipulated: record.manipulated.clone(),
        forgeries: record.forgeries.clone(),
        agreements: record.agreements.clone(),
        query_utilities: record.query_utilities.clone(),
    };
    let path = folder.join(WORDS_FILE);
    write_file(&path, &to_json(&words, &path)?)?;
    write_parquet(rows_frame(&record.rows), &folder.join(ROWS_FILE))?;
    write_csv(rows_frame(&record.rows), &folder.join(ROWS_TEXT_FILE))?;
    write_parquet(effects_frame(&record.effects), &folder.join(EFFECTS_FILE))?;
    write_parquet(payouts_frame(&record.payouts), &folder.join(PAYOUTS_FILE))
}

/// Reads back the record that [`write_tables`] wrote.
///
/// # Errors
/// When a file is missing, or holds something else than a record.
pub fn read_tables(folder: &Path) -> Result<Record, ReportError> {
    let words: Words = from_json(folder, WORDS_FILE)?;
    Ok(Record {
        question: words.question,
        prediction: words.prediction,
        rows: Table::read(folder, ROWS_FILE)?.rows()?,
        effects: Table::read(folder, EFFECTS_FILE)?.effects()?,
        payouts: Table::read(folder, PAYOUTS_FILE)?.payouts()?,
        verdicts: words.verdicts,
        predicted: words.predicted,
        failures: words.failures,
        trials: words.trials,
        game_shares: words.game_shares,
        sampling_errors: words.sampling_errors,
        manipulated: words.manipulated,
        forgeries: words.forgeries,
        agreements: words.agreements,
        query_utilities: words.query_utilities,
    })
}

/// A column of texts.
fn texts<'a, T>(name: &str, items: &'a [T], text: impl Fn(&'a T) -> &'a str) -> Column {
    Column::new(name.into(), items.iter().map(text).collect::<Vec<_>>())
}

/// A column of counts or money.
fn counts<T>(name: &str, items: &[T], count: impl Fn(&T) -> u64) -> Column {
    Column::new(name.into(), items.iter().map(count).collect::<Vec<u64>>())
}

/// A column of measured quantities.
fn reals<T>(name: &str, items: &[T], real: impl Fn(&T) -> f64) -> Column {
    Column::new(name.into(), items.iter().map(real).collect::<Vec<f64>>())
}

/// A column of access levels, spelled as in a specification.
fn levels<T>(name: &str, items: &[T], level: impl Fn(&T) -> Option<AccessLevel>) -> Column {
    let names: Vec<Option<String>> = items.iter().map(|item| level(item).map(level_name)).collect();
    Column::new(name.into(), names)
}

/// The spelling that serde gives a level, so that there is only one.
fn level_name(level: AccessLevel) -> String {
    serde_json::to_value(level)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .expect("an access level serialises as a plain string")
}

fn rows_frame(rows: &[Row]) -> PolarsResult<DataFrame> {
    frame(
        rows.len(),
        vec![
            texts("experiment", rows, |row| &row.experiment),
            texts("dataset", rows, |row| &row.dataset),
            texts("model", rows, |row| &row.model),
            texts("method", rows, |row| &row.method),
            levels("access", rows, |row| row.access),
            texts("truth", rows, |row| &row.truth),
            texts("metric", rows, |row| &row.metric),
            texts("grain", rows, |row| &row.grain),
            texts("unit", rows, |row| &row.unit),
            reals("point", rows, |row| row.value.point()),
            reals("lower", rows, |row| row.value.lower()),
            reals("upper", rows, |row| row.value.upper()),
            reals("level", rows, |row| row.value.level()),
            counts("n", rows, |row| row.value.n() as u64),
            counts("undefined", rows, |row| row.value.undefined() as u64),
            counts("settings_tried", rows, |row| row.settings_tried as u64),
        ],
    )
}

fn effects_frame(effects: &[EffectPair]) -> PolarsResult<DataFrame> {
    frame(
        effects.len(),
        vec![
            texts("method", effects, |effect| &effect.method),
            texts("truth", effects, |effect| &effect.truth),
            texts("removed", effects, |effect| &effect.removed),
            counts("query", effects, |effect| u64::from(effect.query)),
            reals("predicted", effects, |effect| effect.predicted),
            reals("measured", effects, |effect| effect.measured),
        ],
    )
}

fn payouts_frame(payouts: &[Payout]) -> PolarsResult<DataFrame> {
    frame(
        payouts.len(),
        vec![
            texts("method", payouts, |payout| &payout.method),
            levels("access", payouts, |payout| Some(payout.access)),
            texts("rule", payouts, |payout| &payout.rule),
            texts("reference", payouts, |payout| &payout.reference),
            texts("contributor", payouts, |payout| &payout.contributor),
            counts("examples", payouts, |payout| payout.examples as u64),
            counts("exact", payouts, |payout| payout.exact),
            counts("estimated", payouts, |payout| payout.estimated),
        ],
    )
}

pub(crate) fn frame(height: usize, columns: Vec<Column>) -> PolarsResult<DataFrame> {
    DataFrame::new(height, columns)
}

/// Uncompressed, because the tables are small and every reader understands them.
pub(crate) fn write_parquet(
    frame: PolarsResult<DataFrame>,
    path: &Path,
) -> Result<(), ReportError> {
    let mut bytes = Vec::new();
    frame
        .and_then(|mut frame| {
            ParquetWriter::new(&mut bytes)
                .with_compression(ParquetCompression::Uncompressed)
                .set_parallel(false)
                .finish(&mut frame)
        })
        .map_err(|source| ReportError::Encode { path: path.to_owned(), source })?;
    write_file(path, &bytes)
}

pub(crate) fn write_csv(frame: PolarsResult<DataFrame>, path: &Path) -> Result<(), ReportError> {
    let mut bytes = Vec::new();
    frame
        .and_then(|mut frame| CsvWriter::new(&mut bytes).finish(&mut frame))
        .map_err(|source| ReportError::Encode { path: path.to_owned(), source })?;
    write_file(path, &bytes)
}

/// A table that was read, with the file it came from for messages.
pub(crate) struct Table {
    frame: DataFrame,
    path: std::path::PathBuf,
}

impl Table {
    fn read(folder: &Path, name: &str) -> Result<Self, ReportError> {
        Self::of_bytes(read_file(folder, name)?, folder.join(name))
    }

    /// A table in a file of the user's own.
    pub(crate) fn read_path(path: &Path) -> Result<Self, ReportError> {
        let bytes = std::fs::read(path)
            .map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
        Self::of_bytes(bytes, path.to_owned())
    }

    fn of_bytes(bytes: Vec<u8>, path: std::path::PathBuf) -> Result<Self, ReportError> {
        let frame = ParquetReader::new(std::io::Cursor::new(bytes)).finish().map_err(|error| {
            ReportError::Content { path: path.clone(), what: error.to_string() }
        })?;
        Ok(Self { frame, path })
    }

    pub(crate) fn content(&self, what: impl std::fmt::Display) -> ReportError {
        ReportError::Content { path: self.path.clone(), what: what.to_string() }
    }

    fn absent(&self, name: &str) -> ReportError {
        self.content(format!("column `{name}` has an empty cell"))
    }

    fn optional_texts(&self, name: &str) -> Result<Vec<Option<String>>, ReportError> {
        let column = self.frame.column(name).and_then(|column| column.str());
        let column = column.map_err(|error| self.content(error))?;
        Ok(column.iter().map(|cell| cell.map(str::to_owned)).collect())
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, ReportError> {
        let cells = self.optional_texts(name)?.into_iter().collect::<Option<Vec<_>>>();
        cells.ok_or_else(|| self.absent(name))
    }

    pub(crate) fn counts(&self, name: &str) -> Result<Vec<u64>, ReportError> {
        let column = self.frame.column(name).and_then(|column| column.u64());
        let column = column.map_err(|error| self.content(error))?;
        column.iter().collect::<Option<Vec<_>>>().ok_or_else(|| self.absent(name))
    }

    fn sizes(&self, name: &str) -> Result<Vec<usize>, ReportError> {
        let size = |count| usize::try_from(count).map_err(|error| self.content(error));
        self.counts(name)?.into_iter().map(size).collect()
    }

    pub(crate) fn reals(&self, name: &str) -> Result<Vec<f64>, ReportError> {
        let column = self.frame.column(name).and_then(|column| column.f64());
        let column = column.map_err(|error| self.content(error))?;
        column.iter().collect::<Option<Vec<_>>>().ok_or_else(|| self.absent(name))
    }

    fn levels(&self, name: &str) -> Result<Vec<Option<AccessLevel>>, ReportError> {
        let level = |text: String| {
            let deserializer: StrDeserializer<'_, ValueError> = text.as_str().into_deserializer();
            AccessLevel::deserialize(deserializer).map_err(|error| self.content(error))
        };
        self.optional_texts(name)?.into_iter().map(|cell| cell.map(level).transpose()).collect()
    }

    /// Checks before the constructor would panic: a file is not to be trusted.
    fn estimates(&self) -> Result<Vec<Estimate>, ReportError> {
        let (points, lowers) = (self.reals("point")?, self.reals("lower")?);
        let (uppers, levels) = (self.reals("upper")?, self.reals("level")?);
        let (samples, undefined) = (self.sizes("n")?, self.sizes("undefined")?);
        (0..self.frame.height())
            .map(|row| {
                let (point, lower) = (points[row], lowers[row]);
                let (upper, level) = (uppers[row], levels[row]);
                let finite = point.is_finite() && lower.is_finite() && upper.is_finite();
                if !(finite && lower <= upper && level > 0.0 && level <= 1.0) {
                    return Err(self.content(format!(
                        "row {row} is no estimate: {point} in [{lower}, {upper}] at level {level}"
                    )));
                }
                Ok(Estimate::new(point, lower, upper, level, samples[row], undefined[row]))
            })
            .collect()
    }

    fn rows(&self) -> Result<Vec<Row>, ReportError> {
        let mut experiments = self.texts("experiment")?.into_iter();
        let mut datasets = self.texts("dataset")?.into_iter();
        let mut models = self.texts("model")?.into_iter();
        let mut methods = self.texts("method")?.into_iter();
        let mut levels = self.levels("access")?.into_iter();
        let mut truths = self.texts("truth")?.into_iter();
        let mut metrics = self.texts("metric")?.into_iter();
        let mut grains = self.texts("grain")?.into_iter();
        let mut units = self.texts("unit")?.into_iter();
        let mut settings = self.sizes("settings_tried")?.into_iter();
        let row = |value| {
            Some(Row {
                experiment: experiments.next()?,
                dataset: datasets.next()?,
                model: models.next()?,
                method: methods.next()?,
                access: levels.next()?,
                truth: truths.next()?,
                metric: metrics.next()?,
                grain: grains.next()?,
                unit: units.next()?,
                value,
                settings_tried: settings.next()?,
            })
        };
        self.whole(self.estimates()?.into_iter().map(row).collect())
    }

    fn effects(&self) -> Result<Vec<EffectPair>, ReportError> {
        let mut truths = self.texts("truth")?.into_iter();
        let mut removed = self.texts("removed")?.into_iter();
        let mut queries = self.counts("query")?.into_iter();
        let mut predicted = self.reals("predicted")?.into_iter();
        let mut measured = self.reals("measured")?.into_iter();
        let effect = |method| {
            Some(EffectPair {
                method,
                truth: truths.next()?,
                removed: removed.next()?,
                query: queries.next()?.try_into().ok()?,
                predicted: predicted.next()?,
                measured: measured.next()?,
            })
        };
        self.whole(self.texts("method")?.into_iter().map(effect).collect())
    }

    fn payouts(&self) -> Result<Vec<Payout>, ReportError> {
        let mut levels = self.levels("access")?.into_iter();
        let mut rules = self.texts("rule")?.into_iter();
        let mut references = self.texts("reference")?.into_iter();
        let mut contributors = self.texts("contributor")?.into_iter();
        let mut examples = self.sizes("examples")?.into_iter();
        let mut exact = self.counts("exact")?.into_iter();
        let mut estimated = self.counts("estimated")?.into_iter();
        let payout = |method| {
            Some(Payout {
                method,
                access: levels.next()??,
                rule: rules.next()?,
                reference: references.next()?,
                contributor: contributors.next()?,
                examples: examples.next()?,
                exact: exact.next()?,
                estimated: estimated.next()?,
            })
        };
        self.whole(self.texts("method")?.into_iter().map(payout).collect())
    }

    /// Columns of a frame are equally long, so what is left is a cell out of range.
    fn whole<T>(&self, items: Option<Vec<T>>) -> Result<Vec<T>, ReportError> {
        items.ok_or_else(|| self.content("a cell is empty or out of range"))
    }
}
