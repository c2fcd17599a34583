//! Pages and files that follow from those that were written.

use std::path::Path;

use mir::site::{Options, Rendered};

use crate::common::{folder, html, item, put, render};

fn blog() -> tempfile::TempDir {
    folder(&[
        ("site.toml", b"title = \"Ours & yours\"\nbase_url = \"https://example.org/\"\nauthor = { name = \"Ada\", uri = \"https://ada.example\" }\n"),
        ("content/index.md", b"---\ntitle: Front\ndate: 2020-01-01\n---\n"),
        ("content/blog/index.md", b"# Blog\n"),
        ("content/blog/one.md", b"---\nsubject: One\nupdated: 2016-2-29\ntags: [Rust, Xen PV]\nauthor: {name: Grace, email: g@example.org}\npermalink: first\naliases: [/old/one, uno]\n---\n<p>raw<br><img src=pic.png alt=x>\n\n```rust\nlet a = 1;\n```\n\n[two](two.md) &copy; a[^1]\n\n[^1]: Note\n"),
        ("content/blog/two.md", b"+++\ntitle = \"Two <2>\"\ndate = 2016-03-01\nupdated = 2017-01-02T10:00:00+01:00\ntags = [\"rust\"]\n+++\nText & more\n"),
        ("content/blog/three.md", b"---\ntitle: Three\ndate: 2018-01-01\ndraft: true\ntags: [secret]\n---\n"),
        ("content/blog/pic.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x07\0\0\0\x05\x08\x06\0\0\0\0\0\0\0\0"),
        ("content/docs/index.md", b"---\ntitle: Docs\naliases: /wiki\n---\n"),
        ("content/docs/a.md", b"---\ntitle: A\nweight: 1\n---\n"),
        ("content/docs/deep/b.md", b"---\ntitle: B\ndate: 2015-01-01\n---\n![p](../../blog/pic.png)\n"),
        ("content/docs/z.md", b"---\ntitle: Z\nweight: 9\n---\n"),
        ("content/links.yml", b"- id: x\n  uri: https://a.b/c\n  title: Elsewhere\n  date: 2015-6-1\n  stream: press\n"),
    ])
}

fn paths(site: &Rendered) -> Vec<&str> {
    site.items.iter().map(|item| &*item.path).collect()
}

fn redirects(site: &Rendered) -> Vec<(&str, &str, u16)> {
    let all = site.redirects.iter();
    all.map(|r| (&*r.from, &*r.to, r.status)).collect()
}

