//! Where the program without a site comes from.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Failed, note};
use crate::config::Target;

/// A program that sites are put into.
pub(super) fn find(target: Target, base: Option<&Path>, root: &Path) -> Result<PathBuf, Failed> {
    if let Some(base) = base {
        return Ok(base.to_owned());
    }
    if let Some(checkout) = checkout(root) {
        return match target {
            Target::Unix => cargo(&checkout),
            Target::Xen => build_xen(&checkout),
        };
    }
    let name = name(target);
    let beside = std::env::current_exe().ok();
    let beside = beside
        .as_deref()
        .and_then(Path::parent)
        .map(|folder| folder.join(name));
    beside.filter(|file| file.is_file()).ok_or_else(|| {
        let why = format!("there is no {name}, the program that the site is put into");
        Failed::say(why).help("--base FILE names it; otherwise it is looked for beside this program, or built in the project's checkout")
    })
}

/// What the program is called, before there is a site in it.
fn name(target: Target) -> &'static str {
    match target {
        Target::Unix => "mir-www",
        Target::Xen => "mir-www-xen",
    }
}

/// The project's sources, if we are in them or this program is.
pub(super) fn checkout(root: &Path) -> Option<PathBuf> {
    let ours = |folder: &Path| {
        let files = ["scripts/build-xen", "unikernel/Cargo.toml"];
        files.iter().all(|file| folder.join(file).is_file())
    };
    let root = std::path::absolute(root.join(".")).ok();
    let exe = std::env::current_exe().ok();
    let mut places = [root, exe].into_iter().flatten();
    places.find_map(|place| {
        let mut above = place.ancestors();
        above.find(|folder| ours(folder)).map(Path::to_owned)
    })
}

fn cargo(checkout: &Path) -> Result<PathBuf, Failed> {
    let words = ["build", "--release", "--bin", "mir-www"];
    note(format_args!(
        "in {}: cargo {}",
        checkout.display(),
        words.join(" ")
    ));
    let mut cargo = Command::new("cargo");
    cargo
        .args(words)
        .arg("--message-format=json-render-diagnostics");
    let mut program = None;
    run(cargo, checkout, |line| {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            return;
        };
        if message["target"]["name"] == "mir-www"
            && let Some(file) = message["executable"].as_str()
        {
            program = Some(PathBuf::from(file));
        }
    })?;
    program.ok_or_else(|| Failed::say("cargo build: it did not say where mir-www is"))
}

fn build_xen(checkout: &Path) -> Result<PathBuf, Failed> {
    note(format_args!("in {}: scripts/build-xen", checkout.display()));
    let mut last = String::new();
    run(Command::new("scripts/build-xen"), checkout, |line| {
        line.clone_into(&mut last);
    })?;
    Ok(checkout.join(last))
}

/// Runs a command of the build, and reads the lines that it prints.
fn run(mut command: Command, folder: &Path, mut line: impl FnMut(&str)) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let refused = |error| {
        Failed::say(format!("{name}: {error}")).help("mir depend says what the build needs")
    };
    let command = command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(refused)?;
    let mut read = Ok(());
    if let Some(out) = child.stdout.take() {
        for text in BufReader::new(out).lines() {
            match text {
                Ok(text) => line(&text),
                Err(error) => read = Err(error),
            }
        }
    }
    let status = child
        .wait()
        .and_then(|status| read.map(|()| status))
        .map_err(refused)?;
    if !status.success() {
        return Err(Failed::say(format!("{name}: {status}")));
    }
    Ok(())
}
