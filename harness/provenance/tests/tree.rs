//! Trees on disk beside a tree in memory that somebody else wrote.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use attribench_provenance::{
    Digest, Log, LogError, LogReader, SigningKey, TreeReader, TreeWriter, leaf_hash,
    note::NoteError,
    proof::{verify_consistency, verify_inclusion, verify_rest},
    tree::write_tree,
};
use ct_merkle::{RootHash, mem_backed_tree::MemoryBackedTree};
use proptest::prelude::*;
use sha2::Sha256;

fn entry(index: u64) -> Vec<u8> {
    // Lengths 0 to 12, so that bundles hold more than one.
    format!("entry {index:06}").into_bytes()[..(index % 13) as usize].to_vec()
}

fn append_all(log: &mut Log, indices: std::ops::Range<u64>) {
    for index in indices {
        log.append(&entry(index)).unwrap();
    }
}

fn hashes(bytes: &[u8]) -> Vec<Digest> {
    bytes.as_chunks::<32>().0.iter().copied().map(Digest).collect()
}

#[test]
fn proofs_are_those_of_another_implementation() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = TreeWriter::create(folder.path()).unwrap();
    let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut roots: Vec<(u64, RootHash<Sha256>)> = Vec::new();
    for size in [1u64, 2, 3, 7, 8, 255, 256, 257, 300, 511, 512, 700] {
        for index in oracle.len()..size {
            tree.append(&entry(index)).unwrap();
            oracle.push(entry(index));
        }
        let head = tree.flush().unwrap();
        assert_eq!(head.root.0[..], oracle.root().as_bytes()[..], "{size}");
        let reader = TreeReader::open(folder.path(), size);
        assert_eq!(reader.root().unwrap(), head.root);
        for index in [0, 1, size / 2, size - 1].into_iter().filter(|index| *index < size) {
            let path = reader.inclusion(index).unwrap();
            let expected = oracle.prove_inclusion(index as usize);
            assert_eq!(path, hashes(expected.as_bytes()), "{index} of {size}");
            assert_eq!(reader.entry(index).unwrap(), entry(index));
            let leaf = leaf_hash(&entry(index));
            assert_eq!(reader.leaf(index).unwrap(), leaf);
            verify_inclusion(&leaf, index, size, &path, &head.root).unwrap();
        }
        for (old_size, old_root) in &roots {
            let path = reader.consistency(*old_size).unwrap();
            let expected = oracle.prove_consistency((size - old_size) as usize);
            assert_eq!(path, hashes(expected.as_bytes()), "{old_size} of {size}");
            oracle.root().verify_consistency(old_root, &expected).unwrap();
            let old = (*old_size, &Digest((*old_root.as_bytes()).into()));
            verify_consistency(old, (size, &head.root), &path).unwrap();
        }
        roots.push((size, oracle.root()));
    }
    // Tiles of 700 leaves, seen from every earlier size: older trees stay readable.
    for (size, root) in &roots {
        let reader = TreeReader::open(folder.path(), *size);
        assert_eq!(reader.check(&mut |_, _| Ok(())).unwrap().root.0[..], root.as_bytes()[..]);
    }
}

/// All entries from one on, and what stands before them: any other list leads to another root.
#[test]
fn a_rest_from_which_something_is_left_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = write_tree(folder.path(), (0..700).map(entry)).unwrap().root;
    let tree = TreeReader::open(folder.path(), 700);
    // Equal entries would make equal leaves: these are told apart by their positions.
    let leaves: Vec<Digest> = (0..700).map(|index| tree.leaf(index).unwrap()).collect();
    for from in [0u64, 1, 2, 255, 256, 257, 511, 512, 640, 699, 700] {
        let (before, rest) = (tree.before(from).unwrap(), &leaves[from as usize..]);
        verify_rest((from, &before), rest, (700, &root)).unwrap();
        let Some(last) = rest.len().checked_sub(1) else { continue };
        for place in [0, last / 2, last] {
            let mut cut = rest.to_vec();
            cut.remove(place);
            assert!(verify_rest((from, &before), &cut, (700, &root)).is_err());
            assert!(verify_rest((from, &before), &cut, (699, &root)).is_err());
            let mut forged = rest.to_vec();
            forged[place].0[0] ^= 1;
            assert!(verify_rest((from, &before), &forged, (700, &root)).is_err());
        }
        assert!(verify_rest((from, &before), rest, (701, &root)).is_err());
        assert!(verify_rest((from, &[&before[..], &[root]].concat()), rest, (700, &root)).is_err());
    }
    assert!(matches!(tree.before(701), Err(LogError::OutOfRange { .. })));
}

