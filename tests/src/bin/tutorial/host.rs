//! Commands on this machine.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use ::tests::netns::Namespace;

use super::process::{Errors, Processes, Running};
use super::text::{self, Section, Where};

/// What a server prints when it does, if the tutorial does not say.
const SERVES: &str = " serves http://";

/// Long enough for a build on a busy machine.
const TO_BUILD: Duration = Duration::from_secs(1200);

/// For what is asked of a server, and for a server to be there: nothing is built then that was not built before.
const TO_ANSWER: Duration = Duration::from_secs(120);

/// A configuration of somebody's own is put aside, and back when this is dropped.
pub(crate) struct Kept {
    file: PathBuf,
    aside: PathBuf,
}

impl Kept {
    pub(crate) fn new(root: &Path) -> Result<Self, String> {
        let file = root.join("mir.toml");
        let aside = root.join("mir.toml.before-the-tutorial");
        if aside.exists() {
            // Which of the two is wanted its owner knows. Neither is touched.
            return Err(format!(
                "{}: left by a run that was killed: rename it to mir.toml, or remove it",
                aside.display()
            ));
        }
        if file.exists() {
            fs::rename(&file, &aside).map_err(|error| format!("mir.toml: {error}"))?;
        }
        Ok(Self { file, aside })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It may not be there; either way there is nothing else to do.
        let _ = fs::remove_file(&self.file);
        let _ = fs::rename(&self.aside, &self.file);
    }
}

/// Where commands run.
pub(crate) struct Host {
    root: PathBuf,
    /// Has a `sudo` that changes nobody: everything runs as root, or as root of a namespace.
    programs: TempDir,
    pub(crate) processes: Processes,
}

impl Host {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let programs = tempfile::tempdir()?;
        let sudo = programs.path().join("sudo");
        fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n")?;
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            root: root.to_owned(),
            programs,
            processes: Processes::new()?,
        })
    }

    /// Runs the commands of a section; says how many they were, or which one failed.
    pub(crate) fn run(&self, section: &Section) -> Result<usize, String> {
        let result = self.commands(section);
        match (result, self.processes.all_gone()) {
            (Ok(_), Err(left)) => Err(left),
            (result, _) => result,
        }
    }

    fn commands(&self, section: &Section) -> Result<usize, String> {
        let mut namespace = None;
        let mut server: Option<Running<'_>> = None;
        let mut count = 0;
        let blocks = section.blocks.iter();
        for block in blocks.filter(|block| block.place != Where::Dom0) {
            let namespace = match block.place {
                Where::Namespace => Some(&*namespace.get_or_insert_with(Namespace::new)),
                Where::Host | Where::Dom0 => None,
            };
            for command in &block.commands {
                count += 1;
                if block.serves {
                    // The one before has to give its port back.
                    drop(server.take());
                }
                let mut shell = self.shell(command, namespace);
                let started = self.processes.start(&mut shell, Errors::Kept);
                let mut running =
                    started.map_err(|error| command.failed(&error.to_string(), ""))?;
                let result = if block.serves {
                    running.until(TO_ANSWER, |printed| match command.prints.is_empty() {
                        true => printed.contains(SERVES),
                        false => command.compare(printed).is_ok(),
                    })
                } else {
                    let patience = if server.is_some() {
                        TO_ANSWER
                    } else {
                        TO_BUILD
                    };
                    running
                        .finish(patience)
                        .and_then(|()| command.compare(&running.printed()))
                };
                if let Err(why) = result {
                    let mut told = command.failed(&why, &running.printed());
                    if let Some(server) = &server {
                        told += &format!("\n--- meanwhile the server\n{}---", server.printed());
                    }
                    return Err(told);
                }
                if block.serves {
                    server = Some(running);
                }
            }
        }
        Ok(count)
    }

    fn shell(&self, command: &text::Command, namespace: Option<&Namespace>) -> Command {
        let mut shell = match namespace {
            None => Command::new("bash"),
            Some(namespace) => namespace.command("bash"),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.programs.path().display();
        shell
            .args(["-euo", "pipefail", "-c", &command.script])
            .current_dir(&self.root)
            .env("PATH", format!("{programs}:{path}:/usr/sbin:/sbin"));
        shell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_put_aside_and_back() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("mir.toml");
        let kept = Kept::new(root.path()).unwrap();
        fs::write(&file, "the tutorial's").unwrap();
        drop(kept);
        assert!(!file.exists());

        fs::write(&file, "mine").unwrap();
        let kept = Kept::new(root.path()).unwrap();
        assert!(!file.exists());
        fs::write(&file, "the tutorial's").unwrap();
        // As if that one had been killed.
        assert!(Kept::new(root.path()).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "the tutorial's");
        drop(kept);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
