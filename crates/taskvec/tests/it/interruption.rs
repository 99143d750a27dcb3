//! Ctrl-C.

#![cfg(unix)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::checkpoint::sparse_model;
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
    error: interrupted: nothing was written to `v`
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
