//! What the commands say, and their exit statuses.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Place, fat, ok};

#[test]
fn the_document_shows_what_happens() {
    // Each `$ ` line of the blocks marked `console` is run by a shell, in one folder.
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fat-tool.md"));
    let document = document.unwrap();
    let place = Place::new();
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mir"), bin.join("fat")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mir"), bin.join("mir")).unwrap();
    let folder = place.path().join("work");
    fs::create_dir(&folder).unwrap();
    let path = format!(
        "{}:{}:/usr/sbin",
        bin.display(),
        std::env::var("PATH").unwrap()
    );
    let mut commands = 0;
    let blocks = document.split("```console\n").skip(1);
    for block in blocks.map(|block| block.split("```").next().unwrap()) {
        for part in block.split("$ ").filter(|part| !part.is_empty()) {
            let (command, expected) = part.split_once('\n').unwrap();
            let mut shell = Command::new("sh");
            shell
                .args(["-c", &format!("exec 2>&1\n{command}")])
                .current_dir(&folder)
                .env("PATH", &path);
            shell.env_remove("SOURCE_DATE_EPOCH").env("TZ", "UTC");
            let output = shell.output().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected,
                "$ {command}"
            );
            commands += 1;
        }
    }
    assert!(commands > 15, "{commands}");
}

#[test]
fn one_line_for_each_error() {
    let place = Place::new();
    let image = place.at("x.img");
    let source = place.path().to_str().unwrap().to_owned();
    ok(&["create", &image, "200K"]);
    place.put("a.txt", b"a");
    place.put("sub/b.txt", b"b");
    place.put("large", &[1; 400_000]);
    place.put("bad/what?.txt", b"");
    place.put("dot.", b"");
    place.put("two/A", b"1");
    place.put("two/a", b"2");
    ok(&["add", &image, "-C", &source, "a.txt", "sub"]);
    let before = fs::read(&image).unwrap();
    let none = place.at("none.img");
    let cases: &[(&[&str], &str)] = &[
        (&["create", "IMG"], "exists; --force replaces it"),
        (
            &["add", "IMG", "-C", &source, "large"],
            "no space: 400000 bytes are needed",
        ),
        (
            &["add", "IMG", "-C", &source, "gone"],
            "DIR/gone: No such file or directory (os error 2)",
        ),
        (
            &["add", "IMG", "-C", &source, "bad"],
            "DIR/bad/what?.txt: FAT cannot hold a name with '?' in it",
        ),
        (
            &["add", "IMG", "-C", &source, "dot."],
            "dot.: FAT cannot hold a name that ends with a dot",
        ),
        (
            &["add", "IMG", "-C", &source, "../x"],
            "../x: where would .. be in the image? See -C and --to",
        ),
        (
            &["add", "IMG", "-C", &source, "two"],
            "would have the same name, in which FAT ignores case",
        ),
        (
            &["add", "IMG", "-C", &source, "--to", "/a.txt", "large"],
            "/a.txt: a file, not a folder",
        ),
        (
            &["add", "IMG", "-C", &source, "--to", "/x:y", "a.txt"],
            "/x:y: FAT cannot hold a name with ':' in it",
        ),
        (&["cat", "IMG", "/sub"], "/sub: a folder"),
        (&["cat", "IMG", "/no/such"], "/no/such: not found"),
        (&["list", "IMG", "/no"], "/no: not found"),
        (&["rm", "IMG", "/no"], "/no: not found"),
        (&["rm", "IMG", "/sub"], "/sub: a folder that is not empty"),
        (&["rm", "IMG", "a.txt/b"], "/a.txt: a file, not a folder"),
        (&["rm", "IMG", "/"], "/: the root cannot be removed"),
        (&["mkdir", "IMG", "/sub"], "/sub: exists"),
        (&["mkdir", "IMG", "/x/y"], "/x: not found"),
        (
            &["mkdir", "-p", "IMG", "/a.txt/y"],
            "/a.txt: a file, not a folder",
        ),
        (
            &["mkdir", "IMG", "/sub/NUL\u{1}"],
            "FAT cannot hold a name with '\\u{1}' in it",
        ),
        (&["extract", "IMG", "/no", "-o", &none], "/no: not found"),
    ];
    for (words, why) in cases {
        let words: Vec<_> = words
            .iter()
            .map(|w| if *w == "IMG" { image.as_str() } else { w })
            .collect();
        let said = fat(&words);
        assert_eq!((said.status, said.text().as_str()), (1, ""), "{words:?}");
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
        assert!(
            said.err.starts_with(&format!("fat: {image}: ")),
            "{}",
            said.err
        );
        // What follows is exact but for the sizes and the name of the folder.
        let why = why
            .replace("DIR", &source)
            .replace("400000 bytes are", "401408 bytes (392 KiB) are");
        assert!(said.err.contains(&why), "{} is not {why}", said.err);
    }
    assert!(
        fs::read(&image).unwrap() == before,
        "an error has changed the image"
    );
    for command in [
        &["list", &none][..],
        &["check", &none],
        &["add", &none, "/etc/hostname"],
        &["info", &none],
    ] {
        let said = fat(command);
        let status = if command[0] == "check" { 2 } else { 1 };
        let why = format!("fat: {none}: No such file or directory (os error 2)\n");
        assert_eq!((said.status, said.err), (status, why), "{command:?}");
    }
    assert_eq!(
        fs::read_dir(place.path()).unwrap().count(),
        7,
        "nothing is left behind"
    );
}

