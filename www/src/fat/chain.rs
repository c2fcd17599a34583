//! The file allocation table, and the clusters that are taken.

use alloc::vec::Vec;

use super::MountError;
use super::boot::{Geometry, Kind};
use super::index::room;

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

/// Where the entry of a cluster begins, in bytes of a table, and how many bytes it touches.
pub(super) fn place(kind: Kind, cluster: u32) -> (u64, u64) {
    let cluster = u64::from(cluster);
    match kind {
        Kind::Fat12 => (cluster * 3 / 2, 2),
        Kind::Fat16 => (cluster * 2, 2),
        Kind::Fat32 => (cluster * 4, 4),
    }
}

/// What the bytes that an entry touches say, as one number, the first byte the lowest.
pub(super) fn link(geometry: &Geometry, cluster: u32, bytes: u32) -> Link {
    let (value, all) = match geometry.kind {
        Kind::Fat12 => (bytes >> (4 * (cluster & 1)) & 0xfff, 0xfff),
        Kind::Fat16 => (bytes, 0xffff),
        Kind::Fat32 => (bytes & 0x0fff_ffff, 0x0fff_ffff),
    };
    match value {
        0 => Link::Free,
        // The few highest numbers are clusters, too, if there are so many.
        _ if geometry.cluster_at(value).is_some() => Link::Next(value),
        _ if value >= all - 7 => Link::End,
        _ if value == all - 8 => Link::Bad,
        _ => Link::Next(value),
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
    pub(super) fn new(clusters: u32, left: &mut usize) -> Result<Self, MountError> {
        let mut pages = Vec::new();
        let count = (clusters / PAGE + 1) as usize;
        room(&mut pages, count, left)?;
        pages.resize_with(count, Vec::new);
        Ok(Self { pages })
    }

    /// Takes a cluster; says whether it was free. Clusters are counted from 0 here.
    pub(super) fn take(&mut self, index: u32, left: &mut usize) -> Result<bool, MountError> {
        let Some(page) = self.pages.get_mut((index / PAGE) as usize) else {
            return Ok(false);
        };
        if page.is_empty() {
            room(page, (PAGE / 64) as usize, left)?;
            page.resize((PAGE / 64) as usize, 0);
        }
        let word = &mut page[(index % PAGE / 64) as usize];
        let bit = 1 << (index % 64);
        let free = *word & bit == 0;
        *word |= bit;
        Ok(free)
    }
}
