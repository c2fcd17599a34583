//! Which disk is meant, and waiting for it to be there.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use minios::xenbus::{XenbusError, devices};
use minios::xenstore::{Store, StoreError};

use crate::vdev::{BadVdev, Vdev};

/// A disk as people name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// By its number, or a name for it such as `xvda`.
    Vdev(Vdev),
    /// By its place among the disks that the domain has, in the order of their numbers: 0 is the
    /// first. To be asked for once, for places change when disks come and go.
    Slot(u32),
}

/// Numbers below this are slots: Linux's device numbers, of which those of disks are made, have a
/// major number above their low 8 bits.
const SLOTS: u32 = 256;

impl FromStr for Disk {
    type Err = BadVdev;

    fn from_str(text: &str) -> Result<Self, BadVdev> {
        let vdev: Vdev = text.parse()?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(match vdev {
            Vdev(slot) if plain && slot < SLOTS => Disk::Slot(slot),
            vdev => Disk::Vdev(vdev),
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disk::Vdev(vdev) => vdev.fmt(f),
            Disk::Slot(slot) => slot.fmt(f),
        }
    }
}

/// Why it cannot be said which disk is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// There are fewer disks.
    NoSuchSlot {
        /// The slot asked for.
        slot: u32,
        /// How many disks there are.
        disks: usize,
    },
    /// xenstore, or something in it that others wrote.
    Xenbus(XenbusError),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::NoSuchSlot { slot, disks } => {
                write!(f, "there is no disk in slot {slot}, of {disks}")
            }
            ResolveError::Xenbus(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ResolveError {}

impl Disk {
    /// The number of the disk. A name's need not be there; see [`wait_for`].
    pub async fn resolve(self, store: &Store) -> Result<Vdev, ResolveError> {
        let slot = match self {
            Disk::Vdev(vdev) => return Ok(vdev),
            Disk::Slot(slot) => slot,
        };
        let disks = devices(store, "vbd").await.map_err(ResolveError::Xenbus)?;
        let disk = disks.get(slot as usize).copied().map(Vdev);
        disk.ok_or(ResolveError::NoSuchSlot {
            slot,
            disks: disks.len(),
        })
    }
}

/// Waits until a disk is there to be connected: given to the domain, and not about to be taken away
/// again. At once, if it is. Its backend may need some time still. Cancelling it does nothing.
pub async fn wait_for(store: &Store, vdev: Vdev) -> Result<(), StoreError> {
    // Of the directory above, which is there before, after, and if the disk never was.
    let watch = store.watch("device/vbd").await?;
    let ours = format!("device/vbd/{}", vdev.0);
    loop {
        // The first time at once. Wakes that mean nothing are usual.
        watch.changed().await?;
        let mut keys = [const { None }; 2];
        let Some(backend) = text(store, &ours, "/backend").await? else {
            continue;
        };
        for (key, value) in ["/state", "/online"].iter().zip(&mut keys) {
            *value = text(store, &backend, key).await?;
        }
        let [state, online] = keys.each_ref().map(Option::as_deref);
        // A backend that was restarted comes back; one whose disk is being detached does not.
        if !matches!(state, Some("5" | "6")) || online == Some("1") {
            return Ok(());
        }
    }
}

async fn text(store: &Store, path: &str, key: &str) -> Result<Option<String>, StoreError> {
    match store.read(&[path, key].concat()).await {
        Ok(value) => Ok(Some(value)),
        // What is not a path, or no text, is not for us to judge: connecting says what is wrong.
        Err(StoreError::NotText | StoreError::Unsendable) => Ok(None),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
