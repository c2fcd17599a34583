//! What is wrong on a FAT volume spoils what is in it, and nothing else.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use tests::disk::{Disk, run};
use tests::fat_image::{Image, Record, file, folder, long, named, record, sample};
use www::SectorsError;
use www::cache::{BLOCK, Cache};
use www::fat::{BootError, Fault, Kind, Limits, MountError, ReadError, Volume};

const KINDS: [(Kind, usize); 3] = [
    (Kind::Fat12, 300),
    (Kind::Fat16, 5000),
    (Kind::Fat32, 66_000),
];

fn mount(disk: Disk) -> Result<Rc<Volume<Disk>>, MountError> {
    run(Volume::mount(disk, &Cache::new(4 << 20), Limits::default())).map(Rc::new)
}

fn read(volume: &Rc<Volume<Disk>>, path: &str) -> Result<Vec<u8>, ReadError> {
    let file = volume.find(path.as_bytes()).and_then(|entry| entry.file());
    let mut reader = volume.open(file.expect(path));
    run(async {
        let mut all = Vec::new();
        while let Some(chunk) = reader.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    })
}

/// Paths and what is wrong with them.
fn problems(volume: &Volume<Disk>) -> Vec<(String, Fault)> {
    let problems = volume.problems();
    problems
        .map(|problem| (problem.entry.path().to_string(), problem.fault))
        .collect()
}

fn listed(volume: &Volume<Disk>) -> Vec<String> {
    let entries = volume.entries();
    entries.map(|entry| entry.path().to_string()).collect()
}

/// A volume with a good file of three clusters, and a root directory with more records.
fn with(kind: Kind, clusters: usize, more: &[Record], change: impl FnOnce(&mut Image)) -> Image {
    let mut image = Image::new(kind, clusters, 512);
    image.chain(&[100, 101, 103]);
    image.fill(&[100, 101, 103], &[7; 1200]);
    let mut records = vec![file(b"GOOD    TXT", 100, 1200)];
    records.extend_from_slice(more);
    image.root(&records);
    change(&mut image);
    image
}

#[test]
fn chains_that_are_wrong_spoil_their_file() {
    let bad = |kind| match kind {
        Kind::Fat12 => 0xff7,
        Kind::Fat16 => 0xfff7,
        Kind::Fat32 => 0x0fff_fff7,
    };
    for (kind, clusters) in KINDS {
        let beyond = clusters as u32 + 2;
        let records = [
            file(b"FREE    TXT", 50, 1024),
            file(b"BAD     TXT", 60, 1024),
            file(b"BEYOND  TXT", 70, 1024),
            file(b"ONE     TXT", 1, 10),
            file(b"NONE    TXT", 0, 10),
            file(b"SHORT   TXT", 80, 1025),
            file(b"LOOP    TXT", 90, 2000),
            file(b"LONG    TXT", 110, 700),
            file(b"EMPTY   TXT", 0, 0),
            file(b"ENTERED TXT", 120, 2000),
            file(b"ENTERS  TXT", 130, 2000),
        ];
        let image = with(kind, clusters, &records, |image| {
            image.link(50, 51);
            image.chain(&[60, 61]);
            image.link(60, bad(kind));
            image.link(70, beyond);
            image.chain(&[80, 81]);
            image.chain(&[90, 91]);
            image.link(91, 90);
            image.chain(&[110, 111, 112]);
            image.fill(&[110, 111], &[9; 700]);
            image.chain(&[120, 121, 122, 123]);
            image.chain(&[130, 131, 122]);
            image.link(122, 123);
        });
        let volume = mount(Disk::new(image.bytes)).expect("a volume");
        let mut found = problems(&volume);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("/BAD.TXT", Fault::Bad(60)),
            ("/BEYOND.TXT", Fault::OutOfRange(beyond)),
            ("/ENTERED.TXT", Fault::Shared(122)),
            ("/ENTERS.TXT", Fault::Shared(122)),
            ("/FREE.TXT", Fault::Free(51)),
            ("/LONG.TXT", Fault::Long(111)),
            ("/LOOP.TXT", Fault::Shared(90)),
            (
                "/NONE.TXT",
                Fault::Short {
                    size: 10,
                    clusters: 0,
                },
            ),
            ("/ONE.TXT", Fault::OutOfRange(1)),
            (
                "/SHORT.TXT",
                Fault::Short {
                    size: 1025,
                    clusters: 2,
                },
            ),
        ];
        let expected = expected.map(|(path, fault)| (path.to_owned(), fault));
        assert_eq!(found, expected, "{kind:?}");
        assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
        assert_eq!(read(&volume, "/LONG.TXT"), Ok(vec![9; 700]));
        assert_eq!(read(&volume, "/EMPTY.TXT"), Ok(vec![]));
        for (path, fault) in &expected {
            let broken = volume.find(path.as_bytes()).expect("listed").is_broken();
            assert_eq!(broken, !fault.is_harmless());
            if broken {
                assert_eq!(read(&volume, path), Err(ReadError::Broken));
            }
        }
    }
}

