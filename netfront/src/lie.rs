//! What a backend must not say. The first such thing makes the device Broken for good.

use core::fmt;

/// A statement of the backend that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// More responses on the transmit ring than requests.
    TxIndex,
    /// More responses on the receive ring than requests.
    RxIndex,
    /// A transmit response to a request that is not in flight.
    TxId(u16),
    /// A transmit response to an extra slot that is not in flight.
    TxNull,
    /// A receive response in another ring slot than its request.
    RxId {
        /// The slot that it is in.
        slot: u16,
        /// The one that it says.
        id: u16,
    },
    /// Received data that reach over the end of their page.
    RxSize {
        /// Where they begin in it.
        offset: u16,
        /// How many bytes they are.
        size: u16,
    },
    /// A received packet of more slots than any packet has.
    RxSlots,
    /// Extra information of a type that does not exist.
    ExtraType(u8),
    /// Segmentation of a type that does not exist, or into segments of nothing.
    Gso,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lie::TxIndex => f.write_str("more transmit responses than requests"),
            Lie::RxIndex => f.write_str("more receive responses than requests"),
            Lie::TxId(id) => write!(
                f,
                "a transmit response to request {id}, which is not in flight"
            ),
            Lie::TxNull => {
                f.write_str("a transmit response to an extra slot that is not in flight")
            }
            Lie::RxId { slot, id } => write!(f, "a receive response in slot {slot} that says {id}"),
            Lie::RxSize { offset, size } => {
                write!(f, "{size} bytes received at offset {offset} of a page")
            }
            Lie::RxSlots => f.write_str("a received packet of too many slots"),
            Lie::ExtraType(number) => write!(f, "extra information of type {number}"),
            Lie::Gso => f.write_str("segmentation that does not exist"),
        }
    }
}

impl core::error::Error for Lie {}
