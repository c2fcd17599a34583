//! Images as ocaml-fat writes them: 16-bit entries however few clusters there are, pieces of long
//! names first to last, a UTF-16 unit for each byte of a name, no dates, directories without a
//! cluster until something is in them and without entries for themselves.
//!
//! Source: mirage/ocaml-fat, `src/fat_boot_sector.ml`, `fat_entry.ml`, `fat_name.ml`, `fat.ml`.

use std::rc::Rc;

use tests::disk::{Disk, run};
use tests::fat_image::{Record, long};
use www::cache::Cache;
use www::fat::{Kind, Limits, Volume};

const SECTOR: usize = 512;
const RESERVED: usize = 4;
const ROOT_ENTRIES: usize = 512;
const PER_CLUSTER: usize = 4;

/// `Fat_boot_sector.make` and `Fat_entry.make`, for a device of `size` bytes.
struct Ocaml {
    bytes: Vec<u8>,
    sectors_per_fat: usize,
    next: u16,
}

impl Ocaml {
    fn format(size: usize) -> Self {
        let total = (511 + size) / SECTOR;
        let clusters = (3 + total) / PER_CLUSTER;
        let sectors_per_fat = (clusters * 2).div_ceil(SECTOR);
        let mut bytes = vec![0; total * SECTOR];
        bytes[3..11].copy_from_slice(b"ocamlfat");
        bytes[11..13].copy_from_slice(&(SECTOR as u16).to_le_bytes());
        bytes[13] = PER_CLUSTER as u8;
        bytes[14..16].copy_from_slice(&(RESERVED as u16).to_le_bytes());
        bytes[16] = 1;
        bytes[17..19].copy_from_slice(&(ROOT_ENTRIES as u16).to_le_bytes());
        bytes[21] = 0xf8;
        bytes[22..24].copy_from_slice(&(sectors_per_fat as u16).to_le_bytes());
        bytes[32..36].copy_from_slice(&(total as u32).to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let mut image = Self {
            bytes,
            sectors_per_fat,
            next: 2,
        };
        image.entry(0, 0xfff8);
        image.entry(1, 0xffff);
        image
    }

    fn entry(&mut self, cluster: u16, value: u16) {
        let at = RESERVED * SECTOR + usize::from(cluster) * 2;
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn root(&self) -> usize {
        (RESERVED + self.sectors_per_fat) * SECTOR
    }

    /// Writes content to new clusters; says which is the first. Nothing has no cluster.
    fn content(&mut self, content: &[u8]) -> u16 {
        let first = self.next;
        for part in content.chunks(PER_CLUSTER * SECTOR) {
            let data = self.root() + ROOT_ENTRIES * 32;
            let at = data + usize::from(self.next - 2) * PER_CLUSTER * SECTOR;
            self.bytes[at..at + part.len()].copy_from_slice(part);
            if self.next != first {
                self.entry(self.next - 1, self.next);
            }
            self.next += 1;
        }
        if self.next == first {
            return 0;
        }
        self.entry(self.next - 1, 0xffff);
        first
    }

    fn put_root(&mut self, records: &[Record]) {
        let (at, bytes) = (self.root(), records.concat());
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
    }
}

/// `Fat_name.make` and `Fat_name.marshal`. The short name of a long one is a hash there.
fn entry(name: &str, short: &[u8; 11], subdir: bool, cluster: u16, size: u32) -> Vec<Record> {
    let legal = name
        .bytes()
        .all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'.'));
    let mut records = Vec::new();
    if !legal {
        let mut units: Vec<_> = name.bytes().map(u16::from).collect();
        if units.len().is_multiple_of(13) {
            // `ascii_to_utf16` ends each name with a zero, for which there is a piece more.
            units.push(0);
        }
        records = long(&units, short);
        // `to_single_entries` has them the wrong way round.
        records.reverse();
    }
    let mut record = [0; 32];
    record[..11].copy_from_slice(short);
    record[11] = if subdir { 0x10 } else { 0 };
    record[26..28].copy_from_slice(&cluster.to_le_bytes());
    record[28..32].copy_from_slice(&size.to_le_bytes());
    records.push(record);
    records
}

#[test]
fn an_image_by_ocaml_fat() {
    // 4 MiB are 2,039 clusters: by their number this is FAT12.
    let mut image = Ocaml::format(4 << 20);
    let index = vec![b'i'; 5000];
    let style = vec![b's'; 2048];
    let page = vec![b'p'; 300_000];
    let first = image.content(&index);
    let second = image.content(&style);
    let third = image.content(&page);
    let long_name = "a rather long name, which has four pieces.html";
    let mut inner = entry(long_name, b"5EB63BBBE01", false, third, page.len() as u32);
    inner.extend(entry("Ümläut.html", b"0CC175B9C0F", false, 0, 0));
    let size = (inner.len() * 32) as u32;
    let folder = image.content(&inner.concat());
    let mut root = entry("index.html", b"EACF331F0FF", false, first, 5000);
    root.extend(entry("STYLE.CSS", b"STYLE   CSS", false, second, 2048));
    root.extend(entry("posts", b"D41D8CD98F0", true, folder, size));
    root.extend(entry("empty", b"A2E4822A984", true, 0, 0));
    image.put_root(&root);

    let cache = Cache::new(1 << 20);
    let disk = Disk::new(image.bytes);
    let volume = run(Volume::mount(disk, &cache, Limits::default())).expect("a volume");
    let volume = Rc::new(volume);
    assert_eq!(volume.problems().len(), 0);
    assert_eq!(volume.geometry().kind, Kind::Fat16);
    let read = |path: &str| {
        let file = volume.find(path.as_bytes()).and_then(|entry| entry.file());
        let file = file.expect(path);
        assert_eq!(file.modified(), None);
        let mut reader = volume.open(file);
        run(async {
            let mut all = Vec::new();
            while let Some(chunk) = reader.chunk().await.expect("a piece") {
                all.extend_from_slice(&chunk);
            }
            all
        })
    };
    assert!(read("/index.html") == index);
    assert!(read("/STYLE.CSS") == style);
    assert!(read(&format!("/posts/{long_name}")) == page);
    assert!(read("/posts/Ümläut.html").is_empty());
    let empty = volume.find(b"/empty").expect("a directory");
    assert!(empty.is_dir() && empty.children().len() == 0 && !empty.is_broken());
    assert_eq!(volume.entries().len(), 6);
}

#[test]
fn a_volume_that_only_says_so_is_what_it_is() {
    // The same name on a volume with 12-bit entries, as its table shows.
    let mut image = tests::fat_image::Image::new(Kind::Fat12, 300, 512);
    image.bytes[3..11].copy_from_slice(b"ocamlfat");
    image.chain(&[3, 4]);
    image.root(&[tests::fat_image::file(b"FILE       ", 3, 1000)]);
    let cache = Cache::new(1 << 20);
    let volume = run(Volume::mount(
        Disk::new(image.bytes),
        &cache,
        Limits::default(),
    ));
    let volume = volume.expect("a volume");
    assert_eq!(volume.geometry().kind, Kind::Fat12);
    assert_eq!(volume.problems().len(), 0);
}
