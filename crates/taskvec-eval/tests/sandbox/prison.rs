//! Programs that try to get out, or to take too much. Each reports what it managed; the host looks for itself where it
//! can.

use crate::trial;
use crate::verdict::{judge, judge_in, open, sandbox, test_that};
use libtest_mimic::Trial;
use std::time::{Duration, Instant};
use taskvec_eval::sandbox::{Isolation, Limits, Sandbox, Verdict};

/// An attempt, as the body of a function: it must raise `OSError`, in either isolation.
const FORBIDDEN: &[(&str, &str)] = &[
    ("read_etc_passwd", "open('/etc/passwd').read()"),
    ("read_home", "__import__('posix').listdir(HOME)"),
    (
        "read_a_file_at_home",
        "open(HOME + '/.taskvec-sandbox-secret').read()",
    ),
    ("read_own_memory", "open('/proc/self/mem', 'rb').read(1)"),
    (
        "read_environment_of_the_parent",
        "open('/proc/1/environ').read()",
    ),
    ("list_processes", "__import__('posix').listdir('/proc')"),
    ("write_to_the_root", "open('/x', 'w')"),
    ("write_to_var_tmp", "open('/var/tmp/x', 'w')"),
    ("write_to_shared_memory", "open('/dev/shm/x', 'w')"),
    ("overwrite_the_interpreter", "open(sys.executable, 'r+b')"),
    ("delete_the_interpreter", "posix.unlink(sys.executable)"),
    (
        "rename_the_interpreter",
        "posix.rename(sys.executable, sys.executable + '.old')",
    ),
    ("chmod_the_interpreter", "posix.chmod(sys.executable, 0)"),
    (
        "delete_the_library",
        "posix.unlink(posix.__spec__ and __import__('json').__file__)",
    ),
    (
        "truncate_the_library",
        "posix.truncate(__import__('json').__file__, 0)",
    ),
    (
        "times_of_the_library",
        "posix.utime(__import__('json').__file__, (0, 0))",
    ),
    (
        "make_a_device",
        "posix.mknod('/tmp/disk', 0o60644, posix.makedev(254, 0))",
    ),
    (
        "execute_from_tmp",
        "write_program(); posix.execv('/tmp/program', ['program'])",
    ),
    (
        "loopback",
        "socket.create_connection(('127.0.0.1', PORT), 1)",
    ),
    (
        "datagram",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    ),
    (
        "raw_socket",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    ),
    (
        "netlink",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    ),
    (
        "abstract_socket",
        "socket.socket(socket.AF_UNIX).connect('\\0taskvec-sandbox-test')",
    ),
    ("fork", "posix.fork()"),
    (
        "spawn",
        "posix.posix_spawn(sys.executable, ['python', '-c', ''], {})",
    ),
    ("signal_every_process", "posix.kill(-1, 9)"),
    (
        "signal_the_parent",
        "posix.kill(posix.getppid() or 1 << 20, 9)",
    ),
    ("signal_the_launcher_by_number", "posix.kill(HOST, 9)"),
    (
        "higher_address_space",
        "limits.prlimit(posix.getpid(), limits.RLIMIT_AS, (1 << 40, 1 << 40))",
    ),
    (
        "limits_of_others",
        "limits.prlimit(HOST, limits.RLIMIT_NOFILE, (1, 1))",
    ),
    ("ptrace", "system_call('ptrace', 16, 1, 0, 0)"),
    (
        "process_vm_readv",
        "system_call('process_vm_readv', HOST, 0, 0, 0, 0, 0)",
    ),
    ("unshare", "system_call('unshare', 0x10000000)"),
    (
        "mount",
        "system_call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    ),
    ("setns", "system_call('setns', 0, 0)"),
    ("chroot", "posix.chroot('/tmp')"),
    ("bpf", "system_call('bpf', 0, 0, 0)"),
    ("io_uring", "system_call('io_uring_setup', 1, 0)"),
    (
        "keyring",
        "system_call('add_key', b'user', b'x', b'x', 1, -3)",
    ),
    ("anonymous_file", "system_call('memfd_create', b'x', 0)"),
    (
        "shared_memory_segment",
        "system_call('shmget', 0, 4096, 0o1600)",
    ),
    ("perf", "system_call('perf_event_open', 0, 0, -1, -1, 0)"),
    (
        "clear_the_parent_death_signal",
        "system_call('prctl', 1, 0, 0, 0, 0)",
    ),
    ("set_user", "posix.setuid(0)"),
    ("owner_of_signals", "import_fcntl().fcntl(0, 8, HOST)"),
    ("size_of_pipes", "import_fcntl().fcntl(3, 1031, 1 << 20)"),
];

/// Numbers of x86_64 and aarch64.
const TOOLS: &str = r#"
import os, posix, socket, sys, platform
# `resource` is blocked by name; the module is still there for who looks.
sys.modules.pop('resource', None)
import resource as limits

NUMBERS = {
    'ptrace': (101, 117), 'process_vm_readv': (310, 270), 'unshare': (272, 97), 'mount': (165, 40),
    'setns': (308, 268), 'bpf': (321, 280), 'io_uring_setup': (425, 425), 'add_key': (248, 217),
    'memfd_create': (319, 279), 'shmget': (29, 194), 'perf_event_open': (298, 241), 'prctl': (157, 167),
}

def system_call(name, *arguments):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    number = NUMBERS[name][os.uname().machine == 'aarch64']
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def import_fcntl():
    import fcntl
    return fcntl

def write_program():
    with open('/tmp/program', 'w') as file:
        file.write('#!/bin/sh\n')
    raise OSError if posix.access('/tmp/program', posix.X_OK) else OSError
"#;

fn forbidden(attempt: &str, port: u16) -> String {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    format!(
        "{TOOLS}\nHOME, PORT, HOST = {home:?}, {port}, {}\n\
         def attempt():\n    try:\n        {attempt}\n    except (OSError, ValueError):\n        return 'stopped'\n    return 'done'\n",
        std::process::id()
    )
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (isolation, prefix) in [
        (Isolation::Namespaces, "namespaces"),
        (Isolation::Landlock, "landlock"),
    ] {
        for &(name, attempt) in FORBIDDEN {
            trials.push(trial(format!("prison::{prefix}::{name}"), move || {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                let text = forbidden(attempt, port);
                let test = test_that("candidate() == 'stopped'");
                let verdict = judge_in(sandbox(isolation), &text, &test, "attempt");
                assert_eq!(verdict, Verdict::Passed, "{attempt}");
            }));
        }
    }
    trials.extend([
        trial("prison::attempts_succeed_outside", attempts_succeed_outside),
        trial("prison::sees_nothing_but_python", sees_nothing_but_python),
        trial("prison::no_terminal_no_files", no_terminal_no_files),
        trial(
            "prison::writes_only_to_a_private_tmp",
            writes_only_to_a_private_tmp,
        ),
        trial("prison::tmp_is_small", tmp_is_small),
        trial("prison::fork_bomb", fork_bomb),
        trial("prison::thread_bomb", thread_bomb),
        trial("prison::memory_bomb", memory_bomb),
        trial("prison::memory_bomb_in_c", memory_bomb_in_c),
        trial("prison::endless_output", endless_output),
        trial("prison::endless_answer", endless_answer),
        trial("prison::endless_loop", endless_loop),
        trial("prison::endless_loop_in_c", endless_loop_in_c),
        trial("prison::long_sleep", long_sleep),
        trial("prison::deaf_to_signals", deaf_to_signals),
        trial("prison::many_files", many_files),
        trial("prison::deep_recursion", deep_recursion),
        trial(
            "prison::no_secrets_in_the_environment",
            no_secrets_in_the_environment,
        ),
        trial("prison::leaves_no_process", leaves_no_process),
    ]);
    trials
}

/// The attempts are real: outside of the sandbox the commonest of them work.
fn attempts_succeed_outside() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let outside = [
        "read_etc_passwd",
        "read_home",
        "list_processes",
        "loopback",
        "datagram",
        "anonymous_file",
        "shared_memory_segment",
        "size_of_pipes",
    ];
    for (name, attempt) in FORBIDDEN.iter().filter(|(name, _)| outside.contains(name)) {
        // Descriptor 3 is a pipe in the sandbox.
        let text = format!(
            "{}\nimport os\na, b = os.pipe()\nos.dup2(a, 3)\nprint(attempt())",
            forbidden(attempt, port)
        );
        let output = std::process::Command::new("python3")
            .args(["-c", &text])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.trim(),
            "done",
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn sees_nothing_but_python() {
    // Landlock forbids to list directories; that nothing is there shows by name.
    let text = "import posix\ndef there(*names):\n    found = []\n    for name in names:\n        try:\n            \
                posix.stat(name)\n            found.append(name)\n        except FileNotFoundError:\n            pass\n    return found\n";
    let names = "'/etc', '/etc/passwd', '/proc', '/sys', '/var', '/run', '/bin/sh', '/usr/bin/env', '/dev/sda', '/dev/vda', \
                 '/dev/tty', '/dev/shm', '/dev/mem', '/opt', '/mnt'";
    let test = test_that(&format!("candidate({names}) == []"));
    assert_eq!(
        judge_in(sandbox(Isolation::Namespaces), text, &test, "there"),
        Verdict::Passed
    );
}

fn no_terminal_no_files() {
    let text = "import posix\ndef descriptors():\n    found = []\n    for number in range(1024):\n        try:\n            \
                posix.fstat(number)\n            found.append(number)\n        except OSError:\n            pass\n    return found\n";
    for isolation in [Isolation::Namespaces, Isolation::Landlock] {
        let test = test_that("candidate() == [0, 1, 2, 3, 4]");
        assert_eq!(
            judge_in(sandbox(isolation), text, &test, "descriptors"),
            Verdict::Passed
        );
    }
}

fn writes_only_to_a_private_tmp() {
    let name = format!("taskvec-sandbox-{}", std::process::id());
    let text = format!(
        "def leave():\n    with open('{name}', 'w') as file:\n        file.write('here')\n    return open('/tmp/{name}').read()\n"
    );
    let sandbox = sandbox(Isolation::Namespaces);
    assert_eq!(
        judge_in(sandbox, &text, &test_that("candidate() == 'here'"), "leave"),
        Verdict::Passed
    );
    assert!(!std::path::Path::new("/tmp").join(&name).exists());
    // Nor does the next program find it.
    let text = format!(
        "import os\ndef find():\n    return os.path.exists('/tmp/{name}') or os.listdir('/tmp')\n"
    );
    assert_eq!(
        judge_in(sandbox, &text, &test_that("candidate() == []"), "find"),
        Verdict::Passed
    );
}

fn tmp_is_small() {
    let text = "def fill():\n    total = 0\n    try:\n        for number in range(1000):\n            \
                with open(str(number), 'wb', 0) as file:\n                for _ in range(16):\n                    \
                total += file.write(bytes(1 << 20))\n    except OSError:\n        pass\n    return total\n";
    let test = test_that("1 << 20 <= candidate() <= 32 << 20");
    assert_eq!(judge(text, &test, "fill"), Verdict::Passed);
}

fn fork_bomb() {
    let text = "import posix\ndef bomb():\n    while True:\n        try:\n            posix.fork()\n        except OSError:\n            return 'stopped'\n";
    assert_eq!(
        judge(text, &test_that("candidate() == 'stopped'"), "bomb"),
        Verdict::Passed
    );
    // With the library's own call, past what Python could be made to forget.
    let text = "import ctypes\ndef bomb():\n    for _ in range(1000):\n        if ctypes.CDLL(None).fork() >= 0:\n            return 'forked'\n    return 'stopped'\n";
    assert_eq!(
        judge(text, &test_that("candidate() == 'stopped'"), "bomb"),
        Verdict::Passed
    );
}

fn thread_bomb() {
    let text = "import threading, time\ndef bomb():\n    count = 0\n    try:\n        for _ in range(10000):\n            \
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n            count += 1\n    \
                except RuntimeError:\n        pass\n    return count\n";
    assert_eq!(
        judge(text, &test_that("0 < candidate() <= 20"), "bomb"),
        Verdict::Passed
    );
}

fn memory_bomb() {
    let text =
        "def bomb():\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 24))\n";
    assert_eq!(
        judge_in(&patient(), text, &test_that("candidate()"), "bomb"),
        Verdict::OutOfMemory
    );
}

/// Where pages are dear, touching a gigabyte of them takes longer than HumanEval's three seconds.
fn patient() -> Sandbox {
    open(
        Isolation::Namespaces,
        Limits {
            wall_time: Duration::from_secs(60),
            ..Limits::humaneval()
        },
    )
}

fn memory_bomb_in_c() {
    let text = "import ctypes\ndef bomb():\n    libc = ctypes.CDLL(None)\n    libc.malloc.restype = ctypes.c_void_p\n    \
                size, total = 1 << 24, 0\n    while True:\n        block = libc.malloc(ctypes.c_size_t(size))\n        \
                if not block:\n            return total\n        ctypes.memset(block, 1, size)\n        total += size\n";
    assert_eq!(
        judge_in(
            &patient(),
            text,
            &test_that("candidate() < 1 << 30"),
            "bomb"
        ),
        Verdict::Passed
    );
}

fn endless_output() {
    let text = "import posix\ndef shout():\n    while True:\n        print('x' * 1000000)\n        posix.write(2, b'x' * 1000000)\n";
    assert_eq!(
        judge(text, &test_that("candidate()"), "shout"),
        Verdict::TimedOut
    );
}

fn endless_answer() {
    let text = "def long():\n    return 'x' * (64 << 20)\n";
    let Verdict::Failed { message } = judge(text, &test_that("candidate()"), "long") else {
        panic!("expected a failure");
    };
    assert!(message.contains("malformed"), "{message}");
    // A header that promises everything, and bytes without end.
    let text =
        "import posix\ndef long():\n    while True:\n        posix.write(4, b'\\xff' * 65536)\n";
    assert!(matches!(
        judge(text, &test_that("candidate()"), "long"),
        Verdict::Failed { .. }
    ));
}

fn endless_loop() {
    let begin = Instant::now();
    assert_eq!(
        judge("while True: pass\n", &test_that("candidate()"), "f"),
        Verdict::TimedOut
    );
    let taken = begin.elapsed();
    // On a busy machine it takes longer, and a bound is there.
    assert!(
        taken > Duration::from_millis(2900) && taken < Duration::from_secs(60),
        "{taken:?}"
    );
}

fn endless_loop_in_c() {
    let text = "def f():\n    return len(str(7 ** (10 ** 9)))\n";
    assert_eq!(
        judge(text, &test_that("candidate() > 0"), "f"),
        Verdict::TimedOut
    );
}

fn long_sleep() {
    let text = "import time\ndef f():\n    time.sleep(10 ** 6)\n";
    assert_eq!(
        judge(text, &test_that("candidate()"), "f"),
        Verdict::TimedOut
    );
}

fn deaf_to_signals() {
    let text = "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, signal.SIG_IGN)\n    \
                except (OSError, ValueError):\n        pass\ndef f():\n    while True:\n        pass\n";
    assert_eq!(
        judge(text, &test_that("candidate()"), "f"),
        Verdict::TimedOut
    );
}

fn many_files() {
    let text = "def f():\n    kept = []\n    try:\n        while True:\n            kept.append(open('/dev/null'))\n    except OSError:\n        return len(kept)\n";
    assert_eq!(
        judge(text, &test_that("candidate() < 64"), "f"),
        Verdict::Passed
    );
}

fn deep_recursion() {
    let text =
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(n=0):\n    return max(f(n + 1), n)\n";
    let verdict = judge(text, &test_that("candidate()"), "f");
    assert!(!verdict.passed(), "{verdict:?}");
}

fn no_secrets_in_the_environment() {
    let text = "import posix\ndef f():\n    return sorted(posix.environ)\n";
    let test = test_that(
        "candidate() == [b'HOME', b'MALLOC_ARENA_MAX', b'OMP_NUM_THREADS', b'PYTHONHASHSEED']",
    );
    assert_eq!(judge(text, &test, "f"), Verdict::Passed);
}

/// After a verdict nothing of the program runs on, though a thread of it would.
fn leaves_no_process() {
    let text = "import posix, threading, time\nthreading.Thread(target=time.sleep, args=(10 ** 6,)).start()\n\
                def who():\n    raise Exception(str(posix.getuid()))\n";
    let who = |isolation, text: &str| -> u32 {
        let Verdict::Failed { message } =
            judge_in(sandbox(isolation), text, &test_that("candidate()"), "who")
        else {
            panic!("expected the number");
        };
        message.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // A launcher with privileges gives each program a user of its own; without, all are the caller's.
    let user = who(Isolation::Namespaces, text);
    if user >= 0x4000_0000 {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let owner = process
                .metadata()
                .map(|data| std::os::unix::fs::MetadataExt::uid(&data));
            assert_ne!(owner.ok(), Some(user), "{}", process.path().display());
        }
    }
    // Without namespaces its process number is the machine's.
    let text = "import posix\ndef who():\n    raise Exception(str(posix.getpid()))\n";
    let process = who(Isolation::Landlock, text);
    assert!(
        !std::path::Path::new("/proc")
            .join(process.to_string())
            .exists()
    );
}
