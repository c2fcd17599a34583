//! Which disk is meant, and waiting for it to be there.

use alloc::format;
use core::fmt;
use core::str::FromStr;

use minios::exec::{Either, race};
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
/// again. At once, if it is. Cancelling it does nothing.
pub async fn wait_for(store: &Store, vdev: Vdev) -> Result<(), StoreError> {
    // Of the directory above, which is there before, after, and if the disk never was.
    let watch = store.watch("device/vbd").await?;
    loop {
        // The first time at once. Wakes that mean nothing are usual.
        watch.changed().await?;
        let backend = format!("device/vbd/{}/backend", vdev.0);
        let Some(backend) = text(store, &backend).await? else {
            continue;
        };
        let theirs = store.watch(&backend).await?;
        loop {
            match race(watch.changed(), theirs.changed()).await {
                // It may have another backend now.
                Either::Left(changed) => break changed?,
                Either::Right(changed) => changed?,
            }
            if is_there(store, &backend).await? {
                return Ok(());
            }
        }
    }
}

async fn is_there(store: &Store, backend: &str) -> Result<bool, StoreError> {
    let Some(state) = text(store, &[backend, "/state"].concat()).await? else {
        return Ok(false);
    };
    if !matches!(state.as_str(), "5" | "6") {
        return Ok(true);
    }
    // A backend that was restarted comes back; one whose disk is being detached does not.
    let online = text(store, &[backend, "/online"].concat()).await?;
    Ok(online.as_deref() == Some("1"))
}

async fn text(store: &Store, path: &str) -> Result<Option<alloc::string::String>, StoreError> {
    match store.read(path).await {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(StoreError::NotText | StoreError::Unsendable) => Ok(None),
        Err(error) => Err(error),
    }
}
