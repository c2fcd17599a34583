//! Commands in the rig's dom0: all sections in one boot of it, each with the images that it had made by then.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Errors, Processes};
use super::text::{self, Block, Section, Where};

/// Seconds for all of it, on a busy machine.
const TIMEOUT: u16 = 1500;

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
    processes: &Processes,
) -> io::Result<Vec<Result<usize, String>>> {
    let work = tempfile::tempdir()?;
    let mut script = String::from(PRELUDE);
    for (i, (section, images)) in sections.iter().enumerate() {
        let folder = work.path().join(i.to_string());
        fs::create_dir(&folder)?;
        for entry in fs::read_dir(images.path())? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
        // Writing to a string does not fail.
        let _ = writeln!(script, "section {} {i}", quoted(&root.to_string_lossy()));
        for (id, block, command) in commands(i, section) {
            let what = if block.serves { "serves" } else { "runs" };
            let _ = writeln!(script, "{what} {id} {}", quoted(&command.script));
        }
        script.push_str("stop\n");
    }
    let file = work.path().join("script");
    fs::write(&file, script)?;
    let mut rig = Command::new("scripts/xen-rig");
    rig.args(["run", "--timeout", &TIMEOUT.to_string(), "--put"])
        .arg(format!("{}:/root/tutorial", work.path().display()))
        .arg(file)
        .current_dir(root);
    let mut rig = processes.start(&mut rig, Errors::Shown)?;
    // The rig's own limit begins when its packages are there.
    let ended = rig.finish(Duration::from_secs(u64::from(TIMEOUT) * 2));
    let printed = rig.printed().replace('\r', "");
    let results = sections.iter().enumerate();
    Ok(results
        .map(
            |(i, (section, _))| match (of_section(i, section, &printed), &ended) {
                (Ok(_), Err(why)) => Err(format!("the rig {why}; it printed\n{printed}")),
                (result, _) => result,
            },
        )
        .collect())
}

/// What came of a section: how many commands there were, or the first that failed.
fn of_section(at: usize, section: &Section, printed: &str) -> Result<usize, String> {
    let mut count = 0;
    let mut server = None;
    for (id, block, command) in commands(at, section) {
        count += 1;
        let Some((status, text)) = result(printed, &id) else {
            let why = "was not reached; all that the rig printed:";
            return Err(command.failed(why, printed));
        };
        let right = match status {
            0 => command.compare(text),
            _ if block.serves => Err(format!("is not ready (status {status})")),
            124 => Err(format!("takes more than {TO_ANSWER} seconds")),
            _ => Err(format!("fails: status {status}")),
        };
        if let Err(why) = right {
            let mut told = command.failed(&why, text);
            if let Some(server) = server {
                let _ = write!(told, "\n--- meanwhile the server\n{server}---");
            }
            return Err(told);
        }
        if block.serves {
            server = Some(text);
        }
    }
    Ok(count)
}

fn commands(
    section: usize,
    of: &Section,
) -> impl Iterator<Item = (String, &Block, &text::Command)> {
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

/// Seconds for a command, and for a guest to be ready.
const TO_ANSWER: u16 = 120;

/// Functions of the script. A guest's console is read from a pipe that says nothing, for xl would end with it.
/// What a command writes to `$BASH_ENV` is there for the next ones of its section. It has `TO_ANSWER` in it.
const PRELUDE: &str = r#"
cat >/usr/local/bin/sudo <<'END'
#!/bin/sh
exec "$@"
END
chmod +x /usr/local/bin/sudo
export BASH_ENV=/root/section

section() { # ROOT NUMBER
    root=$1
    mkdir -p "$root/dist"
    rm -f "$root"/dist/*
    cp "/root/tutorial/$2"/* "$root/dist"
    cd "$root"
    : >"$BASH_ENV"
    server= ready=0
}

runs() { # ID SCRIPT
    [ "$ready" = 0 ] || return 0
    echo "@@ begin $1"
    timeout 120 bash -euo pipefail -c "$2" </dev/null 2>&1
    echo "@@ end $1 $?"
}

serves() { # ID SCRIPT
    stop
    [ "$ready" = 0 ] || return 0
    server=$1
    rm -f /root/says
    (sleep 100000 | bash -euo pipefail -c "$2" >/root/says 2>&1) &
    wait-for 120 grep -q 'ready .* after entry' /root/says
    ready=$?
}

stop() {
    for id in $(xl list | awk 'NR > 1 && $2 != 0 { print $2 }'); do xl destroy "$id"; done
    [ -n "$server" ] || return 0
    echo "@@ begin $server"
    cat /root/says
    echo "@@ end $server $ready"
    server=
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
    fn sections_fail_by_their_first() {
        let text = "## A\n```sh dom0 serves\na\n```\n```console dom0\n$ b\nsays 1\n$ c\n```\n";
        let section = text::sections(text).unwrap().remove(0);
        let told = |printed: &str| of_section(7, &section, printed);
        let begin = "@@ begin 7.0\nserver\n@@ end 7.0 0\n@@ begin 7.1\nsays 2\n@@ end 7.1 0\n@@ begin 7.2\n";
        assert_eq!(told(&format!("{begin}@@ end 7.2 0\n")), Ok(3));
        let why = told(&format!("{begin}it\n@@ end 7.2 9\n")).unwrap_err();
        assert!(why.contains(":8: fails: status 9") && why.contains("it\n---"));
        assert!(why.contains("meanwhile the server\nserver\n"));
        let why = told(&begin.replace("says 2", "says no")).unwrap_err();
        assert!(why.contains(":6: prints something else"));
        assert!(told(begin).unwrap_err().contains(":8: was not reached"));
        let why = told("@@ begin 7.0\nserver\n@@ end 7.0 1\n").unwrap_err();
        assert!(why.contains(":3: is not ready") && why.contains("server"));
    }

    #[test]
    fn the_limit_is_the_scripts() {
        let limit = TO_ANSWER.to_string();
        assert_eq!(PRELUDE.matches(&limit).count(), 2);
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted("a 'b'"), r"'a '\''b'\'''");
    }
}
