//! A virtual block device as what a volume is read from.

use core::time::Duration;

use blkfront::{Blkfront, IoError};
use minios::Domain;
use www::{Sector, Sectors, SectorsError};

/// A backend that has not answered for so long will not be waited for: those who ask get an error,
/// instead of waiting with their connections until there are no more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connected disk.
pub(crate) struct Disk {
    pub(crate) domain: Domain,
    pub(crate) device: Blkfront,
}

impl Sectors for Disk {
    fn sector_size(&self) -> u32 {
        self.device.sector_size()
    }

    fn sectors(&self) -> u64 {
        self.device.sectors()
    }

    fn best_read(&self) -> usize {
        self.device.largest_read()
    }

    async fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> Result<(), SectorsError> {
        let deadline = self.domain.now() + PATIENCE;
        let read = self.device.read(blkfront::Sector(first.0), into);
        let read = self.domain.timeout(deadline, read).await;
        read.unwrap_or(Err(IoError::Failed))
            .map_err(|error| match error {
                IoError::OutOfRange | IoError::Misaligned => SectorsError::OutOfRange,
                IoError::OutOfMemory => SectorsError::OutOfMemory,
                IoError::Away => SectorsError::Away,
                IoError::Failed | IoError::Unsupported | IoError::ReadOnly => SectorsError::Failed,
            })
    }
}
