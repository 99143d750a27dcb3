//! The file of completions: JSON lines or one JSON array, in our own form or as lm-evaluation-harness keeps its samples.

use crate::error::{Error, Result};
use crate::task::Document;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A line longer than this is no completion that any model wrote.
pub const MAX_LINE_BYTES: usize = 16 << 20;
/// A list is read whole.
const MAX_LIST_BYTES: u64 = 1 << 30;
/// What some editors put before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Completions, to be read once.
pub struct CompletionFile {
    path: PathBuf,
    reader: Box<dyn BufRead>,
}

impl CompletionFile {
    /// The file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::CompletionFile`].
    pub fn open(path: &Path) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Ok(Self::of(path, BufReader::new(file))),
            Err(source) => Err(Error::CompletionFile {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// What `reader` gives, such as standard input; messages call it `name`.
    pub fn of(name: impl Into<PathBuf>, reader: impl BufRead + 'static) -> Self {
        Self {
            path: name.into(),
            reader: Box::new(reader),
        }
    }

    /// What messages call it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for CompletionFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CompletionFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// One completion, its document found.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) document: usize,
    pub(super) sample: u32,
    pub(super) completion: String,
}

/// What one object of the file says.
struct Given<'a> {
    doc_id: &'a Value,
    /// Number of the first of `texts`.
    sample: u32,
    texts: Vec<&'a str>,
    /// The harness keeps a sample once for each of its filters.
    filter: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn read(value: &'a Value) -> std::result::Result<Self, String> {
        let Some(object) = value.as_object() else {
            return Err(format!(
                "{}, expected an object with `doc_id` and `completion`",
                kind(value)
            ));
        };
        let doc_id = object
            .get("doc_id")
            .or_else(|| object.get("task_id"))
            .ok_or("`doc_id` is missing, expected an id or a number")?;
        match (object.get("completion"), object.get("resps")) {
            (Some(Value::String(text)), _) => Ok(Self {
                doc_id,
                sample: sample(object)?,
                texts: vec![text.as_str()],
                filter: None,
            }),
            (Some(other), _) => Err(format!("`completion` is {}, expected a text", kind(other))),
            (None, Some(responses)) => Ok(Self {
                doc_id,
                sample: 0,
                texts: responses_of(responses)?,
                filter: Some(object.get("filter").and_then(Value::as_str).unwrap_or("")),
            }),
            (None, None) => Err("`completion` is missing, expected a text".to_owned()),
        }
    }
}

fn sample(object: &Map<String, Value>) -> std::result::Result<u32, String> {
    let Some(given) = object.get("sample") else {
        return Ok(0);
    };
    given
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| {
            format!(
                "`sample` is {}, expected a whole number, 0 or more",
                kind(given)
            )
        })
}

/// The answers to the one request that the harness makes of a document that is answered by writing.
fn responses_of(responses: &Value) -> std::result::Result<Vec<&str>, String> {
    let texts: Option<Vec<&str>> = match responses.as_array().map(Vec::as_slice) {
        Some([Value::Array(repeats)]) => repeats.iter().map(Value::as_str).collect(),
        Some([_, _, ..]) => {
            return Err(
                "`resps` answers several requests, as of multiple choice, and is no text that a model wrote"
                    .to_owned(),
            );
        }
        _ => None,
    };
    texts.filter(|texts| !texts.is_empty()).ok_or_else(|| {
        "`resps` is not `[[\"text\"]]`, which is how the harness keeps one".to_owned()
    })
}

/// A value in a few words.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// What is wrong with text that is no JSON, in the parser's words but for the place.
fn no_json(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("the JSON breaks off at column {}", error.column());
    }
    let said = error.to_string();
    let reason = said.split(" at line ").next().unwrap_or_default();
    format!("no JSON at column {}: {reason}", error.column())
}

/// Documents by what a file may call them.
struct Names<'a> {
    by_id: BTreeMap<&'a str, usize>,
    count: usize,
    /// A number means a document where there is but one series of them.
    are_numbered: bool,
}

impl<'a> Names<'a> {
    fn new(documents: &'a [Document]) -> Self {
        let ids = documents.iter().enumerate();
        let kinds: BTreeSet<&str> = documents
            .iter()
            .map(|document| document.kind.as_str())
            .collect();
        let are_bare = documents
            .iter()
            .all(|document| document.id.parse::<usize>().is_ok());
        Self {
            by_id: ids
                .map(|(index, document)| (document.id.as_str(), index))
                .collect(),
            count: documents.len(),
            are_numbered: are_bare || kinds.len() == 1,
        }
    }

