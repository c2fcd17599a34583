//! Redirects and header fields of `site.toml`, from the folder to what is answered.

use mir::direct::Direct;
use mir::pack::{Cache, pack, volumes};
use mir::site::Options;
use www::encoding::Accept;
use www::pack::{Entry, Pack};

use crate::common::{errors, folder, render};

/// With a time that is always the same.
fn at_one() -> Options {
    Options {
        modified: Some(1),
        ..Options::default()
    }
}

const SITE: &str = r#"
[[redirects]]
from = "/weblog"
to = "/blog"

[[redirects]]
from = "/größe/alt"
to = "https://example.org/größe?a=b"
status = 307

[[redirects]]
from = "/gone"
status = 410

[[headers]]
path = "/*"
values = { X-Site = "ours" }

[[headers]]
path = "/loose*"
values = { Content-Security-Policy = "default-src *", Referrer-Policy = "" }

[[headers]]
path = "*.bin"
values = { Cache-Control = "max-age=60" }
"#;

fn site() -> tempfile::TempDir {
    folder(&[
        ("site.toml", SITE.as_bytes()),
        (
            "content/blog/index.md",
            b"# Blog\n\n[old](/weblog) and [gone](/gone)\n",
        ),
        ("content/loose.md", b"# Loose\n"),
        (
            "content/inline.md",
            b"# Inline\n\n<style>p { color: red }</style>\n<p style='margin: 0'>x</p>\n",
        ),
        ("static/a.bin", b"bytes"),
    ])
}

fn field(head: &[u8], name: &str) -> Option<String> {
    let head = std::str::from_utf8(head).unwrap();
    let mut lines = head.lines();
    lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
}

fn head<'a>(entry: &Entry<'a>) -> &'a [u8] {
    entry.pick(Accept::IDENTITY).unwrap().head
}

#[test]
fn what_is_listed_is_answered() {
    let site = site();
    let rendered = render(site.path()).unwrap();
    assert_eq!(rendered.warnings, []);
    let bytes = pack(rendered.clone(), &Cache::none()).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    let find = |path: &str| pack.find(path.as_bytes()).expect(path);
    let said = |path: &str, name: &str| field(head(&find(path)), name);

    assert_eq!(
        (find("/weblog").status(), find("/weblog").location()),
        (301, "/blog")
    );
    assert_eq!(
        said("/weblog", "Cache-Control").as_deref(),
        Some("max-age=3600")
    );
    assert_eq!(said("/weblog", "X-Site").as_deref(), Some("ours"));
    let far = find("/größe/alt");
    assert_eq!(far.location(), "https://example.org/gr%C3%B6%C3%9Fe?a=b");
    assert_eq!(
        (far.status(), said("/größe/alt", "Cache-Control").as_deref()),
        (307, Some("no-cache"))
    );
    let gone = find("/gone");
    assert_eq!(
        (gone.status(), gone.media_type()),
        (410, "text/html; charset=utf-8")
    );
    let missing = pack.not_found().unwrap();
    let body = |entry: &Entry<'_>| {
        entry
            .variants()
            .next()
            .unwrap()
            .body
            .here()
            .unwrap()
            .to_vec()
    };
    assert_eq!(body(&gone), body(&missing));

    let strict = said("/blog", "Content-Security-Policy").unwrap();
    assert!(
        strict.starts_with("default-src 'self'; ") && !strict.contains("unsafe"),
        "{strict}"
    );
    assert_eq!(said("/blog", "Cache-Control").as_deref(), Some("no-cache"));
    assert!(said("/blog", "Permissions-Policy").is_some());
    assert!(said("/blog", "Referrer-Policy").is_some());
    let inline = said("/inline", "Content-Security-Policy").unwrap();
    assert!(inline.contains("style-src 'self' 'sha256-"), "{inline}");
    assert!(
        inline.contains("style-src-attr 'unsafe-inline'"),
        "{inline}"
    );
    let loose = said("/loose", "Content-Security-Policy");
    assert_eq!(loose.as_deref(), Some("default-src *"));
    assert_eq!(said("/loose", "Referrer-Policy"), None);
    assert_eq!(
        said("/a.bin", "Cache-Control").as_deref(),
        Some("max-age=60")
    );
    assert_eq!(said("/a.bin", "Content-Security-Policy"), None);
    assert_eq!(
        said("/a.bin", "X-Content-Type-Options").as_deref(),
        Some("nosniff")
    );
    // What must be in a 304 is.
    let short = find("/a.bin").pick(Accept::IDENTITY).unwrap().not_modified;
    assert_eq!(field(short, "Cache-Control").as_deref(), Some("max-age=60"));

    // The other two ways to serve it say the same.
    let volumes = volumes(rendered, &Cache::none()).unwrap();
    let manifests = [&volumes.files, &volumes.pages]
        .map(|volume| Pack::load_manifest(&volume.manifest.body).unwrap());
    let options = at_one();
    let direct = Direct::open(site.path(), options, false, 1);
    for entry in pack.entries() {
        let path = entry.path();
        let found = manifests.iter().find_map(|m| m.find(path.as_bytes()));
        assert_eq!(head(&found.unwrap()), head(&entry), "{path}");
        let made = direct.find(path).expect(path);
        assert_eq!(made.status, entry.status(), "{path}");
        let text = |head: &[u8]| String::from_utf8_lossy(head).into_owned();
        assert_eq!(text(&made.variants[0].head), text(head(&entry)), "{path}");
    }
}

