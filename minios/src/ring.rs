//! Rings in shared memory: sans-io, both ends of each.
//!
//! An end keeps its own indices to itself and only publishes them: the peer can overwrite what is
//! shared, and harm nobody but itself. What the peer publishes may be any number; it is loaded once
//! and checked before it is used. Events are the caller's to send and to await.

pub mod byte;
pub mod request;

use core::fmt;

use crate::shared::Fault;

/// Why a ring cannot be used any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// The peer's index lies: more is produced than there is room for, or consumed than was produced.
    Indices {
        /// What the producer's index says.
        produced: u32,
        /// What the consumer's index says.
        consumed: u32,
    },
    /// The memory is too small for the ring, or may only be read.
    Memory(Fault),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Broken::Memory(fault)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Indices { produced, consumed } => {
                write!(
                    f,
                    "ring indices lie: {produced} produced, {consumed} consumed"
                )
            }
            Broken::Memory(fault) => fault.fmt(f),
        }
    }
}
