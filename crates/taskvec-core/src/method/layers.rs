//! The functions that give layers other places: what they take, and how layers are selected.
//!
//! They are no methods: nothing is computed, and what changes is which tensor of a checkpoint stands under which name.
//! The plan does that.

use super::signature::{OperandKinds, Parameter, ParameterType, Signature};
use crate::expression::Problem;

/// Layers that a result may have. Real models have some hundreds at most, and names of tensors may say anything.
pub(crate) const MOST_LAYERS: u32 = 1000;

/// A selection of layers, in its order.
pub(crate) static LAYERS: Signature = Signature {
    name: "layers",
    summary: "the layers that are listed, such as \"0-15, 8-23\", in this order and numbered anew; the rest as it is",
    operands: &["a"],
    variadic: false,
    kinds: OperandKinds::Alike,
    parameters: &[Parameter {
        name: "selection",
        value: ParameterType::Text,
        default: None,
    }],
};

/// Layers of one after layers of another.
pub(crate) static STACK: Signature = Signature {
    name: "stack",
    summary: "the layers of each behind those of the one before it; embeddings are the first's, norm and head the last's",
    operands: &["a"],
    variadic: true,
    kinds: OperandKinds::Alike,
    parameters: &[],
};

/// Reads `0-15, 8-23, 3`: ranges with both ends included, one after the other.
pub(crate) fn selected_layers(text: &str) -> Result<Vec<u32>, Problem> {
    let refuse = |reason| Problem::LayerSelection {
        selection: text.to_owned(),
        reason,
    };
    let number = |text: &str| -> Result<u32, Problem> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = Some(text).filter(|_| is_number);
        number
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| {
                refuse("layers are whole numbers, and ranges of them, with commas between")
            })
    };
    let mut layers = Vec::new();
    for part in text.split(',') {
        let part = part.trim();
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first.trim_end())?, number(last.trim_start())?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(refuse("a range goes up, from its first layer to its last"));
        }
        let count = u64::from(last - first) + 1;
        let total = layers.len() as u64 + count;
        if total > u64::from(MOST_LAYERS) {
            return Err(Problem::TooManyLayers {
                layers: total,
                limit: MOST_LAYERS,
            });
        }
        layers.extend(first..=last);
    }
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_keep_their_order_and_repeat() {
        assert_eq!(selected_layers("3").unwrap(), [3]);
        assert_eq!(selected_layers(" 1-2, 0 - 1,1").unwrap(), [1, 2, 0, 1, 1]);
        for text in [
            "",
            "a",
            "1-",
            "-1",
            "2-1",
            "1,",
            "+1",
            "1-2-3",
            "1.5",
            "4294967296",
        ] {
            assert!(
                matches!(selected_layers(text), Err(Problem::LayerSelection { .. })),
                "{text}"
            );
        }
        for text in ["0-4294967295", "0-999, 0"] {
            assert!(
                matches!(selected_layers(text), Err(Problem::TooManyLayers { .. })),
                "{text}"
            );
        }
    }
}
