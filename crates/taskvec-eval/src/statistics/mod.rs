//! Statistics of evaluations: how sure one may be of an accuracy, and of a difference between two.
//!
//! All intervals are two-sided. Samples are taken to be independent, which documents of a benchmark are
//! only as far as nobody wrote them in pairs; with several samples of one document they are not.
//! Not covered: effects of the choice of prompt, and of training seeds, which no number of documents shows.

mod bootstrap;
mod comparison;
mod interval;
mod mean;
mod paired;
mod pass_at_k;

pub use bootstrap::{FEWEST_RESAMPLED, bootstrap_mean};
pub use comparison::holm;
pub use interval::{Interval, Z_95, wilson, wilson_share};
pub use mean::{Mean, mean};
pub use paired::{PairedCounts, mcnemar_exact, newcombe_paired, paired_bootstrap};
pub use pass_at_k::{PassAtK, mean_pass_at_k, pass_at_k, pass_at_some_k};
