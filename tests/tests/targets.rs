//! Every way to serve a site on Unix gives the same answers, head for head and byte for byte: kernel sockets and our own
//! stack, the pack, FAT images and the folder. (tests/xen compares the guest with them.)

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::images::Images;
use tests::netns::{Direct, Namespace};
use tests::unix::Server;
use www::pack::Pack;

/// What is asked of each path.
const FIELDS: [&str; 5] = [
    "Accept-Encoding: identity",
    "Accept-Encoding: gzip",
    "Accept-Encoding: br, gzip;q=0.5",
    "Accept-Encoding: *;q=0",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
];

const BETWEEN: &str = "\n@@ the next answer @@\n";

/// All answers, without their dates, as one curl gets them.
fn answers(mut curl: Command, url: &str, paths: &[String], work: &Path) -> Vec<Vec<u8>> {
    let mut config = String::new();
    for path in paths {
        for fields in FIELDS {
            let next = if config.is_empty() { "" } else { "next\n" };
            let escaped = BETWEEN.replace('\n', "\\n");
            config += &format!(
                "{next}url = \"{url}{path}\"\nheader = \"{fields}\"\nwrite-out = \"{escaped}\"\n\
                 silent\nshow-error\ninclude\nraw\ngloboff\nmax-time = 60\n"
            );
        }
    }
    let file = work.join("requests");
    fs::write(&file, config).unwrap();
    let output = curl
        .arg("--config")
        .arg(&file)
        .output()
        .expect("these tests need curl");
    assert!(
        output.status.success(),
        "{url}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut rest = output.stdout.as_slice();
    let mut answers = Vec::new();
    while let Some(at) = find(rest, BETWEEN.as_bytes()) {
        answers.push(without_date(&rest[..at]));
        rest = &rest[at + BETWEEN.len()..];
    }
    assert_eq!(answers.len(), paths.len() * FIELDS.len());
    answers
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn without_date(answer: &[u8]) -> Vec<u8> {
    let at = find(answer, b"\r\nDate: ").expect("a date") + 2;
    let end = at + find(&answer[at..], b"\r\n").expect("a line") + 2;
    [&answer[..at], &answer[end..]].concat()
}

/// Paths as they stand in requests, one that is not there among them.
fn paths(pack: &Path) -> Vec<String> {
    let bytes = fs::read(pack).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    let encoded = |path: &str| {
        let bytes = path.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        });
        bytes.collect::<String>()
    };
    let paths = pack.entries().map(|entry| encoded(entry.path()));
    paths
        .filter(|path| !path.is_empty())
        .chain(["/not/there".to_owned()])
        .collect()
}

fn check(site: &Path) {
    let images = Images::of(site);
    let pack = images.path("site.pack");
    let paths = paths(&pack);
    assert!(paths.len() > 4, "{paths:?}");
    let folder = format!("--site={}", site.display());
    let stores: [(&str, Vec<String>); 3] = [
        ("crunch", vec![format!("--pack={}", pack.display())]),
        ("fat", images.arguments().to_vec()),
        (
            "direct",
            vec!["--kv_ro=direct".into(), folder, "--reload=no".into()],
        ),
    ];
    let mut expected: Option<Vec<Vec<u8>>> = None;
    let mut compare = |what: String, got: Vec<Vec<u8>>| {
        let Some(expected) = &expected else {
            expected = Some(got);
            return;
        };
        for (at, (want, got)) in expected.iter().zip(&got).enumerate() {
            let (path, fields) = (&paths[at / FIELDS.len()], FIELDS[at % FIELDS.len()]);
            let shown = |answer: &[u8]| {
                String::from_utf8_lossy(&answer[..answer.len().min(600)]).into_owned()
            };
            assert!(
                want == got,
                "{what}: {path}, {fields}: {} is not {}",
                shown(got),
                shown(want)
            );
        }
    };
    for (name, arguments) in &stores {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let server = Server::start_bare(&arguments, &images.path("log"));
        let url = format!("http://{}", server.address());
        let got = answers(Command::new("curl"), &url, &paths, &images.path(""));
        compare(format!("sockets, {name}"), got);
    }
    let namespace = Namespace::new();
    namespace.ok("scripts/tap", &["up", "--user=root"]);
    for (name, arguments) in &stores {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let server = Direct::begin(namespace.command(tests::unix::binary()), &arguments, None);
        let got = answers(
            namespace.command("curl"),
            "http://10.0.0.2",
            &paths,
            &images.path(""),
        );
        compare(format!("our own stack, {name}"), got);
        server.stop();
    }
}

#[test]
fn the_projects_own_site() {
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site"));
}

#[test]
fn a_site_with_files_of_all_kinds() {
    let site = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = site.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("site.toml", b"title = \"All kinds\"\n");
    write(
        "content/index.md",
        b"# Front page\n\n[Next](/deep/er/page)\n",
    );
    write(
        "content/deep/er/page.md",
        "# Next\n\nword ".repeat(3000).as_bytes(),
    );
    write("content/404.md", b"# Not here\n");
    write("content/Ünïcode name.md", b"# Here\n");
    write("static/empty.txt", b"");
    write("static/Case.txt", b"upper");
    write("static/case.txt", b"lower");
    write(
        "static/plain.svg",
        "<svg xmlns='http://www.w3.org/2000/svg'/>\n"
            .repeat(500)
            .as_bytes(),
    );
    let noise = |len: u32| (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    for (name, len) in [("one", 1), ("block", 16 << 10), ("large", 3 << 20)] {
        write(
            &format!("static/{name}.bin"),
            &noise(len).collect::<Vec<_>>(),
        );
    }
    check(site.path());
}
