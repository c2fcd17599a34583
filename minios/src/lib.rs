//! The ground a Xen PV guest stands on: memory, shares, events, time, and the one loop that drives tasks.
//!
//! Principles:
//!
//! - This is the one crate with `unsafe`. Whatever Xen or a peer domain can see is touched here and
//!   nowhere else; what is built on top is safe and runs under `cargo test`.
//! - A platform is a module with the same names, picked at build time: [`host`] is an in-process
//!   hypervisor for tests, strict and able to lie; `xen` is the guest. Everything else is common.
//! - One vCPU, no upcalls, no threads: a [`Domain`] is `!Send`, and only other domains race with us.
//! - What a peer writes is copied once, then checked; a lie is an `Err`, never a panic or a hang.
//! - A page that a peer may still map is never used again: it is leaked on purpose, and counted.
//!
//! | module | what it promises |
//! |---|---|
//! | [`domain`] | the handle to everything: pages, shares, ports, time, the main loop |
//! | [`page`] | whole pages, owned |
//! | [`share`] | pages that a peer may reach, and how to get them back |
//! | [`shared`] | the bytes of a share, by copy and by atomic word |
//! | [`event`] | event channels as things to await |
//! | [`time`], [`timer`] | the monotonic clock; sleeping |
//! | [`exec`] | tasks: spawned at any time, run when woken |
//! | [`xenstore`] | the tree in which domains meet: codec and client |
//! | [`xenbus`] | how a device's front end and back end come together |
//! | [`power`] | what the toolstack asks of the whole domain: stop, reboot |
//! | [`entropy`] | a seed, what it was made of, and a generator |
//! | [`console`], [`logger`] | what the operator sees: lines, and which of them |
//! | [`package`] | what a program is, for tools that do not run it |
//! | [`ring`] | byte rings and request rings, both ends |
//! | [`abi`] | Xen's layouts and numbers, each with its source |
#![no_std]

extern crate alloc;
#[cfg(not(feature = "xen"))]
extern crate std;

pub mod abi;
pub mod console;
pub mod domain;
pub mod entropy;
pub mod event;
pub mod exec;
pub mod id;
pub mod logger;
mod mem;
pub mod package;
pub mod page;
pub mod power;
pub mod ring;
mod setup;
pub mod share;
pub mod shared;
pub mod time;
pub mod timer;
pub mod xenbus;
pub mod xenstore;

#[cfg(not(feature = "xen"))]
pub mod host;
#[cfg(feature = "xen")]
pub mod xen;

#[cfg(not(feature = "xen"))]
pub use host::Platform;
#[cfg(feature = "xen")]
pub use xen::Platform;

pub use domain::{Domain, MemoryInfo, ShutdownReason};
pub use event::{EventError, Port};
pub use id::{DomId, Grant, PortNumber};
pub use page::{OutOfMemory, PAGE_SIZE, Pages};
pub use setup::SetupError;
pub use share::{Access, Published, Revoke, Share, ShareError};
pub use shared::Shared;
pub use time::Instant;
