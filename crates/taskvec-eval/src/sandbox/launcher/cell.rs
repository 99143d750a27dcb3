//! The two interpreters, each a process that has given up everything before it became Python.

use super::root::{DEVICES, Root, WORKPLACE};
use super::{Refusal, Step, system_calls};
use crate::sandbox::Limits;
use crate::sandbox::protocol::Request;
use caps::CapSet;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sched::{CloneFlags, clone};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Pid, Uid, chdir, execve, pipe2, setgroups, setresgid, setresuid, setsid};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

const VALUES: &str = include_str!("../python/values.py");
const PROGRAM: &str = include_str!("../python/program.py");
const JUDGE: &str = include_str!("../python/judge.py");

/// The judge and the program, started and waiting.
pub(super) struct Cells {
    pub(super) judge: Pid,
    pub(super) program: Pid,
    /// The job goes in here.
    pub(super) job: File,
    /// The verdict comes out here.
    pub(super) verdict: File,
}

impl Cells {
    pub(super) fn start(request: &Request, root: &Root) -> Result<Self, Refusal> {
        let null = || {
            open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
                .step("opening `/dev/null`")
        };
        let pipe = || pipe2(OFlag::O_CLOEXEC).step("making pipes");
        let (requests_out, requests_in) = pipe()?;
        let (answers_out, answers_in) = pipe()?;
        let (job_out, job_in) = pipe()?;
        let (verdict_out, verdict_in) = pipe()?;
        let program = start(
            PROGRAM,
            request,
            root,
            vec![null()?, null()?, null()?, requests_out, answers_in],
        )?;
        let files = vec![
            job_out,
            null()?,
            null()?,
            answers_out,
            requests_in,
            verdict_in,
        ];
        let judge = start(JUDGE, request, root, files)?;
        Ok(Self {
            judge,
            program,
            job: job_in.into(),
            verdict: verdict_out.into(),
        })
    }
}

/// Starts Python on `script` with `files` as its descriptors 0, 1, 2, and so on, and no others.
fn start(
    script: &str,
    request: &Request,
    root: &Root,
    files: Vec<OwnedFd>,
) -> Result<Pid, Refusal> {
    let (complaint_out, complaint_in) = pipe2(OFlag::O_CLOEXEC).step("making pipes")?;
    let text = |bytes: &[u8]| CString::new(bytes).step("writing the command line");
    let script = [VALUES, script, "main()\n"].join("\n");
    let executable = text(request.interpreter.executable.as_os_str().as_bytes())?;
    // Python finds its library from its own path, and has no `PATH` to search.
    let arguments = [
        executable.as_bytes(),
        b"-S",
        b"-s",
        b"-B",
        b"-X",
        b"utf8",
        b"-c",
        script.as_bytes(),
    ]
    .into_iter()
    .map(text)
    .collect::<Result<Vec<_>, _>>()?;
    // The order of a set of strings must not differ from run to run: a program's verdict would.
    let environment = [
        &b"PYTHONHASHSEED=0"[..],
        b"OMP_NUM_THREADS=1",
        b"HOME=/tmp",
        b"MALLOC_ARENA_MAX=2",
    ]
    .into_iter()
    .map(text)
    .collect::<Result<Vec<_>, _>>()?;

    let mut stack = vec![0_u8; 1 << 20];
    let mut flags = CloneFlags::empty();
    if root.namespaces {
        flags |= CloneFlags::CLONE_NEWPID;
    }
    let child = Box::new(|| {
        let result = confine(&files, request, root).and_then(|()| {
            execve(&executable, &arguments, &environment)
                .map(drop)
                .step("starting Python")
        });
        if let Err(refusal) = result {
            let _ = nix::unistd::write(
                &complaint_in,
                format!("{}\n{}", refusal.step, refusal.reason).as_bytes(),
            );
        }
        125
    });
    // SAFETY: the launcher has one thread, so the copy may do whatever the launcher could.
    let pid = unsafe { clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }
        .step("creating a process")?;
    drop(complaint_in);
    let mut complaint = String::new();
    // Ends when Python starts: the writing end closes on exec.
    File::from(complaint_out)
        .read_to_string(&mut complaint)
        .step("starting Python")?;
    match complaint.split_once('\n') {
        None => Ok(pid),
        Some((step, reason)) => Err(Refusal {
            step: step.to_owned(),
            reason: reason.to_owned(),
        }),
    }
}

