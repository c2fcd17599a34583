//! Commands on this machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::{NamedTempFile, TempDir};

use tests::netns::Namespace;

use super::compare;
use super::text::{Block, Where};

/// What a server prints when it does, if the tutorial does not say.
const SERVES: &str = " serves http://";

/// Long enough for a build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// A configuration of somebody's own is put aside, and back when this is dropped.
pub(crate) struct Kept {
    file: PathBuf,
    aside: PathBuf,
}

impl Kept {
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let kept = Self {
            file: root.join("mir.toml"),
            aside: root.join("mir.toml.before-the-tutorial"),
        };
        if kept.file.exists() {
            fs::rename(&kept.file, &kept.aside)?;
        }
        Ok(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It may not be there; either way there is nothing else to do.
        let _ = fs::remove_file(&self.file);
        let _ = fs::rename(&self.aside, &self.file);
    }
}

/// A folder with a `sudo` for where there is none: it may be missing where everybody is root.
pub(crate) fn shims() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("sudo");
    fs::write(&path, "#!/bin/sh\nexec \"$@\"\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Runs the blocks of a section; says how many commands they were, or which one failed.
pub(crate) fn run(
    heading: &str,
    blocks: &[&Block],
    root: &Path,
    shims: &Path,
) -> Result<usize, String> {
    let mut namespace = None;
    let mut server: Option<Running> = None;
    let mut count = 0;
    for block in blocks {
        for command in &block.commands {
            count += 1;
            let at = format!("{}:{} ({heading})", super::TUTORIAL, block.line);
            let namespace = match block.place {
                Where::Namespace => Some(&*namespace.get_or_insert_with(Namespace::new)),
                Where::Host | Where::Dom0 => None,
            };
            if block.serves {
                // The one before has to give its port back.
                drop(server.take());
            }
            let failed = |what: &str, printed: &str| {
                let script = &command.script;
                format!("{at}: {what}\n--- command\n{script}\n--- printed\n{printed}---")
            };
            let started = Running::start(&command.script, namespace, root, shims);
            let mut running = started.map_err(|why| failed(&why.to_string(), ""))?;
            if block.serves {
                running
                    .until(|printed| match command.prints.is_empty() {
                        true => printed.contains(SERVES),
                        false => compare::same(&command.prints, printed),
                    })
                    .map_err(|printed| failed("does not begin to serve as it should", &printed))?;
                server = Some(running);
            } else {
                let (good, printed) = running.finish();
                if !good {
                    return Err(failed("fails", &printed));
                }
                if !command.prints.is_empty() && !compare::same(&command.prints, &printed) {
                    let said = command.prints.join("\n");
                    return Err(failed(
                        &format!("prints something else than\n{said}"),
                        &printed,
                    ));
                }
            }
        }
    }
    Ok(count)
}

/// A command and all that it starts; gone when this is dropped.
struct Running {
    child: Child,
    output: NamedTempFile,
}

impl Running {
    fn start(
        script: &str,
        namespace: Option<&Namespace>,
        root: &Path,
        shims: &Path,
    ) -> io::Result<Self> {
        let output = NamedTempFile::new()?;
        let mut command = match namespace {
            None => Command::new("bash"),
            Some(namespace) => namespace.command("bash"),
        };
        let path = std::env::var("PATH").unwrap_or_default();
        let child = command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(root)
            .env(
                "PATH",
                format!("{path}:/usr/sbin:/sbin:{}", shims.display()),
            )
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.reopen_at_end()?)
            .stderr(output.reopen_at_end()?)
            .spawn()?;
        Ok(Self { child, output })
    }

    fn printed(&self) -> String {
        let bytes = fs::read(self.output.path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until what it has printed is as it should be; it must not end before. Fails with what it printed.
    fn until(&mut self, enough: impl Fn(&str) -> bool) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let ended = !matches!(self.child.try_wait(), Ok(None));
            let printed = self.printed();
            if enough(&printed) {
                return Ok(());
            }
            if ended || start.elapsed() > PATIENCE {
                return Err(printed);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end: whether it was a good one, and what it printed.
    fn finish(&mut self) -> (bool, String) {
        let good = self.child.wait().is_ok_and(|status| status.success());
        (good, self.printed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // In good order, so that what it made is taken down; what does not listen is killed.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(10) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

trait AtEnd {
    fn reopen_at_end(&self) -> io::Result<File>;
}

impl AtEnd for NamedTempFile {
    fn reopen_at_end(&self) -> io::Result<File> {
        File::options().append(true).open(self.path())
    }
}
