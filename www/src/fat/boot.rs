//! The boot sector: where everything is.
//!
//! Every field that reading needs is checked, and nothing else. What it says about the volume's
//! size is compared with the device's, so that no number here is larger than what there is.
//! Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03.

use core::fmt;
use core::ops::Range;

/// Bytes of the boot sector that are read, whatever the size of a sector.
pub(super) const LEN: usize = 512;

// Where the fields are.
const OEM: Range<usize> = 3..11;
const SECTOR_SIZE: usize = 11;
const CLUSTER_SECTORS: usize = 13;
const RESERVED: usize = 14;
const FATS: usize = 16;
const ROOT_ENTRIES: usize = 17;
const SECTORS_16: usize = 19;
const MEDIA: usize = 21;
const FAT_SECTORS_16: usize = 22;
const SECTORS_32: usize = 32;
// FAT32 alone.
const FAT_SECTORS_32: usize = 36;
const FLAGS: usize = 40;
const VERSION: usize = 42;
const ROOT_CLUSTER: usize = 44;
const SIGNATURE: usize = 510;

/// Volumes with fewer clusters have 12-bit entries.
const FAT12_BELOW: u64 = 4085;
/// Volumes with fewer clusters than this have 16-bit entries at the most.
const FAT16_BELOW: u64 = 65_525;
/// The last cluster that a 28-bit entry can name is 0x0ffffff6.
const FAT32_CLUSTERS: u64 = 0x0fff_fff5;

/// How wide an entry of the file allocation table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 32 bits, of which 28 count.
    Fat32,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}

/// Where the root directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// In a region of its own: the first byte, and how many there are.
    Fixed(u64, u32),
    /// In a chain of clusters, which begins with this one.
    Chain(u32),
}

/// What a boot sector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The kind of volume, by the number of its clusters.
    pub kind: Kind,
    /// Bytes in a sector of the volume, which need not be those of the device.
    pub sector: u32,
    /// Bytes in a cluster.
    pub cluster: u32,
    /// The first byte of the first table.
    pub tables: u64,
    /// Bytes in one table.
    pub table: u64,
    /// How many tables there are.
    pub copies: u8,
    /// The table that is read.
    pub active: u8,
    /// Whether the other tables are copies of it.
    pub mirrored: bool,
    /// The root directory.
    pub root: Root,
    /// The first byte of cluster 2.
    pub data: u64,
    /// How many clusters there are. They are numbered from 2 on.
    pub clusters: u32,
    /// Bytes in the whole volume.
    pub size: u64,
    /// Whether the volume names ocaml-fat as the program that made it.
    pub ocaml: bool,
}

impl Geometry {
    /// Reads the first bytes of a volume.
    pub fn decode(sector: &[u8; LEN]) -> Result<Self, BootError> {
        let byte = |at: usize| sector[at];
        let word = |at: usize| u16::from_le_bytes([sector[at], sector[at + 1]]);
        let long = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;

        if word(SIGNATURE) != 0xaa55 {
            return Err(BootError::NoSignature);
        }
        let size = u32::from(word(SECTOR_SIZE));
        if !size.is_power_of_two() || !(512..=4096).contains(&size) {
            return Err(BootError::SectorSize(word(SECTOR_SIZE)));
        }
        let per_cluster = u32::from(byte(CLUSTER_SECTORS));
        if !per_cluster.is_power_of_two() {
            return Err(BootError::ClusterSize(byte(CLUSTER_SECTORS)));
        }
        if word(RESERVED) == 0 {
            return Err(BootError::NoReservedSectors);
        }
        if byte(FATS) == 0 {
            return Err(BootError::NoTables);
        }
        if !matches!(byte(MEDIA), 0xf0 | 0xf8..) {
            return Err(BootError::Media(byte(MEDIA)));
        }
        let entries = u32::from(word(ROOT_ENTRIES));
        let wide = word(FAT_SECTORS_16) == 0;
        let (table, sectors) = match (wide, word(SECTORS_16)) {
            (true, _) => (long(FAT_SECTORS_32), long(SECTORS_32)),
            (false, 0) => (u32::from(word(FAT_SECTORS_16)), long(SECTORS_32)),
            (false, sectors) => (u32::from(word(FAT_SECTORS_16)), u32::from(sectors)),
        };
        // Small FAT32 volumes come with the 16-bit count, now and then.
        let sectors = match sectors {
            0 => u64::from(word(SECTORS_16)),
            sectors => u64::from(sectors),
        };
        if table == 0 {
            return Err(BootError::NoTables);
        }
        if sectors == 0 {
            return Err(BootError::NoSectors);
        }
        if wide != (entries == 0) {
            return Err(BootError::RootEntries(word(ROOT_ENTRIES)));
        }

        // None of this overflows: 2^8 tables of 2^32 sectors of 2^12 bytes.
        let tables = u64::from(word(RESERVED));
        let root = tables + u64::from(byte(FATS)) * u64::from(table);
        let data = root + u64::from((entries * 32).div_ceil(size));
        let clusters = sectors.saturating_sub(data) / u64::from(per_cluster);
        if clusters == 0 {
            return Err(BootError::TooSmall { sectors, data });
        }
        let kind = match clusters {
            // Only FAT32 has its tables' size there, however small the volume is.
            _ if wide => Kind::Fat32,
            n if n < FAT12_BELOW => Kind::Fat12,
            n if n < FAT16_BELOW => Kind::Fat16,
            _ => return Err(BootError::TooManyClusters(clusters)),
        };
        let size = u64::from(size);
        let mut geometry = Self {
            kind,
            sector: size as u32,
            cluster: per_cluster * size as u32,
            tables: tables * size,
            table: u64::from(table) * size,
            copies: byte(FATS),
            active: 0,
            mirrored: true,
            root: Root::Fixed(root * size, entries * 32),
            data: data * size,
            clusters: clusters.min(FAT32_CLUSTERS) as u32,
            size: sectors * size,
            ocaml: sector[OEM] == *b"ocamlfat",
        };
        if wide {
            geometry.fat32(word(FLAGS), word(VERSION), long(ROOT_CLUSTER))?;
        }
        // A table too short for all clusters: those beyond it cannot be used.
        geometry.clusters = geometry.clusters.min(geometry.entries());
        if geometry.clusters == 0 {
            return Err(BootError::NoTables);
        }
        Ok(geometry)
    }

