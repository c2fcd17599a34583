//! The `fat` command in this process, the tools of others, and folders to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::Parser;
use mir::fat::command::{Command, Terminal, run};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// What a command has said.
pub struct Said {
    /// Its exit status.
    pub status: u8,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: String,
}

/// Runs `fat` in this process.
pub fn fat(words: &[&str]) -> Said {
    let line = Line::try_parse_from(std::iter::once(&"fat").chain(words));
    let line = line.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        name: "fat",
        out: &mut out,
        err: &mut err,
    };
    let status = run(&line.command, &mut terminal);
    let err = String::from_utf8(err).expect("text");
    Said { status, out, err }
}

/// Runs `fat`, which must work and say nothing on the standard error; what it prints.
pub fn fat_ok(words: &[&str]) -> String {
    let said = fat(words);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{words:?}");
    String::from_utf8(said.out).expect("text")
}

/// Runs another's tool, which must end with status 0; what it prints.
pub fn tool(name: &str, words: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut process = Process::new(name);
    let process = process.args(words).env("PATH", path);
    let process = process.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    let output = process.output().unwrap_or_else(|error| {
        panic!("{name}: {error}; `scripts/need fat-tools` installs what these tests need")
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {words:?}: {out}{said}");
    out
}

/// Files with their bytes, folders with none, by their paths without a slash in front.
pub type Tree = BTreeMap<String, Option<Vec<u8>>>;

/// What is in a folder.
pub fn tree(folder: &Path) -> Tree {
    let mut out = Tree::new();
    let mut stack = vec![PathBuf::new()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(folder.join(&at)).expect("a folder") {
            let name = at.join(entry.expect("an entry").file_name());
            let path = folder.join(&name);
            let bytes = path.is_file().then(|| fs::read(&path).expect("a file"));
            if bytes.is_none() {
                stack.push(name.clone());
            }
            out.insert(name.to_str().expect("UTF-8").to_owned(), bytes);
        }
    }
    out
}

/// That two trees are the same; says only which names differ, and how long
/// what they stand for is in each.
pub fn same(one: &Tree, two: &Tree, what: &str) {
    let names = one.keys().chain(two.keys());
    let len = |tree: &Tree, name| tree.get(name).map(|b| b.as_ref().map(Vec::len));
    let differ: Vec<_> = names
        .filter(|name| one.get(*name) != two.get(*name))
        .map(|name| (name, len(one, name), len(two, name)))
        .collect();
    assert!(differ.is_empty(), "{what}: {differ:?}");
}

/// Writes a file of a folder, and the folders above it.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}
