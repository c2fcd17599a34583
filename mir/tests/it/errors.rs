//! Broken sites: each mistake is named with its file and line, all of them at once, and nothing is
//! written.

use std::process::Command;

use crate::common::{errors, folder};

#[test]
fn broken_front_matter() {
    assert_eq!(
        errors(&[
            ("content/a.md", b"---\ntitle: [unclosed\n---\nText\n"),
            (
                "content/b.md",
                b"+++\ntitle = \"x\"\ndate = yesterday\n+++\n"
            ),
            (
                "content/c.md",
                b"---\ntitle: x\ndate: soon\nweight: heavy\n---\n"
            ),
            ("content/d.md", b"---\ntitle: never closed\n"),
        ]),
        [
            "content/a.md:2: front matter: unclosed bracket '['",
            "content/b.md:3: front matter: string values must be quoted, expected literal string",
            "content/c.md:3: front matter: `date` must be a date such as 2026-02-28",
            "content/c.md:4: front matter: `weight` must be a whole number",
            "content/d.md:1: front matter: no line `---` closes it",
        ]
    );
}

#[test]
fn templates() {
    assert_eq!(
        errors(&[
            ("content/a.md", b"---\ntitle: A\ntemplate: fancy\n---\n"),
            ("content/b.md", b"---\ntitle: B\ntemplate: own\n---\n"),
            ("templates/own.html", b"x\n{% extends 'ground.html' %}\n"),
            ("templates/unused.html", b"one\n{% if %}\n"),
            ("templates/bytes.html", b"one\n\xff\n"),
        ]),
        [
            "content/a.md:3: there is no template `fancy` in templates/",
            "templates/bytes.html:2: not UTF-8 text",
            "templates/own.html:2: template not found: template \"ground.html\" does not exist",
            "templates/unused.html:2: syntax error: unexpected end of block",
        ]
    );
}

#[test]
fn one_path_twice() {
    assert_eq!(
        errors(&[
            ("content/a.md", b"A"),
            ("content/a/index.md", b"A"),
            ("content/b.txt", b"B"),
            ("static/b.txt", b"B"),
            ("content/c/x.md", b"C"),
            ("content/404.md", b"L"),
            ("content/404/index.md", b"L"),
            ("static/c", b"C"),
        ]),
        [
            "content/404/index.md: the path /404 is taken by content/404.md",
            "content/a/index.md: the path /a is taken by content/a.md",
            "static/b.txt: the path /b.txt is taken by content/b.txt",
            "static/c: the path /c is taken by the list of /c",
        ]
    );
}

