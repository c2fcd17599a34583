//! A site's two images: what is in them, and that they are as small as they can be.

use std::fs;
use std::path::Path;
use std::process::Command;

use mir::fat::boot::Kind;
use mir::fat::format::Wanted;
use mir::fat::{name, site};
use mir::pack::{Cache, volumes};
use mir::site::{Options, render};
use www::pack::{NewFile, NewVolume};

use crate::common::{Place, clean, ok};

fn own() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site")
}

fn make(out: &str, words: &[&str]) {
    let mut mir = Command::new(env!("CARGO_BIN_EXE_mir"));
    mir.args(["fat", "site", "--no-cache", "-o", out, "--site"])
        .arg(own())
        .args(words);
    let output = mir.env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It belongs to nobody's host, so it has no feeds, which is said.
    let noted = said.lines().all(|line| line.starts_with("note: "));
    assert!(output.status.success() && noted, "{said}");
}

#[test]
fn images_hold_the_site_and_are_the_same_each_time() {
    let place = Place::new();
    let (one, two) = (place.at("one"), place.at("two"));
    make(&one, &[]);
    make(&two, &["--deterministic"]);
    let site = render(
        &own(),
        Options {
            modified: Some(1_700_000_000),
            ..Options::default()
        },
    )
    .unwrap();
    let made = volumes(site, &Cache::none()).unwrap();
    for (part, volume) in [("files", made.files), ("pages", made.pages)] {
        let image = format!("{one}/{part}.img");
        clean(&image);
        let bytes = fs::read(&image).unwrap();
        assert!(
            bytes == fs::read(format!("{two}/{part}.img")).unwrap(),
            "{part}"
        );
        assert_eq!(bytes.len() % 4096, 0);
        let out = place.at(part);
        ok(&["extract", &image, "-o", &out]);
        for file in volume.files.iter().chain([&volume.manifest]) {
            assert!(
                fs::read(format!("{out}/{}", file.name)).unwrap() == file.body,
                "{}",
                file.name
            );
        }
        let files = ok(&["list", &image])
            .lines()
            .filter(|l| l.contains(" (FILE)("))
            .count();
        assert_eq!(files, volume.files.len() + 1);
        let label = part.to_uppercase();
        assert!(ok(&["info", &image]).contains(&format!("label      {label}\n")));
    }
}

fn file(name: String, len: usize) -> NewFile {
    assert!(name.split('/').all(|part| name::check(part).is_ok()));
    NewFile {
        name,
        modified: Some(1_700_000_000),
        body: vec![b'x'; len],
    }
}

/// Volumes whose folders, names and lengths lie at the borders of clusters.
fn cases() -> Vec<NewVolume> {
    let manifest = || file("mir-www.manifest".to_owned(), 3000);
    let volume = |files: Vec<NewFile>| NewVolume {
        files,
        manifest: manifest(),
    };
    let many =
        |count: usize, len: usize| (0..count).map(move |at| file(format!("folder/page {at}"), len));
    vec![
        volume(vec![]),
        volume(
            (0..20)
                .map(|at| file(format!("a/b/c{at}/{}", "n".repeat(at * 12 + 1)), at * 512))
                .collect(),
        ),
        // 14, 15 and 16 names of four slots beside `.` and `..` in a cluster of 2 KiB.
        volume(many(31, 0).collect()),
        volume(many(30, 2048).collect()),
        volume(many(1000, 2049).collect()),
        volume((0..700).map(|at| file(format!("{at}.html"), 1)).collect()),
        volume((0..5).map(|at| file(format!("{at}"), 3_000_000)).collect()),
    ]
}

#[test]
fn images_are_no_larger_than_they_must_be() {
    let place = Place::new();
    let kinds = [
        None,
        Some(Kind::Fat12),
        Some(Kind::Fat16),
        Some(Kind::Fat32),
    ];
    for (at, volume) in cases().into_iter().enumerate() {
        for (kind, sector_size) in kinds
            .into_iter()
            .flat_map(|kind| [(kind, 512), (kind, 4096)])
        {
            if kind == Some(Kind::Fat32) && sector_size == 4096 && at > 0 {
                continue;
            }
            let wanted = Wanted {
                kind,
                sector_size,
                ..Wanted::default()
            };
            let boot = site::layout(&volume, &wanted, 0).unwrap();
            let editor = site::image(volume.clone(), &wanted, 0).unwrap();
            // FAT16 and FAT32 have a least number of clusters; otherwise every one is in use.
            let least = [0, 4085, 65_525][usize::from(kind == Some(Kind::Fat16))
                + 2 * usize::from(kind == Some(Kind::Fat32))];
            if boot.clusters != least {
                assert_eq!(editor.free(), 0, "{at} {kind:?}");
            }
            // One sector less is one cluster less, which would not do.
            let data = boot.cluster_at(2) / u64::from(boot.sector_size);
            assert_eq!(
                u64::from(boot.sectors),
                data + u64::from(boot.clusters * boot.cluster_sectors)
            );
            let image = place.at("x.img");
            editor.save(image.as_ref(), &mut |_| ()).unwrap();
            clean(&image);
            assert!(fs::metadata(&image).unwrap().len() < boot.len() + 4096);
        }
    }
}

#[test]
fn free_space_is_what_is_asked_for() {
    for volume in cases() {
        let free = site::free_for(&volume);
        let editor = site::image(volume, &Wanted::default(), free).unwrap();
        let cluster = u64::from(editor.boot().cluster_size());
        assert!(
            (free..free + cluster).contains(&editor.free()),
            "{free}: {}",
            editor.free()
        );
    }
}
