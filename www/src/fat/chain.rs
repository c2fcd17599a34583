//! The file allocation table, and the clusters that are taken.

use alloc::vec::Vec;

use super::Fault;
use super::boot::{Geometry, Kind};
use crate::cache::{BLOCK, Chunk, Device};
use crate::sectors::{Sectors, SectorsError};

/// What the table says of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Free,
    Next(u32),
    End,
    Bad,
}

/// A run of clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// The table that is in use, read a block at a time.
pub(super) struct Table {
    geometry: Geometry,
    window: Option<(u64, Chunk)>,
    /// The last block that the device could not read: it is not asked for it at each entry.
    failed: Option<u64>,
}

impl Table {
    pub(super) fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            window: None,
            failed: None,
        }
    }

    /// Where the entry of a cluster begins, in bytes of the device.
    pub(super) fn place(&self, cluster: u32) -> u64 {
        let Geometry { tables, table, .. } = self.geometry;
        let index = match self.geometry.kind {
            Kind::Fat12 => u64::from(cluster) * 3 / 2,
            Kind::Fat16 => u64::from(cluster) * 2,
            Kind::Fat32 => u64::from(cluster) * 4,
        };
        tables + u64::from(self.geometry.active) * table + index
    }

    /// The entry of a cluster.
    pub(super) async fn link<S: Sectors + 'static>(
        &mut self,
        device: &Device<S>,
        cluster: u32,
    ) -> Result<Link, Fault> {
        let at = self.place(cluster);
        let (value, all) = match self.geometry.kind {
            Kind::Fat12 => {
                let pair = u32::from(self.byte(device, at).await?)
                    | u32::from(self.byte(device, at + 1).await?) << 8;
                (pair >> (4 * (cluster & 1)) & 0xfff, 0xfff)
            }
            Kind::Fat16 => (self.number::<2, S>(device, at).await?, 0xffff),
            Kind::Fat32 => (
                self.number::<4, S>(device, at).await? & 0x0fff_ffff,
                0x0fff_ffff,
            ),
        };
        Ok(match value {
            0 => Link::Free,
            // The few highest numbers are clusters, too, if there are so many.
            _ if self.geometry.cluster_at(value).is_some() => Link::Next(value),
            _ if value >= all - 7 => Link::End,
            _ if value == all - 8 => Link::Bad,
            _ => Link::Next(value),
        })
    }

    async fn byte<S: Sectors + 'static>(
        &mut self,
        device: &Device<S>,
        at: u64,
    ) -> Result<u8, Fault> {
        Ok(self.number::<1, S>(device, at).await? as u8)
    }

    /// A number of `N` bytes, which lie in one sector. What the device cannot read is taken from a
    /// copy of the table; what it can read is believed, whatever the copies say.
    async fn number<const N: usize, S: Sectors + 'static>(
        &mut self,
        device: &Device<S>,
        at: u64,
    ) -> Result<u32, Fault> {
        let copies = if self.geometry.mirrored {
            u64::from(self.geometry.copies)
        } else {
            1
        };
        for copy in 0..copies {
            match self.load(device, at + copy * self.geometry.table).await {
                Ok((chunk, skip)) => {
                    let bytes = chunk.get(skip..skip + N).unwrap_or(&[]);
                    return Ok(bytes
                        .iter()
                        .rev()
                        .fold(0, |n, byte| n << 8 | u32::from(*byte)));
                }
                Err(SectorsError::Failed) => {}
                Err(error) => return Err(Fault::Unreadable { at, error }),
            }
        }
        Err(Fault::Unreadable {
            at,
            error: SectorsError::Failed,
        })
    }

    /// The block of the table in which a byte is, and where there. If it must be read, others that
    /// follow are read with it.
    async fn load<S: Sectors + 'static>(
        &mut self,
        device: &Device<S>,
        at: u64,
    ) -> Result<(&Chunk, usize), SectorsError> {
        let number = at / BLOCK as u64;
        if !matches!(&self.window, Some((there, _)) if *there == number) {
            if self.failed == Some(number) {
                return Err(SectorsError::Failed);
            }
            let end = self.geometry.tables + u64::from(self.geometry.copies) * self.geometry.table;
            let run = end.div_ceil(BLOCK as u64).saturating_sub(number);
            let run = run.min(device.window() as u64) as usize;
            match device.block(number, run).await {
                Ok(chunk) => self.window = Some((number, chunk)),
                Err(error) => {
                    self.failed = Some(number);
                    return Err(error);
                }
            }
        }
        match &self.window {
            Some((_, chunk)) => Ok((chunk, (at % BLOCK as u64) as usize)),
            None => Err(SectorsError::OutOfMemory),
        }
    }
}

/// Clusters in one page of the map of clusters that are taken.
const PAGE: u32 = 1 << 15;

/// Which clusters are in a chain. Pages of it that are never used are not there.
pub(super) struct Taken {
    pages: Vec<Vec<u64>>,
}

impl Taken {
    /// A map of `clusters`; takes its memory out of `left`.
    pub(super) fn new(clusters: u32, left: &mut usize) -> Result<Self, super::MountError> {
        let mut pages = Vec::new();
        let count = (clusters / PAGE + 1) as usize;
        super::index::room(&mut pages, count, left)?;
        pages.resize_with(count, Vec::new);
        Ok(Self { pages })
    }

    /// Takes a cluster; says whether it was free. Clusters are counted from 0 here.
    pub(super) fn take(&mut self, index: u32, left: &mut usize) -> Result<bool, super::MountError> {
        let Some(page) = self.pages.get_mut((index / PAGE) as usize) else {
            return Ok(false);
        };
        if page.is_empty() {
            super::index::room(page, (PAGE / 64) as usize, left)?;
            page.resize((PAGE / 64) as usize, 0);
        }
        let word = &mut page[(index % PAGE / 64) as usize];
        let bit = 1 << (index % 64);
        let free = *word & bit == 0;
        *word |= bit;
        Ok(free)
    }
}
