//! A thousand corrupted images: each is read as far as it can be, or refused with a reason.

use std::rc::Rc;

use tests::disk::{Disk, run_within};
use tests::fat_image::{Image, Record, file, folder, named};
use www::cache::Cache;
use www::fat::{Kind, Limits, ReadError, Volume};

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}

/// A good volume: folders within folders, long names, chains in pieces.
fn good(kind: Kind, clusters: usize) -> Image {
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

/// The most that a volume of these may ask its device for, and the most polls.
const REQUESTS: usize = 5_000;
const POLLS: u64 = 100_000;

fn check(bytes: Vec<u8>, what: &str) -> bool {
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

#[test]
fn a_thousand_corrupted_images() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut harmed, mut tried) = (0, 0);
    for (kind, clusters) in [(Kind::Fat12, 600), (Kind::Fat16, 4200), (Kind::Fat32, 900)] {
        let image = good(kind, clusters);
        assert!(!check(image.bytes.clone(), "unharmed"));
        let table = image.table(0);
        // Boot sector, first table, root directory, and where directories and files are.
        let regions = [
            0..512,
            table.clone(),
            table.start..table.start + 600,
            image.table(1).end..image.cluster(400).end,
        ];
        for number in 0..334 {
            let mut bytes = image.bytes.clone();
            let what = format!("{kind:?} number {number}");
            if number % 12 == 0 {
                bytes.truncate(dice.roll(bytes.len()));
            } else {
                let region = regions[number % regions.len()].clone();
                for _ in 0..[1, 8, 64, 1024][number / 4 % 4] {
                    let at = region.start + dice.roll(region.len());
                    bytes[at] ^= 1 << dice.roll(8);
                }
            }
            harmed += usize::from(check(bytes, &what));
            tried += 1;
        }
    }
    assert!(tried >= 1000);
    // Otherwise the sweep would show little.
    assert!(harmed > 200, "{harmed} of {tried} had something broken");
}