#[test]
fn resuming_gives_the_files_of_one_go() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = write_tree(whole.path(), (0..1_000).map(entry)).unwrap();
    let mut size = 0;
    drop(TreeWriter::create(parts.path()).unwrap());
    for stop in [0, 1, 200, 256, 600, 601, 1_000] {
        let mut writer = TreeWriter::resume(parts.path(), size).unwrap();
        (size..stop).for_each(|index| assert_eq!(writer.append(&entry(index)).unwrap(), index));
        size = writer.flush().unwrap().size;
        // Never flushed: the next writer writes over it.
        for _ in 0..300 {
            writer.append(b"lost").unwrap();
        }
    }
    assert_eq!(TreeReader::open(parts.path(), 1_000).root().unwrap(), expected.root);
    let check = TreeReader::open(parts.path(), 1_000).check(&mut |index, found| {
        assert_eq!(found, entry(index));
        Ok(())
    });
    assert_eq!(check.unwrap(), expected);
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = TreeWriter::create(folder.path()).unwrap();
    let long = tree.append(&vec![0; 65_536]);
    assert!(matches!(long, Err(LogError::EntryTooLong { found: 65_536 })));
    tree.append(&vec![7; 65_535]).unwrap();
    tree.flush().unwrap();
    let reader = TreeReader::open(folder.path(), 1);
    assert_eq!(reader.entry(0).unwrap().len(), 65_535);
    assert!(matches!(reader.entry(1), Err(LogError::OutOfRange { index: 1, size: 1 })));
    assert!(matches!(reader.consistency(2), Err(LogError::OutOfRange { .. })));
    assert!(matches!(TreeWriter::create(folder.path()), Err(LogError::Exists { .. })));
    assert!(matches!(TreeReader::open(folder.path(), 2).root(), Err(LogError::Missing { .. })));
}

#[test]
fn a_log_is_resumed_by_its_own_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (SigningKey::generate("ours").unwrap(), SigningKey::generate("theirs").unwrap());
    let mut log = Log::create(folder.path(), "a log", Some(ours.clone())).unwrap();
    append_all(&mut log, 0..300);
    log.sign().unwrap();
    log.append(b"never signed").unwrap();
    drop(log);
    let refused = Log::resume(folder.path(), Some(theirs));
    assert!(matches!(refused.err(), Some(LogError::OtherKey { .. })));
    let unsigned = Log::resume(folder.path(), None);
    assert!(matches!(unsigned.err(), Some(LogError::OtherKey { .. })));
    let mut log = Log::resume(folder.path(), Some(ours.clone())).unwrap();
    assert_eq!(log.append(b"signed").unwrap(), 300);
    let note = log.sign().unwrap();
    let reader = LogReader::open(folder.path()).unwrap();
    assert_eq!(reader.note(), &note);
    assert_eq!(note.verify(&[ours.public()]).unwrap(), ["ours"]);
    reader.check(folder.path(), &mut |_, _| Ok(())).unwrap();
    assert_eq!(reader.tree().entry(300).unwrap(), b"signed");
}

#[test]
fn a_log_without_a_key_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::create(folder.path(), "a log", None).unwrap();
    log.append(b"a").unwrap();
    assert_eq!(log.sign().unwrap().verify(&[]), Err(NoteError::Unsigned));
    assert_eq!(Log::resume(folder.path(), None).unwrap().head().size, 1);
}

