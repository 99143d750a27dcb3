use std::num::NonZeroU32;

use clap::Args;
use taskvec_eval::generator::Sampling;
use taskvec_eval::run::RunOptions;

use super::number;

/// How often each question is asked, and how answers are drawn.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SamplingArgs {
    /// Answers to each question, drawn at `--temperature`; multiple choice is asked once
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::answers, requires = "temperature")]
    pub(crate) samples: NonZeroU32,
    /// Softmax temperature [default: the likeliest token always]
    #[arg(long, value_name = "T", value_parser = number::drawing_temperature, allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
}

impl SamplingArgs {
    /// `options` with these answers instead of the likeliest.
    pub(crate) fn apply(self, options: RunOptions) -> RunOptions {
        let Some(temperature) = self.temperature else {
            return options;
        };
        RunOptions {
            sampling: Sampling::random(temperature, options.selection.seed),
            samples: self.samples.get(),
            ..options
        }
    }
}
