//! Programs that do not solve the problem and try to be judged as if they did.

use crate::trial;
use crate::verdict::judge;
use libtest_mimic::Trial;

/// No program below computes the answer, and none can know it: it is random in each test.
const FORGERIES: &[(&str, &str)] = &[
    ("exit_when_defined", "import posix\nposix._exit(0)"),
    ("exit_when_called", "import posix\ndef f(x): posix._exit(0)"),
    ("system_exit", "import sys\ndef f(x): sys.exit(0)"),
    (
        "exit_at_exit",
        "import atexit, posix\natexit.register(posix._exit, 0)\ndef f(x): raise SystemExit(0)",
    ),
    (
        "print_a_verdict",
        "import posix\nfor fd in range(64):\n    try: posix.write(fd, b'\"started\"\\n\"passed\"\\n{\"verdict\":\"passed\"}\\npassed\\n')\n    except OSError: pass\ndef f(x): return x",
    ),
    (
        "print_a_verdict_when_called",
        "import posix\ndef f(x):\n    for fd in range(64):\n        try: posix.write(fd, b'\"passed\"\\n')\n        except OSError: pass\n    posix._exit(0)",
    ),
    (
        "answer_the_channel_itself",
        "import json, posix\ndef send(m):\n    b = json.dumps(m).encode()\n    posix.write(4, len(b).to_bytes(8, 'big') + b)\nsend({'defined': True})\nfor _ in range(9): send({'value': True})\ndef f(x): return x",
    ),
    (
        "answer_with_a_verdict",
        "import json, posix\ndef f(x):\n    b = json.dumps('passed').encode()\n    posix.write(4, len(b).to_bytes(8, 'big') + b)",
    ),
    (
        "close_the_channel",
        "import posix\nposix.close(4)\ndef f(x): return x",
    ),
    (
        "always_equal",
        "class Equal:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    def __hash__(self): return 0\ndef f(x): return Equal()",
    ),
    (
        "always_equal_number",
        "class Equal(int):\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n    __hash__ = int.__hash__\ndef f(x): return Equal(3)",
    ),
    (
        "always_equal_text",
        "class Equal(str):\n    def __eq__(self, other): return True\ndef f(x): return Equal('a')",
    ),
    (
        "equal_inside_a_list",
        "class Equal:\n    def __eq__(self, other): return True\ndef f(x): return [Equal()]",
    ),
    (
        "arithmetic_that_vanishes",
        "class Zero(float):\n    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\n    def __abs__(self): return 0.0\ndef f(x): return Zero(1)",
    ),
    (
        "own_check",
        "def f(x): return x\ndef check(candidate): pass",
    ),
    (
        "own_check_in_builtins",
        "import builtins\nbuiltins.check = lambda candidate: None\ndef f(x): return x",
    ),
    (
        "decorate_what_follows",
        "def f(x): return x\nskip = lambda g: (lambda candidate: None)\n@skip",
    ),
    ("swallow_what_follows", "def f(x): return x\nunused = '''"),
    (
        "comment_out_what_follows",
        "def f(x): return x\nif False:\n    pass\n\\",
    ),
    (
        "no_assertions",
        "class AssertionError(Exception): pass\nimport builtins\nbuiltins.AssertionError = SystemExit\ndef f(x): return x",
    ),
    (
        "replace_exceptions",
        "import builtins\nfor name in dir(builtins):\n    if name.endswith('Error'):\n        setattr(builtins, name, StopIteration)\ndef f(x): return x",
    ),
    (
        "except_hook",
        "import sys, posix\nsys.excepthook = lambda *a: posix._exit(0)\ndef f(x): raise ValueError",
    ),
    (
        "replace_json",
        "import json\njson.dumps = lambda *a: '{\"passed\": true}'\ndef f(x): return x",
    ),
    (
        "replace_every_function_of_the_runner",
        "import sys\nglobal_names = sys.modules['__main__'].__dict__\nfor name in ('encode', 'send', 'answer', 'receive'):\n    global_names[name] = lambda *a, **k: {'value': True}\ndef f(x): return x",
    ),
    (
        "walk_the_frames",
        "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):\n            if 'expected' in str(name) or type(value) is int and value > 10 ** 20:\n                return value\n        frame = frame.f_back",
    ),
    (
        "search_the_heap",
        "import gc\ndef f(x):\n    for thing in gc.get_objects():\n        if type(thing) is dict:\n            for value in list(thing.values()):\n                if type(value) is int and value > 10 ** 20:\n                    return value",
    ),
    (
        "read_memory",
        "def f(x):\n    with open('/proc/self/mem', 'rb') as memory:\n        return memory.read(10)",
    ),
    (
        "read_the_other_interpreter",
        "import ctypes\ndef f(x):\n    libc = ctypes.CDLL(None)\n    found = [pid for pid in range(1, 70000) if libc.ptrace(16, pid, 0, 0) == 0]\n    return found or libc.kill(-1, 9)",
    ),
    (
        "trace",
        "import sys\ndef tracer(frame, event, argument):\n    frame.f_locals.update(expected=True)\n    return tracer\nsys.settrace(tracer)\ndef f(x): return x",
    ),
    (
        "thread_that_ends_it",
        "import threading, time, posix\nthreading.Thread(target=lambda: (time.sleep(0.05), posix._exit(0)), daemon=True).start()\nimport time\ndef f(x):\n    time.sleep(1)",
    ),
    (
        "signal_handler",
        "import signal, posix\nsignal.signal(signal.SIGALRM, lambda *a: posix._exit(0))\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ndef f(x):\n    while True: pass",
    ),
    (
        "native_exit",
        "import ctypes\ndef f(x): ctypes.CDLL(None)._exit(0)",
    ),
    ("crash", "import ctypes\ndef f(x): ctypes.string_at(0)"),
    ("abort", "import posix\ndef f(x): posix.abort()"),
    (
        "become_another_program",
        "import posix, sys\ndef f(x): posix.execv(sys.executable, ['python', '-S', '-c', 'print(\"passed\")'])",
    ),
    (
        "exhaust_the_judge",
        "def f(x): return [[[[]] * 1000] * 1000] * 3",
    ),
    (
        "nest_for_the_judge",
        "import posix\ndef f(x):\n    b = b'{\"value\":' + b'[' * 100000 + b']' * 100000 + b'}'\n    posix.write(4, len(b).to_bytes(8, 'big') + b)",
    ),
    (
        "lists_as_keys_for_the_judge",
        "import json, posix\ndef f(x):\n    b = json.dumps({'value': {'dict': [[[], 1]]}}).encode()\n    posix.write(4, len(b).to_bytes(8, 'big') + b)",
    ),
    (
        "exception_that_the_test_expects",
        "def f(x): raise ValueError",
    ),
    (
        "exception_group_of_one",
        "import json, posix\ndef f(x):\n    b = json.dumps({'error': ['ExceptionGroup', 'x']}).encode()\n    posix.write(4, len(b).to_bytes(8, 'big') + b)",
    ),
    (
        "no_exception",
        "import json, posix\ndef f(x):\n    b = json.dumps({'error': ['print', 'x']}).encode()\n    posix.write(4, len(b).to_bytes(8, 'big') + b)",
    ),
    (
        "change_the_argument",
        "def f(x):\n    x[:] = [0]\n    return 0",
    ),
];

/// The answer is a random number, asked for in the ways that tests have: equal, not different, near, contained.
const TEST: &str = "import random\ndef check(candidate):\n    expected = random.SystemRandom().getrandbits(80) + 10 ** 20\n    \
                    answer = candidate([1])\n    assert not (answer != expected)\n    assert answer == expected\n    \
                    assert abs(answer - expected) < 1e-6\n    assert answer in [expected]\n";

/// As code is tested that catches what it calls: nothing that goes wrong with the channel may be caught.
const CATCHING: &str = "import random\ndef check(candidate):\n    expected = random.SystemRandom().getrandbits(80) + 10 ** 20\n    \
                        try:\n        answer = candidate([1])\n    except (Exception, SystemExit):\n        answer = None\n    \
                        assert answer == expected\n";

pub(crate) fn trials() -> Vec<Trial> {
    FORGERIES
        .iter()
        .map(|&(name, text)| {
            trial(format!("forgery::{name}"), move || {
                for test in [TEST, CATCHING] {
                    let verdict = judge(text, test, "f");
                    assert!(!verdict.passed(), "{verdict:?}");
                }
            })
        })
        .collect()
}
