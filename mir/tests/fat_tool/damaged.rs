//! Images that are not what they should be: no panic, no walk without an end, nothing outside of
//! the folder, and the reason is said.

use std::fs;

use mir::fat::volume::{OpenError, Volume};

use crate::common::{Place, fat, noise, ok, small, tree};

/// Bits that are turned, in how many images of each type, and where.
const ROUNDS: usize = 340;

#[test]
fn a_thousand_images_with_bits_turned() {
    let place = Place::new();
    place.put("src/one.txt", &noise(1, 9000));
    place.put(
        "src/a folder/with/a long name of some length.txt",
        &noise(2, 3000),
    );
    place.put("src/a folder/two.txt", &noise(3, 700));
    for at in 0..6 {
        place.put(&format!("src/many/number {at}"), b"x");
    }
    let mut wrong = 0;
    for argument in ["fat12", "fat16", "fat32"] {
        let good = place.at(argument);
        small(argument, &good);
        ok(&["add", &good, "-C", &place.at("src"), "."]);
        let boot = Volume::open(good.as_ref()).unwrap().boot;
        // The boot sector, the beginning of the tables, the directories and files: where anything is.
        let tables = boot.table_at(0)..boot.table_at(0) + 400;
        let data = boot.root_at()..boot.cluster_at(2) + 12_000;
        let parts = [
            0..90,
            tables,
            data.clone(),
            data.start..data.start + 2000,
            480..512,
        ];
        let original = fs::read(&good).unwrap();
        let image = place.at("image");
        let mut bytes = original.clone();
        for round in 0..ROUNDS {
            let random = noise(round as u64 + 1, 4096);
            let mut random = random
                .chunks_exact(4)
                .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let mut next = || random.next().unwrap() as usize;
            let mut turned = Vec::new();
            let count = [1, 4, 40][round % 3];
            for _ in 0..count {
                // A boot sector that is refused at once hides all else: it is hit less often.
                let part = &parts[if next() % 10 == 0 { 0 } else { 1 + next() % 4 }];
                let at = part.start as usize + next() % (part.end - part.start) as usize;
                turned.push((at, bytes[at]));
                bytes[at] ^= 1 << (next() % 8);
            }
            let len = if round % 10 == 9 {
                next() % bytes.len()
            } else {
                bytes.len()
            };
            write(&image, &bytes[..len]);
            let said = fat(&["check", &image]);
            assert!(said.status <= 2 && said.err.len() + said.out.len() < 1 << 20);
            assert_eq!(said.status == 2, said.out.is_empty());
            wrong += usize::from(said.status != 0);
            let listed = fat(&["list", &image]);
            assert!(listed.status <= 1, "{}", listed.err);
            fat(&[
                "cat",
                &image,
                "/a folder/with/a long name of some length.txt",
            ]);
            fat(&["info", &image]);
            let out = place.at("in/out");
            fat(&["extract", &image, "-o", &out]);
            let _ = fs::remove_dir_all(&out);
            // A change is refused, or what comes of it is clean.
            let before = fs::read(&image).unwrap();
            let changed = fat(&["add", &image, "-C", &place.at("src"), "one.txt"]);
            match changed.status {
                0 => assert_eq!(fat(&["check", &image]).status, 0, "{argument} {round}"),
                _ => assert!(fs::read(&image).unwrap() == before, "{argument} {round}"),
            }
            for (at, byte) in turned.into_iter().rev() {
                bytes[at] = byte;
            }
        }
        assert!(bytes == original);
    }
    assert!(wrong > ROUNDS * 2, "{wrong} were seen to be wrong");
    let left: Vec<_> = tree(&place.path().join("in")).into_keys().collect();
    assert_eq!(left, [""; 0], "outside of the folder");
}

/// Writes a file with holes for zeros, which is quicker.
fn write(path: &str, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    let zeros = [0; 4096];
    for (at, part) in bytes.chunks(4096).enumerate() {
        if *part != zeros[..part.len()] {
            file.write_all_at(part, at as u64 * 4096).unwrap();
        }
    }
}

