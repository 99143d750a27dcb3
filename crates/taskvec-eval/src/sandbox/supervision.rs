//! The caller's side of a launcher: starts it, asks, and does not wait for ever.

use super::SandboxError;
use super::protocol::{ARGUMENT, Request, Response};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What the launcher itself may need besides the times that it allows to others.
const OWN_TIME: Duration = Duration::from_secs(60);

pub(super) fn check_platform() -> Result<(), SandboxError> {
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    if system == "linux" && ["x86_64", "aarch64"].contains(&architecture) {
        return Ok(());
    }
    Err(SandboxError::Platform {
        system: format!("{system} on {architecture}"),
    })
}

pub(super) fn ask(launcher: &Path, request: &Request) -> Result<Response, SandboxError> {
    let failed = |reason: String| SandboxError::Launcher { reason };
    let text =
        serde_json::to_vec(request).map_err(|error| failed(format!("cannot be asked: {error}")))?;
    let mut command = Command::new(launcher);
    command
        .arg(ARGUMENT)
        // Secrets of the caller are no business of anything that starts here.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    // An interrupt from the terminal is for the caller, who may want to finish what is running.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().map_err(|error| {
        failed(format!(
            "`{}` cannot be started: {error}",
            launcher.display()
        ))
    })?;
    let answer = converse(&mut child, text, request);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child
        .wait()
        .map_err(|error| failed(format!("is lost: {error}")))?;
    let answer = answer.map_err(failed)?;
    serde_json::from_slice(&answer)
        .map_err(|_| failed(format!("ended without an answer: {status}")))
}

fn converse(child: &mut Child, text: Vec<u8>, request: &Request) -> Result<Vec<u8>, String> {
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("has no pipes".to_owned());
    };
    // A launcher that dies early closes the pipe; that it gave no answer says more.
    let _ = stdin.write_all(&text);
    drop(stdin);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let result = stdout.read_to_end(&mut answer).map(|_| answer);
        let _ = sender.send(result);
    });
    let limits = &request.limits;
    match receiver.recv_timeout(limits.longest() + OWN_TIME) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("cannot be heard: {error}")),
        Err(_) => Err("does not answer".to_owned()),
    }
}
