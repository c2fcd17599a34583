//! The tutorial's text: sections, and in them blocks of commands.

use std::fmt;

use super::compare;

/// What is under one heading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) place: Where,
    /// Goes on until the section ends, or the next one that serves begins.
    pub(crate) serves: bool,
    pub(crate) commands: Vec<Command>,
}

/// A command, and what it prints: nothing, if the text does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) script: String,
    pub(crate) prints: Vec<String>,
}

impl Command {
    /// That it failed, for people.
    pub(crate) fn failed(&self, what: &str, printed: &str) -> String {
        let Self { line, script, .. } = self;
        format!(
            "{}:{line}: {what}\n--- command\n{script}\n--- printed\n{printed}---",
            super::TUTORIAL
        )
    }

    /// Whether it printed what the text says.
    pub(crate) fn compare(&self, printed: &str) -> Result<(), String> {
        match self.prints.is_empty() || compare::same(&self.prints, printed) {
            true => Ok(()),
            false => Err(format!(
                "prints something else than\n{}",
                self.prints.join("\n")
            )),
        }
    }
}

/// Where commands run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// On this machine, in the project's folder.
    Host,
    /// The same, in a network namespace of the section's own.
    Namespace,
    /// In the rig's dom0, with this machine's `dist/` as the section leaves it.
    Dom0,
}

/// What is wrong with the tutorial itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unclear {
    line: usize,
    what: String,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", super::TUTORIAL, self.line, self.what)
    }
}

impl std::error::Error for Unclear {}

/// What a block may be that is no command.
const SHOWN: [&str; 2] = ["text", "toml"];

/// Words that commands begin with, where a line of prose has one.
const PROGRAMS: [&str; 8] = [
    "curl", "dist/", "make", "mir", "ping", "scripts/", "sudo", "xl",
];

/// Cuts the text up. Blocks are fences with `sh`, a script, or `console`, commands behind `$ ` with what they print;
/// further words say where they run and that they serve. `<!-- sh ... -->` is a script that readers do not see.
/// What could be a command and would not run is an error.
pub(crate) fn sections(text: &str) -> Result<Vec<Section>, Unclear> {
    let mut sections: Vec<Section> = Vec::new();
    let mut told = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((at, line)) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push(Section {
                heading: heading.trim().to_owned(),
                blocks: Vec::new(),
            });
            continue;
        }
        let unclear = |what: &str| Unclear {
            line: at,
            what: what.to_owned(),
        };
        let (info, end) = if let Some(info) = line.strip_prefix("```") {
            (info, "```")
        } else if let Some(info) = line.strip_prefix("<!-- sh") {
            (info, "-->")
        } else if is_a_block(line) {
            return Err(unclear(
                "a block is fenced with ``` at the beginning of the line",
            ));
        } else {
            told.extend(spans(line).map(|span| (at, span)));
            continue;
        };
        let hidden = end == "-->";
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some((_, line)) if line == end => break,
                Some(line) => body.push(line),
                None => return Err(unclear("a block without an end")),
            }
        }
        let mut words = info.split_whitespace();
        let console = match if hidden { Some("sh") } else { words.next() } {
            Some("sh") => false,
            Some("console") => true,
            Some(word) if SHOWN.contains(&word) => continue,
            word => {
                let word = word.unwrap_or_default();
                return Err(unclear(&format!(
                    "a block is sh or console, or nothing to be run ({}), not '{word}'",
                    SHOWN.join(", ")
                )));
            }
        };
        let (mut place, mut serves) = (Where::Host, false);
        for word in words {
            match word {
                "namespace" => place = Where::Namespace,
                "dom0" => place = Where::Dom0,
                "serves" => serves = true,
                _ => return Err(unclear(&format!("what is '{word}'?"))),
            }
        }
        let mut commands = match console {
            true => commands(&body).ok_or_else(|| {
                unclear("a console begins with '$ ', and each of its commands is one line")
            })?,
            false => script(&body).ok_or_else(|| unclear("there is nothing in it"))?,
        };
        if serves {
            let [command] = &mut commands[..] else {
                return Err(unclear("what serves is the only command of its block"));
            };
            if !command.prints.is_empty() {
                // It goes on, and so does what it prints.
                command.prints.push("...".to_owned());
            }
        }
        let section = sections
            .last_mut()
            .ok_or_else(|| unclear("commands before the first heading"))?;
        section.blocks.push(Block {
            place,
            serves,
            commands,
        });
    }
    all_run(&told, &sections)?;
    Ok(sections)
}

