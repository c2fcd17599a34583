//! The guest's FAT code on images that mkfs.fat, mtools and our own tool wrote: the same tree and
//! the same bytes as in the folder that they come from, and as other readers find there.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use tests::disk::{Disk, run};
use tests::fat::{Hand, ask, get, status};
use tests::fat_image::{Dice, check};
use tests::tools::{Tree, fat, fat_ok, put, same, tool, tree};
use www::cache::Cache;
use www::fat::{FatStore, Limits, Volume};
use www::http::{self, Service};
use www::pack::names::Part;
use www::stats::Stats;

/// Bits in a table's entry, bytes in a sector, sectors in a cluster, KiB in the volume; whether
/// the large file is there, and as many files in a folder as there are.
const KINDS: [(&str, &str, &str, &str, bool); 6] = [
    ("12", "512", "64", "122880", true),
    ("16", "512", "8", "163840", true),
    ("32", "512", "2", "163840", true),
    ("12", "4096", "1", "12288", false),
    ("16", "4096", "1", "40960", false),
    ("32", "4096", "1", "286720", false),
];

const LARGE: u64 = 102 << 20;

/// What mtools can write: letters of all sorts, the longest name, 20 levels.
fn small(folder: &Path) {
    put(folder, "README.TXT", b"in capitals");
    put(folder, "wiki/xen-boot.md", &b"How Xen boots. ".repeat(5000));
    put(folder, "wiki/empty", b"");
    put(folder, &format!("{}.txt", "n".repeat(250)), b"254");
    put(folder, "ünï/Straße – größer.txt", b"Latin");
    put(folder, "Ελληνικά/ένα αρχείο.txt", b"Greek");
    put(folder, "日本語/ファイル.txt", b"Japanese");
    let deep: Vec<_> = (0..20).map(|level| format!("level {level}")).collect();
    put(folder, &format!("{}/deep.txt", deep.join("/")), b"deep");
    fs::create_dir_all(folder.join("nothing in it")).unwrap();
}

/// What it cannot, or takes minutes for: emoji, 5,000 files in a folder.
fn more(folder: &Path, is_large: bool) {
    put(folder, "👋🌍/🦀 – crab.txt", b"emoji");
    for at in 0..if is_large { 5000 } else { 200 } {
        let body = if at % 50 == 0 { "content" } else { "" };
        put(folder, &format!("many/number {at}.html"), body.as_bytes());
    }
}

/// A file with holes, which costs little here.
fn large(folder: &Path) {
    let file = fs::File::create(folder.join("large.bin")).unwrap();
    file.set_len(LARGE).unwrap();
    for at in (0..LARGE).step_by(1 << 20).chain([LARGE - 8]) {
        file.write_all_at(&at.to_le_bytes(), at).unwrap();
    }
}

/// Copies what is in a folder to the root of an image.
fn mcopy(image: &str, folder: &Path) {
    let mut words = vec!["-s", "-Q", "-m", "-i", image];
    let entries = fs::read_dir(folder).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    words.extend(names.iter().map(|path| path.to_str().unwrap()));
    words.push("::");
    tool("mcopy", &words);
}

/// What the guest reads.
fn guest(image: &str, sector: u32) -> Tree {
    let disk = Disk::with_sectors(fs::read(image).unwrap(), sector);
    let cache = Cache::new(4 << 20);
    let volume = run(Volume::mount(disk, &cache, Limits::default())).expect("a volume");
    let problems: Vec<_> = volume.problems().map(|p| p.to_string()).collect();
    assert_eq!(problems, [""; 0]);
    let volume = Rc::new(volume);
    let entries = volume.entries().map(|entry| {
        let path = entry.path().to_string();
        let found = volume.find(path.as_bytes()).expect("what is listed");
        assert_eq!(
            (found.file(), found.is_dir()),
            (entry.file(), entry.is_dir())
        );
        let bytes = entry.file().map(|file| {
            let mut bytes = Vec::with_capacity(file.size() as usize);
            let mut reader = volume.open(file);
            run(async {
                while let Some(chunk) = reader.chunk().await.expect("a piece") {
                    bytes.extend_from_slice(&chunk);
                }
            });
            bytes
        });
        (path[1..].to_owned(), bytes)
    });
    entries.collect()
}

