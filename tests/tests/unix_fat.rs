//! The Unix binary with its site on FAT images: the same answers as from a pack, and images that are
//! replaced, cut short, not there or not images.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::images::Images;
use tests::unix::{LONG, Server, run, until};
use www::pack::Pack;

fn serve(images: &Images) -> Server {
    let arguments = images.arguments();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Server::start_bare(&arguments, &images.path("log"))
}

fn log(images: &Images) -> String {
    fs::read_to_string(images.path("log")).unwrap()
}

/// Waits until the log says it: what writes the log is behind the server.
fn said(images: &Images, what: &str) {
    until(what, || log(images).contains(what));
}

fn status(server: &Server, path: &str) -> u16 {
    let answer = server.ask(path, "");
    let text = String::from_utf8_lossy(&answer[..answer.len().min(12)]);
    text.strip_prefix("HTTP/1.1 ").unwrap().parse().unwrap()
}

fn answers_are_those_of_crunch(site: &Path) {
    let images = Images::of(site);
    let pack = images.path("site.pack");
    let argument = format!("--pack={}", pack.display());
    let crunch = Server::start_bare(&[&argument], &images.path("log-crunch"));
    let fat = serve(&images);
    let bytes = fs::read(&pack).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    let mut paths: Vec<_> = pack.entries().map(|entry| entry.path()).collect();
    assert!(paths.len() > 3);
    paths.push("/not/there");
    for path in paths {
        for fields in [
            "",
            "Accept-Encoding: gzip\r\n",
            "Accept-Encoding: br\r\n",
            "Accept-Encoding: identity;q=0, br;q=0, gzip;q=0\r\n",
            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        ] {
            let [a, b] = [&crunch, &fat].map(|server| server.ask(path, fields));
            assert!(!a.is_empty(), "{path} {fields}");
            let shown = |answer: &[u8]| {
                String::from_utf8_lossy(&answer[..answer.len().min(600)]).into_owned()
            };
            assert!(
                a == b,
                "{path} {fields}: {} is not {}",
                shown(&b),
                shown(&a)
            );
        }
    }
    assert!(!log(&images).contains("error"), "{}", log(&images));
}

#[test]
fn the_projects_own_site_is_answered_as_by_crunch() {
    answers_are_those_of_crunch(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site"));
}

#[test]
fn a_made_site_is_answered_as_by_crunch() {
    let site = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = site.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(
        "content/index.md",
        b"# Front page\n\n[Next](/deep/er/page)\n",
    );
    write(
        "content/deep/er/page.md",
        "# Next\n\nword ".repeat(3000).as_bytes(),
    );
    write("content/Ünïcode name.md", b"# Here\n");
    write("static/empty.txt", b"");
    write("static/with: colon?.txt", b"FAT has no such name");
    write("static/Case.txt", b"upper");
    write("static/case.txt", b"lower");
    write("static/dot.", b"a dot at the end");
    let noise = |len: u32| (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    for (name, len) in [
        ("one", 1),
        ("block", 16 << 10),
        ("more", (16 << 10) + 1),
        ("large", 3 << 20),
    ] {
        write(
            &format!("static/{name}.bin"),
            &noise(len).collect::<Vec<_>>(),
        );
    }
    answers_are_those_of_crunch(site.path());
}

#[test]
fn a_replaced_image_is_served_without_a_failed_request() {
    let (old, new) = (Images::small(b"old"), Images::small(b"and new"));
    let server = serve(&old);
    assert!(server.ask("/file.bin", "").ends_with(b"\r\n\r\nold"));
    let replaced = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut answers = [0; 2];
            let begun = Instant::now();
            while answers[1] < 20 && begun.elapsed() < LONG {
                let answer = server.ask("/file.bin", "");
                assert!(answer.starts_with(b"HTTP/1.1 200 "));
                let is_new = answer.ends_with(b"\r\n\r\nand new");
                assert!(is_new || answer.ends_with(b"\r\n\r\nold"));
                assert!(!is_new || replaced.load(Ordering::SeqCst));
                answers[usize::from(is_new)] += 1;
            }
            answers
        });
        replaced.store(true, Ordering::SeqCst);
        fs::rename(new.path("files.img"), old.path("files.img")).unwrap();
        let [_, new] = asked.join().unwrap();
        assert_eq!(new, 20);
    });
    assert_eq!(status(&server, "/"), 200);
}

#[test]
fn an_image_that_is_cut_short_costs_what_was_in_it_and_nothing_else() {
    let large: Vec<u8> = (0..4u32 << 20).map(|n| (n >> 10) as u8).collect();
    let (images, whole) = (Images::small(&large), Images::small(&large));
    let server = serve(&images);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(images.path("files.img"))
        .unwrap();
    file.set_len(100_000).unwrap();
    // Before and after it is looked at again, whatever comes is no whole file.
    until("it is seen that the image is cut", || {
        let answer = server.ask("/file.bin", "");
        assert!(answer.len() < large.len(), "{} bytes came", answer.len());
        assert_eq!(status(&server, "/"), 200);
        !answer.starts_with(b"HTTP/1.1 200 ")
    });
    fs::rename(whole.path("files.img"), images.path("files.img")).unwrap();
    until("a whole one is served", || {
        server.ask("/file.bin", "").ends_with(&large)
    });
}

#[test]
fn a_missing_image_is_said_at_once_and_served_when_it_comes() {
    let images = Images::small(b"here");
    fs::rename(images.path("files.img"), images.path("elsewhere")).unwrap();
    let server = serve(&images);
    said(&images, "files: cannot read ");
    said(&images, "No such file");
    assert_eq!(
        [status(&server, "/"), status(&server, "/file.bin")],
        [200, 503]
    );
    fs::rename(images.path("elsewhere"), images.path("files.img")).unwrap();
    until("it is served", || status(&server, "/file.bin") == 200);
    // Removed, it stays: what is mapped is there until it is replaced.
    fs::remove_file(images.path("pages.img")).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!(status(&server, "/"), 200);
    }
}

#[test]
fn what_is_no_image_is_said_at_once() {
    let images = Images::small(b"here");
    fs::write(images.path("files.img"), b"no image ".repeat(1000)).unwrap();
    let server = serve(&images);
    said(&images, "files: no FAT volume");
    assert_eq!(
        [status(&server, "/"), status(&server, "/file.bin")],
        [200, 503]
    );
}

#[test]
fn without_any_image_it_does_not_start() {
    let images = Images::small(b"here");
    fs::remove_file(images.path("files.img")).unwrap();
    fs::write(images.path("pages.img"), b"").unwrap();
    let arguments = images.arguments();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (status, said) = run(&arguments);
    assert_eq!(status, 1);
    assert!(said.contains("files: cannot read "), "{said}");
    assert!(said.contains("pages: cannot read "), "{said}");
    assert!(
        said.contains("there is no image that can be served"),
        "{said}"
    );
}
