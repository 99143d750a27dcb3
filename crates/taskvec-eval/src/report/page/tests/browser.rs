//! How pages look and work in a browser.

use super::*;

/// Opens pages in Chromium: see `scripts/browser-test.py` for what is looked at.
#[test]
#[expect(
    clippy::print_stdout,
    reason = "who reads the log should know that this was not looked at"
)]
fn pages_work_in_a_browser() {
    if std::env::var_os("TASKVEC_OFFLINE").is_some_and(|value| value == "1") {
        println!("skipped: TASKVEC_OFFLINE=1, and the browser comes from a registry");
        return;
    }
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let environment = std::process::Command::new("sh")
        .arg(scripts.join("browser-env.sh"))
        .output()
        .unwrap();
    assert!(
        environment.status.success(),
        "scripts/browser-env.sh: {}",
        String::from_utf8_lossy(&environment.stderr)
    );
    let python = String::from_utf8(environment.stdout).unwrap();
    // Screenshots stay where somebody wants to look at them.
    let kept = std::env::var_os("TASKVEC_SCREENSHOTS").map(std::path::PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let directory = kept.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&directory).unwrap();
    let (rewarded, taught) = crate::report::training::tests::pages();
    for (name, html) in [
        ("study", study().to_html()),
        ("sweep", swept().to_html()),
        ("search", searched().to_html()),
        ("training-grpo", rewarded.to_html()),
        ("training-sft", taught.to_html()),
    ] {
        std::fs::write(directory.join(format!("{name}.html")), html).unwrap();
    }
    let output = std::process::Command::new(python.trim())
        .arg(scripts.join("browser-test.py"))
        .arg(&directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