#[test]
fn texts_that_are_none() {
    let long = format!("content/{}.md", "d/".repeat(50) + &"x".repeat(200));
    let deep = format!(
        "content/{}",
        format!("{}/", "y".repeat(200)).repeat(6) + "z.md"
    );
    let found = errors(&[
        ("content/a.md", b"one\ntwo \xe9\n"),
        ("site.toml", b"title = \"T\"\nnavigation = 3\n"),
        (&long, b"fine"),
        (&deep, b"too long"),
    ]);
    assert_eq!(found[0], "content/a.md:2: not UTF-8 text");
    assert!(
        found[1].ends_with("makes a path that is too long or not canonical"),
        "{found:?}"
    );
    assert!(
        found[2].starts_with("site.toml:2: unknown key `navigation`"),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn folders_without_end() {
    let name = |deep| format!("static/{}x", "d/".repeat(deep));
    assert_eq!(
        errors(&[(&name(63), b"there"), (&name(70), b"beyond")]),
        [format!(
            "static/{}d: folders lie within each other 64 deep at most",
            "d/".repeat(63)
        )]
    );
}

#[test]
#[cfg(unix)]
fn symbolic_links() {
    use std::os::unix::fs::symlink;
    let site = folder(&[("content/deep/a.md", b"A"), ("static/x", b"X")]);
    symlink("/etc/passwd", site.path().join("static/passwd")).unwrap();
    symlink("..", site.path().join("content/deep/round")).unwrap();
    symlink("missing", site.path().join("static/dangling")).unwrap();
    assert_eq!(
        crate::common::render(site.path()).unwrap_err(),
        [
            "content/deep/round: symbolic link leads back into a folder that it is in",
            "static/dangling: cannot be read: No such file or directory (os error 2)",
            "static/passwd: symbolic link leads out of the site's folder",
        ]
    );
}

fn mir(args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_mir"))
        .args(args)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn the_tool_writes_nothing_on_errors() {
    let site = folder(&[
        ("content/a.md", b"---\ntitle: A\ntemplate: none\n---\n"),
        ("content/b.md", b"\xff"),
    ]);
    let shown = site.path().to_str().unwrap();
    let out = tempfile::tempdir().unwrap();
    let pack = out.path().join("site.pack");
    std::fs::write(&pack, b"the last good one").unwrap();
    let (status, said) = mir(&[
        "pack",
        "--no-cache",
        "--site",
        shown,
        "-o",
        pack.to_str().unwrap(),
    ]);
    assert_eq!(status, Some(1));
    assert_eq!(
        said,
        format!(
            "content/a.md:3: there is no template `none` in templates/\n\
             content/b.md:1: not UTF-8 text\n\
             error: {shown}: 2 errors, nothing written\n"
        )
    );
    assert_eq!(std::fs::read(&pack).unwrap(), b"the last good one");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);

    let empty = tempfile::tempdir().unwrap();
    let shown = empty.path().to_str().unwrap();
    let (status, said) = mir(&["check", "--site", shown]);
    assert_eq!(status, Some(1));
    assert!(
        said.starts_with(&format!(
            "{shown}: nothing to serve: no Markdown and no files\n"
        )),
        "{said}"
    );
    let file = folder(&[("file", b"")]);
    let shown = file.path().join("file").display().to_string();
    let (_, said) = mir(&["check", "--site", &shown]);
    assert!(said.contains("file: there is no such folder\n"), "{said}");
    let (_, said) = mir(&["check", "--site", "/nowhere/at/all"]);
    assert!(
        said.starts_with("error: /nowhere/at/all: there is no such folder\n"),
        "{said}"
    );
}

#[test]
fn the_tool_looks_into_what_it_made() {
    let site = folder(&[
        ("content/a.md", &b"Text of the page. ".repeat(100)),
        ("site.toml", b"[[redirects]]\nfrom = \"/old\"\nto = \"/a\""),
    ]);
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| out.path().join(name).to_str().unwrap().to_owned();
    let base = std::env::current_exe().unwrap();
    let site = site.path().to_str().unwrap();
    let (base, image, pack) = (base.to_str().unwrap(), file("image"), file("site.pack"));
    assert_eq!(
        mir(&["pack", "--no-cache", "--site", site, "-o", &pack]).0,
        Some(0)
    );
    let built = mir(&[
        "build",
        "-t",
        "unix",
        "--base",
        base,
        "--no-cache",
        "--site",
        site,
        "-o",
        &image,
    ]);
    assert_eq!(built, (Some(0), String::new()));
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_mir"))
            .args(args)
            .output()
            .unwrap()
    };
    let listed = run(&["list", &image]);
    assert_eq!(listed.stdout, run(&["list", &pack]).stdout);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("301 - - /old -> /a\n"), "{listed}");
    assert!(
        listed.contains("200 text/html;charset=utf-8 identity="),
        "{listed}"
    );
    let page = run(&["cat", &image, "/a"]);
    assert!(page.status.success() && page.stdout.starts_with(b"<!DOCTYPE html>"));
    assert_ne!(
        run(&["cat", "--encoding", "br", &image, "/a"]).stdout,
        page.stdout
    );
    let (status, said) = mir(&["cat", &image, "/b"]);
    assert_eq!(status, Some(1));
    assert_eq!(
        said,
        format!("error: {image}: there is no such path, or not in this encoding\n")
    );

    // A manifest lists the same, and says where the bodies are.
    let rendered = mir::site::render(site.as_ref(), mir::site::Options::default()).unwrap();
    let volumes = mir::pack::volumes(rendered, &mir::pack::Cache::none()).unwrap();
    let manifest = file("mir-www.manifest");
    std::fs::write(&manifest, &volumes.pages.manifest.body).unwrap();
    let in_manifest = run(&["list", &manifest]);
    for line in String::from_utf8(in_manifest.stdout).unwrap().lines() {
        assert!(listed.lines().any(|l| l == line), "{line}");
    }
    let (status, said) = mir(&["cat", &manifest, "/a"]);
    let where_it_is = "this is a manifest: the body is in the file /a.html of its volume";
    assert_eq!(
        (status, said),
        (Some(1), format!("error: {manifest}: {where_it_is}\n"))
    );

    // A kernel is asked for, and a test is none.
    let (status, said) = mir(&[
        "build", "-t", "xen", "--base", base, "--site", site, "-o", &image,
    ]);
    assert_eq!(status, Some(1));
    assert!(
        said.contains("not an ELF64 executable for x86-64: it is not linked to fixed"),
        "{said}"
    );

    let mut altered = std::fs::read(&pack).unwrap();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    std::fs::write(&pack, &altered).unwrap();
    let (status, said) = mir(&["list", &pack]);
    assert_eq!(
        (status, said.contains("altered")),
        (Some(1), true),
        "{said}"
    );
    std::fs::write(&pack, &altered[..middle]).unwrap();
    assert_eq!(mir(&["cat", &pack, "/a"]).0, Some(1));
}
