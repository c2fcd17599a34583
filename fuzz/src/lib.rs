//! Hostile bytes for everything that reads what others wrote.
//!
//! A target is a function of bytes: it gives them to one part of the system, and panics if that
//! breaks a promise. Panics of the part itself, bounds on its memory and on the turns that it takes
//! are among these. `docs/fuzzing.md` tells how targets are run, here and under other fuzzers.
//!
//! | module | what it has |
//! |---|---|
//! | [`targets`] | the targets, by part |
//! | [`input`] | bytes read as choices |
//! | [`mutate`] | inputs made from others, the same for the same seed |

pub mod input;
pub mod mutate;
pub mod targets;

pub use targets::{TARGETS, Target};
