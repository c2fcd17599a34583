//! The Unix binary with a site's folder, rendered on request: the same answers as from a pack, and
//! what it answers while the folder is written, rightly and wrongly.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mir::pack::{Cache, pack};
use mir::site::{Options, render};
use rustix::process::Signal;
use tempfile::TempDir;
use tests::unix::{Server, binary, run, until};
use www::pack::Pack;

fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A site, its server, and a folder with the server's log.
struct Written {
    folder: TempDir,
    server: Server,
    beside: TempDir,
}

impl Written {
    fn with(arguments: &[&str]) -> Self {
        Self::of(small(), arguments, Command::new(binary()))
    }

    fn of(folder: TempDir, arguments: &[&str], command: Command) -> Self {
        let beside = tempfile::tempdir().unwrap();
        let site = format!("--site={}", folder.path().display());
        let arguments = [&["--kv_ro=direct", &site], arguments].concat();
        let log = beside.path().join("log");
        let server = Server::start_bare_as(command, &arguments, &log);
        Self {
            folder,
            server,
            beside,
        }
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        put(self.folder.path(), name, text);
    }

    /// Status and body of a path.
    fn get(&self, path: &str) -> (u16, String) {
        let answer = String::from_utf8(self.server.ask(path, "")).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.beside.path().join("log")).unwrap()
    }

    /// The generation that a page is of.
    fn generation(&self) -> String {
        let (_, page) = self.get("/");
        let (_, after) = page.split_once("data-generation=\"").unwrap();
        after.split('"').next().unwrap().to_owned()
    }
}

fn small() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "site.toml", "title = \"Ours\"\n");
    put(folder.path(), "content/index.md", "# Front\n\nfirst\n");
    put(folder.path(), "content/blog/a.md", "# A\n\none\n");
    put(folder.path(), "static/file.bin", [0; 1000]);
    folder
}

fn answers_are_those_of_crunch(site: &Path) {
    let beside = tempfile::tempdir().unwrap();
    let path = |name: &str| beside.path().join(name);
    let bytes = pack(
        render(site, Options::default()).unwrap(),
        &Cache::new(&path("cache")),
    );
    let bytes = bytes.unwrap();
    fs::write(path("site.pack"), &bytes).unwrap();
    let argument = format!("--pack={}", path("site.pack").display());
    let crunch = Server::start_bare(&[&argument], &path("log-crunch"));
    let site = format!("--site={}", site.display());
    let direct = Server::start_bare(
        &["--kv_ro=direct", &site, "--reload=no"],
        &path("log-direct"),
    );
    let pack = Pack::load(&bytes).unwrap();
    let mut paths: Vec<_> = pack.entries().map(|entry| entry.path()).collect();
    assert!(paths.len() > 3);
    paths.extend([
        "/not/there",
        "/not/there/",
        "//",
        "/-/reload.js",
        "/-/reload/x",
        "/404",
    ]);
    for path in paths {
        for fields in [
            "",
            "Accept-Encoding: gzip\r\n",
            "Accept-Encoding: br\r\n",
            "Accept-Encoding: gzip, deflate, br, zstd\r\n",
            "Accept-Encoding: identity;q=0, br;q=0, gzip;q=0\r\n",
            "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
            "If-None-Match: \"x\"\r\n",
            "Range: bytes=0-9\r\n",
        ] {
            let [a, b] = [&crunch, &direct].map(|server| server.ask(path, fields));
            assert!(!a.is_empty(), "{path} {fields}");
            let shown = |answer: &[u8]| {
                String::from_utf8_lossy(&answer[..answer.len().min(600)]).into_owned()
            };
            let (a_shown, b_shown) = (shown(&a), shown(&b));
            assert!(a == b, "{path} {fields}: {b_shown} is not {a_shown}");
        }
    }
    // With the tag of what is there, there is nothing to send.
    let front = pack.find(b"/").unwrap();
    for variant in front.variants() {
        let tag = String::from_utf8_lossy(variant.etag);
        let fields = format!(
            "Accept-Encoding: {}, identity;q=0.1\r\nIf-None-Match: {tag}\r\n",
            variant.encoding.name()
        );
        let [a, b] = [&crunch, &direct].map(|server| server.ask("/", &fields));
        assert!(a.starts_with(b"HTTP/1.1 304"));
        assert!(a == b);
    }
}

