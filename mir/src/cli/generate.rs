//! `mir completions` and `mir man`: made from the definitions that arguments are read with.

use std::path::Path;

use clap::ValueEnum;
use clap_complete::Shell;

use super::{Failed, definitions, print, report, write};

/// A shell with completions.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Completed {
    Bash,
    Zsh,
    Fish,
}

/// Prints what a shell reads to complete `mir`.
pub(super) fn completions(shell: Completed) -> Result<(), Failed> {
    let shell = match shell {
        Completed::Bash => Shell::Bash,
        Completed::Zsh => Shell::Zsh,
        Completed::Fish => Shell::Fish,
    };
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut definitions(), "mir", &mut out);
    print(&String::from_utf8_lossy(&out))
}

/// Writes manual pages, one a command, or prints the first of them.
pub(super) fn man(folder: Option<&Path>) -> Result<(), Failed> {
    let Some(folder) = folder else {
        return print(&page(definitions())?);
    };
    let mut command = definitions();
    command.build();
    let mut count = 0;
    pages(folder, command, "mir", &mut count)?;
    report(format_args!("{}: {count} pages", folder.display()))
}

fn pages(
    folder: &Path,
    command: clap::Command,
    name: &str,
    count: &mut usize,
) -> Result<(), Failed> {
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        let name = format!("{name}-{}", below.get_name());
        pages(folder, below.clone(), &name, count)?;
    }
    // The name that a page has is that of the whole command.
    let text = page(command.display_name(name.to_owned()).name(name.to_owned()))?;
    write(&folder.join(format!("{name}.1")), &[text.as_bytes()], false)?;
    *count += 1;
    Ok(())
}

fn page(command: clap::Command) -> Result<String, Failed> {
    let mut out = Vec::new();
    let made = clap_mangen::Man::new(command).render(&mut out);
    made.map_err(|error| Failed::say(format!("the manual: {error}")))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
