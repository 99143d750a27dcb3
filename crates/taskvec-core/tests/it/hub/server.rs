//! A server on this machine that answers as the Hub does, and fails as networks do.
//!
//! Large files are redirected to a second origin, as the Hub redirects to its storage; small ones to another path of
//! the first.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use taskvec_core::{ContentHash, Hub, HubSettings, Library};

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const TOKEN: &str = "hf_secret";

/// What goes wrong with the next answer that is the content of a large file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The whole file, whatever range was asked for.
    NoRange,
    /// The right ETag over other bytes.
    Damaged,
    /// Bytes after the end.
    Longer,
}

#[derive(Default)]
pub(super) struct State {
    /// The one repository there is, as `organisation/name`, model or data set.
    pub(super) repository: String,
    /// Files at a commit, by name, and whether each lies in the storage for large ones.
    pub(super) files: BTreeMap<String, (Vec<u8>, bool)>,
    /// Commits of branches and tags.
    pub(super) revisions: BTreeMap<String, String>,
    /// Statuses with `X-Error-Code`, given to the next requests instead of an answer.
    pub(super) refusals: VecDeque<(u16, &'static str)>,
    pub(super) faults: VecDeque<Fault>,
    /// Other ETags than the content's: what is announced, and what is delivered.
    pub(super) announced_etag: Option<String>,
    pub(super) delivered_etag: Option<String>,
    /// Instead of the list of files.
    pub(super) listing: Option<String>,
    /// Only who sends [`TOKEN`] is answered.
    pub(super) private: bool,
    /// Method, path and interesting headers of every request.
    pub(super) seen: Vec<String>,
}

/// The server; it ends with the test's process.
pub(super) struct Server {
    pub(super) endpoint: String,
    pub(super) state: Arc<Mutex<State>>,
}

impl Server {
    /// Serves the files of a directory as `org/name`, with the branch `main` at [`COMMIT`]; weights are large.
    pub(super) fn of(directory: &Path) -> Self {
        let mut state = State {
            repository: "org/name".to_owned(),
            ..State::default()
        };
        state.revisions.insert("main".into(), COMMIT.into());
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let large = name.ends_with(".safetensors");
            let bytes = std::fs::read(entry.path()).unwrap();
            state.files.insert(name, (bytes, large));
        }
        let state = Arc::new(Mutex::new(state));
        let storage = listen(Arc::clone(&state), None);
        let endpoint = listen(Arc::clone(&state), Some(storage));
        Self { endpoint, state }
    }

    pub(super) fn settings(&self, cache: &Path) -> HubSettings {
        HubSettings {
            endpoint: self.endpoint.clone(),
            cache: cache.to_path_buf(),
            token: None,
            offline: false,
            certificates: None,
            retry_wait: Duration::from_millis(1),
        }
    }

    /// A library with a Hub that has seen nothing yet.
    pub(super) fn library(&self, cache: &Path) -> Library {
        Library::new().with_hub(Hub::new(self.settings(cache), |_| {}))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// What was asked for since the last call.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

fn listen(state: Arc<Mutex<State>>, storage: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (state, storage) = (Arc::clone(&state), storage.clone());
            // A client that has gone is nobody's fault.
            thread::spawn(move || drop(answer(&stream, &state, storage.as_deref())));
        }
    });
    endpoint
}

