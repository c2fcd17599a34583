//! Images that we write, read by others, and the other way round.

use std::collections::BTreeMap;
use std::fs;

use mir::fat::volume::Volume;

use crate::common::{Place, clean, fat, noise, ok, same, small, tool, tool_ok, tree};

/// The types with sizes of images, bytes in a sector, and mkfs.fat's sectors in a cluster.
const KINDS: [(&str, &str, &str, &str, &str); 6] = [
    ("FAT12", "fat12", "8M", "512", "4"),
    ("FAT16", "fat16", "32M", "512", "4"),
    ("FAT32", "fat32", "40M", "512", "1"),
    ("FAT12", "fat12", "12M", "4096", "1"),
    ("FAT16", "fat16", "40M", "4096", "1"),
    ("FAT32", "fat32", "280M", "4096", "1"),
];

/// Names and folders of every sort; the longest name, 20 levels.
fn source(place: &Place) -> String {
    place.put("src/README.TXT", b"in capitals");
    place.put("src/wiki/xen-boot.md", &noise(1, 5244));
    place.put("src/wiki/read me first.html", &noise(2, 2048));
    place.put("src/wiki/empty", b"");
    place.put(
        &format!("src/wiki/{}.html", "n".repeat(249)),
        b"254 characters",
    );
    place.put(
        &format!("src/{}", "ü".repeat(127)),
        b"127 characters of two bytes",
    );
    place.put("src/ünï/Straße – 漢字.txt", b"two bytes and three");
    place.put("src/ünï/👋🌍.txt", b"four bytes, two units");
    place.put("src/.hidden", b"dot");
    place.put("src/a+b,c;d=[e].x.y", b"not in short names");
    place.put("src/big", &noise(3, 300_000));
    fs::create_dir_all(place.path().join("src/nothing in it")).unwrap();
    let deep: Vec<_> = (0..20).map(|level| format!("level {level}")).collect();
    place.put(&format!("src/{}/deep.txt", deep.join("/")), b"deep");
    for at in 0..200 {
        place.put(
            &format!("src/many/page number {at}.html"),
            format!("{at}").as_bytes(),
        );
    }
    place.at("src")
}

#[test]
fn what_we_write_is_read_by_others() {
    for (kind, argument, size, sector, _) in KINDS {
        let place = Place::new();
        let (source, image) = (source(&place), place.at("x.img"));
        ok(&[
            "create",
            &image,
            size,
            "--type",
            argument,
            "--sector-size",
            sector,
            "--label",
            "SITE",
        ]);
        clean(&image);
        ok(&["add", &image, "-C", &source, "."]);
        clean(&image);

        let said = tool_ok("file", &[&image]);
        let bits = kind.trim_start_matches("FAT");
        assert!(said.contains(&format!("FAT ({bits} bit)")), "{said}");
        assert!(said.contains("label: \"SITE       \""), "{said}");
        let said = ok(&["info", &image]);
        assert!(said.starts_with(&format!("type       {kind}\n")), "{said}");

        // mtools: a name of every sort but emoji, which it writes as underscores.
        let said = tool_ok("mdir", &["-i", &image, "-b", "::/wiki"]);
        assert!(said.contains("::/wiki/xen-boot.md\n"), "{said}");
        assert!(
            said.contains(&format!("::/wiki/{}.html\n", "n".repeat(249))),
            "{said}"
        );
        fs::remove_dir_all(place.path().join("src/ünï")).unwrap();
        ok(&["rm", "-r", &image, "/ünï"]);
        fs::create_dir(place.path().join("mtools")).unwrap();
        tool_ok(
            "mcopy",
            &["-s", "-Q", "-i", &image, "::*", &place.at("mtools")],
        );
        // `*` of mcopy has no names that begin with a dot.
        let hidden = fs::read(place.path().join("src/.hidden")).unwrap();
        place.put("mtools/.hidden", &hidden);
        same(&place.path().join("mtools"), &place.path().join("src"));

        // sleuthkit: the listing and the bytes. It cuts names after 247 bytes, and recovers neither
        // empty folders nor empty files.
        let cut = |name: String| match name.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{}", name.get(..247).unwrap_or(name)),
            None => name,
        };
        let expected = tree(&place.path().join("src"));
        let mut expected: BTreeMap<_, _> = expected.into_iter().map(|(n, b)| (cut(n), b)).collect();
        let listed = tool_ok("fls", &["-u", "-r", "-p", &image]);
        for (name, bytes) in &expected {
            let kind = if bytes.is_some() { "r/r " } else { "d/d " };
            let is_it =
                |line: &str| line.starts_with(kind) && line.ends_with(&format!(":\t{name}"));
            assert!(listed.lines().any(is_it), "{name} in {listed}");
        }
        tool_ok("tsk_recover", &["-a", &image, &place.at("tsk")]);
        let mut found = tree(&place.path().join("tsk"));
        for tree in [&mut expected, &mut found] {
            tree.retain(|_, bytes| bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()));
        }
        assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
        assert!(found == expected, "the bytes differ");
        clean(&image);
    }
}

