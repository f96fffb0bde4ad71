//! The user's own CSV: what is read, and what is refused where.

use std::io::Write;
use std::path::PathBuf;

use attribench_datasets::{
    ALL, Column, CsvFile, Header, Loaded, Source, SourceError, TargetKind, Targets, load,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

fn write(folder: &TempDir, content: &[u8]) -> PathBuf {
    let path = folder.path().join("own.csv");
    std::fs::write(&path, content).expect("the temporary folder takes files");
    path
}

fn options(path: PathBuf) -> CsvFile {
    CsvFile {
        path,
        label: Column::Name("y".into()),
        target: TargetKind::Classes,
        contributor: None,
        ignore: Vec::new(),
        delimiter: ',',
        header: Header::Present,
    }
}

fn load_text(text: &str, change: impl FnOnce(&mut CsvFile)) -> Result<Loaded, SourceError> {
    let folder = TempDir::new().expect("a temporary folder");
    let mut options = options(write(&folder, text.as_bytes()));
    change(&mut options);
    load(&Source::CsvFile(options))
}

fn refusal(text: &str, change: impl FnOnce(&mut CsvFile)) -> String {
    let message = load_text(text, change).expect_err("it must be refused").to_string();
    assert!(message.contains("\nhint: "), "no hint in: {message}");
    message
}

#[test]
fn features_labels_and_contributors_are_read() {
    let text = "id,a,who,y,b\n7,1.5,zoe,no,-2\n8,2.5,ann,yes,3e1\n9,0,zoe,no,4\n";
    let loaded = load_text(text, |options| {
        options.contributor = Some(Column::Name("who".into()));
        options.ignore = vec![Column::Number(0)];
    })
    .expect("valid");
    let train = loaded.train();
    assert_eq!(
        train.features().rows().into_iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
        [[1.5, -2.0], [2.5, 30.0], [0.0, 4.0]]
    );
    let names = vec!["no".to_owned(), "yes".to_owned()];
    assert_eq!(train.targets(), &Targets::Classes { labels: vec![0, 1, 0], names });
    assert_eq!(train.contributors(), ["ann", "zoe"]);
    assert_eq!(train.owners(), [1, 0, 1]);
    assert!(loaded.test().is_none());
}

#[test]
fn other_delimiters_no_header_quotes_and_gzip() {
    let text = "1;\"10\";0.5\n2;9;\"1.5\"\n";
    let change = |options: &mut CsvFile| {
        options.delimiter = ';';
        options.header = Header::Absent;
        options.label = Column::Number(1);
    };
    let loaded = load_text(text, change).expect("valid");
    let Targets::Classes { labels, names } = loaded.train().targets() else { panic!("classes") };
    // Whole numbers sort as numbers: 9 before 10.
    assert_eq!(
        (labels.as_slice(), names.as_slice()),
        (&[1, 0][..], &["9".into(), "10".into()][..])
    );
    assert_eq!(loaded.train().contributors(), [ALL]);

    let folder = TempDir::new().expect("a temporary folder");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes bytes");
    let mut packed = options(write(&folder, &encoder.finish().expect("memory takes bytes")));
    change(&mut packed);
    assert_eq!(load(&Source::CsvFile(packed)).expect("valid"), loaded);
}

#[test]
fn real_targets() {
    let change = |options: &mut CsvFile| options.target = TargetKind::Values;
    let loaded = load_text("a,y\n1,0.25\n2,-3\n", change).expect("valid");
    assert_eq!(loaded.train().targets(), &Targets::Values(vec![0.25, -3.0]));
    let message = refusal("a,y\n1,0.25\n2,high\n", change);
    assert!(message.contains("line 3, column `y`: found `high`, expected a finite number"));
}

#[test]
fn errors_name_file_line_column_and_value() {
    let keep = |_: &mut CsvFile| {};
    let message = refusal("a,b,y\n1,2,u\n1,x7,v\n", keep);
    assert!(message.contains("own.csv: line 3, column `b`: found `x7`, expected a finite number"));
    for word in ["", "nan", "inf", "1e60"] {
        let message = refusal(&format!("a,y\n1,u\n2,v\n{word},v\n"), keep);
        assert!(message.contains(&format!("line 4, column `a`: found `{word}`")), "{message}");
    }
    // A quoted field may span lines: the bad row begins at line 4 of the file.
    let message = refusal("a,y\n1,\"u\nv\"\nbad,u\n", keep);
    assert!(message.contains("line 4, column `a`: found `bad`"), "{message}");
    let message = refusal("a,y\n1,u\n1,u,3\n", keep);
    assert!(message.contains("line 3: found 3 fields, expected 2"), "{message}");
    let message = refusal("a,y\n1,\n", keep);
    assert!(message.contains("line 2, column `y`: found ``, expected a class"), "{message}");
}

#[test]
fn unknown_columns_list_the_known_ones() {
    let message = refusal("a,b\n1,2\n", |_| {});
    assert!(message.contains("unknown column `y` (known: a, b)"), "{message}");
    let message = refusal("a,y\n1,2\n", |options| options.contributor = Some(Column::Number(2)));
    assert!(message.contains("unknown column `2` (known: a, y)"), "{message}");
}

#[test]
fn a_name_that_two_columns_have_is_refused() {
    // Taking either one would leave the label among the features.
    let message = refusal("y,a,y\n1,2,1\n", |_| {});
    assert!(message.contains("2 columns are named `y`"), "{message}");
    assert!(load_text("y,a,y\n1,2,1\n", |options| options.label = Column::Number(2)).is_ok());
}

#[test]
fn byte_order_marks_line_ends_and_blank_lines_are_no_data() {
    let plain = load_text("y,a\nu,1\nv,2\n", |_| {}).expect("valid");
    let windows = load_text("\u{feff}y,a\r\nu, 1\r\n\r\nv,2", |_| {}).expect("valid");
    assert_eq!(plain, windows);
    let message = refusal("y,a\nu,1\n\n\nv,x\n", |_| {});
    assert!(message.contains("line 5, column `a`"), "{message}");
    let message = refusal("\u{feff}y,a\r\nu,1\r\n\r\nv,2\r\nv,x\r\n", |_| {});
    assert!(message.contains("line 5, column `a`"), "{message}");
}

#[test]
fn useless_files_and_options_are_refused() {
    assert!(refusal("", |_| {}).contains("there is no row"));
    assert!(refusal("a,y\n", |_| {}).contains("there is no row"));
    assert!(refusal("y\n1\n", |_| {}).contains("there is no feature column"));
    for delimiter in ['"', '\n', 'é', '→'] {
        let message = refusal("a,y\n1,2\n", |options| options.delimiter = delimiter);
        assert!(message.contains("option `delimiter`"), "{message}");
    }
    let folder = TempDir::new().expect("a temporary folder");
    let missing = options(folder.path().join("absent.csv"));
    let message = load(&Source::CsvFile(missing)).expect_err("no such file").to_string();
    assert!(message.contains("absent.csv"), "{message}");
    let path = write(&folder, b"a,y\n1,u\n\xff,v\n");
    let message = load(&Source::CsvFile(options(path))).expect_err("not UTF-8").to_string();
    assert!(message.contains("own.csv: line 3: "), "{message}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = TempDir::new().expect("a temporary folder");
        let mut options = options(write(&folder, &bytes));
        options.label = Column::Number(0);
        if let Ok(loaded) = load(&Source::CsvFile(options)) {
            prop_assert!(!loaded.train().is_empty());
        }
    }
}
