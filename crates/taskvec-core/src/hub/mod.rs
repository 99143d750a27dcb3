//! Checkpoints on the Hugging Face Hub, or a mirror: what a checkpoint needs is fetched into the cache that all tools of
//! Hugging Face share, and opened there.
//!
//! Of a repository come its safetensors weights, an adapter's config and weights, and the small files that belong to a
//! model; nothing in other formats, nothing in subdirectories. A branch or tag is resolved once, to a commit, and all
//! files are those of that commit. Each file appears in the cache whole or not at all, and large ones, whose ETag is
//! their SHA-256, only with that content. What was received before a connection broke, or the process died, is
//! continued.
//!
//! Of a data set comes one file, which the caller chooses from the list of all.
//!
//! Not covered: spaces, uploads, the Xet protocol (the Hub serves its files over plain HTTP too).

mod cache;
mod client;
mod download;
mod error;
mod repository;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use error::HubError;
pub use settings::HubSettings;

use crate::checkpoint::fetch_needed;
use crate::error::{Error, Result};
use crate::output::free_bytes;
use crate::reference::Reference;
use cache::RepositoryCache;
use client::{Announcement, Client};
use download::{Wanted, download};
use repository::Repository;

/// How far fetching a repository has come.
#[derive(Debug, Clone, Copy)]
pub struct HubProgress<'a> {
    /// The repository, as `organisation/name`.
    pub repository: &'a str,
    /// Bytes of the missing files that are here, those of earlier attempts among them.
    pub bytes_done: u64,
    /// Bytes of the missing files. It grows once: an index must be read before its shards are known.
    pub bytes_total: u64,
    /// Whether nothing more comes.
    pub finished: bool,
}

/// Is told how far fetching has come.
pub type HubListener = dyn Fn(HubProgress<'_>) + Send + Sync;

/// A repository at a commit, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The directory.
    pub path: PathBuf,
    /// The commit.
    pub commit: String,
}

/// The Hugging Face Hub. Within its life a branch stays at the commit that it was first seen at.
pub struct Hub {
    settings: HubSettings,
    listener: Box<HubListener>,
    seen: Mutex<BTreeMap<Reference, Snapshot>>,
}

impl Hub {
    /// A Hub; nothing is asked before something is wanted of it.
    pub fn new(
        settings: HubSettings,
        listener: impl Fn(HubProgress<'_>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            listener: Box::new(listener),
            seen: Mutex::default(),
        })
    }

    /// Makes what a checkpoint in a repository needs lie on this machine.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with the reason; [`Error::NoSpace`] and [`Error::Io`] of the cache; and where the repository holds
    /// nothing that can be opened, what opening a directory of its files would say.
    pub fn fetch(&self, repository: &str, revision: Option<&str>) -> Result<Snapshot> {
        let reference = Reference::Hub {
            repository: repository.to_owned(),
            revision: revision.map(str::to_owned),
        };
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = seen().get(&reference) {
            return Ok(snapshot.clone());
        }
        let repository = Repository::model(repository);
        let cache = RepositoryCache::new(&self.settings.cache, &repository);
        let revision = revision.unwrap_or("main");
        let name = reference.to_string();
        let snapshot = if self.settings.offline {
            self.offline(&cache, revision, &name)?
        } else {
            self.fetch_online(
                &cache,
                &repository,
                revision,
                &name,
                &mut |files, path, fetch| fetch_needed(Path::new(&name), files, path, fetch),
            )
            .map_err(|error| or_cached(error, &cache, revision))?
        };
        seen().insert(reference, snapshot.clone());
        Ok(snapshot)
    }

    /// Makes one file of a data set lie on this machine: that which `choose` names among all files of the repository.
    /// Nothing where it names none.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] with the reason; [`Error::NoSpace`] and [`Error::Io`] of the cache.
    pub fn fetch_data(
        &self,
        repository: &str,
        revision: &str,
        choose: &dyn Fn(&[String]) -> Option<String>,
    ) -> Result<Option<PathBuf>> {
        let repository = Repository::data_set(repository);
        let cache = RepositoryCache::new(&self.settings.cache, &repository);
        let name = format!("{repository}@{revision}");
        if self.settings.offline {
            let snapshot = self.offline(&cache, revision, &name)?;
            let chosen = choose(&files_below(&snapshot.path));
            return Ok(chosen.map(|file| snapshot.path.join(file)));
        }
        let mut chosen = None;
        let snapshot = self
            .fetch_online(
                &cache,
                &repository,
                revision,
                &name,
                &mut |files, _, fetch| {
                    // A name of a stranger becomes a path on this machine.
                    let files: Vec<String> = files
                        .iter()
                        .filter(|name| is_below(name))
                        .cloned()
                        .collect();
                    chosen = choose(&files);
                    chosen
                        .as_ref()
                        .map_or(Ok(()), |file| fetch(std::slice::from_ref(file)))
                },
            )
            .map_err(|error| or_cached(error, &cache, revision))?;
        Ok(chosen.map(|file| snapshot.path.join(file)))
    }

    fn offline(&self, cache: &RepositoryCache, revision: &str, name: &str) -> Result<Snapshot> {
        cached(cache, revision).ok_or_else(|| {
            let cache = self.settings.cache.clone();
            HubError::NotCached { cache }.of(name)
        })
    }

    /// Lists a repository and lets `choose` fetch what is needed of it.
    fn fetch_online(
        &self,
        cache: &RepositoryCache,
        repository: &Repository,
        revision: &str,
        name: &str,
        choose: &mut Choose<'_>,
    ) -> Result<Snapshot> {
        let failed = |error: HubError| error.of(name);
        let client = Client::new(&self.settings).map_err(failed)?;
        let listing = client.listing(repository, revision).map_err(failed)?;
        let commit = listing.commit.as_str();
        let path = cache.snapshot(commit);
        let mut fetching = Fetching {
            hub: self,
            client,
            cache,
            repository,
            commit,
            done: 0,
            total: 0,
        };
        let outcome = choose(&listing.files, &path, &mut |files| {
            fetching.fetch(files).map_err(failed)
        });
        fetching.say(0, true);
        outcome?;
        cache.remember(revision, commit).map_err(failed)?;
        Ok(Snapshot {
            path,
            commit: listing.commit,
        })
    }
}

