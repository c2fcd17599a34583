//! The guest's FAT code reads what other programs write.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::rc::Rc;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};
use tests::disk::{Disk, run};
use www::cache::Cache;
use www::fat::{File, Kind, Limits, Reader, Volume};

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