/// While a site is written, what its `site.toml` says now is what is answered.
#[test]
fn fields_change_with_the_file() {
    let site = site();
    for reload in [false, true] {
        crate::common::put(site.path(), "site.toml", SITE.as_bytes());
        let options = at_one();
        let direct = Direct::open(site.path(), options, reload, 1);
        let said = |name: &str| field(&direct.find("/a.bin").unwrap().variants[0].head, name);
        assert_eq!(said("X-Site").as_deref(), Some("ours"));
        let moved = direct.find("/weblog").unwrap();
        assert_eq!(moved.status, if reload { 302 } else { 301 });
        let other = SITE.replace("\"ours\"", "\"others\"");
        crate::common::put(site.path(), "site.toml", other.as_bytes());
        assert!(direct.look());
        assert_eq!(said("X-Site").as_deref(), Some("others"));
        assert_eq!(direct.find("/gone").unwrap().status, 410);
    }
}

/// A file under a name that changes with it is kept for ever, and what shows it changes with it too.
#[test]
fn assets() {
    let template = b"{% extends 'base.html' %}{% block head %}<i src=\"{{ asset('/\xc3\xbc/x.js') }}\">{% endblock %}";
    let site = folder(&[
        ("content/a.md", b"A"),
        ("static/\u{fc}/x.js", &b"let x = 1;\n".repeat(100)),
        ("templates/page.html", template),
    ]);
    let bytes = pack(render(site.path()).unwrap(), &Cache::none()).unwrap();
    let loaded = Pack::load(&bytes).unwrap();
    let names: Vec<_> = loaded.entries().map(|e| e.path()).collect();
    let name = |start: &str, end: &str| {
        let mut names = names.iter();
        let is = |n: &&&str| {
            n.starts_with(start) && n.ends_with(end) && n.len() == start.len() + 16 + end.len()
        };
        *names.find(is).unwrap_or_else(|| panic!("{names:?}"))
    };
    let (script, style) = (name("/\u{fc}/x.", ".js"), name("/style.", ".css"));
    let find = |path: &str| loaded.find(path.as_bytes()).unwrap();
    let keep = |path: &str| field(head(&find(path)), "Cache-Control").unwrap();
    for (plain, hashed) in [("/\u{fc}/x.js", script), ("/style.css", style)] {
        assert_eq!(keep(plain), "no-cache");
        assert_eq!(keep(hashed), "public, max-age=31536000, immutable");
        // One body for both, in each encoding.
        let bodies = find(plain).variants().zip(find(hashed).variants());
        for (one, other) in bodies {
            let [one, other] = [one, other].map(|v| v.body.here().unwrap().as_ptr());
            assert_eq!(one, other);
        }
    }
    let page = find("/a")
        .pick(Accept::IDENTITY)
        .unwrap()
        .body
        .here()
        .unwrap();
    let page = String::from_utf8_lossy(page);
    assert!(page.contains(&script.replace('\u{fc}', "%C3%BC")), "{page}");
    assert!(page.contains(&format!("href=\"{style}\"")), "{page}");

    let options = at_one();
    let direct = Direct::open(site.path(), options, false, 1);
    for path in [script, style] {
        let made = direct.find(path).unwrap();
        assert_eq!(made.variants[0].head, head(&find(path)));
    }
    assert!(direct.find("/style.0123456789abcdef.css").is_none());
    crate::common::put(site.path(), "static/\u{fc}/x.js", b"let x = 2;\n");
    assert!(direct.look() && direct.find(script).is_none());
    let page = direct.find("/a").unwrap();
    assert!(!String::from_utf8_lossy(&page.variants[0].body).contains("x.js\""));
    // While it is written, names stay.
    let direct = Direct::open(site.path(), options, true, 1);
    let page = direct.find("/a").unwrap();
    assert!(String::from_utf8_lossy(&page.variants[0].body).contains("/%C3%BC/x.js\""));

    let wrong = b"{% extends 'base.html' %}{% block head %}\n{{ asset('/no.js') }}{% endblock %}";
    let found = errors(&[("content/a.md", b"A"), ("templates/page.html", wrong)]);
    assert_eq!(
        found,
        ["templates/page.html:2: invalid operation: there is no file /no.js"]
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let toml = "[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n\
                [[redirects]]\nfrom = \"/x.txt\"\nto = \"/a\"\n\
                [[redirects]]\nfrom = \"/c\"\nto = \"/c/\"\n\
                [[redirects]]\nfrom = \"/d\"\nstatus = 200\nto = \"/a\"\n\
                [[headers]]\npath = \"/a\"\nvalues = { Connection = \"close\" }\n";
    let found = errors(&[
        ("site.toml", toml.as_bytes()),
        ("content/a.md", b"A"),
        ("static/x.txt", b"X"),
    ]);
    assert_eq!(
        found,
        [
            "site.toml:2: the path /a is taken by content/a.md",
            "site.toml:5: the path /x.txt is taken by static/x.txt",
            "site.toml:8: a redirect in a circle: /c → /c",
            "site.toml:12: `redirects.status` must be 301, 302, 307, 308 or 410",
            "site.toml:16: `headers.values.Connection` must be a header that a site may set, in visible ASCII",
        ]
    );
    let toml = "[[redirects]]\nfrom = \"/old\"\nto = \"/nowhere\"\n\
                [[headers]]\npath = \"/assets/*\"\nvalues = {}\n\
                [[headers]]\npath = \"/404\"\nvalues = {}\n";
    let site = folder(&[("site.toml", toml.as_bytes()), ("content/a.md", b"A")]);
    let warnings = render(site.path()).unwrap().warnings;
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "site.toml:2: broken link: /nowhere",
            "site.toml:5: has no effect: no path of the site is /assets/*",
        ]
    );
}

