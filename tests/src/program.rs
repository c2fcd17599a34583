//! A program that runs beside a test, and what it says meanwhile.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything takes that nobody has made slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running program. It ends with this at the latest.
pub struct Program {
    /// Its standard output is the caller's.
    pub child: Child,
    name: String,
    said: Arc<Said>,
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    list: Vec<String>,
    ended: bool,
}

impl Program {
    /// Starts it; what it writes to its standard error is what it says.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name}: {error}"));
        let said = Arc::new(Said::default());
        let (heard, from) = (said.clone(), child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                heard.lock().list.push(line);
                heard.more.notify_all();
            }
            heard.lock().ended = true;
            heard.more.notify_all();
        });
        Self {
            child,
            name: name.to_owned(),
            said,
        }
    }

    /// What it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.said.lock().list.clone()
    }

    /// How many of its lines have this in them.
    pub fn count(&self, what: &str) -> usize {
        self.lines().iter().filter(|l| l.contains(what)).count()
    }

    /// Waits for a line with this in it.
    pub fn says(&self, what: &str) -> String {
        self.says_nth(what, 1, PATIENCE)
    }

    /// Waits for the `nth` such line, the first being 1.
    pub fn says_nth(&self, what: &str, nth: usize, within: Duration) -> String {
        let end = Instant::now() + within;
        let mut lines = self.said.lock();
        loop {
            let mut such = lines.list.iter().filter(|line| line.contains(what));
            if let Some(line) = such.nth(nth - 1) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                let all = lines.list.join("\n    ");
                drop(lines);
                panic!("{} did not say {what:?} ({nth}):\n    {all}", self.name);
            }
            let waited = self.said.more.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it has no more to say, which is its end.
    pub fn end(&mut self) -> ExitStatus {
        let mut lines = self.said.lock();
        while !lines.ended {
            let waited = self.said.more.wait(lines);
            lines = waited.unwrap_or_else(PoisonError::into_inner);
        }
        drop(lines);
        self.child.wait().expect("an end")
    }

    /// Asks it to end, and waits for that; what it has said.
    pub fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.end();
        self.lines()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // What has started it, nsenter for one, has become it.
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
