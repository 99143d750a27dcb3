//! The hidden sibling in which an output is made, and the step that turns it into the output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::OutputOptions;
use super::shard::{ShardWriter, refused};
use crate::checkpoint::is_plain_file_name;
use crate::error::{Error, Result};
use crate::provenance::PROVENANCE_FILE;
use crate::safetensors::EncodedHeader;

/// What appears at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Directory,
    File,
}

/// Name in the staging directory of an output that is a single file.
const SINGLE_FILE: &str = "output.safetensors";

#[derive(Debug)]
pub(super) struct Staging {
    destination: PathBuf,
    shape: Shape,
    overwrite: bool,
    sync: bool,
    partial: PathBuf,
    shards: Mutex<Vec<ShardWriter>>,
    committed: bool,
    // Last, so that it is released after the rest is gone.
    _lock: Lock,
}

impl Staging {
    pub(super) fn create(
        destination: &Path,
        shape: Shape,
        options: &OutputOptions,
    ) -> Result<Staging> {
        let destination = resolve(destination)?;
        let parent = parent_of(&destination);
        if !fs::metadata(parent).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::DestinationParent { path: destination });
        }
        // Once before anything is touched, for the better message; once more under the lock.
        check_destination(&destination, shape, options.overwrite)?;
        let lock = Lock::acquire(&destination, sibling(&destination, "lock")?)?;
        let staging = Staging {
            partial: sibling(&destination, "partial")?,
            destination,
            shape,
            overwrite: options.overwrite,
            sync: options.sync,
            shards: Mutex::new(Vec::new()),
            committed: false,
            _lock: lock,
        };
        staging.recover()?;
        check_destination(&staging.destination, shape, options.overwrite)?;
        if let (Some(needed), Some(available)) = (
            options.expected_bytes,
            free_bytes(parent_of(&staging.destination)),
        ) && needed > available
        {
            return Err(Error::NoSpace {
                path: staging.destination.clone(),
                needed,
                available: Some(available),
            });
        }
        fs::create_dir(&staging.partial).map_err(Error::io("create", &staging.partial))?;
        Ok(staging)
    }

    /// Clears what a killed run left: its unfinished output, and the old output it was about to replace.
    fn recover(&self) -> Result<()> {
        remove(&self.partial).map_err(Error::io("remove", &self.partial))?;
        let aside = self.aside()?;
        if fs::symlink_metadata(&aside).is_err() {
            return Ok(());
        }
        if fs::symlink_metadata(&self.destination).is_err() {
            // Killed between the two renames of a replacement: the old output goes back.
            return fs::rename(&aside, &self.destination).map_err(Error::io("restore", &aside));
        }
        remove(&aside).map_err(Error::io("remove", &aside))
    }

    pub(super) fn destination(&self) -> &Path {
        &self.destination
    }

    fn aside(&self) -> Result<PathBuf> {
        sibling(&self.destination, "old")
    }

    pub(super) fn create_shard(&self, name: &str, header: &EncodedHeader) -> Result<ShardWriter> {
        let shown = self.shown(name)?;
        self.add_shard(name, shown, header)
    }

    pub(super) fn create_single_file(&self, header: &EncodedHeader) -> Result<ShardWriter> {
        self.add_shard(SINGLE_FILE, self.destination.clone(), header)
    }

    fn add_shard(&self, name: &str, shown: PathBuf, header: &EncodedHeader) -> Result<ShardWriter> {
        let shard = ShardWriter::create(&self.partial.join(name), shown, header)?;
        self.lock_shards().push(shard.clone());
        Ok(shard)
    }

    pub(super) fn put_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let shown = self.shown(name)?;
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(self.partial.join(name))?;
            file.write_all(bytes)?;
            if self.sync {
                file.sync_data()?;
            }
            Ok(())
        };
        write().map_err(|error| refused("write", &shown, bytes.len() as u64, error))
    }

    /// The path a file will have, for messages.
    fn shown(&self, name: &str) -> Result<PathBuf> {
        if is_plain_file_name(name) {
            Ok(self.destination.join(name))
        } else {
            Err(Error::OutputFileName {
                name: name.to_owned(),
            })
        }
    }

    /// Checks that all shards are whole and on the disk.
    pub(super) fn finish_shards(&self) -> Result<()> {
        for shard in self.lock_shards().iter() {
            shard.verify_complete()?;
            if self.sync {
                shard.sync()?;
            }
        }
        Ok(())
    }

    pub(super) fn commit(mut self) -> Result<PathBuf> {
        // Windows renames no directory in which a file is open.
        self.lock_shards().clear();
        if self.sync {
            sync_directory(&self.partial);
        }
        check_destination(&self.destination, self.shape, self.overwrite)?;
        match self.shape {
            Shape::Directory => self.publish_directory()?,
            Shape::File => self.publish_file()?,
        }
        self.committed = true;
        if self.sync {
            // Too late to undo anything, and some filesystems refuse it: best effort.
            sync_directory(parent_of(&self.destination));
        }
        Ok(self.destination.clone())
    }

    fn publish_directory(&self) -> Result<()> {
        let destination = &self.destination;
        if cfg!(windows) {
            // Elsewhere a rename takes the place of an empty directory by itself. Fails on any other.
            let _ = fs::remove_dir(destination);
        }
        match fs::rename(&self.partial, destination) {
            Ok(()) => return Ok(()),
            Err(error) if !is_occupied(&error) => return Err(self.unpublished(error)),
            Err(_) if !self.overwrite => {
                return Err(Error::DestinationExists {
                    path: destination.clone(),
                    is_directory: true,
                });
            }
            Err(_) => {}
        }
        if exchange(&self.partial, destination).is_ok() {
            // The old output lies under the partial name now. If it cannot be removed, the next run tries.
            let _ = remove(&self.partial);
            return Ok(());
        }
        replace_in_two_steps(&self.partial, destination, &self.aside()?)
            .map_err(|error| self.unpublished(error))
    }

    fn publish_file(&self) -> Result<()> {
        let (from, to) = (self.partial.join(SINGLE_FILE), &self.destination);
        if self.overwrite {
            fs::rename(&from, to).map_err(|error| self.unpublished(error))?;
        } else {
            // A link refuses to replace, which a rename does not. Where there are no links, a look must do.
            match fs::hard_link(&from, to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(Error::DestinationExists {
                        path: to.clone(),
                        is_directory: false,
                    });
                }
                Err(_) => {
                    check_destination(to, self.shape, false)?;
                    fs::rename(&from, to).map_err(|error| self.unpublished(error))?;
                }
                Ok(()) => {}
            }
        }
        let _ = remove(&self.partial);
        Ok(())
    }

    fn unpublished(&self, error: io::Error) -> Error {
        Error::io("create", &self.destination)(error)
    }

    fn lock_shards(&self) -> std::sync::MutexGuard<'_, Vec<ShardWriter>> {
        // A panic while the list is held leaves it whole: only pushes happen under the lock.
        self.shards
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing can be done about a failure here; the next run clears what is left.
            let _ = remove(&self.partial);
        }
    }
}

