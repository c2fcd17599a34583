//! A site on two FAT volumes, in one process: rendered, written to images by the crate `fatfs`,
//! mounted and asked over HTTP.

use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

use mir::pack::{Cache as Compressed, Volumes};
use mir::site::{Item, Rendered};
use tests::disk::{Disk, run};
use tests::fat::{Client, Hand, NOW, ask, get, poll, status, volume};
use www::cache::Cache;
use www::fat::{FatStore, Limits};
use www::http::{self, Service};
use www::pack::names::Part;
use www::pack::{NewVolume, Pack};
use www::stats::Stats;
use www::store::Site;
use www::{Clock, SectorsError, Store};

const SIZE: usize = 24 << 20;
const LARGE: usize = 3 << 20;

type Fat = Service<Site<'static, Disk>, Hand>;

/// Our own site, and paths that FAT has other names for.
fn rendered() -> Rendered {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site");
    let options = mir::site::Options {
        modified: Some(NOW + 1),
        ..mir::site::Options::default()
    };
    let mut site = mir::site::render(&folder, options).expect("our own site");
    let mut add = |path: &str, rendered, body: Vec<u8>| {
        site.items.push(Item {
            path: path.to_owned(),
            media_type: www::media::of(path),
            rendered,
            modified: NOW,
            body,
        });
    };
    let noise = |n: usize| (0..n).map(|at| ((at * at) >> 7) as u8).collect::<Vec<_>>();
    let text = |n: usize| b"All work and no play. ".repeat(n);
    add("/large.bin", false, noise(LARGE));
    add("/m.bin", false, noise(100_000));
    add("/empty.txt", false, Vec::new());
    add("/a:b?.css", false, text(50));
    add("/Case", false, b"upper".to_vec());
    add("/case", false, b"lower".to_vec());
    add("/case/inside.js", false, text(60));
    add("/ends.", false, b"dot".to_vec());
    add("/größe/日本語.txt", false, text(90));
    add(&format!("/{}.txt", "long".repeat(80)), false, text(30));
    add("/archive.tar", false, text(900));
    add("/archive.tar.gz", false, noise(500));
    add("/feed.xml", true, text(40));
    site.items.sort_by(|a, b| a.path.cmp(&b.path));
    site
}

fn pack() -> Pack<'static> {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = PACK.get_or_init(|| mir::pack::pack(rendered(), &Compressed::none()).unwrap());
    Pack::load(bytes).expect("our own pack")
}

fn volumes() -> &'static Volumes {
    static VOLUMES: OnceLock<Volumes> = OnceLock::new();
    VOLUMES.get_or_init(|| mir::pack::volumes(rendered(), &Compressed::none()).unwrap())
}

/// An image of a volume, its files as `change` leaves them.
fn image(from: &NewVolume, change: impl Fn(&mut Vec<(String, u64, Vec<u8>)>)) -> Vec<u8> {
    let files = from.files.iter().chain([&from.manifest]);
    let files = files.map(|file| (file.name.clone(), file.modified.unwrap(), file.body.clone()));
    let mut files: Vec<_> = files.collect();
    change(&mut files);
    let files = files.iter().map(|(name, at, body)| (&**name, *at, &**body));
    volume(SIZE, &files.collect::<Vec<_>>())
}

fn images() -> &'static [Vec<u8>; 2] {
    static IMAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let volumes = volumes();
        [&volumes.files, &volumes.pages].map(|volume| image(volume, |_| {}))
    })
}

struct Served {
    store: FatStore<Disk>,
    service: Fat,
    disks: [Disk; 2],
}

fn service<S: Store, T: Clock>(store: S, clock: T) -> Service<S, T> {
    Service::new(
        store,
        clock,
        http::Limits::default(),
        Rc::new(Stats::default()),
    )
}

fn served(images: [Vec<u8>; 2]) -> Served {
    let clock = Hand::new();
    let store = FatStore::new(&Cache::new(2 << 20), clock.clone());
    let disks = images.map(Disk::new);
    for (part, disk) in Part::ALL.into_iter().zip(&disks) {
        store.away(part, "not there as yet");
        run(store.mount(part, disk.clone(), Limits::default())).unwrap();
    }
    Served {
        service: service(Site::Fat(store.clone()), clock),
        store,
        disks,
    }
}