#[test]
fn devices_are_not_written() {
    for words in [
        &["create", "/dev/null", "--force"][..],
        &["create", "/dev/null"],
    ] {
        let said = fat(words);
        assert_eq!(said.status, 1);
        assert!(
            said.err.starts_with("fat: /dev/null: not a file: "),
            "{}",
            said.err
        );
    }
}

#[test]
fn the_mode_of_an_image_and_a_link_to_it_stay() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (image, link) = (place.at("x.img"), place.at("link"));
    ok(&["create", &image, "1M"]);
    assert_eq!(
        fs::metadata(&image).unwrap().permissions().mode() & 0o777,
        0o644
    );
    fs::set_permissions(&image, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("x.img", &link).unwrap();
    ok(&["mkdir", &link, "sub"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::metadata(&image).unwrap().permissions().mode() & 0o777,
        0o640
    );
    assert_eq!(ok(&["list", &image]), "/sub (DIR)(64 bytes)\n");
}

#[test]
fn arguments_that_make_no_sense_end_with_status_2() {
    for words in [
        &["create"][..],
        &["create", "x", "16Q"],
        &["create", "x", "--type", "fat64"],
        &["create", "x", "--label", "twelve chars"],
        &["add", "x"],
        &["extract", "x"],
        &["nothing"],
    ] {
        let mut mir = Command::new(env!("CARGO_BIN_EXE_mir"));
        let output = mir.arg("fat").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(
            !output.stderr.is_empty() && output.stdout.is_empty(),
            "{words:?}"
        );
    }
}

#[test]
fn an_output_that_is_full_or_closed() {
    let place = Place::new();
    let (image, out) = (place.at("x.img"), place.at("out"));
    place.put("site/index.md", b"# A site");
    let site = place.at("site");
    ok(&["create", &image, "200K"]);
    ok(&["add", &image, "-C", &site, "index.md"]);
    let full = || fs::File::create("/dev/full").unwrap();
    let closed = || std::io::pipe().unwrap().1;
    for (words, failed) in [
        (&["list", &image][..], 1),
        (&["cat", &image, "index.md"], 1),
        (&["info", &image], 1),
        (&["check", &image], 2),
        (&["site", "--no-cache", "--site", &site, "-o", &out], 1),
    ] {
        let run = |stdout: Stdio| {
            let mut mir = Command::new(env!("CARGO_BIN_EXE_mir"));
            let output = mir.arg("fat").args(words).stdout(stdout).output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), err)
        };
        let (status, err) = run(full().into());
        assert_eq!(status, Some(failed), "{words:?}: {err}");
        assert!(err.contains(": standard output: "), "{words:?}: {err}");
        // Whoever has seen enough of it does not want to be told so.
        let (status, err) = run(closed().into());
        assert_eq!((status, err.as_str()), (Some(0), ""), "{words:?}");
    }
}
