//! in-toto statements about a run: what was trained, what was attributed, what was paid.
//!
//! # References
//! in-toto attestation framework, Statement v1; DSSE v1 for the envelope.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    hash::Digest,
    note::SigningKey,
    records::{Attribution, Commitment, End, Leaf, Settlement, to_bytes},
    tree::TreeHead,
    verify::Verified,
};

/// Type of a statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Media type of what an envelope holds.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Statements about a verified run, each with a name for its file: one about the training, one for
/// each attribution, one for each settlement.
pub fn statements(verified: &Verified) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if let Some(end) = &verified.end {
        let training = training(&verified.commitment, end, verified.head);
        found.push(("training-run".to_owned(), training));
    }
    for (ordinal, (_, entry)) in verified.attributions.iter().enumerate() {
        let statement = attribution(entry, verified);
        found.push((format!("attribution-{ordinal}"), statement));
    }
    for (ordinal, (_, entry)) in verified.settlements.iter().enumerate() {
        found.push((format!("payout-{ordinal}"), payout(entry, verified)));
    }
    found
}

/// An envelope around a statement, signed over `DSSEv1 LEN TYPE LEN BODY`.
pub fn envelope(statement: &Value, key: &SigningKey) -> Value {
    let body = statement.to_string();
    let signature = key.sign(&pre_authenticated(&body));
    json!({
        "payload": STANDARD.encode(&body),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key.public().to_string(), "sig": STANDARD.encode(signature)}],
    })
}

fn pre_authenticated(body: &str) -> Vec<u8> {
    let (kind, length) = (PAYLOAD_TYPE, body.len());
    format!("DSSEv1 {} {kind} {length} {body}", kind.len()).into_bytes()
}

/// A statement about what has a name and digests by the names of their hashes.
fn statement(subject: (&str, Value), predicate_type: &str, predicate: Value) -> Value {
    let (name, digest) = subject;
    json!({
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": digest}],
        "predicateType": format!("urn:attribench:{predicate_type}"),
        "predicate": predicate,
    })
}

fn sha256(digest: Digest) -> Value {
    json!({"sha256": digest.to_string()})
}

/// Where the log stands that a statement is taken from.
fn log_head(head: TreeHead) -> Value {
    json!({"size": head.size.to_string(), "root": head.root.to_string()})
}

/// A record as JSON.
fn record<R: Leaf>(entry: &R) -> Value {
    serde_json::from_slice(&to_bytes(entry)).expect("records are JSON")
}

fn training(begun: &Commitment, end: &End, head: TreeHead) -> Value {
    let materials = json!([
        {"name": "program", "digest": sha256(begun.binary)},
        {"name": "sources", "digest": sha256(begun.code)},
        {"name": "packages", "digest": sha256(begun.lockfile)},
        {"name": "specification", "digest": sha256(begun.configuration)},
    ]);
    let predicate = json!({
        "log": log_head(head),
        "materials": materials,
        "commitment": record(begun),
        "end": record(end),
    });
    let (name, digest) = (format!("{}/parameters", begun.run), end.state.digits());
    statement((&name, json!({"blake3": digest})), "training-run/v1", predicate)
}

fn attribution(entry: &Attribution, verified: &Verified) -> Value {
    let run = &verified.commitment.run;
    let predicate = json!({"log": log_head(verified.head), "attribution": record(entry)});
    let name = format!("{run}/scores/{}", entry.label);
    statement((&name, sha256(entry.scores_root)), "attribution/v1", predicate)
}

fn payout(entry: &Settlement, verified: &Verified) -> Value {
    let run = &verified.commitment.run;
    let predicate = json!({"log": log_head(verified.head), "settlement": record(entry)});
    let name = format!("{run}/payouts/{}", entry.label);
    statement((&name, sha256(entry.payouts_root)), "payout/v1", predicate)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::json;

    use super::{envelope, pre_authenticated};
    use crate::note::SigningKey;

    #[test]
    fn envelopes_sign_length_and_type_with_the_body() {
        // The form of the DSSE specification: lengths in bytes, single spaces.
        let bytes = pre_authenticated("{}");
        assert_eq!(bytes, b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
        let key = SigningKey::from_seed("k", [1; 32]).unwrap();
        let signed = envelope(&json!({}), &key);
        assert_eq!(signed["payload"], "e30=");
        let signature = STANDARD.decode(signed["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        assert!(key.public().verify(&bytes, &signature.try_into().unwrap()));
    }
}