#[test]
fn names_that_lead_elsewhere_stay_inside() {
    let place = Place::new();
    let image = place.at("x.img");
    place.put("src/aa-evil.txt", b"evil");
    place.put("src/bb-evil.txt", b"evil");
    place.put("src/good.txt", b"good");
    ok(&["create", &image, "1M"]);
    ok(&["add", &image, "-C", &place.at("src"), "."]);
    let mut bytes = fs::read(&image).unwrap();
    let utf16 = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
    };
    // Five units stand together at the start of a piece.
    for (old, new) in [("aa-ev", "../ev"), ("bb-ev", "b\\\x1b[m")] {
        let at = bytes
            .windows(10)
            .position(|window| window == utf16(old))
            .unwrap();
        bytes[at..at + 10].copy_from_slice(&utf16(new));
    }
    fs::write(&image, bytes).unwrap();
    let said = fat(&["extract", &image, "-o", &place.at("in/out")]);
    assert_eq!(said.status, 1);
    assert_eq!(
        said.err.replace(&image, "x.img"),
        "fat: x.img: /..\\u{2f}evil.txt: left out: its name is none that a file here can have\n\
         fat: x.img: /b\\u{5c}\\u{1b}[mil.txt: left out: its name is none that a file here can have\n"
    );
    let names: Vec<_> = tree(&place.path().join("in")).into_keys().collect();
    assert_eq!(names, ["out", "out/good.txt"]);
    // Links in the folder are not followed either.
    fs::remove_dir_all(place.path().join("in/out")).unwrap();
    fs::create_dir_all(place.path().join("in/out")).unwrap();
    let (victim, link) = (
        place.put("victim", b"as it was"),
        place.at("in/out/good.txt"),
    );
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    fat(&["extract", &image, "-o", &place.at("in/out")]);
    assert_eq!(fs::read(&victim).unwrap(), b"as it was");
    assert_eq!(fs::read(&link).unwrap(), b"good");
    place.put("src/sub/inner.txt", b"inner");
    let clean = place.at("clean.img");
    ok(&["create", &clean, "1M"]);
    ok(&["add", &clean, "-C", &place.at("src"), "sub"]);
    std::os::unix::fs::symlink(place.path(), place.at("in/out/sub")).unwrap();
    let said = fat(&["extract", &clean, "-o", &place.at("in/out")]);
    assert!(said.err.ends_with("/sub is in the way\n"), "{}", said.err);
    assert!(!place.path().join("inner.txt").exists());
}

#[test]
fn folders_in_a_circle_end() {
    let place = Place::new();
    let image = place.at("x.img");
    ok(&["create", &image, "1M"]);
    ok(&["mkdir", "-p", &image, "/one/two/three"]);
    let volume = Volume::open(image.as_ref()).unwrap();
    let tree = volume.walk().unwrap();
    let start = |path| tree.nodes[tree.find(path).unwrap()].record.cluster;
    let three = tree.nodes[tree.find("/one/two/three").unwrap()].offset as usize;
    let mut bytes = fs::read(&image).unwrap();
    bytes[three + 26] = start("/one") as u8;
    fs::write(&image, bytes).unwrap();
    let said = fat(&["list", &image]);
    assert_eq!(said.status, 1);
    assert_eq!(said.text().lines().count(), 3);
    assert!(said.err.contains("/one/two/three at "), "{}", said.err);
    assert!(
        said.err
            .contains("its chain reaches cluster 2, which is /one's"),
        "{}",
        said.err
    );
}

#[test]
fn what_is_no_volume() {
    let place = Place::new();
    for (bytes, why) in [
        (vec![], "there is not even a boot sector"),
        (
            vec![0; 4096],
            "the boot sector's signature at 0x1fe is missing",
        ),
    ] {
        let image = place.put("x.img", &bytes);
        let error = Volume::open(image.as_ref()).unwrap_err();
        assert!(matches!(error, OpenError::Boot(_)));
        let said = fat(&["check", &image]);
        assert_eq!((said.status, said.text().as_str()), (2, ""));
        assert_eq!(said.err, format!("fat: {image}: not a FAT volume: {why}\n"));
        assert_eq!(fat(&["list", &image]).status, 1);
    }
    let folder = place.path().to_str().unwrap();
    assert_eq!(fat(&["check", folder]).status, 2);
}

#[test]
fn an_image_made_by_ocaml_fat() {
    // ocaml-fat: 16 bits in the table, whatever the size, and its own name in the boot sector.
    let place = Place::new();
    let image = place.at("x.img");
    place.put("src/a.txt", &noise(1, 6000));
    let words = [
        "create",
        &image,
        "8M",
        "--type",
        "fat16",
        "--cluster-size",
        "1K",
    ];
    ok(&words);
    ok(&["add", &image, "-C", &place.at("src"), "."]);
    let mut bytes = fs::read(&image).unwrap();
    // Fewer sectors make fewer clusters than FAT16 has.
    bytes[19..21].copy_from_slice(&5000u16.to_le_bytes());
    bytes[3..11].copy_from_slice(b"ocamlfat");
    fs::write(&image, bytes).unwrap();
    assert_eq!(ok(&["list", &image]), "/a.txt (FILE)(6000 bytes)\n");
    assert_eq!(fat(&["cat", &image, "a.txt"]).out, noise(1, 6000));
    let said = fat(&["check", &image]);
    assert_eq!(said.status, 1);
    assert!(
        said.text()
            .contains("16 bits for so few clusters that 12 are due"),
        "{}",
        said.text()
    );
}
