//! FAT volumes put together by hand, byte by byte, so that they can be wrong where a test wants it.

use std::ops::Range;
use std::rc::Rc;

use www::cache::Cache;
use www::fat::{Kind, Limits, ReadError, Volume};

use crate::disk::{Disk, run_within};

/// A record of a directory.
pub type Record = [u8; 32];

/// A volume of one-sector clusters.
pub struct Image {
    /// All bytes of it.
    pub bytes: Vec<u8>,
    kind: Kind,
    sector: usize,
    table: Range<usize>,
    copies: usize,
    root: Range<usize>,
    data: usize,
}

impl Image {
    /// An empty volume of so many clusters of `sector` bytes, with two tables. FAT32 has its root
    /// directory in cluster 2.
    pub fn new(kind: Kind, clusters: usize, sector: usize) -> Self {
        let bits = match kind {
            Kind::Fat12 => 12,
            Kind::Fat16 => 16,
            Kind::Fat32 => 32,
        };
        let per_table = ((clusters + 2) * bits).div_ceil(8 * sector);
        let reserved = if kind == Kind::Fat32 { 32 } else { 1 };
        let entries = if kind == Kind::Fat32 {
            0
        } else {
            sector / 32 * 4
        };
        let root = reserved + 2 * per_table;
        let data = root + entries * 32 / sector;
        let sectors = data + clusters;
        let mut bytes = vec![0; sectors * sector];
        let mut put = |at: usize, value: u64, len: usize| {
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        };
        put(0, 0x90_3ceb, 3);
        put(11, sector as u64, 2);
        put(13, 1, 1);
        put(14, reserved as u64, 2);
        put(16, 2, 1);
        put(17, entries as u64, 2);
        put(21, 0xf8, 1);
        put(32, sectors as u64, 4);
        if kind == Kind::Fat32 {
            put(36, per_table as u64, 4);
            put(44, 2, 4);
        } else {
            put(22, per_table as u64, 2);
        }
        put(510, 0xaa55, 2);
        let mut image = Self {
            bytes,
            kind,
            sector,
            table: reserved * sector..(reserved + per_table) * sector,
            copies: 2,
            root: root * sector..data * sector,
            data: data * sector,
        };
        image.link(0, 0x0fff_fff8);
        image.link(1, 0x0fff_ffff);
        if kind == Kind::Fat32 {
            image.chain(&[2]);
        }
        image
    }

    /// Sets the entry of a cluster in all tables.
    pub fn link(&mut self, cluster: u32, value: u32) {
        for copy in 0..self.copies {
            self.link_in(copy, cluster, value);
        }
    }

