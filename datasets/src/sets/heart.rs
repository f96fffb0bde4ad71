//! Heart disease: 920 patients of four hospitals, which are the contributors.
//!
//! The target is whether a coronary artery is narrowed (`num > 0`). Features, 29 columns:
//!
//! - numbers as they are: age, sex (male 1), resting blood pressure, cholesterol, fasting blood
//!   sugar above 120 mg/dl (yes 1), highest heart rate, angina on exercise (yes 1), ST depression,
//!   coloured vessels;
//! - one column a level: chest pain (4), resting ECG (3), ST slope (3), thallium test (3);
//! - one indicator a column of numbers that has gaps (7): 1 where the value is missing.
//!
//! # Missing values
//! They are real (the vessels of two patients in three were never coloured, and it depends on the
//! hospital) and are kept visible. A missing number is 0 with its indicator at 1 until
//! [`crate::split`] puts the mean of the training rows that have a value there, so that nothing of
//! a query leaks into training. A missing level has all of its columns at 0. Cholesterol and blood
//! pressure of 0 cannot be measured on a living patient: the hospitals wrote 0 for missing (172 and
//! 1 rows, the whole of Switzerland among them), and so they are read as missing.

use ndarray::Array2;

use super::{Entry, Loader};
use crate::dataset::{Dataset, Targets};
use crate::error::SourceError;
use crate::manifest::HEART;
use crate::source::{Loaded, MissingValues};
use crate::table::{Names, Table, number_examples};

pub(super) const ENTRY: Entry = Entry {
    name: "heart",
    summary: "heart disease of 920 patients; 4 hospitals are the real data owners",
    train_examples: Some(920),
    test_examples: Some(0),
    features: Some(29),
    classes: Some(CLASSES.len()),
    natural_contributors: HOSPITALS.len(),
    licence: HEART.licence,
    hub_id: None,
    loader: Loader::Embedded(load),
};

const CLASSES: [&str; 2] = ["healthy", "diseased"];
const HOSPITALS: [&str; 4] = ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"];
const SEVERITIES: [&str; 5] = ["0", "1", "2", "3", "4"];

/// How a column of numbers writes them.
enum Reading {
    Number,
    /// A number that is never 0 in a patient: 0 stands for missing.
    Positive,
    /// The words for 0 and for 1.
    Words([&'static str; 2]),
}

enum Gaps {
    None,
    Indicated,
}

const NUMBERS: [(&str, Reading, Gaps); 9] = [
    ("age", Reading::Number, Gaps::None),
    ("sex", Reading::Words(["Female", "Male"]), Gaps::None),
    ("trestbps", Reading::Positive, Gaps::Indicated),
    ("chol", Reading::Positive, Gaps::Indicated),
    ("fbs", Reading::Words(["False", "True"]), Gaps::Indicated),
    ("thalch", Reading::Number, Gaps::Indicated),
    ("exang", Reading::Words(["False", "True"]), Gaps::Indicated),
    ("oldpeak", Reading::Number, Gaps::Indicated),
    ("ca", Reading::Number, Gaps::Indicated),
];

const LEVELS: [(&str, &[&str]); 4] = [
    ("cp", &["typical angina", "atypical angina", "non-anginal", "asymptomatic"]),
    ("restecg", &["normal", "st-t abnormality", "lv hypertrophy"]),
    ("slope", &["upsloping", "flat", "downsloping"]),
    ("thal", &["normal", "fixed defect", "reversable defect"]),
];

fn load() -> Result<Loaded, SourceError> {
    let table = Table::parse(HEART.name, HEART.read()?, b',', Names::FirstLine, 0)?;
    HEART.check_rows(table.len())?;
    let (features, missing_values) = encode(&table)?;
    let (hospital, severity) = (table.column("hospital")?, table.column("num")?);
    let labels = (0..table.len())
        .map(|row| table.word(row, severity, &SEVERITIES).map(|degree| u32::from(degree > 0)))
        .collect::<Result<_, _>>()?;
    let owners = (0..table.len())
        .map(|row| table.word(row, hospital, &HOSPITALS).map(|owner| owner as u32))
        .collect::<Result<_, _>>()?;
    let train = Dataset::new(
        ENTRY.name,
        features,
        Targets::Classes { labels, names: CLASSES.map(str::to_owned).to_vec() },
        number_examples(ENTRY.name, 0, table.len())?,
        owners,
        HOSPITALS.map(str::to_owned).to_vec(),
    )
    .map_err(|source| SourceError::Invalid { file: HEART.name.to_owned(), source })?;
    Ok(Loaded::new(train, None).with_missing_values(missing_values))
}

/// Numbers, then levels, then indicators: `(n, 29)`, and which columns hold placeholders.
fn encode(table: &Table) -> Result<(Array2<f32>, Vec<MissingValues>), SourceError> {
    let level_columns: usize = LEVELS.iter().map(|(_, levels)| levels.len()).sum();
    let gaps = NUMBERS.iter().filter(|(_, _, gaps)| matches!(gaps, Gaps::Indicated)).count();
    let mut features = Array2::zeros((table.len(), NUMBERS.len() + level_columns + gaps));
    let mut missing_values = Vec::with_capacity(gaps);
    let mut indicator_column = NUMBERS.len() + level_columns;
    for (value_column, (name, reading, gaps)) in NUMBERS.iter().enumerate() {
        let column = table.column(name)?;
        for row in 0..table.len() {
            match (read_number(table, row, column, reading)?, gaps) {
                (Some(number), _) => features[(row, value_column)] = number,
                (None, Gaps::Indicated) => features[(row, indicator_column)] = 1.0,
                (None, Gaps::None) => {
                    let hint = "this column has no gaps";
                    return Err(table.unexpected(row, column, "a value", hint));
                }
            }
        }
        if matches!(gaps, Gaps::Indicated) {
            missing_values.push(MissingValues { value_column, indicator_column });
            indicator_column += 1;
        }
    }
    let mut first_column = NUMBERS.len();
    for (name, levels) in LEVELS {
        let column = table.column(name)?;
        for row in 0..table.len() {
            if !table.text(row, column).is_empty() {
                features[(row, first_column + table.word(row, column, levels)?)] = 1.0;
            }
        }
        first_column += levels.len();
    }
    Ok((features, missing_values))
}

fn read_number(
    table: &Table,
    row: usize,
    column: usize,
    reading: &Reading,
) -> Result<Option<f32>, SourceError> {
    if table.text(row, column).is_empty() {
        return Ok(None);
    }
    match reading {
        Reading::Number => table.number(row, column).map(Some),
        Reading::Positive => Ok(Some(table.number(row, column)?).filter(|&number| number > 0.0)),
        Reading::Words(words) => {
            table.word(row, column, words).map(|index| Some(if index == 0 { 0.0 } else { 1.0 }))
        }
    }
}
