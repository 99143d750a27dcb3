//! Which isolation is built, by whom, and what is said where none can be.
//!
//! Other users and other kernels are this program again, started with [`ROLE`] under a changed user, or under a filter
//! that answers as a container's does.

use crate::trial;
use crate::verdict::{judge_in, test_that};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use taskvec_eval::sandbox::{
    Interpreter, Isolation, Limits, Sandbox, SandboxError, Settings, Verdict,
};

/// Set to a role, this program opens a sandbox, runs a program and tells what it got.
const ROLE: &str = "TASKVEC_SANDBOX_TEST_ROLE";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("isolation::strongest_by_itself", strongest_by_itself),
        trial("isolation::unprivileged_user", unprivileged_user),
        trial(
            "isolation::unprivileged_user_landlock",
            unprivileged_user_landlock,
        ),
        trial("isolation::namespaces_forbidden", namespaces_forbidden),
        trial("isolation::mounts_forbidden", mounts_forbidden),
        trial("isolation::everything_forbidden", everything_forbidden),
        trial("isolation::launcher_that_is_none", launcher_that_is_none),
        trial(
            "isolation::launcher_that_is_missing",
            launcher_that_is_missing,
        ),
        trial("isolation::python_that_is_none", python_that_is_none),
        trial("isolation::python_that_is_missing", python_that_is_missing),
        trial("isolation::micro_code_limits", micro_code_limits),
        trial("isolation::other_interpreters", other_interpreters),
    ]
}

/// The other end of [`as_role`].
pub(crate) fn play_role() -> Option<std::process::ExitCode> {
    let role = std::env::var(ROLE).ok()?;
    let mut settings = Settings::new(Limits::humaneval());
    if role == "landlock" {
        settings.isolation = Some(Isolation::Landlock);
    }
    match Sandbox::open(&settings) {
        Ok(sandbox) => {
            let verdict = judge_in(
                &sandbox,
                "def f(x): return 2 * x\n",
                &test_that("candidate(2) == 4"),
                "f",
            );
            println!(
                "{:?} {verdict:?} {:?}",
                sandbox.isolation(),
                sandbox.weakened()
            );
        }
        Err(error) => println!("{error}\nhint: {}", error.hint().unwrap_or_default()),
    }
    Some(std::process::ExitCode::SUCCESS)
}

