//! Ctrl-C.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::checkpoint::{self, sparse_model};
use crate::workplace::Workplace;

/// Large enough that a write is under way for a while on any disk.
const BYTES: u64 = 256 << 20;

fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "nothing happened"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_write_leaves_nothing_that_looks_finished() {
    let here = Workplace::new();
    sparse_model(&here.path("large"), BYTES);
    sparse_model(&here.path("other"), BYTES);
    let child = here
        .command("extract --tuned large --base other -o v --threads 1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| {
        here.names()
            .iter()
            .any(|name| name.ends_with("taskvec-partial"))
    });
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_snapshot!(here.rendered(&output), @"
    exit code 130
    --- stderr
    stopping; press Ctrl-C again to stop at once
    interrupted: nothing was written to `v`
    ");
    assert_eq!(here.names(), ["large", "other"]);
}

#[test]
fn a_killed_write_leaves_no_destination_and_does_not_stand_in_the_way() {
    let here = Workplace::new();
    sparse_model(&here.path("large"), BYTES);
    sparse_model(&here.path("other"), BYTES);
    let mut child = here
        .command("extract --tuned large --base other -o v --threads 1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| {
        here.names()
            .iter()
            .any(|name| name.ends_with("taskvec-partial"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!here.path("v").exists());
    sparse_model(&here.path("small"), 64);
    assert!(
        here.output("extract --tuned small --base small -o v")
            .status
            .success()
    );
    assert_eq!(here.names(), ["large", "other", "small", "v"]);
}

/// Every file of a directory with its content.
fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Killed at any moment, a write has made either nothing or everything; the next write is not disturbed by what is left.
#[test]
fn two_hundred_kills_leave_whole_outputs_or_none() {
    const KILLS: u32 = 200;
    let here = Workplace::new();
    for (name, start) in [("target", 1.0), ("grpo", 0.25), ("sft", -0.5)] {
        let values = |count: usize| (0..count).map(|index| start + index as f32 / 7.0).collect();
        let tensors = [
            (
                "model.embed_tokens.weight",
                [1 << 10, 1 << 10].as_slice(),
                values(1 << 20),
            ),
            (
                "model.layers.0.mlp.up_proj.weight",
                &[1 << 10, 1 << 10],
                values(1 << 20),
            ),
            (
                "model.layers.0.mlp.down_proj.weight",
                &[1 << 10, 1 << 9],
                values(1 << 19),
            ),
        ];
        checkpoint::model(&here.path(name), "Tiny", &tensors);
    }
    let write = |destination: &str| {
        let command = format!(
            "-q write '\"target\" + 0.7*(\"grpo\" - \"sft\")' --allow-strangers -o {destination}"
        );
        let mut command = here.command(&command);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let begun = Instant::now();
    let whole = write("undisturbed").output().unwrap();
    assert!(whole.status.success(), "{}", here.rendered(&whole));
    let usual = begun.elapsed();
    let expected = content(&here.path("undisturbed"));
    assert!(
        expected.contains_key("taskvec.json"),
        "{:?}",
        expected.keys()
    );

    let out = here.path("out");
    let (mut killed, mut finished) = (0, 0);
    for kill in 0..KILLS {
        let mut child = write("out").stderr(Stdio::null()).spawn().unwrap();
        // Spread evenly from the first moment to a little past the usual end, in an order that mixes them.
        std::thread::sleep(usual * (kill * 73 % KILLS) * 6 / (KILLS * 5));
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        if out.exists() {
            // Also where the kill came after the output appeared and before the process was done.
            assert!(
                content(&out) == expected,
                "kill {kill}: an output that is not whole"
            );
            std::fs::remove_dir_all(&out).unwrap();
            finished += 1;
        } else {
            assert!(!ended.success(), "kill {kill}: done, and nothing there");
            killed += 1;
        }
    }
    assert!(
        killed >= 20,
        "{killed} of {KILLS} writes were cut off, {finished} came through"
    );
    let next = write("out").output().unwrap();
    assert!(next.status.success(), "{}", here.rendered(&next));
    assert!(content(&out) == expected);
    assert_eq!(
        here.names(),
        ["grpo", "out", "sft", "target", "undisturbed"]
    );
}

/// The same of several outputs: each is there whole or not at all, and the same command goes on.
#[test]
fn kills_leave_each_of_several_outputs_whole_or_absent() {
    const KILLS: u32 = 40;
    let here = Workplace::new();
    for (name, start) in [("target", 1.0), ("grpo", 0.25), ("sft", -0.5)] {
        let values = (0..1 << 20)
            .map(|index| start + index as f32 / 7.0)
            .collect();
        let shape: &[usize] = &[1 << 10, 1 << 10];
        let tensors = [("model.embed_tokens.weight", shape, values)];
        checkpoint::model(&here.path(name), "Tiny", &tensors);
    }
    let write = |destination: &str| {
        let command = format!(
            "-q write '\"target\" + a*(\"grpo\" - \"sft\")' --over a=0.25,1 --allow-strangers --overwrite -o {destination}"
        );
        let mut command = here.command(&command);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(write("undisturbed").status().unwrap().success());
    let usual = begun.elapsed();
    let expected = ["0.25", "1"].map(|name| content(&here.path("undisturbed").join(name)));
    let mut killed = 0;
    for kill in 0..KILLS {
        let mut child = write("out").spawn().unwrap();
        std::thread::sleep(usual * (kill * 13 % KILLS) * 6 / (KILLS * 5));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        for (name, expected) in ["0.25", "1"].iter().zip(&expected) {
            let output = here.path("out").join(name);
            if output.exists() {
                assert!(
                    content(&output) == *expected,
                    "kill {kill}: `{name}` is not whole"
                );
                std::fs::remove_dir_all(&output).unwrap();
            }
        }
    }
    assert!(killed >= 4, "{killed} of {KILLS} writes were cut off");
    assert!(write("out").status().unwrap().success());
    for (name, expected) in ["0.25", "1"].iter().zip(&expected) {
        assert!(content(&here.path("out").join(name)) == *expected);
    }
    let names: Vec<String> = content_names(&here.path("out"));
    assert_eq!(names, ["0.25", "1"], "nothing hidden is left");
}

fn content_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn training_goes_on_where_it_was_and_ends_with_the_same_model() {
    let here = Workplace::new();
    let command = "-q sft --model micro:base --data micro-gsm --num-examples 64 --learning-rate 1e-3 --max-steps 40 -o";
    let child = here
        .command(&format!("{command} stopped"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| lines(&here.path("stopped.training/metrics.jsonl")) >= 2);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        here.rendered(&output)
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("run the same command to go on"));
    assert!(!here.path("stopped").exists());

    for name in ["stopped", "straight"] {
        let output = here.output(&format!("{command} {name}"));
        assert!(output.status.success(), "{}", here.rendered(&output));
        assert_eq!(
            lines(&here.path(&format!("{name}.training/metrics.jsonl"))),
            40
        );
    }
    let weights = |name: &str| std::fs::read(here.path(name).join("model.safetensors")).unwrap();
    assert!(weights("stopped") == weights("straight"));
}

#[test]
fn an_evaluation_keeps_what_was_finished() {
    let here = Workplace::new();
    let child = here
        .command("-q eval micro:target --tasks micro-gsm --limit 3000 --out records.jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| lines(&here.path("records.jsonl")) >= 1);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_snapshot!(here.rendered(&output), @"
    exit code 130
    --- stderr
    interrupted: finished samples are kept in `records.jsonl`; run the same command to go on
    ");
    assert!(lines(&here.path("records.jsonl")) >= 1);
}

/// Killed at any moment and begun again, a run ends with the very file of an undisturbed one.
#[test]
fn kills_of_an_evaluation_change_nothing_in_its_records() {
    const KILLS: u32 = 10;
    let here = Workplace::new();
    let evaluate = |out: &str| {
        let mut command = here.command(&format!(
            "-q eval micro:target --tasks micro-gsm,micro-sciq --conditions clean,noise --limit 60 --out {out}"
        ));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(evaluate("undisturbed.jsonl").status().unwrap().success());
    let usual = begun.elapsed();
    let expected = std::fs::read_to_string(here.path("undisturbed.jsonl")).unwrap();
    assert_eq!(expected.lines().count(), 180);
    let mut killed = 0;
    for kill in 0..KILLS {
        // A new run each time but every third, which goes on with what is left of the one before.
        if kill % 3 != 2 {
            let _ = std::fs::remove_file(here.path("out.jsonl"));
        }
        let mut child = evaluate("out.jsonl").spawn().unwrap();
        std::thread::sleep(usual * (kill * 7 % KILLS + 1) / (KILLS + 1));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        if kill % 3 == 1 {
            continue;
        }
        assert!(evaluate("out.jsonl").status().unwrap().success());
        let resumed = std::fs::read_to_string(here.path("out.jsonl")).unwrap();
        let differing = resumed
            .lines()
            .zip(expected.lines())
            .find(|(one, other)| one != other);
        assert!(resumed == expected, "kill {kill}: {differing:?}");
    }
    assert!(killed >= 3, "{killed} of {KILLS} runs were cut off");
    assert_eq!(here.names(), ["out.jsonl", "undisturbed.jsonl"]);
}