#[test]
fn a_blog_has_lists_feeds_and_more() {
    let made = blog();
    let site = render(made.path()).unwrap();
    assert_eq!(site.warnings, []);
    assert_eq!(site.notes, []);
    assert_eq!(
        paths(&site),
        [
            "/",
            "/blog",
            "/blog/2016",
            "/blog/atom.xml",
            "/blog/first",
            "/blog/pic.png",
            "/blog/tags",
            "/blog/tags/rust",
            "/blog/tags/xen-pv",
            "/blog/two",
            "/docs",
            "/docs/a",
            "/docs/atom.xml",
            "/docs/deep",
            "/docs/deep/b",
            "/docs/z",
            "/feed.xml",
            "/links",
            "/robots.txt",
            "/search",
            "/search.js",
            "/search.json",
            "/sitemap.xml",
            "/style.css",
            "/updates",
            "/updates/atom.xml",
            "/wiki/atom.xml",
        ]
    );
    let rust = html(&site, "/blog/tags/rust");
    assert!(rust.contains("<h1>Blog: Rust</h1>"), "{rust}");
    assert!(rust.find("/blog/two").unwrap() < rust.find("/blog/first").unwrap());
    assert!(html(&site, "/blog/2016").contains("<h1>Blog: 2016</h1>"));
    let updates = html(&site, "/updates");
    let order = ["/blog/two", "/blog/first", "/docs/deep/b"].map(|url| updates.find(url).unwrap());
    assert!(
        order.is_sorted() && !updates.contains("Front\n"),
        "{updates}"
    );
    assert!(
        html(&site, "/links").contains("<a href=\"/links/press/x\" rel=\"external\">Elsewhere</a>")
    );

    let one = html(&site, "/blog/first");
    for part in [
        "<a href=\"/blog/tags/xen-pv\" rel=\"tag\">Xen PV</a>",
        "By Grace",
        "<a href=\"/blog/two\" rel=\"next\">Two &lt;2&gt;</a>",
        "<link rel=\"alternate\" type=\"application/atom+xml\" title=\"Ours &amp; yours\" href=\"/blog/atom.xml\">",
        "<link rel=\"canonical\" href=\"https://example.org/blog/first\">",
        "<time datetime=\"2016-02-29\">29 February 2016</time>",
        "<a href=\"/blog/two\">two</a>",
    ] {
        assert!(one.contains(part), "{part} is not in {one}");
    }
    // A book is read in its own order.
    let b = html(&site, "/docs/deep/b");
    assert!(
        b.contains("<a href=\"/docs\" rel=\"prev\">Docs</a><a href=\"/docs/a\" rel=\"next\">"),
        "{b}"
    );
    assert!(
        b.contains("width=\"7\" height=\"5\" loading=\"lazy\""),
        "{b}"
    );
    assert!(b.contains("<li><a href=\"/docs/deep\">Deep</a></li>"));
    assert!(html(&site, "/docs/a").contains("rel=\"next\">Z<"));

    let all = redirects(&site);
    for expected in [
        ("/old/one", "/blog/first", 301),
        ("/blog/uno", "/blog/first", 301),
        ("/wiki", "/docs", 301),
        ("/wiki/a", "/docs/a", 301),
        ("/wiki/deep/b", "/docs/deep/b", 301),
        ("/links/press/x", "https://a.b/c", 302),
    ] {
        assert!(all.contains(&expected), "{expected:?} is not in {all:?}");
    }
    assert!(
        !all.iter()
            .any(|(from, _, _)| *from == "/blog/one" || from.contains("secret"))
    );
    // Other spellings of an address are the server's business.
    assert!(!all.iter().any(|(from, _, _)| from.ends_with('/')));
}

/// Feeds by the rules of RFC 4287, as far as they concern what is written here.
#[test]
fn feeds_are_what_readers_expect() {
    let made = blog();
    let site = render(made.path()).unwrap();
    for (path, entries) in [
        ("/blog/atom.xml", 2),
        ("/docs/atom.xml", 1),
        ("/wiki/atom.xml", 1),
        ("/updates/atom.xml", 3),
        ("/feed.xml", 3),
    ] {
        assert_eq!(item(&site, path).media_type, "application/atom+xml");
        let text = html(&site, path);
        let xml =
            roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{path}: {e}\n{text}"));
        let feed = xml.root_element();
        let of = |node: roxmltree::Node<'_, '_>, name: &str| {
            let found = node
                .children()
                .find(|child| child.tag_name().name() == name);
            found
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            feed.tag_name().namespace(),
            Some("http://www.w3.org/2005/Atom")
        );
        assert_eq!(of(feed, "id"), format!("https://example.org{path}"));
        let own = feed
            .children()
            .find(|n| n.attribute("rel") == Some("self"))
            .unwrap();
        assert_eq!(own.attribute("href").unwrap(), of(feed, "id"));
        assert!(
            feed.children()
                .any(|node| node.tag_name().name() == "author")
        );
        let all: Vec<_> = feed
            .children()
            .filter(|n| n.tag_name().name() == "entry")
            .collect();
        assert_eq!(all.len(), entries, "{path}");
        let newest = all.iter().map(|entry| of(*entry, "updated")).max().unwrap();
        assert_eq!(of(feed, "updated"), newest);
        for entry in all {
            assert!(of(entry, "id").starts_with("https://example.org/"));
            assert!(of(entry, "published").ends_with('Z') && !of(entry, "title").is_empty());
            for node in entry.descendants() {
                for url in ["href", "src"]
                    .iter()
                    .filter_map(|name| node.attribute(*name))
                {
                    assert!(url.starts_with("https://"), "{path}: {url}");
                }
            }
        }
    }
    let text = html(&site, "/blog/atom.xml");
    assert!(
        text.contains("<updated>2017-01-02T09:00:00Z</updated>"),
        "{text}"
    );
    assert!(
        text.contains("<p>raw<br/><img src=\"https://example.org/blog/pic.png\" alt=\"x\"/>"),
        "{text}"
    );
    assert!(text.contains("<name>Grace</name><email>g@example.org</email>"));
    assert!(
        text.contains("<pre><code>let a = 1;\n</code></pre>"),
        "{text}"
    );
    let map = html(&site, "/sitemap.xml");
    roxmltree::Document::parse(&map).unwrap();
    assert!(
        map.contains(
            "<url><loc>https://example.org/blog/two</loc><lastmod>2017-01-02</lastmod></url>"
        ),
        "{map}"
    );
    assert!(html(&site, "/robots.txt").contains("Sitemap: https://example.org/sitemap.xml"));
}

