//! The boot sector: a volume's layout. Source: Microsoft, "FAT: General Overview of On-Disk
//! Format", version 1.03.

use std::fmt;

/// Up to how many clusters a volume may have to be FAT12, and FAT16.
pub const MAX_CLUSTERS_12: u32 = 4084;
/// See [`MAX_CLUSTERS_12`].
pub const MAX_CLUSTERS_16: u32 = 65_524;
/// The most clusters that FAT32's numbers of 28 bits can name.
pub const MAX_CLUSTERS_32: u32 = 0x0fff_fff5;

/// Bytes in a directory's slot.
pub const SLOT: u32 = 32;

/// The three widths of a table's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 32 bits, of which 28 are used.
    Fat32,
}

impl Kind {
    /// Bits in an entry of the table.
    pub fn bits(self) -> u32 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAT{}", self.bits())
    }
}

/// A volume's layout and what else its boot sector says. Sectors are the volume's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The width of the table's entries.
    pub kind: Kind,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// Sectors in a cluster.
    pub cluster_sectors: u32,
    /// Sectors before the first table.
    pub reserved: u32,
    /// Copies of the table.
    pub tables: u32,
    /// Sectors in one table.
    pub table_sectors: u32,
    /// Slots in the root directory of FAT12 and FAT16; 0 on FAT32.
    pub root_slots: u32,
    /// Sectors in the volume.
    pub sectors: u32,
    /// Clusters that the volume has: they are numbered from 2.
    pub clusters: u32,
    /// Where FAT32's root directory begins; 0 on the others.
    pub root_cluster: u32,
    /// FAT32's FSInfo sector, 0 for none.
    pub info_sector: u32,
    /// FAT32's copy of the boot sector, 0 for none.
    pub backup_sector: u32,
    /// A number that should be that of a sector before the tables and is not: at which byte, and
    /// the number. FSInfo or the copy is taken not to be there then.
    pub misplaced: Option<(u64, u32)>,
    /// The table that is in use alone, where FAT32 does not mirror them.
    pub active: Option<u32>,
    /// The media byte.
    pub media: u8,
    /// Who made it.
    pub oem: [u8; 8],
    /// The volume's number, if it has one.
    pub serial: Option<u32>,
    /// The label in the boot sector, if it has one.
    pub label: Option<[u8; 11]>,
    /// Whether it says that it was not unmounted.
    pub dirty: bool,
}

/// Why a boot sector is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootError {
    /// Less than 512 bytes.
    Short,
    /// The last bytes of the first 512 are not 55 AA.
    NoSignature,
    /// Not a power of two between 512 and 4096.
    SectorSize(u32),
    /// Not a power of two between 1 and 128.
    ClusterSectors(u32),
    /// No sectors before the table.
    NoReserved,
    /// No copy of the table, or more than there can be.
    Tables(u32),
    /// A table without sectors.
    NoTable,
    /// FAT12 or FAT16 without a root directory.
    NoRoot,
    /// A version of FAT32 that nobody has written.
    Version(u16),
    /// The parts before the clusters take more sectors than there are.
    NoClusters,
    /// More clusters than the entries can number.
    TooManyClusters(u32),
    /// A table that is too short for the clusters.
    ShortTable {
        /// The clusters that there are.
        clusters: u32,
        /// The clusters that the table has entries for.
        entries: u64,
    },
    /// The root directory of FAT32 begins at no cluster.
    RootCluster(u32),
    /// The volume is longer than the image.
    Beyond {
        /// Bytes that the volume has.
        volume: u64,
        /// Bytes in the image.
        image: u64,
    },
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a FAT volume: ")?;
        match self {
            Self::Short => write!(f, "there is not even a boot sector"),
            Self::NoSignature => write!(f, "the boot sector's signature at 0x1fe is missing"),
            Self::SectorSize(bytes) => write!(f, "sectors of {bytes} bytes"),
            Self::ClusterSectors(sectors) => write!(f, "clusters of {sectors} sectors"),
            Self::NoReserved => write!(f, "no reserved sectors"),
            Self::Tables(tables) => write!(f, "{tables} tables"),
            Self::NoTable => write!(f, "a table of 0 sectors"),
            Self::NoRoot => write!(f, "a root directory of 0 entries"),
            Self::Version(version) => write!(f, "version {version:#06x} of FAT32 is not known"),
            Self::NoClusters => write!(f, "it has no cluster"),
            Self::TooManyClusters(clusters) => write!(f, "{clusters} clusters are too many"),
            Self::ShortTable { clusters, entries } => {
                write!(f, "a table of {entries} entries for {clusters} clusters")
            }
            Self::RootCluster(at) => {
                write!(
                    f,
                    "its root directory is to begin at cluster {at}, which does not exist"
                )
            }
            Self::Beyond { volume, image } => {
                write!(f, "it is to have {volume} bytes and the image has {image}")
            }
        }
    }
}