/// Exclusive use of a destination, released by the system when the process dies.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    // Held for its lock alone.
    _file: File,
}

impl Lock {
    fn acquire(destination: &Path, path: PathBuf) -> Result<Lock> {
        let busy = || Error::DestinationBusy {
            path: destination.to_path_buf(),
        };
        // Each round lost means that another writer finished in between; many in a row mean contention.
        for _ in 0..16 {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(Error::io("create", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy()),
                // Some network filesystems have no locks. Two writers there are on their own.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            }
            // Its holder may have removed the file between our opening and locking it.
            if is_file_at(&file, &path) {
                return Ok(Lock { path, _file: file });
            }
        }
        Err(busy())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while still held, so that nobody can hold the removed file and believe it counts.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_file_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// The destination with a link at its end followed, so that the output goes where the link points.
fn resolve(destination: &Path) -> Result<PathBuf> {
    if destination.file_name().is_none() {
        return Err(Error::DestinationUnnamed {
            path: destination.to_path_buf(),
        });
    }
    match fs::symlink_metadata(destination) {
        Ok(metadata) if metadata.is_symlink() => {
            fs::canonicalize(destination).map_err(Error::io("follow the link", destination))
        }
        _ => Ok(destination.to_path_buf()),
    }
}

fn parent_of(destination: &Path) -> &Path {
    match destination.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.NAME.taskvec-SUFFIX` beside the destination.
fn sibling(destination: &Path, suffix: &str) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        return Err(Error::DestinationUnnamed {
            path: destination.to_path_buf(),
        });
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".taskvec-");
    hidden.push(suffix);
    Ok(destination.with_file_name(hidden))
}

/// Refuses a destination at which something lies that must not be lost.
fn check_destination(destination: &Path, shape: Shape, overwrite: bool) -> Result<()> {
    let metadata = match fs::symlink_metadata(destination) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", destination)(error)),
    };
    let is_directory = metadata.is_dir();
    if is_directory && shape == Shape::Directory {
        let mut entries = fs::read_dir(destination).map_err(Error::io("list", destination))?;
        if entries.next().is_none() {
            return Ok(());
        }
    }
    let path = destination.to_path_buf();
    if !overwrite {
        return Err(Error::DestinationExists { path, is_directory });
    }
    let replaceable = match shape {
        Shape::Directory => is_directory && destination.join(PROVENANCE_FILE).is_file(),
        Shape::File => {
            metadata.is_file()
                && destination
                    .extension()
                    .is_some_and(|extension| extension == "safetensors")
        }
    };
    if replaceable {
        Ok(())
    } else {
        Err(Error::DestinationForeign { path })
    }
}

/// Removes a file, link or directory; its absence is no failure. Links are not followed.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a rename failed because something lies where it should go.
fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory
    ) || cfg!(windows) && error.kind() == ErrorKind::PermissionDenied
}

/// Renames `old` aside, `new` into its place, and removes what is aside; when the second step fails, the first
/// is taken back. Killed in between, [`Staging::recover`] does so in the next run.
fn replace_in_two_steps(new: &Path, old: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(old, aside)?;
    if let Err(error) = fs::rename(new, old) {
        let _ = fs::rename(aside, old);
        return Err(error);
    }
    let _ = remove(aside);
    Ok(())
}

/// Lets two paths change places in one step, where the system can.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_a: &Path, _b: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Waits until a directory's entries are on the disk, where that can be asked for.
fn sync_directory(path: &Path) {
    if cfg!(unix)
        && let Ok(directory) = File::open(path)
    {
        let _ = directory.sync_all();
    }
}

/// Bytes that may still be written to the filesystem of `path`, where it says.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let filesystem = rustix::fs::statvfs(path).ok()?;
    // A filesystem that counts no blocks at all does not know.
    (filesystem.f_blocks > 0).then(|| filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
}

#[cfg(not(unix))]
pub(crate) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory_with(path: &Path, content: &str) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), content).unwrap();
    }

    #[test]
    fn replacing_in_two_steps_leaves_only_the_new_or_only_the_old() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        directory_with(&at("old"), "old");
        assert!(replace_in_two_steps(&at("absent"), &at("old"), &at("aside")).is_err());
        assert_eq!(fs::read_to_string(at("old/file")).unwrap(), "old");

        directory_with(&at("new"), "new");
        replace_in_two_steps(&at("new"), &at("old"), &at("aside")).unwrap();
        assert_eq!(fs::read_to_string(at("old/file")).unwrap(), "new");
        assert!(!at("new").exists() && !at("aside").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_file_that_was_removed_does_not_count() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        let held = File::create(&path).unwrap();
        assert!(is_file_at(&held, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_file_at(&held, &path));
        let other = File::create(&path).unwrap();
        assert!(!is_file_at(&held, &path) && is_file_at(&other, &path));
    }

    #[cfg(unix)]
    #[test]
    fn free_space_is_known_here_and_of_a_relative_parent() {
        assert!(free_bytes(Path::new(".")).is_some());
        assert!(free_bytes(parent_of(Path::new("out"))).is_some());
        assert!(free_bytes(Path::new("/no/such/place")).is_none());
    }
}
