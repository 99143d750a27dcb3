//! Numbers over which one command makes several outputs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use taskvec_core::Coefficient;

use super::weights::is_name;

/// More would be a mistake of typing.
const MOST_VALUES: usize = 1000;
/// What stands for the value in a path.
const PLACE: &str = "{}";

/// Exact numbers, none twice: `0.25,0.5,1`, or `FROM:TO:STEP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Values(pub(crate) Vec<Coefficient>);

impl FromStr for Values {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut values: Vec<Coefficient> = Vec::new();
        for part in text.split(',') {
            let number = |text: &str| -> Result<Coefficient, String> {
                text.trim().parse().map_err(|error| format!("{error}"))
            };
            let found = match part.split(':').collect::<Vec<_>>().as_slice() {
                [one] => vec![number(one)?],
                [from, to, step] => range(number(from)?, &number(to)?, &number(step)?)?,
                _ => return Err("expected numbers such as 0.25,0.5,1 or FROM:TO:STEP".to_owned()),
            };
            if let Some(twice) = found.iter().find(|value| values.contains(value)) {
                return Err(format!("{twice} is given twice"));
            }
            values.extend(found);
        }
        if values.len() > MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        Ok(Self(values))
    }
}

impl fmt::Display for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&values.join(","))
    }
}

/// `from`, and on by `step` until past `to`.
fn range(
    from: Coefficient,
    to: &Coefficient,
    step: &Coefficient,
) -> Result<Vec<Coefficient>, String> {
    if step.is_zero() || step.is_negative() != (to < &from) && to != &from {
        return Err(format!("no step of {step} leads from {from} to {to}"));
    }
    let mut values = vec![from];
    while let Some(last) = values.last() {
        let next = last + step;
        let past = if step.is_negative() {
            next < *to
        } else {
            next > *to
        };
        if past {
            break;
        }
        if values.len() == MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        values.push(next);
    }
    Ok(values)
}

/// A name in an expression and the numbers that it stands for in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) name: String,
    pub(crate) values: Values,
}

impl FromStr for Over {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, values) = text
            .split_once('=')
            .ok_or("expected NAME=NUMBERS, such as a=0.25,0.5,1")?;
        if !is_name(name) {
            return Err(format!(
                "`{name}` cannot be a name: letters, digits and `_`, no digit first"
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            values: values.parse()?,
        })
    }
}

/// Where the output of one value goes: `{}` in the last part of the path stands for the value; without it the value is a
/// name in that directory. A fraction's bar becomes `_`.
pub(crate) fn path_of(output: &Path, value: &Coefficient) -> PathBuf {
    let value = value.to_string().replace('/', "_");
    match output.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.contains(PLACE) => output.with_file_name(name.replace(PLACE, &value)),
        _ => output.join(value),
    }
}

/// Whether the value has its place before the last part of the path, where it would be taken for a name.
pub(crate) fn is_misplaced(output: &Path) -> bool {
    let parent = output.parent().map(Path::to_string_lossy);
    parent.is_some_and(|parent| parent.contains(PLACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        let values: Values = text.parse()?;
        Ok(values.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lists_and_ranges_are_exact() {
        assert_eq!(values("0.25, 0.50,1").unwrap(), ["0.25", "0.5", "1"]);
        assert_eq!(values("-1:1:0.5").unwrap(), ["-1", "-0.5", "0", "0.5", "1"]);
        assert_eq!(values("0:0.35:0.1").unwrap(), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(values("1:0:-1/3,2").unwrap(), ["1", "2/3", "1/3", "0", "2"]);
        assert_eq!(values("3:3:1").unwrap(), ["3"]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        assert_eq!(values("0.5,1/2").unwrap_err(), "0.5 is given twice");
        assert_eq!(
            values("0:1:0").unwrap_err(),
            "no step of 0 leads from 0 to 1"
        );
        assert_eq!(
            values("1:0:0.5").unwrap_err(),
            "no step of 0.5 leads from 1 to 0"
        );
        assert_eq!(values("0:1:0.0001").unwrap_err(), "more than 1000 values");
        for wrong in ["", "0.5,", "a", "1:2", "1:2:3:4"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
        for wrong in ["a", "=1", "1=1", "a="] {
            assert!(wrong.parse::<Over>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_names_in_a_directory_or_take_their_place_in_one() {
        let path = |output: &str, value: &str| path_of(Path::new(output), &value.parse().unwrap());
        assert_eq!(path("out", "0.50"), Path::new("out/0.5"));
        assert_eq!(path("out/", "-1"), Path::new("out/-1"));
        assert_eq!(
            path("x/{}.safetensors", "1/3"),
            Path::new("x/1_3.safetensors")
        );
        assert!(is_misplaced(Path::new("w{}/out")) && !is_misplaced(Path::new("w/{}")));
    }
}
