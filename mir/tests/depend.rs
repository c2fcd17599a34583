//! `mir depend` in a checkout whose scripts note what they are asked for: nothing is fetched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// What the scripts were asked for, what was said, and the exit status.
struct Seen {
    asked: String,
    said: String,
    status: Option<i32>,
}

/// A script cannot be started while a child of another test, just forked, has it open for writing.
static ALONE: Mutex<()> = Mutex::new(());

/// `mir depend` with these words, where a script fails if `fails` is what it is asked for.
fn depend(words: &[&str], fails: &str) -> Seen {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let checkout = tempfile::tempdir().unwrap();
    let at = |name: &str| checkout.path().join(name);
    for folder in ["scripts", "unikernel"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("unikernel/Cargo.toml"), "").unwrap();
    let script = format!(
        "#!/bin/sh\ncd \"$(dirname \"$0\")/..\" || exit\n\
         echo \"${{0##*/}} $*\" >>asked\n[ \"$*\" != '{fails}' ]\n"
    );
    for name in ["need", "xen-rig", "build-xen"] {
        executable(&at("scripts").join(name), &script);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_mir"))
        .arg("-C")
        .arg(checkout.path())
        .args(["depend", "--no-file"])
        .args(words)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    Seen {
        asked: fs::read_to_string(at("asked")).unwrap_or_default(),
        said: String::from_utf8(said).unwrap(),
        status: output.status.code(),
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether this machine is a dom0, which needs no Xen in QEMU.
fn runs_xen() -> bool {
    fs::read_to_string("/proc/xen/capabilities").is_ok_and(|text| text.contains("control_d"))
}

#[test]
fn a_program_for_unix_needs_a_compiler() {
    let seen = depend(&["-t", "unix"], "");
    assert_eq!(seen.asked, "need rust\n");
    assert!(seen.said.ends_with("all is there\n"), "{}", seen.said);
    assert_eq!(seen.status, Some(0));
}

#[test]
fn a_guest_needs_what_runs_it_too() {
    let seen = depend(&["-t", "xen"], "");
    let rig = if runs_xen() { "" } else { "xen-rig fetch\n" };
    assert_eq!(seen.asked, format!("need rust\nneed curl\n{rig}"));
    assert!(seen.said.ends_with("all is there\n"), "{}", seen.said);
    assert_eq!(seen.status, Some(0));
}

#[test]
fn what_is_not_there_is_said() {
    let seen = depend(&["-t", "xen"], "rust");
    assert_eq!(seen.asked, "need rust\n");
    let said = "rust: cargo and a linker, to build the program\nerror: rust: not there\n";
    assert_eq!((seen.said.as_str(), seen.status), (said, Some(1)));
    if runs_xen() {
        return;
    }
    let seen = depend(&["-t", "xen"], "fetch");
    let said = "error: scripts/xen-rig fetch: it failed\n\
                help: only mir run -t xen needs it; mir build -t xen does not\n";
    assert!(seen.said.ends_with(said), "{}", seen.said);
    assert_eq!(seen.status, Some(1));
}
