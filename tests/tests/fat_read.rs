//! The guest's FAT code reads what other programs write.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{Cursor, Write};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use hadris_fat::{FatKind, FatOptions};
use hadris_fs::{Content, Node};
use tests::disk::{Disk, run};
use tests::fat_image::{Image, file, folder, named};
use www::cache::{BLOCK, Cache};
use www::fat::{File, Kind, Limits, MountError, Reader, Volume};

type Tree = BTreeMap<String, Vec<u8>>;

/// Bytes that are the same each time, and differ from place to place.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// An image by `fatfs`.
fn fatfs_image(size: usize, kind: FatType, cluster: u32, tree: &Tree) -> Vec<u8> {
    let mut image = vec![0; size];
    let options = FormatVolumeOptions::new()
        .fat_type(kind)
        .bytes_per_cluster(cluster);
    fatfs::format_volume(Cursor::new(&mut image), options).expect("a volume");
    {
        let fs = FileSystem::new(Cursor::new(&mut image), FsOptions::new()).expect("a volume");
        for (path, content) in tree {
            let (dirs, name) = path.rsplit_once('/').expect("a slash");
            let mut dir = fs.root_dir();
            for part in dirs.split('/').filter(|part| !part.is_empty()) {
                dir = dir.create_dir(part).expect("a directory");
            }
            let mut file = dir.create_file(name).expect("a file");
            file.write_all(content).expect("room");
        }
    }
    image
}

fn read_all(mut reader: Reader<Disk>) -> Vec<u8> {
    let mut all = Vec::new();
    run(async {
        while let Some(chunk) = reader.chunk().await.expect("a piece") {
            assert!(!chunk.is_empty());
            all.extend_from_slice(&chunk);
        }
    });
    all
}

/// What we list and read of a volume.
fn ours(volume: &Rc<Volume<Disk>>) -> Tree {
    let problems: Vec<_> = volume
        .problems()
        .map(|problem| problem.to_string())
        .collect();
    assert_eq!(problems, [""; 0]);
    let files = volume.entries().filter_map(|entry| {
        let file: File = entry.file()?;
        let path = entry.path().to_string();
        let found = volume.find(path.as_bytes()).expect("what is listed");
        assert_eq!(found.file(), Some(file));
        Some((path, read_all(volume.open(file))))
    });
    files.collect()
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let mut add = |path: &str, len: usize| {
        tree.insert(
            path.to_owned(),
            bytes(path.len() as u64 * 77 + len as u64, len),
        );
    };
    add("/README.TXT", 1234);
    add("/index.html", 5000);
    add("/empty", 0);
    add("/a/b/c/deep file.txt", 70_000);
    add("/a/Ärger mit Ümläuten.html", 512);
    add("/a/日本語のファイル名.txt", 4096);
    add("/emoji 🦀🌍.md", 100);
    add(&format!("/{}.html", "n".repeat(240)), 99);
    for n in 0..120 {
        add(&format!("/many/file number {n}.dat"), n * 37);
    }
    add("/big.bin", 700_000);
    tree
}

#[test]
fn what_fatfs_writes() {
    for (kind, ours_is, size, cluster) in [
        (FatType::Fat12, Kind::Fat12, 3 << 20, 1024),
        (FatType::Fat16, Kind::Fat16, 16 << 20, 2048),
        (FatType::Fat32, Kind::Fat32, 40 << 20, 512),
    ] {
        let mut tree = sample();
        // It writes no names beyond the first 65,536 characters.
        tree.retain(|path, _| path.chars().all(|c| c.len_utf16() == 1));
        let disk = Disk::new(fatfs_image(size, kind, cluster, &tree));
        let cache = Cache::new(4 << 20);
        let volume = run(Volume::mount(disk, &cache, Limits::default())).expect("a volume");
        assert_eq!(volume.geometry().kind, ours_is);
        assert!(ours(&Rc::new(volume)) == tree);
    }
}

