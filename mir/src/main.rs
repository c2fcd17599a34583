//! The `mir` tool.
fn main() {}
