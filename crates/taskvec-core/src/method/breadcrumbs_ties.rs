//! Breadcrumbs whose signs are elected as in TIES.
//!
//! mergekit's combination of Davari and Belilovsky, arXiv 2312.06795, with Yadav et al., arXiv 2306.01708: each vector
//! is masked as by `breadcrumbs`, then [`elect`](super::elect) combines them; by their sum, as mergekit does when
//! nothing else is said.

use std::sync::Arc;

use super::breadcrumbs::{GAMMA, masks};
use super::elect::{COMBINE_SUM, Combine, Elect, weights};
use super::linear::WEIGHTS;
use super::trim::{DENSITY, Trim};
use super::{Method, OperandKinds, Operation, Signature, StreamingMethod};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "breadcrumbs_ties",
        summary: "vectors masked as by `breadcrumbs`, then added up where they have the elected sign",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[DENSITY, GAMMA, WEIGHTS, COMBINE_SUM],
    },
    build: |arguments| {
        let [outliers, rest] = masks(arguments).map(Arc::new);
        let preparations = move |_| -> Vec<Arc<dyn StreamingMethod>> {
            vec![Arc::<Trim>::clone(&outliers), Arc::<Trim>::clone(&rest)]
        };
        Ok(Operation::Streaming(Arc::new(Elect {
            weights: weights(arguments),
            preparations,
            combine: Combine::parse("breadcrumbs_ties", arguments)?,
        })))
    },
};