/// That an image holds what a folder does, for the guest, for our tool and for sleuthkit.
fn holds(image: &str, source: &Path, sector: &str, work: &Path) {
    tool("fsck.fat", &["-n", image]);
    let mut expected = tree(source);
    same(&guest(image, sector.parse().unwrap()), &expected, "guest");
    let out = work.join("extracted");
    fat_ok(&["extract", image, "-o", out.to_str().unwrap()]);
    same(&tree(&out), &expected, "extract");
    fs::remove_dir_all(&out).unwrap();

    // It cuts names after 247 bytes, and recovers neither empty folders nor empty files.
    let out = work.join("recovered");
    tool("tsk_recover", &["-a", image, out.to_str().unwrap()]);
    // Of letters beyond ASCII in short names it shows nothing.
    let found = tree(&out).into_iter();
    let mut found: Tree = found
        .map(|(name, bytes)| (name.replace("^n^/", "ünï/"), bytes))
        .collect();
    expected = expected
        .into_iter()
        .map(|(name, bytes)| (name.get(..247).unwrap_or(&name).to_owned(), bytes))
        .collect();
    for tree in [&mut expected, &mut found] {
        tree.retain(|_, bytes| bytes.as_ref().is_some_and(|bytes| !bytes.is_empty()));
    }
    same(
        &found,
        &expected,
        &format!("tsk_recover {image}, sectors of {sector}"),
    );
    fs::remove_dir_all(&out).unwrap();
}

#[test]
fn images_of_mkfs_and_mtools() {
    for (bits, sector, per, kib, is_large) in KINDS {
        let work = tempfile::tempdir().unwrap();
        let work = work.path();
        let (source, extra, gone) = (work.join("src"), work.join("more"), work.join("gone"));
        let image = work.join("x.img");
        let image = image.to_str().unwrap();
        let form = ["-C", "-F", bits, "-S", sector, "-s", per, "-n", "LABEL"];
        tool("mkfs.fat", &[&form[..], &[image, kib]].concat());
        // Files that are deleted: of them only records and free clusters are left, with holes.
        for at in 0..20 {
            put(&gone, &format!("deleted {at}"), &[b'x'; 40_000]);
        }
        mcopy(image, &gone);
        for at in (0..20).step_by(2) {
            tool("mdel", &["-i", image, &format!("::deleted {at}")]);
        }
        small(&source);
        if is_large {
            large(&source);
        }
        mcopy(image, &source);
        for at in (1..20).step_by(2) {
            tool("mdel", &["-i", image, &format!("::deleted {at}")]);
        }
        tool("mlabel", &["-i", image, "::ANOTHER"]);
        same(
            &guest(image, sector.parse().unwrap()),
            &tree(&source),
            "by mtools alone",
        );
        more(&extra, is_large);
        more(&source, is_large);
        fat_ok(&["add", image, "-C", extra.to_str().unwrap(), "."]);
        holds(image, &source, sector, work);
    }
}

#[test]
fn images_of_our_tool() {
    for (bits, sector, per, kib, is_large) in KINDS {
        let work = tempfile::tempdir().unwrap();
        let work = work.path();
        let (source, image) = (work.join("src"), work.join(format!("fat{bits}")));
        let image = image.to_str().unwrap();
        small(&source);
        more(&source, is_large);
        if is_large {
            large(&source);
        }
        let number = |text: &str| text.parse::<u32>().unwrap();
        let cluster = (number(sector) * number(per)).to_string();
        let (kind, size) = (format!("fat{bits}"), format!("{kib}K"));
        let layout = ["--type", &kind, "--sector-size", sector];
        let layout = [
            &layout[..],
            &["--cluster-size", &cluster, "--label", "OURS"],
        ]
        .concat();
        fat_ok(&[&["create", image, &size], &layout[..]].concat());
        fat_ok(&["add", image, "-C", source.to_str().unwrap(), "."]);
        holds(image, &source, sector, work);
    }
}

