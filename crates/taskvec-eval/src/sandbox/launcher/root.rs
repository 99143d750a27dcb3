//! Namespaces of one's own, and in them a file system that holds an interpreter and little else.

use super::{Refusal, Step};
use crate::sandbox::Isolation;
use crate::sandbox::protocol::Request;
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chdir, pivot_root, sethostname};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Users above the range that distributions give out; the launcher's process number makes one that no other sandbox
/// has, so that limits per user are limits per program.
const FIRST_USER: u32 = 0x4000_0000;

/// The devices that Python opens, and whether it may write to them.
pub(super) const DEVICES: [(&str, bool); 3] = [
    ("/dev/null", true),
    ("/dev/zero", false),
    ("/dev/urandom", false),
];

/// Where the program may write.
pub(super) const WORKPLACE: &str = "/tmp";

/// What was built.
pub(super) struct Root {
    /// Whether processes get namespaces of their own, and a place to write.
    pub(super) namespaces: bool,
    /// The unprivileged user to become, where the launcher is privileged.
    pub(super) user: Option<u32>,
}

pub(super) fn build(request: &Request) -> Result<Root, Refusal> {
    if request.isolation == Isolation::Landlock {
        chdir("/").step("leaving the working directory")?;
        return Ok(Root {
            namespaces: false,
            user: None,
        });
    }
    let privileged = [
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_SETUID,
        Capability::CAP_SETGID,
    ]
    .into_iter()
    .all(|capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false));
    let user = privileged.then(|| FIRST_USER + std::process::id());
    enter_namespaces(privileged)?;
    mount_root(request, user)?;
    Ok(Root {
        namespaces: true,
        user,
    })
}

fn enter_namespaces(privileged: bool) -> Result<(), Refusal> {
    let (uid, gid) = (Uid::current(), Gid::current());
    let mut flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    if !privileged {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(flags).step("creating namespaces")?;
    if !privileged {
        // Any number but 0 inside: the root of a user namespace would keep its capabilities over exec.
        fs::write("/proc/self/setgroups", "deny").step("giving up `setgroups`")?;
        fs::write("/proc/self/uid_map", format!("65534 {uid} 1")).step("mapping the user")?;
        fs::write("/proc/self/gid_map", format!("65534 {gid} 1")).step("mapping the group")?;
    }
    sethostname("sandbox").step("naming the host")
}

fn mount_root(request: &Request, user: Option<u32>) -> Result<(), Refusal> {
    const BASE: &str = "/tmp";
    let interpreter = &request.interpreter;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .step("making mounts private")?;

    // Opened before anything is mounted over them.
    let visible = interpreter
        .visible()
        .map(|path| Ok((path, handle(path)?)))
        .collect::<Result<Vec<_>, Refusal>>()?;
    let devices = DEVICES
        .iter()
        .map(|(path, _)| Ok((Path::new(path), handle(Path::new(path))?)))
        .collect::<Result<Vec<_>, Refusal>>()?;

    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        BASE,
        Some("tmpfs"),
        quiet,
        Some("size=1m,mode=755"),
    )
    .step("mounting the root")?;
    let inside = |path: &Path| Path::new(BASE).join(path.strip_prefix("/").unwrap_or(path));
    for (path, _) in &visible {
        make_place(path, &inside(path))?;
    }
    for (path, _) in &devices {
        make_place(path, &inside(path))?;
    }
    make_directory(&inside(Path::new(WORKPLACE)))?;
    for (link, target) in &interpreter.links {
        let place = inside(link);
        if place.symlink_metadata().is_ok() {
            continue; // a directory that holds libraries by that very path
        }
        if let Some(parent) = place.parent() {
            make_directory(parent)?;
        }
        symlink(target, place).step("linking libraries")?;
    }
    for (path, file) in &visible {
        bind(file, &inside(path))?;
    }
    for path in &interpreter.masked {
        mount(
            Some("tmpfs"),
            &inside(path),
            Some("tmpfs"),
            quiet,
            Some("size=4k,mode=755"),
        )
        .step("hiding installed packages")?;
    }
    read_only(Path::new(BASE))?;
    // After the rest: devices would be dead under `nodev`, and this is the one place to write.
    for (path, file) in &devices {
        bind(file, &inside(path))?;
    }
    let owner = user.unwrap_or(65534);
    let options = format!(
        "size={},nr_inodes=4096,mode=700,uid={owner},gid={owner}",
        request.limits.files_bytes
    );
    mount(
        Some("tmpfs"),
        &inside(Path::new(WORKPLACE)),
        Some("tmpfs"),
        quiet | MsFlags::MS_NOEXEC,
        Some(options.as_str()),
    )
    .step("mounting the private `/tmp`")?;

    chdir(BASE).step("entering the root")?;
    pivot_root(".", ".").step("changing the root")?;
    umount2(".", MntFlags::MNT_DETACH).step("leaving the old root")?;
    chdir("/").step("entering the root")
}

fn handle(path: &Path) -> Result<OwnedFd, Refusal> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|error| Refusal {
        step: "opening what Python needs".to_owned(),
        reason: format!("`{}`: {error}", path.display()),
    })
}

fn make_place(source: &Path, place: &Path) -> Result<(), Refusal> {
    if source.is_dir() {
        return make_directory(place);
    }
    if let Some(parent) = place.parent() {
        make_directory(parent)?;
    }
    fs::write(place, "").step("making places for files")
}

fn make_directory(place: &Path) -> Result<(), Refusal> {
    fs::create_dir_all(place).step("making directories")
}

fn bind(file: &OwnedFd, place: &Path) -> Result<(), Refusal> {
    let source = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(&source), place, None::<&str>, flags, None::<&str>).step("showing what Python needs")
}

/// Everything mounted at `place` and below. Not a remount, which would have to repeat each mount's locked flags.
fn read_only(place: &Path) -> Result<(), Refusal> {
    let path =
        std::ffi::CString::new(place.as_os_str().as_bytes()).step("making the root read-only")?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends in a zero, and the size is the structure's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result)
        .map(drop)
        .step("making the root read-only")
}
