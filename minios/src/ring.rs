//! Rings in shared memory: sans-io, both ends of each.