#[test]
fn what_others_write_we_read_and_change() {
    for (kind, argument, size, sector, per) in KINDS {
        let place = Place::new();
        let (source, image) = (source(&place), place.at("x.img"));
        // mtools cannot write emoji, and cuts long names of two bytes.
        fs::remove_file(place.path().join("src/ünï/👋🌍.txt")).unwrap();
        let bits = argument.trim_start_matches("fat");
        let kib = size.trim_end_matches('M').parse::<u32>().unwrap() * 1024;
        tool_ok(
            "mkfs.fat",
            &[
                "-C",
                "-F",
                bits,
                "-S",
                sector,
                "-s",
                per,
                &image,
                &kib.to_string(),
            ],
        );
        clean(&image);
        let mut words = vec!["-s", "-Q", "-m", "-i", &image];
        let names: Vec<_> = fs::read_dir(&source)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        words.extend(names.iter().map(|path| path.to_str().unwrap()));
        words.push("::");
        tool_ok("mcopy", &words);
        clean(&image);
        let said = ok(&["info", &image]);
        assert!(said.contains(&format!("type       {kind}\n")), "{said}");
        assert!(said.contains("made by    mkfs.fat\n"), "{said}");

        let listed = ok(&["list", &image]);
        for (name, bytes) in tree(&place.path().join("src")) {
            let line = match &bytes {
                Some(bytes) => format!("/{name} (FILE)({} bytes)\n", bytes.len()),
                None => format!("/{name} (DIR)("),
            };
            assert!(listed.contains(&line), "{line} in {listed}");
        }
        let file = fat(&["cat", &image, "/wiki/xen-boot.md"]);
        assert_eq!((file.status, file.out), (0, noise(1, 5244)));
        ok(&["extract", &image, "-o", &place.at("out")]);
        same(&place.path().join("out"), &place.path().join("src"));

        place.put("src/wiki/xen-boot.md", b"shorter");
        place.put("src/wiki/new 👋.md", b"new");
        ok(&["add", &image, "-C", &source, "wiki"]);
        clean(&image);
        fs::remove_dir_all(place.path().join("src/many")).unwrap();
        ok(&["rm", "-r", &image, "many"]);
        clean(&image);
        ok(&["mkdir", "-p", &image, "/x/y/z", "/level 0/new"]);
        clean(&image);
        ok(&["rm", "-r", &image, "/x"]);
        fs::create_dir(place.path().join("src/level 0/new")).unwrap();
        ok(&["extract", &image, "-o", &place.at("again")]);
        same(&place.path().join("again"), &place.path().join("src"));
        // mtools goes on where we have written.
        tool_ok(
            "mcopy",
            &[
                "-i",
                &image,
                &place.put("last.txt", b"last"),
                "::/wiki/last.txt",
            ],
        );
        clean(&image);
        assert_eq!(ok(&["cat", &image, "/WIKI/LAST.TXT"]), "last");
    }
}

#[test]
fn five_thousand_files_in_a_folder() {
    let place = Place::new();
    for at in 0..5000 {
        place.put(&format!("many/the same beginning {at}.html"), b"x");
    }
    for (argument, size) in [("fat16", "16M"), ("fat32", "48M")] {
        let image = place.at(argument);
        ok(&[
            "create",
            &image,
            size,
            "--type",
            argument,
            "--cluster-size",
            "512",
        ]);
        ok(&["add", &image, "-C", place.path().to_str().unwrap(), "many"]);
        clean(&image);
        assert_eq!(ok(&["list", &image, "/many"]).lines().count(), 5001);
        let said = tool_ok("mdir", &["-i", &image, "-b", "::/many"]);
        assert_eq!(said.lines().count(), 5000);
        ok(&["rm", "-r", &image, "/many"]);
        clean(&image);
        assert!(ok(&["info", &image]).contains("files      0, "));
    }
}

