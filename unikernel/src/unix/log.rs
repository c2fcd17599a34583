//! Log messages to stderr, without ever waiting for it.
//!
//! A thread of its own writes what was logged. If whoever reads stderr is slower than lines come, or
//! has stopped reading, what waits is bounded: lines beyond that are lost, and counted where they
//! would have stood.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use log::LevelFilter;
use minios::logger::{Filter, Logger};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use www::config::Config;

/// Bytes that may wait to be written.
const WAITING: usize = 1 << 20;

/// How long the end of the program waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is logged, to be called once at the start. Fails if `--logs` cannot be understood.
pub(crate) fn install(config: &Config) -> Result<(), String> {
    let named = config.logs.as_deref();
    let filter = named.map_or(Ok(Filter::default()), Filter::parse);
    let mut filter = filter.map_err(|error| format!("--logs: {error}"))?;
    if !config.access_log {
        filter = filter.unless_named("access", LevelFilter::Off);
    }
    let colour = io::stderr().is_terminal() && wants_colour(|name| std::env::var(name).ok());
    let printer = PRINTER.get_or_init(|| Printer::new(colour));
    // The only logger there is, so that it cannot be the second.
    let _ = Logger::new(filter, super::since_start, print).install();
    std::thread::Builder::new()
        .name("log".into())
        .spawn(|| printer.write_to(&mut io::stderr()))
        .map(drop)
        .map_err(|error| format!("no thread for the log: {error}"))
}

/// Gives the last lines a moment to be written.
pub(crate) fn flush() {
    if let Some(printer) = PRINTER.get() {
        printer.flush(LAST_WORDS);
    }
}

/// <https://no-color.org>
fn wants_colour(variable: impl Fn(&str) -> Option<String>) -> bool {
    let plain = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    !plain && variable("TERM").is_none_or(|term| term != "dumb")
}

/// How the line begins that says how many were lost. Others begin with their time.
const LOST: &str = "... ";

static PRINTER: OnceLock<Printer> = OnceLock::new();

thread_local! {
    /// The beginning of a line, of which the rest is yet to come.
    static BEGUN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Takes a piece of a message; the last one ends in a newline.
fn print(piece: &[u8]) {
    BEGUN.with_borrow_mut(|line| {
        line.extend_from_slice(piece);
        if line.ends_with(b"\n")
            && let Some(printer) = PRINTER.get()
        {
            printer.print(line);
            line.clear();
        }
    });
}

struct Printer {
    colour: bool,
    state: Mutex<State>,
    /// The state has changed: for the thread that writes, and for whoever waits for it.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lost: u64,
    /// The last of what was written is the beginning of a line.
    cut: bool,
    /// The thread has nothing to do, and has to be woken.
    idle: bool,
    /// Somebody waits until it is so.
    flushing: bool,
}

impl Printer {
    fn new(colour: bool) -> Self {
        Self {
            colour,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, line: &[u8]) {
        let state = &mut *self.state();
        if state.waiting.len() + line.len() > WAITING {
            state.lost += 1;
            return;
        }
        if state.lost > 0 {
            let lost = std::mem::take(&mut state.lost);
            if std::mem::take(&mut state.cut) {
                state.waiting.push(b'\n');
            }
            // Into memory, which does not fail.
            let _ = writeln!(state.waiting, "{LOST}{lost} lines of the log were lost");
        }
        match coloured(line).filter(|_| self.colour) {
            Some(parts) => parts.iter().for_each(|part| state.waiting.extend(*part)),
            None => state.waiting.extend(line),
        }
        if std::mem::take(&mut state.idle) {
            self.changed.notify_all();
        }
    }

    /// Writes what there is, for ever.
    fn write_to(&self, out: &mut (impl Write + AsFd)) -> ! {
        let mut lines = Vec::new();
        loop {
            {
                let mut state = self.state();
                while state.waiting.is_empty() {
                    state.idle = true;
                    if state.flushing {
                        self.changed.notify_all();
                    }
                    let waited = self.changed.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
                std::mem::swap(&mut state.waiting, &mut lines);
            }
            let written = write(out, &lines);
            if written < lines.len() {
                let whole = lines[..written].iter().rposition(|byte| *byte == b'\n');
                let whole = whole.map_or(0, |end| end + 1);
                let mut state = self.state();
                state.lost += count(&lines[whole..]);
                // With nothing written, what came before it is the last.
                state.cut = written > whole || written == 0 && state.cut;
            }
            lines.clear();
        }
    }

    /// Waits until all is written, but not for longer than this.
    fn flush(&self, most: Duration) {
        let mut state = self.state();
        state.flushing = true;
        // An error is a thread that has panicked, which none does here.
        let _ = self.changed.wait_timeout_while(state, most, |state| {
            !state.idle || !state.waiting.is_empty()
        });
    }
}

/// Writes all, or as much as can be written; says how much.
fn write(out: &mut (impl Write + AsFd), bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => break,
            Ok(n) => written += n,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                // Somebody else with the same terminal or pipe does not want to wait for it. This
                // thread does.
                io::ErrorKind::WouldBlock => {
                    let ready = poll(&mut [PollFd::new(out, PollFlags::OUT)], None);
                    if ready.is_err_and(|error| error != Errno::INTR) {
                        break;
                    }
                }
                _ => break,
            },
        }
    }
    written
}

