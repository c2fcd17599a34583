//! A site's folder held open: what changes is found, and nothing else is done.

use std::fs;
use std::path::Path;

use mir::site::{Broken, Change, Found, Item, Live, Options};
use tempfile::TempDir;

use crate::common::{folder, put, render};

const OPTIONS: Options = Options {
    modified: Some(1),
    drafts: false,
    lenient: false,
};

fn site() -> TempDir {
    folder(&[
        ("site.toml", b"title = \"Ours\"\n"),
        ("content/index.md", b"# Front\n\n[a](blog/a.md)\n"),
        ("content/blog/a.md", b"# A\n\none\n"),
        ("content/blog/b.md", b"---\ntitle: B\n---\ntwo\n"),
        ("content/blog/pic.svg", b"<svg/>"),
        ("static/own.css", b"a {}\n"),
        ("static/file.bin", b"\0\x01"),
    ])
}

fn open(folder: &Path) -> Live {
    Live::open(folder, OPTIONS)
}

/// A look that need not find anything, but settles what was written a moment ago.
fn settle(live: &Live) {
    let patience = std::time::Instant::now();
    while live.look() != Change::None {
        assert!(patience.elapsed().as_secs() < 30, "it never ends");
    }
}

fn item(live: &Live, path: &str) -> Item {
    match live.view().find(path) {
        Ok(Found::Item(item, _)) => item,
        other => panic!("{path}: {other:?}"),
    }
}

fn text(live: &Live, path: &str) -> String {
    String::from_utf8(item(live, path).body).unwrap()
}

