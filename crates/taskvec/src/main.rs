//! The `taskvec` command.
fn main() {}