#[test]
fn without_an_address_there_are_no_feeds() {
    let made = blog();
    put(made.path(), "site.toml", b"title = \"T\"\n");
    let site = render(made.path()).unwrap();
    let notes: Vec<_> = site.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        ["site.toml: there is no base_url, so there are no feeds and no site map"]
    );
    assert!(!paths(&site).iter().any(|path| path.ends_with(".xml")));
    assert!(!html(&site, "/blog/first").contains("atom+xml"));

    put(
        made.path(),
        "site.toml",
        b"base_url = \"https://x.y\"\n[generate]\nfeeds = false\nrobots = false\n\
        search = false\nsitemap = false\ntags = false\nupdates = false\nyears = false\n",
    );
    let site = render(made.path()).unwrap();
    let made = [
        "/blog/2016",
        "/blog/tags",
        "/updates",
        "/search",
        "/robots.txt",
        "/sitemap.xml",
        "/feed.xml",
    ];
    for path in made {
        assert!(!paths(&site).contains(&path), "{path}");
    }
    assert!(html(&site, "/blog/first").contains("<li>Xen PV</li>"));
}

#[test]
fn what_is_written_goes_before_what_follows() {
    let made = blog();
    for (name, text) in [
        ("content/updates.md", "# News\n\nAll of it.\n"),
        ("content/search.md", "# Find\n"),
        ("content/blog/2016.md", "# A year\n"),
        ("static/robots.txt", "mine"),
        ("static/blog/atom.xml", "mine"),
        ("templates/links.html", "LINKS {{ page.links[0].to }}"),
    ] {
        put(made.path(), name, text.as_bytes());
    }
    let site = render(made.path()).unwrap();
    let updates = html(&site, "/updates");
    assert!(
        updates.contains("<h1>News</h1>") && updates.contains("<p>All of it.</p>"),
        "{updates}"
    );
    assert!(updates.contains("href=\"/blog/two\""));
    assert!(html(&site, "/search").contains("<h1>Find</h1>"));
    assert!(html(&site, "/search").contains("id=\"search-results\""));
    assert!(html(&site, "/blog/2016").contains("<h1>A year</h1>"));
    assert_eq!(html(&site, "/robots.txt"), "mine");
    assert_eq!(html(&site, "/blog/atom.xml"), "mine");
    assert_eq!(html(&site, "/links"), "LINKS https://a.b/c");
}

