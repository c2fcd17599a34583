//! Where a volume's bytes come from: the seam between FAT and a block device, or an image file.
//!
//! Two things implement [`Sectors`] (in `unikernel`): blkfront, and a file mapped into memory.
//! What comes through here is not to be trusted: a disk may hold anything, shrink, and go away.

use core::fmt;
use core::future::Future;

/// The number of a sector of a device, in that device's sector size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sector(pub u64);

/// A device that is read in whole sectors.
pub trait Sectors {
    /// Bytes in a sector: a power of two, 512 to 4096. It never changes.
    fn sector_size(&self) -> u32;

    /// How many sectors there are now. The number may change while the device is in use.
    fn sectors(&self) -> u64;

    /// The bytes that are read at once at the least cost, at least one sector: a hint.
    fn best_read(&self) -> usize;

    /// Reads consecutive sectors, from `first` on, into the buffers one after the other; each
    /// buffer's length is a multiple of the sector size. After an error the buffers hold anything.
    /// The device begins to work when this is first polled, and goes on between polls. Cancelling
    /// it is safe, at any time, and several reads may be under way.
    fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> impl Future<Output = Result<(), SectorsError>>;
}

/// Why sectors cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorsError {
    /// The device says that it could not read them. Others may be readable.
    Failed,
    /// There are no such sectors.
    OutOfRange,
    /// The device is gone, or of no more use. This one will not come back.
    Away,
    /// There is no memory for it now.
    OutOfMemory,
}

impl fmt::Display for SectorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "the device cannot read this",
            Self::OutOfRange => "beyond the end of the device",
            Self::Away => "the device is away",
            Self::OutOfMemory => "out of memory",
        })
    }
}

impl core::error::Error for SectorsError {}