impl std::error::Error for BootError {}

const MIRROR_OFF: u16 = 0x80;

impl Boot {
    /// Reads a boot sector from its first 512 bytes; `image` is the image's length in bytes.
    pub fn decode(bytes: &[u8], image: u64) -> Result<Self, BootError> {
        let Some(bytes) = bytes.first_chunk::<512>() else {
            return Err(BootError::Short);
        };
        let u8_at = |at: usize| u32::from(bytes[at]);
        let u16_at = |at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        if bytes[510..] != [0x55, 0xaa] {
            return Err(BootError::NoSignature);
        }
        let sector_size = u16_at(11);
        if !sector_size.is_power_of_two() || !(512..=4096).contains(&sector_size) {
            return Err(BootError::SectorSize(sector_size));
        }
        let cluster_sectors = u8_at(13);
        if !cluster_sectors.is_power_of_two() {
            return Err(BootError::ClusterSectors(cluster_sectors));
        }
        let reserved = u16_at(14);
        if reserved == 0 {
            return Err(BootError::NoReserved);
        }
        let tables = u8_at(16);
        if !(1..=8).contains(&tables) {
            return Err(BootError::Tables(tables));
        }
        let root_slots = u16_at(17);
        let sectors = match u16_at(19) {
            0 => u32_at(32),
            short => short,
        };
        let wide = u16_at(22) == 0;
        let table_sectors = if wide { u32_at(36) } else { u16_at(22) };
        if table_sectors == 0 {
            return Err(BootError::NoTable);
        }
        if !wide && root_slots == 0 {
            return Err(BootError::NoRoot);
        }
        let version = u16_at(42) as u16;
        if wide && version != 0 {
            return Err(BootError::Version(version));
        }
        let before = u64::from(reserved)
            + u64::from(tables) * u64::from(table_sectors)
            + u64::from((root_slots * SLOT).div_ceil(sector_size));
        let clusters = u64::from(sectors).saturating_sub(before) / u64::from(cluster_sectors);
        let clusters = clusters as u32;
        if clusters == 0 {
            return Err(BootError::NoClusters);
        }
        let kind = match clusters {
            _ if wide => Kind::Fat32,
            // ocaml-fat writes entries of 16 bits whatever the size, and names the type.
            ..=MAX_CLUSTERS_12 if &bytes[3..11] == OCAML && &bytes[54..62] == b"FAT16   " => {
                Kind::Fat16
            }
            _ if clusters <= MAX_CLUSTERS_12 => Kind::Fat12,
            ..=MAX_CLUSTERS_16 => Kind::Fat16,
            _ => return Err(BootError::TooManyClusters(clusters)),
        };
        if clusters > MAX_CLUSTERS_32 {
            return Err(BootError::TooManyClusters(clusters));
        }
        let entries =
            u64::from(table_sectors) * u64::from(sector_size) * 8 / u64::from(kind.bits());
        if entries < u64::from(clusters) + 2 {
            return Err(BootError::ShortTable { clusters, entries });
        }
        let root_cluster = if wide { u32_at(44) } else { 0 };
        if wide && !(2..clusters + 2).contains(&root_cluster) {
            return Err(BootError::RootCluster(root_cluster));
        }
        let volume = u64::from(sectors) * u64::from(sector_size);
        if volume > image {
            return Err(BootError::Beyond { volume, image });
        }
        let flags = if wide { u16_at(40) as u16 } else { 0 };
        let sector = |at: usize| match u16_at(at) {
            sector if wide && sector < reserved => sector,
            _ => 0,
        };
        // 0 and ffff are for "none".
        let is_misplaced = |at: &usize| wide && (reserved..0xffff).contains(&u16_at(*at));
        let misplaced = [48, 50].into_iter().find(is_misplaced);
        let extended = if wide { 64 } else { 36 };
        let has = |signature: &[u32]| signature.contains(&u8_at(extended + 2));
        Ok(Self {
            kind,
            sector_size,
            cluster_sectors,
            reserved,
            tables,
            table_sectors,
            root_slots,
            sectors,
            clusters,
            root_cluster,
            info_sector: sector(48),
            backup_sector: sector(50),
            misplaced: misplaced.map(|at| (at as u64, u16_at(at))),
            active: (flags & MIRROR_OFF != 0)
                .then(|| u32::from(flags & 0xf))
                .filter(|active| *active < tables),
            media: bytes[21],
            oem: std::array::from_fn(|at| bytes[3 + at]),
            serial: has(&[0x28, 0x29]).then(|| u32_at(extended + 3)),
            label: has(&[0x29]).then(|| std::array::from_fn(|at| bytes[extended + 7 + at])),
            dirty: bytes[extended + 1] & 1 != 0,
        })
    }

