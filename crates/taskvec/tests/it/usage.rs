//! Command lines that make no sense, and questions about those that do.

use insta::assert_snapshot;

use crate::workplace::Workplace;

#[test]
fn help_and_version_are_data() {
    let here = Workplace::new();
    let help = here.output("--help");
    assert!(help.status.success() && help.stderr.is_empty());
    assert!(String::from_utf8_lossy(&help.stdout).contains("taskvec demo"));
    let version = String::from_utf8(here.output("--version").stdout).unwrap();
    assert_eq!(version, format!("taskvec {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_by_its_name() {
    let here = Workplace::new();
    assert_eq!(here.output("help").stdout, here.output("--help").stdout);
    let help = here.output("help write");
    assert!(help.status.success());
    assert_eq!(help.stdout, here.output("write --help").stdout);
}

#[test]
fn nothing_asked_for() {
    let here = Workplace::new();
    let output = here.output("");
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: taskvec"));
}

#[test]
fn a_misspelt_command() {
    assert_snapshot!(Workplace::new().run("extrat"), @"
    exit code 2
    --- stderr
    error: unrecognized subcommand 'extrat'

      tip: some similar subcommands exist: 'generate', 'extract'

    Usage: taskvec [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn a_missing_flag() {
    assert_snapshot!(Workplace::new().run("write 'micro:base'"), @"
    exit code 2
    --- stderr
    error: the following required arguments were not provided:
      --output <PATH>

    Usage: taskvec write --output <PATH> <EXPR>

    For more information, try '--help'.
    ");
}

#[test]
fn a_binding_without_a_reference() {
    assert_snapshot!(Workplace::new().run("inspect a --let a"), @"
    exit code 2
    --- stderr
    error: invalid value 'a' for '--let <NAME=REF>': expected NAME=REF, such as target=./my-model

    For more information, try '--help'.
    ");
}

#[test]
fn a_scale_that_is_no_number() {
    assert_snapshot!(Workplace::new().run("apply --model micro:target --vector v --scale much -o x"), @"
    exit code 2
    --- stderr
    error: invalid value 'much' for '--scale <NUMBER>': `much` is not a decimal number

    For more information, try '--help'.
    ");
}

#[test]
fn an_expression_that_ends_early() {
    assert_snapshot!(Workplace::new().run("inspect 'micro:grpo - '"), @"
    exit code 2
    --- stderr
    error: expected a model, a vector or a number, found the end, at column 14
      micro:grpo - 
                   ^
    ");
}

#[test]
fn a_name_bound_to_two_things() {
    assert_snapshot!(Workplace::new().run("inspect a --let a=x --let a=y"), @"
    exit code 2
    --- stderr
    error: `a` is bound twice: to `x` and to `y`
    ");
}

#[test]
fn a_name_that_nothing_uses() {
    let here = Workplace::new();
    let said = |arguments: &str| String::from_utf8(here.output(arguments).stderr).unwrap();
    let unused = said("inspect 'micro:grpo - b' --let b=micro:sft --let grpo=micro:grpo");
    assert!(
        unused.contains("warning: `--let grpo=…` binds a name that is not used"),
        "{unused}"
    );
    let used =
        said("inspect 'a - b' 'c - b' --let a=micro:grpo --let b=micro:sft --let c=micro:target");
    assert!(!used.contains("warning"), "{used}");
}

#[test]
fn a_number_beside_spectrum() {
    assert_snapshot!(Workplace::new().run("inspect micro:grpo --spectrum 8"), @"
    exit code 2
    --- stderr
    error: `--spectrum` is of one expression, and `8` stands where a second one does

    hint: a number is joined to it: `--spectrum=8`
    ");
}

#[test]
fn a_value_in_the_name_of_a_directory() {
    let here = Workplace::new();
    assert_snapshot!(here.run("write 'micro:target + a*(micro:grpo - micro:sft)' --over a=0,1 -o w{}/x"), @"
    exit code 2
    --- stderr
    error: `{}` stands for the value in the last part of a path, and not in `w{}/x`

    hint: make the directories first, and let the last part tell the outputs apart: `-o out/{}`
    ");
    assert!(here.names().is_empty());
}

#[test]
fn a_mergekit_file_that_is_not_there() {
    let here = Workplace::new();
    std::fs::write(here.path("merge.yml"), "models: []\nmerge_method: linear\n").unwrap();
    assert_snapshot!(here.run("check merg.yml"), @"
    exit code 1
    --- stderr
    error: `merg.yml` does not exist

    hint: did you mean `merge.yml`?
    ");
    assert_snapshot!(here.run("check merge.yml"), @"
    exit code 1
    --- stderr
    error: `merge.yml`, line 1, column 9: `models` must be a list with something in it, not an empty list
    ");
}

#[test]
fn a_list_over_layers_that_are_not_there() {
    let here = Workplace::new();
    let flat = [("weight", &[2usize][..], vec![1.0, 2.0])];
    crate::checkpoint::model(&here.path("m"), "Tiny", &flat);
    crate::checkpoint::file(&here.path("vector.safetensors"), &flat);
    assert_snapshot!(here.run("check '\"m\" + [0, 1]*\"vector.safetensors\"'"), @r#"
    exit code 2
    --- stderr
    error: a list runs from the first layer to the last, and no tensor here is of a layer, at column 7
      "m" + [0, 1]*"vector.safetensors"
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^

    hint: write one number, or rules by name: `{"mlp": 0.5, else: 1}`
    "#);
}

#[test]
fn a_sum_of_hundreds_of_terms() {
    let here = Workplace::new();
    let sum = ["micro:grpo - micro:sft"].repeat(250).join(" + ");
    let output = here.output(&format!("check '{sum}'"));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("hint: cut a long sum into several"), "{said}");
}

#[test]
fn an_unknown_task() {
    assert_snapshot!(Workplace::new().run("eval micro:target --tasks micro-gms"), @"
    exit code 2
    --- stderr
    error: unknown task `micro-gms`

    hint: did you mean `micro-gsm`?
    ");
}

#[test]
fn a_condition_that_the_task_does_not_have() {
    assert_snapshot!(Workplace::new().run("eval micro:target --tasks micro-sciq --conditions noise"), @"
    exit code 2
    --- stderr
    error: `micro-sciq` is not asked under `noise`

    hint: its only condition is `clean`
    ");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let here = Workplace::new();
    let plain = here.output("inspect nothing");
    assert!(!plain.stderr.contains(&b'\x1b'));
    let coloured = here.output("--color always inspect nothing");
    assert!(coloured.stderr.contains(&b'\x1b'));
    let forced = here
        .command("inspect nothing")
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    assert!(forced.stderr.contains(&b'\x1b'));
    let refused = here
        .command("inspect nothing")
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!refused.stderr.contains(&b'\x1b'));
}

/// The same words wherever such a number is read, and nothing begun.
#[test]
fn numbers_that_make_no_sense() {
    let here = Workplace::new();
    let drawn = "eval micro:target --tasks micro-gsm --out run";
    let swept =
        "sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0 --tasks micro-gsm --out run";
    let written = "generate micro:target --prompt hi";
    let served = "generate --prompt hi --base-url http://127.0.0.1:1/v1";
    for (command, flag, values, expected) in [
        (
            written,
            "--temperature",
            "-1 nan inf warm",
            "expected a number",
        ),
        (
            written,
            "--top-p",
            "0 -0.1 1.5 nan inf",
            "expected a number above 0 and at most 1",
        ),
        (
            written,
            "--top-k",
            "0 1.5 few",
            "expected a whole number, 1 or more",
        ),
        (
            written,
            "--max-new-tokens",
            "0 1e3 many",
            "expected a whole number, 1 or more",
        ),
        (
            drawn,
            "--temperature",
            "0 -1 nan inf",
            "expected a number above 0, such as 0.7",
        ),
        (
            drawn,
            "--temperature 0.7 --samples",
            "0 10001 4294967296",
            "expected a whole number from 1 to 10000",
        ),
        (
            swept,
            "--temperature",
            "0 nan",
            "expected a number above 0, such as 0.7",
        ),
        (
            drawn,
            "--limit",
            "0 100001 ten",
            "expected a whole number from 1 to 100000",
        ),
        (
            swept,
            "--limit",
            "0",
            "expected a whole number from 1 to 100000",
        ),
        (
            "demo",
            "--limit",
            "0",
            "expected a whole number from 1 to 100000",
        ),
        (
            "study micro --out run",
            "--limit",
            "0",
            "expected a whole number from 1 to 100000",
        ),
        (
            "score gsm8k made.jsonl",
            "--limit",
            "0",
            "expected a whole number from 1 to 100000",
        ),
        (
            drawn,
            "--threads",
            "0 1025 100000",
            "expected a whole number from 1 to 1024",
        ),
        (
            "inspect micro:target",
            "--threads",
            "100000",
            "expected a whole number from 1 to 1024",
        ),
        (
            served,
            "--concurrency",
            "0 100000",
            "expected a whole number from 1 to 1024",
        ),
        (
            served,
            "--request-timeout",
            "0 18446744073709551615",
            "expected a whole number from 1 to 604800",
        ),
    ] {
        for value in values.split(' ') {
            let said = here.run(&format!("{command} {flag} {value}"));
            let name = flag.rsplit(' ').next().unwrap();
            assert!(said.starts_with("exit code 2\n"), "{flag} {value}: {said}");
            assert!(
                said.contains(&format!("invalid value '{value}' for '{name} <"))
                    && said.contains(expected),
                "{flag} {value}: {said}"
            );
        }
    }
    assert!(here.names().is_empty(), "{:?}", here.names());
}
