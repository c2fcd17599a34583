//! What shells and `man` read is made from the same definitions as the help.

use std::process::Command;

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

#[test]
fn other_shells_know_the_options() {
    for shell in ["zsh", "fish"] {
        let text = mir(&["completions", shell]);
        for word in ["configure", "max-connections", "crunch"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
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
