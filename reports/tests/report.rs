//! The page, the tables and the figures from one invented record.

mod common;

use std::path::Path;

use attribench_core::{AccessLevel, Estimate, Payout, Record, Row, Verdict};
use attribench_reports::{
    ExplainedBy, Explanation, Passage, ReportError, RunFacts, answers, draw_figures, read_facts,
    read_tables, summary_table, write_explanation, write_facts, write_page, write_tables,
};
use polars::prelude::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn page_of(record: &Record, run: &RunFacts) -> String {
    let folder = folder();
    let path = write_page(record, run, &common::timings(), folder.path()).expect("page is written");
    std::fs::read_to_string(path).expect("page is text")
}

/// Every file below a folder with its bytes, in order of names.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder is there") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).expect("file is readable");
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), bytes));
        }
    }
    found.sort();
    found
}

#[test]
fn a_record_survives_the_tables() {
    let mut record = common::record();
    record.payouts.push(Payout {
        method: "m,\"\n".into(),
        access: AccessLevel::OptimizerStates,
        rule: "ünïcode".into(),
        reference: String::new(),
        contributor: "-1".into(),
        examples: usize::MAX,
        exact: 1 << 63,
        estimated: (1 << 63) - 1,
    });
    record.rows[0].value = Estimate::new(1e-300, -0.1 - 0.2, f64::MAX, 0.9, 3, usize::MAX);
    let folder = folder();
    write_tables(&record, folder.path()).expect("tables are written");
    assert_eq!(read_tables(folder.path()).expect("tables are read"), record);
}

#[test]
fn what_a_run_gained_is_told_apart_from_what_it_had() {
    let mut record = common::record();
    let base = record.rows[0].clone();
    let mut push = |method: &str, metric: &str, value: Estimate| {
        let (method, metric, unit) = (method.into(), metric.into(), "nats".into());
        record.rows.push(Row { method, metric, unit, value, ..base.clone() });
    };
    push("run", "utility-at-start", Estimate::new(-2.0, -2.5, -1.5, 0.95, 16, 0));
    push("run", "utility-gain", Estimate::new(0.25, 0.125, 0.375, 0.95, 16, 0));
    push("ledger", "explained-share", Estimate::new(0.99, 0.99, 0.99, 0.95, 16, 0));
    let said = answers(&record).join("\n");
    assert!(said.contains("began at a mean utility of -2.0 [-2.5, -1.5] nats"), "{said}");
    assert!(said.contains("and gained 0.25 [0.12, 0.38]: the gain alone is owed"), "{said}");
    assert!(said.contains("share of the gain: ledger 99\u{a0}%."), "{said}");
}

#[test]
fn an_empty_record_survives_the_tables() {
    let folder = folder();
    write_tables(&Record::default(), folder.path()).expect("tables are written");
    assert_eq!(read_tables(folder.path()).expect("tables are read"), Record::default());
}

#[test]
fn the_csv_holds_every_row() {
    let (record, folder) = (common::record(), folder());
    write_tables(&record, folder.path()).expect("tables are written");
    let text = std::fs::File::open(folder.path().join("rows.csv")).expect("the file is there");
    let frame = CsvReader::new(text).finish().expect("CSV is read");
    assert_eq!(frame.height(), record.rows.len());
    let points = frame.column("point").unwrap().f64().unwrap();
    let access = frame.column("access").unwrap().str().unwrap();
    for (index, row) in record.rows.iter().enumerate() {
        assert_eq!(points.get(index), Some(row.value.point()));
        assert_eq!(access.get(index).is_some(), row.access.is_some());
    }
    let mut spelled: Vec<&str> = access.iter().flatten().collect();
    spelled.sort_unstable();
    spelled.dedup();
    let levels = ["black-box", "checkpoints", "final-model", "full-trace", "optimizer-states"];
    assert_eq!(spelled, levels);
}

