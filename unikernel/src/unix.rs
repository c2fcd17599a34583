//! mir-www on Unix.
fn main() {}
