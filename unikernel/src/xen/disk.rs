//! A virtual block device as what a volume is read from.

use blkfront::{Blkfront, IoError};
use www::{Sector, Sectors, SectorsError};

/// A connected disk.
pub(crate) struct Disk(pub(crate) Blkfront);

impl Sectors for Disk {
    fn sector_size(&self) -> u32 {
        self.0.sector_size()
    }

    fn sectors(&self) -> u64 {
        self.0.sectors()
    }

    fn best_read(&self) -> usize {
        self.0.largest_read()
    }

    async fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> Result<(), SectorsError> {
        let read = self.0.read(blkfront::Sector(first.0), into).await;
        read.map_err(|error| match error {
            IoError::OutOfRange | IoError::Misaligned => SectorsError::OutOfRange,
            IoError::OutOfMemory => SectorsError::OutOfMemory,
            IoError::Away => SectorsError::Away,
            IoError::Failed | IoError::Unsupported | IoError::ReadOnly => SectorsError::Failed,
        })
    }
}
