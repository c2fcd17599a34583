//! What starts a guest: the configuration of a domain for `xl`, and for libvirt; and what is wrong
//! with one that somebody wrote.

mod cfg;
mod check;
mod disk;
mod keys;
mod libvirt;
mod memory;
mod vif;
mod xl;

use std::path::PathBuf;

pub use check::{Finding, Severity, check};
pub use libvirt::libvirt;
pub use memory::{Memory, memory_for};
pub use xl::xl;

/// A guest, as a toolstack sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The image. For a reboot xl looks for it from `/`, so the path should be a full one.
    pub kernel: PathBuf,
    /// Its memory.
    pub memory_mib: u32,
    /// Its network interface.
    pub vif: Vif,
    /// Its disks, which it only reads.
    pub disks: Vec<Disk>,
    /// Its command line.
    pub extra: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vif {
    /// The bridge of dom0 that it is on.
    pub bridge: String,
    /// The address that the guest takes if its arguments say nothing else.
    pub ip: Option<String>,
    /// Its MAC address, if it is not to be made up.
    pub mac: Option<String>,
}

/// A disk: an image file or a block device of dom0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What the guest calls it, such as `xvda`.
    pub vdev: String,
    /// The file or device. As for the kernel, a full path.
    pub target: PathBuf,
}

#[cfg(test)]
mod tests;