#[test]
fn facts_and_timings_are_read_back() {
    let folder = folder();
    let (facts, timings) = (common::facts(), common::timings());
    write_facts(&facts, &timings, folder.path()).expect("facts are written");
    assert_eq!(read_facts(folder.path()).expect("facts are read"), (facts, timings));
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    let write = || {
        let (record, folder) = (common::record(), folder());
        write_tables(&record, folder.path()).expect("tables are written");
        write_page(&record, &common::facts(), &common::timings(), folder.path()).expect("page");
        files(folder.path())
    };
    let (first, second) = (write(), write());
    let names: Vec<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "accuracy-cost.png",
        "accuracy-cost.svg",
        "agreement.png",
        "agreement.svg",
        "effects-leave-one-out.png",
        "effects-leave-one-out.svg",
        "effects.parquet",
        "mispaid-tokens.png",
        "mispaid-tokens.svg",
        "payouts.parquet",
        "payouts.png",
        "payouts.svg",
        "record.json",
        "report.html",
        "retrofit-gap.png",
        "retrofit-gap.svg",
        "rows.csv",
        "rows.parquet",
        "run.json",
        "sampling-error.png",
        "sampling-error.svg",
    ];
    assert_eq!(names, expected);
    assert!(first == second, "two runs differ");
}

