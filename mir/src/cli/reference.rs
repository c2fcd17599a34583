//! docs/mir.md has the definitions of the command line, held to them by this.

use clap::Arg;

use super::definitions;
use crate::config::{Key, OPTIONS};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mir.md");

/// The comment that what is made begins behind.
const MARK: &str = "cargo test -p mir --lib reference -->\n";

fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|")
}

/// `-t, --target unix|xen`, or `FILE`.
fn written(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let known = OPTIONS.iter().any(|known| arg.get_id() == known.name);
    let flag = arg
        .get_num_args()
        .is_some_and(|most| most.max_values() == 0);
    let values = match arg.get_possible_values().as_slice() {
        _ if flag => String::new(),
        [] => names.join(" "),
        // A flag with a value that may be left away.
        words if !known || arg.get_num_args().is_none_or(|n| n.min_values() > 0) => {
            let words: Vec<_> = words.iter().map(|word| word.get_name()).collect();
            words.join("|")
        }
        _ => "[=yes|no]".into(),
    };
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let shown = [short, long].into_iter().flatten();
    let shown: Vec<_> = shown.collect();
    let gap = if shown.is_empty() || values.is_empty() || values.starts_with('[') {
        ""
    } else {
        " "
    };
    format!("`{}{gap}{values}`", shown.join(", "))
}

fn row(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    format!(
        "| {} | {} |\n",
        written(arg).replace('|', "\\|"),
        cell(&help)
    )
}

fn reference() -> String {
    let mut out = String::from(
        "\n## Options\n\nOf `configure`, `describe`, `build`, `run`, `clean`, `depend` and `xl --write`, and the keys of `mir.toml`.\n",
    );
    let mut command = definitions();
    command.build();
    let configure = command.find_subcommand("configure").expect("there");
    let mut heading = "";
    for known in &OPTIONS {
        if known.heading != heading {
            heading = known.heading;
            out.push_str(&format!("\n| {heading} | |\n|---|---|\n"));
        }
        let arg = configure
            .get_arguments()
            .find(|arg| arg.get_id() == known.name);
        out.push_str(&row(arg.expect("an argument of each option")));
    }
    out.push_str("\n## Commands\n");
    for command in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        out.push_str(&format!(
            "\n### mir {}\n\n{}.\n",
            command.get_name(),
            cell(&about)
        ));
        let own = command.get_arguments().filter(|arg| {
            let shared = OPTIONS.iter().any(|known| arg.get_id() == known.name);
            let everywhere = ["help", "version"].iter().any(|name| arg.get_id() == *name);
            // `--site` is also an argument of commands that take no other option.
            let options = command
                .get_arguments()
                .any(|arg| arg.get_id() == Key::Target.name());
            !(everywhere || shared && options)
        });
        let rows: String = own.map(row).collect();
        match command.get_name() {
            "fat" => out.push_str("\n[fat-tool.md](fat-tool.md) has its commands.\n"),
            _ if rows.is_empty() => {}
            _ => out.push_str(&format!("\n| argument | |\n|---|---|\n{rows}")),
        }
    }
    out
}

#[test]
fn the_reference_is_what_is_defined() {
    let document = std::fs::read_to_string(DOCUMENT).expect("docs/mir.md");
    let (text, made) = document.split_once(MARK).expect("a mark");
    let wanted = reference();
    if std::env::var_os("MIR_DOCS").is_some_and(|how| how == "write") {
        std::fs::write(DOCUMENT, format!("{text}{MARK}{wanted}")).expect("docs/mir.md");
        return;
    }
    assert!(
        made == wanted,
        "docs/mir.md is not what is defined: MIR_DOCS=write cargo test -p mir --lib reference"
    );
}
