//! The file allocation table, in memory.

use super::boot::{Boot, Kind};

/// What an entry of the table says about the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// In nobody's use.
    Free,
    /// Another cluster follows. It exists.
    Next(u32),
    /// The last one.
    End,
    /// The medium cannot hold it.
    Bad,
    /// A number that is no cluster's.
    Invalid(u32),
}

/// Clusters that lie one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first one.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// The entries of the table. Of FAT32 the upper four bits are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    kind: Kind,
    entries: Vec<u32>,
}

impl Table {
    /// A table of a new volume: all clusters are free.
    pub fn new(boot: &Boot) -> Self {
        let mut table = Self {
            kind: boot.kind,
            entries: vec![0; boot.clusters as usize + 2],
        };
        let end = table.end();
        table.entries[0] = end & !0xff | u32::from(boot.media);
        table.entries[1] = end;
        table
    }

    /// Reads a copy of the table, which is as long as the boot sector demands.
    pub fn decode(boot: &Boot, bytes: &[u8]) -> Self {
        let count = boot.clusters as usize + 2;
        let entries = match boot.kind {
            Kind::Fat12 => (0..count)
                .map(|at| {
                    let pair = u16::from_le_bytes([bytes[at * 3 / 2], bytes[at * 3 / 2 + 1]]);
                    u32::from(if at % 2 == 0 { pair & 0xfff } else { pair >> 4 })
                })
                .collect(),
            Kind::Fat16 => {
                let pairs = bytes.chunks_exact(2).take(count);
                let entry = |b: &[u8]| u32::from(u16::from_le_bytes([b[0], b[1]]));
                pairs.map(entry).collect()
            }
            Kind::Fat32 => {
                let fours = bytes.chunks_exact(4).take(count);
                let entry = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                fours.map(entry).collect()
            }
        };
        Self {
            kind: boot.kind,
            entries,
        }
    }

    /// The bytes of the table, without what lies behind its last entry.
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        match self.kind {
            Kind::Fat12 => {
                let mut out = vec![0; (self.entries.len() * 3).div_ceil(2)];
                for (at, entry) in entries.enumerate() {
                    let shifted = entry << (at % 2 * 4);
                    out[at * 3 / 2] |= shifted as u8;
                    out[at * 3 / 2 + 1] |= (shifted >> 8) as u8;
                }
                out
            }
            Kind::Fat16 => entries.flat_map(|e| (*e as u16).to_le_bytes()).collect(),
            Kind::Fat32 => entries.flat_map(|e| e.to_le_bytes()).collect(),
        }
    }

    /// What follows a cluster, which must exist.
    pub fn link(&self, cluster: u32) -> Link {
        let entry = self.entries[cluster as usize] & self.mask();
        let top = self.mask() - 8;
        match entry {
            0 => Link::Free,
            entry if entry > top => Link::End,
            entry if entry == top => Link::Bad,
            entry if entry >= 2 && self.exists(entry) => Link::Next(entry),
            entry => Link::Invalid(entry),
        }
    }

    /// Changes what follows a cluster: [`Link::Free`], [`Link::End`] or [`Link::Next`].
    pub fn set(&mut self, cluster: u32, link: Link) {
        let (end, mask) = (self.end(), self.mask());
        let entry = &mut self.entries[cluster as usize];
        let value = match link {
            Link::Free => 0,
            Link::Next(next) | Link::Invalid(next) => next & mask,
            Link::End => end,
            Link::Bad => end - 8,
        };
        *entry = *entry & !mask | value;
    }

    /// Whether there is such a cluster.
    pub fn exists(&self, cluster: u32) -> bool {
        cluster >= 2 && (cluster as usize) < self.entries.len()
    }

    /// All clusters.
    pub fn clusters(&self) -> std::ops::Range<u32> {
        2..self.entries.len() as u32
    }

    /// How many clusters are free.
    pub fn free(&self) -> u32 {
        self.clusters()
            .filter(|cluster| self.link(*cluster) == Link::Free)
            .count() as u32
    }

    /// The two entries before the first cluster's, without FAT32's upper bits.
    pub fn head(&self) -> [u32; 2] {
        [self.entries[0] & self.mask(), self.entries[1] & self.mask()]
    }

    /// Whether the first entry is a media byte, with ones above.
    pub fn has_proper_head(&self) -> bool {
        let [head, _] = self.head();
        head & 0xff >= 0xf0 && head | 0xff == self.end()
    }

    /// The bits of the second entry that say "unmounted" and "no error when reading".
    pub fn is_dirty(&self) -> bool {
        let [_, flags] = self.head();
        match self.kind {
            Kind::Fat12 => false,
            Kind::Fat16 => flags & 0xc000 != 0xc000,
            Kind::Fat32 => flags & 0x0c00_0000 != 0x0c00_0000,
        }
    }

    fn mask(&self) -> u32 {
        match self.kind {
            Kind::Fat12 => 0xfff,
            Kind::Fat16 => 0xffff,
            Kind::Fat32 => 0x0fff_ffff,
        }
    }

    fn end(&self) -> u32 {
        self.mask()
    }
}

/// The clusters of runs, one after the other.
pub fn clusters_of(runs: &[Run]) -> impl Iterator<Item = u32> + '_ {
    runs.iter().flat_map(|run| run.first..run.first + run.count)
}

/// Puts a cluster behind others, into the last run if it follows.
pub fn push(runs: &mut Vec<Run>, cluster: u32) {
    match runs.last_mut() {
        Some(run) if run.first + run.count == cluster => run.count += 1,
        _ => runs.push(Run {
            first: cluster,
            count: 1,
        }),
    }
}