    fn fat32(&mut self, flags: u16, version: u16, root: u32) -> Result<(), BootError> {
        if version != 0 {
            return Err(BootError::Version(version));
        }
        if flags & 0x80 != 0 {
            self.mirrored = false;
            self.active = (flags & 0xf) as u8;
        }
        if self.active >= self.copies {
            return Err(BootError::ActiveTable(self.active));
        }
        self.root = Root::Chain(root);
        Ok(())
    }

    /// Clusters that a table has entries for.
    pub(super) fn entries(&self) -> u32 {
        let entries = match self.kind {
            Kind::Fat12 => self.table * 2 / 3,
            Kind::Fat16 => self.table / 2,
            Kind::Fat32 => self.table / 4,
        };
        u32::try_from(entries.saturating_sub(2)).unwrap_or(u32::MAX)
    }

    /// The first byte of a cluster, if there is such a one.
    pub fn cluster_at(&self, cluster: u32) -> Option<u64> {
        let index = cluster.checked_sub(2).filter(|i| *i < self.clusters)?;
        Some(self.data + u64::from(index) * u64::from(self.cluster))
    }
}

/// Why a boot sector is none of FAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootError {
    /// It does not end with 55 AA.
    NoSignature,
    /// Bytes in a sector: not 512, 1024, 2048 or 4096.
    SectorSize(u16),
    /// Sectors in a cluster: not a power of two.
    ClusterSize(u8),
    /// There is no sector before the tables, not even this one.
    NoReservedSectors,
    /// There are no file allocation tables, or they are empty.
    NoTables,
    /// The media descriptor is none.
    Media(u8),
    /// The volume has no sectors.
    NoSectors,
    /// Entries of the root directory: none in FAT12 and FAT16, or some in FAT32.
    RootEntries(u16),
    /// No cluster fits into the volume.
    TooSmall {
        /// Sectors in the volume.
        sectors: u64,
        /// Sectors before the first cluster.
        data: u64,
    },
    /// More clusters than 16-bit entries can count.
    TooManyClusters(u64),
    /// A version of FAT32 that is not known.
    Version(u16),
    /// The table that is in use is none of those that there are.
    ActiveTable(u8),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSignature => f.write_str("no boot sector (55 AA at byte 510)"),
            Self::SectorSize(n) => write!(f, "{n} bytes a sector (byte 11)"),
            Self::ClusterSize(n) => write!(f, "{n} sectors a cluster (byte 13)"),
            Self::NoReservedSectors => f.write_str("no reserved sectors (byte 14)"),
            Self::NoTables => f.write_str("no file allocation tables (bytes 16, 22, 36)"),
            Self::Media(n) => write!(f, "media descriptor {n:#04x} (byte 21)"),
            Self::NoSectors => f.write_str("no sectors (bytes 19, 32)"),
            Self::RootEntries(n) => write!(f, "{n} entries in the root directory (byte 17)"),
            Self::TooSmall { sectors, data } => {
                write!(
                    f,
                    "{sectors} sectors, and the first cluster at sector {data}"
                )
            }
            Self::TooManyClusters(n) => write!(f, "{n} clusters, too many for FAT16"),
            Self::Version(n) => write!(f, "FAT32 of version {n:#06x} (byte 42)"),
            Self::ActiveTable(n) => write!(f, "table {n} in use, which there is not (byte 40)"),
        }
    }
}

impl core::error::Error for BootError {}
