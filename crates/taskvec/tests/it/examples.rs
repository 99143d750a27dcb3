//! What help says can be pasted is pasted.

use std::path::Path;
use std::process::Command;

use crate::workplace::{BINARY, Workplace};

/// Too long for a test; what they do is tested elsewhere at a smaller size.
const LONG: [&str; 2] = ["taskvec demo", "taskvec micro train"];

/// The commands of the example that opens a help page, one line each.
fn example(help: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut continues = false;
    let lines = help.lines().skip_while(|line| !line.starts_with("Example"));
    for line in lines.skip(1).take_while(|line| line.starts_with("  ")) {
        let part = line.trim();
        let (part, more) = part
            .strip_suffix('\\')
            .map_or((part, false), |part| (part.trim_end(), true));
        match commands.last_mut().filter(|_| continues) {
            Some(command) => command.extend([" ", part]),
            None => commands.push(part.to_owned()),
        }
        continues = more;
    }
    commands
}

#[test]
#[cfg(unix)]
fn every_example_works_as_pasted() {
    let pages = [
        "",
        "demo",
        "check",
        "write",
        "extract",
        "apply",
        "lora",
        "verify",
        "inspect",
        "generate",
        "eval",
        "sweep",
        "best",
        "search",
        "report",
        "sft",
        "grpo",
        "micro",
        "micro list",
        "micro train",
        "micro export",
    ];
    let directory = Path::new(BINARY).parent().unwrap();
    let path = format!(
        "{}:{}",
        directory.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for page in pages {
        let here = Workplace::new();
        let help = here.output(&format!("{page} --help"));
        let commands = example(&String::from_utf8(help.stdout).unwrap());
        assert!(!commands.is_empty(), "`{page}` has no example");
        for command in commands {
            assert!(command.starts_with("taskvec "), "{command}");
            if LONG.iter().any(|long| command.starts_with(long)) {
                continue;
            }
            let output = Command::new("sh")
                .args(["-c", &command])
                .env("PATH", &path)
                .current_dir(here.root())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{command}\n{}",
                here.rendered(&output)
            );
        }
    }
}
