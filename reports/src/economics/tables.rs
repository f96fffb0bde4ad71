//! Tables of a study as Parquet and CSV.

use std::path::Path;

use polars::prelude::*;

use super::Economics;
use crate::ReportError;
use crate::tables::{write_csv, write_parquet};

/// Writes `cells.parquet`, `cells.csv`, `series.parquet` and, where there are any,
/// `sensitivities.csv`.
pub(super) fn write(study: &Economics, folder: &Path) -> Result<(), ReportError> {
    write_parquet(cells(study), &folder.join("cells.parquet"))?;
    write_csv(cells(study), &folder.join("cells.csv"))?;
    write_parquet(series(study), &folder.join("series.parquet"))?;
    if !study.sensitivities.is_empty() {
        write_csv(sensitivities(study), &folder.join("sensitivities.csv"))?;
    }
    Ok(())
}

fn cells(study: &Economics) -> PolarsResult<DataFrame> {
    let rows = &study.cells;
    let mut columns = vec![
        Column::new("scenario".into(), vec![study.name.as_str(); rows.len()]),
        Column::new("case".into(), rows.iter().map(|row| row.case as u64).collect::<Vec<_>>()),
    ];
    for (at, parameter) in study.parameters.iter().enumerate() {
        let values: Vec<&str> =
            rows.iter().map(|row| study.cases[row.case].values[at].as_str()).collect();
        columns.push(Column::new(parameter.as_str().into(), values));
    }
    let texts: Vec<&str> = rows.iter().map(|row| row.metric.as_str()).collect();
    columns.push(Column::new("metric".into(), texts));
    let units: Vec<&str> = rows
        .iter()
        .map(|row| study.metric(&row.metric).map_or("", |metric| metric.unit.as_str()))
        .collect();
    columns.push(Column::new("unit".into(), units));
    let counts = |read: fn(&super::Cell) -> usize| -> Vec<u64> {
        rows.iter().map(|row| read(row) as u64).collect()
    };
    columns.push(Column::new("n".into(), counts(|row| row.count)));
    columns.push(Column::new("undefined".into(), counts(|row| row.undefined)));
    let means: Vec<f64> = rows.iter().map(|row| row.mean).collect();
    columns.push(Column::new("mean".into(), means));
    let errors: Vec<Option<f64>> = rows.iter().map(|row| row.standard_error).collect();
    columns.push(Column::new("standard_error".into(), errors));
    for (at, name) in ["p5", "p25", "p50", "p75", "p95"].into_iter().enumerate() {
        let values: Vec<f64> = rows.iter().map(|row| row.percentiles[at]).collect();
        columns.push(Column::new(name.into(), values));
    }
    for (at, name) in ["difference", "difference_low", "difference_high"].into_iter().enumerate() {
        let values: Vec<Option<f64>> =
            rows.iter().map(|row| row.difference.map(|difference| difference[at])).collect();
        columns.push(Column::new(name.into(), values));
    }
    DataFrame::new(rows.len(), columns)
}

fn series(study: &Economics) -> PolarsResult<DataFrame> {
    let (mut cases, mut names, mut steps) = (vec![], vec![], vec![]);
    let mut percentiles: [Vec<f64>; 5] = Default::default();
    for band in &study.bands {
        for step in 0..band.percentiles[2].len() {
            cases.push(band.case as u64);
            names.push(band.name.as_str());
            steps.push(step as u64);
            for (column, values) in percentiles.iter_mut().zip(&band.percentiles) {
                column.push(values[step]);
            }
        }
    }
    let height = cases.len();
    let mut columns = vec![
        Column::new("case".into(), cases),
        Column::new("series".into(), names),
        Column::new("step".into(), steps),
    ];
    for (name, values) in ["p5", "p25", "p50", "p75", "p95"].into_iter().zip(percentiles) {
        columns.push(Column::new(name.into(), values));
    }
    DataFrame::new(height, columns)
}

fn sensitivities(study: &Economics) -> PolarsResult<DataFrame> {
    let rows = &study.sensitivities;
    let texts =
        |read: fn(&super::Sensitivity) -> &str| -> Vec<&str> { rows.iter().map(read).collect() };
    let end = |at: usize| -> Vec<Option<f64>> {
        rows.iter().map(|row| row.interval.map(|ends| ends[at])).collect()
    };
    let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
    DataFrame::new(
        rows.len(),
        vec![
            Column::new("metric".into(), texts(|row| &row.metric)),
            Column::new("kind".into(), texts(|row| &row.kind)),
            Column::new("parameter".into(), texts(|row| &row.parameter)),
            Column::new("value".into(), values),
            Column::new("low".into(), end(0)),
            Column::new("high".into(), end(1)),
        ],
    )
}
