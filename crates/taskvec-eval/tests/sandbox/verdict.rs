//! What the verdict is, for programs that are not hostile: the same as openai/human-eval's, whose program runs in one
//! interpreter with its test.

use crate::trial;
use libtest_mimic::Trial;
use std::sync::LazyLock;
use taskvec_eval::sandbox::{
    Isolation, Limits, Program, Sandbox, SandboxError, SandboxJudge, Settings, Verdict,
};
use taskvec_eval::task::Judge;

static NAMESPACES: LazyLock<Sandbox> =
    LazyLock::new(|| open(Isolation::Namespaces, Limits::humaneval()));
static LANDLOCK: LazyLock<Sandbox> =
    LazyLock::new(|| open(Isolation::Landlock, Limits::humaneval()));

pub(crate) fn open(isolation: Isolation, limits: Limits) -> Sandbox {
    let mut settings = Settings::new(limits);
    settings.isolation = Some(isolation);
    Sandbox::open(&settings).unwrap_or_else(|error| panic!("{error}\nhint: {:?}", error.hint()))
}

pub(crate) fn sandbox(isolation: Isolation) -> &'static Sandbox {
    match isolation {
        Isolation::Namespaces => &NAMESPACES,
        Isolation::Landlock => &LANDLOCK,
    }
}

