//! A model that somebody else trained on data that nobody here has.

use attribench_core::{DataShape, Examples, Model, Utility};
use attribench_datasets::{Source, embedded_weights, load};
use attribench_engine::files::parameters::{Names, load_embedded};
use attribench_models::{ModelSpec, TextGenRnn};

const SENTENCE: &str = "What is the best thing about the new president of the United States?";

/// textgenrnn gives 0.68 nats a character on this sentence. It does so where the token `<s>` stands
/// before the sentence and padding before that, capitals as they are, and all 68 characters are
/// asked for, the first one too; a plain loop in NumPy on the published weights gives 0.677834.
/// Without `<s>` it is 0.709, in small letters 0.821.
#[test]
fn textgenrnn_knows_its_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sentence.jsonl");
    let line = serde_json::json!({"text": SENTENCE, "contributor": "nobody"});
    std::fs::write(&path, line.to_string()).unwrap();
    let source: Source = serde_json::from_value(serde_json::json!({"texts": {
        "path": path,
        "tokens": {"characters": {"embedded": "textgenrnn"}},
        "window": 40 + SENTENCE.len() - 1,
        "context": 40,
        "hold-out": {"documents": 0.0},
    }}))
    .unwrap();
    let loaded = load(&source).unwrap();
    let shape = DataShape::of([loaded.train()]);
    assert_eq!((loaded.train().len(), shape.asked.len(), shape.outputs), (1, 68, 465));
    let network = TextGenRnn::default().build_for(&shape).unwrap();
    let layout = <_ as Model<f64>>::layout(&network);
    assert_eq!(layout.parameters(), 461_693);
    let weights = embedded_weights("textgenrnn").unwrap();
    let (theta, names) = load_embedded::<f64>(weights, layout, Names::OWN).unwrap();
    assert_eq!(names.len(), 10);
    let examples = Examples::<f64>::from_dataset(loaded.train());
    let utilities = network.utilities(&theta, &examples, Utility::NegativeLoss);
    // The loop there rounds as this one does, but in another order.
    assert!((-utilities[0] - 0.677_834).abs() < 1e-6, "{}", -utilities[0]);
}
