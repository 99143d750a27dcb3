//! taskvec-eval