fn broken(live: &Live, path: &str) -> Vec<String> {
    match live.view().find(path) {
        Err(Broken(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn answers_what_the_whole_site_has() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site");
    let made = site();
    for folder in [own.as_path(), made.path()] {
        let live = open(folder);
        let site = render(folder).unwrap();
        let view = live.view();
        assert_eq!(view.text_bytes(), site.text_bytes);
        let mut paths: Vec<_> = view.paths().collect();
        paths.sort();
        let rendered: Vec<_> = site.items.iter().map(|item| item.path.as_str()).collect();
        assert_eq!(paths, rendered);
        let mut warnings = Vec::new();
        for expected in &site.items {
            match view.find(&expected.path) {
                Ok(Found::Item(item, mut more)) => {
                    assert!(item == *expected, "{}", item.path);
                    warnings.append(&mut more);
                }
                other => panic!("{}: {other:?}", expected.path),
            }
        }
        let (item, mut more) = view.not_found().unwrap();
        assert_eq!(Some(&item), site.not_found.as_ref());
        warnings.append(&mut more);
        warnings.sort();
        assert_eq!(warnings, site.warnings);
        for redirect in &site.redirects {
            let found = view.find(&redirect.from);
            assert_eq!(found, Ok(Found::Redirect(redirect.clone())));
        }
        for path in [
            "",
            "/nowhere",
            "//",
            "/blog//a",
            "/../etc/passwd",
            "/blog/a.md",
            "/404",
        ] {
            assert_eq!(view.find(path), Ok(Found::Missing), "{path}");
        }
    }
}

#[test]
fn only_what_changed_is_read() {
    let made = site();
    for at in 0..200 {
        let name = format!("content/many/page-{at}.md");
        put(made.path(), &name, format!("# Page {at}\n").as_bytes());
    }
    let live = open(made.path());
    assert_eq!(live.parsed(), 203);
    settle(&live);
    assert_eq!(live.parsed(), 203);

    put(made.path(), "content/many/page-7.md", b"# Another\n");
    assert_eq!(live.look(), Change::All);
    assert_eq!(live.parsed(), 204);
    assert!(text(&live, "/many/page-7").contains("<h1>Another</h1>"));
    // What others say of it follows, without their being read.
    assert!(text(&live, "/many").contains("Another"));
    assert_eq!(live.parsed(), 204);

    // The same text again is nothing new.
    put(made.path(), "content/many/page-7.md", b"# Another\n");
    live.look();
    assert_eq!(live.parsed(), 204);
    // Neither templates nor the configuration have anything to do with texts.
    put(
        made.path(),
        "templates/page.html",
        b"<p>{{ page.title }} of {{ site.title }}</p>",
    );
    put(made.path(), "site.toml", b"title = \"Theirs\"\n");
    assert_eq!(live.look(), Change::All);
    assert_eq!(live.parsed(), 204);
    assert_eq!(text(&live, "/blog/b"), "<p>B of Theirs</p>");
}

#[test]
fn files_come_and_go() {
    let made = site();
    let live = open(made.path());
    let path = |name: &str| made.path().join(name);
    put(made.path(), "content/new/page.md", b"# New\n");
    put(made.path(), "static/new.txt", b"new");
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/new/page").contains("<h1>New</h1>"));
    assert!(text(&live, "/").contains("href=\"/new\""));
    assert_eq!(text(&live, "/new.txt"), "new");

    // As editors save: the new file takes the old one's name.
    put(made.path(), "content/.a.md.tmp", b"# A\n\nreplaced\n");
    fs::rename(path("content/.a.md.tmp"), path("content/blog/a.md")).unwrap();
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/blog/a").contains("replaced"));

    fs::rename(path("content/new"), path("content/old")).unwrap();
    assert_eq!(live.look(), Change::All);
    assert_eq!(live.view().find("/new/page"), Ok(Found::Missing));
    assert!(text(&live, "/old/page").contains("<h1>New</h1>"));

    fs::remove_dir_all(path("content/old")).unwrap();
    fs::remove_file(path("static/new.txt")).unwrap();
    assert_eq!(live.look(), Change::All);
    for gone in ["/old", "/old/page", "/new.txt"] {
        assert_eq!(live.view().find(gone), Ok(Found::Missing), "{gone}");
    }
    // Cut short, as when it is being written.
    put(made.path(), "content/blog/a.md", b"");
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/blog/a").contains("<h1>A</h1>"));
}

#[test]
fn what_a_change_is() {
    let made = site();
    let live = open(made.path());
    settle(&live);
    put(made.path(), "static/own.css", b"b {}\n");
    assert_eq!(live.look(), Change::Styles);
    assert_eq!(text(&live, "/own.css"), "b {}\n");
    settle(&live);
    put(made.path(), "static/own.css", b"c {}\n");
    put(made.path(), "static/file.bin", b"\0\x02");
    assert_eq!(live.look(), Change::All);
    settle(&live);
    // A stylesheet that was not there before may be one that pages ask for.
    put(made.path(), "static/second.css", b"d {}\n");
    assert_eq!(live.look(), Change::All);
    settle(&live);
    for unseen in ["static/.own.css.swp", "content/.#a.md", ".git/index"] {
        put(made.path(), unseen, b"x");
        assert_eq!(live.look(), Change::None, "{unseen}");
    }
}

#[test]
fn a_mistake_costs_the_page_that_has_it() {
    let made = site();
    let live = open(made.path());
    put(
        made.path(),
        "content/blog/a.md",
        b"---\ntitle: <i>[\nweight: <b>x\n---\n",
    );
    put(
        made.path(),
        "content/blog/b.md",
        b"---\ntemplate: none\n---\n",
    );
    put(made.path(), "content/c.md", b"one\n\xff\n");
    put(made.path(), "content/d.md", b"D");
    put(made.path(), "content/d/index.md", b"D");
    assert_eq!(live.look(), Change::All);
    assert_eq!(
        broken(&live, "/blog/a"),
        ["content/blog/a.md:3: front matter: `weight` must be a whole number"]
    );
    assert_eq!(
        broken(&live, "/blog/b"),
        ["content/blog/b.md:2: there is no template `none` in templates/"]
    );
    assert_eq!(broken(&live, "/c"), ["content/c.md:2: not UTF-8 text"]);
    assert_eq!(
        broken(&live, "/d"),
        ["content/d/index.md: the path /d is taken by content/d.md"]
    );
    assert!(text(&live, "/").contains("<h1>Front</h1>"));
    assert_eq!(text(&live, "/own.css"), "a {}\n");
    // What stands in the file is shown as it stands there, and what is wrong elsewhere is named.
    let Err(why) = live.view().find("/blog/a") else {
        panic!("not broken");
    };
    let page = live.view().explain(&why);
    assert!(
        page.contains("<mark>    3 weight: &lt;b&gt;x</mark>"),
        "{page}"
    );
    assert!(
        page.contains("<code>content/c.md:2</code>: not UTF-8 text"),
        "{page}"
    );
    assert!(!page.contains("<b>x"), "{page}");

    put(made.path(), "content/c.md", b"one\n");
    live.look();
    assert!(text(&live, "/c").contains("<p>one</p>"));
}

#[test]
fn a_mistake_of_the_site_costs_its_pages() {
    let made = site();
    let live = open(made.path());
    for (name, wrong, said) in [
        (
            "site.toml",
            "title = \"x\"\ntitel = 1\n",
            "site.toml:2: unknown key `titel`",
        ),
        (
            "templates/unused.html",
            "one\n{% if %}",
            "templates/unused.html:2: syntax error",
        ),
        (
            "templates/bytes.html",
            "",
            "templates/bytes.html:1: not UTF-8 text",
        ),
    ] {
        let bytes = if wrong.is_empty() {
            b"\xff"
        } else {
            wrong.as_bytes()
        };
        put(made.path(), name, bytes);
        assert_eq!(live.look(), Change::All);
        for path in ["/", "/blog", "/blog/a"] {
            assert!(
                broken(&live, path)[0].starts_with(said),
                "{:?}",
                broken(&live, path)
            );
        }
        assert!(live.view().not_found().is_err());
        assert_eq!(text(&live, "/own.css"), "a {}\n");
        fs::remove_file(made.path().join(name)).unwrap();
        assert_eq!(live.look(), Change::All);
        assert!(text(&live, "/blog/a").contains("one"));
    }
    // A template that fails on a page costs that page alone.
    put(
        made.path(),
        "templates/list.html",
        b"\n{{ page.none.such }}",
    );
    live.look();
    assert!(broken(&live, "/blog")[0].starts_with("templates/list.html:2: undefined value"));
    assert!(text(&live, "/blog/a").contains("one"));
}

#[test]
#[cfg(unix)]
fn nothing_leads_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let made = site();
    let live = open(made.path());
    symlink("/etc/passwd", made.path().join("static/passwd")).unwrap();
    symlink("/etc", made.path().join("content/etc")).unwrap();
    live.look();
    assert_eq!(
        broken(&live, "/passwd"),
        ["static/passwd: symbolic link leads out of the site's folder"]
    );
    assert_eq!(live.view().find("/etc/passwd"), Ok(Found::Missing));
    assert!(text(&live, "/").contains("<h1>Front</h1>"));
    // Between the look and the reading.
    let file = made.path().join("static/file.bin");
    fs::remove_file(&file).unwrap();
    symlink("/etc/passwd", &file).unwrap();
    assert_eq!(
        broken(&live, "/file.bin"),
        ["static/file.bin: symbolic link leads out of the site's folder"]
    );
}

#[test]
fn the_folder_itself_may_go_and_come() {
    let made = site();
    let folder = made.path().join("content/..");
    let live = open(&folder);
    assert!(text(&live, "/").contains("Front"));
    let away = tempfile::tempdir().unwrap();
    fs::rename(made.path().join("content"), away.path().join("content")).unwrap();
    assert_eq!(live.look(), Change::All);
    assert!(live.view().find("/").is_err());
    fs::rename(away.path().join("content"), made.path().join("content")).unwrap();
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/").contains("Front"));
}

#[test]
fn a_template_that_never_ends_does() {
    let made = site();
    let live = open(made.path());
    let long = "{% for a in range(9999) %}";
    let end = "{% endfor %}";
    put(
        made.path(),
        "templates/list.html",
        format!("{long}{long}{long}{end}{end}{end}").as_bytes(),
    );
    live.look();
    let said = broken(&live, "/blog");
    assert!(
        said[0].starts_with("templates/list.html:1: engine ran out of fuel"),
        "{said:?}"
    );
    let wide = format!("{{% set x = 'x' * 1000000 %}}{long}{{{{ x }}}}{end}");
    put(made.path(), "templates/list.html", wide.as_bytes());
    live.look();
    let said = broken(&live, "/blog");
    assert!(
        said[0].contains("the page that this makes is too large"),
        "{said:?}"
    );
    assert!(text(&live, "/blog/a").contains("one"));
}

/// A folder from elsewhere is watched as the site's own.
#[test]
fn what_is_mounted_is_looked_at() {
    let made = folder(&[
        (
            "site/site.toml",
            b"[[mount]]\nfrom = \"../docs\"\nto = \"/docs\"\n",
        ),
        ("site/content/index.md", b"# Front\n"),
        ("docs/deep/a.md", b"one\n"),
    ]);
    let live = open(&made.path().join("site"));
    settle(&live);
    let real = made.path().canonicalize().unwrap();
    let view = live.view();
    let folders: Vec<_> = view.folders().collect();
    for name in ["site", "site/content", "docs", "docs/deep"] {
        assert!(folders.contains(&real.join(name).as_path()), "{name}");
    }
    assert!(text(&live, "/docs/deep/a").contains("<p>one</p>"));
    put(made.path(), "docs/deep/a.md", b"other\n");
    put(made.path(), "docs/b.md", b"[a](deep/a.md)\n");
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/docs/deep/a").contains("<p>other</p>"));
    assert!(text(&live, "/docs/b").contains("href=\"/docs/deep/a\""));

    // Mounted elsewhere, the same files are other pages.
    put(
        made.path(),
        "site/site.toml",
        b"[[mount]]\nfrom = \"../docs\"\nto = \"/manual\"\n",
    );
    live.look();
    assert!(text(&live, "/manual/b").contains("href=\"/manual/deep/a\""));
    assert_eq!(live.view().find("/docs/b"), Ok(Found::Missing));

    std::fs::remove_dir_all(made.path().join("docs")).unwrap();
    live.look();
    assert_eq!(
        live.view()
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["site.toml:2: there is no folder `../docs`"]
    );
    put(made.path(), "docs/c.md", b"back\n");
    assert_eq!(live.look(), Change::All);
    assert!(text(&live, "/manual/c").contains("<p>back</p>"));
}
