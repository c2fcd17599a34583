//! The tool's standard output and error: whatever becomes of them, and whatever names say.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::folder;

const BROKEN: &[(&str, &[u8])] = &[("content/a.md", b"---\ntitle: [\n---\n")];

fn mir(place: &Path, words: &[&str]) -> Command {
    let mut mir = Command::new(env!("CARGO_BIN_EXE_mir"));
    mir.args(words).current_dir(place).stdin(Stdio::null());
    mir
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said_and_does_not_end_in_a_panic() {
    let site = folder(BROKEN);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for words in [
        &["--help"][..],
        &["--version"],
        &["help", "build"],
        &["describe", "--no-file"],
        &["man"],
        &["fat", "--help"],
    ] {
        let output = mir(site.path(), words).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(said(&output).starts_with("error: standard output: "));
    }
    let status = mir(site.path(), &["check", "--site", "."])
        .stderr(full())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
    let status = mir(site.path(), &["bogus"]).stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(64));
}

#[test]
#[cfg(unix)]
fn who_has_seen_enough_is_no_mistake() {
    let site = folder(BROKEN);
    for words in [&["--help"][..], &["describe", "--no-file"], &["man"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = mir(site.path(), words).stdout(writer).status().unwrap();
        assert!(status.success(), "{words:?}: {status}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut check = mir(site.path(), &["check", "--site", "."]);
    assert_eq!(check.stderr(writer).status().unwrap().code(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn names_are_shown_and_not_obeyed() {
    let name = "red\x1b[31m\nerror: not ours";
    let place = folder(&[(&format!("{name}/site/index.md"), b"# Home\n")]);
    let below = place.path().join(name);
    fs::write(below.join("mir.toml"), "target = 1\n").unwrap();
    let here = place.path();
    for (words, status) in [
        (&["describe", name][..], 1),
        (&["-C", "red\x1b]0;x", "describe"], 1),
        (&["check", "--site", &format!("{name}/none")], 1),
        (&["describe", "-f", &format!("{name}/mir.toml")], 1),
    ] {
        let output = mir(here, words).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        let said = said(&output);
        let lines: Vec<_> = said.lines().collect();
        assert!(
            lines[0].starts_with("error: ") && lines[0].contains(r"red\u{1b}"),
            "{said}"
        );
        assert!(!lines.iter().any(|line| line.contains("\x1b")), "{said}");
        assert!(
            !lines.iter().any(|line| line.starts_with("error: not ours")),
            "{said}"
        );
    }
    let output = mir(&below, &["describe", "--no-file", "--site", "x"]).output();
    assert!(output.unwrap().status.success());
    let output = mir(here, &["describe", "--no-file", "--kv_ro", "direct"])
        .current_dir(&below)
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        !out.contains("\x1b") && out.contains(r"red\u{1b}[31m\nerror"),
        "{out}"
    );
}

#[test]
#[cfg(unix)]
fn a_pipe_called_mir_toml_is_said() {
    let place = folder(&[]);
    let made = Command::new("mkfifo")
        .arg("mir.toml")
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
    for words in [
        &["describe"][..],
        &["configure", "-t", "xen"],
        &["describe", "mir.toml"],
    ] {
        let output = mir(place.path(), words).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            said(&output),
            "error: mir.toml: this is no file, but a device or a pipe\n"
        );
    }
}