/// An image by `hadris-fat`.
fn hadris_image(options: FatOptions, size: usize, tree: &Tree) -> Vec<u8> {
    let mut nodes = hadris_fs::Tree::new();
    for (path, content) in tree {
        let node = Node::file(Content::bytes(content.clone()));
        nodes.insert(path, node).expect("a path");
    }
    let mut image = Vec::new();
    let options = options.with_size(size as u64);
    hadris_fat::sync::write(&mut image, &nodes, &options).expect("a volume");
    image
}

fn mount(disk: &Disk, cache: &Rc<Cache>) -> Rc<Volume<Disk>> {
    let volume = run(Volume::mount(disk.clone(), cache, Limits::default()));
    Rc::new(volume.expect("a volume"))
}

#[test]
fn what_hadris_writes() {
    let mut tree = sample();
    let mut deep = String::new();
    for level in 0..20 {
        deep.push_str(&format!("/level {level}"));
        tree.insert(format!("{deep}/file"), bytes(level, 300));
    }
    tree.insert(format!("/long/{}", "m".repeat(254)), bytes(9, 20_000));
    for (kind, ours_is, size, sector) in [
        (FatKind::Fat12, Kind::Fat12, 6 << 20, 512),
        (FatKind::Fat16, Kind::Fat16, 24 << 20, 512),
        (FatKind::Fat16, Kind::Fat16, 32 << 20, 4096),
        (FatKind::Fat32, Kind::Fat32, 40 << 20, 512),
    ] {
        let options = FatOptions::new().with_kind(kind).with_sector_size(sector);
        let image = hadris_image(options, size, &tree);
        // Sectors of the device need not be those of the volume.
        for device_sector in [512, 4096] {
            let disk = Disk::with_sectors(image.clone(), device_sector);
            let volume = mount(&disk, &Cache::new(2 << 20));
            assert_eq!(volume.geometry().kind, ours_is);
            assert!(ours(&volume) == tree, "{kind:?} {sector} {device_sector}");
        }
    }
}

#[test]
fn five_thousand_files_in_one_folder() {
    let mut image = Image::new(Kind::Fat32, 6000, 4096);
    let mut records = Vec::new();
    for n in 0..5000u32 {
        let mut short = *b"PAGE0000HTM";
        short[4..8].copy_from_slice(format!("{n:04}").as_bytes());
        let name = format!("A page with number {n:05}.html");
        records.extend(named(&name, &short, 200 + n, 5));
        image.chain(&[200 + n]);
        image.fill(&[200 + n], format!("{n:05}").as_bytes());
    }
    let clusters: Vec<_> = (10..10 + (records.len() as u32).div_ceil(128)).collect();
    image.directory(&clusters, &records);
    image.root(&[folder(b"ALL        ", 10)]);
    let disk = Disk::with_sectors(image.bytes, 4096);
    let volume = mount(&disk, &Cache::new(4 << 20));
    let requests = disk.take_log().len();
    assert!(requests <= 8, "{requests} requests to mount");
    assert_eq!(volume.entries().len(), 5001);
    assert_eq!(volume.problems().len(), 0);
    for n in (0..5000).step_by(7) {
        let path = format!("/all/A PAGE with number {n:05}.html");
        let file = volume.find(path.as_bytes()).and_then(|entry| entry.file());
        let content = read_all(volume.open(file.expect("listed")));
        assert_eq!(content, format!("{n:05}").as_bytes());
    }
    // 5,000 names of 29 bytes.
    assert!(volume.memory() < 600_000, "{}", volume.memory());
}

/// One file of this size on a volume of 4096-byte clusters, one after the other.
fn one_file(size: usize) -> (Image, Vec<u8>) {
    let clusters = size.div_ceil(4096);
    let mut image = Image::new(Kind::Fat32, clusters + 100, 4096);
    let numbers: Vec<_> = (50..50 + clusters as u32).collect();
    let content = bytes(size as u64, size);
    image.chain(&numbers);
    image.fill(&numbers, &content);
    image.root(&[file(b"FILE       ", 50, size as u32)]);
    (image, content)
}