    /// The boot sector of a new volume: a whole sector.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; self.sector_size as usize];
        let wide = self.kind == Kind::Fat32;
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        let low = |number: u32| (number as u16).to_le_bytes();
        let short = |number: u32| {
            if number < 0x1_0000 && !wide {
                number
            } else {
                0
            }
        };
        // Nothing to boot: the jump leads to `int 0x18; hlt`, "no system on this disk".
        let code = if wide { 90 } else { 62 };
        put(0, &[0xeb, code as u8 - 2, 0x90]);
        put(3, &self.oem);
        put(11, &low(self.sector_size));
        put(13, &[self.cluster_sectors as u8]);
        put(14, &low(self.reserved));
        put(16, &[self.tables as u8]);
        put(17, &low(self.root_slots));
        put(19, &low(short(self.sectors)));
        put(21, &[self.media]);
        put(22, &low(short(self.table_sectors)));
        put(24, &low(63));
        put(26, &low(255));
        if short(self.sectors) == 0 {
            put(32, &self.sectors.to_le_bytes());
        }
        if wide {
            put(36, &self.table_sectors.to_le_bytes());
            put(44, &self.root_cluster.to_le_bytes());
            put(48, &low(self.info_sector));
            put(50, &low(self.backup_sector));
        }
        let extended = if wide { 64 } else { 36 };
        put(extended, &[0x80]);
        if let Some(serial) = self.serial {
            put(extended + 2, &[0x29]);
            put(extended + 3, &serial.to_le_bytes());
            put(extended + 7, &self.label.unwrap_or(*NO_LABEL));
            let kind: &[u8; 8] = match self.kind {
                Kind::Fat12 => b"FAT12   ",
                Kind::Fat16 => b"FAT16   ",
                Kind::Fat32 => b"FAT32   ",
            };
            put(extended + 18, kind);
        }
        put(code, &[0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
        put(510, &[0x55, 0xaa]);
        out
    }

    /// Where a volume's number stands in its boot sector.
    pub fn serial_at(&self) -> usize {
        if self.kind == Kind::Fat32 { 67 } else { 39 }
    }

    /// Bytes in a cluster.
    pub fn cluster_size(&self) -> u32 {
        self.cluster_sectors * self.sector_size
    }

    /// Clusters that so many bytes take.
    pub fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.cluster_size()))
    }

    /// The byte at which a copy of the table begins.
    pub fn table_at(&self, copy: u32) -> u64 {
        self.bytes(u64::from(self.reserved) + u64::from(copy) * u64::from(self.table_sectors))
    }

    /// Bytes in a copy of the table, of which the last may be of no use.
    pub fn table_len(&self) -> u64 {
        self.bytes(self.table_sectors.into())
    }

    /// The byte at which the root directory of FAT12 and FAT16 begins.
    pub fn root_at(&self) -> u64 {
        self.table_at(self.tables)
    }

    /// The byte at which a cluster begins, which must be from 2 on.
    pub fn cluster_at(&self, cluster: u32) -> u64 {
        let root = (self.root_slots * SLOT).div_ceil(self.sector_size);
        let clusters = u64::from(cluster - 2) * u64::from(self.cluster_sectors);
        self.root_at() + self.bytes(u64::from(root) + clusters)
    }

    /// Bytes in the volume.
    pub fn len(&self) -> u64 {
        self.bytes(self.sectors.into())
    }

    /// Whether the volume has no bytes, which none that was decoded is.
    pub fn is_empty(&self) -> bool {
        self.sectors == 0
    }

    fn bytes(&self, sectors: u64) -> u64 {
        sectors * u64::from(self.sector_size)
    }
}

/// What stands where a label would.
pub const NO_LABEL: &[u8; 11] = b"NO NAME    ";

const OCAML: &[u8; 8] = b"ocamlfat";