/// All files below a folder, in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Writes over a file where it lies: to cut it to nothing first would cost a flush each time.
fn write_over(file: &Path, bytes: &[u8]) {
    let mut opened = OpenOptions::new().write(true).open(file).unwrap();
    opened.write_all(bytes).unwrap();
}

/// Whether the log can be read and believed: signature, tiles, root.
fn is_believed(folder: &Path, key: &SigningKey) -> bool {
    let check = || -> Result<(), LogError> {
        let reader = LogReader::open(folder)?;
        reader.note().verify(&[key.public()])?;
        reader.check(folder, &mut |_, _| Ok(()))
    };
    check().is_ok()
}

#[test]
fn every_flipped_bit_of_a_small_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed("k", [5; 32]).unwrap();
    let mut log = Log::create(folder.path(), "o", Some(key.clone())).unwrap();
    append_all(&mut log, 0..5);
    log.sign().unwrap();
    drop(log);
    assert!(is_believed(folder.path(), &key));
    let mut flips = 0;
    for file in files(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            write_over(&file, &forged);
            assert!(!is_believed(folder.path(), &key), "bit {bit} of {}", file.display());
            flips += 1;
        }
        write_over(&file, &bytes);
    }
    // 5 hashes, 5 lengths, entries of 0 to 4 bytes, and the checkpoint.
    assert!(flips > 8 * (5 * 32 + 5 * 2 + 10));
}

/// A signed log of 600 entries, which tests alter and mend again.
static LARGE: LazyLock<(tempfile::TempDir, SigningKey)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed("k", [5; 32]).unwrap();
    let mut log = Log::create(folder.path(), "o", Some(key.clone())).unwrap();
    append_all(&mut log, 0..600);
    log.sign().unwrap();
    (folder, key)
});

proptest! {
    #[test]
    fn a_flipped_bit_of_a_large_log_is_refused(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let (folder, key) = &*LARGE;
        let files = files(folder.path());
        let file = which.get(&files);
        let mut bytes = std::fs::read(file).unwrap();
        let bit = place.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        write_over(file, &bytes);
        let believed = is_believed(folder.path(), key);
        bytes[bit / 8] ^= 1 << (bit % 8);
        write_over(file, &bytes);
        prop_assert!(!believed, "bit {} of {}", bit, file.display());
    }
}

proptest! {
    // Each case writes a tree; many bits of each are tried.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn flipped_bits_of_proofs_are_refused(
        size in 1u64..700,
        position in any::<prop::sample::Index>(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = TreeWriter::create(folder.path()).unwrap();
        let index = position.index(size as usize) as u64;
        (0..=index).for_each(|index| assert_eq!(tree.append(&entry(index)).unwrap(), index));
        let old = tree.flush().unwrap();
        (old.size..size).for_each(|index| assert_eq!(tree.append(&entry(index)).unwrap(), index));
        let new = tree.flush().unwrap();
        let reader = TreeReader::open(folder.path(), size);
        let leaf = leaf_hash(&entry(index));
        let included = reader.inclusion(index).unwrap();
        let include = |hashes: &[Digest]| {
            verify_inclusion(&hashes[0], index, size, &hashes[2..], &hashes[1])
        };
        let grown = reader.consistency(old.size).unwrap();
        let grow = |hashes: &[Digest]| {
            verify_consistency((old.size, &hashes[0]), (size, &hashes[1]), &hashes[2..])
        };
        // The two hashes that a proof joins, and then its path: any of them may be hit.
        let inclusion = [&[leaf, new.root][..], &included].concat();
        let consistency = [&[old.root, new.root][..], &grown].concat();
        prop_assert_eq!(include(&inclusion), Ok(()));
        prop_assert_eq!(grow(&consistency), Ok(()));
        for place in places {
            let flip = |hashes: &[Digest]| {
                let mut flipped = hashes.to_vec();
                let bit = place.index(256 * hashes.len());
                flipped[bit / 256].0[bit % 256 / 8] ^= 1 << (bit % 8);
                flipped
            };
            prop_assert!(include(&flip(&inclusion)).is_err());
            prop_assert!(grow(&flip(&consistency)).is_err());
        }
    }
}