#[test]
fn a_file_over_100_mib() {
    let place = Place::new();
    let (image, path) = (place.at("x.img"), place.path().join("large"));
    let file = fs::File::create(&path).unwrap();
    file.set_len(110 << 20).unwrap();
    for at in [0, 64 << 20, (110 << 20) - 4] {
        use std::os::unix::fs::FileExt;
        file.write_all_at(b"mark", at).unwrap();
    }
    ok(&["create", &image, "128M"]);
    ok(&["add", &image, "-C", place.path().to_str().unwrap(), "large"]);
    clean(&image);
    assert_eq!(ok(&["list", &image]), "/large (FILE)(115343360 bytes)\n");
    ok(&["extract", &image, "-o", &place.at("out")]);
    tool_ok("cmp", &[path.to_str().unwrap(), &place.at("out/large")]);
    let istat = tool_ok("fls", &["-F", &image]);
    assert!(istat.contains("large"), "{istat}");
    // A second one does not fit, and is not begun.
    let before = fs::metadata(&image).unwrap().modified().unwrap();
    fs::copy(&path, place.path().join("second")).unwrap();
    let said = fat(&[
        "add",
        &image,
        "-C",
        place.path().to_str().unwrap(),
        "second",
    ]);
    assert_eq!(said.status, 1);
    assert!(
        said.err
            .contains("no space: 115343360 bytes (110 MiB) are needed, 18"),
        "{}",
        said.err
    );
    assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before);
    // Replaced by itself it does: what is replaced makes room first.
    ok(&["add", &image, "-C", place.path().to_str().unwrap(), "large"]);
    clean(&image);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let place = Place::new();
    let source = source(&place);
    let mut names: Vec<_> = fs::read_dir(&source)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    let make = |image: &str, reverse: bool| {
        ok(&["create", image, "16M", "--deterministic", "--label", "same"]);
        let mut words = vec!["add", image, "--deterministic", "-C", &source];
        let names = names.iter().map(|name| name.to_str().unwrap());
        match reverse {
            true => words.extend(names.rev()),
            false => words.extend(names),
        }
        ok(&words);
        clean(image);
        fs::read(image).unwrap()
    };
    let one = make(&place.at("one"), false);
    // Other times, another order in the folder.
    tool_ok("cp", &["-r", &source, &place.at("copy")]);
    fs::remove_dir_all(&source).unwrap();
    tool_ok("mv", &[&place.at("copy"), &source]);
    assert!(make(&place.at("two"), true) == one, "not the same bytes");
    place.put("src/README.TXT", b"in CAPITALS");
    let other = make(&place.at("three"), false);
    assert_ne!(
        one[39..43],
        other[39..43],
        "the serial number comes from the content"
    );
    let said = tool_ok("mdir", &["-i", &place.at("one"), "::README.TXT"]);
    assert!(said.contains("1980-01-01"), "{said}");
}

#[test]
fn real_times_are_kept() {
    let place = Place::new();
    let (image, path) = (place.at("x.img"), place.put("a.txt", b"a"));
    tool_ok("touch", &["-d", "2024-02-29T12:34:56Z", &path]);
    ok(&["create", &image, "1M"]);
    ok(&["add", &image, "-C", place.path().to_str().unwrap(), "a.txt"]);
    let said = tool_ok("mdir", &["-i", &image, "::"]);
    assert!(said.contains("2024-02-29  12:34"), "{said}");
    ok(&["extract", &image, "-o", &place.at("out")]);
    let said = tool_ok("date", &["-u", "-r", &place.at("out/a.txt"), "+%FT%T"]);
    assert_eq!(said, "2024-02-29T12:34:56\n");
}

type Break<'a> = &'a dyn Fn(&mut Vec<u8>);

