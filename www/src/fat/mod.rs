//! FAT12, FAT16 and FAT32, for reading: a volume is indexed once, then its files are read in large
//! pieces through the [`cache`](crate::cache).
//!
//! What it promises: nothing on a volume makes it panic, walk in circles, or take more memory than
//! its [`Limits`] and the cache's allow. What is broken spoils what is in it, and is listed with
//! the reason and the place. A file is read whole, or there is an error.
//!
//! It may be told lies by everything on the volume. docs/fat.md says what is read and what is not.

mod boot;
mod chain;
mod dir;
mod index;
mod mount;
mod name;
mod read;
mod store;
mod walk;

use core::fmt;

pub use boot::{BootError, Geometry, Kind, Root};
pub use index::{Entries, Entry, File, Path};
pub use mount::Volume;
pub use name::character;
pub use read::{ReadError, Reader};
pub use store::{FatAnswer, FatChunk, FatStore, PartError};
pub(crate) use store::{Finding, Waiting};

use crate::sectors::SectorsError;

/// How much a volume may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files and directories, the root included.
    pub entries: usize,
    /// Directories within each other.
    pub depth: u8,
    /// Bytes for the index of the volume, and for what it takes to make it.
    pub memory: usize,
}

impl Default for Limits {
    /// 131,072 entries, 64 levels, 16 MiB.
    fn default() -> Self {
        Self {
            entries: 1 << 17,
            depth: 64,
            memory: 16 << 20,
        }
    }
}

/// Why a volume cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountError {
    /// It is none of FAT.
    Boot(BootError),
    /// The device cannot be read where it must be.
    Device {
        /// The byte that was to be read.
        at: u64,
        /// What the device said.
        error: SectorsError,
    },
    /// The tables or the root directory are not on the device.
    Truncated {
        /// Bytes that there must be.
        needed: u64,
        /// Bytes that there are.
        there: u64,
    },
    /// The root directory cannot be read.
    Root(Fault),
    /// More files and directories than [`Limits::entries`].
    TooManyEntries,
    /// More memory than [`Limits::memory`].
    TooLarge,
    /// There is no memory for it now.
    OutOfMemory,
}

impl MountError {
    fn of(error: SectorsError, at: u64) -> Self {
        match error {
            SectorsError::OutOfMemory => Self::OutOfMemory,
            _ => Self::Device { at, error },
        }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(error) => write!(f, "no FAT volume: {error}"),
            Self::Device { at, error } => write!(f, "at byte {at}: {error}"),
            Self::Truncated { needed, there } => write!(
                f,
                "the volume has its tables and its root directory in {needed} bytes, the device has {there}"
            ),
            Self::Root(fault) => write!(f, "the root directory: {fault}"),
            Self::TooManyEntries => f.write_str("more files and directories than are allowed"),
            Self::TooLarge => f.write_str("an index larger than is allowed"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

impl core::error::Error for MountError {}

/// What is wrong with a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its chain leads to this cluster, which is marked as free.
    Free(u32),
    /// Its chain leads to this cluster, which is marked as bad.
    Bad(u32),
    /// Its chain leads to this cluster, which there is not, or is not on the device.
    OutOfRange(u32),
    /// Its chain leads to this cluster, which is in another chain too, or twice in this one.
    Shared(u32),
    /// Its chain ends too early.
    Short {
        /// Bytes that the directory says it has.
        size: u32,
        /// Clusters that there are for them.
        clusters: u32,
    },
    /// Its chain goes on after its last byte, which is in this cluster. It can be read.
    Long(u32),
    /// It has more records than a directory may have.
    TooLong,
    /// It is deeper than [`Limits::depth`].
    TooDeep,
    /// It cannot be read.
    Unreadable {
        /// The byte of the device.
        at: u64,
        /// What the device said.
        error: SectorsError,
    },
    /// The volume is larger than its device: what is beyond cannot be read.
    Truncated {
        /// Bytes that the volume says it has.
        size: u64,
        /// Bytes that there are.
        there: u64,
    },
}

impl Fault {
    /// Whether it can be read in spite of it.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Long(_) | Self::Truncated { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free(n) => write!(f, "its chain leads to cluster {n}, which is free"),
            Self::Bad(n) => write!(f, "its chain leads to cluster {n}, which is bad"),
            Self::OutOfRange(n) => write!(f, "its chain leads to cluster {n}, which is not there"),
            Self::Shared(n) => write!(f, "cluster {n} is in its chain and in another, or twice"),
            Self::Short { size, clusters } => {
                write!(
                    f,
                    "{size} bytes, but its chain ends after {clusters} clusters"
                )
            }
            Self::Long(n) => write!(f, "its chain goes on after its last cluster, {n}"),
            Self::TooLong => f.write_str("a directory of more than 65536 records"),
            Self::TooDeep => f.write_str("too many directories within each other"),
            Self::Unreadable { at, error } => write!(f, "at byte {at}: {error}"),
            Self::Truncated { size, there } => {
                write!(f, "the volume has {size} bytes, its device {there}")
            }
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'v> {
    /// What it is wrong with; the root directory also for the volume as a whole.
    pub entry: Entry<'v>,
    /// What is wrong.
    pub fault: Fault,
    /// The byte of the device where the cluster is, or its entry in the table, if there is one.
    pub at: Option<u64>,
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entry.name().is_empty() {
            f.write_str("/")?;
        }
        write!(f, "{}: {}", self.entry.path(), self.fault)?;
        match self.at {
            Some(at) => write!(f, " (byte {at})"),
            None => Ok(()),
        }
    }
}
