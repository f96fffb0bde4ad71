//! Every parser of the crate on one input: what is taken is written again as it was.

#![no_main]

use attribench_provenance::{
    Checkpoint, Note, croissant,
    journal::Balances,
    note::{SigningKey, parse_trusted},
    receipt::Receipt,
    records::Record,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::parse(bytes) {
        assert_eq!(record.to_bytes(), bytes);
    }
    // Whether a posting balances is all that it says.
    let _ = Balances::default().post(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(receipt.to_text(), text);
        let _ = receipt.verify(&[]);
    }
    let _ = (parse_trusted(text), SigningKey::parse(text), croissant::import(text));
});
