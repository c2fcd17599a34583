//! The tutorial's text: sections, and in them blocks of commands.

use std::fmt;

/// What is under one heading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) place: Where,
    /// Goes on until the section ends, or the next one that serves begins.
    pub(crate) serves: bool,
    pub(crate) commands: Vec<Command>,
}

/// A command, and what it prints: nothing, if the text does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) script: String,
    pub(crate) prints: Vec<String>,
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

/// Cuts the text up. Blocks are fences with `sh`, a script, or `console`, commands behind `$ ` with what they print;
/// further words say where they run and that they serve. `<!-- sh ... -->` is a script that readers do not see.
/// Other fences are not commands.
pub(crate) fn sections(text: &str) -> Result<Vec<Section>, Unclear> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    while let Some((at, line)) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            sections.push(Section {
                heading: heading.trim().to_owned(),
                blocks: Vec::new(),
            });
            continue;
        }
        let (info, end) = if let Some(info) = line.strip_prefix("```") {
            (info, "```")
        } else if let Some(info) = line.strip_prefix("<!-- sh") {
            (info, "-->")
        } else {
            continue;
        };
        let unclear = |what: &str| Unclear {
            line: at,
            what: what.to_owned(),
        };
        let hidden = end == "-->";
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some((_, line)) if line == end => break,
                Some((_, line)) => body.push(line),
                None => return Err(unclear("a block without an end")),
            }
        }
        let mut words = info.split_whitespace();
        let console = match if hidden { Some("sh") } else { words.next() } {
            Some("sh") => false,
            Some("console") => true,
            _ => continue,
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
        let commands = match console {
            true => commands(&body).ok_or_else(|| unclear("a console begins with '$ '"))?,
            false => vec![Command {
                script: body.join("\n"),
                prints: Vec::new(),
            }],
        };
        let section = sections
            .last_mut()
            .ok_or_else(|| unclear("commands before the first heading"))?;
        section.blocks.push(Block {
            line: at,
            place,
            serves,
            commands,
        });
    }
    Ok(sections)
}

fn commands(body: &[&str]) -> Option<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    for line in body {
        match line.strip_prefix("$ ") {
            Some(script) => commands.push(Command {
                script: script.to_owned(),
                prints: Vec::new(),
            }),
            None => commands.last_mut()?.prints.push((*line).to_owned()),
        }
    }
    (!commands.is_empty()).then_some(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found() {
        let text = "# T\n\n## One\n\n```sh\na\nb\n```\n<!-- sh dom0\nc\n-->\n```console namespace serves\n$ d\nsays\n...\n$ e\n```\n\
                    ```toml\nx\n```\n## Two\n";
        let found = sections(text).unwrap();
        assert_eq!(found.len(), 2);
        let blocks = &found[0].blocks;
        assert_eq!(blocks.len(), 3);
        assert_eq!(
            (blocks[0].line, blocks[0].place, blocks[0].serves),
            (5, Where::Host, false)
        );
        assert_eq!(blocks[0].commands[0].script, "a\nb");
        assert_eq!(
            (blocks[1].place, &*blocks[1].commands[0].script),
            (Where::Dom0, "c")
        );
        assert_eq!(
            (blocks[2].place, blocks[2].serves),
            (Where::Namespace, true)
        );
        assert_eq!(blocks[2].commands[0].prints, ["says", "..."]);
        assert_eq!(blocks[2].commands[1].script, "e");
        assert!(found[1].blocks.is_empty());
    }

    #[test]
    fn what_is_unclear_is_said() {
        for (text, line) in [
            ("## A\n```sh\na\n", 2),
            ("```sh\na\n```\n", 1),
            ("## A\n\n```sh here\na\n```\n", 3),
            ("## A\n```console\nsays\n```\n", 2),
        ] {
            assert_eq!(sections(text).unwrap_err().line, line, "{text}");
        }
    }
}
