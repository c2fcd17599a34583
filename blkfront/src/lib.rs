//! Xen's virtual block device, guest side, as asynchronous reads and writes.
//!
//! - **One pool, granted once.** Pages are shared when the device is connected and never again: no
//!   grant, no hypercall and no allocation for a request, but one event for a batch, if the backend
//!   asks for it. A backend that keeps pages mapped (`feature-persistent`) finds the same ones again.
//! - **Large requests.** Up to as many pages as the backend takes by indirection; several requests
//!   in flight; what is larger than the pool is done in parts, and who waits is served in turn.
//! - **Futures that may be dropped.** A request's pages come back with its response, whoever still
//!   waits for it; nothing of the caller's is ever shared with the backend.
//! - **The backend is not believed.** Every number of its is checked; a [`Lie`](lie::Lie) ends the
//!   use of the device ([`Phase::Broken`]), and nothing else.
//!
//! [`Blkfront::connect`] gives a device and a [`Link`] to run; `docs/blkfront.md` tells how they are
//! used, and what is agreed on xenstore.
//!
//! | module | what it promises |
//! |---|---|
//! | [`wire`] | the records on the ring, as bytes |
//! | [`features`] | what is agreed, from text that others wrote |
//! | [`lie`] | what a backend must not say |
//! | [`back`] | the other end, for tests; not in the guest |
#![no_std]

extern crate alloc;

#[cfg(not(feature = "xen"))]
pub mod back;
mod connect;
mod device;
mod disk;
mod engine;
pub mod features;
pub mod lie;
mod link;
mod pool;
mod setup;
mod stats;
mod transfer;
mod vdev;
pub mod wire;

pub use connect::ConnectError;
pub use device::{Blkfront, IoError, Phase, Sector};
pub use disk::{Disk, ResolveError, wait_for};
pub use link::Link;
pub use minios::SetupError;
pub use setup::Config;
pub use stats::Stats;
pub use transfer::{Flush, Read, ReadAt, Write};
pub use vdev::{BadVdev, Vdev};
