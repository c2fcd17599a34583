//! Sites of several shapes, rendered.

use crate::common::{folder, html, item, render};
use mir::pack::{Cache, pack};

fn paths(site: &mir::site::Rendered) -> Vec<&str> {
    site.items.iter().map(|item| item.path.as_str()).collect()
}

#[test]
fn a_whole_site() {
    let site = folder(&[
        ("site.toml", b"title = \"Ours\"\n[[nav]]\ntitle = \"News\"\nurl = \"/blog\"\n[extra]\nx = \"from the site\"\n"),
        ("content/index.md", b"---\ntitle: Front\ntemplate: home\n---\n[first](blog/first.md#top)\n"),
        ("content/about.md", b"# About *us*\n\nWe are.\n"),
        ("content/blog/first.md", b"+++\ntitle = \"First & only\"\ndate = 2026-02-28\n+++\n# Section\n"),
        ("content/blog/second.md", b"---\ntitle: Second\ndate: \"2026-03-01\"\nmood: good\n---\n![x](pic.png)"),
        ("content/blog/pic.png", b"\x89PNG"),
        ("content/blog/later.md", b"---\ndraft: true\n---\nnot yet"),
        ("content/404.md", b"# Lost\n\nNothing here."),
        ("templates/home.html", b"{% extends 'base.html' %}{% block main %}HOME {{ page.content }} {{ site.extra.x }} {% for p in sections['/blog'].pages %}[{{ p.title }} {{ p.extra.mood }}]{% endfor %}{% endblock %}"),
        ("static/robots.txt", b"User-agent: *\n"),
        ("static/.hidden", b"no"),
        ("static/.well-known/security.txt", b"Contact: x\n"),
    ]);
    // A key that only some pages have must not stop the others.
    let lenient = b"{% extends 'base.html' %}{% block main %}HOME {{ page.content }} {{ site.extra.x }} {% for p in sections['/blog'].pages %}[{{ p.title }}{% if p.extra.mood %} {{ p.extra.mood }}{% endif %}]{% endfor %}{% endblock %}";
    let strict = render(site.path()).unwrap_err();
    assert_eq!(strict.len(), 1, "{strict:?}");
    assert!(
        strict[0].starts_with("templates/home.html:1: undefined value"),
        "{strict:?}"
    );
    crate::common::put(site.path(), "templates/home.html", lenient);

    let site = render(site.path()).unwrap();
    assert_eq!(
        paths(&site),
        [
            "/",
            "/.well-known/security.txt",
            "/about",
            "/blog",
            "/blog/2026",
            "/blog/first",
            "/blog/pic.png",
            "/blog/second",
            "/robots.txt",
            "/search",
            "/search.js",
            "/search.json",
            "/style.css",
            "/updates"
        ]
    );
    assert_eq!(site.warnings, []);
    let front = html(&site, "/");
    assert!(
        front.contains("HOME <p><a href=\"/blog/first#top\">first</a>"),
        "{front}"
    );
    assert!(
        front.contains("from the site [Second good][First &amp; only]"),
        "{front}"
    );
    let about = html(&site, "/about");
    assert!(about.contains("<title>About us · Ours</title>"), "{about}");
    assert_eq!(about.matches("<h1").count(), 1);
    assert!(about.contains("<a href=\"/blog\">News</a>"));
    let first = html(&site, "/blog/first");
    assert!(first.contains("<h1>First &amp; only</h1>") && first.contains("28 February 2026"));
    assert!(first.contains("<a href=\"/blog\" aria-current=\"true\">News</a>"));
    let list = html(&site, "/blog");
    assert!(list.find("/blog/second").unwrap() < list.find("/blog/first").unwrap());
    assert!(html(&site, "/blog/second").contains("src=\"/blog/pic.png\""));
    let lost = String::from_utf8(site.not_found.as_ref().unwrap().body.clone()).unwrap();
    assert!(lost.contains("<h1>Lost</h1>") && lost.contains("Nothing here."));
    assert!(site.redirects.is_empty());
    assert_eq!(
        item(&site, "/robots.txt").media_type,
        "text/plain; charset=utf-8"
    );
}

#[test]
fn a_flat_folder_of_texts() {
    let site = folder(&[
        (
            "Read me first.md",
            "# Überblick\n\n[next](two.md) [gone](pics/b.svg)\n".as_bytes(),
        ),
        (
            "two.md",
            b"Text only, [back](<Read me first.md>), [pic](pics/a.svg).\n",
        ),
        ("pics/a.svg", b"<svg/>"),
    ]);
    let site = render(site.path()).unwrap();
    assert_eq!(
        paths(&site),
        [
            "/",
            "/Read me first",
            "/pics/a.svg",
            "/robots.txt",
            "/search",
            "/search.js",
            "/search.json",
            "/style.css",
            "/two"
        ]
    );
    let first = html(&site, "/Read me first");
    assert!(
        first.contains("<h1>Überblick</h1>") && first.contains("href=\"/two\""),
        "{first}"
    );
    let two = html(&site, "/two");
    assert!(
        two.contains("<h1>Two</h1>") && two.contains("href=\"/Read%20me%20first\""),
        "{two}"
    );
    let warnings: Vec<_> = site.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["Read me first.md:3: broken link: pics/b.svg"]);
    assert!(html(&site, "/").contains("href=\"/Read%20me%20first\""));
}