/// What each of these breaks, `fsck.fat -n` and we both see.
#[test]
fn fsck_and_check_agree_on_what_is_wrong() {
    for (argument, size) in [("fat12", "2M"), ("fat16", "16M"), ("fat32", "36M")] {
        let place = Place::new();
        let image = place.at("x.img");
        place.put("src/one.txt", &noise(1, 5000));
        place.put("src/two.txt", &noise(2, 5000));
        place.put("src/in/three with a long name.txt", &noise(3, 3000));
        ok(&[
            "create",
            &image,
            size,
            "--type",
            argument,
            "--cluster-size",
            "512",
            "--deterministic",
        ]);
        ok(&["add", &image, "-C", &place.at("src"), "."]);
        clean(&image);
        let good = fs::read(&image).unwrap();
        let volume = mir::fat::volume::Volume::open(image.as_ref()).unwrap();
        let boot = &volume.boot;
        let (mut root, table) = (boot.root_at() as usize, boot.table_at(0) as usize);
        if argument == "fat32" {
            root = boot.cluster_at(boot.root_cluster) as usize;
        }
        let table_len = boot.table_len() as usize;
        let sub = good[root..]
            .windows(11)
            .position(|w| w == b"IN~1       ")
            .unwrap()
            + root;
        let sub_cluster = u16::from_le_bytes([good[sub + 26], good[sub + 27]]);
        let sub_at = boot.cluster_at(sub_cluster.into()) as usize;
        let one = good[root..]
            .windows(11)
            .position(|w| w == b"ONE~1   TXT")
            .unwrap()
            + root;
        let two = good[root..]
            .windows(11)
            .position(|w| w == b"TWO~1   TXT")
            .unwrap()
            + root;
        let start = u16::from_le_bytes([good[one + 26], good[one + 27]]) as usize;
        let entry = |cluster: usize| cluster * boot.kind.bits() as usize / 8;
        let breaks: &[(&str, Break<'_>)] = &[
            ("a size that is too long", &|i| i[one + 29] = 0xff),
            ("a size that is too short", &|i| i[one + 29] = 0),
            ("a start that does not exist", &|i| {
                i[one + 26..one + 28].fill(0xf0)
            }),
            ("a start at 1", &|i| {
                i[one + 26..one + 28].copy_from_slice(&[1, 0])
            }),
            ("two files with the same clusters", &|i| {
                i.copy_within(one + 26..one + 28, two + 26)
            }),
            ("a chain cut by a free cluster", &|i| {
                for copy in [0, table_len] {
                    let at = table + copy + entry(start + 2);
                    i[at..at + 2].fill(0);
                }
            }),
            ("a copy of the table that differs", &|i| {
                i[table + table_len + entry(start + 2)] ^= 0x10;
            }),
            ("lost clusters", &|i| {
                for copy in [0, table_len] {
                    let at = table + copy + entry(1000);
                    i[at..at + 2].fill(0xff);
                }
            }),
            ("a folder with a size", &|i| i[sub + 28] = 1),
            ("no dot", &|i| i[sub_at] = b'X'),
            ("a dot that leads elsewhere", &|i| i[sub_at + 26] ^= 1),
            ("a dot-dot that leads elsewhere", &|i| {
                i[sub_at + 32 + 26] ^= 3
            }),
            ("a dot in the root", &|i| {
                i[one..one + 11].copy_from_slice(b".          ")
            }),
            ("a name with a slash", &|i| i[one + 1] = b'/'),
            ("a name that is there twice", &|i| {
                i.copy_within(one..one + 11, two)
            }),
            ("a long name with another sum", &|i| i[one - 32 + 13] ^= 1),
            ("a long name out of order", &|i| i[one - 32] = 0x43),
            ("a piece of a long name alone", &|i| i[one] = 0xe5),
            ("marked as not unmounted", &|i| {
                i[if argument == "fat32" { 65 } else { 37 }] = 1
            }),
        ];
        for (what, change) in breaks {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad != good, "{what}");
            fs::write(&image, &bad).unwrap();
            let (ours, fsck) = (fat(&["check", &image]), tool("fsck.fat", &["-n", &image]));
            let says = String::from_utf8_lossy(&fsck.stdout).into_owned();
            assert_eq!(
                ours.status,
                1,
                "{argument}: {what}: {}\n{says}",
                ours.text()
            );
            // Some of what it says leaves its status at 0; its summary is two lines long.
            let finds = says.trim_end().lines().count() > 2;
            assert!(finds, "{argument}: {what}: {}\n{says}", ours.text());
        }
    }
}

/// In images with a few bits turned, what fsck.fat sees we see.
#[test]
fn fsck_finds_nothing_that_check_does_not() {
    let place = Place::new();
    place.put("src/one.txt", &noise(1, 9000));
    place.put(
        "src/a folder/with/a long name of some length.txt",
        &noise(2, 3000),
    );
    for at in 0..30 {
        place.put(&format!("src/many/number {at}"), b"x");
    }
    let mut counts = [0; 2];
    for kind in ["fat12", "fat16", "fat32"] {
        let image = place.at(kind);
        small(kind, &image);
        ok(&["add", &image, "-C", &place.at("src"), "."]);
        // Of a FAT32 this small it says in three lines that it is.
        let says = |image: &str| {
            let output = tool("fsck.fat", &["-n", image]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && said.lines().count() == 2, said)
        };
        assert!(says(&image).0);
        let good = fs::read(&image).unwrap();
        let boot = Volume::open(image.as_ref()).unwrap().boot;
        let (table, data) = (boot.table_at(0), boot.root_at());
        let parts = [
            0..90,
            table..table + 300,
            data..data + 1500,
            data..boot.cluster_at(2) + 12_000,
        ];
        for round in 0..100 {
            let random = noise(round + 1000, 16);
            let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|b| random[at + b]));
            let part = &parts[[0, 1, 2, 2, 3, 3, 3, 3][number(0) as usize % 8]];
            let at = part.start + u64::from(number(4)) % (part.end - part.start);
            let mut bad = good.clone();
            bad[at as usize] ^= 1 << (number(8) % 8);
            fs::write(&image, &bad).unwrap();
            let (ours, (clean, said)) = (fat(&["check", &image]), says(&image));
            if !clean {
                assert_ne!(
                    ours.status, 0,
                    "{kind}, round {round}, byte {at:#x}: {said}"
                );
            }
            // What it does not look at.
            let stricter = ours.text().contains("FAT cannot hold a name");
            assert!(
                ours.status == 0 || !clean || stricter,
                "{kind} {round}: {}",
                ours.text()
            );
            counts[usize::from(clean)] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
}
