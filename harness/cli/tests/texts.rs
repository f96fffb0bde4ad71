//! Texts from the command line: datanets of one's own, planted copies, contributors who leave.

use std::{fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use tempfile::TempDir;

mod common;
use common::call;

/// Four people who write about other things, each in words of their own.
const WORDS: [(&str, [&str; 4]); 4] = [
    ("cook", ["butter", "onion", "simmer", "flour"]),
    ("miner", ["shaft", "tunnel", "granite", "lamp"]),
    ("pilot", ["runway", "throttle", "cloud", "wing"]),
    ("tailor", ["needle", "collar", "velvet", "button"]),
];

/// Texts as JSON lines: sentences over the contributor's words.
fn lines() -> String {
    let mut lines = String::new();
    for (person, words) in WORDS {
        for text in 0..10 {
            let word = |place: usize| words[(text * 3 + place * place + text * place) % 4];
            let text: Vec<&str> = (0..8).map(word).collect();
            lines += &format!(
                "{{\"contributor\": \"{person}\", \"text\": \"{}\", \"time\": \"19{:02}\"}}\n",
                text.join(" "),
                text.len()
            );
        }
    }
    lines
}

const EXPERIMENT: &str = "\
name: tiny
question: Are words paid to those who wrote them?
prediction: They are.
seed: 3
data:
  source: { texts: { path: texts.jsonl, window: 16, shortest: 16 } }
  train: 64
  queries: 8
  tuning-queries: 4
model: { gpt: { layers: 1, width: 8, heads: 2 } }
training:
  epochs: 6
  batch-size: 8
  learning-rate: 0.02
  optimizer: { adam-w: {} }
  clip-norm: 1.0
  schedule: { warmup-cosine: { warmup: 1 } }
precision: f64
utility: negative-loss
truths:
  leave-contributor-out: {}
methods:
  - bm25
  - n-gram-spans: { shortest: 2 }
  - grad-dot
  - metagradient
money: { rule: net-then-clip, tokens: 1000, reference: leave-contributor-out }
draws: 100
expect: []
";

fn place(experiment: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("texts.jsonl"), lines()).unwrap();
    fs::write(folder.path().join("tiny.yaml"), experiment).unwrap();
    folder
}

