//! Tables of other people as columns of numbers.

use std::{fs::File, path::Path};

use polars::prelude::*;

use crate::ReportError;

/// A column with its name.
pub type NamedColumn = (String, Vec<f64>);

/// The columns of a `.csv` or `.parquet` file, in their order; truth values count as 0 and 1.
///
/// # Errors
/// When the file cannot be read, has another ending, or a cell is not a number.
pub fn read_columns(path: &Path) -> Result<Vec<NamedColumn>, ReportError> {
    let wrong = |what: String| ReportError::Columns { path: path.to_owned(), what };
    let file =
        File::open(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let frame = match ending {
        "csv" => CsvReader::new(file).finish(),
        "parquet" => ParquetReader::new(file).finish(),
        other => return Err(wrong(format!("`.{other}` is no table that can be read"))),
    };
    let frame = frame.map_err(|error| wrong(error.to_string()))?;
    frame.columns().iter().map(|column| numbers(column).map_err(&wrong)).collect()
}

fn numbers(column: &Column) -> Result<NamedColumn, String> {
    let name = column.name().to_string();
    let cells = column.cast(&DataType::Float64).map_err(|error| error.to_string())?;
    let cells = cells.f64().map_err(|error| error.to_string())?;
    if let Some(row) = cells.iter().position(|cell| cell.is_none()) {
        let found = column.get(row).map_err(|error| error.to_string())?;
        let found = if found.is_null() { "nothing".to_owned() } else { found.to_string() };
        let row = row + 1;
        return Err(format!("row {row} of column `{name}` holds {found}, which is not a number"));
    }
    Ok((name, cells.into_no_null_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::read_columns;

    #[test]
    fn columns_of_a_csv_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, "a,utility\n0,1.5\n1,-2\n").unwrap();
        let found = read_columns(&path).unwrap();
        assert_eq!(found[0], ("a".to_owned(), vec![0.0, 1.0]));
        assert_eq!(found[1], ("utility".to_owned(), vec![1.5, -2.0]));
        std::fs::write(&path, "a,utility\n0,x\n").unwrap();
        let error = read_columns(&path).unwrap_err().to_string();
        assert!(error.contains("row 1 of column `utility` holds \"x\""), "{error}");
        assert!(read_columns(&folder.path().join("absent.csv")).is_err());
    }
}