/// Everything between the birth of the process and Python. The order matters: each step gives up what later ones do
/// without.
fn confine(files: &[OwnedFd], request: &Request, root: &Root) -> Result<(), Refusal> {
    place(files)?;
    setsid().step("leaving the session")?;
    if let Some(user) = root.user {
        setgroups(&[]).step("leaving groups")?;
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
        setresgid(gid, gid, gid).step("becoming an unprivileged group")?;
        setresuid(uid, uid, uid).step("becoming an unprivileged user")?;
    }
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).step("dropping capabilities")?;
    }
    prctl::set_no_new_privs().step("giving up new privileges")?;
    prctl::set_pdeathsig(Signal::SIGKILL).step("asking to end with the launcher")?;
    if root.namespaces {
        chdir(WORKPLACE).step("entering the private `/tmp`")?;
    }
    restrict_files(request, root)?;
    let own = nix::unistd::getpid().as_raw();
    let threads = root.namespaces && request.limits.threads > 0;
    let filters = system_calls::build(own, threads).step("building the filter of system calls")?;
    limit(&request.limits, root)?;
    for filter in filters {
        seccompiler::apply_filter(&filter).step("filtering system calls")?;
    }
    Ok(())
}

/// Gives `files` the numbers 0, 1, 2, and so on.
fn place(files: &[OwnedFd]) -> Result<(), Refusal> {
    let out_of_the_way = files
        .iter()
        .map(|file| fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(64)).step("numbering files"))
        .collect::<Result<Vec<RawFd>, _>>()?;
    for (source, target) in out_of_the_way.into_iter().zip(0..) {
        // SAFETY: whatever had the target's number is not used by this process again.
        let result = unsafe { libc::dup2(source, target) };
        nix::errno::Errno::result(result).step("numbering files")?;
    }
    Ok(())
}

/// Landlock: the only guard of files where there are no namespaces, the second one where there are.
fn restrict_files(request: &Request, root: &Root) -> Result<(), Refusal> {
    const STEP: &str = "restricting files with Landlock";
    // Of the newest kind that this knows, whatever the kernel has; without namespaces no less than refers to
    // truncation, which earlier kernels leave open.
    let newest = ABI::V6;
    let (required, level) = match root.namespaces {
        true => (AccessFs::from_all(newest), CompatLevel::BestEffort),
        false => (AccessFs::from_all(ABI::V3), CompatLevel::HardRequirement),
    };
    let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
    let devices = |writable| {
        DEVICES
            .into_iter()
            .filter(move |device| device.1 == writable)
            .map(|device| device.0)
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(level)
        .handle_access(required)
        .step(STEP)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))
        .step(STEP)?
        .handle_access(AccessNet::from_all(newest))
        .step(STEP)?
        .scope(Scope::from_all(newest))
        .step(STEP)?
        .create()
        .step(STEP)?
        .add_rules(path_beneath_rules(request.interpreter.visible(), read))
        .step(STEP)?
        .add_rules(path_beneath_rules(devices(false), AccessFs::ReadFile))
        .step(STEP)?
        .add_rules(path_beneath_rules(
            devices(true),
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))
        .step(STEP)?;
    if root.namespaces {
        let ordinary: BitFlags<AccessFs> = AccessFs::from_all(newest)
            & !(AccessFs::Execute
                | AccessFs::MakeBlock
                | AccessFs::MakeChar
                | AccessFs::MakeSock
                | AccessFs::IoctlDev);
        ruleset = ruleset
            .add_rules(path_beneath_rules([WORKPLACE], ordinary))
            .step(STEP)?;
    }
    let status = ruleset.restrict_self().step(STEP)?;
    if !root.namespaces && status.ruleset == RulesetStatus::NotEnforced {
        return Err(Refusal {
            step: STEP.to_owned(),
            reason: "this kernel has no Landlock, or it is not switched on".to_owned(),
        });
    }
    Ok(())
}

fn limit(limits: &Limits, root: &Root) -> Result<(), Refusal> {
    let seconds = limits.start_time.as_secs().min(5) + limits.wall_time.as_secs() + 1;
    let mut bounds = vec![
        (Resource::RLIMIT_CPU, seconds),
        (Resource::RLIMIT_FSIZE, limits.files_bytes),
        (Resource::RLIMIT_NOFILE, 64),
        // Not 0, which a handler of the host's that cores are piped to does not heed; 1 it does.
        (Resource::RLIMIT_CORE, 1),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_SIGPENDING, 64),
        (Resource::RLIMIT_STACK, 8 << 20),
    ];
    if root.namespaces {
        // Of the user, who is the judge too.
        bounds.push((Resource::RLIMIT_NPROC, limits.threads + 3));
    }
    // Last: the launcher's own image may be larger.
    bounds.push((Resource::RLIMIT_AS, limits.memory_bytes));
    for (resource, bound) in bounds {
        setrlimit(resource, bound, bound).step("limiting resources")?;
    }
    Ok(())
}
