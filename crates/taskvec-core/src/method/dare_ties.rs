//! Random sparse vectors whose signs are elected as in TIES.
//!
//! The combination of Yu et al., arXiv 2311.03099, with Yadav et al., arXiv 2306.01708, that mergekit made common. Each
//! vector is made sparse as by `dare`, the vectors independently of one another under one seed, then
//! [`elect`](super::elect) combines them; by their sum, as mergekit does when nothing else is said.

use std::sync::Arc;

use super::dare::{Dare, SEED};
use super::elect::{COMBINE_SUM, Combine, Elect, weights};
use super::linear::WEIGHTS;
use super::trim::DENSITY;
use super::{Method, OperandKinds, Operation, Signature, StreamingMethod};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "dare_ties",
        summary: "vectors made sparse as by `dare`, then added up where they have the elected sign",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, SEED, WEIGHTS, COMBINE_SUM],
    },
    build: |arguments| {
        let (density, seed) = (arguments.real("density"), arguments.count("seed"));
        let preparations = move |operand| -> Vec<Arc<dyn StreamingMethod>> {
            vec![Arc::new(Dare {
                density: density.clone(),
                seed,
                operand,
            })]
        };
        Ok(Operation::Streaming(Arc::new(Elect {
            weights: weights(arguments),
            preparations,
            combine: Combine::parse("dare_ties", arguments)?,
        })))
    },
};
