//! The file of completions.

use crate::error::{Error, Result};
use crate::task::Document;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A line longer than this is no completion that any model wrote.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// One line, its document found.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) document: usize,
    pub(super) sample: u32,
    pub(super) completion: String,
}

#[derive(Deserialize)]
struct Line {
    #[serde(alias = "task_id")]
    doc_id: Value,
    completion: String,
    #[serde(default)]
    sample: u32,
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

    fn find(&self, doc_id: &Value) -> std::result::Result<usize, String> {
        let example = || self.by_id.keys().next().copied().unwrap_or_default();
        match doc_id {
            Value::String(id) => self.by_id.get(id.as_str()).copied().ok_or_else(|| {
                format!(
                    "there is no document `{id}`; one that there is: `{}`",
                    example()
                )
            }),
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
            _ => Err("`doc_id` must be a string or a number".to_owned()),
        }
    }
}

/// Every line of the file, checked.
pub(super) fn read(path: &Path, task: &str, documents: &[Document]) -> Result<Vec<Entry>> {
    let unreadable = |source| Error::CompletionFile {
        path: path.to_owned(),
        source,
    };
    let refused = |line, problem| Error::CompletionRefused {
        path: path.to_owned(),
        line,
        problem,
    };
    let names = Names::new(documents);
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut seen: BTreeMap<(usize, u32), usize> = BTreeMap::new();
    let mut entries = Vec::new();
    let mut buffer = Vec::new();
    for number in 1.. {
        buffer.clear();
        let mut limited = (&mut reader).take(MAX_LINE_BYTES as u64 + 1);
        if limited.read_until(b'\n', &mut buffer).map_err(unreadable)? == 0 {
            break;
        }
        if buffer.len() > MAX_LINE_BYTES {
            return Err(refused(
                number,
                format!("longer than {MAX_LINE_BYTES} bytes"),
            ));
        }
        if buffer.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line =
            serde_json::from_slice(&buffer).map_err(|source| Error::CompletionLine {
                path: path.to_owned(),
                line: number,
                source,
            })?;
        let document = names
            .find(&line.doc_id)
            .map_err(|problem| refused(number, problem))?;
        if let Some(first) = seen.insert((document, line.sample), number) {
            let id = &documents[document].id;
            let problem = format!(
                "a second completion for document `{id}`, sample {}; the first is on line {first}; number them with `sample`",
                line.sample
            );
            return Err(refused(number, problem));
        }
        entries.push(Entry {
            document,
            sample: line.sample,
            completion: line.completion,
        });
    }
    if entries.is_empty() {
        return Err(refused(
            1,
            format!("there is no completion in it for `{task}`"),
        ));
    }
    Ok(entries)
}