#[test]
fn our_own_site_is_the_same_as_its_pack() {
    answers_are_those_of_crunch(Path::new("../www/site"));
}

/// Texts that were not written for this program: the corpus if it lies there, else pages of many
/// kinds.
#[test]
fn texts_of_others_are_the_same_as_their_pack() {
    let corpus = Path::new("../../shared/corpus/tokio");
    if corpus.is_dir() {
        answers_are_those_of_crunch(corpus);
    }
    let made = tempfile::tempdir().unwrap();
    let site = made.path();
    put(
        site,
        "content/Über uns.md",
        "# Über\n\n[gone](gone) [x](a%20b.md)\n",
    );
    put(
        site,
        "content/a b.md",
        "---\ntitle: \"Space & <more>\"\n---\nText.\n".repeat(200),
    );
    put(
        site,
        "content/404.md",
        format!("# Lost\n\n{}", "Nothing here. ".repeat(200)),
    );
    put(site, "content/404/x.md", "# Below\n");
    put(
        site,
        "content/docs/index.md",
        "+++\ntitle = \"Docs\"\ndate = 2026-02-28\n+++\n",
    );
    put(site, "content/docs/deep/er/page.md", "# Deep\n");
    put(site, "content/draft.md", "---\ndraft: true\n---\n");
    put(
        site,
        "content/large.md",
        "A line of many that are the same.\n\n".repeat(28_000),
    );
    put(site, "static/empty.txt", "");
    put(site, "static/style.css", "a { color: red }\n".repeat(100));
    put(
        site,
        "static/noise.bin",
        (0..=255).cycle().take(100_000).collect::<Vec<u8>>(),
    );
    put(
        site,
        "static/page.html",
        "<!DOCTYPE html><title>As it is</title>".repeat(20),
    );
    symlink("page.html", site.join("static/link.html")).unwrap();
    answers_are_those_of_crunch(site);
}

#[test]
fn what_is_saved_is_served_at_once() {
    for arguments in [&[][..], &["--reload=no"]] {
        let site = Written::with(arguments);
        let path = |name: &str| site.folder.path().join(name);
        for round in 0..20 {
            let text = format!("round {round}.");
            if round % 2 == 0 {
                site.put("content/index.md", &text);
            } else {
                site.put("content/.new", &text);
                fs::rename(path("content/.new"), path("content/index.md")).unwrap();
            }
            let (status, page) = site.get("/");
            assert!(status == 200 && page.contains(&text), "{round}: {page}");
        }
        // In folders that were not there.
        site.put("content/new/deep/page.md", "# New\n");
        assert_eq!(site.get("/new/deep/page").0, 200);
        site.put("content/new/deep/page.md", "# Newer\n");
        assert!(site.get("/new/deep").1.contains("Newer"));
        fs::rename(path("content/new"), path("content/old")).unwrap();
        assert_eq!(site.get("/new/deep/page").0, 404);
        assert_eq!(site.get("/old/deep/page").0, 200);
        site.put("content/old/deep/page.md", "# In the renamed one\n");
        assert!(site.get("/old/deep/page").1.contains("In the renamed one"));
        fs::remove_dir_all(path("content/old")).unwrap();
        assert_eq!(site.get("/old").0, 404);
        site.put("static/file.bin", "short");
        assert_eq!(site.get("/file.bin").1, "short");
        site.put("templates/page.html", "by {{ page.title }}");
        assert!(site.get("/blog/a").1.starts_with("by A"));
        // All of it goes, and another comes.
        fs::rename(path("content"), path(".away")).unwrap();
        site.put("content/index.md", "another");
        assert!(site.get("/").1.starts_with("by Ours"));
        assert_eq!(site.get("/blog/a").0, 404);
    }
}

