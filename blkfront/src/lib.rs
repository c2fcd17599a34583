//! Xen's virtual block device, guest side.
//!
//! What there is: [`Vdev`], the numbers by which xenstore knows disks and the names by which people
//! do. The driver itself, asynchronous sector reads over the vbd protocol, is not written yet; see
//! docs/ARCHITECTURE.md.
#![no_std]

mod vdev;

pub use vdev::{BadVdev, Vdev};
