//! What people fetch files with, against the Unix program: curl and wget, as they resume, compress
//! and compare times by themselves.

use std::path::Path;
use std::process::{Command, Output};

use tests::unix::{LARGE, Server, curl, large};

/// The times of files tell seconds: `/large` is of 1994-11-06 08:49:37.
const MODIFIED: u64 = 784_111_777;

fn wget(folder: &Path, arguments: &[&str], url: &str) -> Output {
    let mut wget = Command::new("wget");
    wget.current_dir(folder)
        .args([
            "--no-config",
            "--tries=1",
            "--timeout=30",
            "--server-response",
        ])
        .args(arguments)
        .arg(url);
    wget.env("LC_ALL", "C")
        .output()
        .expect("these tests need wget")
}

/// What the server said, as wget shows it.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text() -> String {
    "All work and no play makes Jack a dull boy.\n".repeat(200)
}

#[test]
fn curl_resumes() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    let shown = file.to_str().unwrap();
    let code = [
        "--continue-at",
        "-",
        "--output",
        shown,
        "--write-out",
        "%{http_code} %{size_download}",
    ];
    for have in [1, 12_345_678, LARGE - 1] {
        std::fs::write(&file, &large()[..have]).unwrap();
        let said = server.curl(&code, "/large");
        assert_eq!(said, format!("206 {}", LARGE - have));
        assert!(std::fs::read(&file).unwrap() == large(), "{have}");
    }
    // There is no more; whatever curl says of that, the file stays.
    let more = curl(&code, &[&server.url("/large")]);
    assert!(more.stdout.starts_with(b"416 "), "{more:?}");
    assert!(std::fs::read(&file).unwrap() == large());
}

#[test]
fn curl_asks_for_parts() {
    let server = Server::start(&[]);
    let whole = large();
    let part = |range: &str| curl(&["--range", range], &[&server.url("/large")]).stdout;
    assert!(part("0-99") == whole[..100]);
    assert!(part("5000000-5099999") == whole[5_000_000..5_100_000]);
    assert!(part("-7") == whole[LARGE - 7..]);
    let two = part("0-99,8388608-");
    let has = |bytes: &[u8]| two.windows(bytes.len()).any(|window| window == bytes);
    assert!(has(&whole[..100]));
    assert!(two.len() > LARGE / 2 + 100 && two.len() < LARGE / 2 + 1000);
    assert!(
        two.ends_with(b"--\r\n") && has(b"\r\nContent-Range: bytes 8388608-16777215/16777216\r\n")
    );
    let head = server.curl(&["--head", "--range", "0-99"], "/large");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Accept-Ranges: bytes\r\n"));
}

#[test]
fn curl_compares_times_and_tags() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, tag) = (path("file"), path("tag"));
    let code = ["--write-out", "%{http_code}", "--output", &file];
    let timed = [&code[..], &["--remote-time"]].concat();
    assert_eq!(server.curl(&timed, "/large"), "200");
    let newer = [&code[..], &["--time-cond", &file]].concat();
    assert_eq!(server.curl(&newer, "/large"), "304");
    let older = [&code[..], &["--time-cond", "Sun, 06 Nov 1994 08:49:36 GMT"]].concat();
    assert_eq!(server.curl(&older, "/large"), "200");
    let save = [&code[..], &["--etag-save", &tag]].concat();
    assert_eq!(server.curl(&save, "/"), "200");
    let compare = [&code[..], &["--etag-compare", &tag]].concat();
    assert_eq!(server.curl(&compare, "/"), "304");
    assert_eq!(server.curl(&compare, "/small"), "200");
    assert_eq!(server.curl(&["--compressed"], "/"), text());
}

#[test]
fn curl_follows() {
    let there = Server::start(&[]);
    let to = format!("--redirect=http://{}/", there.address());
    let here = Server::start(&[&to]);
    let follow = ["--location", "--write-out", " %{url_effective}"];
    let said = here.curl(&follow, "/small?a=%20b");
    assert_eq!(said, format!("small\n {}", there.url("/small?a=%20b")));
    // From there to the page that moved, in another spelling.
    let said = here.curl(&follow, "/old/?x");
    assert_eq!(said, format!("small\n {}", there.url("/small")));
    let said = there.curl(&follow, "/small/index.html?x=1");
    assert_eq!(said, format!("small\n {}", there.url("/small?x=1")));
    assert_eq!(here.curl(&[], "/healthz"), "ok\n");
    let code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    assert_eq!(
        here.curl(&[&code[..], &["--data", "a=b"]].concat(), "/form"),
        "308"
    );
}

#[test]
fn wget_resumes() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, &large()[..1_000_001]).unwrap();
    let said_first = said(&wget(folder.path(), &["--continue"], &server.url("/large")));
    assert!(
        said_first.contains("HTTP/1.1 206 Partial Content"),
        "{said_first}"
    );
    assert!(std::fs::read(&file).unwrap() == large());
    let again = said(&wget(folder.path(), &["--continue"], &server.url("/large")));
    assert!(again.contains("HTTP/1.1 416 "), "{again}");
    assert!(again.contains("already fully retrieved"), "{again}");
    assert!(std::fs::read(&file).unwrap() == large());
}

#[test]
fn wget_compares_times() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let first = said(&wget(
        folder.path(),
        &["--timestamping"],
        &server.url("/large"),
    ));
    assert!(first.contains("HTTP/1.1 200 OK"), "{first}");
    let file = folder.path().join("large");
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(modified.as_secs(), MODIFIED);
    let again = said(&wget(
        folder.path(),
        &["--timestamping"],
        &server.url("/large"),
    ));
    assert!(again.contains("HTTP/1.1 304 Not Modified"), "{again}");
    assert!(std::fs::read(&file).unwrap() == large());
}

#[test]
fn wget_decompresses() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for how in ["auto", "gzip", "none"] {
        let compression = format!("--compression={how}");
        let output = wget(
            folder.path(),
            &[&compression, "-O", "page"],
            &server.url("/"),
        );
        let encoded = said(&output).contains("Content-Encoding: gzip");
        assert_eq!(encoded, how != "none");
        assert_eq!(
            std::fs::read(folder.path().join("page")).unwrap(),
            text().as_bytes()
        );
    }
}