#[test]
fn a_problem_says_where_it_is() {
    let records = [file(b"FREE    TXT", 50, 1024)];
    let image = with(Kind::Fat16, 5000, &records, |image| image.link(50, 51));
    let at = image.table(0).start + 2 * 51;
    let volume = mount(Disk::new(image.bytes)).expect("a volume");
    let said: Vec<_> = volume
        .problems()
        .map(|problem| problem.to_string())
        .collect();
    let expected = format!("/FREE.TXT: its chain leads to cluster 51, which is free (byte {at})");
    assert_eq!(said, [expected]);
}

#[test]
fn directories_that_are_wrong_spoil_what_is_in_them() {
    for (kind, clusters) in KINDS {
        let records = [
            folder(b"ITSELF     ", 50),
            folder(b"TWICE      ", 60),
            folder(b"AGAIN      ", 60),
            folder(b"HALF       ", 70),
            folder(b"GONE       ", 1),
            folder(b"NOTHING    ", 0),
        ];
        let image = with(kind, clusters, &records, |image| {
            image.directory(
                &[50],
                &[file(b"IN      TXT", 51, 512), folder(b"SELF       ", 50)],
            );
            image.chain(&[51]);
            image.directory(&[60], &[file(b"IN      TXT", 61, 512)]);
            image.chain(&[61]);
            // Its first cluster is full, so that it goes on in the second, which is free.
            let names = (0..16).map(|n| {
                let mut name = *b"FILE00  TXT";
                name[4] += n / 10;
                name[5] += n % 10;
                file(&name, 0, 0)
            });
            image.directory(&[70], &names.collect::<Vec<_>>());
            image.link(70, 71);
        });
        let volume = mount(Disk::new(image.bytes)).expect("a volume");
        let mut found = problems(&volume);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("/GONE", Fault::OutOfRange(1)),
            ("/HALF", Fault::Free(71)),
            ("/ITSELF/SELF", Fault::Shared(50)),
            ("/TWICE", Fault::Shared(60)),
        ];
        let expected = expected.map(|(path, fault)| (path.to_owned(), fault));
        assert_eq!(found, expected);
        assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
        assert_eq!(read(&volume, "/ITSELF/IN.TXT"), Ok(vec![0; 512]));
        assert_eq!(read(&volume, "/HALF/FILE15.TXT"), Ok(vec![]));
        // What may have been in a directory cannot be said not to be there.
        for path in [
            "/HALF/FILE16.TXT",
            "/GONE/a",
            "/GONE/a/b",
            "/ITSELF/SELF/IN.TXT",
        ] {
            let entry = volume.find(path.as_bytes()).expect("what is on the way");
            assert!(entry.is_dir() && entry.is_broken(), "{path}");
        }
        assert!(volume.find(b"/NOTHING/a").is_none());
        assert!(volume.find(b"/nowhere").is_none());
    }
}

