//! What is measured at a step, and how it is shown.

use super::parse::Kind;

/// Which of two values is the better one, where that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    /// Its field in a line.
    pub(super) field: &'static str,
    /// Its name for the reader.
    pub(super) title: &'static str,
    /// What stands at its axis.
    pub(super) axis: &'static str,
    /// How a number of it is shown: a form of [`crate::report::html::shown`].
    pub(super) form: &'static str,
    /// Which value is the best; none where that is a matter of the others.
    pub(super) better: Option<Better>,
    /// Whether the headline shows it.
    pub(super) is_headline: bool,
}

/// The divergence from the initial model: not measured where it has no weight.
pub(super) const DIVERGENCE: &str = "kl";

/// The deviation of the reward: no figure of its own, but the band of another.
pub(super) const SPREAD: &str = "reward_std";
/// The measurement that has such a band.
pub(super) const SPREAD_OF: &str = "reward";

const GRPO: [Metric; 10] = [
    Metric {
        better: Some(Better::Higher),
        ..metric("reward", "Reward", "mean reward", "value", true)
    },
    metric(
        "step_by_step",
        "Step-by-step answers",
        "share of completions, %",
        "percent",
        true,
    ),
    metric(
        "completion_length",
        "Length of completions",
        "mean tokens",
        "tokens",
        true,
    ),
    Metric {
        better: Some(Better::Lower),
        ..metric(
            "truncated",
            "Completions cut off",
            "share of completions, %",
            "percent",
            false,
        )
    },
    metric("entropy", "Entropy", "nats a token", "value", true),
    metric(
        "kl",
        "Divergence from the initial model",
        "KL divergence, nats a token",
        "value",
        true,
    ),
    metric(
        "grad_norm",
        "Norm of the gradient",
        "before clipping",
        "value",
        false,
    ),
    // Near 0 by construction, so neither end of it is a good one.
    metric("loss", "Loss", "loss", "value", false),
    metric(
        "learning_rate",
        "Learning rate",
        "learning rate",
        "value",
        false,
    ),
    metric(
        "clip_ratio",
        "Clipped tokens",
        "share of tokens, %",
        "percent",
        false,
    ),
];

const SFT: [Metric; 3] = [
    Metric {
        better: Some(Better::Lower),
        ..metric(
            "loss",
            "Loss",
            "mean cross-entropy, nats a token",
            "value",
            true,
        )
    },
    metric(
        "learning_rate",
        "Learning rate",
        "learning rate",
        "value",
        false,
    ),
    metric(
        "grad_norm",
        "Norm of the gradient",
        "before clipping",
        "value",
        true,
    ),
];

const fn metric(
    field: &'static str,
    title: &'static str,
    axis: &'static str,
    form: &'static str,
    is_headline: bool,
) -> Metric {
    Metric {
        field,
        title,
        axis,
        form,
        better: None,
        is_headline,
    }
}

/// What a run of that kind measures, in the order of the page.
pub(super) fn of(kind: Kind) -> &'static [Metric] {
    match kind {
        Kind::Grpo => &GRPO,
        Kind::Sft => &SFT,
    }
}

/// Every field that is read from a line.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    GRPO.iter()
        .chain(&SFT)
        .map(|metric| metric.field)
        .chain([SPREAD])
}
