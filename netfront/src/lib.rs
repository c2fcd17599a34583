//! Xen's virtual network interface, guest side, as a smoltcp device.
#![no_std]

extern crate alloc;

pub mod checksum;
pub mod features;
pub mod lie;
pub mod rx;
pub mod tx;
pub mod wire;
