//! Waiting for the verdict, and not longer than allowed.

use super::cell::Cells;
use super::{Refusal, Step};
use crate::sandbox::protocol::{Request, Response};
use crate::sandbox::{Limits, Verdict};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What the judge says, a line each.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// Both interpreters are up: the program's time begins.
    Started,
    Passed,
    Failed(String),
    /// The program said that its memory is exhausted.
    Memory,
    /// The program's interpreter closed its end of the channel.
    Ended,
    /// The test itself is broken.
    Defect(String),
}

/// How an interpreter that closed its channel is given to end by itself.
const LAST_BREATH: Duration = Duration::from_millis(200);

pub(super) fn until_verdict(cells: Cells, request: &Request) -> Result<Response, Refusal> {
    let Cells {
        judge,
        program,
        mut job,
        mut verdict,
    } = cells;
    let text = serde_json::to_vec(&request.job).step("writing the job")?;
    // A judge that dies early closes the pipe: its silence is reported below.
    let _ = job.write_all(&text);
    drop(job);
    let word = listen(&mut verdict, &request.limits)?;
    let response = match word {
        Heard::TimeOut { started: true } => Ok(Response::Verdict(Verdict::TimedOut)),
        Heard::TimeOut { started: false } => Err(Refusal {
            step: "starting the interpreters".to_owned(),
            reason: format!("not up after {:?}", request.limits.start_time),
        }),
        Heard::Silence => Err(Refusal {
            step: "judging".to_owned(),
            reason: format!("the judge ended without a verdict: {}", ending(judge)),
        }),
        Heard::Word(Word::Passed) => Ok(Response::Verdict(Verdict::Passed)),
        Heard::Word(Word::Failed(message)) => Ok(Response::Verdict(Verdict::Failed { message })),
        Heard::Word(Word::Memory) => Ok(Response::Verdict(Verdict::OutOfMemory)),
        Heard::Word(Word::Ended | Word::Started) => Ok(Response::Verdict(Verdict::Ended {
            how: ending(program),
        })),
        Heard::Word(Word::Defect(reason)) => Ok(Response::Defect(reason)),
    };
    for process in [judge, program] {
        // In a namespace of its own the process is the first, and what it started ends with it.
        let _ = kill(process, Signal::SIGKILL);
        let _ = waitpid(process, None);
    }
    response
}

enum Heard {
    Word(Word),
    TimeOut { started: bool },
    Silence,
}

fn listen(verdict: &mut File, limits: &Limits) -> Result<Heard, Refusal> {
    const LONGEST: usize = 64 << 10;
    let mut deadline = Instant::now() + limits.start_time;
    let mut started = false;
    let mut heard = Vec::new();
    loop {
        while let Some(end) = heard.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = heard.drain(..=end).collect();
            match serde_json::from_slice(&line).step("reading the verdict")? {
                Word::Started if !started => {
                    started = true;
                    deadline = Instant::now() + limits.wall_time;
                }
                word => return Ok(Heard::Word(word)),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a time-out of zero would not wait for the last fraction.
        let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        if left.is_zero() {
            return Ok(Heard::TimeOut { started });
        }
        let mut ready = [PollFd::new(verdict.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(milliseconds)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error).step("waiting for the verdict"),
        }
        let mut part = [0; 4096];
        let count = verdict.read(&mut part).step("reading the verdict")?;
        heard.extend_from_slice(&part[..count]);
        if count == 0 || heard.len() > LONGEST {
            return Ok(Heard::Silence);
        }
    }
}

/// How a process ended, which closed its channel a moment ago.
fn ending(process: Pid) -> String {
    let deadline = Instant::now() + LAST_BREATH;
    loop {
        match waitpid(process, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => return signal.to_string(),
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(_) => return "it closed its channel and went on".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}