/// The folder is what its path leads to, whatever that is by now.
#[test]
fn the_sites_path_may_lead_elsewhere() {
    let beside = tempfile::tempdir().unwrap();
    let at = |name: &str| beside.path().join(name);
    for name in ["one", "two", "above/site", "other/site"] {
        put(&at(name), "content/index.md", format!("it is {name}"));
    }
    let start = |site: &str| {
        let site = format!("--site={}", at(site).display());
        Server::start_bare(&["--kv_ro=direct", &site], &at("log"))
    };
    let page = |server: &Server| String::from_utf8(server.ask("/", "")).unwrap();

    symlink("one", at("current")).unwrap();
    let server = start("current");
    let before = page(&server);
    assert!(before.contains("it is one"), "{before}");
    symlink("two", at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    let after = page(&server);
    assert!(after.contains("it is two"), "{after}");
    // An open page is told without anybody's asking for another.
    let (_, generation) = after.split_once("data-generation=\"").unwrap();
    let generation = generation.split('"').next().unwrap();
    let ask = format!("GET /-/reload/{generation} HTTP/1.1\r\nHost: a\r\n");
    let mut open = server.connect();
    open.write_all(ask.as_bytes()).unwrap();
    fs::remove_file(at("current")).unwrap();
    symlink("one", at("current")).unwrap();
    open.write_all(b"Connection: close\r\n\r\n").unwrap();
    let mut told = String::new();
    open.read_to_string(&mut told).unwrap();
    assert!(told.contains("\"changed\":\"page\""), "{told}");

    let server = start("above/site");
    assert!(page(&server).contains("it is above/site"));
    fs::rename(at("above"), at("gone")).unwrap();
    fs::rename(at("other"), at("above")).unwrap();
    let after = page(&server);
    assert!(after.contains("it is other/site"), "{after}");
}

#[test]
fn a_mistake_is_shown_and_logged_once() {
    let site = Written::with(&[]);
    site.put("content/blog/a.md", "---\nweight: <b>\n---\n");
    for _ in 0..3 {
        let (status, page) = site.get("/blog/a");
        assert_eq!(status, 500);
        assert!(
            page.contains("<code>content/blog/a.md:2</code>: front matter: `weight` must be"),
            "{page}"
        );
        assert!(page.contains("weight: &lt;b&gt;"), "{page}");
        assert!(page.contains("/-/reload.js"), "{page}");
        assert_eq!(site.get("/").0, 200);
    }
    site.put("site.toml", "titel = 1\n");
    assert!(
        site.get("/")
            .1
            .contains("<code>site.toml:1</code>: unknown key")
    );
    assert_eq!(site.get("/nowhere").0, 500);
    assert_eq!(site.get("/file.bin").0, 200);
    fs::remove_file(site.folder.path().join("site.toml")).unwrap();
    assert_eq!(site.get("/").0, 200);
    // A template that fails only when it is filled in.
    site.put("templates/list.html", "\n{{ page.none.such }}");
    for _ in 0..3 {
        assert!(
            site.get("/blog")
                .1
                .contains("<code>templates/list.html:2</code>")
        );
    }
    site.put("content/blog/a.md", "mended");
    assert!(site.get("/blog/a").1.contains("mended"));
    until("all is said", || site.log().contains("all mended"));
    let log = site.log();
    for said in [
        "content/blog/a.md:2:",
        "site.toml:1:",
        "templates/list.html:2:",
        "all mended",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let site = Written::with(&[]);
    symlink("/etc/passwd", site.folder.path().join("static/passwd")).unwrap();
    symlink("/etc", site.folder.path().join("static/etc")).unwrap();
    site.put("static/.hidden", "hidden");
    let (status, page) = site.get("/passwd");
    assert!(
        status == 500 && page.contains("symbolic link leads out of the site"),
        "{page}"
    );
    assert!(!page.contains("root:"), "{page}");
    for path in ["/etc/passwd", "/site.toml", "/.hidden"] {
        assert_eq!(site.get(path).0, 404, "{path}");
    }
    for target in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/../../etc/passwd",
    ] {
        let said = site.server.say(
            format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert!(
            !said.contains("root:") && !said.starts_with("HTTP/1.1 200"),
            "{said}"
        );
    }
}

#[test]
fn open_pages_are_told() {
    let site = Written::with(&[]);
    let head = |path: &str| {
        let answer = String::from_utf8_lossy(&site.server.ask(path, "")).into_owned();
        answer.split_once("\r\n\r\n").unwrap().0.to_owned()
    };
    assert!(head("/").contains("Cache-Control: no-store"));
    assert!(head("/style.css").contains("Cache-Control: no-cache"));
    assert!(head("/-/reload.js").contains("Content-Type: text/javascript"));
    assert!(
        !String::from_utf8_lossy(&site.server.ask("/", "Accept-Encoding: br\r\n"))
            .contains("Content-Encoding")
    );
    // One that is of another run, or of none, is to load itself.
    for old in ["x", "1-0", ""] {
        let (status, event) = site.get(&format!("/-/reload/{old}"));
        assert!(
            status == 200 && event.contains("\"changed\":\"page\""),
            "{event}"
        );
    }
    let generation = site.generation();
    let mut waiting = site.server.connect();
    let request =
        format!("GET /-/reload/{generation} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    waiting.write_all(request.as_bytes()).unwrap();
    // Others are served while it waits.
    for _ in 0..20 {
        assert_eq!(site.get("/blog/a").0, 200);
    }
    waiting.set_nonblocking(true).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err(), "nothing has happened");
    waiting.set_nonblocking(false).unwrap();
    site.put("content/index.md", "second");
    let told = tests::unix::rest(&mut waiting);
    assert!(told.contains("Content-Type: text/event-stream"), "{told}");
    let (_, event) = told.split_once("\r\n\r\n").unwrap();
    let now = site.generation();
    assert_ne!(now, generation);
    assert!(
        event.starts_with("data: {\"generation\":\"")
            && event.ends_with("\"changed\":\"page\"}\n\n"),
        "{event}"
    );
    // What happened before somebody asks is not missed.
    let (_, event) = site.get(&format!("/-/reload/{generation}"));
    assert!(event.contains("\"changed\":\"page\""), "{event}");
}

#[test]
fn pages_that_wait_hold_up_no_stop() {
    // A machine that is busy with other things has three attempts.
    let soon = (0..3).any(|_| {
        let mut site = Written::with(&[]);
        let generation = site.generation();
        let mut waiting = site.server.connect();
        let request = format!("GET /-/reload/{generation} HTTP/1.1\r\nHost: a\r\n\r\n");
        waiting.write_all(request.as_bytes()).unwrap();
        // It was taken by the time that another is answered.
        site.get("/");
        let begun = Instant::now();
        site.server.signal(Signal::TERM);
        assert!(tests::unix::rest(&mut waiting).contains("\"changed\":\"nothing\""));
        drop(waiting);
        assert!(site.server.wait().success());
        begun.elapsed() < Duration::from_millis(1500)
    });
    assert!(soon);
}

#[test]
fn without_watches_it_is_looked_at_by_request() {
    for (limit, allowed, said) in [
        (
            "max_inotify_instances",
            0,
            "fs.inotify.max_user_instances has the limit",
        ),
        (
            "max_inotify_watches",
            2,
            "fs.inotify.max_user_watches has the limit",
        ),
    ] {
        // The limits of a user namespace are its own.
        let script = format!("echo {allowed} > /proc/sys/user/{limit} && exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", &script]);
        command.arg(binary());
        let site = Written::of(small(), &[], command);
        until(said, || site.log().contains(said));
        site.put("content/blog/a.md", "by request");
        until("it is seen", || {
            site.get("/blog/a").1.contains("by request")
        });
        let generation = site.generation();
        site.put("content/blog/b.md", "told, too");
        let (_, event) = site.get(&format!("/-/reload/{generation}"));
        assert!(event.contains("\"changed\":\"page\""), "{event}");
    }
}

#[test]
fn a_folder_that_is_not_there() {
    let (status, said) = run(&["--kv_ro=direct", "--site=/nowhere/at/all", "--http-port=0"]);
    assert_eq!(status, 1);
    assert!(said.contains("mir-www: /nowhere/at/all: "), "{said}");
    // One without anything in it is where authors begin.
    let empty = tempfile::tempdir().unwrap();
    let site = Written::of(empty, &[], Command::new(binary()));
    assert!(site.get("/").1.contains("nothing to serve"));
    site.put("index.md", "# Begun\n");
    assert!(site.get("/").1.contains("<h1>Begun</h1>"));
}