/// Every path, in every encoding, under every condition, by GET and by HEAD: the same bytes.
#[test]
fn byte_for_byte_as_from_the_pack() {
    let crunch = service(Site::<Disk>::Pack(pack()), Hand::new());
    let fat = served(images().clone());
    let mut paths: Vec<_> = pack().entries().map(|e| e.path().to_owned()).collect();
    assert!(paths.len() > 30);
    // Names of files, which are no paths of the site.
    let names = volumes().files.files.iter().chain(&volumes().pages.files);
    paths.extend(names.map(|file| format!("/{}", file.name)));
    let others = [
        "/nowhere",
        "/mir-www.manifest",
        "/index.html",
        "/404",
        "/CASE",
        "/case/",
        "//",
    ];
    paths.extend(others.map(str::to_owned));
    let mut seen = [0; 6];
    for path in &paths {
        let target: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("/{}", target.trim_start_matches("%2F"));
        let entry = pack().find(path.as_bytes());
        let variants = entry.map(|e| e.variants().collect::<Vec<_>>());
        let tags = variants.unwrap_or_default();
        let tags = tags
            .iter()
            .map(|v| String::from_utf8_lossy(v.etag).into_owned());
        let mut conditions = vec![
            String::new(),
            "If-None-Match: *\r\n".to_owned(),
            "If-Match: \"no\"\r\n".to_owned(),
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n".to_owned(),
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:38 GMT\r\n".to_owned(),
            "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:35 GMT\r\n".to_owned(),
            "Range: bytes=1-2,5-\r\n".to_owned(),
        ];
        conditions.extend(tags.map(|tag| format!("If-None-Match: {tag}\r\n")));
        for accept in [
            "",
            "gzip",
            "br",
            "gzip, br",
            "br;q=0.5, gzip",
            "*;q=0",
            "identity;q=0",
        ] {
            let accept = match accept {
                "" => String::new(),
                accept => format!("Accept-Encoding: {accept}\r\n"),
            };
            for condition in &conditions {
                for method in ["GET", "HEAD"] {
                    let request =
                        format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{accept}{condition}\r\n");
                    let (expected, _) = ask(&crunch, &request);
                    let (found, aborted) = ask(&fat.service, &request);
                    assert!(!aborted, "{request}");
                    assert!(
                        found == expected,
                        "{request}\n{}",
                        differ(&found, &expected)
                    );
                    seen[usize::from(found[9] - b'0')] += 1;
                }
            }
        }
    }
    // Not the same nothing on both sides.
    assert!(
        seen[2] > 1000 && seen[3] > 1000 && seen[4] > 1000 && seen[5] == 0,
        "{seen:?}"
    );
    let said = fat.service.report().to_string();
    assert!(said.contains("; files FAT"), "{said}");
    assert!(said.contains(" hits, "), "{said}");
}

/// What our own tool writes, for each kind of FAT that the sites fit.
#[test]
fn from_images_of_our_own_tool() {
    use mir::fat::boot::Kind;
    use mir::fat::format::Wanted;

    let crunch = service(pack(), Hand::new());
    let folder = tempfile::tempdir().unwrap();
    for kind in [Kind::Fat12, Kind::Fat16, Kind::Fat32] {
        let images = [&volumes().files, &volumes().pages].map(|volume| {
            let wanted = Wanted {
                kind: Some(kind),
                ..Wanted::default()
            };
            let editor = mir::fat::site::image(volume.clone(), &wanted, 0).unwrap();
            let path = folder.path().join("image");
            editor.save(&path, &mut |_| ()).unwrap();
            std::fs::read(&path).unwrap()
        });
        let fat = served(images);
        for entry in pack().entries() {
            for accept in ["identity", "gzip", "br, gzip"] {
                let target: String = entry.path().bytes().map(|b| format!("%{b:02X}")).collect();
                let target = format!("/{}", &target[3..]);
                let request = format!(
                    "GET {target} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n\r\n"
                );
                let (expected, _) = ask(&crunch, &request);
                let (found, _) = ask(&fat.service, &request);
                let same = found == expected;
                assert!(same, "{kind}: {request}\n{}", differ(&found, &expected));
            }
        }
        let report = fat.service.report().to_string();
        assert!(report.contains(&format!("{kind} with ")), "{report}");
        assert_eq!(
            ask(&fat.service, &get("/nowhere")),
            ask(&crunch, &get("/nowhere"))
        );
    }
}