#[test]
fn the_index_knows_words() {
    let made = blog();
    let site = render(made.path()).unwrap();
    let index: serde_json::Value = serde_json::from_str(&html(&site, "/search.json")).unwrap();
    let page = |word: &str| -> Vec<(String, u64)> {
        let places = index["words"][word].as_array().cloned().unwrap_or_default();
        let places = places.iter().map(|place| place.as_u64().unwrap());
        let url = |at: u64| {
            index["pages"][at as usize / 4][0]
                .as_str()
                .unwrap()
                .to_owned()
        };
        places.map(|place| (url(place), place % 4)).collect()
    };
    assert_eq!(
        page("two"),
        [("/blog/first".to_owned(), 0), ("/blog/two".to_owned(), 3)]
    );
    assert_eq!(
        page("rust"),
        [("/blog/first".to_owned(), 2), ("/blog/two".to_owned(), 2)]
    );
    assert_eq!(page("secret"), []);
    let script = html(&site, "/search.js");
    assert!(!script.contains("eval") && !script.contains("innerHTML"));
    // Without a script all pages are listed.
    assert!(html(&site, "/search").contains("<a href=\"/blog/two\">Two &lt;2&gt;</a>"));
}

#[test]
fn links_that_lead_nowhere() {
    let made = folder(&[
        ("content/a.md", b"[x](b.md) [y](gone.md) [z](b.md#no)\n\n## Here\n\n[v](#here) [w](#not) [u](/gone) ![t](t.png)\n"),
        ("content/b.md", b"# B\n\n<a id=yes></a>\n\n[x](a.md#here) [y](c.md#main) [z](c.md#lost)\n"),
        ("content/c.md", b"[y](b.md#yes) [x](a.md#)\n"),
        ("site.toml", b"[[redirects]]\nfrom = \"/r\"\nto = \"/gone\"\n[[redirects]]\nfrom = \"/p\"\nto = \"/q\"\n\
          [[redirects]]\nfrom = \"/q\"\nto = \"/p\"\n[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n[[nav]]\ntitle = \"N\"\nurl = \"/nothing\"\n"),
    ]);
    let errors = [
        "content/a.md:1: broken link: gone.md",
        "content/a.md:1: broken link: b.md#no: that page has no such place",
        "content/a.md:5: broken link: #not: that page has no such place",
        "content/b.md:5: broken link: c.md#lost: that page has no such place",
    ];
    let found = render(made.path()).unwrap_err();
    let config = [
        "site.toml:5: a redirect in a circle: /p → /q → /p",
        "site.toml:8: a redirect in a circle: /q → /p → /q",
        "site.toml:11: the path /a is taken by content/a.md",
    ];
    assert_eq!(found, [&errors[..], &config[..]].concat());

    put(made.path(), "site.toml", b"[[redirects]]\nfrom = \"/r\"\nto = \"/gone\"\n[[redirects]]\nfrom = \"/s\"\nto = \"/r?x\"\n\
        [[redirects]]\nfrom = \"/t\"\nto = \"/stats\"\n[[nav]]\ntitle = \"N\"\nurl = \"/nothing\"\n");
    let options = Options {
        lenient: true,
        ..Options::default()
    };
    let site = mir::site::render(made.path(), options).unwrap();
    let warnings: Vec<_> = site.warnings.iter().map(ToString::to_string).collect();
    let only_warned = [
        "content/a.md:5: broken link: /gone",
        "content/a.md:5: broken link: t.png",
        "site.toml:2: broken link: /gone",
        "site.toml:5: broken link: /r?x",
        "site.toml:12: broken link: /nothing",
    ];
    let mut expected: Vec<_> = errors.iter().chain(&only_warned).copied().collect();
    expected.sort();
    let mut sorted = warnings.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
}

/// Texts that were not written for this program, if they lie there.
#[test]
fn a_site_of_others_renders_whole() {
    let corpus = Path::new("../../shared/corpus/tokio");
    if !corpus.is_dir() {
        return;
    }
    let site = render(corpus).unwrap();
    assert!(site.items.len() > 40);
    let page = html(&site, "/tokio/tutorial/channels");
    assert!(page.contains("<span class=\"hl-keyword\">"));
    assert!(!page.contains(" style=\""));
}
