//! What a backend must not say. The first such thing makes the device Broken for good.

use core::fmt;

/// A statement of the backend that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// More responses on the ring than requests.
    Index,
    /// A response to a request that is not in flight.
    Id(u64),
    /// A response to another operation than was asked for.
    Operation {
        /// What was asked for.
        asked: u8,
        /// What the response says.
        says: u8,
    },
    /// A response with a verdict that does not exist.
    Status(i16),
    /// A number of sectors that is none, or that no device has.
    Sectors,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lie::Index => f.write_str("more responses than requests"),
            Lie::Id(id) => write!(f, "a response to request {id}, which is not in flight"),
            Lie::Operation { asked, says } => {
                write!(f, "a response to operation {says} instead of {asked}")
            }
            Lie::Status(status) => write!(f, "a response with status {status}"),
            Lie::Sectors => f.write_str("a new size that is none"),
        }
    }
}

impl core::error::Error for Lie {}
