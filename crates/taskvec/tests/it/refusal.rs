//! Bad input: each a clear error, the right exit code, and nothing half-written that looks whole.

use std::fs;
use std::process::Stdio;

use insta::assert_snapshot;

use crate::checkpoint::{model, sparse_model, tensors};
use crate::workplace::Workplace;

fn pair() -> Workplace {
    let here = Workplace::new();
    model(&here.path("tuned"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    here
}

#[test]
fn a_path_that_is_not_there() {
    assert_snapshot!(pair().run("inspect '\"tunde\" - \"base\"'"), @"
    exit code 1
    --- stderr
    error: `tunde` does not exist

    hint: did you mean `tuned`?
    ");
}

#[test]
fn an_unknown_name() {
    let here = pair();
    assert_snapshot!(here.run("inspect 'tunde - base' --let tuned=tuned --let base=base"), @"
    exit code 2
    --- stderr
    warning: `--let tuned=…` binds a name that is not used
    error: `tunde` is not bound to a checkpoint, at column 1
      tunde - base
      ^^^^^

    hint: did you mean `tuned`?
    ");
    assert_snapshot!(here.run("inspect 'tuned - base'"), @"
    exit code 2
    --- stderr
    error: `tuned` is not bound to a checkpoint, at column 1
      tuned - base
      ^^^^^

    hint: `tuned` exists here: write it in double quotes, or bind it with `--let tuned=./tuned`
    ");
    assert_snapshot!(here.run("inspect micro:grop"), @"
    exit code 1
    --- stderr
    error: the collection `micro` holds no checkpoint `grop`

    hint: there are `micro:base`, `micro:sft`, `micro:grpo` and `micro:target`
    ");
}

#[test]
fn two_models_added() {
    assert_snapshot!(pair().run("write '\"tuned\" + \"base\"' -o sum"), @r#"
    exit code 2
    --- stderr
    error: cannot add a model to a model, at column 1
      "tuned" + "base"
      ^^^^^^^^^^^^^^^^

    hint: the average of two models is `mean(a, b)`; a model moves by a vector: `a + 0.5*(b - c)`
    "#);
}

#[test]
fn a_cut_file() {
    let here = pair();
    let weights = here.path("tuned/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 10]).unwrap();
    assert_snapshot!(here.run("extract --tuned tuned --base base -o v"), @"
    exit code 1
    --- stderr
    error: `tuned/model.safetensors` is not a valid safetensors file
      because tensor `model.layers.0.mlp.up_proj.weight` ends at byte 72 of the data, but the file holds 70 bytes of data

    hint: the file is probably cut short; fetch it again
    ");
    assert!(!here.path("v").exists());
}

#[test]
fn shapes_that_differ_are_listed_together() {
    let here = pair();
    let mut other = tensors(1.0, 0.5);
    other[0].1 = &[3, 4];
    other[1].0 = "model.layers.1.mlp.up_proj.weight";
    model(&here.path("other"), "Tiny", &other);
    assert_snapshot!(here.run("extract --tuned other --base base -o v"), @"
    exit code 1
    --- stderr
    error: the checkpoints of `tuned - base` do not fit together: 1 shape differs, 2 tensors are on one side only (3 tensors compared)
      `model.embed_tokens.weight`: `tuned` is [3, 4], `base` is [4, 3]
      `model.layers.1.mlp.up_proj.weight`: `tuned` has it, `base` does not
      `model.layers.0.mlp.up_proj.weight`: `base` has it, `tuned` does not
    ");
    assert!(!here.path("v").exists());
}

#[test]
fn an_architecture_that_cannot_be_run() {
    assert_snapshot!(pair().run("generate '\"tuned\"' --prompt hello"), @"
    exit code 1
    --- stderr
    error: cannot run `\"tuned\"`
      because `\"tuned\"/config.json` describes Tiny, expected one of: Qwen2ForCausalLM, Qwen3ForCausalLM, LlamaForCausalLM
    ");
}

#[test]
fn a_vector_where_a_model_is_needed() {
    assert_snapshot!(pair().run("generate '\"tuned\" - \"base\"' --prompt hello"), @r#"
    exit code 2
    --- stderr
    error: `"tuned" - "base"` is a vector; a model is needed to generate text

    hint: add the vector to a model: `target + 0.5*vector`
    "#);
}

#[test]
fn a_model_where_a_flag_takes_a_vector() {
    let here = pair();
    // The difference of two models is a vector, which nobody asked for.
    let applied = |scale: &str| {
        let apply = format!("apply --model tuned --vector base --scale {scale} -o out");
        here.run(&apply)
    };
    assert_eq!(applied("-1"), applied("1"));
    assert_snapshot!(applied("1"), @"
    exit code 2
    --- stderr
    error: `base` is a model, and `--vector` takes a vector

    hint: what a model has learned is a vector: `taskvec extract --tuned base --base BASE -o VECTOR`
    ");
    let extracted = here.output("extract --tuned tuned --base base -o v");
    assert!(extracted.status.success());
    assert_snapshot!(here.run("extract --tuned tuned --base v -o out"), @"
    exit code 2
    --- stderr
    error: `v` is a vector, and `--base` takes a model

    hint: of vectors, sums and differences are written with `taskvec write`
    ");
    assert_snapshot!(here.run("lora '\"tuned\"' --rank 1 -o out"), @r#"
    exit code 2
    --- stderr
    error: `"tuned"` is a model; an adapter is made of a vector

    hint: subtract the base model from it
    "#);
    assert!(!here.path("out").exists());
}

#[test]
fn names_that_a_terminal_would_obey() {
    let here = Workplace::new();
    let mut loud = tensors(1.0, 0.5);
    loud[1].0 = "model.layers.0.\u{1b}[2J\u{9b}31m.weight";
    model(&here.path("loud"), "Tiny", &loud);
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    for command in [
        "inspect '\"loud\"' --by tensor",
        "check '\"loud\" - \"base\"'",
        "extract --tuned loud --base base -o v",
        "inspect '\"\u{1b}[31m\"'",
    ] {
        let output = here.output(command);
        for bytes in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(bytes);
            assert!(!said.contains(['\u{1b}', '\u{9b}']), "{command}: {said:?}");
        }
        let said = [output.stdout, output.stderr].concat();
        assert!(
            String::from_utf8_lossy(&said).contains("\\u{1b}["),
            "{command}"
        );
    }
}

#[test]
fn a_sum_beyond_the_range_of_its_type_is_said() {
    let here = pair();
    let output = here.output("write '\"base\" + 1e400*(\"tuned\" - \"base\")' -o out --dtype bf16");
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    // All elements but the first of each of three tensors differ.
    assert!(
        said.contains("0 NaN and 17 infinite values in 3 of 3 tensors")
            && said.contains("; 17 of them are finite sums beyond the range of the type"),
        "{said}"
    );
}

#[test]
fn a_result_without_tensors() {
    let here = Workplace::new();
    model(&here.path("a"), "Tiny", &[]);
    model(&here.path("b"), "Tiny", &[]);
    assert_snapshot!(here.run("extract --tuned a --base b -o v"), @"
    exit code 1
    --- stderr
    error: `tuned - base` has no tensors

    hint: a vector has the tensors of floating-point numbers that its checkpoints have, and here that is none
    ");
}

#[test]
fn a_destination_that_is_not_empty() {
    let here = pair();
    fs::create_dir(here.path("mine")).unwrap();
    fs::write(here.path("mine/thesis.txt"), "years of work").unwrap();
    assert_snapshot!(here.run("extract --tuned tuned --base base -o mine"), @"
    exit code 1
    --- stderr
    error: `mine` already exists and is not empty

    hint: choose another destination, or pass `--overwrite` to replace it
    ");
    assert_snapshot!(here.run("extract --tuned tuned --base base -o mine --overwrite"), @"
    exit code 1
    --- stderr
    error: `mine` was not written by taskvec and is not replaced

    hint: only a directory with a `taskvec.json` or a `.safetensors` file is replaced; remove it yourself if it may go
    ");
    assert_eq!(
        fs::read(here.path("mine/thesis.txt")).unwrap(),
        b"years of work"
    );
}

#[test]
fn a_report_that_is_somebodys_own_file() {
    let here = Workplace::new();
    fs::write(here.path("report.json"), "{\"mine\": true}").unwrap();
    assert_snapshot!(here.run("demo"), @"
    exit code 1
    --- stderr
    error: `report.json` exists and is no report of `taskvec demo`

    hint: pass another path with `--out`
    ");
    assert_eq!(
        fs::read(here.path("report.json")).unwrap(),
        b"{\"mine\": true}"
    );
}

/// Exit code, stderr, and what is left, of a shell command that runs `taskvec`.
#[cfg(unix)]
fn shell(here: &Workplace, script: &str) -> String {
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .env("TASKVEC", crate::workplace::BINARY)
        .current_dir(here.root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    here.rendered(&output)
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let here = pair();
    fs::create_dir(here.path("small")).unwrap();
    sparse_model(&here.path("large"), 1 << 20);
    // Mounting is allowed to root, and to anybody in a user namespace of their own where those exist.
    let mounted = "mount -t tmpfs -o size=64k none small";
    let namespace = ["unshare -m", "unshare -r -m"]
        .into_iter()
        .find(|namespace| {
            shell(&here, &format!("{namespace} sh -c '{mounted}' 2>/dev/null"))
                .contains("exit code 0")
        });
    let Some(namespace) = namespace else { return };
    let script = format!(
        "{namespace} sh -c '{mounted}; \"$TASKVEC\" extract --tuned large --base large -o small/v; \
         code=$?; ls -A small; exit $code'"
    );
    assert_snapshot!(shell(&here, &script), @"
    exit code 1
    --- stderr
    error: no space left to write `small/v`: 1048712 bytes needed, 65536 available

    hint: free some space or choose a destination on another filesystem
    ");
}

#[test]
#[cfg(unix)]
fn a_limit_on_the_size_of_files() {
    let here = Workplace::new();
    sparse_model(&here.path("large"), 1 << 20);
    // Ignoring the signal turns the limit into an error of the write.
    let script =
        "trap '' XFSZ; ulimit -f 64; exec \"$TASKVEC\" extract --tuned large --base large -o v";
    assert_snapshot!(shell(&here, script), @"
    exit code 1
    --- stderr
    error: cannot extend `v/vector.safetensors`
      because File too large (os error 27)
    ");
    assert_eq!(here.names(), ["large"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_behind_stdout() {
    assert_snapshot!(shell(&pair(), "\"$TASKVEC\" inspect '\"base\"' > /dev/full"), @"
    exit code 1
    --- stderr
    error: cannot write to standard output
      because No space left on device (os error 28)
    ");
}

#[test]
fn a_reader_that_has_left() {
    let here = pair();
    let mut child = here
        .command("inspect '\"base\"' --by tensor")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_snapshot!(here.rendered(&output), @"exit code 0");
}