/// Makes files of these names lie in the snapshot.
type Fetch<'a> = dyn FnMut(&[String]) -> Result<()> + 'a;

/// Fetches what is needed, given the names of all files, where the snapshot is, and what fetches.
type Choose<'a> = dyn FnMut(&[String], &Path, &mut Fetch<'_>) -> Result<()> + 'a;

/// Says of a broken connection whether the cache has what offline mode would use.
fn or_cached(mut error: Error, cache: &RepositoryCache, revision: &str) -> Error {
    if let Error::Hub {
        source: HubError::Network { cached: found, .. },
        ..
    } = &mut error
    {
        *found = cached(cache, revision).is_some();
    }
    error
}

/// Whether a file of that name lies below whatever it is joined to, on every system.
fn is_below(name: &str) -> bool {
    name.split('/').all(|part| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(['\\', ':'])
            && !part.chars().any(char::is_control)
    })
}

/// The files of a snapshot by their paths below it, in order. What cannot be read is not there.
fn files_below(snapshot: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![snapshot.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(name) = path.strip_prefix(snapshot).ok().and_then(Path::to_str) {
                files.push(name.to_owned());
            }
        }
    }
    files.sort();
    files
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the cache holds of a revision, whole or not.
fn cached(cache: &RepositoryCache, revision: &str) -> Option<Snapshot> {
    let commit = cache.known(revision)?;
    Some(Snapshot {
        path: cache.snapshot(&commit),
        commit,
    })
}

struct Fetching<'a> {
    hub: &'a Hub,
    client: Client,
    cache: &'a RepositoryCache,
    repository: &'a Repository,
    commit: &'a str,
    /// Bytes of files that are complete.
    done: u64,
    total: u64,
}

impl Fetching<'_> {
    /// Fetches those files that the snapshot lacks.
    fn fetch(&mut self, names: &[String]) -> Result<(), HubError> {
        let snapshot = self.cache.snapshot(self.commit);
        let mut missing: Vec<(&str, Announcement)> = Vec::new();
        for name in names.iter().filter(|name| !snapshot.join(name).is_file()) {
            let announced = self
                .client
                .announcement(self.repository, self.commit, name)?;
            missing.push((name, announced));
        }
        let needed = missing.iter().fold(0u64, |sum, (_, file)| {
            sum.saturating_add(file.bytes.saturating_sub(self.here(&file.etag)))
        });
        let all = missing.iter().map(|(_, file)| file.bytes);
        self.total = all.fold(self.total, u64::saturating_add);
        let available = snapshot.ancestors().find(|path| path.is_dir());
        if let Some(available) = available.and_then(free_bytes)
            && needed > available
        {
            return Err(HubError::Disk(Box::new(Error::NoSpace {
                path: self.hub.settings.cache.clone(),
                needed,
                available: Some(available),
            })));
        }
        for (name, announced) in missing {
            let bytes = announced.bytes;
            let wanted = Wanted {
                repository: self.repository,
                commit: self.commit,
                name,
                announced,
            };
            download(&self.client, self.cache, &wanted, &|here| {
                self.say(here, false);
            })?;
            self.done += bytes;
        }
        Ok(())
    }

    /// Bytes of a blob that need not be fetched.
    fn here(&self, etag: &str) -> u64 {
        let length = |path: PathBuf| path.metadata().map_or(0, |found| found.len());
        length(self.cache.blob(etag)).max(length(self.cache.incomplete(etag)))
    }

    fn say(&self, of_this_file: u64, finished: bool) {
        if self.total > 0 {
            (self.hub.listener)(HubProgress {
                repository: &self.repository.name,
                bytes_done: self.done + of_this_file,
                bytes_total: self.total,
                finished,
            });
        }
    }
}