    /// Sets the entry of a cluster in one table.
    pub fn link_in(&mut self, copy: usize, cluster: u32, value: u32) {
        let table = self.table.start + copy * self.table.len();
        let cluster = cluster as usize;
        match self.kind {
            Kind::Fat12 => {
                let at = table + cluster * 3 / 2;
                let old = u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]]);
                let value = value as u16 & 0xfff;
                let new = match cluster & 1 {
                    0 => old & 0xf000 | value,
                    _ => old & 0x000f | value << 4,
                };
                self.bytes[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
            Kind::Fat16 => {
                let at = table + cluster * 2;
                self.bytes[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
            }
            Kind::Fat32 => {
                let at = table + cluster * 4;
                self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Links clusters to a chain with an end.
    pub fn chain(&mut self, clusters: &[u32]) {
        for pair in clusters.windows(2) {
            self.link(pair[0], pair[1]);
        }
        if let Some(last) = clusters.last() {
            self.link(*last, 0x0fff_ffff);
        }
    }

    /// Where a cluster is.
    pub fn cluster(&self, cluster: u32) -> Range<usize> {
        let at = self.data + (cluster as usize - 2) * self.sector;
        at..at + self.sector
    }

    /// Where a table is.
    pub fn table(&self, copy: usize) -> Range<usize> {
        let at = self.table.start + copy * self.table.len();
        at..at + self.table.len()
    }

    /// Fills clusters with bytes.
    pub fn fill(&mut self, clusters: &[u32], bytes: &[u8]) {
        for (cluster, part) in clusters.iter().zip(bytes.chunks(self.sector)) {
            let range = self.cluster(*cluster);
            self.bytes[range.start..range.start + part.len()].copy_from_slice(part);
        }
    }

    /// Puts records into the root directory.
    pub fn root(&mut self, records: &[Record]) {
        let start = match self.kind {
            Kind::Fat32 => self.cluster(2).start,
            _ => self.root.start,
        };
        let bytes = records.concat();
        self.bytes[start..start + bytes.len()].copy_from_slice(&bytes);
    }

    /// Makes a directory of clusters.
    pub fn directory(&mut self, clusters: &[u32], records: &[Record]) {
        self.chain(clusters);
        self.fill(clusters, &records.concat());
    }
}

/// A record with a short name, which is given as it is on the disk: `b"README  TXT"`.
pub fn record(name: &[u8; 11], attributes: u8, cluster: u32, size: u32) -> Record {
    let mut record = [0; 32];
    record[..11].copy_from_slice(name);
    record[11] = attributes;
    record[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    // 2024-05-17 13:45:58
    record[22..24].copy_from_slice(&(13u16 << 11 | 45 << 5 | 29).to_le_bytes());
    record[24..26].copy_from_slice(&((2024u16 - 1980) << 9 | 5 << 5 | 17).to_le_bytes());
    record[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    record[28..32].copy_from_slice(&size.to_le_bytes());
    record
}

/// A file.
pub fn file(name: &[u8; 11], cluster: u32, size: u32) -> Record {
    record(name, 0x20, cluster, size)
}

/// A directory.
pub fn folder(name: &[u8; 11], cluster: u32) -> Record {
    record(name, 0x10, cluster, 0)
}

/// The sum by which the pieces of a long name know their short name.
pub fn checksum(name: &[u8; 11]) -> u8 {
    name.iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The records of a long name, in the order that they have on a disk.
pub fn long(units: &[u16], short: &[u8; 11]) -> Vec<Record> {
    let pieces = units.len().div_ceil(13);
    let mut padded = units.to_vec();
    if padded.len() < pieces * 13 {
        padded.push(0);
    }
    padded.resize(pieces * 13, 0xffff);
    let records = padded.chunks(13).enumerate().map(|(number, piece)| {
        let mut record = [0; 32];
        record[0] = number as u8 + 1;
        if number + 1 == pieces {
            record[0] |= 0x40;
        }
        record[11] = 0x0f;
        record[13] = checksum(short);
        let places = (1..11)
            .step_by(2)
            .chain((14..26).step_by(2))
            .chain([28, 30]);
        for (at, unit) in places.zip(piece) {
            record[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        record
    });
    let mut records: Vec<_> = records.collect();
    records.reverse();
    records
}

/// A file with a long name.
pub fn named(name: &str, short: &[u8; 11], cluster: u32, size: u32) -> Vec<Record> {
    let units: Vec<_> = name.encode_utf16().collect();
    let mut records = long(&units, short);
    records.push(file(short, cluster, size));
    records
}

/// A good volume of 512-byte clusters, at least 550 of them: folders within folders, long names, chains in pieces.
pub fn sample(kind: Kind, clusters: usize) -> Image {
    let mut image = Image::new(kind, clusters, 512);
    let mut next = 10;
    let mut take = |count: u32| {
        let first = next;
        next += count + 3;
        (first..first + count).collect::<Vec<_>>()
    };
    let mut inner: Vec<Record> = Vec::new();
    for level in 0..12u32 {
        let mut records = Vec::new();
        for n in 0..6u32 {
            let mut content = take(n + 1);
            // Every second one has its clusters the wrong way round.
            if n % 2 == 1 {
                content.reverse();
            }
            image.chain(&content);
            let mut short = *b"NAME0000TXT";
            short[4..8].copy_from_slice(format!("{level:02}{n:02}").as_bytes());
            let size = 512 * n + 100;
            if n < 3 {
                records.push(file(&short, content[0], size));
            } else {
                let name = format!("A long name, level {level}, number {n}.txt");
                records.extend(named(&name, &short, content[0], size));
            }
        }
        records.extend(inner);
        let clusters = take((records.len() as u32).div_ceil(16));
        image.directory(&clusters, &records);
        inner = vec![folder(b"FOLDER     ", clusters[0])];
    }
    image.root(&inner);
    image
}

/// Numbers that look random, and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}

/// The most that a volume of these may ask its device for, and the most polls.
const REQUESTS: usize = 5_000;
const POLLS: u64 = 100_000;

/// Mounts a volume, reads all that is on it, and panics if something is not as it must be for any
/// bytes whatever. Says whether something was broken.
pub fn check(bytes: Vec<u8>, what: &str) -> bool {
    let disk = Disk::new(bytes);
    disk.set_best_read(64 << 10);
    let cache = Cache::new(512 << 10);
    let limits = Limits {
        entries: 5000,
        depth: 20,
        memory: 512 << 10,
    };
    let mounted = run_within(POLLS, Volume::mount(disk.clone(), &cache, limits));
    let requests = disk.take_log().len();
    assert!(requests < REQUESTS, "{what}: {requests} requests to mount");
    let volume = match mounted {
        Ok(volume) => Rc::new(volume),
        Err(error) => {
            assert!(error.to_string().len() > 5, "{what}: {error:?}");
            return false;
        }
    };
    assert!(volume.memory() <= limits.memory, "{what}");
    let mut broken = 0;
    for problem in volume.problems() {
        assert!(problem.to_string().len() > 10, "{what}: {problem:?}");
        broken += usize::from(problem.entry.is_broken());
    }
    let listed = volume.entries().filter(|entry| entry.is_broken()).count();
    assert!(
        listed <= broken + volume.more_problems(),
        "{what}: broken without a reason"
    );
    let mut total = 0;
    for entry in volume.entries() {
        let path = entry.path().to_string();
        let found = volume.find(path.as_bytes()).expect(what);
        assert_eq!(found.path().to_string(), path, "{what}");
        let Some(file) = entry.file() else { continue };
        let mut reader = volume.open(file);
        let mut len = 0;
        let outcome = run_within(POLLS, async {
            while let Some(chunk) = reader.chunk().await? {
                len += chunk.len() as u64;
            }
            Ok(())
        });
        match outcome {
            Ok(()) => assert_eq!(len, file.size(), "{what}"),
            Err(ReadError::Broken) => assert!(file.is_broken() && len == 0, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        total += len;
    }
    // Each cluster is in one file at the most.
    assert!(total <= volume.sectors().bytes().len() as u64, "{what}");
    let counters = cache.counters();
    assert!(counters.blocks <= counters.capacity, "{what}");
    assert_eq!(counters.held, 0, "{what}");
    assert!(disk.take_log().len() < REQUESTS, "{what}");
    broken > 0
}