#[test]
fn a_sector_that_cannot_be_read_spoils_what_needs_it() {
    for (kind, clusters) in KINDS {
        let image = with(kind, clusters, &[folder(b"DIR        ", 200)], |image| {
            image.directory(&[200], &[file(b"IN      TXT", 0, 0)]);
        });
        let directory = image.cluster(200).start as u64;
        let content = image.cluster(101).start as u64;
        let disk = Disk::new(image.bytes);
        disk.spoil(content / 512);
        disk.spoil(directory / 512);
        let volume = mount(disk.clone()).expect("a volume");
        let error = SectorsError::Failed;
        let at = directory;
        let expected = ("/DIR".to_owned(), Fault::Unreadable { at, error });
        assert_eq!(problems(&volume), [expected]);
        assert_eq!(
            volume.find(b"/DIR/IN.TXT").map(|entry| entry.is_dir()),
            Some(true)
        );
        let failed = read(&volume, "/GOOD.TXT");
        assert!(
            matches!(failed, Err(ReadError::Failed { at, len })
                if at <= content && content < at + len),
            "{failed:?}"
        );
        disk.heal();
        assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
    }
}

#[test]
fn the_other_table_helps_where_one_cannot_be_read() {
    // So many clusters that the tables are not in one block.
    let image = with(Kind::Fat32, 66_000, &[], |_| {});
    let (first, second) = (image.table(0), image.table(1));
    let disk = Disk::new(image.bytes);
    let bad = (first.start + 400) as u64 / 512;
    disk.spoil(bad);
    let volume = mount(disk.clone()).expect("a volume");
    assert_eq!(problems(&volume), []);
    assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
    // Both: the root directory of FAT32 needs its own entry.
    disk.spoil((second.start + 400) as u64 / 512);
    disk.spoil(first.start as u64 / 512);
    disk.spoil(second.start as u64 / 512);
    let at = (first.start + 8) as u64;
    let error = SectorsError::Failed;
    assert_eq!(
        mount(disk).err(),
        Some(MountError::Root(Fault::Unreadable { at, error }))
    );
}

#[test]
fn tables_that_differ() {
    // The first one counts, unless the flags of FAT32 name another.
    let mut image = with(Kind::Fat32, 66_000, &[], |_| {});
    image.link_in(1, 100, 0);
    let volume = mount(Disk::new(image.bytes.clone())).expect("a volume");
    assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
    image.bytes[40] = 0x81;
    let volume = mount(Disk::new(image.bytes.clone())).expect("a volume");
    assert_eq!(
        problems(&volume),
        [("/GOOD.TXT".to_owned(), Fault::Free(100))]
    );
    image.bytes[40] = 0x82;
    assert_eq!(
        mount(Disk::new(image.bytes)).err(),
        Some(MountError::Boot(BootError::ActiveTable(2)))
    );
}

