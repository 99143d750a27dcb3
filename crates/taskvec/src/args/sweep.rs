use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use taskvec_core::Coefficient;
use taskvec_eval::Condition;

use super::eval::Form;
use super::weights::{BindingArgs, ThreadArgs};

/// More values than this are a slip of the keyboard.
const MOST_VALUES: usize = 1_000;

/// Measure an expression at many values of its coefficients
#[derive(Debug, Args)]
#[command(
    before_help = "Example: how much of the reasoning vector is best\n  \
                   taskvec sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 \\\n    \
                   --tasks micro-chat --limit 20 --out strength",
    after_help = "Every point is computed in memory; no checkpoint is written. Run again, a sweep goes on where it was, and \
                  the ends of the range come first, then the middle, then the quarters. `taskvec best` chooses a point, \
                  `taskvec report` draws the curves."
)]
pub(crate) struct SweepArgs {
    /// The model, with a name for each coefficient
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Values of a coefficient: START:STOP:STEP, or some separated by commas; several make a grid
    #[arg(long, value_name = "NAME=VALUES", required = true)]
    pub(crate) over: Vec<Axis>,
    /// Benchmarks, separated by commas; `taskvec tasks` lists them, `micro` is all of the micro world
    #[arg(long, value_name = "NAMES")]
    pub(crate) tasks: String,
    /// Perturbations of the text, separated by commas: clean, distractor, noise, reordered, adversarial
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "clean"
    )]
    pub(crate) conditions: Vec<Condition>,
    /// Questions of each task and condition [default: as many as the task says]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Seed of synthetic questions and of perturbations
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How questions are put: in the model's chat template where it has one, or as one of the two
    #[arg(long, value_name = "FORM", default_value = "auto")]
    pub(crate) prompt_form: Form,
    /// Directory of questions that do not ship with taskvec; `taskvec tasks` says which file belongs where
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Directory for the records of every sample and for what was asked; run again to resume
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) bindings: BindingArgs,
    #[command(flatten)]
    pub(crate) threads: ThreadArgs,
}

/// A coefficient and its values, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) values: Vec<Coefficient>,
}

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, values) = text
            .split_once('=')
            .ok_or("expected NAME=VALUES, such as a=0:1:0.25 or a=0,0.5,1")?;
        let mut characters = name.chars();
        let is_name = characters
            .next()
            .is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|character| character.is_alphanumeric() || character == '_');
        if !is_name {
            return Err(format!(
                "`{name}` cannot be a name: letters, digits and `_`, no digit first"
            ));
        }
        let number = |text: &str| text.parse().map_err(|error| format!("{error}"));
        let values = match values.split(':').collect::<Vec<_>>().as_slice() {
            [list] => {
                let mut values = list
                    .split(',')
                    .map(number)
                    .collect::<Result<Vec<Coefficient>, String>>()?;
                values.sort();
                if let Some(pair) = values.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err(format!("{} is there twice", pair[0]));
                }
                values
            }
            [start, stop, step] => range(&number(start)?, &number(stop)?, &number(step)?)?,
            _ => return Err("expected START:STOP:STEP".to_owned()),
        };
        if values.len() > MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        Ok(Self {
            name: name.to_owned(),
            values,
        })
    }
}

/// Start, start + step and so on, none above stop.
fn range(
    start: &Coefficient,
    stop: &Coefficient,
    step: &Coefficient,
) -> Result<Vec<Coefficient>, String> {
    if step.is_zero() || step.is_negative() {
        return Err(format!("the step is {step}, expected more than 0"));
    }
    if stop < start {
        return Err(format!("{stop} is below {start}"));
    }
    let mut values = Vec::new();
    let mut value = start.clone();
    while value <= *stop && values.len() <= MOST_VALUES {
        let next = &value + step;
        values.push(std::mem::replace(&mut value, next));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        let axis: Axis = text.parse()?;
        Ok(axis.values.iter().map(Coefficient::to_string).collect())
    }

    #[test]
    fn ranges_are_exact_and_lists_ascend() {
        assert_eq!(
            values("a=-1:1.5:0.5").unwrap(),
            ["-1", "-0.5", "0", "0.5", "1", "1.5"]
        );
        // Ten tenths are one, not a little less.
        assert_eq!(values("a=0:1:0.1").unwrap().len(), 11);
        assert_eq!(values("a=0:1:0.4").unwrap(), ["0", "0.4", "0.8"]);
        assert_eq!(values("a=1,1/3,-2").unwrap(), ["-2", "1/3", "1"]);
        assert_eq!(values("a=0.5:0.5:1").unwrap(), ["0.5"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (text, problem) in [
            ("a", "expected NAME=VALUES"),
            ("=1", "cannot be a name"),
            ("2a=1", "cannot be a name"),
            ("a=", "not a decimal"),
            ("a=0:1", "expected START:STOP:STEP"),
            ("a=0:1:0", "expected more than 0"),
            ("a=0:1:-1", "expected more than 0"),
            ("a=1:0:0.5", "0 is below 1"),
            ("a=0:1:1e-9", "more than 1000 values"),
            ("a=1,1.0", "1 is there twice"),
            ("a=nan", "not a decimal"),
        ] {
            let error = values(text).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
