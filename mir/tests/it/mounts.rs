//! Folders from elsewhere that are a part of the site.

use std::path::Path;

use crate::common::{folder, html, item, put, render};

const TOML: &[u8] = b"title = \"T\"\n[[mount]]\nfrom = \"../../docs\"\nto = \"/docs\"\n\
order = [\"second\", \"deep/first.md\"]\noutside = \"https://example.org/main\"\n";

fn repository() -> (tempfile::TempDir, std::path::PathBuf) {
    let made = folder(&[
        ("www/site/site.toml", TOML),
        (
            "www/site/content/index.md",
            b"[a](docs/first.md) [b](../../../docs/second.md#two)\n",
        ),
        ("docs/README.md", b"# All of it\n\n[one](first.md)\n"),
        (
            "docs/first.md",
            b"# First\n\n[code](../src/lib.rs#L3) [own](../www/site/content/index.md) ![](x.svg)\n",
        ),
        ("docs/second.md", b"# Second\n\n## Two\n\n[up](README.md)\n"),
        (
            "docs/deep/first.md",
            b"# Deep\n\n[code](../../src/) [back](../second.md)\n",
        ),
        ("docs/x.svg", b"<svg/>"),
    ]);
    let site = made.path().join("www/site");
    (made, site)
}

#[test]
fn its_files_are_the_sites() {
    let (_made, site) = repository();
    let site = render(&site).unwrap();
    assert_eq!(site.warnings, []);
    let front = html(&site, "/");
    assert!(front.contains("href=\"/docs/first\"") && front.contains("href=\"/docs/second#two\""));
    let index = html(&site, "/docs");
    assert!(index.contains("<h1>All of it</h1>") && index.contains("href=\"/docs/first\""));
    let places = ["Second", "First"].map(|title| index.rfind(&format!(">{title}</a>")).unwrap());
    assert!(places.is_sorted(), "{index}");
    let first = html(&site, "/docs/first");
    assert!(
        first.contains("href=\"https://example.org/main/src/lib.rs#L3\""),
        "{first}"
    );
    assert!(first.contains("<a href=\"/\">own</a>") && first.contains("src=\"/docs/x.svg\""));
    let deep = html(&site, "/docs/deep/first");
    assert!(
        deep.contains("href=\"https://example.org/main/src/\""),
        "{deep}"
    );
    assert!(deep.contains("href=\"/docs/second\""));
    assert!(html(&site, "/docs/second").contains("href=\"/docs\""));
    item(&site, "/docs/x.svg");
}

fn said(site: &Path) -> Vec<String> {
    render(site).expect_err("a broken site")
}

#[test]
fn what_is_wrong_has_a_line() {
    let (made, site) = repository();
    put(&site, "site.toml", b"[[mount]]\nfrom = \"../../none\"\nto = \"/a\"\n\n[[mount]]\nfrom = \"..\"\nto = \"/b\"\n\n\
        [[mount]]\nfrom = \"../../docs\"\nto = \"/docs\"\norder = [\n\"second\",\n\"third\"]\n");
    put(&site, "content/index.md", b"Text.\n");
    assert_eq!(
        said(&site),
        [
            "../../docs/deep/first.md:3: broken link: ../../src/",
            "../../docs/first.md:3: broken link: ../src/lib.rs#L3",
            "site.toml:2: there is no folder `../../none`",
            "site.toml:6: `..` has the site itself in it",
            "site.toml:14: there is no page `third`",
        ]
    );
    put(
        &site,
        "site.toml",
        b"[[mount]]\nfrom = \"../../docs\"\nto = \"docs\"\n[[mount]]\nto = \"/x\"\n",
    );
    assert_eq!(
        said(&site),
        [
            "site.toml:3: `mount.to` must be a path of the site, such as /docs",
            "site.toml:4: `mount.from` is missing",
        ]
    );
    put(&site, "site.toml", TOML);
    put(made.path(), "docs/second.md", b"---\nweight: x\n---\n");
    assert_eq!(
        said(&site),
        ["../../docs/second.md:2: front matter: `weight` must be a whole number"]
    );
}

#[test]
#[cfg(unix)]
fn links_out_of_it_are_refused() {
    let (made, site) = repository();
    std::os::unix::fs::symlink("/etc/passwd", made.path().join("docs/passwd")).unwrap();
    std::os::unix::fs::symlink("../www/site/site.toml", made.path().join("docs/toml")).unwrap();
    // The site's own may not lead there either: only the mount may.
    std::os::unix::fs::symlink("../../../docs/x.svg", site.join("content/x.svg")).unwrap();
    assert_eq!(
        said(&site),
        [
            "../../docs/passwd: symbolic link leads out of the site's folder",
            "../../docs/toml: symbolic link leads out of the site's folder",
            "content/x.svg: symbolic link leads out of the site's folder",
        ]
    );
}
