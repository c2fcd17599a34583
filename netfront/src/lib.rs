//! Xen's virtual network interface, guest side, as a smoltcp device.
#![no_std]

extern crate alloc;

pub mod checksum;
pub mod features;
pub mod lie;
pub mod rx;
pub mod tx;
pub mod wire;

#[cfg(not(feature = "xen"))]
pub mod back;
mod device;
mod receiver;
mod sender;
mod setup;
mod stats;

pub use device::{Events, Netfront, Phase, RxToken, TxToken};
pub use setup::{Config, SetupError};
pub use stats::Stats;