/// Redirects are followed as servers do it: by the address of a page, and decoded.
#[test]
fn circles_are_found_and_what_leads_into_them_is_not_one() {
    let all = [
        ("/a", "/b.html"),
        ("/b", "/%63"),
        ("/c", "/a?x#y"),
        ("/into", "/a/"),
        ("/into/", "https://example.org/"),
        ("/there", "/page/"),
        ("/folder", "/docs"),
        ("/away", "https://example.org/into"),
    ];
    let all = all.map(|(from, to)| format!("[[redirects]]\nfrom = \"{from}\"\nto = \"{to}\"\n"));
    let found = errors(&[
        ("site.toml", all.concat().as_bytes()),
        ("content/page.md", b"A"),
        ("static/docs/index.html", b"<p>"),
    ]);
    assert_eq!(
        found,
        [
            "site.toml:2: a redirect in a circle: /a → /b → /c → /a",
            "site.toml:5: a redirect in a circle: /b → /c → /a → /b",
            "site.toml:8: a redirect in a circle: /c → /a → /b → /c",
            "site.toml:14: the path /into is taken by site.toml",
        ]
    );
}

/// What a search needs is allowed, and what is made anew is asked for anew.
#[test]
fn a_search_may_run() {
    let toml = b"base_url = \"https://example.org\"\n";
    let dated = b"---\ndate: 2026-01-01\n---\nText\n";
    let site = folder(&[("site.toml", toml), ("content/blog/a.md", dated)]);
    let bytes = pack(render(site.path()).unwrap(), &Cache::none()).unwrap();
    let pack = Pack::load(&bytes).unwrap();
    let find = |path: &str| pack.find(path.as_bytes()).expect(path);
    let page = find("/search").pick(Accept::IDENTITY).unwrap();
    let html = String::from_utf8_lossy(page.body.here().unwrap()).into_owned();
    let script = html.split("<script src=\"").nth(1).unwrap();
    let script = script.split('"').next().unwrap();
    assert!(script.starts_with("/search.") && script.len() > "/search.js".len());
    let keep = |path: &str| field(head(&find(path)), "Cache-Control").unwrap();
    assert_eq!(keep(script), "public, max-age=31536000, immutable");
    for path in [
        "/search.json",
        "/blog/atom.xml",
        "/feed.xml",
        "/sitemap.xml",
        "/robots.txt",
    ] {
        assert_eq!(keep(path), "no-cache", "{path}");
    }
    // Scripts of this server and requests to it are what the default says, unless something else does.
    let policy = field(page.head, "Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(
        !policy.contains("script-src") && !policy.contains("connect-src"),
        "{policy}"
    );
}
