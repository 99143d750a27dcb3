//! Which isolation is built, by whom, and what is said where none can be.

use crate::trial;
use crate::verdict::{judge, test_that};
use libtest_mimic::Trial;
pub(crate) fn trials() -> Vec<Trial> { vec![] }
