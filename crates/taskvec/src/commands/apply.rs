use taskvec_core::{Bindings, CheckpointKind, Coefficient};

use super::write::{named, write, write_each};
use crate::args::apply::ApplyArgs;
use crate::printer::Printer;
use crate::resolution::require_kind;

pub(crate) fn run(arguments: &ApplyArgs, printer: &Printer) -> anyhow::Result<()> {
    require_kind("--model", &arguments.model, CheckpointKind::Model, printer)?;
    require_kind(
        "--vector",
        &arguments.vector,
        CheckpointKind::Vector,
        printer,
    )?;
    let bindings = Bindings::default()
        .with("model", arguments.model.clone())
        .with("vector", arguments.vector.clone());
    let (destination, threads) = (&arguments.destination, arguments.threads);
    let Some(scales) = &arguments.scales else {
        let expression = expression(&arguments.scale);
        return write(&expression, &bindings, destination, threads, printer);
    };
    let expressions = scales
        .0
        .iter()
        .map(|scale| expression(scale).parse())
        .collect::<Result<_, _>>()?;
    let named = named("model + vector", &bindings, destination, printer)?;
    write_each(&named, expressions, scales, destination, threads, printer)
}

/// The expression as a person would write it.
fn expression(scale: &Coefficient) -> String {
    let operator = if scale.is_negative() { '-' } else { '+' };
    let size = scale.abs();
    if size.is_one() {
        return format!("model {operator} vector");
    }
    format!("model {operator} {size}*vector")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_read_as_written() {
        let of = |scale: &str| expression(&scale.parse().unwrap());
        assert_eq!(of("1"), "model + vector");
        assert_eq!(of("-1"), "model - vector");
        assert_eq!(of("0.50"), "model + 0.5*vector");
        assert_eq!(of("-0.25"), "model - 0.25*vector");
        assert_eq!(of("1/3"), "model + 1/3*vector");
    }
}
