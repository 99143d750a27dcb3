//! One file into the cache, continued where an earlier attempt stopped.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use ureq::http::StatusCode;

use super::HubError;
use super::cache::{RepositoryCache, make_parent};
use super::client::{ATTEMPTS, Announcement, Client};
use super::repository::Repository;
use crate::content_hash::ContentHasher;
use crate::output::refused;

const READ_BYTES: usize = 1 << 18;

/// A file of a repository at a commit.
pub(super) struct Wanted<'a> {
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a str,
    pub(super) name: &'a str,
    pub(super) announced: Announcement,
}

/// Bytes of a blob that are here, and their hash.
struct Part {
    file: File,
    hasher: ContentHasher,
    bytes: u64,
}

/// Makes `wanted` a file of its snapshot. `arrived` is told how many bytes of it are there.
pub(super) fn download(
    client: &Client,
    cache: &RepositoryCache,
    wanted: &Wanted<'_>,
    arrived: &dyn Fn(u64),
) -> Result<(), HubError> {
    let Announcement { etag, bytes } = &wanted.announced;
    let blob = cache.blob(etag);
    make_parent(&blob)?;
    let lock = cache.lock(etag)?;
    // Another revision may have had it, or another process may have fetched it meanwhile.
    if fs::metadata(&blob).is_ok_and(|found| found.is_file() && found.len() == *bytes) {
        arrived(*bytes);
    } else {
        let incomplete = cache.incomplete(etag);
        fetch(client, wanted, &incomplete, arrived)?;
        fs::rename(&incomplete, &blob).map_err(HubError::disk("create", &blob))?;
    }
    cache.link(etag, wanted.commit, wanted.name)?;
    drop(lock);
    Ok(())
}

/// Fills the file at `incomplete` and compares its hash, where the ETag is one.
fn fetch(
    client: &Client,
    wanted: &Wanted<'_>,
    incomplete: &Path,
    arrived: &dyn Fn(u64),
) -> Result<(), HubError> {
    let announced = &wanted.announced;
    let mut part = Part::open(incomplete, announced.bytes)?;
    // What an earlier process left may be anything; what this one received it saw.
    let mut inherited = part.bytes > 0;
    let mut failures = 0;
    loop {
        let before = part.bytes;
        arrived(before);
        if part.bytes < announced.bytes
            && let Err(error) = proceed(client, wanted, &mut part, incomplete, arrived)
        {
            failures = if part.bytes > before { 1 } else { failures + 1 };
            if !error.is_transient() || failures >= ATTEMPTS {
                return Err(error);
            }
            client.wait(failures);
            continue;
        }
        let found = part.hasher.clone().finish().to_string();
        if announced.etag.len() != found.len() || announced.etag.eq_ignore_ascii_case(&found) {
            return part
                .file
                .sync_data()
                .map_err(HubError::disk("write", incomplete));
        }
        if !inherited {
            fs::remove_file(incomplete).map_err(HubError::disk("delete", incomplete))?;
            return Err(HubError::Content {
                file: wanted.name.to_owned(),
                expected: announced.etag.clone(),
                found,
            });
        }
        part.restart(incomplete)?;
        inherited = false;
    }
}

/// Receives as much as one connection gives.
fn proceed(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &mut Part,
    incomplete: &Path,
    arrived: &dyn Fn(u64),
) -> Result<(), HubError> {
    let Wanted {
        repository,
        commit,
        name,
        announced,
    } = wanted;
    let url = || client.file_url(repository, commit, name);
    let response = client.content(repository, commit, name, part.bytes, announced)?;
    if part.bytes > 0 {
        let begins = format!("bytes {}-", part.bytes);
        let range = response.headers().get("content-range");
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|range| range.as_bytes().starts_with(begins.as_bytes()));
        // A server may ignore ranges; then all of it comes again.
        if !continues {
            if response.status() != StatusCode::OK {
                return Err(HubError::Answer {
                    url: url(),
                    reason: format!("asked for the bytes from {} on, it sent others", part.bytes),
                });
            }
            part.restart(incomplete)?;
        }
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(HubError::network(&url(), error)),
        };
        if part.bytes + count as u64 > announced.bytes {
            let reason = format!(
                "it sends more than the {} bytes it announced",
                announced.bytes
            );
            return Err(HubError::Answer { url: url(), reason });
        }
        part.add(&buffer[..count]).map_err(|error| {
            HubError::Disk(Box::new(refused(
                "write",
                incomplete,
                announced.bytes,
                error,
            )))
        })?;
        arrived(part.bytes);
    }
    if part.bytes < announced.bytes {
        let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(HubError::network(&url(), cut));
    }
    Ok(())
}

impl Part {
    /// What an earlier attempt left at `path`, if it can be the beginning of `bytes` bytes.
    fn open(path: &Path, bytes: u64) -> Result<Self, HubError> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(HubError::disk("create", path))?;
        let length = file.metadata().map_err(HubError::disk("read", path))?.len();
        if length > bytes {
            file.set_len(0).map_err(HubError::disk("write", path))?;
        }
        let mut part = Self {
            file: file.try_clone().map_err(HubError::disk("read", path))?,
            hasher: ContentHasher::new(),
            bytes: 0,
        };
        let mut buffer = vec![0; READ_BYTES];
        // Reading leaves the place at the end, where writing goes on: both handles share it.
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(part),
                Ok(count) => {
                    part.hasher.update(&buffer[..count]);
                    part.bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(HubError::disk("read", path)(error)),
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what there is.
    fn restart(&mut self, path: &Path) -> Result<(), HubError> {
        use std::io::Seek;
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .map_err(HubError::disk("write", path))?;
        self.hasher = ContentHasher::new();
        self.bytes = 0;
        Ok(())
    }
}