fn differ(found: &[u8], expected: &[u8]) -> String {
    let head = |bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(600)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    format!("found:\n{}\nexpected:\n{}", head(found), head(expected))
}

/// Takes a header field out of an answer, if it is there.
fn without(answer: &mut Vec<u8>, field: &str) {
    let line = format!("\r\n{field}: ");
    let found = answer
        .windows(line.len())
        .position(|w| w == line.as_bytes());
    if let Some(at) = found {
        let end = answer[at + 2..].iter().position(|b| *b == b'\n');
        answer.drain(at + 2..=at + 2 + end.expect("a line"));
    }
}

/// Without manifests: the same bodies and validators under the paths that names can say.
#[test]
fn without_a_manifest() {
    let bare = |volume| image(volume, |files| files.retain(|f| f.0 != "mir-www.manifest"));
    let fat = served([bare(&volumes().files), bare(&volumes().pages)]);
    let crunch = service(pack(), Hand::new());
    let mut compared = 0;
    for entry in pack().entries() {
        let (path, page) = (entry.path(), entry.media_type() == www::media::HTML);
        let (volume, part) = match page || path == "/feed.xml" {
            true => (&volumes().pages, Part::Pages),
            false => (&volumes().files, Part::Files),
        };
        let name = www::pack::names::wished(part, path, entry.media_type());
        let said = volume.files.iter().any(|file| file.name == name);
        if entry.status() != 200 || !said {
            continue;
        }
        for accept in [
            "",
            "Accept-Encoding: gzip\r\n",
            "Accept-Encoding: br, gzip\r\n",
        ] {
            let target: String = path[1..].bytes().map(|b| format!("%{b:02X}")).collect();
            let request = format!("GET /{target} HTTP/1.1\r\nHost: a\r\n{accept}\r\n");
            let (mut expected, _) = ask(&crunch, &request);
            let (mut found, _) = ask(&fat.service, &request);
            // FAT counts every other second.
            for answer in [&mut expected, &mut found] {
                let text = String::from_utf8_lossy(&answer[..answer.len().min(500)]);
                let at = text.find("Last-Modified").expect("a date");
                answer.drain(at..at + 46);
                // Nor does a name say what pages may do, and what never changes.
                for field in [
                    "Cache-Control",
                    "Content-Security-Policy",
                    "Permissions-Policy",
                    "Referrer-Policy",
                ] {
                    without(answer, field);
                }
            }
            if path == "/archive.tar" && accept.contains("gzip") {
                // Its gzip bears the name of another file, as a name's reader has to take it.
                continue;
            }
            assert!(
                found == expected,
                "{request}\n{}",
                differ(&found, &expected)
            );
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
    let answer =
        |path: &str| String::from_utf8_lossy(&ask(&fat.service, &get(path)).0).into_owned();
    let missing = answer("/nowhere");
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    assert!(
        missing.contains("text/html") && !missing.contains("ETag"),
        "{missing}"
    );
    assert_eq!(status(&fat.service, "/404"), 404);
    // A conditional request, by the tag that was made.
    let first = answer("/archive.tar.gz");
    let (_, tag) = first.split_once("ETag: ").unwrap();
    let tag = tag.lines().next().unwrap();
    let again = format!("GET /archive.tar.gz HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n");
    let (again, _) = ask(&fat.service, &again);
    assert!(again.starts_with(b"HTTP/1.1 304 "));
}

/// A file that is not as the manifest has it is served by what it is, and so is one of which the
/// manifest does not speak.
#[test]
fn files_that_changed_since() {
    let changed = image(&volumes().files, |files| {
        let find = |name: &str, files: &[(String, u64, Vec<u8>)]| {
            files.iter().position(|f| f.0 == name).expect("a file")
        };
        // Of the same length, and later.
        let at = find("archive.tar", files);
        files[at].1 = NOW + 100;
        files[at].2[0] = b'X';
        // Of another length.
        let at = find("a%3Ab%3F.css", files);
        files[at].2 = b"short".to_vec();
        let at = find("Case", files);
        files.remove(at);
        files.push(("new.txt".to_owned(), NOW + 100, b"new".to_vec()));
    });
    let fat = served([changed, images()[1].clone()]);
    let answer =
        |request: &str| String::from_utf8_lossy(&ask(&fat.service, request).0).into_owned();
    let tar = "GET /archive.tar HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br, gzip\r\n\r\n";
    let said = answer(tar);
    // What was compressed before is not what it is now.
    assert!(said.contains("\r\n\r\nXll work"), "{}", &said[..300]);
    assert!(!said.contains("Content-Encoding") && !said.contains("Vary"));
    assert!(said.contains("Content-Type: application/x-tar\r\n"));
    let said = answer(&get("/a:b%3F.css"));
    assert!(
        said.ends_with("\r\n\r\nshort") && said.contains("Content-Length: 5\r\n"),
        "{said}"
    );
    assert!(
        said.contains("Content-Type: text/css; charset=utf-8\r\n"),
        "{said}"
    );
    assert!(answer(&get("/new.txt")).ends_with("\r\n\r\nnew"));
    assert_eq!(status(&fat.service, "/Case"), 404);
    assert_eq!(status(&fat.service, "/case"), 200);
}

#[test]
fn a_part_that_is_away() {
    let fat = served(images().clone());
    fat.store.away(Part::Files, "taken out");
    assert_eq!(status(&fat.service, "/"), 200);
    for path in ["/large.bin", "/nowhere"] {
        let (answer, _) = ask(&fat.service, &get(path));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    }
    assert!(
        fat.service
            .report()
            .to_string()
            .contains("files away (taken out)")
    );
    run(fat
        .store
        .mount(Part::Files, fat.disks[0].clone(), Limits::default()))
    .unwrap();
    assert_eq!(status(&fat.service, "/large.bin"), 200);
    assert_eq!(status(&fat.service, "/nowhere"), 404);
    // What is no volume leaves the part away, and says so.
    let junk = Disk::new(vec![7; 1 << 20]);
    run(fat.store.mount(Part::Pages, junk, Limits::default())).unwrap_err();
    assert_eq!(status(&fat.service, "/"), 503);
    assert_eq!(status(&fat.service, "/large.bin"), 200);
    assert!(!fat.store.is_ready(Part::Pages));
}

/// A site may be on one volume.
#[test]
fn a_part_that_there_is_not() {
    let clock = Hand::new();
    let store = FatStore::new(&Cache::new(1 << 20), clock.clone());
    let disk = Disk::new(images()[1].clone());
    run(store.mount(Part::Pages, disk, Limits::default())).unwrap();
    let service = service(store, clock);
    assert_eq!(status(&service, "/"), 200);
    assert_eq!(status(&service, "/large.bin"), 404);
}

#[test]
fn a_disk_that_fails() {
    let fat = served(images().clone());
    fat.disks[0].fail(Some(SectorsError::Failed));
    assert_eq!(status(&fat.service, "/m.bin"), 500);
    assert_eq!(status(&fat.service, "/nowhere"), 404);
    assert!(fat.service.report().to_string().contains(" 1 errors"));
    fat.disks[0].fail(Some(SectorsError::Away));
    assert_eq!(status(&fat.service, "/m.bin"), 503);
    fat.disks[0].fail(None);
    assert_eq!(status(&fat.service, "/m.bin"), 200);
}

/// In the middle of a body there is only one way to say it.
#[test]
fn a_disk_that_fails_in_the_middle() {
    let fat = served(images().clone());
    for error in [SectorsError::Away, SectorsError::Failed] {
        let client = Client::slow(get("/large.bin").as_bytes(), 100_000);
        let mut talk = Box::pin(fat.service.serve(client.clone()));
        for _ in 0..100 {
            assert!(poll(talk.as_mut()).is_pending());
        }
        fat.disks[0].fail(Some(error));
        client.take(usize::MAX);
        run(talk);
        let received = client.received();
        assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(client.aborted() && received.len() < LARGE);
        fat.disks[0].fail(None);
    }
}

/// An answer keeps the volume that it began with; what replaced it is served beside it, and
/// nothing of the old one is left when the answer is over.
#[test]
fn a_volume_that_is_replaced() {
    let fat = served(images().clone());
    let client = Client::slow(get("/large.bin").as_bytes(), 100_000);
    let mut talk = Box::pin(fat.service.serve(client.clone()));
    for _ in 0..100 {
        assert!(poll(talk.as_mut()).is_pending());
    }
    let old = &fat.disks[0];
    let new = Disk::new(image(&volumes().files, |files| {
        files.push(("only-here.txt".to_owned(), NOW, b"here".to_vec()));
    }));
    run(fat.store.mount(Part::Files, new, Limits::default())).unwrap();
    assert_eq!(status(&fat.service, "/only-here.txt"), 200);
    assert!(old.handles() > 1);
    client.take(usize::MAX);
    run(talk);
    assert!(client.received().len() > LARGE && !client.aborted());
    assert_eq!(old.handles(), 1);
    assert_eq!(fat.store.cache().counters().held, 0);
}

/// While a volume is mounted, the part may be taken away: that is what holds.
#[test]
fn a_mount_that_is_overtaken() {
    let fat = served(images().clone());
    let disk = Disk::new(images()[0].clone());
    disk.hold(true);
    let mut mount = Box::pin(
        fat.store
            .mount(Part::Files, disk.clone(), Limits::default()),
    );
    assert!(poll(mount.as_mut()).is_pending());
    fat.store.away(Part::Files, "taken out");
    disk.hold(false);
    run(mount).unwrap_err();
    assert!(!fat.store.is_ready(Part::Files));
    assert_eq!(disk.handles(), 1);
}

/// Two volumes that are mounted at once, as when a file is replaced twice: whichever is ready first,
/// the one that came last stays.
#[test]
fn the_later_of_two_mounts_stays() {
    for later_first in [false, true] {
        let fat = served(images().clone());
        let disks = ["earlier", "later"].map(|name| {
            let disk = Disk::new(volume(1 << 20, &[(name, NOW, b"here")]));
            disk.hold(true);
            disk
        });
        let mut mounts = disks.clone().map(|disk| {
            let mount = fat.store.mount(Part::Files, disk, Limits::default());
            let mut mount = Box::pin(mount);
            assert!(poll(mount.as_mut()).is_pending());
            Some(mount)
        });
        for which in if later_first { [1, 0] } else { [0, 1] } {
            disks[which].hold(false);
            let mounted = run(mounts[which].take().expect("a mount"));
            assert_eq!(mounted.is_ok(), which == 1 || !later_first, "{which}");
        }
        let service = service(fat.store.clone(), Hand::new());
        assert_eq!(status(&service, "/later"), 200);
        assert_eq!(status(&service, "/earlier"), 404);
    }
}

/// However many ask for a file of which no manifest speaks, it is read once for its tag; who
/// gives up leaves that to the others.
#[test]
fn content_is_hashed_once() {
    let body = vec![7; 1 << 20];
    let image = volume(SIZE, &[("big.bin", NOW, &body)]);
    let clock = Hand::new();
    let store = FatStore::new(&Cache::new(8 << 20), clock.clone());
    let disk = Disk::new(image);
    run(store.mount(Part::Files, disk.clone(), Limits::default())).unwrap();
    let service = service(store, clock.clone());
    disk.hold(true);
    let clients: Vec<_> = (0..5)
        .map(|_| Client::new(b"HEAD /big.bin HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    let mut talks: Vec<_> = clients
        .iter()
        .map(|client| Box::pin(service.serve(client.clone())))
        .collect();
    for talk in &mut talks {
        assert!(poll(talk.as_mut()).is_pending());
    }
    disk.take_log();
    drop(talks.remove(0));
    disk.hold(false);
    for talk in talks {
        run(talk);
    }
    let whole = disk.take_log().len();
    for client in &clients[1..] {
        assert!(client.received().starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(client.received(), clients[1].received());
    }
    assert!(clients[0].received().is_empty());
    // In large pieces, and not again.
    assert!((1..=20).contains(&whole), "{whole}");
    assert_eq!(status(&service, "/big.bin"), 200);
    assert_eq!(disk.take_log().len(), 0);
}

/// What could not be hashed is tried again in the next second, and not before.
#[test]
fn a_hash_that_failed_is_kept_for_a_second() {
    let image = volume(SIZE, &[("big.bin", NOW, &[7; 100_000])]);
    let clock = Hand::new();
    let store = FatStore::new(&Cache::new(1 << 20), clock.clone());
    let disk = Disk::new(image);
    run(store.mount(Part::Files, disk.clone(), Limits::default())).unwrap();
    let service = service(store, clock.clone());
    disk.fail(Some(SectorsError::Failed));
    assert_eq!(status(&service, "/big.bin"), 500);
    disk.take_log();
    disk.fail(None);
    assert_eq!(status(&service, "/big.bin"), 500);
    assert_eq!(disk.take_log().len(), 0);
    clock.0.set(NOW + 1);
    assert_eq!(status(&service, "/big.bin"), 200);
}

/// A manifest that was damaged is none; the volume is served by its names.
#[test]
fn a_manifest_that_is_damaged() {
    let damaged = image(&volumes().pages, |files| {
        let manifest = files.last_mut().expect("the manifest");
        let middle = manifest.2.len() / 2;
        manifest.2[middle] ^= 1;
    });
    let fat = served([images()[0].clone(), damaged]);
    assert_eq!(status(&fat.service, "/"), 200);
    assert_eq!(status(&fat.service, "/mir-www.manifest"), 404);
    assert!(fat.service.report().to_string().contains("no manifest"));
}

/// Bits flipped anywhere on the volumes: every path is answered or broken off, nothing panics or
/// waits for ever, and the cache keeps to its limit.
#[test]
fn volumes_that_are_damaged() {
    const VOLUME: usize = 1 << 20;
    let text = b"damaged ".repeat(700);
    let item = |path: &str, rendered| Item {
        path: path.to_owned(),
        media_type: www::media::HTML,
        rendered,
        modified: NOW,
        body: text.clone(),
    };
    let site = Rendered {
        items: vec![item("/", true), item("/a/b", true), item("/c.html", false)],
        not_found: Some(item("/404", true)),
        ..Rendered::default()
    };
    let volumes = mir::pack::volumes(site, &Compressed::none()).unwrap();
    let images = [&volumes.files, &volumes.pages].map(|from| {
        let files = from.files.iter().chain([&from.manifest]);
        let files = files.map(|file| (&*file.name, NOW, &*file.body));
        volume(VOLUME, &files.collect::<Vec<_>>())
    });
    // What is used of each: the rest is never looked at.
    let used = images
        .each_ref()
        .map(|image| image.iter().rposition(|b| *b != 0).unwrap());
    let mut random = 88172645463325252_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let mut images = images.clone();
        for (image, used) in images.iter_mut().zip(used) {
            for _ in 0..=next(6) {
                // The boot sector, the tables, the directories, anything.
                let (from, len) = [(0, 64), (512, 128), (512, 24 << 10), (0, used)][next(4)];
                image[from + next(len.min(used - from))] ^= 1 << next(8);
            }
        }
        let clock = Hand::new();
        let store = FatStore::new(&Cache::new(256 << 10), clock.clone());
        for (part, image) in Part::ALL.into_iter().zip(images) {
            let mounted = run(store.mount(part, Disk::new(image), Limits::default()));
            assert_eq!(mounted.is_ok(), store.is_ready(part));
        }
        let service = service(store.clone(), clock);
        for path in ["/", "/a/b", "/c.html", "/nowhere", "/a/", "/index.html"] {
            *seen.entry(status(&service, path)).or_insert(0) += 1;
        }
        let counters = store.cache().counters();
        assert!(counters.blocks <= counters.capacity && counters.held == 0);
    }
    // Some were served, some were broken, some volumes could not be mounted.
    for status in [200, 301, 404, 500, 503] {
        assert!(seen.get(&status).is_some_and(|n| *n > 5), "{seen:?}");
    }
    assert!(
        seen.keys()
            .all(|status| [200, 301, 404, 500, 503].contains(status)),
        "{seen:?}"
    );
}

/// A folder that is broken in one part does not keep the other from serving what it has.
#[test]
fn a_folder_that_is_broken() {
    let mut broken = volume(SIZE, &[("blog/x.txt", NOW, b"x")]);
    // The first cluster of the folder, in its record in the root directory.
    let record = broken.windows(11).position(|name| name == b"BLOG       ");
    let record = record.expect("a short name");
    broken[record + 26..record + 28].copy_from_slice(&0xfff0_u16.to_le_bytes());
    let other = volume(SIZE, &[("blog/a.html", NOW, b"a page")]);
    let fat = served([broken, other]);
    assert_eq!(status(&fat.service, "/blog/a"), 200);
    assert_eq!(status(&fat.service, "/blog/x.txt"), 500);
    assert_eq!(status(&fat.service, "/blog/b"), 500);
    assert_eq!(status(&fat.service, "/other"), 404);
}

/// Files cost connections that wait for something else nothing: what they need is on the heap.
#[test]
fn a_conversation_is_small() {
    let fat = served(images().clone());
    let client = Client::new(b"");
    let size = size_of_val(&fat.service.serve(client.clone())) - size_of_val(&client);
    assert!(size <= 1048, "{size}");
}
