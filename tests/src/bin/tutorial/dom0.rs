//! Commands in the rig's dom0: all sections in one boot of it, each with the images that it had made by then.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::compare;
use super::text::{Block, Section, Where};

/// Seconds for all of it, on a busy machine.
const TIMEOUT: &str = "1500";

/// What is needed in dom0 of what is in `dist/`.
const NEEDED: [&str; 4] = ["xen", "xl", "img", "xml"];

/// Copies the images away before the next section makes others.
pub(crate) fn keep(dist: &Path) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(dist)? {
        let path = entry?.path();
        let needed = path
            .extension()
            .is_some_and(|e| NEEDED.iter().any(|needed| e == *needed));
        if let Some(name) = path.file_name().filter(|_| needed) {
            fs::copy(&path, folder.path().join(name))?;
        }
    }
    Ok(folder)
}

/// Boots the rig and runs the sections; for each, how many commands they were, or which one failed.
pub(crate) fn run(
    sections: &[(Section, TempDir)],
    root: &Path,
) -> io::Result<Vec<Result<usize, String>>> {
    let work = tempfile::tempdir()?;
    let mut script = String::from(PRELUDE);
    for (i, (section, images)) in sections.iter().enumerate() {
        let folder = work.path().join(i.to_string());
        fs::create_dir(&folder)?;
        for entry in fs::read_dir(images.path())? {
            let entry = entry?;
            fs::rename(entry.path(), folder.join(entry.file_name()))
                .or_else(|_| fs::copy(entry.path(), folder.join(entry.file_name())).map(drop))?;
        }
        // Writing to a string does not fail.
        let _ = writeln!(script, "section {} {i}", quoted(&root.to_string_lossy()));
        for (id, block, command) in commands(i, section) {
            let what = if block.serves { "serves" } else { "runs" };
            let _ = writeln!(script, "{what} {id} {}", quoted(&command.script));
        }
        script.push_str("ends\n");
    }
    fs::write(work.path().join("script"), script)?;
    let output = Command::new("scripts/xen-rig")
        .args(["run", "--timeout", TIMEOUT, "--put"])
        .arg(format!("{}:/root/tutorial", work.path().display()))
        .arg(work.path().join("script"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let results = sections.iter().enumerate().map(|(i, (section, _))| {
        let mut count = 0;
        for (id, block, command) in commands(i, section) {
            count += 1;
            let at = format!("{}:{}", super::TUTORIAL, block.line);
            let Some((status, text)) = result(&printed, &id) else {
                return Err(format!("{at}: was not reached; the rig printed\n{printed}"));
            };
            let told = format!("--- command\n{}\n--- printed\n{text}---", command.script);
            if status != 0 {
                return Err(format!("{at}: status {status}\n{told}"));
            }
            let mut prints = command.prints.clone();
            if block.serves {
                prints.push("...".to_owned());
            }
            if !command.prints.is_empty() && !compare::same(&prints, text) {
                return Err(format!(
                    "{at}: prints something else than\n{}\n{told}",
                    command.prints.join("\n")
                ));
            }
        }
        Ok(count)
    });
    Ok(results.collect())
}

fn commands(
    section: usize,
    of: &Section,
) -> impl Iterator<Item = (String, &Block, &super::text::Command)> {
    let blocks = of.blocks.iter().filter(|block| block.place == Where::Dom0);
    let all = blocks.flat_map(|block| block.commands.iter().map(move |command| (block, command)));
    all.enumerate()
        .map(move |(at, (block, command))| (format!("{section}.{at}"), block, command))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Status and output of a command.
fn result<'a>(printed: &'a str, id: &str) -> Option<(i32, &'a str)> {
    let (_, rest) = printed.split_once(&format!("@@ begin {id}\n"))?;
    let (text, rest) = rest.split_once(&format!("@@ end {id} "))?;
    Some((rest.lines().next()?.trim().parse().ok()?, text))
}

/// Functions of the script. A guest's console is read from a pipe that says nothing, for xl would end with it.
const PRELUDE: &str = r#"
cat >/usr/local/bin/sudo <<'END'
#!/bin/sh
exec "$@"
END
chmod +x /usr/local/bin/sudo

section() { # ROOT NUMBER
    root=$1
    mkdir -p "$root/dist"
    rm -f "$root"/dist/*
    cp "/root/tutorial/$2"/* "$root/dist"
    cd "$root"
    server=
}

runs() { # ID SCRIPT
    echo "@@ begin $1"
    bash -euo pipefail -c "$2" </dev/null 2>&1
    echo "@@ end $1 $?"
}

serves() { # ID SCRIPT
    stop
    server=$1
    rm -f /root/says
    (sleep 100000 | bash -euo pipefail -c "$2" >/root/says 2>&1) &
    wait-for 120 grep -q 'ready .* after entry' /root/says
    ready=$?
}

stop() {
    [ -n "$server" ] || return 0
    for id in $(xl list | awk 'NR > 1 && $2 != 0 { print $2 }'); do xl destroy "$id"; done
    echo "@@ begin $server"
    cat /root/says
    echo "@@ end $server $ready"
    server=
}

ends() {
    stop
    for id in $(xl list | awk 'NR > 1 && $2 != 0 { print $2 }'); do xl destroy "$id"; done
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_found() {
        let printed = "x\n@@ begin 0.1\na\nb\n@@ end 0.1 0\n@@ begin 0.10\n@@ end 0.10 3\n";
        assert_eq!(result(printed, "0.1"), Some((0, "a\nb\n")));
        assert_eq!(result(printed, "0.10"), Some((3, "")));
        assert_eq!(result(printed, "1.1"), None);
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted("a 'b'"), r"'a '\''b'\'''");
    }
}