#[test]
fn names() {
    let short = b"LONGNA~1TXT";
    let mut records = Vec::new();
    records.push(record(b"VOLUME     ", 0x08, 0, 0));
    records.extend(named("Long name.txt", short, 0, 0));
    // Its pieces belong to another short name.
    let mut stray = named("Stray.txt", short, 0, 0);
    stray[1][..11].copy_from_slice(b"STRAY      ");
    records.extend(stray);
    // A piece is missing.
    let mut part = named("A name of more than one piece", b"PIECE      ", 0, 0);
    part.remove(1);
    records.extend(part);
    // Deleted.
    let mut deleted = named("deleted", b"DELETED    ", 0, 0);
    for record in &mut deleted {
        record[0] = 0xe5;
    }
    records.extend(deleted);
    records.push(file(b"\x05LPHA   TXT", 0, 0));
    records.push(file(b"CAF\x90    TXT", 0, 0));
    let mut lower = file(b"LOWER   TXT", 0, 0);
    lower[12] = 0x18;
    records.push(lower);
    lower = file(b"MIXED   TXT", 0, 0);
    lower[12] = 0x08;
    records.push(lower);
    // As mtools writes the folder `ünï`: in code page 850, which has Latin-1's letters.
    lower = file(b"\x9aN\xd8\xd1\x9d\x9eE\xe1ABC", 0, 0);
    lower[12] = 0x18;
    records.push(lower);
    records.push(file(b"NOEXT      ", 0, 0));
    let surrogates = [0xd83e, 0xdd80, 0x41, 0xd83e, 0x42, 0xdd80];
    records.extend(long(&surrogates, b"HALVES     "));
    records.push(file(b"HALVES     ", 0, 0));
    let longest = "é".repeat(255);
    records.extend(named(&longest, b"LONGES~1   ", 0, 0));
    // No path can name it.
    records.extend(named("a/b", b"SLASH      ", 0, 0));
    records.extend(named("..", b"DOTS       ", 0, 0));
    // Nor these, as they are.
    records.push(file(b"           ", 0, 0));
    records.push(file(b"SL/SH   T/T", 0, 0));
    records.push(folder(b".          ", 0));
    records.push(folder(b"..         ", 0));
    // Nothing after the end.
    records.push([0; 32]);
    records.push(file(b"AFTER      ", 0, 0));

    let mut image = Image::new(Kind::Fat32, 66_000, 4096);
    image.root(&records);
    let volume = mount(Disk::with_sectors(image.bytes, 4096)).expect("a volume");
    let mut expected = [
        "/Long name.txt".to_owned(),
        "/STRAY".to_owned(),
        "/PIECE".to_owned(),
        "/ÕLPHA.TXT".to_owned(),
        "/CAFÉ.TXT".to_owned(),
        "/lower.txt".to_owned(),
        "/mixed.TXT".to_owned(),
        "/ünïðø×eß.abc".to_owned(),
        "/NOEXT".to_owned(),
        "/🦀A\u{fffd}B\u{fffd}".to_owned(),
        format!("/{longest}"),
        "/SLASH".to_owned(),
        "/DOTS".to_owned(),
        "/\u{fffd}".to_owned(),
        "/SL\u{fffd}SH.T\u{fffd}T".to_owned(),
    ];
    expected.sort();
    let mut names = listed(&volume);
    names.sort();
    assert_eq!(names, expected);
    let file = |path: &str| volume.find(path.as_bytes()).and_then(|entry| entry.file());
    assert_eq!(file("/LONG NAME.TXT"), file("/Long name.txt"));
    assert_eq!(file("Long name.txt"), file("/Long name.txt"));
    assert!(file("/Long name.txt").is_some());
    assert_eq!(
        file("/Long name.txt").and_then(|file| file.modified()),
        Some(1_715_953_558)
    );
    assert!(file("/CAFé.TXT").is_none(), "folded beyond ASCII");
    assert!(
        volume
            .find(b"/")
            .is_some_and(|root| root.is_dir() && root.children().len() == 15)
    );
    for path in [
        "//Long name.txt",
        "/Long name.txt/",
        "/Long name.txt/x",
        "/.",
    ] {
        assert!(volume.find(path.as_bytes()).is_none(), "{path}");
    }
}

#[test]
fn names_that_differ_by_case_alone_are_told_apart() {
    let mut records = named("readme", b"README~1   ", 10, 1);
    records.extend(named("README", b"README~2   ", 11, 2));
    records.extend(named("Readme", b"README~3   ", 12, 3));
    let image = with(Kind::Fat16, 5000, &records, |image| {
        image.chain(&[10]);
        image.chain(&[11]);
        image.chain(&[12]);
    });
    let volume = mount(Disk::new(image.bytes)).expect("a volume");
    let size = |path: &[u8]| volume.find(path)?.file().map(|file| file.size());
    assert_eq!(size(b"/readme"), Some(1));
    assert_eq!(size(b"/README"), Some(2));
    assert_eq!(size(b"/Readme"), Some(3));
    assert!(size(b"/rEADME").is_some());
}

#[test]
fn dates() {
    let stamp = |year: u16, month: u16, day: u16, time: u16| {
        let mut record = file(b"DATE       ", 0, 0);
        let date = (year - 1980) << 9 | month << 5 | day;
        record[22..24].copy_from_slice(&time.to_le_bytes());
        record[24..26].copy_from_slice(&date.to_le_bytes());
        let mut image = Image::new(Kind::Fat12, 300, 512);
        image.root(&[record]);
        let volume = mount(Disk::new(image.bytes)).expect("a volume");
        let file = volume.find(b"/DATE").and_then(|entry| entry.file());
        file.expect("listed").modified()
    };
    assert_eq!(stamp(1980, 1, 1, 0), Some(315_532_800));
    assert_eq!(
        stamp(2000, 2, 29, 23 << 11 | 59 << 5 | 29),
        Some(951_868_798)
    );
    assert_eq!(stamp(2107, 12, 31, 0), Some(4_354_732_800));
    // What ocaml-fat writes, and what there is not.
    for (month, day, time) in [
        (0, 0, 0),
        (13, 1, 0),
        (2, 30, 0),
        (1, 0, 0),
        (1, 1, 24 << 11),
        (1, 1, 60 << 5),
        (1, 1, 30),
    ] {
        assert_eq!(stamp(1981, month, day, time), None, "{month} {day} {time}");
    }
}