/// Whether Markdown takes the line for the beginning of a block, or for one.
fn is_a_block(line: &str) -> bool {
    let text = line.trim_start_matches([' ', '>']);
    let indented = line.starts_with("    ") || line.starts_with('\t');
    text.starts_with("```") || text.starts_with("~~~") || indented && !text.is_empty()
}

/// What a line of prose has between backticks.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Commands in prose are those of some block.
fn all_run(told: &[(usize, &str)], sections: &[Section]) -> Result<(), Unclear> {
    let blocks = || sections.iter().flat_map(|section| &section.blocks);
    let mut commands = told.iter().filter(|(_, span)| is_a_command(span));
    let not_run = commands.find(|(_, span)| {
        !blocks()
            .flat_map(|block| &block.commands)
            .any(|command| command.script.contains(span))
    });
    match not_run {
        None => Ok(()),
        Some(&(line, span)) => Err(Unclear {
            line,
            what: format!("no block runs '{span}'"),
        }),
    }
}

/// Whether it is a program with arguments.
fn is_a_command(span: &str) -> bool {
    span.split_once(' ').is_some_and(|(program, _)| {
        PROGRAMS.iter().any(|known| match known.ends_with('/') {
            true => program.starts_with(known),
            false => program == *known,
        })
    })
}

fn script(body: &[(usize, &str)]) -> Option<Vec<Command>> {
    let &(line, _) = body.first()?;
    let lines: Vec<_> = body.iter().map(|(_, line)| *line).collect();
    Some(vec![Command {
        line,
        script: lines.join("\n"),
        prints: Vec::new(),
    }])
}

fn commands(body: &[(usize, &str)]) -> Option<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    for &(at, line) in body {
        match line.strip_prefix("$ ") {
            Some(script) if script.ends_with('\\') => return None,
            Some(script) => commands.push(Command {
                line: at,
                script: script.to_owned(),
                prints: Vec::new(),
            }),
            None => commands.last_mut()?.prints.push(line.to_owned()),
        }
    }
    (!commands.is_empty()).then_some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found() {
        let text = "# T\n\n## One\n\n```sh\na\nb\n```\n<!-- sh dom0\nc\n-->\n```console namespace\n$ d\nsays\n...\n$ e\n```\n\
                    ```toml\nx\n```\n```sh serves\nf\n```\n## Two\n";
        let found = sections(text).unwrap();
        assert_eq!(found.len(), 2);
        let blocks = &found[0].blocks;
        let places: Vec<_> = blocks
            .iter()
            .map(|block| (block.place, block.serves))
            .collect();
        assert_eq!(
            places,
            [
                (Where::Host, false),
                (Where::Dom0, false),
                (Where::Namespace, false),
                (Where::Host, true)
            ]
        );
        let commands: Vec<_> = blocks.iter().flat_map(|block| &block.commands).collect();
        let scripts: Vec<_> = commands.iter().map(|c| (c.line, &*c.script)).collect();
        assert_eq!(
            scripts,
            [(6, "a\nb"), (10, "c"), (13, "d"), (16, "e"), (22, "f")]
        );
        assert_eq!(commands[2].prints, ["says", "..."]);
        assert!(found[1].blocks.is_empty());
    }

    #[test]
    fn what_is_unclear_is_said() {
        for (text, line) in [
            ("## A\n```sh\na\n", 2),
            ("```sh\na\n```\n", 1),
            ("## A\n\n```sh here\na\n```\n", 3),
            ("## A\n```console\nsays\n```\n", 2),
            ("## A\n```console\n$ a \\\nb\n```\n", 2),
            ("## A\n```console serves\n$ a\n$ b\n```\n", 2),
            ("## A\n```sh\n```\n", 2),
        ] {
            assert_eq!(sections(text).unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn nothing_is_passed_over() {
        for (text, line) in [
            ("## A\n```bash\na\n```\n", 2),
            ("## A\n```\na\n```\n", 2),
            ("## A\n- b\n  ```sh\n  a\n  ```\n", 3),
            ("## A\n> ```sh\n> a\n> ```\n", 2),
            ("## A\n~~~sh\na\n~~~\n", 2),
            ("## A\n\n    $ a\n", 3),
            (
                "## A\nSay `make it` or `dist/it so`.\n```sh\nmake it\n```\n",
                2,
            ),
        ] {
            assert_eq!(sections(text).unwrap_err().line, line, "{text}");
        }
        let text =
            "## A\n`--make it`, `make`, `sudo make it`: `dist/x`.\n```sh\nsudo make it so\n```\n";
        assert!(sections(text).is_ok());
    }
}