type Fat = Service<FatStore<Disk>, Hand>;

fn served(disk: Disk) -> (FatStore<Disk>, Fat) {
    let clock = Hand::new();
    let store = FatStore::new(&Cache::new(512 << 10), clock.clone());
    // What is no volume is a part that is away.
    let mounted = run(store.mount(Part::Files, disk, Limits::default()));
    assert_eq!(mounted.is_ok(), store.is_ready(Part::Files));
    let limits = http::Limits::default();
    let service = Service::new(store.clone(), clock, limits, Rc::new(Stats::default()));
    (store, service)
}

/// A site that somebody put onto a volume with mcopy.
#[test]
fn served_without_a_manifest() {
    let work = tempfile::tempdir().unwrap();
    let (source, image) = (work.path().join("src"), work.path().join("x.img"));
    let image = image.to_str().unwrap();
    let css = b"body { color: black }\n".repeat(200);
    put(&source, "index.html", b"<p>home");
    put(&source, "ünï/index.html", b"<p>inner");
    put(&source, "about.html", b"<p>about");
    put(&source, "404.html", b"<p>not here");
    put(&source, "style.css", &css);
    put(&source, "style.css.gz", b"compressed, or so it says");
    put(&source, "日本語/ファイル.txt", b"Japanese");
    for file in ["style.css", "style.css.gz", "index.html"] {
        let path = source.join(file);
        tool(
            "touch",
            &["-d", "2024-02-29T12:34:56Z", path.to_str().unwrap()],
        );
    }
    tool("mkfs.fat", &["-C", "-F", "16", "-s", "1", image, "4096"]);
    mcopy(image, &source);
    let (_, service) = served(Disk::new(fs::read(image).unwrap()));
    let answer = |request: &str| String::from_utf8(ask(&service, request).0).unwrap();
    let home = answer(&get("/"));
    assert!(home.starts_with("HTTP/1.1 200 OK\r\n"), "{home}");
    assert!(home.ends_with("\r\n\r\n<p>home"), "{home}");
    assert!(home.contains("\r\nContent-Type: text/html"), "{home}");
    let date = "\r\nLast-Modified: Thu, 29 Feb 2024 12:34:56 GMT\r\n";
    assert!(home.contains(date), "{home}");
    assert!(answer(&get("/about")).ends_with("<p>about"));
    assert!(answer(&get("/%C3%BCn%C3%AF/")).ends_with("<p>inner"));
    let japanese: String = "日本語/ファイル.txt"
        .bytes()
        .map(|b| format!("%{b:02x}"))
        .collect();
    assert!(answer(&get(&format!("/{japanese}"))).ends_with("Japanese"));
    let missing = answer(&get("/nowhere"));
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    assert!(missing.ends_with("<p>not here"), "{missing}");

    let tag = |said: &str| {
        let (_, tag) = said.split_once("\r\nETag: ").expect("a tag");
        tag.lines().next().unwrap_or_default().to_owned()
    };
    let plain = answer(&get("/style.css"));
    let packed = answer("GET /style.css HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    for said in [&plain, &packed] {
        assert!(said.contains("\r\nContent-Type: text/css"), "{said}");
        assert!(said.contains("\r\nVary: Accept-Encoding\r\n"), "{said}");
    }
    assert!(plain.as_bytes().ends_with(&css) && !plain.contains("Content-Encoding"));
    assert!(
        packed.contains("\r\nContent-Encoding: gzip\r\n"),
        "{packed}"
    );
    assert!(
        packed.ends_with("\r\n\r\ncompressed, or so it says"),
        "{packed}"
    );
    assert_ne!(tag(&plain), tag(&packed));
    assert_ne!(tag(&plain), tag(&home));
    let again = |tag: &str| {
        answer(&format!(
            "GET /style.css HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"
        ))
    };
    assert!(again(&tag(&plain)).starts_with("HTTP/1.1 304 "));
    assert!(again(&tag(&home)).starts_with("HTTP/1.1 200 "));
}

