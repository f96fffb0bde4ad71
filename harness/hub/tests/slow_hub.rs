//! Fetching from a hub on this machine: a server written here that serves one small repository,
//! well and badly.
//!
//! Without the feature there is nothing to run: cargo has no other way to leave out one file of a
//! pattern.

#![cfg(feature = "download")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use attribench_hub::{FetchError, Place, Repository, fetch};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server treats a file.
#[derive(Clone)]
enum Service {
    /// As a hub does a large file, named by its SHA-256.
    Whole(Vec<u8>),
    /// As a hub does a small file, named as git does, which is given.
    Small(Vec<u8>, &'static str),
    /// Other bytes than the SHA-256 promises.
    Spoiled(Vec<u8>),
    /// The connection ends in the middle.
    Cut(Vec<u8>),
}

struct Server {
    endpoint: String,
    files: Arc<Mutex<BTreeMap<String, Service>>>,
    /// Method and path of every request.
    requests: Arc<Mutex<Vec<String>>>,
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(files: &[(&str, Service)]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let files = files.iter().map(|(name, service)| (name.to_string(), service.clone())).collect();
    let server = Server { endpoint, files: Arc::new(Mutex::new(files)), requests: Arc::default() };
    let (files, requests) = (Arc::clone(&server.files), Arc::clone(&server.requests));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection.expect("a connection");
            answer(connection, &files.lock().unwrap().clone(), &requests);
        }
    });
    server
}

/// Reads one request, answers it and closes.
fn answer(
    mut connection: TcpStream,
    files: &BTreeMap<String, Service>,
    requests: &Mutex<Vec<String>>,
) {
    let mut lines = BufReader::new(connection.try_clone().expect("a second handle")).lines();
    let Some(Ok(first)) = lines.next() else { return };
    // The rest of the head up to the empty line.
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    requests.lock().unwrap().push(format!("{method} {path}"));
    let service = path.strip_prefix("/somebody/llama/resolve/main/").and_then(|f| files.get(f));
    let Some(service) = service else {
        let head = "HTTP/1.1 404 Not Found\r\nX-Error-Code: EntryNotFound\r\n";
        let rest = format!("X-Repo-Commit: {COMMIT}\r\nContent-Length: 0\r\nConnection: close");
        // A client that has what it wants may be gone.
        drop(write!(connection, "{head}{rest}\r\n\r\n"));
        return;
    };
    let (bytes, name) = match service {
        Service::Small(bytes, name) => (bytes, (*name).to_owned()),
        Service::Whole(bytes) | Service::Spoiled(bytes) | Service::Cut(bytes) => {
            (bytes, sha256(bytes))
        }
    };
    let mut head = "HTTP/1.1 200 OK\r\nConnection: close\r\n".to_owned();
    head += &format!("ETag: \"{name}\"\r\nX-Repo-Commit: {COMMIT}\r\n");
    head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
    let body = match service {
        _ if method == "HEAD" => Vec::new(),
        Service::Whole(bytes) | Service::Small(bytes, _) => bytes.clone(),
        Service::Spoiled(bytes) => bytes.iter().map(|byte| byte ^ 1).collect(),
        Service::Cut(bytes) => bytes[..bytes.len() / 2].to_vec(),
    };
    drop(connection.write_all(&[head.as_bytes(), &body].concat()));
}

fn repository() -> Repository {
    Repository::new("somebody/llama", "main").expect("a name")
}

fn place(server: &Server, cache: &Path) -> Place {
    let (endpoint, cache) = (Some(server.endpoint.clone()), Some(cache.to_owned()));
    Place { endpoint, cache, is_offline: false }
}

/// Contents of files under a folder, but for locks and the client's notes on what is not there.
fn contents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.as_str() {
            ".locks" | ".no_exist" | "refs" => {}
            _ if path.is_dir() => found.extend(contents(&path)),
            _ => found.push(path),
        }
    }
    found
}

#[test]
fn a_file_is_fetched_once() {
    let (cache, bytes) = (tempfile::tempdir().unwrap(), (0..=255).collect::<Vec<u8>>());
    let server = serve(&[("model.safetensors", Service::Whole(bytes.clone()))]);
    let place = place(&server, cache.path());
    let first = fetch(&repository(), "model.safetensors", &place).unwrap();
    assert_eq!(fs::read(&first).unwrap(), bytes);
    assert!(first.ends_with("model.safetensors"), "{first:?}");
    let second = fetch(&repository(), "model.safetensors", &place).unwrap();
    assert_eq!(first, second);
    let gets = |server: &Server| {
        server.requests.lock().unwrap().iter().filter(|request| request.starts_with("GET")).count()
    };
    assert_eq!(gets(&server), 1, "{:?}", server.requests.lock().unwrap());
    // Offline nobody is asked.
    let asked = server.requests.lock().unwrap().len();
    let offline = Place { is_offline: true, ..place.clone() };
    assert_eq!(fetch(&repository(), "model.safetensors", &offline).unwrap(), first);
    assert_eq!(server.requests.lock().unwrap().len(), asked);
    // A damaged cache is no cache: what is there is refused once, and then fetched again.
    let blob = fs::canonicalize(&first).unwrap();
    fs::write(&blob, b"damaged").unwrap();
    let refused = fetch(&repository(), "model.safetensors", &place);
    assert!(matches!(refused, Err(FetchError::Content { .. })), "{refused:?}");
    let again = fetch(&repository(), "model.safetensors", &place).unwrap();
    assert_eq!(fs::read(again).unwrap(), bytes);
    assert_eq!(gets(&server), 2);
}

