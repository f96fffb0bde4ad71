//! Delimited text as rows of fields that remember their lines.

use ndarray::Array2;

use crate::dataset::{Dataset, ExampleId, Targets};
use crate::error::SourceError;
use crate::manifest::EmbeddedFile;
use crate::sets::ALL;
use crate::source::Loaded;

/// What some programs put before UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where the names of the columns come from.
pub(crate) enum Names {
    /// The first line.
    FirstLine,
    /// Numbers from 0, for files without a header.
    Numbers,
}

/// Rows of equally many fields.
pub(crate) struct Table {
    file: String,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    lines: Vec<u64>,
}

impl Table {
    /// Reads UTF-8 text; `lines_before` counts lines of the file that are not in `bytes`.
    pub(crate) fn parse(
        file: &str,
        bytes: &[u8],
        delimiter: u8,
        names: Names,
        lines_before: u64,
    ) -> Result<Self, SourceError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            // The widths are compared below, for an error with a line of the whole file.
            .flexible(true)
            .from_reader(bytes);
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(|source| {
                let line = lines_before + source.position().map_or(1, csv::Position::line);
                SourceError::Csv { file: file.to_owned(), line, source }
            })?;
            lines
                .push(lines_before + record.position().map_or(1, |start| first_line(bytes, start)));
            rows.push(record.iter().map(|field| field.trim().to_owned()).collect::<Vec<_>>());
        }
        let width = rows.first().map_or(0, Vec::len);
        if let Some(row) = rows.iter().position(|row| row.len() != width) {
            let (line, found) = (lines[row], rows[row].len());
            return Err(SourceError::FieldCount {
                file: file.to_owned(),
                line,
                expected: width,
                found,
            });
        }
        let names = match names {
            Names::Numbers => (0..width).map(|column| column.to_string()).collect(),
            Names::FirstLine if rows.is_empty() => Vec::new(),
            Names::FirstLine => {
                lines.remove(0);
                rows.remove(0)
            }
        };
        if rows.is_empty() {
            let hint = "the file must hold at least one line of data";
            return Err(SourceError::Empty { file: file.to_owned(), what: "row", hint });
        }
        Ok(Self { file: file.to_owned(), names, rows, lines })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Names of the columns, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Position of a named column.
    pub(crate) fn column(&self, name: &str) -> Result<usize, SourceError> {
        let mut found = (0..self.names.len()).filter(|&column| self.names[column] == name);
        match (found.next(), found.count()) {
            (Some(column), 0) => Ok(column),
            (Some(_), others) => Err(SourceError::AmbiguousColumn {
                file: self.file.clone(),
                found: name.to_owned(),
                count: 1 + others,
            }),
            (None, _) => Err(SourceError::UnknownColumn {
                file: self.file.clone(),
                found: name.to_owned(),
                known: self.names.join(", "),
                hint: "names are compared letter by letter",
            }),
        }
    }

    pub(crate) fn text(&self, row: usize, column: usize) -> &str {
        &self.rows[row][column]
    }

    /// The fields of a column from top to bottom.
    pub(crate) fn texts(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row[column].as_str())
    }

    /// A finite number.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<f32, SourceError> {
        match self.text(row, column).parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) | Err(_) => Err(self.unexpected(
                row,
                column,
                "a finite number",
                "encode words as numbers, fill missing fields, or ignore the column",
            )),
        }
    }

    /// A finite number in double precision, for targets.
    pub(crate) fn target(&self, row: usize, column: usize) -> Result<f64, SourceError> {
        match self.text(row, column).parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) | Err(_) => Err(self.unexpected(
                row,
                column,
                "a finite number",
                "name a numeric column, or declare the target to be `classes`",
            )),
        }
    }

    /// Index of the field among some known words.
    pub(crate) fn word(
        &self,
        row: usize,
        column: usize,
        words: &[&str],
    ) -> Result<usize, SourceError> {
        let found = self.text(row, column);
        words.iter().position(|word| *word == found).ok_or_else(|| {
            let expected = format!("one of `{}`", words.join("`, `"));
            self.unexpected(row, column, &expected, "words are compared letter by letter")
        })
    }

    /// The numbers in the given columns, `(n, columns.len())`.
    pub(crate) fn numbers(&self, columns: &[usize]) -> Result<Array2<f32>, SourceError> {
        let mut numbers = Array2::zeros((self.len(), columns.len()));
        for ((row, index), number) in numbers.indexed_iter_mut() {
            *number = self.number(row, columns[index])?;
        }
        Ok(numbers)
    }

    /// The error of a field that does not hold what it should.
    pub(crate) fn unexpected(
        &self,
        row: usize,
        column: usize,
        expected: &str,
        hint: &'static str,
    ) -> SourceError {
        SourceError::Field {
            file: self.file.clone(),
            line: self.lines[row],
            column: self.names[column].clone(),
            found: self.text(row, column).to_owned(),
            expected: expected.to_owned(),
            hint,
        }
    }
}

/// Line of the first field of a record.
///
/// The reader counts from the end of the record before, so that blank lines and the second half of
/// a Windows line end still lie ahead.
fn first_line(bytes: &[u8], start: &csv::Position) -> u64 {
    let ends = bytes.iter().skip(start.byte() as usize);
    let ends = ends.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    start.line() + ends.filter(|&&byte| byte == b'\n').count() as u64
}

/// The ids `first`, `first + 1`, ... of `count` examples.
pub(crate) fn number_examples(
    name: &str,
    first: usize,
    count: usize,
) -> Result<Vec<ExampleId>, SourceError> {
    let too_many = |_| SourceError::TooManyExamples { name: name.to_owned(), found: first + count };
    // One id above the last one must exist too: corruptions number their copies from there.
    u32::try_from(first + count).map_err(too_many)?;
    (first..first + count).map(|id| u32::try_from(id).map(ExampleId).map_err(too_many)).collect()
}

/// Reads a table of scikit-learn: a first line `n,d,class names`, then d numbers and a class index.
///
/// The first line says nothing that the manifest's hash does not pin, so it is passed over.
pub(crate) fn load_scikit_learn(
    name: &str,
    embedded: &EmbeddedFile,
    class_names: &[&str],
) -> Result<Loaded, SourceError> {
    let bytes = embedded.read()?;
    let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
    let table = Table::parse(embedded.name, &bytes[end..], b',', Names::Numbers, 1)?;
    embedded.check_rows(table.len())?;
    load_numeric(name, &table, class_names, 1.0)
}

/// Reads a table whose last column is a class index; features are divided by `divisor`.
pub(crate) fn load_numeric(
    name: &str,
    table: &Table,
    class_names: &[&str],
    divisor: f32,
) -> Result<Loaded, SourceError> {
    let label = table.names().len() - 1;
    let columns: Vec<usize> = (0..label).collect();
    let features = table.numbers(&columns)? / divisor;
    let indices: Vec<String> = (0..class_names.len()).map(|index| index.to_string()).collect();
    let indices: Vec<&str> = indices.iter().map(String::as_str).collect();
    let labels = (0..table.len())
        .map(|row| table.word(row, label, &indices).map(|index| index as u32))
        .collect::<Result<_, _>>()?;
    let names = class_names.iter().map(|&name| name.to_owned()).collect();
    let train = Dataset::new(
        name,
        features,
        Targets::Classes { labels, names },
        number_examples(name, 0, table.len())?,
        vec![0; table.len()],
        vec![ALL.to_owned()],
    )
    .map_err(|source| SourceError::Invalid { file: table.file().to_owned(), source })?;
    Ok(Loaded::new(train, None))
}