/// A thousand times bits turned and ends cut off in images by mkfs.fat and mtools: through the
/// guest's code, over HTTP, and through our tool.
#[test]
fn a_thousand_corrupted_images() {
    // In memory where that can be: our tool waits for the disk whenever it writes.
    let work = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let work = work.unwrap();
    let work = work.path();
    let (source, image) = (work.join("src"), work.join("x.img"));
    let image = image.to_str().unwrap();
    put(&source, "index.html", &b"<p>home".repeat(300));
    put(&source, "ünï/inner.html", &b"<p>inner".repeat(900));
    put(
        &source,
        "a folder/with/a long name of some length.txt",
        b"x",
    );
    for at in 0..12 {
        put(&source, &format!("many/number {at}"), &vec![b'x'; at * 600]);
    }
    let out = work.join("in/out");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (from, to) = (path(&source), path(&out));
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    let (mut harmed, mut statuses, mut listed) = (0, [0; 6], [0; 2]);
    for (bits, kib) in [("12", "1024"), ("16", "2600"), ("32", "1400")] {
        let _ = fs::remove_file(image);
        tool("mkfs.fat", &["-C", "-F", bits, "-s", "1", image, kib]);
        match bits {
            // mtools takes one so small for no FAT32.
            "32" => drop(fat_ok(&["add", image, "-C", &from, "."])),
            _ => mcopy(image, &source),
        }
        let good = fs::read(image).unwrap();
        let volume = mir::fat::volume::Volume::open(image.as_ref()).unwrap();
        let table = volume.boot.table_at(0) as usize;
        let root = volume.boot.root_at() as usize;
        let data = volume.boot.cluster_at(2) as usize;
        let regions = [
            0..90,
            table..table + 300,
            root..root + 1024,
            root..data + 24_000,
        ];
        for number in 0..334 {
            let mut bytes = good.clone();
            if number % 12 == 0 {
                bytes.truncate(dice.roll(data + 40_000));
            } else {
                // A boot sector that is refused at once hides all else: it is hit less often.
                let region = regions[[0, 1, 2, 3, 1, 2, 3, 3][number % 8]].clone();
                for _ in 0..[1, 4, 32][number % 3] {
                    bytes[region.start + dice.roll(region.len())] ^= 1 << dice.roll(8);
                }
            }
            let what = format!("FAT{bits} number {number}");
            fs::write(image, &bytes).unwrap();
            harmed += usize::from(check(bytes.clone(), &what));
            let (store, service) = served(Disk::new(bytes));
            for path in ["/", "/%C3%BCn%C3%AF/inner", "/many/number%207", "/nowhere"] {
                let status = status(&service, path);
                assert!([200, 404, 500, 503].contains(&status), "{what}: {status}");
                statuses[usize::from(status / 100)] += 1;
            }
            let counters = store.cache().counters();
            assert!(counters.blocks <= counters.capacity && counters.held == 0);

            let said = fat(&["check", image]);
            assert!(said.status <= 2 && said.out.len() + said.err.len() < 1 << 20);
            let said = fat(&["list", image]);
            assert!(said.status == 0 || !said.err.is_empty(), "{what}");
            listed[usize::from(said.status)] += 1;
            fat(&["cat", image, "/many/number 7"]);
            fat(&["extract", image, "-o", &to]);
            let _ = fs::remove_dir_all(&out);
            // A change is refused, or what comes of it is clean.
            let before = fs::read(image).unwrap();
            match fat(&["add", image, "-C", &from, "index.html"]).status {
                0 => assert_eq!(fat(&["check", image]).status, 0, "{what}"),
                _ => assert!(fs::read(image).unwrap() == before, "{what}"),
            }
        }
    }
    assert!(harmed > 100, "{harmed} had something broken");
    assert!(listed[0] > 100 && listed[1] > 100, "{listed:?}");
    assert!(
        [2, 4, 5].iter().all(|at| statuses[*at] > 100),
        "{statuses:?}"
    );
    let left: Vec<_> = tree(&work.join("in")).into_keys().collect();
    assert_eq!(left, [""; 0], "outside of the folder");
}
