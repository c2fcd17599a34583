//! docs/ARCHITECTURE.md, section 1, held: who imports whom, who may use std and unsafe code, and
//! under which licences the crates of others are.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Which of our crates each may import, in tests of its own as well: what needs more is tested in
/// `tests`.
const TABLE: [(&str, &[&str]); 8] = [
    ("minios", &[]),
    ("netfront", &["minios"]),
    ("blkfront", &["minios"]),
    ("www", &[]),
    // `mir` on Unix only: see NOT_IN_THE_GUEST.
    (
        "unikernel",
        &["minios", "netfront", "blkfront", "www", "mir"],
    ),
    ("mir", &["www"]),
    ("tests", &OURS),
    ("fuzz", &OURS),
];

const OURS: [&str; 8] = [
    "minios",
    "netfront",
    "blkfront",
    "www",
    "unikernel",
    "mir",
    "tests",
    "fuzz",
];

/// The crates that are linked into the guest.
const GUEST: [&str; 4] = ["minios", "netfront", "blkfront", "www"];

/// The licences of what the guest is made of. Where a crate offers several, one is enough.
const GUEST_LICENCES: [&str; 7] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "0BSD",
    "Zlib",
];

/// More of them on the host: tables made from Unicode's data.
const HOST_LICENCES: [&str; 1] = ["Unicode-3.0"];

/// What a kernel without an operating system below it must not contain.
const NOT_IN_THE_GUEST: [&str; 11] = [
    "mir",
    "libc",
    "std",
    "getrandom",
    "rustix",
    "linux-raw-sys",
    "mio",
    "signal-hook",
    "tempfile",
    "memmap2",
    "nix",
];

/// How the guest is built.
const KERNEL: [&str; 9] = [
    "-p",
    "unikernel",
    "--no-default-features",
    "--features",
    "xen",
    "--edges",
    "normal",
    "--target",
    "x86_64-unknown-linux-gnu",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A package in a tree of dependencies.
struct Package {
    name: String,
    licence: String,
    features: Vec<String>,
}

/// What `cargo tree` lists.
fn tree(arguments: &[&str]) -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--prefix", "none", "--format", "{p}|{l}|{f}|"])
        .args(arguments)
        .output()
        .expect("cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree {arguments:?}: {said}");
    let list = String::from_utf8(output.stdout).expect("text");
    let packages = list.lines().filter(|line| line.contains('|')).map(|line| {
        let mut fields = line.split('|');
        let mut field = || fields.next().expect("four fields");
        let name = field().split(' ').next().expect("a name").to_owned();
        let licence = field().to_owned();
        let features = field().split(',').map(str::to_owned).collect();
        Package {
            name,
            licence,
            features,
        }
    });
    let packages: Vec<_> = packages.collect();
    assert!(!packages.is_empty(), "cargo tree {arguments:?}");
    packages
}

/// Those of our crates that are in a tree, but for `but`.
fn ours(packages: &[Package], but: &str) -> BTreeSet<String> {
    let names = packages.iter().map(|package| package.name.as_str());
    let ours = names.filter(|name| OURS.contains(name) && *name != but);
    ours.map(str::to_owned).collect()
}

fn manifest(path: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(path)).expect(path);
    text.parse().expect(path)
}

#[test]
fn the_table_names_every_crate() {
    let workspace = manifest("Cargo.toml");
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("a list");
    let members: BTreeSet<_> = members.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(members, OURS.into_iter().collect());
    assert_eq!(members, TABLE.into_iter().map(|(name, _)| name).collect());
}

#[test]
fn each_imports_what_the_table_allows() {
    for (name, allowed) in TABLE {
        let packages = tree(&[
            "-p",
            name,
            "--all-features",
            "--edges",
            "all",
            "--depth",
            "1",
        ]);
        let allowed = allowed.iter().map(|&name| name.to_owned()).collect();
        let imported = ours(&packages, name);
        let beyond: Vec<_> = imported.difference(&allowed).collect();
        assert!(beyond.is_empty(), "{name} imports {beyond:?}");
    }
}

#[test]
fn the_two_roots_never_meet() {
    for name in ["minios", "www"] {
        let packages = tree(&["-p", name, "--all-features", "--edges", "all"]);
        assert_eq!(ours(&packages, name), BTreeSet::new(), "{name}");
    }
}

