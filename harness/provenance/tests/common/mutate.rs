//! Texts and bytes that parsers are given by strangers, and ways to spoil them.

use attribench_provenance::{
    Checkpoint, Note, TreeReader, VerifyingKey,
    croissant::{self, Card, Share},
    journal::Balances,
    note::{SigningKey, parse_trusted},
    receipt::Receipt,
    records::Record,
    state,
    tree::write_tree,
};

/// A stream of numbers (splitmix64): the same seed, the same inputs.
pub struct Lots(pub u64);

impl Lots {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Valid inputs of every parser.
pub fn corpus() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let key = super::key();
    super::record(folder.path(), Some(key.clone()));
    let log = attribench_provenance::LogReader::open(folder.path()).unwrap();
    let mut corpus: Vec<Vec<u8>> = log.tree().entries().map(Result::unwrap).collect();
    for contributor in ["ada", "dan"] {
        let receipt = Receipt::of_run(folder.path(), contributor, None).unwrap();
        corpus.push(receipt.to_text().into_bytes());
    }
    corpus.push(log.note().to_string().into_bytes());
    corpus.push(log.checkpoint().to_string().into_bytes());
    corpus.push(key.public().to_string().into_bytes());
    corpus.push(key.to_secret_text().into_bytes());
    corpus.extend(super::settlement().journal);
    let (contributor, licence) = ("ada".to_owned(), "CC0-1.0".to_owned());
    let share = Share { contributor, licence: licence.clone(), examples: 4, time: Some(9) };
    let card = Card { name: "demo".to_owned(), licence, shares: vec![share] };
    corpus.push(croissant::export(&card).to_string().into_bytes());
    corpus.push(std::fs::read(state::path(folder.path(), 0)).unwrap());
    corpus.push(std::fs::read(folder.path().join("tile/entries/000.p/14")).unwrap());
    corpus
}

/// An input that is nearly valid.
pub fn mutated(corpus: &[Vec<u8>], lots: &mut Lots) -> Vec<u8> {
    let mut bytes = corpus[lots.below(corpus.len())].clone();
    for _ in 0..=lots.below(4) {
        let place = lots.below(bytes.len());
        match lots.below(7) {
            0 if !bytes.is_empty() => bytes[place] ^= 1 << lots.below(8),
            1 if !bytes.is_empty() => bytes[place] = lots.next() as u8,
            2 => bytes.truncate(place),
            3 => bytes.insert(place, *b"\n \"{}[]0+=/9".get(lots.below(12)).unwrap_or(&0)),
            4 => {
                // A number that says more than there is.
                let huge = [b"99999999999".to_vec(), vec![0xff; 8]][lots.below(2)].clone();
                bytes.splice(place..place, huge);
            }
            5 => {
                let other = &corpus[lots.below(corpus.len())];
                let end = lots.below(other.len() + 1);
                bytes.splice(place..place, other[..end].iter().copied());
            }
            _ => {
                let end = place + lots.below(bytes.len() - place + 1);
                bytes.drain(place..end);
            }
        }
    }
    bytes
}

/// Gives an input to every parser; how many of them took it. None may panic.
pub fn parse_all(bytes: &[u8], trusted: &[VerifyingKey]) -> usize {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let receipt = Receipt::parse(text);
    let note = Note::parse(text);
    let taken = [
        Record::parse(bytes).is_ok_and(|record| record.to_bytes() == bytes),
        receipt.is_ok_and(|receipt| {
            let _ = receipt.verify(trusted);
            receipt.to_text() == text
        }),
        note.is_ok_and(|note| {
            let _ = note.verify(trusted);
            note.to_string() == text
        }),
        Checkpoint::parse(text).is_ok_and(|checkpoint| checkpoint.to_string() == text),
        parse_trusted(text).is_ok(),
        SigningKey::parse(text).is_ok(),
        croissant::import(text).is_ok(),
        Balances::default().post(bytes).is_ok(),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}

/// Reads an input as files of a log: tile, bundle and state.
pub fn read_as_files(bytes: &[u8], folder: &std::path::Path) {
    let put = |name: &str| {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    };
    put("tile/entries/000.p/3");
    put("tile/0/000.p/3");
    put("states/000000000.safetensors");
    put("checkpoint");
    let tree = TreeReader::open(folder, 3);
    let outcomes = [
        tree.check(&mut |_, _| Ok(())).is_ok(),
        tree.inclusion(1).is_ok(),
        tree.root().is_ok(),
        state::read(folder, 0).is_ok(),
        attribench_provenance::LogReader::open(folder).is_ok(),
    ];
    // The input is one file in four places: it cannot be right in all of them.
    assert!(outcomes.iter().any(|right| !right));
}

/// A tree on disk that is right, so that readers have been seen to work.
pub fn readers_work() {
    let folder = tempfile::tempdir().unwrap();
    let head = write_tree(folder.path(), [b"a", b"b", b"c"]).unwrap();
    assert_eq!(TreeReader::open(folder.path(), 3).check(&mut |_, _| Ok(())).unwrap(), head);
}
