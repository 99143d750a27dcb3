use taskvec_core::Bindings;

use super::write::write;
use crate::args::extract::ExtractArgs;
use crate::printer::Printer;

pub(crate) fn run(arguments: &ExtractArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = Bindings::default()
        .with("tuned", arguments.tuned.clone())
        .with("base", arguments.base.clone());
    write(
        "tuned - base",
        &bindings,
        &arguments.destination,
        arguments.threads,
        printer,
    )
}