pub(crate) fn judge_in(sandbox: &Sandbox, text: &str, test: &str, entry_point: &str) -> Verdict {
    let program = Program {
        prelude: "",
        text,
        test,
        entry_point,
    };
    sandbox
        .run(&program)
        .unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn judge(text: &str, test: &str, entry_point: &str) -> Verdict {
    judge_in(&NAMESPACES, text, test, entry_point)
}

/// A test of one condition. Where it does not hold, its value is the message.
pub(crate) fn test_that(condition: &str) -> String {
    format!("def check(candidate):\n    assert {condition}\n")
}

/// `(name, body of the program, test, whether openai/human-eval passes it)`
const CASES: &[(&str, &str, &str, bool)] = &[
    (
        "right",
        "def f(x):\n    return 2 * x\n",
        "assert candidate(2) == 4",
        true,
    ),
    (
        "wrong",
        "def f(x):\n    return x\n",
        "assert candidate(2) == 4",
        false,
    ),
    ("empty", "", "assert candidate(2) == 4", false),
    ("syntax_error", "def f(x:\n", "pass", false),
    (
        "unterminated_string",
        "def f(x):\n    \"\"\"",
        "pass",
        false,
    ),
    (
        "raises_when_defined",
        "def f(x): pass\nraise ValueError",
        "pass",
        false,
    ),
    (
        "raises_when_called",
        "def f(x): raise ValueError('no')",
        "candidate(1)",
        false,
    ),
    (
        "exit_when_defined",
        "def f(x): pass\nimport sys\nsys.exit(0)",
        "pass",
        false,
    ),
    (
        "exit_when_called",
        "import sys\ndef f(x): sys.exit(0)",
        "candidate(1)",
        false,
    ),
    (
        "keyboard_interrupt",
        "def f(x): raise KeyboardInterrupt",
        "candidate(1)",
        false,
    ),
    ("another_name", "def g(x): return x", "pass", false),
    ("no_function", "f = 3", "assert candidate(2) == 4", false),
    ("no_function_never_called", "f = 3", "pass", true),
    (
        "lambda",
        "f = lambda x: 2 * x",
        "assert candidate(2) == 4",
        true,
    ),
    (
        "expected_exception",
        "def f(x): raise ValueError",
        "try:\n        candidate(1)\n    except ValueError:\n        return\n    assert False",
        true,
    ),
    (
        "other_exception",
        "def f(x): raise KeyError",
        "try:\n        candidate(1)\n    except ValueError:\n        return\n    assert False",
        false,
    ),
    (
        "exception_of_its_own",
        "class E(Exception): pass\ndef f(x): raise E('mine')",
        "try:\n        candidate(1)\n    except Exception as e:\n        assert str(e) == 'mine'",
        true,
    ),
    (
        "changes_its_argument",
        "def f(x): x.sort()",
        "x = [3, 1, 2]; candidate(x); assert x == [1, 2, 3]",
        true,
    ),
    (
        "changes_a_dictionary",
        "def f(x): x['b'] = 2",
        "x = {'a': 1}; candidate(x); assert x == {'a': 1, 'b': 2}",
        true,
    ),
    (
        "returns_its_argument",
        "def f(x): x.append(1); return x",
        "x = [0]; assert candidate(x) == [0, 1] == x",
        true,
    ),
    (
        "remembers",
        "seen = []\ndef f(x): seen.append(x); return len(seen)",
        "assert [candidate(1), candidate(1)] == [1, 2]",
        true,
    ),
    (
        "keywords",
        "def f(x, *, y): return x - y",
        "assert candidate(3, y=1) == 2",
        true,
    ),
    (
        "none",
        "def f(x): pass",
        "assert candidate(1) is None",
        true,
    ),
    (
        "true_is_one",
        "def f(x): return True",
        "assert candidate(1) == 1 and candidate(1) is True",
        true,
    ),
    (
        "integer_is_no_float",
        "def f(x): return type(x).__name__",
        "assert (candidate(1), candidate(1.0)) == ('int', 'float')",
        true,
    ),
    (
        "large_integer",
        "def f(x): return x * x",
        "assert candidate(10 ** 5000) == 10 ** 10000",
        true,
    ),
    (
        "exact_float",
        "def f(x): return x / 3",
        "assert candidate(0.1) == 0.1 / 3",
        true,
    ),
    (
        "infinity",
        "def f(x): return -x",
        "assert candidate(float('inf')) == float('-inf')",
        true,
    ),
    (
        "not_a_number",
        "def f(x): return x",
        "assert candidate(float('nan')) != candidate(float('nan'))",
        true,
    ),
    (
        "negative_zero",
        "def f(x): return -x",
        "assert str(candidate(0.0)) == '-0.0'",
        true,
    ),
    (
        "surrogate",
        "def f(x): return x[::-1]",
        "assert candidate('\\ud800a\\x00\\u20ac') == '\\u20ac\\x00a\\ud800'",
        true,
    ),
    (
        "tuple_is_no_list",
        "def f(x): return (1, 2)",
        "assert candidate(1) == [1, 2]",
        false,
    ),
    (
        "tuple",
        "def f(x): return (1, (2, [3]))",
        "assert candidate(1) == (1, (2, [3]))",
        true,
    ),
    (
        "named_tuple",
        "import collections\nP = collections.namedtuple('P', 'a b')\ndef f(x): return P(1, 2)",
        "assert candidate(1) == (1, 2)",
        true,
    ),
    (
        "counter",
        "import collections\ndef f(x): return collections.Counter(x)",
        "assert candidate('aab') == {'a': 2, 'b': 1}",
        true,
    ),
    (
        "keys_of_many_types",
        "def f(x): return {1: 'a', 'b': None, (2, 3): {4}, 1.5: [], True: 0}",
        "assert candidate(1) == {1: 0, 'b': None, (2, 3): {4}, 1.5: []}",
        true,
    ),
    (
        "set",
        "def f(x): return {1, 2}",
        "assert candidate(1) == {2, 1}",
        true,
    ),
    (
        "frozen_set",
        "def f(x): return frozenset(x)",
        "assert candidate({1}) == frozenset({1})",
        true,
    ),
    (
        "bytes",
        "def f(x): return x + b'\\xff'",
        "assert candidate(b'a') == b'a\\xff'",
        true,
    ),
    (
        "complex",
        "def f(x): return x * 1j",
        "assert candidate(2) == 2j",
        true,
    ),
    (
        "range_is_no_list",
        "def f(x): return range(x)",
        "assert candidate(3) == [0, 1, 2]",
        false,
    ),
    (
        "range",
        "def f(x): return range(x)",
        "assert list(candidate(3)) == [0, 1, 2]",
        true,
    ),
    (
        "generator_is_no_list",
        "def f(x): yield x",
        "assert candidate(3) == [3]",
        false,
    ),
    (
        "generator",
        "def f(x):\n    yield x\n    yield x",
        "assert list(candidate(3)) == [3, 3]",
        true,
    ),
    (
        "endless_generator",
        "import itertools\ndef f(x): return itertools.count(x)",
        "assert next(candidate(3)) == 3",
        true,
    ),
    (
        "keys",
        "def f(x): return x.keys()",
        "assert candidate({'a': 1}) == {'a'}",
        true,
    ),
    (
        "fraction",
        "from fractions import Fraction\ndef f(x): return Fraction(1, x)",
        "assert candidate(2) == 0.5",
        true,
    ),
    (
        "decimal",
        "from decimal import Decimal\ndef f(x): return Decimal('1.5')",
        "assert candidate(2) == 1.5",
        true,
    ),
    (
        "enumeration_of_integers",
        "import enum\nclass E(enum.IntEnum): A = 4\ndef f(x): return E.A",
        "assert candidate(2) == 4",
        true,
    ),
    (
        "object_is_true",
        "import re\ndef f(x): return re.match('a', x)",
        "assert candidate('a')",
        true,
    ),
    (
        "object_is_no_truth",
        "import re\ndef f(x): return re.match('a', x)",
        "assert candidate('a') == True",
        false,
    ),
    (
        "prints",
        "def f(x):\n    print('x' * 100000)\n    return 1",
        "assert candidate(1) == 1",
        true,
    ),
    (
        "reads_input",
        "def f(x): return input()",
        "candidate(1)",
        false,
    ),
    (
        "reads_stdin",
        "import sys\ndef f(x): return sys.stdin.read()",
        "candidate(1)",
        false,
    ),
    (
        "uses_what_is_taken_away",
        "import os\ndef f(x): return os.getcwd()",
        "candidate(1)",
        false,
    ),
    (
        "uses_a_process",
        "import subprocess\ndef f(x): return subprocess.run(['true'])",
        "candidate(1)",
        false,
    ),
    (
        "imports_what_processes_are_made_of",
        "import asyncio, shutil, subprocess\nfrom shutil import rmtree\ndef f(x): return rmtree, subprocess.Popen, shutil.copy is None",
        "assert candidate(1) == (None, None, False)",
        true,
    ),
    (
        "imports_what_is_blocked",
        "import psutil\ndef f(x): return x",
        "candidate(1)",
        false,
    ),
    ("quits", "def f(x): quit()", "candidate(1)", false),
    (
        "writes_a_file",
        "def f(x):\n    with open('a', 'w') as file: file.write('b')\n    return open('a').read()",
        "assert candidate(1) == 'b'",
        true,
    ),
    (
        "name_of_the_module",
        "def f(x): return x\nif __name__ == '__main__':\n    raise Exception",
        "assert candidate(1) == 1",
        true,
    ),
    (
        "thread",
        "import threading\ndef f(x):\n    y = []\n    t = threading.Thread(target=y.append, args=(x,))\n    t.start(); t.join()\n    return y",
        "assert candidate(1) == [1]",
        true,
    ),
    ("recursion", "def f(x): return f(x)", "candidate(1)", false),
    (
        "catches_recursion",
        "def f(x):\n    try: return f(x)\n    except RecursionError: return 1",
        "assert candidate(1) == 1",
        true,
    ),
    (
        "uses_the_standard_library",
        "import json, re, math, heapq, bisect, string, random, hashlib, datetime, statistics, sqlite3, zlib, asyncio, unicodedata\ndef f(x): return hashlib.md5(x).hexdigest()[:4]",
        "assert candidate(b'') == 'd41d'",
        true,
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES
        .iter()
        .map(|&(name, text, test, passes)| {
            trial(format!("verdict::{name}"), move || {
                let verdict = judge(text, &format!("def check(candidate):\n    {test}\n"), "f");
                assert_eq!(verdict.passed(), passes, "{verdict:?}");
                assert!(
                    passes || matches!(verdict, Verdict::Failed { .. }),
                    "{verdict:?}"
                );
            })
        })
        .collect();
    trials.extend([
        trial("verdict::reference_agrees", reference_agrees),
        trial("verdict::messages", messages),
        trial("verdict::prelude_is_the_judges", prelude_is_the_judges),
        trial("verdict::same_order_in_every_run", same_order_in_every_run),
        trial(
            "verdict::broken_tests_are_no_verdicts",
            broken_tests_are_no_verdicts,
        ),
        trial("verdict::memory_error", memory_error),
        trial("verdict::serialises", serialises),
        trial("verdict::remembered", remembered),
    ]);
    trials
}

/// The last column above is not our opinion: one interpreter, as the reference has it, without its guard.
fn reference_agrees() {
    // These differ by the guard (which is not run here, outside of a sandbox) or by having no end.
    let guarded = [
        "uses_what_is_taken_away",
        "uses_a_process",
        "imports_what_processes_are_made_of",
        "imports_what_is_blocked",
        "quits",
        "writes_a_file",
        "reads_input",
        "reads_stdin",
    ];
    for (name, text, test, passes) in CASES.iter().filter(|case| !guarded.contains(&case.0)) {
        let whole = format!("{text}\ndef check(candidate):\n    {test}\n\ncheck(f)");
        let runner = "import sys\ntry:\n    exec(sys.argv[1], {})\n    print('\\npassed')\nexcept BaseException:\n    print('\\nfailed')\n";
        let output = std::process::Command::new("python3")
            .args(["-c", runner, &whole])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let expected = if *passes { "passed" } else { "failed" };
        assert_eq!(said.lines().last(), Some(expected), "{name}");
    }
}

fn messages() {
    let message = |text, test| match judge(text, test, "f") {
        Verdict::Failed { message } => message,
        other => panic!("{other:?}"),
    };
    let test = "def check(candidate):\n    assert candidate(1) == 1\n    assert candidate(2) == 4, 'twice'\n";
    assert_eq!(
        message("def f(x): return 0", test),
        "AssertionError: assert candidate(1) == 1"
    );
    assert_eq!(message("def f(x): return 1", test), "AssertionError: twice");
    assert_eq!(
        message("def f(x): return 1 / 0", test),
        "ZeroDivisionError: division by zero"
    );
    assert_eq!(
        message("def g(x): pass", test),
        "NameError: name 'f' is not defined"
    );
    assert!(message("def f(x)", test).starts_with("SyntaxError"));
    assert_eq!(
        message("def f(x): raise Exception('x' * 10000)", test)
            .chars()
            .count(),
        1000
    );
}

fn prelude_is_the_judges() {
    // HumanEval's tests call functions of the prompt; a program that writes them anew does not change the test.
    let prelude = "def helper(x):\n    return x + 1\ndef f(x):\n    \"\"\" adds one \"\"\"\n";
    let test = "def check(candidate):\n    assert candidate(1) == helper(1)\n";
    let run = |text: &str| {
        NAMESPACES
            .run(&Program {
                prelude,
                text,
                test,
                entry_point: "f",
            })
            .unwrap()
    };
    assert_eq!(
        run(&format!("{prelude}    return x + 1\n")),
        Verdict::Passed
    );
    let cheat = format!("{prelude}    return 7\ndef helper(x): return 7\n");
    assert!(matches!(run(&cheat), Verdict::Failed { .. }));
}

fn same_order_in_every_run() {
    let text = "def f(): raise Exception(''.join({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}))\n";
    let first = judge(text, &test_that("candidate()"), "f");
    for _ in 0..3 {
        assert_eq!(judge(text, &test_that("candidate()"), "f"), first);
    }
}

/// What is wrong with the benchmark must not count against the model.
fn broken_tests_are_no_verdicts() {
    let run = |prelude, test, entry_point| {
        NAMESPACES.run(&Program {
            prelude,
            text: "def f(x): return x\n",
            test,
            entry_point,
        })
    };
    for (prelude, test, entry_point) in [
        ("", "def check(candidate:", "f"),
        ("raise Exception", "def check(candidate): pass", "f"),
        ("", "def check(candidate): pass", "f("),
        ("", "def check(candidate): candidate(object())", "f"),
    ] {
        let error = run(prelude, test, entry_point).unwrap_err();
        assert!(matches!(error, SandboxError::Test { .. }), "{error}");
    }
}

fn memory_error() {
    assert_eq!(
        judge(
            "def f(): return bytearray(1 << 40)",
            &test_that("candidate()"),
            "f"
        ),
        Verdict::OutOfMemory
    );
}

fn serialises() {
    for verdict in [
        Verdict::Passed,
        Verdict::Failed {
            message: "a".into(),
        },
        Verdict::Ended { how: "b".into() },
    ] {
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}

/// The judge runs a program once, however often it is asked; this one passes by chance.
fn remembered() {
    let judge = SandboxJudge::new(Limits::humaneval());
    let program = Program {
        prelude: "",
        text: "import os\ndef f(x):\n    return os.urandom(1)[0] % 2\n",
        test: "def check(candidate):\n    assert candidate(0) == 1\n",
        entry_point: "f",
    };
    let judged = |program: &Program<'_>| judge.judge(program).unwrap();
    let first = judged(&program);
    for _ in 0..20 {
        assert_eq!(judged(&program), first);
    }
    // Another test is another question.
    let other = Program {
        test: "def check(candidate):\n    assert candidate(0) == 2\n",
        ..program
    };
    assert!(!judged(&other).passed);
}
