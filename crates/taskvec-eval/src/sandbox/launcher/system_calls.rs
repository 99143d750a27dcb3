//! The system calls that Python programs need; every other one fails with `EPERM`.
//!
//! Absent on purpose, among others: sockets of any kind, new processes, signals to others, `ptrace` and the memory of
//! others, mounts and namespaces, owners, modes and times of files (which Landlock does not guard), shared memory and
//! anonymous files (which no limit would count), `prctl` and everything of the kernel's administration.

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Allowed whatever the arguments are.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // files that are open, or may be opened
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_openat, libc::SYS_close, libc::SYS_close_range, libc::SYS_lseek, libc::SYS_dup, libc::SYS_dup3,
    libc::SYS_pipe2, libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate,
    libc::SYS_fadvise64, libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_fstat, libc::SYS_newfstatat,
    libc::SYS_statx, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_getdents64, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_readlinkat, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir,
    libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_symlinkat,
    libc::SYS_umask,
    // waiting
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_eventfd2, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime,
    libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_setitimer, libc::SYS_getitimer, libc::SYS_times,
    // memory
    libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_msync,
    libc::SYS_brk, libc::SYS_membarrier,
    // the process and its threads
    libc::SYS_execve, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_set_robust_list,
    libc::SYS_set_tid_address, libc::SYS_rseq, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_wait4, libc::SYS_waitid, libc::SYS_restart_syscall,
    // answered by a filter of its own: see `build`
    libc::SYS_clone3,
    // its own signals
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigsuspend, libc::SYS_sigaltstack,
    // what it is and where
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
    libc::SYS_getegid, libc::SYS_getgroups, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_uname,
    libc::SYS_sysinfo, libc::SYS_getrusage, libc::SYS_getrlimit, libc::SYS_getrandom, libc::SYS_getcpu,
];

/// The older forms that x86_64 has besides.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_dup2,
    libc::SYS_pipe, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_create, libc::SYS_epoll_wait,
    libc::SYS_eventfd, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_symlink,
    libc::SYS_time, libc::SYS_alarm, libc::SYS_pause, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];

/// `fcntl` without owners of signals and sizes of pipes.
#[rustfmt::skip]
const FCNTL: &[libc::c_int] = &[
    libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL,
    libc::F_GETLK, libc::F_SETLK, libc::F_SETLKW, libc::F_GETPIPE_SZ,
];

/// `ioctl` as far as Python calls it by itself: is this a terminal, close this on exec.
#[rustfmt::skip]
const IOCTL: &[libc::Ioctl] = &[libc::TCGETS, libc::FIOCLEX, libc::FIONCLEX, libc::FIONREAD, libc::TIOCGWINSZ];

/// A clone that shares everything with its maker, in the namespaces it is in: a thread.
const THREAD_MASK: u64 = (libc::CLONE_THREAD
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// The filters for the process `own`, in the order of installation.
///
/// There are two because `clone3` must fail with `ENOSYS`: its flags lie in memory, out of a filter's sight, and
/// libraries fall back to `clone` only on that error.
pub(super) fn build(own: libc::pid_t, threads: bool) -> Result<[BpfProgram; 2], Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    let clone3 = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
        architecture,
    )?;

    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for number in ALLOWED.iter().chain(ALLOWED_HERE) {
        rules.insert(*number, vec![]);
    }
    // Signals only to oneself, even where no namespace hides the others.
    let own = [own as u64];
    rules.insert(libc::SYS_kill, one_of(0, &own)?);
    rules.insert(libc::SYS_tgkill, one_of(0, &own)?);
    // Limits of others could be lowered.
    rules.insert(libc::SYS_prlimit64, one_of(0, &[0, own[0]])?);
    rules.insert(
        libc::SYS_fcntl,
        one_of(1, &FCNTL.iter().map(|&c| c as u64).collect::<Vec<_>>())?,
    );
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs between C libraries"
    )]
    rules.insert(
        libc::SYS_ioctl,
        one_of(1, &IOCTL.iter().map(|&c| c as u64).collect::<Vec<_>>())?,
    );
    if threads {
        let thread = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(THREAD_MASK),
            libc::CLONE_THREAD as u64,
        )?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread])?]);
    }
    let allowed = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
        architecture,
    )?;
    Ok([clone3.try_into()?, allowed.try_into()?])
}

fn one_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, Error> {
    values
        .iter()
        .map(|&value| {
            let equal =
                SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
            Ok(SeccompRule::new(vec![equal])?)
        })
        .collect()
}