#[test]
fn unsafe_code_is_in_minios_alone() {
    let workspace = manifest("Cargo.toml");
    let lints = workspace["workspace"]["lints"].as_table().expect("lints");
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for name in OURS {
        let manifest = manifest(&format!("{name}/Cargo.toml"));
        let own = manifest["lints"].as_table().expect("lints");
        if name != "minios" {
            assert_eq!(own.get("workspace"), Some(&true.into()), "{name}");
            continue;
        }
        // Its own table is the workspace's and stricter, but for this one lint.
        for (tool, table) in lints {
            for (lint, level) in table.as_table().expect("a table") {
                let expected = (lint != "unsafe_code").then_some(level);
                assert_eq!(own[tool].get(lint), expected, "{lint} in {name}");
            }
        }
        assert_eq!(
            own["rust"]["unsafe_op_in_unsafe_fn"].as_str(),
            Some("forbid")
        );
        let argued = own["clippy"]["undocumented_unsafe_blocks"].as_str();
        assert_eq!(argued, Some("deny"));
    }
}

#[test]
fn what_is_linked_into_the_guest_is_without_std() {
    let roots = GUEST.map(|name| format!("{name}/src/lib.rs"));
    for path in roots
        .iter()
        .map(String::as_str)
        .chain(["unikernel/src/xen.rs"])
    {
        let text = fs::read_to_string(root().join(path)).expect(path);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&"#![no_std]"), "{path}");
        for (before, line) in lines.iter().zip(&lines[1..]) {
            let only_off_xen = before.starts_with("#[cfg(");
            assert!(*line != "extern crate std;" || only_off_xen, "{path}");
        }
    }
}

#[test]
fn the_guest_contains_nothing_that_needs_an_operating_system() {
    let packages = tree(&KERNEL);
    assert!(packages.len() > 20);
    for package in &packages {
        let Package { name, features, .. } = package;
        assert!(!NOT_IN_THE_GUEST.contains(&name.as_str()), "{name}");
        for feature in ["std", "use_std", "use-std", "os_rng", "getrandom"] {
            let on = features.iter().any(|f| f == feature);
            assert!(!on, "{name} has its feature {feature}");
        }
    }
    // The list is about something: on Unix, some of these are there.
    let unix = tree(&["-p", "unikernel", "--edges", "normal"]);
    assert!(unix.iter().any(|package| package.name == "rustix"));
}

#[test]
fn licences() {
    for package in tree(&KERNEL) {
        let Package { name, licence, .. } = &package;
        assert!(permits(licence, &GUEST_LICENCES), "{name}: {licence}");
    }
    let host = [&GUEST_LICENCES[..], &HOST_LICENCES[..]].concat();
    for package in tree(&["--workspace", "--edges", "all"]) {
        let Package { name, licence, .. } = &package;
        assert!(permits(licence, &host), "{name}: {licence}");
    }
}

/// Whether an SPDX expression can be met with licences of this list.
fn permits(expression: &str, list: &[&str]) -> bool {
    // Old manifests have a slash for `OR`.
    let spaced = expression.replace('/', " OR ");
    let spaced = spaced.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = any(&mut words, list);
    permitted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, list: &[&str]) -> bool {
    let mut permitted = all(words, list);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= all(words, list);
    }
    permitted
}

fn all(words: &mut Words<'_>, list: &[&str]) -> bool {
    let mut permitted = one(words, list);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, list);
    }
    permitted
}

fn one(words: &mut Words<'_>, list: &[&str]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let permitted = any(words, list);
        return words.next() == Some(")") && permitted;
    }
    let permitted = words.next().is_some_and(|word| list.contains(&word));
    // An exception only permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    permitted
}

#[test]
fn what_licence_expressions_mean() {
    let list = ["MIT", "Apache-2.0"];
    for well in [
        "MIT",
        "Unlicense OR MIT",
        "MIT/GPL-3.0",
        "(MIT OR X) AND Apache-2.0",
        "X AND Y OR MIT",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(permits(well, &list), "{well}");
    }
    for not in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT",
        "MIT)",
        "MIT MIT",
        "OR",
    ] {
        assert!(!permits(not, &list), "{not}");
    }
}
