//! Which layout a volume gets: the type and the size of clusters as mkfs.fat has them.

use std::fmt;

use super::boot::{Boot, Kind, MAX_CLUSTERS_12, MAX_CLUSTERS_16, MAX_CLUSTERS_32, NO_LABEL, SLOT};

/// What is asked for; what is left open is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The type.
    pub kind: Option<Kind>,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// Bytes in a cluster.
    pub cluster_size: Option<u32>,
    /// The label.
    pub label: Option<[u8; 11]>,
    /// Slots in the root directory of FAT12 and FAT16, rounded up to whole sectors.
    pub root_slots: u32,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            kind: None,
            sector_size: 512,
            cluster_size: None,
            label: None,
            root_slots: ROOT_SLOTS,
        }
    }
}

/// Slots in a root directory if nothing else is said.
pub const ROOT_SLOTS: u32 = 512;

/// Why there is no such layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// Not 512, 1024, 2048 or 4096.
    SectorSize(u32),
    /// Not a power of two from a sector to 64 KiB and 128 sectors.
    ClusterSize(u32),
    /// Not even one cluster.
    TooSmall,
    /// More sectors than 32 bits can count, or more clusters than the type has.
    TooLarge,
    /// The type has not this many clusters: type, least, most, those there would be.
    Clusters(Kind, u32, u32, u64),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SectorSize(size) => {
                write!(
                    f,
                    "a sector of {size} bytes: 512, 1024, 2048 or 4096 can be had"
                )
            }
            Self::ClusterSize(size) => write!(
                f,
                "a cluster of {size} bytes: powers of two from a sector to 128 sectors and 64 KiB \
                 can be had"
            ),
            Self::TooSmall => write!(f, "too small for a FAT volume"),
            Self::TooLarge => write!(f, "too large for a FAT volume"),
            Self::Clusters(kind, least, most, would) => write!(
                f,
                "{kind} has {least} to {most} clusters, and this would be {would}: choose another \
                 size of image or of clusters, or another type"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

/// How few and how many clusters make a type.
fn range(kind: Kind) -> (u32, u32) {
    match kind {
        Kind::Fat12 => (1, MAX_CLUSTERS_12),
        Kind::Fat16 => (MAX_CLUSTERS_12 + 1, MAX_CLUSTERS_16),
        Kind::Fat32 => (MAX_CLUSTERS_16 + 1, MAX_CLUSTERS_32),
    }
}

const KIB: u32 = 1024;
const MAX_CLUSTER: u32 = 64 * KIB;

/// From how many bytes on a volume is FAT32 by itself.
const WIDE_FROM: u64 = 512 << 20;

/// The layout of a volume of so many bytes, rounded down to whole sectors.
pub fn layout(bytes: u64, wanted: &Wanted) -> Result<Boot, LayoutError> {
    check(wanted)?;
    let sectors = bytes / u64::from(wanted.sector_size);
    let sectors = u32::try_from(sectors).map_err(|_| LayoutError::TooLarge)?;
    let mut refused = LayoutError::TooSmall;
    for (kind, cluster_size) in candidates(bytes, wanted) {
        match fit(kind, cluster_size, sectors, wanted) {
            Ok(boot) => return Ok(boot),
            // The first reason is that of the first choice.
            Err(error) if refused == LayoutError::TooSmall => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// The smallest layout that has so many clusters, given the type and their size. `bytes` is about what is to be
/// held, by which the type is chosen.
pub fn layout_for(
    clusters: impl Fn(Kind, u32) -> u64,
    bytes: u64,
    wanted: &Wanted,
) -> Result<Boot, LayoutError> {
    check(wanted)?;
    let mut refused = LayoutError::TooSmall;
    for (kind, cluster_size) in candidates(bytes, wanted) {
        let (least, most) = range(kind);
        let needs = clusters(kind, cluster_size).max(1);
        let count = needs.max(u64::from(if wanted.kind == Some(kind) { least } else { 0 }));
        if !(u64::from(least)..=u64::from(most)).contains(&count) {
            if refused == LayoutError::TooSmall {
                refused = LayoutError::Clusters(kind, least, most, needs);
            }
            continue;
        }
        let per = cluster_size / wanted.sector_size;
        let table = table_for(kind, count as u32, wanted);
        let (_, data) = place(kind, per, table, wanted);
        let Ok(sectors) = u32::try_from(u64::from(data) + count * u64::from(per)) else {
            return Err(LayoutError::TooLarge);
        };
        return build(kind, per, table, sectors, wanted);
    }
    Err(refused)
}

fn check(wanted: &Wanted) -> Result<(), LayoutError> {
    let sector = wanted.sector_size;
    if !sector.is_power_of_two() || !(512..=4096).contains(&sector) {
        return Err(LayoutError::SectorSize(sector));
    }
    match wanted.cluster_size {
        Some(size)
            if !size.is_power_of_two()
                || !(sector..=MAX_CLUSTER.min(sector * 128)).contains(&size) =>
        {
            Err(LayoutError::ClusterSize(size))
        }
        _ => Ok(()),
    }
}

/// Types with sizes of clusters, the best first.
fn candidates(bytes: u64, wanted: &Wanted) -> Vec<(Kind, u32)> {
    let kinds = match wanted.kind {
        Some(kind) => vec![kind],
        None if bytes >= WIDE_FROM => vec![Kind::Fat32],
        None => vec![Kind::Fat12, Kind::Fat16],
    };
    let sizes: Vec<u32> = match wanted.cluster_size {
        Some(size) => vec![size],
        None if kinds == [Kind::Fat32] => {
            let first = match bytes >> 20 {
                ..260 => 512,
                260..8192 => 4 * KIB,
                8192..16_384 => 8 * KIB,
                16_384..32_768 => 16 * KIB,
                _ => 32 * KIB,
            };
            vec![first, 2 * first, first / 2, first / 4, first / 8]
        }
        None => [2, 4, 8, 16, 32, 64]
            .map(|k| k * KIB)
            .into_iter()
            .chain([KIB, 512])
            .collect(),
    };
    let sizes = sizes.into_iter().map(|size| size.max(wanted.sector_size));
    let sizes = sizes.filter(|size| *size <= MAX_CLUSTER.min(wanted.sector_size * 128));
    sizes
        .flat_map(|size| kinds.iter().map(move |kind| (*kind, size)))
        .collect()
}

/// Reserved sectors, and the sector at which the clusters begin: at a multiple of their size.
fn place(kind: Kind, per: u32, table: u32, wanted: &Wanted) -> (u32, u32) {
    let least = if kind == Kind::Fat32 { 32 } else { 1 };
    let root = (root_slots(kind, wanted) * SLOT) / wanted.sector_size;
    let data = (least + TABLES * table + root).next_multiple_of(per);
    (data - TABLES * table - root, data)
}

/// Copies of the table.
const TABLES: u32 = 2;

fn root_slots(kind: Kind, wanted: &Wanted) -> u32 {
    match kind {
        Kind::Fat32 => 0,
        _ => wanted
            .root_slots
            .max(1)
            .next_multiple_of(wanted.sector_size / SLOT),
    }
}

fn fit(kind: Kind, cluster_size: u32, sectors: u32, wanted: &Wanted) -> Result<Boot, LayoutError> {
    let per = cluster_size / wanted.sector_size;
    let clusters_with = |table: u32| {
        let (_, data) = place(kind, per, table, wanted);
        sectors.saturating_sub(data) / per
    };
    let fits = |table: u32| table_for(kind, clusters_with(table), wanted) <= table;
    // A longer table leaves fewer clusters: from above, the shortest that is long enough.
    let mut table = table_for(kind, clusters_with(1), wanted);
    while table > 1 && fits(table - 1) {
        table -= 1;
    }
    build(kind, per, table, sectors, wanted)
}

/// Sectors that a table for so many clusters takes.
fn table_for(kind: Kind, clusters: u32, wanted: &Wanted) -> u32 {
    let bits = (u64::from(clusters) + 2) * u64::from(kind.bits());
    bits.div_ceil(u64::from(wanted.sector_size) * 8) as u32
}

fn build(
    kind: Kind,
    per: u32,
    table: u32,
    sectors: u32,
    wanted: &Wanted,
) -> Result<Boot, LayoutError> {
    let (reserved, data) = place(kind, per, table, wanted);
    let clusters = sectors.saturating_sub(data) / per;
    if clusters == 0 {
        return Err(LayoutError::TooSmall);
    }
    let (least, most) = range(kind);
    if !(least..=most).contains(&clusters) {
        return Err(LayoutError::Clusters(kind, least, most, clusters.into()));
    }
    let wide = kind == Kind::Fat32;
    Ok(Boot {
        kind,
        sector_size: wanted.sector_size,
        cluster_sectors: per,
        reserved,
        tables: TABLES,
        table_sectors: table,
        root_slots: root_slots(kind, wanted),
        sectors,
        clusters,
        root_cluster: if wide { 2 } else { 0 },
        info_sector: if wide { 1 } else { 0 },
        backup_sector: if wide { 6 } else { 0 },
        misplaced: None,
        active: None,
        media: 0xf8,
        oem: *b"mir-www ",
        serial: Some(0),
        label: Some(wanted.label.unwrap_or(*NO_LABEL)),
        dirty: false,
    })
}

/// A label as it stands in a volume: up to 11 characters that a short name may have, and spaces.
pub fn label(text: &str) -> Result<[u8; 11], &'static str> {
    let text = text.trim_end();
    let upper = text.to_ascii_uppercase();
    let allowed = |byte: u8| {
        matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b' ') || b"$%'-_@~`!(){}^#&".contains(&byte)
    };
    if upper.is_empty() || upper.starts_with(' ') || upper.as_bytes() == NO_LABEL.trim_ascii_end() {
        return Err("a label has a character at its beginning that is not a space");
    }
    if !upper.bytes().all(allowed) {
        return Err("a label has letters A to Z, digits, spaces, and $%'-_@~`!(){}^#&");
    }
    if upper.len() > 11 {
        return Err("a label has 11 characters at most");
    }
    let mut label = [b' '; 11];
    label[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kib: u64) -> String {
        let boot = layout(kib * 1024, &Wanted::default()).unwrap();
        let (kind, size) = (boot.kind, boot.cluster_size());
        assert_eq!(Boot::decode(&boot.encode(), boot.len()), Ok(boot));
        format!("{kind} {size}")
    }

    #[test]
    fn types_and_clusters_as_mkfs_has_them() {
        for (kib, what) in [
            (64, "FAT12 2048"),
            (4084, "FAT12 2048"),
            (8192, "FAT12 2048"),
            (8300, "FAT16 2048"),
            (16_384, "FAT16 2048"),
            (65_536, "FAT16 2048"),
            (262_144, "FAT16 4096"),
            (524_287, "FAT16 8192"),
            (524_288, "FAT32 4096"),
            (1_048_576, "FAT32 4096"),
            (10 << 20, "FAT32 8192"),
            (40 << 20, "FAT32 32768"),
        ] {
            assert_eq!(of(kib), what, "{kib} KiB");
        }
    }

    #[test]
    fn every_size_has_a_layout_whose_table_is_neither_short_nor_long() {
        for sector_size in [512, 1024, 2048, 4096] {
            for kib in (200..40_000).step_by(7).chain([1 << 18, 1 << 19, 1 << 22]) {
                let wanted = Wanted {
                    sector_size,
                    ..Wanted::default()
                };
                let boot = layout(kib * 1024, &wanted).unwrap_or_else(|e| panic!("{kib}: {e}"));
                let bits = (u64::from(boot.clusters) + 2) * u64::from(boot.kind.bits());
                let needs = bits.div_ceil(u64::from(sector_size) * 8) as u32;
                assert!(
                    (needs..=needs + 1).contains(&boot.table_sectors),
                    "{kib}: {boot:?}"
                );
                assert_eq!(Boot::decode(&boot.encode(), boot.len()), Ok(boot));
            }
        }
    }

    #[test]
    fn a_layout_for_contents_has_no_sector_too_many() {
        let kinds = [
            None,
            Some(Kind::Fat12),
            Some(Kind::Fat16),
            Some(Kind::Fat32),
        ];
        for (kind, clusters) in kinds.iter().flat_map(|kind| {
            [
                1u64, 2, 340, 341, 4083, 4084, 4085, 9000, 65_523, 65_524, 65_525, 200_000,
            ]
            .map(|clusters| (*kind, clusters))
        }) {
            let wanted = Wanted {
                kind,
                ..Wanted::default()
            };
            let needs = |size: u32| clusters * 2048 / u64::from(size);
            let Ok(boot) = layout_for(|_, size| needs(size), clusters * 2048, &wanted) else {
                assert!(kind.is_some() || clusters == 65_525, "{kind:?} {clusters}");
                continue;
            };
            let has = u64::from(boot.clusters);
            assert!(
                has >= needs(boot.cluster_size()),
                "{kind:?} {clusters}: {boot:?}"
            );
            let less = build(
                boot.kind,
                boot.cluster_sectors,
                boot.table_sectors,
                boot.sectors - 1,
                &wanted,
            );
            assert!(less.map_or(true, |less| less.clusters < boot.clusters));
        }
    }

    #[test]
    fn what_cannot_be_had() {
        let of = |bytes: u64, kind, cluster_size, sector_size| {
            let wanted = Wanted {
                kind,
                cluster_size,
                sector_size,
                ..Wanted::default()
            };
            layout(bytes, &wanted).unwrap_err()
        };
        assert_eq!(of(1000, None, None, 512), LayoutError::TooSmall);
        assert_eq!(of(1 << 20, None, None, 300), LayoutError::SectorSize(300));
        assert_eq!(
            of(1 << 20, None, Some(256), 512),
            LayoutError::ClusterSize(256)
        );
        assert_eq!(
            of(1 << 20, None, Some(1 << 17), 4096),
            LayoutError::ClusterSize(1 << 17)
        );
        assert_eq!(of(1 << 43, None, None, 512), LayoutError::TooLarge);
        let few = of(1 << 20, Some(Kind::Fat32), None, 512);
        assert!(
            matches!(few, LayoutError::Clusters(Kind::Fat32, 65_525, _, _)),
            "{few:?}"
        );
        let many = of(1 << 30, Some(Kind::Fat12), None, 512);
        assert!(
            matches!(many, LayoutError::Clusters(Kind::Fat12, ..)),
            "{many:?}"
        );
    }

    #[test]
    fn labels() {
        assert_eq!(label("my site"), Ok(*b"MY SITE    "));
        for bad in ["", " x", "a.b", "ä", "twelve chars", "NO NAME"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
