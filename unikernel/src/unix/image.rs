//! An image file as what a volume is read from.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use minios::host::file::{Map, ReadError};
use www::{Sector, Sectors, SectorsError};

/// Bytes that are copied at once: as many as do not hold up others.
const BEST_READ: usize = 128 << 10;

/// A mapped image. Reading it never waits, but for the system to fetch what it has not in memory.
pub(crate) struct Image(Map);

/// What tells one file from another, and from itself after it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// That of the file at a path now.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&path.metadata()?))
    }

    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Image {
    /// Maps an image.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Map::open(path).map(Self)
    }

    pub(crate) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.0.metadata()?))
    }
}

impl Sectors for Image {
    fn sector_size(&self) -> u32 {
        self.0.sector_size()
    }

    fn sectors(&self) -> u64 {
        self.0.size() / u64::from(self.0.sector_size())
    }

    fn best_read(&self) -> usize {
        BEST_READ
    }

    async fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> Result<(), SectorsError> {
        let at = first.0.checked_mul(u64::from(self.0.sector_size()));
        let mut at = at.ok_or(SectorsError::OutOfRange)?;
        for buffer in into {
            let buffer = buffer.as_mut();
            self.0.read(at, buffer).map_err(|error| match error {
                ReadError::BeyondEnd => SectorsError::OutOfRange,
                ReadError::Failed => SectorsError::Failed,
            })?;
            at += buffer.len() as u64;
        }
        Ok(())
    }
}
