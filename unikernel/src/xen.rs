//! mir-www on Xen.
fn main() {}
