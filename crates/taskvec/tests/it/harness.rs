//! The same questions put to one checkpoint by lm-evaluation-harness and by the command.

use std::path::Path;
use std::process::Command;

use crate::workplace::BINARY;

#[test]
#[allow(clippy::print_stdout, reason = "a skipped test says so")]
fn the_harness_and_the_command_agree_sample_by_sample() {
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the comparison needs packages from a registry");
        return;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let made = Command::new("sh")
        .arg(scripts.join("harness-env.sh"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "no Python environment to compare with; TASKVEC_OFFLINE=1 skips this test\n{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let python = String::from_utf8(made.stdout).unwrap();
    let output = Command::new(python.trim())
        .arg(scripts.join("harness-end-to-end.py"))
        .arg(BINARY)
        .args(["--limit", "8"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for task in ["micro-gsm", "micro-bbh", "micro-chat", "micro-sciq"] {
        assert_eq!(report["tasks"][task]["samples"], 8, "{report}");
    }
}