/// This program in `role`, with the system's Python and whatever `change` does before it starts.
fn as_role(
    role: &str,
    change: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) -> String {
    // Another user may see neither the build folder nor a Python in a home directory.
    let folder = tempfile::Builder::new()
        .prefix("taskvec-sandbox-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let program = folder.path().join("sandbox-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [folder.path(), &program] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(ROLE, role)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir("/");
    // SAFETY: the closures only make system calls.
    unsafe { command.pre_exec(change) };
    let Output { stdout, stderr, .. } = command.output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    )
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn become_nobody() -> std::io::Result<()> {
    if root() {
        let (uid, gid) = (
            nix::unistd::Uid::from_raw(65534),
            nix::unistd::Gid::from_raw(65534),
        );
        nix::unistd::setgroups(&[])?;
        nix::unistd::setresgid(gid, gid, gid)?;
        nix::unistd::setresuid(uid, uid, uid)?;
    }
    Ok(())
}

/// A filter that fails `calls` with `EPERM`, as container engines do.
fn forbid(calls: &'static [libc::c_long]) -> impl FnMut() -> std::io::Result<()> + Send + Sync {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let rules: BTreeMap<i64, _> = calls.iter().map(|&call| (call, vec![])).collect();
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    move || seccompiler::apply_filter(&filter).map_err(std::io::Error::other)
}

fn strongest_by_itself() {
    let sandbox = Sandbox::new(Limits::humaneval()).unwrap();
    assert_eq!(
        (sandbox.isolation(), sandbox.weakened()),
        (Isolation::Namespaces, None)
    );
    assert!(sandbox.interpreter().version >= [3, 8, 0]);
}

fn unprivileged_user() {
    let said = as_role("any", become_nobody);
    assert!(said.starts_with("Namespaces Passed None"), "{said}");
}

fn unprivileged_user_landlock() {
    let said = as_role("landlock", become_nobody);
    assert!(said.starts_with("Landlock Passed None"), "{said}");
}

fn namespaces_forbidden() {
    let said = as_role("any", forbid(&[libc::SYS_unshare]));
    assert!(
        said.starts_with("Landlock Passed Some(\"creating namespaces: EPERM"),
        "{said}"
    );
}

/// As AppArmor does it: the namespace is granted, and what it is for is not.
fn mounts_forbidden() {
    let said = as_role("any", forbid(&[libc::SYS_mount]));
    assert!(
        said.starts_with("Landlock Passed Some(\"making mounts private: EPERM"),
        "{said}"
    );
}

fn everything_forbidden() {
    let said = as_role(
        "any",
        forbid(&[libc::SYS_unshare, libc::SYS_landlock_create_ruleset]),
    );
    assert!(
        said.starts_with("this machine cannot isolate generated code"),
        "{said}"
    );
    for part in [
        "namespaces: creating namespaces",
        "Landlock: restricting files",
        "hint: one of the two is enough",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::new(Limits::humaneval());
    change(&mut settings);
    settings
}

fn launcher_that_is_none() {
    let error = Sandbox::open(&settings(|s| s.launcher = Some("/bin/true".into()))).unwrap_err();
    assert!(
        error.to_string().contains("ended without an answer"),
        "{error}"
    );
}

fn launcher_that_is_missing() {
    let error =
        Sandbox::open(&settings(|s| s.launcher = Some("/nowhere/taskvec".into()))).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`/nowhere/taskvec` cannot be started"),
        "{error}"
    );
}

fn python_that_is_none() {
    for path in ["/bin/true", "/bin/false", "/etc/passwd"] {
        let error = Interpreter::find(Some(path.as_ref())).unwrap_err();
        assert!(matches!(error, SandboxError::Python { .. }), "{error}");
        assert!(
            error.to_string().contains(path) && error.hint().is_some(),
            "{error}"
        );
    }
}

fn python_that_is_missing() {
    let said = Interpreter::find(Some("/nowhere/python3".as_ref()))
        .unwrap_err()
        .to_string();
    assert!(said.contains("`/nowhere/python3`"), "{said}");
}

fn micro_code_limits() {
    let sandbox = Sandbox::new(Limits::micro_code()).unwrap();
    let double = judge_in(
        &sandbox,
        "def f(x): return 2 * x\n",
        &test_that("candidate(2) == 4"),
        "f",
    );
    assert_eq!(double, Verdict::Passed);
    let thread = "import threading\ndef f():\n    threading.Thread(target=print).start()\n";
    assert!(matches!(
        judge_in(&sandbox, thread, &test_that("candidate()"), "f"),
        Verdict::Failed { .. }
    ));
    let large = "def f(): return len(bytearray(300 << 20))\n";
    assert_eq!(
        judge_in(&sandbox, large, &test_that("candidate()"), "f"),
        Verdict::OutOfMemory
    );
}

/// Every Python of this machine that is not older than 3.8: a distribution's, a home directory's, another version.
fn other_interpreters() {
    let mut paths = vec![std::path::PathBuf::from("/usr/bin/python3")];
    let versions = std::env::var("HOME").map(|home| std::fs::read_dir(home + "/.pyenv/versions"));
    for version in versions.into_iter().flatten().flatten().flatten() {
        paths.push(version.path().join("bin/python3"));
    }
    for path in paths.into_iter().filter(|path| path.exists()) {
        match Sandbox::open(&settings(|s| s.python = Some(path.clone()))) {
            Ok(_) => {}
            Err(SandboxError::Python { reason, .. }) => {
                assert!(reason.contains("expected 3.8"), "{reason}")
            }
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}
