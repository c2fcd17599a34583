//! Processes that commands are: waited for, interrupted with the test, and never left behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, wait,
    waitpgid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tempfile::NamedTempFile;

/// How long a process may take to end that was told to.
const GRACE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// All that this program starts.
pub(crate) struct Processes {
    interrupted: Arc<AtomicBool>,
}

impl Processes {
    /// From now on signals are noted, and what a command leaves behind belongs to this program.
    pub(crate) fn new() -> io::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { interrupted })
    }

    /// Whether it is time to tidy up and end.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Starts a command in a process group of its own; what it prints is kept.
    pub(crate) fn start(&self, command: &mut Command, errors: Errors) -> io::Result<Running<'_>> {
        let output = NamedTempFile::new()?;
        let at_end = || File::options().append(true).open(output.path());
        let stderr = match errors {
            Errors::Kept => at_end()?.into(),
            Errors::Shown => Stdio::inherit(),
        };
        let command = command.process_group(0).stdin(Stdio::null());
        let child = command.stdout(at_end()?).stderr(stderr).spawn()?;
        Ok(Running {
            child,
            output,
            all: self,
        })
    }

    /// Waits for the last one to end; what does not is ended, and its name is the error.
    pub(crate) fn all_gone(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) if start.elapsed() > GRACE => break,
                Ok(None) => std::thread::sleep(PAUSE),
                Err(_) => return Ok(()),
            }
        }
        let mut names = String::new();
        for pid in children() {
            let name = fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
            names += &format!("\n{}", name.unwrap_or_default().replace('\0', " "));
            // It may just have ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        Err(format!("left behind:{names}"))
    }
}

fn children() -> Vec<Pid> {
    let id = std::process::id();
    let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace()
        .filter_map(|id| Pid::from_raw(id.parse().ok()?))
        .collect()
}

/// Where a command's errors go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errors {
    /// To what else it prints.
    Kept,
    /// To whoever watches the test.
    Shown,
}

/// A command and all that it starts; gone when this is dropped.
pub(crate) struct Running<'a> {
    child: Child,
    output: NamedTempFile,
    all: &'a Processes,
}

impl Running<'_> {
    pub(crate) fn printed(&self) -> String {
        let bytes = fs::read(self.output.path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until what it has printed is enough; it must not end before.
    pub(crate) fn until(
        &mut self,
        patience: Duration,
        enough: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if enough(&self.printed()) {
                return Ok(());
            }
            if let Some(status) = ended {
                return Err(format!("ends ({status}) before it serves as it should"));
            }
            self.patient(start, patience)?;
        }
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn finish(&mut self, patience: Duration) -> Result<(), String> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("fails: {status}")),
                Ok(None) => self.patient(start, patience)?,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn patient(&self, start: Instant, patience: Duration) -> Result<(), String> {
        if self.all.interrupted() {
            return Err("interrupted".to_owned());
        }
        if start.elapsed() > patience {
            return Err(format!("takes more than {} seconds", patience.as_secs()));
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // In good order, so that what it made is taken down; what does not listen is killed. Orphans count, too.
        let group = Pid::from_child(&self.child);
        let _ = kill_process_group(group, Signal::TERM);
        let start = Instant::now();
        loop {
            match waitpgid(group, WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => continue,
                Ok(None) => {}
                Err(_) => break,
            }
            if start.elapsed() > GRACE {
                let _ = kill_process_group(group, Signal::KILL);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since what is left behind by another would count.
    #[test]
    fn nothing_is_left_behind() {
        const LONG: Duration = Duration::from_secs(60);
        let all = Processes::new().unwrap();
        let start = |script: &str| {
            let mut command = Command::new("sh");
            all.start(command.args(["-c", script]), Errors::Kept)
                .unwrap()
        };
        assert_eq!(start("echo a; echo b >&2").finish(LONG), Ok(()));
        let mut fails = start("echo a; exit 3");
        assert!(fails.finish(LONG).unwrap_err().contains('3'));
        assert_eq!(fails.printed(), "a\n");
        let mut serves = start("echo serves; sleep 1000 & wait");
        assert_eq!(serves.until(LONG, |said| said.contains("serves")), Ok(()));
        assert!(serves.finish(Duration::ZERO).is_err());
        assert!(start("true").until(LONG, |_| false).is_err());
        let mut leaves = start("sleep 1000 >/dev/null & sleep 1000 & exit 0");
        assert_eq!(leaves.finish(LONG), Ok(()));
        drop((fails, serves, leaves));
        assert_eq!(all.all_gone(), Ok(()));

        let mut serves = start("sleep 1000");
        all.interrupted.store(true, Ordering::Relaxed);
        assert_eq!(serves.finish(LONG), Err("interrupted".to_owned()));
    }
}