fn the_file(volume: &Volume<Disk>) -> File {
    let file = volume.find(b"/FILE").and_then(|entry| entry.file());
    file.expect("the file")
}

#[test]
fn a_file_of_more_than_100_mib() {
    let (image, content) = one_file(110_000_123);
    let disk = Disk::with_sectors(image.bytes, 4096);
    let volume = mount(&disk, &Cache::new(1 << 20));
    assert_eq!(volume.problems().len(), 0);
    disk.take_log();
    let mut reader = volume.open(the_file(&volume));
    let mut at = 0;
    run(async {
        while let Some(chunk) = reader.chunk().await.expect("a piece") {
            assert!(*chunk == content[at..at + chunk.len()]);
            at += chunk.len();
        }
    });
    assert_eq!(at, content.len());
    // Nothing was read twice.
    let read: u64 = disk
        .take_log()
        .iter()
        .map(|read| read.end - read.start)
        .sum();
    assert!(read <= content.len() as u64 + 2 * BLOCK as u64);
}

#[test]
fn a_mebibyte_is_a_few_requests_and_then_none() {
    let (image, content) = one_file(1 << 20);
    // It begins and ends within a block, so that it is in 65 of them.
    for (best_read, expected) in [(256 << 10, 5), (1 << 20, 2), (44 << 10, 33), (512, 65)] {
        let disk = Disk::new(image.bytes.clone());
        disk.set_best_read(best_read);
        let cache = Cache::new(8 << 20);
        let volume = mount(&disk, &cache);
        disk.take_log();
        disk.set_delay(2);
        assert!(read_all(volume.open(the_file(&volume))) == content);
        let requests = disk.take_log();
        assert_eq!(requests.len(), expected, "{best_read}");
        assert!(
            disk.most_working() > 1 || requests.len() <= 2,
            "nothing was read ahead"
        );
        assert!(disk.most_working() <= 3);
        let before = cache.counters();
        assert!(read_all(volume.open(the_file(&volume))) == content);
        assert_eq!(disk.take_log().len(), 0);
        let after = cache.counters();
        let blocks = (1 << 20) / BLOCK as u64 + 1;
        assert_eq!(
            (after.hits - before.hits, after.misses),
            (blocks, before.misses)
        );
    }
}

#[test]
fn the_next_read_is_under_way_while_a_piece_is_sent() {
    let (image, _) = one_file(1 << 20);
    let disk = Disk::new(image.bytes);
    let volume = mount(&disk, &Cache::new(8 << 20));
    disk.take_log();
    disk.set_delay(1);
    let mut reader = volume.open(the_file(&volume));
    let first = run(reader.chunk()).expect("a piece").expect("a piece");
    assert_eq!(disk.take_log().len(), 3);
    assert_eq!(disk.working(), 2);
    // One who goes away has nothing read for him.
    drop(reader);
    assert_eq!(disk.working(), 0);
    assert!(!first.is_empty());
}

#[test]
fn many_readers_share_a_small_cache() {
    let (image, content) = one_file(400_000);
    let disk = Disk::new(image.bytes);
    disk.set_delay(2);
    let cache = Cache::new(40 * BLOCK);
    let volume = mount(&disk, &cache);
    let mut readers: Vec<_> = (0..16)
        .map(|n| (n * 20_000, volume.open_at(the_file(&volume), n * 20_000)))
        .collect();
    while !readers.is_empty() {
        readers.retain_mut(|(at, reader)| {
            assert_eq!(reader.left(), content.len() as u64 - *at);
            let chunk = run(reader.chunk()).expect("room for all");
            if let Some(chunk) = &chunk {
                let start = *at as usize;
                assert!(**chunk == content[start..start + chunk.len()]);
                *at += chunk.len() as u64;
            }
            chunk.is_some()
        });
        let counters = cache.counters();
        assert!(counters.blocks <= counters.capacity);
    }
    assert_eq!(cache.counters().held, 0);
}

