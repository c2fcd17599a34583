//! Xen's virtual network interface, guest side, as a smoltcp device.
//!
//! - **One pool, granted once.** Pages are shared when the device is connected and never again: no
//!   grant, no hypercall and no allocation for a frame, but one event for a batch, if the backend
//!   asks for it.
//! - **One copy in, none out.** What arrives is copied out of shared memory once and then looked
//!   at; what leaves is written by the stack into the page from which the backend reads it.
//! - **The backend is not believed.** Every number of its is checked; a [`Lie`](lie::Lie) ends the
//!   use of the device ([`Phase::Broken`]), and nothing else. The device's pages never hold
//!   anything but frames, so there is nothing to bounce for a backend that is not trusted.
//! - **What can be left to the backend, is**: checksums and the segmentation of TCP, as far as it
//!   offers; the rest is done here, so that the stack never computes or verifies a TCP or UDP
//!   checksum.
//!
//! [`Netfront::connect`] gives a device to drive and a [`Link`] to watch; `docs/netfront.md` tells
//! how they are used, and what is agreed on xenstore.
//!
//! | module | what it promises |
//! |---|---|
//! | [`wire`] | the records on the rings, as bytes |
//! | [`checksum`] | TCP and UDP checksums found, blanked, filled, verified |
//! | [`tx`], [`rx`] | both directions without rings: what to describe, what to believe |
//! | [`lie`] | what a backend must not say |
//! | [`features`] | what is agreed, from text that others wrote |
//! | [`back`] | the other end, for tests; not in the guest |
#![no_std]

extern crate alloc;

#[cfg(not(feature = "xen"))]
pub mod back;
pub mod checksum;
mod connect;
mod device;
pub mod features;
pub mod lie;
mod receiver;
pub mod rx;
mod sender;
mod setup;
mod stats;
pub mod tx;
pub mod wire;

pub use connect::{ConnectError, Link};
pub use device::{Events, Netfront, Phase, RxToken, TxToken};
pub use minios::SetupError;
pub use minios::xenbus::Mac;
pub use setup::Config;
pub use stats::Stats;