    /// The document that `doc_id` means in a file of ours, or in one of the harness, which knows numbers only.
    fn find(&self, doc_id: &Value, is_harness: bool) -> std::result::Result<usize, String> {
        let example = || self.by_id.keys().next().copied().unwrap_or_default();
        match doc_id {
            Value::String(id) => self.by_id.get(id.as_str()).copied().ok_or_else(|| {
                format!(
                    "there is no document `{id}`; one that there is: `{}`",
                    example()
                )
            }),
            Value::Number(_) if !self.are_numbered && is_harness => Err(
                "the task has several subtasks, of each of which the harness keeps a file: score this one as its subtask"
                    .to_owned(),
            ),
            Value::Number(number) if !self.are_numbered => Err(format!(
                "`doc_id` is the number {number}, and the task has several subtasks; write an id such as `{}`",
                example()
            )),
            Value::Number(number) => number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .filter(|&index| index < self.count)
                .ok_or_else(|| {
                    format!(
                        "there is no document {number}; they are counted from 0 to {}",
                        self.count.saturating_sub(1)
                    )
                }),
            other => Err(format!(
                "`doc_id` is {}, expected an id or a number",
                kind(other)
            )),
        }
    }
}

/// Completions as they are gathered.
struct Gathering<'a> {
    path: &'a Path,
    documents: &'a [Document],
    names: Names<'a>,
    entries: Vec<Entry>,
    /// For each document and sample: where it was, which entry it is, and through which filter of the harness it went.
    seen: BTreeMap<(usize, u32), (String, usize, Option<String>)>,
}

impl Gathering<'_> {
    /// Takes the object at `place`, which is `line 3` or `entry 3`.
    fn take(&mut self, place: &str, value: &Value) -> Result<()> {
        let given = Given::read(value).map_err(|problem| Error::CompletionLine {
            path: self.path.to_owned(),
            place: place.to_owned(),
            problem,
        })?;
        let refused = |problem| Error::CompletionRefused {
            path: self.path.to_owned(),
            place: place.to_owned(),
            problem,
        };
        let document = self
            .names
            .find(given.doc_id, given.filter.is_some())
            .map_err(refused)?;
        for (index, text) in given.texts.into_iter().enumerate() {
            let sample = given
                .sample
                .saturating_add(u32::try_from(index).unwrap_or(u32::MAX));
            if let Some((first, entry, filter)) = self.seen.get(&(document, sample)) {
                let is_other_filter = filter.is_some() && filter.as_deref() != given.filter;
                if given.filter.is_some()
                    && is_other_filter
                    && self.entries[*entry].completion == text
                {
                    continue;
                }
                let id = &self.documents[document].id;
                return Err(refused(format!(
                    "a second completion for document `{id}`, sample {sample}; the first is on {first}; number them with `sample`"
                )));
            }
            let filter = given.filter.map(str::to_owned);
            let entry = (place.to_owned(), self.entries.len(), filter);
            self.seen.insert((document, sample), entry);
            self.entries.push(Entry {
                document,
                sample,
                completion: text.to_owned(),
            });
        }
        Ok(())
    }
}

/// Every completion of the file, checked.
pub(super) fn read(
    file: &mut CompletionFile,
    task: &str,
    documents: &[Document],
) -> Result<Vec<Entry>> {
    let CompletionFile { path, reader } = file;
    let path: &Path = path;
    let unreadable = |source| Error::CompletionFile {
        path: path.to_owned(),
        source,
    };
    let malformed = |place: String, problem| Error::CompletionLine {
        path: path.to_owned(),
        place,
        problem,
    };
    let mut gathering = Gathering {
        path,
        documents,
        names: Names::new(documents),
        entries: Vec::new(),
        seen: BTreeMap::new(),
    };
    let mut buffer = Vec::new();
    let mut is_first = true;
    for number in 1.. {
        buffer.clear();
        let mut limited = reader.by_ref().take(MAX_LINE_BYTES as u64 + 1);
        if limited.read_until(b'\n', &mut buffer).map_err(unreadable)? == 0 {
            break;
        }
        if number == 1 && buffer.starts_with(BYTE_ORDER_MARK) {
            buffer.drain(..BYTE_ORDER_MARK.len());
        }
        let Some(begin) = buffer.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            continue;
        };
        if is_first && buffer[begin] == b'[' {
            let mut rest = reader.by_ref().take(MAX_LIST_BYTES);
            rest.read_to_end(&mut buffer).map_err(unreadable)?;
            let list: Vec<Value> = serde_json::from_slice(&buffer).map_err(|error| {
                malformed(
                    format!("line {}", number + error.line() - 1),
                    no_json(&error),
                )
            })?;
            for (index, value) in list.iter().enumerate() {
                gathering.take(&format!("entry {}", index + 1), value)?;
            }
            break;
        }
        is_first = false;
        let place = format!("line {number}");
        if buffer.len() > MAX_LINE_BYTES {
            return Err(malformed(
                place,
                format!("longer than {MAX_LINE_BYTES} bytes"),
            ));
        }
        let value = serde_json::from_slice(&buffer)
            .map_err(|error| malformed(place.clone(), no_json(&error)))?;
        gathering.take(&place, &value)?;
    }
    if gathering.entries.is_empty() {
        return Err(malformed(
            "line 1".to_owned(),
            format!("there is no completion in it for `{task}`"),
        ));
    }
    Ok(gathering.entries)
}
