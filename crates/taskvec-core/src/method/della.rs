//! DELLA: drop by magnitude, elect signs, fuse what agrees.
//!
//! Deep, Bhardwaj and Poria, "DELLA-Merging: reducing interference in model merging through magnitude-based sampling",
//! arXiv 2406.11617, section 3. Each vector is made sparse as by `magprune`, the vectors independently of one another
//! under one seed; [`elect`](super::elect) does the rest and says how weights are meant.
//!
//! mergekit's `della` is `rescale="l1"`, its `della_linear` a sum: `base + magprune(a - base, …, seed=1) +
//! magprune(b - base, …, seed=2)`. The paper's λ is a factor: `base + 1.1*della(…)`.

use std::sync::Arc;

use super::dare::SEED;
use super::elect::{COMBINE_MEAN, Combine, Elect, weights};
use super::linear::WEIGHTS;
use super::magprune::{EPSILON, MagPrune, RESCALE};
use super::trim::DENSITY;
use super::{Method, OperandKinds, Operation, Signature, StreamingMethod};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "della",
        summary: "vectors made sparse as by `magprune`, then averaged where they have the elected sign",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, EPSILON, SEED, WEIGHTS, COMBINE_MEAN, RESCALE],
    },
    build: |arguments| {
        let prune = MagPrune::parse("della", arguments)?;
        let preparations = move |operand| -> Vec<Arc<dyn StreamingMethod>> {
            vec![Arc::new(prune.of_operand(operand))]
        };
        Ok(Operation::Streaming(Arc::new(Elect {
            weights: weights(arguments),
            preparations,
            combine: Combine::parse("della", arguments)?,
        })))
    },
};