#[test]
fn reading_from_any_byte_on() {
    let (image, content) = one_file(100_000);
    let disk = Disk::new(image.bytes);
    let volume = mount(&disk, &Cache::new(4 << 20));
    for from in [
        0,
        1,
        511,
        4095,
        4096,
        16_384,
        99_999,
        100_000,
        100_001,
        u64::MAX,
    ] {
        let start = from.min(100_000) as usize;
        assert!(read_all(volume.open_at(the_file(&volume), from)) == content[start..]);
    }
}

#[test]
fn a_piece_that_was_given_up_comes_again() {
    let (image, content) = one_file(300_000);
    let disk = Disk::new(image.bytes);
    let volume = mount(&disk, &Cache::new(4 << 20));
    disk.set_delay(5);
    let mut reader = volume.open(the_file(&volume));
    let mut all = Vec::new();
    loop {
        // Given up after one poll, after two, and so on: never one that was ready.
        for polls in 1..5 {
            let mut cx = Context::from_waker(Waker::noop());
            let mut future = pin!(reader.chunk());
            let ready = (0..polls).find_map(|_| match future.as_mut().poll(&mut cx) {
                Poll::Ready(chunk) => Some(chunk),
                Poll::Pending => None,
            });
            if let Some(chunk) = ready {
                all.extend_from_slice(&chunk.expect("a piece").expect("not the end"));
                break;
            }
        }
        match run(reader.chunk()).expect("a piece") {
            Some(chunk) => all.extend_from_slice(&chunk),
            None => break,
        }
        if reader.left() == 0 {
            break;
        }
    }
    assert!(all == content);
}

#[test]
fn mounting_600_files_takes_few_requests() {
    let mut tree = Tree::new();
    for n in 0..600 {
        let folder = n % 40;
        tree.insert(
            format!("/folder {folder}/page number {n}.html"),
            bytes(n, 200 + n as usize * 97),
        );
    }
    let image = hadris_image(
        FatOptions::new().with_kind(FatKind::Fat32),
        160 << 20,
        &tree,
    );
    // One for each folder, and two or three for the boot sector, the table and the root.
    for (best_read, expected) in [(256 << 10, 42), (44 << 10, 43)] {
        let disk = Disk::new(image.clone());
        disk.set_best_read(best_read);
        let volume = mount(&disk, &Cache::new(4 << 20));
        assert_eq!(volume.entries().len(), 640);
        assert_eq!(disk.take_log().len(), expected);
        assert!(volume.memory() < 50_000, "{}", volume.memory());
    }
}

#[test]
fn a_volume_that_says_it_is_2_tib() {
    for kind in [Kind::Fat16, Kind::Fat32] {
        let mut image = Image::new(kind, 3000, 512);
        image.root(&[file(b"FILE       ", 50, 1000)]);
        image.chain(&[50, 51]);
        image.bytes[32..36].fill(0xff);
        let disk = Disk::new(image.bytes.clone());
        let mounted = run(Volume::mount(
            disk.clone(),
            &Cache::new(1 << 20),
            Limits::default(),
        ));
        match kind {
            // More clusters than 16 bits can count.
            Kind::Fat16 => assert!(matches!(mounted.err(), Some(MountError::Boot(_)))),
            _ => {
                let volume = mounted.expect("a volume");
                assert_eq!(volume.problems().len(), 1);
                assert!(volume.memory() < 10_000);
            }
        }
        // A table of 2 TiB is not on the device.
        image.bytes[36..40].fill(0xff);
        let disk = Disk::new(image.bytes);
        let mounted = run(Volume::mount(
            disk.clone(),
            &Cache::new(1 << 20),
            Limits::default(),
        ));
        assert!(mounted.is_err());
        assert_eq!(disk.take_log().len(), 1);
    }
}
