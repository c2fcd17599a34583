//! What shells and `man` read is made from the same definitions as the help.

use std::io::Write;
use std::process::{Command, Stdio};

fn mir(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mir"))
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers behind these words.
fn completed(words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let script = format!(
        "source <(\"$0\" completions bash)
         COMP_WORDS=(\"$@\") COMP_CWORD={last}
         _mir mir \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        last - 1
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, env!("CARGO_BIN_EXE_mir")])
        .args(words);
    let output = bash.output().expect("bash");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    assert_eq!(completed(&["mir", "conf"]), ["configure"]);
    assert_eq!(completed(&["mir", "build", "--ipv4-g"]), ["--ipv4-gateway"]);
    assert_eq!(completed(&["mir", "run", "--kv_ro", "f"]), ["fat"]);
    assert_eq!(completed(&["mir", "configure", "-t", ""]), ["unix", "xen"]);
}

/// What a program prints that is started with these words and reads this; it must find nothing wrong.
fn read_by(program: &str, words: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: scripts/need shells"));
    // What it prints has room in a pipe.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && wrong.is_empty(),
        "{program}: {wrong}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fish_completes() {
    let words = ["conf", "build --ipv4-g", "run --kv_ro "];
    let asked = words.map(|words| format!("complete -C 'mir {words}'\n"));
    let script = mir(&["completions", "fish"]) + &asked.concat();
    let offered = read_by("fish", &["--no-config"], &script);
    let first = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    let offered: Vec<_> = offered.lines().map(first).collect();
    let wanted = ["configure", "--ipv4-gateway", "crunch", "direct", "fat"];
    assert_eq!(offered, wanted);
}

#[test]
fn zsh_takes_its_completions() {
    let script = "autoload -U compinit; compinit -D -u\n".to_owned()
        + &mir(&["completions", "zsh"])
        + "\nprint -r -- $_comps[mir]; whence -w _mir _mir__subcmd__configure_commands\n";
    let said = read_by("zsh", &["-f"], &script);
    for line in ["_mir", "_mir: function"] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
}

#[test]
fn graphviz_draws_the_parts() {
    for words in [
        "-t unix",
        "-t unix --kv_ro direct",
        "-t xen --kv_ro fat --dhcp",
    ] {
        let words = [
            "describe",
            "--no-file",
            "--dot",
            "--site",
            "a \"quoted\" \\ name",
        ]
        .into_iter()
        .chain(words.split(' '));
        let drawn = read_by("dot", &["-Tsvg"], &mir(&words.collect::<Vec<_>>()));
        assert!(
            drawn.contains("</svg>") && drawn.contains("quoted&quot; \\ name"),
            "{drawn}"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    mir(&["man", folder.path().to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("mir.1").contains(".TH mir 1"));
    assert!(read("mir-fat-create.1").contains("mir\\-fat\\-create"));
    let build = read("mir-build.1");
    for word in ["ipv4\\-gateway", "mir\\-build", "XEN DOMAIN"] {
        assert!(build.contains(word), "{word}");
    }
    assert_eq!(mir(&["man"]), read("mir.1"));
}