fn record(folder: &TempDir, further: &[&str]) -> Value {
    let ended = call(folder.path(), [&["run", "tiny.yaml", "--json"], further].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("standard output is JSON")
}

/// Tokens that a method pays to a contributor; nothing where it is not among those paid.
fn paid(record: &Value, method: &str, contributor: &str) -> Option<u64> {
    let payouts = record["payouts"].as_array().expect("payouts");
    let found = payouts
        .iter()
        .find(|payout| payout["method"] == method && payout["contributor"] == contributor);
    found.map(|payout| payout["estimated"].as_u64().expect("whole tokens"))
}

#[test]
fn a_text_experiment_runs_and_a_contributor_who_left_is_not_paid() {
    let folder = place(EXPERIMENT);
    let whole = record(&folder, &["--out", "whole"]);
    assert_eq!(whole["failures"].as_array().map(Vec::len), Some(0), "{}", whole["failures"]);
    for method in ["bm25", "metagradient"] {
        assert!(paid(&whole, method, "pilot").is_some_and(|tokens| tokens > 0), "{method}");
    }
    // The same without the pilot's texts; the queries of the others stay.
    let others: String =
        lines().lines().filter(|l| !l.contains("pilot")).collect::<Vec<_>>().join("\n");
    fs::write(folder.path().join("texts.jsonl"), others).unwrap();
    let without = record(&folder, &["--out", "without", "--set", "data.train=48"]);
    for method in ["bm25", "metagradient"] {
        assert_eq!(paid(&without, method, "pilot"), None);
        let total: u64 =
            ["cook", "miner", "tailor"].iter().filter_map(|p| paid(&without, method, p)).sum();
        assert_eq!(total, 1000, "{method}");
    }
}

#[test]
fn a_copycat_of_texts_shares_what_they_earn() {
    let folder = place(EXPERIMENT);
    let owner = "{ named: copycat }";
    let copies = format!("[{{ exact-duplicates: {{ amount: {{ rate: 1.0 }}, owner: {owner} }} }}]");
    let set = format!("data.corruptions={copies}");
    let doubled = record(&folder, &["--set", &set]);
    // Every text stands there twice, so that half of all common words are the copycat's.
    let copycat = paid(&doubled, "bm25", "copycat").expect("it is paid");
    assert!((499..=501).contains(&copycat), "{copycat}");
}

/// A number about the run.
fn of_run(record: &Value, metric: &str) -> f64 {
    let rows = record["rows"].as_array().expect("rows");
    let found = rows.iter().find(|row| row["method"] == "run" && row["metric"] == metric);
    found.expect("the row is there")["value"]["point"].as_f64().expect("a number")
}

#[test]
fn a_run_begins_where_its_base_ended() {
    let folder = place(&EXPERIMENT.replace("  - metagradient\n", "  - path-ledger\n"));
    let base = record(&folder, &["--out", "base"]);
    let weights = "weights: base/model.safetensors";
    for adapters in ["", ", adapters: { rank: 2, scale: 4 }"] {
        let set = format!("base={{ {weights}{adapters} }}");
        let tuned = record(&folder, &["--out", "tuned", "--set", &set]);
        // The base's own data once more: what it knew stays with it; the books explain the rest.
        let (start, end) = (of_run(&tuned, "utility-at-start"), of_run(&tuned, "utility-at-end"));
        assert!((start - of_run(&base, "utility-at-end")).abs() < 1e-12);
        assert!((end - start).abs() > 1e-6, "nothing was learned: {start} and {end}");
        assert_eq!(tuned["failures"].as_array().map(Vec::len), Some(0), "{}", tuned["failures"]);
    }
    let beside = call(folder.path(), ["beside", "base", "tuned", "--out", "both"]);
    assert_eq!(beside.code, Some(0), "{}", beside.stderr);
    let page = fs::read_to_string(folder.path().join("both/report.html")).unwrap();
    assert!(page.contains("Utility at start") && page.matches("<td>tiny</td>").count() == 2);
    // The tuned run begins at the base's end: no gap between these two, its gain to the other.
    assert!(beside.stdout.contains("base at end against tuned at start"), "{}", beside.stdout);
    let told = call(folder.path(), ["beside", "base", "tuned", "--out", "both", "--json"]);
    let gaps: Value = serde_json::from_str(&told.stdout).expect("standard output is JSON");
    let of = |field: &str| -> Vec<f64> {
        let gaps = gaps.as_array().expect("gaps").iter();
        gaps.map(|gap| gap[field]["point"].as_f64().expect("a number")).collect()
    };
    let (gaps, ahead) = (of("gap"), of("ahead"));
    assert_eq!(gaps.len(), 3);
    // Equal models halve every query; what one is ahead of the end, the other is too.
    assert!(ahead[1] == 0.5 && (ahead[0] + ahead[2] - 1.0).abs() < 1e-12, "{ahead:?}");
    assert!(gaps[1].abs() < 1e-12 && (gaps[0] + gaps[2]).abs() < 1e-12, "{gaps:?}");
    let absent = call(folder.path(), ["check", "tiny.yaml", "--set", "base={ weights: gone.npz }"]);
    assert_eq!(absent.code, Some(2));
    assert!(absent.stderr.contains("`base.weights`"), "{}", absent.stderr);
}

/// A small Llama as Hugging Face keeps it: a description, and numbers under its own names.
fn write_llama(folder: &Path) {
    let description = serde_json::json!({
        "model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2,
        "num_key_value_heads": 1, "intermediate_size": 6, "rope_theta": 500.0,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true
    });
    fs::write(folder.join("config.json"), description.to_string()).unwrap();
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let shapes = [
        ("model.embed_tokens.weight".to_owned(), vec![256, 8]),
        ("model.norm.weight".to_owned(), vec![8]),
        (layer("input_layernorm"), vec![8]),
        (layer("self_attn.q_proj"), vec![8, 8]),
        (layer("self_attn.k_proj"), vec![4, 8]),
        (layer("self_attn.v_proj"), vec![4, 8]),
        (layer("self_attn.o_proj"), vec![8, 8]),
        (layer("post_attention_layernorm"), vec![8]),
        (layer("mlp.gate_proj"), vec![6, 8]),
        (layer("mlp.up_proj"), vec![6, 8]),
        (layer("mlp.down_proj"), vec![8, 6]),
    ];
    let value = |place: usize| (0.3 * (1.7 * place as f32).sin()).to_le_bytes();
    let bytes = |shape: &[usize]| (0..shape.iter().product()).flat_map(value).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = shapes.iter().map(|(_, shape)| bytes(shape)).collect();
    let views = shapes.into_iter().zip(&data).map(|((name, shape), data)| {
        (name, TensorView::new(Dtype::F32, shape, data).expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("tensors");
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

#[test]
fn somebody_elses_model_is_tuned_and_known_by_what_its_files_say() {
    let gpt = "gpt: { layers: 1, width: 8, heads: 2 }";
    let experiment = EXPERIMENT.replace("  - metagradient\n", "");
    let folder = place(&experiment.replace(gpt, "llama: { config: config.json }"));
    write_llama(folder.path());
    let tuned = "base={ weights: model.safetensors, adapters: { rank: 2, scale: 4 } }";
    let first = record(&folder, &["--out", "first", "--set", tuned]);
    assert_eq!(first["failures"].as_array().map(Vec::len), Some(0), "{}", first["failures"]);
    // The same written out, with the weights somewhere else: nothing is computed again.
    let typed = "llama: { layers: 1, width: 8, heads: 2, key-value-heads: 1, hidden: 6, \
                 base: 500, head: tied, head-width: null, pairs: halves, epsilon: 1.0e-5 }";
    fs::write(folder.path().join("tiny.yaml"), experiment.replace(gpt, typed)).unwrap();
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("w.safetensors"))
        .unwrap();
    let tuned = tuned.replace("model.", "w.");
    let second = record(&folder, &["--out", "second", "--set", &tuned]);
    assert_eq!(first["rows"], second["rows"]);
    let gone = call(folder.path(), ["check", "tiny.yaml", "--set", "model=llama"]);
    assert!(gone.code == Some(2) && gone.stderr.contains("missing field"), "{}", gone.stderr);
}

#[test]
fn an_answer_is_shared_out_among_contributors() {
    let folder = place(EXPERIMENT);
    record(&folder, &[]);
    let ask = ["explain", "--run", "runs/tiny", "--prompt", "butter ", "--tokens", "20"];
    let ended = call(folder.path(), [&ask[..], &["--json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found: Value = serde_json::from_str(&ended.stdout).expect("standard output is JSON");
    let methods = found["methods"].as_array().expect("methods");
    assert_eq!(methods.len(), 4);
    for method in methods {
        let contributors = method["contributors"].as_array().expect("contributors");
        let paid: u64 = contributors.iter().filter_map(|one| one["paid"].as_u64()).sum();
        assert_eq!(paid, 1000, "{}", method["method"]);
        assert_eq!(method["passages"].as_array().map(Vec::len), Some(64));
    }
    let page = fs::read_to_string(folder.path().join("runs/tiny/answer.html")).unwrap();
    for told in ["butter <b>", "cook", "metagradient", "order only"] {
        assert!(page.contains(told), "no `{told}` on the page");
    }
    let words = call(folder.path(), ask).stdout;
    assert!(words.starts_with("butter ["), "{words}");
    assert!(words.contains("metagradient (full trace)") && words.contains("order only"), "{words}");
    // The same answer again, to the letter.
    assert_eq!(words, call(folder.path(), ask).stdout);
    let unknown = call(folder.path(), [&ask[..], &["--method", "bm26"]].concat());
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("unknown method `bm26` (known: bm25"), "{}", unknown.stderr);
}

#[test]
fn an_answer_is_explained_from_the_states_that_the_run_kept() {
    let folder = place(EXPERIMENT);
    let ask = |run: &str| {
        let ask = ["explain", "--run", run, "--prompt", "butter ", "--tokens", "9", "--json"];
        call(folder.path(), ask)
    };
    for (run, log) in [("runs/tiny", &[][..]), ("logged", &["--out", "logged", "--log"][..])] {
        record(&folder, log);
        let (run, states) = (folder.path().join(run), if log.is_empty() { "" } else { "log" });
        let kept = ask(&run.display().to_string());
        assert_eq!((kept.code, kept.stderr.contains("trained again")), (Some(0), false));
        // Another number in a state is found out.
        let file = run.join(states).join("states/000000000.safetensors");
        let whole = fs::read(&file).unwrap();
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        fs::write(&file, altered).unwrap();
        let refused = ask(&run.display().to_string());
        assert_ne!(refused.code, Some(0));
        assert!(
            refused.stderr.contains("is not the state that the run kept"),
            "{}",
            refused.stderr
        );
        fs::remove_file(&file).unwrap();
        let missing = ask(&run.display().to_string());
        assert!(missing.stderr.contains("hint: run the experiment again"), "{}", missing.stderr);
        // Where a run kept none, training again gives the same.
        let manifest = run.join("manifest.json");
        let text = fs::read_to_string(&manifest).unwrap();
        let mut listed: Value = serde_json::from_str(&text).unwrap();
        listed.as_object_mut().unwrap().remove("states").expect("states are listed");
        fs::write(&manifest, listed.to_string()).unwrap();
        let again = ask(&run.display().to_string());
        assert!(again.stderr.contains("it is trained again"), "{}", again.stderr);
        assert_eq!((again.code, again.stdout), (Some(0), kept.stdout));
    }
}

/// The point of the row of a method, a metric and a truth.
fn point(record: &Value, (method, metric, truth): (&str, &str, &str)) -> f64 {
    let rows = record["rows"].as_array().expect("rows").iter();
    let mut found = rows
        .filter(|row| row["method"] == method && row["metric"] == metric && row["truth"] == truth);
    let row = found.next().unwrap_or_else(|| panic!("no {metric} of {method} on {truth}"));
    row["value"]["point"].as_f64().expect("a number")
}

#[test]
fn contributors_who_come_in_rounds_are_trained_on_in_their_round() {
    let folder = place(EXPERIMENT);
    let set = ["--set", "training.rounds={ count: 2 }", "--set", "training.clip-norm=null"];
    let rounds = record(&folder, &[&["--out", "rounds"], &set[..]].concat());
    let shares: f64 = (1..=2)
        .map(|round| point(&rounds, ("truth", "paid-share", &format!("round-{round}"))))
        .sum();
    assert!((shares - 1.0).abs() < 1e-12, "the whole pool goes to one round or the other");
    // Cook and miner come first. What they lose by leaving is what the row says.
    let effect = point(&rounds, ("round-1", "effect-of-round", "leave-contributor-out"));
    let pairs = rounds["effects"].as_array().expect("effects");
    let of_first: Vec<f64> = pairs
        .iter()
        .filter(|pair| pair["method"] == "grad-dot" && pair["truth"] == "leave-contributor-out")
        .filter(|pair| pair["removed"] == "cook" || pair["removed"] == "miner")
        .map(|pair| pair["measured"].as_f64().expect("a number"))
        .collect();
    assert_eq!(of_first.len(), 2 * 8);
    assert!((of_first.iter().sum::<f64>() / 8.0 - effect).abs() < 1e-12);
    let page = fs::read_to_string(folder.path().join("rounds/report.html")).unwrap();
    assert!(page.contains("Share of the pool by the round in which contributors came"));
    for (wrong, told) in [
        ("{ count: 5 }", "`rounds`: 5 rounds of 4 contributors"),
        ("{ count: 1 }", "use at least 2 rounds"),
    ] {
        let set = format!("training.rounds={wrong}");
        let ended = call(folder.path(), ["check", "tiny.yaml", "--set", &set]);
        assert!(ended.code == Some(2) && ended.stderr.contains(told), "{}", ended.stderr);
    }
}

#[test]
fn a_proxy_that_is_the_model_itself_gives_what_the_run_gives() {
    let proxies = "  - grad-dot: { label: twin, proxy: { gpt: { layers: 1, width: 8, heads: 2 } } }
  - metagradient: { label: far, proxy: { gpt: { layers: 1, width: 8, heads: 2 } } }
  - grad-dot: { label: small, proxy: { gpt: { layers: 1, width: 4, heads: 1 } } }
";
    let folder =
        place(&EXPERIMENT.replace("  - metagradient\n", &format!("  - metagradient\n{proxies}")));
    let found = record(&folder, &["--out", "proxies"]);
    let truth = "leave-contributor-out";
    for metric in ["contributor-pearson", "contributor-spearman"] {
        for (proxy, method) in [("twin", "grad-dot"), ("far", "metagradient")] {
            assert_eq!(
                point(&found, (proxy, metric, truth)).to_bits(),
                point(&found, (method, metric, truth)).to_bits(),
                "the same beginning, order and steps are the same run"
            );
        }
    }
    let rows = found["rows"].as_array().expect("rows");
    let mut proxied = rows.iter().filter(|row| row["method"] == "far");
    assert!(proxied.all(|row| row["access"] == "black-box"), "of the run it reads its data alone");
    assert_ne!(
        point(&found, ("small", "contributor-pearson", truth)).to_bits(),
        point(&found, ("twin", "contributor-pearson", truth)).to_bits()
    );
    for (wrong, told) in [
        ("bm25: { proxy: gpt }", "this method looks into no model"),
        ("grad-dot: { proxy: gtp }", "unknown model `gtp`"),
        ("grad-dot: { proxy: { gpt: { layers: 1 } } }", "missing field `width`"),
        (
            "grad-dot: { known: 0.5, proxy: { gpt: { layers: 1, width: 4, heads: 1 } } }",
            "a part of a proxy",
        ),
    ] {
        let wrong = EXPERIMENT.replace(
            "  - metagradient\n",
            &format!("  - {wrong}\n").replace("grad-dot: {", "grad-dot: { label: other,"),
        );
        let ended = call(place(&wrong).path(), ["check", "tiny.yaml"]);
        assert!(ended.code == Some(2) && ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
}

/// An encoder as Hugging Face keeps it, which knows the words of all contributors.
fn write_encoder(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let known = WORDS.iter().flat_map(|(_, words)| words.iter().copied());
    let vocabulary: serde_json::Map<String, Value> = std::iter::once("[UNK]")
        .chain(known)
        .enumerate()
        .map(|(number, word)| (word.to_owned(), number.into()))
        .collect();
    // A place for each word, and one for what is none.
    let width = 18;
    let description = serde_json::json!({
        "model_type": "bert", "hidden_size": width, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": width, "vocab_size": vocabulary.len(),
        "max_position_embeddings": 12, "type_vocab_size": 1, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12
    });
    fs::write(folder.join("config.json"), description.to_string()).unwrap();
    let tokens = vocabulary.len();
    let tokenizer = serde_json::json!({
        "version": "1.0", "pre_tokenizer": { "type": "Whitespace" }, "added_tokens": [],
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" }
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let table = |name: &str, rows: usize| (format!("embeddings.{name}.weight"), vec![rows, width]);
    let mut shapes = vec![
        table("word_embeddings", tokens),
        table("position_embeddings", 12),
        table("token_type_embeddings", 1),
    ];
    let block = |name: &str| format!("encoder.layer.0.{name}");
    let norms = [
        "embeddings.LayerNorm".to_owned(),
        block("attention.output.LayerNorm"),
        block("output.LayerNorm"),
    ];
    for name in norms {
        shapes.push((format!("{name}.weight"), vec![width]));
        shapes.push((format!("{name}.bias"), vec![width]));
    }
    for name in ["self.query", "self.key", "self.value", "output.dense"] {
        shapes.push((block(&format!("attention.{name}.weight")), vec![width, width]));
        shapes.push((block(&format!("attention.{name}.bias")), vec![width]));
    }
    for name in ["intermediate.dense", "output.dense"] {
        shapes.push((block(&format!("{name}.weight")), vec![width, width]));
        shapes.push((block(&format!("{name}.bias")), vec![width]));
    }
    let bytes = |(name, shape): &(String, Vec<usize>)| -> Vec<u8> {
        let value = |place: usize| match name.ends_with("LayerNorm.weight") {
            true => 1.0f32,
            // The word counts for more than its place and what is made of it.
            false if name.contains("word") => {
                f32::from(place >= width && place / width == place % width)
            }
            false => 0.1 * (0.37 * (place * place) as f32).sin(),
        };
        (0..shape.iter().product()).flat_map(|place| value(place).to_le_bytes()).collect()
    };
    let data: Vec<Vec<u8>> = shapes.iter().map(bytes).collect();
    let views = shapes.into_iter().zip(&data).map(|((name, shape), data)| {
        (name, TensorView::new(Dtype::F32, shape, data).expect("a tensor"))
    });
    let file = safetensors::serialize(views, None).expect("tensors");
    fs::write(folder.join("model.safetensors"), file).unwrap();
}

#[test]
fn texts_are_compared_through_somebody_elses_encoder() {
    let encoded = "  - input-similarity: { encoder: theirs, label: encoded }\n";
    let folder = place(&EXPERIMENT.replace("  - metagradient\n", encoded));
    write_encoder(&folder.path().join("theirs"));
    let first = record(&folder, &["--out", "first"]);
    assert_eq!(first["failures"].as_array().map(Vec::len), Some(0), "{}", first["failures"]);
    let rows = first["rows"].as_array().expect("rows").iter();
    let mut encoded_rows = rows.filter(|row| row["method"] == "encoded").peekable();
    assert!(encoded_rows.peek().is_some());
    assert!(encoded_rows.all(|row| row["access"] == "black-box"), "it reads texts alone");
    // Who wrote in the words of the prompt stands first, whatever the model writes behind it.
    let ask = ["explain", "--run", "first", "--method", "encoded", "--tokens", "1", "--json"];
    for (prompt, author) in [("velvet button ", "tailor"), ("lamp shaft ", "miner")] {
        let ended = call(folder.path(), [&ask[..], &["--prompt", prompt]].concat());
        let found: Value = serde_json::from_str(&ended.stdout).expect("standard output is JSON");
        let first = &found["methods"][0]["passages"][0];
        assert_eq!(first["contributor"], author, "{first}");
    }
    // Another encoder in the same place is another method: nothing is found in the store.
    let weights = folder.path().join("theirs/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let place = bytes.len() - 1;
    bytes[place] ^= 0x80;
    fs::write(&weights, bytes).unwrap();
    let second = record(&folder, &["--out", "second"]);
    assert_ne!(first["rows"], second["rows"]);
}

#[test]
fn encoders_that_do_not_fit_are_refused_before_anything_trains() {
    for (method, told) in [
        ("input-similarity: { encoder: gone }", "`encoder`: gone/config.json"),
        ("grad-cos: { encoder: theirs }", "`encoder` is for methods that compare inputs"),
        ("input-similarity: { encoder: theirs, known: 0.5 }", "leave out `known`"),
        ("input-similarity", "name other data, or an `encoder`"),
    ] {
        let line = format!("  - {method}\n");
        let folder = place(&EXPERIMENT.replace("  - metagradient\n", &line));
        write_encoder(&folder.path().join("theirs"));
        let ended = call(folder.path(), ["check", "tiny.yaml"]);
        assert!(ended.code == Some(2) && ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    let numbers = EXPERIMENT
        .replace(
            "source: { texts: { path: texts.jsonl, window: 16, shortest: 16 } }",
            "source: { embedded: vowel }",
        )
        .replace("  - metagradient\n", "  - input-similarity: { encoder: theirs }\n");
    let folder = place(&numbers);
    write_encoder(&folder.path().join("theirs"));
    let ended = call(folder.path(), ["check", "tiny.yaml"]);
    let told = "method `input-similarity` reads texts, and the data are numbers";
    assert!(ended.code == Some(2) && ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn what_does_not_fit_texts_is_refused_with_its_place() {
    let wrong = EXPERIMENT
        .replace("gpt: { layers: 1, width: 8, heads: 2 }", "mlp: { hidden: [4] }")
        .replace("  - grad-dot\n", "  - knn-shapley\n");
    let ended = call(place(&wrong).path(), ["check", "tiny.yaml"]);
    assert_eq!(ended.code, Some(2));
    for told in [
        "tiny.yaml:10:8: model `mlp` reads numbers, and the data are texts",
        "method `knn-shapley` reads numbers with one label an example, and the data are texts",
        "2 errors found",
    ] {
        assert!(ended.stderr.contains(told), "no `{told}` in:\n{}", ended.stderr);
    }
    let part = EXPERIMENT.replace("  - metagradient\n", "  - metagradient: { known: 0.5 }\n");
    let ended = call(place(&part).path(), ["check", "tiny.yaml"]);
    let told = "`known` is for methods that read no more than final weights";
    assert!(ended.code == Some(2) && ended.stderr.contains(told), "{}", ended.stderr);
    let unknown = EXPERIMENT.replace("window: 16", "windows: 16");
    let ended = call(place(&unknown).path(), ["check", "tiny.yaml"]);
    assert!(ended.stderr.contains("windows"), "{}", ended.stderr);
    let numbers = EXPERIMENT.replace(
        "source: { texts: { path: texts.jsonl, window: 16, shortest: 16 } }",
        "source: { embedded: vowel }",
    );
    let ended = call(place(&numbers).path(), ["check", "tiny.yaml"]);
    for told in ["method `bm25` reads texts, and the data are numbers", "model `gpt` reads tokens"]
    {
        assert!(ended.stderr.contains(told), "no `{told}` in:\n{}", ended.stderr);
    }
}