#[test]
fn a_wrong_digest_is_an_error_and_leaves_nothing() {
    let (cache, bytes) = (tempfile::tempdir().unwrap(), vec![7; 1000]);
    let server = serve(&[("model.gguf", Service::Spoiled(bytes.clone()))]);
    let place = place(&server, cache.path());
    let refused = fetch(&repository(), "model.gguf", &place).unwrap_err();
    let spoiled: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
    let expected = FetchError::Content {
        repository: "somebody/llama at main".into(),
        file: "model.gguf".into(),
        found: sha256(&spoiled),
        expected: sha256(&bytes),
    };
    assert_eq!(refused, expected);
    assert!(refused.to_string().contains("hint: "), "{refused}");
    assert_eq!(contents(cache.path()), [PathBuf::new(); 0]);
    // Once the server is well, so is the file.
    let mended = Service::Whole(bytes.clone());
    server.files.lock().unwrap().insert("model.gguf".into(), mended);
    let fetched = fetch(&repository(), "model.gguf", &place).unwrap();
    assert_eq!(fs::read(fetched).unwrap(), bytes);
}

/// `printf '{}\n' | git hash-object --stdin` names two brackets and the end of a line.
#[test]
fn a_small_file_is_held_against_its_name_in_git() {
    let cache = tempfile::tempdir().unwrap();
    let name = "0967ef424bce6791893e9a57bb952f80fd536e93";
    let server = serve(&[
        ("config.json", Service::Small(b"{}\n".to_vec(), name)),
        ("other.json", Service::Small(b"{ }\n".to_vec(), name)),
    ]);
    let place = place(&server, cache.path());
    let refused = fetch(&repository(), "other.json", &place);
    assert!(matches!(refused, Err(FetchError::Content { .. })), "{refused:?}");
    assert_eq!(contents(cache.path()), [PathBuf::new(); 0]);
    let fetched = fetch(&repository(), "config.json", &place).unwrap();
    assert_eq!(fs::read(fetched).unwrap(), b"{}\n");
}

#[test]
fn what_is_not_there_is_missing() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(&[]);
    let refused = fetch(&repository(), "config.json", &place(&server, cache.path())).unwrap_err();
    assert!(matches!(refused, FetchError::Missing { .. }), "{refused:?}");
    let told = "somebody/llama at main has no `config.json`";
    assert!(refused.to_string().contains(told), "{refused}");
    assert_eq!(contents(cache.path()), [PathBuf::new(); 0]);
}

#[test]
fn a_cut_connection_is_an_error_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(&[("model.safetensors", Service::Cut(vec![3; 100_000]))]);
    let place = place(&server, cache.path());
    let refused = fetch(&repository(), "model.safetensors", &place).unwrap_err();
    assert!(matches!(refused, FetchError::Connection { .. }), "{refused:?}");
    assert!(refused.to_string().contains("nothing was kept"), "{refused}");
    assert_eq!(contents(cache.path()), [PathBuf::new(); 0]);
}

#[test]
fn offline_without_the_file_nobody_is_asked() {
    let cache = tempfile::tempdir().unwrap();
    let server = serve(&[("config.json", Service::Whole(b"{}".to_vec()))]);
    let offline = Place { is_offline: true, ..place(&server, cache.path()) };
    let refused = fetch(&repository(), "config.json", &offline).unwrap_err();
    let expected = FetchError::Offline {
        repository: "somebody/llama at main".into(),
        file: "config.json".into(),
    };
    assert_eq!(refused, expected);
    assert!(refused.to_string().contains("HF_HUB_OFFLINE"), "{refused}");
    assert_eq!(server.requests.lock().unwrap().len(), 0);
}

#[test]
fn where_nobody_answers_the_cache_does_or_it_is_an_error() {
    let (cache, bytes) = (tempfile::tempdir().unwrap(), b"{}".to_vec());
    let server = serve(&[("config.json", Service::Whole(bytes.clone()))]);
    let there = place(&server, cache.path());
    let fetched = fetch(&repository(), "config.json", &there).unwrap();
    // A port that was free a moment ago.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = Place { endpoint: Some(format!("http://{nobody}")), ..there };
    assert_eq!(fetch(&repository(), "config.json", &gone).unwrap(), fetched);
    let refused = fetch(&repository(), "model.gguf", &gone).unwrap_err();
    assert!(matches!(refused, FetchError::Connection { .. } | FetchError::Offline { .. }));
    assert!(refused.to_string().contains("model.gguf"), "{refused}");
}
