//! The command in this process, the tools of others, and folders to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output};

use clap::Parser;
use mir::fat::command::{Command, Terminal, run};

#[derive(Parser)]
#[command(name = "fat")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// What a command has said: exit status, standard output, standard error.
pub(crate) struct Said {
    pub(crate) status: u8,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }
}

/// Runs `fat` in this process.
pub(crate) fn fat(words: &[&str]) -> Said {
    let line = Line::try_parse_from(std::iter::once(&"fat").chain(words));
    let line = line.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        name: "fat",
        out: &mut out,
        err: &mut err,
    };
    let status = run(&line.command, &mut terminal);
    let err = String::from_utf8(err).unwrap();
    Said { status, out, err }
}

/// Runs `fat`, which must work and say nothing on the standard error.
pub(crate) fn ok(words: &[&str]) -> String {
    let said = fat(words);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{words:?}");
    said.text()
}

/// Runs another's tool. `scripts/need` installs those that are missing.
pub(crate) fn tool(name: &str, words: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut process = Process::new(name);
    let process = process
        .args(words)
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    process.output().unwrap_or_else(|error| {
        panic!("{name}: {error}; `scripts/need fat-tools` installs what these tests need")
    })
}

/// Runs another's tool, which must end with status 0; what it prints.
pub(crate) fn tool_ok(name: &str, words: &[&str]) -> String {
    let output = tool(name, words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {words:?}: {out}{said}");
    out
}

/// That `fsck.fat -n` and `fat check` find nothing.
pub(crate) fn clean(image: &str) {
    tool_ok("fsck.fat", &["-n", image]);
    let said = ok(&["check", image]);
    assert!(said.ends_with(": clean\n"), "{said}");
}

/// An image of about 2 MiB with 4,000 to 5,000 clusters of 512 bytes. FAT32 should have 65,525 at
/// least, and takes a long time for each step then; mkfs.fat makes smaller ones.
pub(crate) fn small(kind: &str, image: &str) {
    let _ = fs::remove_file(image);
    match kind {
        "fat32" => drop(tool_ok(
            "mkfs.fat",
            &["-C", "-F", "32", "-s", "1", image, "2500"],
        )),
        "fat16" => drop(ok(&[
            "create",
            image,
            "2500K",
            "--type",
            kind,
            "--cluster-size",
            "512",
        ])),
        _ => drop(ok(&[
            "create",
            image,
            "1M",
            "--type",
            kind,
            "--cluster-size",
            "512",
        ])),
    }
}

/// A folder for a test, and paths in it as text.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The files of a folder with their bytes, and the folders in it with none.
pub(crate) fn tree(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut out = BTreeMap::new();
    let mut stack = vec![PathBuf::new()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(folder.join(&at)).unwrap() {
            let name = at.join(entry.unwrap().file_name());
            let path = folder.join(&name);
            let bytes = path.is_file().then(|| fs::read(&path).unwrap());
            if bytes.is_none() {
                stack.push(name.clone());
            }
            out.insert(name.to_str().unwrap().to_owned(), bytes);
        }
    }
    out
}

/// That two folders hold the same; says only which names differ.
pub(crate) fn same(one: &Path, two: &Path) {
    let (one, two) = (tree(one), tree(two));
    let names = one.keys().chain(two.keys());
    let differ: Vec<_> = names
        .filter(|name| one.get(*name) != two.get(*name))
        .collect();
    assert!(differ.is_empty(), "{differ:?}");
}

/// Bytes that no two files have alike.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
