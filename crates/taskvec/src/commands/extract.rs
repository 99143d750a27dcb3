use taskvec_core::{Bindings, CheckpointKind};

use super::write::write;
use crate::args::extract::ExtractArgs;
use crate::printer::Printer;
use crate::resolution::require_kind;

pub(crate) fn run(arguments: &ExtractArgs, printer: &Printer) -> anyhow::Result<()> {
    for (flag, reference) in [("--tuned", &arguments.tuned), ("--base", &arguments.base)] {
        require_kind(flag, reference, CheckpointKind::Model, printer)?;
    }
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