#[test]
fn boot_sectors_that_are_none() {
    type Change = fn(&mut [u8]);
    let changes: [(Change, BootError); 11] = [
        (|b| b[510] = 0, BootError::NoSignature),
        (|b| b[11] = 1, BootError::SectorSize(513)),
        (|b| b[12] = 0x20, BootError::SectorSize(8192)),
        (|b| b[13] = 3, BootError::ClusterSize(3)),
        (|b| b[13] = 0, BootError::ClusterSize(0)),
        (|b| b[14] = 0, BootError::NoReservedSectors),
        (|b| b[16] = 0, BootError::NoTables),
        (|b| b[21] = 0x12, BootError::Media(0x12)),
        (|b| b[17] = 0, BootError::RootEntries(0)),
        (|b| b[32..36].fill(0), BootError::NoSectors),
        (|b| b[22..24].fill(0), BootError::NoTables),
    ];
    for (change, error) in changes {
        let mut image = Image::new(Kind::Fat16, 5000, 512);
        image.bytes[18] = 0;
        change(&mut image.bytes);
        assert_eq!(
            mount(Disk::new(image.bytes)).err(),
            Some(MountError::Boot(error))
        );
    }
    let mut image = Image::new(Kind::Fat32, 66_000, 512);
    image.bytes[42] = 1;
    assert_eq!(
        mount(Disk::new(image.bytes)).err(),
        Some(MountError::Boot(BootError::Version(1)))
    );
    let mut image = Image::new(Kind::Fat32, 66_000, 512);
    image.bytes[44] = 0;
    image.link(2, 0);
    let none = mount(Disk::new(image.bytes));
    assert!(none.is_ok_and(|volume| volume.entries().len() == 0));
    let small = mount(Disk::new(vec![0; 512])).err();
    assert_eq!(small, Some(MountError::Boot(BootError::NoSignature)));
    let nothing = mount(Disk::new(Vec::new())).err();
    let error = SectorsError::OutOfRange;
    assert_eq!(nothing, Some(MountError::Device { at: 0, error }));
}

#[test]
fn a_volume_that_is_cut_off() {
    let records = [file(b"LAST    TXT", 300, 100)];
    let image = with(Kind::Fat12, 300, &records, |image| {
        image.chain(&[300]);
        image.fill(&[300], &[8; 100]);
    });
    let size = image.bytes.len() as u64;
    let last = image.cluster(300).start;
    let mut bytes = image.bytes;
    bytes.truncate(last);
    let there = last as u64;
    let volume = mount(Disk::new(bytes.clone())).expect("a volume");
    assert_eq!(
        problems(&volume),
        [
            (String::new(), Fault::Truncated { size, there }),
            ("/LAST.TXT".to_owned(), Fault::OutOfRange(300)),
        ]
    );
    assert_eq!(read(&volume, "/GOOD.TXT"), Ok(vec![7; 1200]));
    // It is found that nothing is here, since all of the root directory is there.
    assert!(volume.find(b"/other").is_none());
    bytes.truncate(1024);
    assert!(matches!(
        mount(Disk::new(bytes)).err(),
        Some(MountError::Truncated { there: 1024, .. })
    ));
}

