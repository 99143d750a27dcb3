//! taskvec-core
