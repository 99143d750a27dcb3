//! taskvec-lm