/// How many lines these are, with those that they say were lost.
fn count(lines: &[u8]) -> u64 {
    let lost = |line: &[u8]| {
        let line = str::from_utf8(line).ok()?.strip_prefix(LOST)?;
        line.split(' ').next()?.parse().ok()
    };
    let lines = lines.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| lost(line).unwrap_or(1)).sum()
}

const RESET: &[u8] = b"\x1b[0m";

/// A line with its level in colour and its time dimmed: `[    0.123456] info  target: ...`.
fn coloured(line: &[u8]) -> Option<[&[u8]; 7]> {
    let close = line.iter().position(|byte| *byte == b']')?;
    let (time, rest) = line.split_at(close + 1);
    let (level, message) = rest.split_at_checked(" error".len())?;
    let colour: &[u8] = match level.trim_ascii() {
        b"error" => b"\x1b[1;31m",
        b"warn" => b"\x1b[33m",
        b"info" => b"\x1b[32m",
        b"debug" => b"\x1b[34m",
        b"trace" => b"\x1b[35m",
        _ => return None,
    };
    Some([b"\x1b[2m", time, RESET, colour, level, RESET, message])
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[test]
    fn what_the_tool_lets_pass_is_understood() {
        for value in [
            "info",
            "OFF",
            "net:debug",
            " *:warn , net: trace",
            "a:b:c:error",
            "loud",
            "net",
            "net:",
            ":info",
            "",
            ",",
            "info,",
            "*:info,x",
            "info:",
            " ",
            "é:info",
            "debug\n",
        ] {
            let understood = Filter::parse(value).is_ok();
            assert_eq!(mir::image::check_logs(value), understood, "{value:?}");
        }
    }

    /// A reader that takes nothing before it is told to.
    struct Slow {
        begun: Sender<()>,
        go: Receiver<()>,
        took: Sender<Vec<u8>>,
        file: File,
    }

    impl AsFd for Slow {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the test is over there is nobody to wait for.
            let _ = self.begun.send(());
            let _ = self.go.recv();
            let _ = self.took.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// As stderr is when whoever shares it has asked not to wait for it.
    #[test]
    fn a_pipe_that_does_not_wait_loses_nothing() {
        let printer = Arc::new(Printer::new(false));
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let writer = printer.clone();
        std::thread::spawn(move || writer.write_to(&mut ours));
        // More than the system keeps for a reader.
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        let lines = WAITING / line.len();
        (0..lines).for_each(|_| printer.print(&line));
        let read = BufReader::new(theirs).lines().take(lines);
        let whole = read.filter(|line| line.as_ref().is_ok_and(|line| line.len() == 99));
        assert_eq!(whole.count(), lines);
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        assert_eq!(write(&mut full, b"a line\n"), 0);
        let mut null = File::options().write(true).open("/dev/null").unwrap();
        assert_eq!(write(&mut null, b"a line\n"), 7);

        let printer = Arc::new(Printer::new(false));
        let writer = printer.clone();
        std::thread::spawn(move || writer.write_to(&mut full));
        for _ in 0..5 {
            printer.print(b"[  0.1] a line\n");
            printer.flush(Duration::from_secs(60));
        }
        let state = printer.state();
        assert_eq!((state.lost, state.cut), (5, false));
    }

    #[test]
    fn a_reader_that_has_stopped_costs_lines_and_no_time() {
        let printer = Arc::new(Printer::new(false));
        let (begun, beginning) = channel();
        let (go, gone) = channel();
        let (took, taken) = channel();
        let file = File::open("/dev/null").unwrap();
        let mut slow = Slow {
            begun,
            go: gone,
            took,
            file,
        };
        let writer = printer.clone();
        std::thread::spawn(move || writer.write_to(&mut slow));
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        let lines = 3 * WAITING / line.len();
        printer.print(&line);
        beginning.recv().unwrap();
        for _ in 1..lines {
            printer.print(&line);
        }
        // He reads again, and hears how many he has missed.
        let mut text = Vec::new();
        go.send(()).unwrap();
        text.extend(taken.recv().unwrap());
        go.send(()).unwrap();
        text.extend(taken.recv().unwrap());
        printer.print(b"the last\n");
        go.send(()).unwrap();
        text.extend(taken.recv().unwrap());
        printer.flush(Duration::from_secs(60));
        let text = String::from_utf8(text).unwrap();
        let whole = text.lines().filter(|line| line.len() == 99).count();
        let lost = text.lines().find_map(|line| {
            let rest = line.strip_prefix("... ")?;
            rest.strip_suffix(" lines of the log were lost")?
                .parse::<usize>()
                .ok()
        });
        assert_eq!(Some(lines - whole), lost);
        assert!(whole >= WAITING / line.len() && text.ends_with("the last\n"));
    }

    #[test]
    fn colours() {
        let line = b"[    0.123456] warn  net: what\n";
        let parts = coloured(line).unwrap().concat();
        let text = "\x1b[2m[    0.123456]\x1b[0m\x1b[33m warn \x1b[0m net: what\n";
        assert_eq!(String::from_utf8(parts).unwrap(), text);
        assert_eq!(coloured(b"no line of ours\n"), None);
        assert!(wants_colour(|_| None));
        assert!(!wants_colour(
            |name| (name == "NO_COLOR").then(|| "1".into())
        ));
        assert!(wants_colour(|name| (name == "NO_COLOR").then(String::new)));
        assert!(!wants_colour(|name| (name == "TERM").then(|| "dumb".into())));
    }
}