fn answer(
    mut stream: &TcpStream,
    state: &Mutex<State>,
    storage: Option<&str>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let words: Vec<&str> = request.split(' ').collect();
    let (method, path) = (words[0], words[1]);
    let mut state = state.lock().unwrap();
    let place = if storage.is_some() { "" } else { " storage" };
    let range = headers.get("range").map_or("", String::as_str);
    let token = headers.get("authorization").map_or("", String::as_str);
    state.seen.push(
        format!("{method}{place} {path} {range} {token}")
            .trim_end()
            .to_owned(),
    );
    let mut plain = |status: &str, more: &str, body: &str| {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
        )
    };
    if let Some((status, code)) = state.refusals.pop_front() {
        return plain(
            &format!("{status} No"),
            &format!("X-Error-Code: {code}\r\n"),
            "<html>no</html>",
        );
    }
    if storage.is_some() && state.private && token != format!("Bearer {TOKEN}") {
        return plain("401 Unauthorized", "X-Error-Code: RepoNotFound\r\n", "");
    }
    let listed = ["models", "datasets"]
        .iter()
        .find_map(|kind| path.strip_prefix(&format!("/api/{kind}/{}/revision/", state.repository)));
    if let Some(revision) = listed {
        if let Some(listing) = &state.listing {
            return plain("200 OK", "", listing);
        }
        let revision = revision.replace("%2F", "/");
        let is_commit = revision.len() == 40;
        let commit = state.revisions.get(&revision).cloned();
        return match commit.or_else(|| is_commit.then_some(revision)) {
            None => plain("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", ""),
            Some(commit) => {
                let names = state.files.keys();
                let siblings: Vec<String> = names
                    .map(|name| format!("{{\"rfilename\": \"{name}\"}}"))
                    .collect();
                let body = format!(
                    "{{\"sha\": \"{commit}\", \"siblings\": [{}]}}",
                    siblings.join(",")
                );
                plain("200 OK", "", &body)
            }
        };
    }
    // Behind `resolve/COMMIT/`, `small/` or `blob/`; a data set's files lie in directories.
    let below = ["", "/datasets"].iter().find_map(|kind| {
        let page = format!("{kind}/{}/resolve/", state.repository);
        Some(path.strip_prefix(&page)?.split_once('/')?.1)
    });
    let stored = ["/small/", "/blob/"]
        .iter()
        .find_map(|place| path.strip_prefix(place));
    let name = below.or(stored).unwrap_or_default().to_owned();
    let Some((bytes, large)) = state.files.get(&name).cloned() else {
        return plain("404 Not Found", "X-Error-Code: EntryNotFound\r\n", "");
    };
    let hash = ContentHash::of(&bytes).to_string();
    let mut etag = if large { hash } else { hash[..40].to_owned() };
    let other = if method == "HEAD" {
        &state.announced_etag
    } else {
        &state.delivered_etag
    };
    if let Some(other) = other.as_ref().filter(|_| large) {
        etag.clone_from(other);
    }
    let resolve = below.is_some();
    if resolve && large {
        let to = storage.unwrap_or_default();
        let length = bytes.len();
        let more = format!(
            "Location: {to}/blob/{name}\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {length}\r\nETag: \"of-this-answer\"\r\n"
        );
        return plain("302 Found", &more, "");
    }
    if resolve {
        let more = format!("Location: /small/{name}\r\n");
        return plain("307 Temporary Redirect", &more, "");
    }
    let fault = (method == "GET" && large)
        .then(|| state.faults.pop_front())
        .flatten();
    drop(state);
    let from = range
        .strip_prefix("bytes=")
        .and_then(|range| range.strip_suffix('-')?.parse().ok())
        .filter(|_| fault != Some(Fault::NoRange))
        .unwrap_or(0usize);
    let total = bytes.len();
    if from > total {
        return plain("416 Range Not Satisfiable", "", "");
    }
    let (status, more) = if from > 0 {
        let more = format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1);
        ("206 Partial Content", more)
    } else {
        ("200 OK", String::new())
    };
    let mut body = bytes[from..].to_vec();
    match fault {
        Some(Fault::Damaged) => body.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::Longer) => body.extend([0; 100]),
        _ => {}
    }
    let tag = if large {
        String::new()
    } else {
        format!("ETag: W/\"{etag}\"\r\n")
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{tag}{more}\r\n",
        body.len()
    )?;
    if method == "HEAD" {
        return Ok(());
    }
    if let Some(Fault::Cut(after)) = fault {
        stream.write_all(&body[..after])?;
        stream.flush()?;
        return stream.shutdown(Shutdown::Both);
    }
    stream.write_all(&body)
}
