//! The `taskvec` command: arguments, one file per command, one printer. Arithmetic, file formats, benchmarks
//! and language models are the libraries'.

mod args;
mod commands;
mod failure;
mod interruption;
mod printer;
mod resolution;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before threads and hooks: the process may have been started to build a sandbox and be replaced by it.
    taskvec_eval::sandbox::run_if_launcher();
    failure::install_panic_hook();
    failure::guard(run).into()
}

fn run() -> failure::Status {
    let arguments = match args::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        // Prints help and version on stdout, everything else on stderr. That nobody reads is no failure.
        Err(error) => {
            let _ = error.print();
            return match error.exit_code() {
                0 => failure::Status::Done,
                _ => failure::Status::Usage,
            };
        }
    };
    let printer = printer::Printer::new(&arguments.output);
    let result = interruption::listen().and_then(|()| commands::run(&arguments.command, &printer));
    match result.and_then(|()| printer.finish()) {
        Ok(()) => failure::Status::Done,
        Err(error) => failure::report(&error, &printer),
    }
}