#[test]
fn figures_are_pictures_that_name_their_methods() {
    let record = common::record();
    let figures = draw_figures(&record, &common::facts(), &common::timings());
    assert_eq!(figures.len(), 7);
    for figure in &figures {
        assert_eq!(figure.missing(), None, "{}", figure.name());
        let svg = figure.to_svg().expect("drawn").expect("present");
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(!figure.caption().is_empty());
        // Payouts show the best method of each level and say so.
        let expected = match figure.name() {
            "payouts" => 5,
            // Samplers of a game are no methods.
            "sampling-error" => 0,
            _ => 12,
        };
        let methods = [
            "random",
            "embedding-cosine",
            "grad-dot",
            "grad-cosine",
            "trak",
            "ek-fac",
            "influence-cg",
            "tracin",
            "trak-ensemble",
            "adam-influence",
            "in-run-shapley",
            "metagradient",
        ];
        let named = methods.iter().filter(|method| svg.contains(&format!("\n{method}\n"))).count();
        assert_eq!(named, expected, "{}", figure.name());
        let png = figure.to_png().expect("drawn").expect("present");
        let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info();
        let mut reader = reader.expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        reader.next_frame(&mut pixels).expect("a whole PNG");
        assert!(pixels.iter().any(|&value| value < 100), "{} is blank", figure.name());
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let page = page_of(&common::record(), &common::facts());
    for outside in ["src=", "href=", "@import", "url(", "<link", "fetch(", "<iframe"] {
        assert!(!page.contains(outside), "the page holds `{outside}`");
    }
    // The one address is the text of a licence notice.
    assert_eq!(page.matches("http").count(), 1);
    for part in ["held", "failed", "20260101", "a01abce", "Zalando", "Fashion-MNIST, 5,000"] {
        assert!(page.contains(part), "the page lacks `{part}`");
    }
    assert_eq!(page.matches("<svg ").count(), 7);
}

#[test]
fn names_cannot_break_the_page() {
    let evil = "<script>alert(\"1\")</script>&'";
    let mut record = common::record();
    for row in &mut record.rows {
        for text in [&mut row.dataset, &mut row.model, &mut row.unit, &mut row.grain] {
            *text = evil.into();
        }
        if row.method == "ek-fac" {
            row.method = evil.into();
        }
    }
    for payout in &mut record.payouts {
        payout.contributor = format!("{evil}{}", payout.contributor);
        payout.rule = evil.into();
    }
    for effect in &mut record.effects {
        effect.method = evil.into();
    }
    (record.question, record.prediction) = (evil.into(), evil.into());
    record.verdicts.push(Verdict { condition: evil.into(), held: true, evidence: evil.into() });
    let mut run = common::facts();
    (run.experiment, run.specification) = (evil.into(), evil.into());
    run.commands.push(evil.into());
    run.datasets.push(evil.into());
    let page = page_of(&record, &run);
    assert!(page.contains("&lt;script&gt;"));
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own script");
    assert!(!page.contains("alert(\"1\")"));
}

#[test]
fn answers_cite_the_rows() {
    let said = answers(&common::record()).join("\n");
    for cited in [
        "The best retrofit method, one that needs no full trace, is adam-influence \
         (optimiser states), with LDS 0.402 [0.368, 0.436]",
        // 0.402 / 0.881.
        "45.6\u{a0}% of the noise ceiling 0.881 [0.869, 0.893]",
        // 0.742 - 0.402.
        "metagradient reaches 0.742 [0.714, 0.770]: the retrofit gap is 0.340 \
         (their intervals are apart)",
        "final weights: ek-fac 0.388 [0.353, 0.423]",
        // 0.388 - 0.094, and 0.402 - 0.388 with overlapping intervals.
        "final weights +0.294 over embedding-cosine (their intervals are apart)",
        "checkpoints nothing over ek-fac",
        "optimiser states +0.0140 over ek-fac (their intervals overlap)",
        // 0.02 + 0.3 (1 - 0.742), in percent.
        "Tokens mispaid (truth exact-shapley, by contributor): least by metagradient \
         (full trace), 97,400 [77,400, 117,400] (9.7\u{a0}% [7.7, 11.7])",
        "least by a retrofit method: adam-influence (optimiser states), 199,400",
        "Of the methods that pay, metagradient is the most accurate by LDS; of the others, none \
         mispay fewer",
        "Under rule proportional, with exact payouts by exact-shapley, Radio Ljubljana loses most \
         to influence-cg, the least mispaying retrofit method: 74,788 tokens instead of 121,300 \
         (46,512 too little); of all methods, Public library of Aalst loses most to",
        "Not told apart from chance by LDS, with zero in the interval: random.",
        "all 12 intervals lie above zero",
        "7 of lds",
    ] {
        assert!(said.contains(cited), "no answer says `{cited}` in\n{said}");
    }
    assert!(!said.contains("black-box method"), "none beats what reads more:\n{said}");
}

/// Gives the first row of a metric and a method another value.
fn set(record: &mut Record, metric: &str, method: &str, point: f64) {
    let matches = |row: &&mut Row| row.metric == metric && row.method == method;
    let row = record.rows.iter_mut().find(matches).expect("the fixture has the row");
    row.value = Estimate::new(point, point - 0.03, point + 0.03, 0.95, 50, 0);
}

#[test]
fn a_gap_that_is_none_is_called_none() {
    let mut record = common::record();
    // More than every method but metagradient; then more than that one too.
    set(&mut record, "lds", "embedding-cosine", 0.5);
    let said = answers(&record).join("\n");
    let beaten = "The black-box method embedding-cosine is more accurate than 9 of 10 methods \
                  that read more: grad-dot,";
    assert!(said.contains(beaten), "{said}");
    // In-run Shapley's 0.481 +- 0.037 overlaps with 0.5 +- 0.03.
    assert!(said.contains("(the intervals of 8 of 9 are apart)"), "{said}");
    set(&mut record, "lds", "embedding-cosine", 0.8);
    let said = answers(&record).join("\n");
    for cited in [
        "metagradient reaches 0.742 [0.714, 0.770], 0.0580 less: no retrofit gap was found \
         (their intervals overlap)",
        "is more accurate than all 10 methods that read more",
        "No further level of access buys accuracy over embedding-cosine.",
        "Of the methods that pay, embedding-cosine is the most accurate by LDS; of the others, 10 \
         of 11 mispay fewer tokens.",
    ] {
        assert!(said.contains(cited), "no answer says `{cited}` in\n{said}");
    }
    record.rows.retain(|row| row.access != Some(AccessLevel::FullTrace));
    let said = answers(&record).join("\n");
    assert!(said.contains("so the retrofit gap is not known"), "{said}");
}

#[test]
fn what_cannot_be_told_or_paid_is_said() {
    let mut record = common::record();
    for row in record.rows.iter_mut().filter(|row| row.metric == "contributor-spearman") {
        row.metric = "loo-spearman".into();
        row.value = Estimate::new(0.01, -0.02, 0.04, 0.95, 60, 0);
    }
    for (method, factor) in [("random", -0.02), ("grad-cosine", 3.2)] {
        record.rows.push(common::cost_row(method, "calibration-factor", factor));
    }
    let mut floor = common::cost_row("run", "noise-floor", 0.0);
    (floor.value, floor.unit) = (Estimate::new(0.087, 0.069, 0.108, 0.95, 60, 0), "nats".into());
    record.rows.push(floor);
    let said = answers(&record).join("\n");
    for cited in [
        "no interval of 12 lies above zero, so no method is told from chance",
        "a factor fitted to measured effects: grad-cosine (3.20).",
        "Nothing is paid by scores whose calibration factor is not positive: random (-0.0200).",
        "Noise floor: runs that differ by rounding alone deviate by 0.087 [0.069, 0.108] nats",
    ] {
        assert!(said.contains(cited), "no answer says `{cited}` in\n{said}");
    }
}

#[test]
fn the_table_has_only_columns_that_tell_something() {
    let mut record = common::record();
    let page = page_of(&record, &common::facts());
    let heading = |words: &str| format!("<th scope=\"col\" class=\"number\">{words}</th>");
    assert!(page.contains(&heading("Undefined")) && page.contains(&heading("Settings")));
    record.rows.retain(|row| row.value.undefined() == 0);
    for row in &mut record.rows {
        row.settings_tried = 1;
    }
    record.rows[0].value = Estimate::new(0.09, 0.1, 0.2, 0.95, 60, 0);
    let page = page_of(&record, &common::facts());
    assert!(!page.contains(&heading("Undefined")) && !page.contains(&heading("Settings")));
    for words in [
        "No value was undefined. One setting of each method was tried.",
        "1 value lies outside its own interval",
    ] {
        assert!(page.contains(words), "the page lacks `{words}`");
    }
}

#[test]
fn failures_and_trials_are_told() {
    let page = page_of(&common::record(), &common::facts());
    assert!(page.contains("<td>lissa</td>") && page.contains("diverged at damping &lt;0.001&gt;"));
    assert!(page.contains("{&quot;damping&quot;:0.1}") && page.contains("<td>reported</td>"));
    assert!(page.contains("failed: not positive definite"));
    let empty = page_of(&Record::default(), &common::facts());
    assert!(!empty.contains("What failed") && !empty.contains("Settings tried"));
}

#[test]
fn costs_stand_in_one_table() {
    let page = page_of(&common::record(), &common::facts());
    let (_, costs) = page.split_once("What each method costs").expect("the table is there");
    let (costs, _) = costs.split_once("</section>").expect("the section ends");
    for heading in ["Forwards", "Gradients", "Replayed steps", "Work (gradients)", "Time"] {
        assert!(costs.contains(&format!(">{heading}</th>")), "no column {heading}");
    }
    assert!(!costs.contains("Tangents"), "a cost that no method has");
    // 175,000 gradients and 3,500 steps of 50; then the random method, which has no timing.
    assert!(costs.contains(">350,000</td>") && costs.contains(">not known</td>"));
    let nothing = Record::default();
    assert!(!page_of(&nothing, &RunFacts::default()).contains("What each method costs"));
}

#[test]
fn stages_that_took_longer_than_the_run_are_explained() {
    let mut run = common::facts();
    assert!(page_of(&common::record(), &run).contains("All stages together: "));
    run.seconds = Some(1.5);
    let page = page_of(&common::record(), &run);
    assert!(page.contains("more than the 1.50 s of this run"), "no word about kept stages");
}

#[test]
fn numbers_follow_the_rows() {
    let mut record = common::record();
    for row in record.rows.iter_mut().filter(|row| row.method == "trak" && row.metric == "lds") {
        row.value = Estimate::new(0.611, 0.6, 0.622, 0.95, 10, 0);
    }
    let said = answers(&record).join("\n");
    assert!(said.contains("one that needs no full trace, is trak "), "{said}");
    assert!(said.contains("0.611 [0.600, 0.622]"), "{said}");
}

#[test]
fn a_page_without_known_metrics_says_so() {
    let mut record = common::record();
    record.rows.retain(|row| row.metric == "calibration-slope");
    record.effects.clear();
    record.payouts.clear();
    record.sampling_errors.clear();
    record.agreements.clear();
    let page = page_of(&record, &RunFacts::default());
    for reason in ["No row has the metric `lds`", "`mispaid-tokens`", "no payouts", "no pairs"] {
        assert!(page.contains(reason), "the page lacks `{reason}`");
    }
    assert!(page.contains("calibration-slope") && !page.contains("<svg "));
    let empty = page_of(&Record::default(), &RunFacts::default());
    assert!(empty.contains("The record holds no rows."));
}

#[test]
fn odd_records_are_drawn_all_the_same() {
    let mut record = common::record();
    // One method, constant predictions, values that are not finite, nobody owed anything.
    record.rows.retain(|row| row.method == "trak");
    record.effects.retain(|effect| effect.method == "trak");
    for effect in &mut record.effects {
        effect.predicted = 0.0;
    }
    record.effects[3].measured = f64::NAN;
    record.payouts.retain(|payout| payout.method == "trak");
    for payout in &mut record.payouts {
        (payout.exact, payout.estimated) = (0, 0);
    }
    let page = page_of(&record, &common::facts());
    assert!(page.contains("1 pair holds a value that is not finite"));
    assert!(page.contains("nothing to pay") && page.contains("no fit: constant"));
}

#[test]
fn the_summary_fits_a_terminal() {
    let mut record = common::record();
    record.rows[1].method = "a-method-whose-name-is-far-too-long-for-any-terminal".into();
    let table = summary_table(&record);
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(table.contains("0.742 [0.714, 0.770]"), "{table}");
    let also: Vec<&str> = table.lines().filter(|line| line.starts_with("also in")).collect();
    assert_eq!(also.len(), 1, "{table}");
    assert_eq!(summary_table(&Record::default()), "no method was measured\n");
}

#[test]
fn a_folder_without_rows_is_refused_with_advice() {
    let folder = folder();
    let error = read_tables(folder.path()).expect_err("nothing is there");
    assert!(matches!(error, ReportError::Missing { .. }));
    let words = error.to_string();
    assert!(words.contains("record.json") && words.contains("hint: "), "{words}");

    write_tables(&common::record(), folder.path()).expect("tables are written");
    std::fs::remove_file(folder.path().join("rows.parquet")).expect("removed");
    let words = read_tables(folder.path()).expect_err("no rows").to_string();
    assert!(words.contains("rows.parquet") && words.contains("attribench run"), "{words}");
}

#[test]
fn damaged_files_are_refused_by_name() {
    let folder = folder();
    write_tables(&common::record(), folder.path()).expect("tables are written");
    let copy = |from: &str, to: &str| {
        std::fs::copy(folder.path().join(from), folder.path().join(to)).expect("copied");
    };
    // A table of another kind lacks a column; text is no Parquet.
    copy("effects.parquet", "rows.parquet");
    let words = read_tables(folder.path()).expect_err("other columns").to_string();
    assert!(words.contains("rows.parquet") && words.contains("hint: "), "{words}");
    copy("record.json", "rows.parquet");
    let words = read_tables(folder.path()).expect_err("no Parquet").to_string();
    assert!(words.contains("rows.parquet"), "{words}");
    copy("rows.csv", "record.json");
    let words = read_tables(folder.path()).expect_err("no JSON").to_string();
    assert!(words.contains("record.json"), "{words}");
}

#[test]
fn a_page_of_an_answer_shows_words_as_they_are_and_pays_whole_units() {
    let passage = Passage { contributor: "zoe".into(), score: 2.0, text: "a < b & \"c\"".into() };
    let method = ExplainedBy {
        label: "bm25".into(),
        access: AccessLevel::BlackBox,
        has_unit: false,
        scores: vec![0.5, 2.0],
        paid: Some(vec![200, 800]),
        passages: vec![passage],
    };
    let explanation = Explanation {
        experiment: "tiny".into(),
        prompt: "if <b>".into(),
        answer: " then".into(),
        tokens: 5,
        log_probability: -10.0,
        pool: 1000,
        rule: "linear".into(),
        contributors: vec!["abe".into(), "zoe".into()],
        methods: vec![method],
    };
    let folder = folder();
    let path = folder.path().join("answer.html");
    write_explanation(&explanation, &path).unwrap();
    let page = std::fs::read_to_string(path).unwrap();
    // The best contributor comes first; -10 nats over 5 tokens are -2 each.
    for told in [
        "if &lt;b&gt;<b> then</b>",
        "a &lt; b &amp; &quot;c&quot;",
        "order only. zoe 2, abe 0.5",
        "-10 nats, -2 a token",
        ">800<",
        "Units of 1,000",
    ] {
        assert!(page.contains(told), "no `{told}` in {page}");
    }
}