/// What is found in texts of people who did not know this program.
#[test]
fn texts_of_others() {
    let site = folder(&[
        ("content/guide/index.md", b"---\ntitle: Guide\nsubtitle: \"Overview\"\n---\n"),
        (
            "content/guide/one.md",
            b"---\ndate: \"2019-10-13\"\ntitle: \"One: a `start`\"\ndescription: \"October 13, 2019\"\n---\n\n\
            # Strategies\n\nSee [two], [`Two`][two], [three](../guide/two), <a@b.c> and <https://a.b/c.md>.\n\n\
            ```rust,compile_fail\n# use x;\nfn main() {}\n```\n\n<div class=\"warning\">\n\n*raw*\n\n</div>\n\n\
            [two]: two#a-section\n[`Two`]: ./two.md\n",
        ),
        ("content/guide/two.md", b"---\ntitle: Two\n---\r\n## A section\r\n\r\nText[^1].\r\n\r\n[^1]: A note.\r\n"),
    ]);
    let site = render(site.path()).unwrap();
    assert_eq!(site.warnings, []);
    let one = html(&site, "/guide/one");
    assert!(one.contains("<h1>One: a `start`</h1>") && one.contains("<h1 id=\"strategies\">"));
    assert_eq!(
        one.matches("href=\"/guide/two#a-section\"").count(),
        2,
        "{one}"
    );
    assert!(one.contains("href=\"/guide/two\"") && one.contains("href=\"mailto:a@b.c\""));
    assert!(
        one.contains("<code class=\"language-rust\">") && one.contains(">fn <"),
        "{one}"
    );
    assert!(
        one.contains("<div class=\"warning\">\n<p><em>raw</em></p>\n</div>"),
        "{one}"
    );
    assert!(html(&site, "/guide/two").contains("<h2 id=\"a-section\">"));
    assert!(html(&site, "/guide").contains("href=\"/guide/one\""));
    assert!(html(&site, "/").contains("href=\"/guide\""));
}

const RULES: &str = "title = \"T\"\n[[redirects]]\nfrom = \"/old\"\nto = \"/part1/page-1\"\n\
                     [[headers]]\npath = \"*.css\"\nvalues = { X-B = \"1\", X-A = \"2\" }\n";

#[test]
fn the_same_folder_gives_the_same_bytes() {
    let names: Vec<_> = (0..40)
        .map(|n| format!("content/part{}/page-{n}.md", n % 3))
        .collect();
    let text =
        "---\ntitle: A page\ntags: [b, a]\nz: 1\na: 2\n---\n## Same\n\n## Same\n\n[x](nowhere)\n";
    let make = |order: &mut dyn Iterator<Item = &String>| {
        let made = folder(&[("static/big.css", &b"a { color: red }\n".repeat(5000))]);
        for name in order {
            crate::common::put(made.path(), name, text.as_bytes());
        }
        // The folder's name stands in for a title that the site does not have.
        crate::common::put(made.path(), "site.toml", RULES.as_bytes());
        made
    };
    let (one, two) = (make(&mut names.iter()), make(&mut names.iter().rev()));
    let cache = tempfile::tempdir().unwrap();
    let cache = Cache::new(cache.path());
    let packs = [(&one, &cache), (&two, &cache), (&two, &Cache::none())]
        .map(|(site, cache)| pack(render(site.path()).unwrap(), cache).unwrap());
    assert!(packs[0] == packs[1] && packs[1] == packs[2]);
    let loaded = www::pack::Pack::load(&packs[0]).unwrap();
    assert_eq!(loaded.find(b"/big.css").unwrap().variants().len(), 3);
    assert_eq!(loaded.find(b"/old").unwrap().location(), "/part1/page-1");
    assert_eq!(loaded.not_found().unwrap().status(), 404);
}

#[test]
#[cfg(unix)]
fn links_inside_the_folder_are_followed() {
    let site = folder(&[("content/a.md", b"A"), ("shared/s.txt", b"S")]);
    std::fs::create_dir(site.path().join("static")).unwrap();
    std::os::unix::fs::symlink("../shared/s.txt", site.path().join("static/t.txt")).unwrap();
    let site = render(site.path()).unwrap();
    assert_eq!(item(&site, "/t.txt").body, b"S");
}

#[test]
fn the_configuration_of_the_build_is_not_served() {
    let files: &[(&str, &[u8])] = &[
        ("index.md", b"# Home"),
        ("mir.toml", b"site = \".\""),
        ("below/mir.toml", b"an example"),
    ];
    let site = render(folder(files).path()).unwrap();
    let has = |path| site.items.iter().any(|item| item.path == path);
    assert!(has("/") && has("/below/mir.toml") && !has("/mir.toml"));
}
