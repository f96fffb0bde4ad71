//! Cases that others publish for proofs and signatures. They are not part of this checkout: the
//! tests read them from `shared/oracles/log` beside it, and say so where they find none.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use attribench_provenance::{
    Digest, SigningKey, VerifyingKey, leaf_hash,
    proof::{verify_consistency, verify_inclusion},
};
use serde_json::Value;

/// The cases in a file, or nothing where the folder is not there.
fn cases_of(name: &str) -> Option<Value> {
    let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let in_folder = |folder: &Path| folder.join("shared/oracles/log").join(name);
    let found: Option<PathBuf> =
        start.ancestors().skip(1).map(in_folder).find(|file| file.exists());
    let Some(file) = found else {
        // Straight to the terminal, since a test that passes says nothing otherwise.
        let words = "not found above this checkout, so that NOTHING WAS TESTED against it";
        let line = format!("\nshared/oracles/log/{name}: {words}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    };
    Some(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
}

/// What a case says of a proof, or `None` where it cannot be said with digests of 32 bytes.
fn digest(value: &Value) -> Option<Digest> {
    Digest::from_base64(value.as_str()?)
}

fn path(value: &Value) -> Option<Vec<Digest>> {
    match value {
        Value::Null => Some(Vec::new()),
        value => value.as_array()?.iter().map(digest).collect(),
    }
}

/// Accepted, refused, and impossible to write down with these types.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    accepted: usize,
    refused: usize,
    refused_by_type: usize,
    skipped_by_type: usize,
}

/// Counts what became of a case, which must be what it asks for.
fn judge(tally: &mut Tally, case: &Value, verdict: Option<bool>) {
    match (verdict, case["wantErr"].as_bool().unwrap()) {
        (Some(true), false) => tally.accepted += 1,
        (Some(false), true) => tally.refused += 1,
        (None, true) => tally.refused_by_type += 1,
        (None, false) => tally.skipped_by_type += 1,
        (Some(found), _) => panic!("{}: accepted is {found}", case["name"]),
    }
}

#[test]
fn public_inclusion_cases_where_they_are_found() {
    let Some(cases) = cases_of("merkle_inclusion.json") else { return };
    let mut tally = Tally::default();
    for case in cases.as_array().unwrap() {
        let (index, size) = (case["leafIdx"].as_u64().unwrap(), case["treeSize"].as_u64().unwrap());
        let verdict = || {
            let (leaf, root) = (digest(&case["leafHash"])?, digest(&case["root"])?);
            Some(verify_inclusion(&leaf, index, size, &path(&case["proof"])?, &root).is_ok())
        };
        judge(&mut tally, case, verdict());
    }
    assert_eq!((tally.accepted, tally.skipped_by_type), (6, 0), "{tally:?}");
    assert_eq!(tally.refused + tally.refused_by_type, 92, "{tally:?}");
}

#[test]
fn public_consistency_cases_where_they_are_found() {
    let Some(cases) = cases_of("merkle_consistency.json") else { return };
    let mut tally = Tally::default();
    for case in cases.as_array().unwrap() {
        let (old, new) = (case["size1"].as_u64().unwrap(), case["size2"].as_u64().unwrap());
        let verdict = || {
            let (old_root, new_root) = (digest(&case["root1"])?, digest(&case["root2"])?);
            let path = path(&case["proof"])?;
            Some(verify_consistency((old, &old_root), (new, &new_root), &path).is_ok())
        };
        judge(&mut tally, case, verdict());
    }
    // One case takes two equal texts, which are no digests, for the roots of a tree.
    assert_eq!((tally.accepted, tally.skipped_by_type), (5, 1), "{tally:?}");
    assert_eq!(tally.refused + tally.refused_by_type, 92, "{tally:?}");
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A key as others know it, from its bytes: a note key with the same point.
fn key_of(public: &[u8]) -> Option<VerifyingKey> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let blob = [&[1], public].concat();
    let id = Digest::of(&[b"case\n", &blob[..]].concat());
    format!("case+{}+{}", &id.to_string()[..8], STANDARD.encode(blob)).parse().ok()
}

#[test]
fn public_signature_cases_where_they_are_found() {
    let Some(cases) = cases_of("wycheproof_ed25519.json") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for group in cases["testGroups"].as_array().unwrap() {
        let key = key_of(&bytes(group["publicKey"]["pk"].as_str().unwrap()));
        for case in group["tests"].as_array().unwrap() {
            let message = bytes(case["msg"].as_str().unwrap());
            let signature: Option<[u8; 64]> = bytes(case["sig"].as_str().unwrap()).try_into().ok();
            let verdict = key.as_ref().zip(signature);
            let verdict = verdict.is_some_and(|(key, signature)| key.verify(&message, &signature));
            let wanted = case["result"] == "valid";
            assert_eq!(verdict, wanted, "{}: {}", case["tcId"], case["comment"]);
            *(if verdict { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert_eq!(accepted + refused, cases["numberOfTests"].as_u64().unwrap());
    assert!(accepted > 0 && refused > 0);
}

#[test]
fn vectors_of_the_project() {
    // Single quotes here, double ones in the record.
    let receipt = "{'amount':'167','contributor':'c-0003','epoch':'7','kind':'payout-receipt/v1',\
                   'pot':'1000','rule':'linear-clipped/v1','run':'demo',\
                   'score_bits':'3fb999999999999a','weight':'366503875925',\
                   'weight_total':'2199023255552'}"
        .replace('\'', "\"");
    let close = "{'burn':'0','carry':'0','epoch':'7','kind':'epoch-close/v1','paid':'1000',\
                 'pot':'1000','run':'demo'}"
        .replace('\'', "\"");
    assert_eq!((receipt.len(), close.len()), (218, 100));
    let (left, right) = (leaf_hash(receipt.as_bytes()), leaf_hash(close.as_bytes()));
    assert_eq!(
        left.to_string(),
        "570a9c7e2e0a12c0cc6a2734e3bbe898ae9bdea606d27e4aa78753a6bba7779e"
    );
    assert_eq!(
        right.to_string(),
        "e1a223f13673cddfeba2b6255220da2fc44549766686069b071e090113ffa07b"
    );
    assert_eq!(
        attribench_provenance::node_hash(&left, &right).to_string(),
        "7d33bf1a4359b1ad8b441f5312ace3553686b509c30bb0ab480351b11a0f3278"
    );
}

#[test]
fn a_signature_by_this_crate_is_one_for_others() {
    // RFC 8032, section 7.1, test 1: the empty message.
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = SigningKey::from_seed("rfc", seed.try_into().unwrap()).unwrap();
    let expected = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    assert_eq!(key.sign(b"").to_vec(), expected);
}