#[test]
fn limits() {
    let records = [folder(b"A          ", 10)];
    let image = with(Kind::Fat16, 5000, &records, |image| {
        for n in 10..20 {
            image.directory(&[n], &[folder(b"A          ", n + 1)]);
        }
        image.directory(&[20], &[file(b"DEEP       ", 0, 0)]);
    });
    let mount = |limits| {
        let disk = Disk::new(image.bytes.clone());
        run(Volume::mount(disk, &Cache::new(1 << 20), limits))
    };
    let deep = format!("{}/DEEP", "/A".repeat(11));
    let whole = mount(Limits {
        depth: 11,
        ..Limits::default()
    })
    .expect("a volume");
    assert_eq!(whole.entries().len(), 13);
    assert!(
        whole
            .find(deep.as_bytes())
            .is_some_and(|entry| entry.file().is_some())
    );
    let cut = mount(Limits {
        depth: 10,
        ..Limits::default()
    })
    .expect("a volume");
    assert_eq!(problems(&cut), [("/A".repeat(11), Fault::TooDeep)]);
    assert!(
        cut.find(deep.as_bytes())
            .is_some_and(|entry| entry.is_broken())
    );
    let exact = Limits {
        entries: 14,
        ..Limits::default()
    };
    assert!(mount(exact).is_ok());
    let less = Limits {
        entries: 13,
        ..Limits::default()
    };
    assert_eq!(mount(less).err(), Some(MountError::TooManyEntries));
    for memory in (0..6000).step_by(100) {
        match mount(Limits {
            memory,
            ..Limits::default()
        }) {
            Ok(volume) => assert!(volume.memory() <= memory),
            Err(error) => assert_eq!(error, MountError::TooLarge),
        }
    }
    let (disk, cache) = (Disk::new(image.bytes.clone()), Cache::new(1000));
    let no_room = Volume::mount(disk, &cache, Limits::default());
    assert_eq!(run(no_room).err(), Some(MountError::OutOfMemory));
}

#[test]
fn a_device_that_shrinks_or_goes_away() {
    let image = with(Kind::Fat16, 5000, &[], |_| {});
    let block = (image.cluster(100).start / 16384 * 16384) as u64;
    let disk = Disk::new(image.bytes.clone());
    let volume = mount(disk.clone()).expect("a volume");
    disk.resize(block as usize + 512);
    let failed = read(&volume, "/GOOD.TXT");
    assert!(
        matches!(failed, Err(ReadError::OutOfRange { .. })),
        "{failed:?}"
    );
    disk.resize(image.bytes.len());
    disk.go_away();
    assert_eq!(read(&volume, "/GOOD.TXT"), Err(ReadError::Away));
    let error = SectorsError::Away;
    assert_eq!(mount(disk).err(), Some(MountError::Device { at: 0, error }));
}

#[test]
fn all_sizes_of_sectors() {
    for sector in [512, 1024, 2048, 4096] {
        for (kind, clusters) in KINDS {
            let mut image = Image::new(kind, clusters.min(20_000), sector);
            let content: Vec<_> = (0..3 * sector).map(|at| (at / 7) as u8).collect();
            image.chain(&[20, 22, 21]);
            image.fill(&[20, 22, 21], &content);
            image.root(&[file(b"FILE       ", 20, content.len() as u32)]);
            let volume = mount(Disk::with_sectors(image.bytes, 4096)).expect("a volume");
            assert_eq!(read(&volume, "/FILE"), Ok(content), "{kind:?} {sector}");
        }
    }
}

#[test]
fn mounting_can_be_given_up_at_any_poll() {
    let image = sample(Kind::Fat12, 600);
    let disk = Disk::new(image.bytes);
    disk.set_best_read(16 << 10);
    disk.set_delay(1);
    let cache = Cache::new(128 << 10);
    for polls in 0.. {
        let mut mount = pin!(Volume::mount(disk.clone(), &cache, Limits::default()));
        let mut cx = Context::from_waker(Waker::noop());
        let done = (0..polls).any(|_| mount.as_mut().poll(&mut cx).is_ready());
        if done {
            assert!(polls > 10);
            break;
        }
    }
    assert_eq!((disk.working(), cache.counters().held), (0, 0));
}

#[test]
fn a_cache_of_very_few_blocks() {
    let image = sample(Kind::Fat12, 600);
    let mut mounted = 0;
    for blocks in 0..10 {
        let cache = Cache::new(blocks * (BLOCK + 512));
        match run(Volume::mount(
            Disk::new(image.bytes.clone()),
            &cache,
            Limits::default(),
        )) {
            Ok(volume) => {
                mounted += 1;
                assert_eq!(volume.problems().len(), 0);
            }
            Err(error) => {
                assert_eq!(error, MountError::OutOfMemory);
                assert!(blocks < 5, "{blocks} blocks are enough");
            }
        }
        assert_eq!(cache.counters().held, 0);
    }
    assert!(mounted >= 5);
}
