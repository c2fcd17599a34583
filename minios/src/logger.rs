//! Log messages as lines, stamped with the time since boot and filtered by part.
//!
//! ```text
//! [    0.001234] info  netfront: vif 0: 00:16:3e:00:00:01, mtu 1500
//! ```
//!
//! The same on both platforms; where the bytes go is the platform's. A message may quote what
//! others wrote, so control characters in it are printed as `\xNN`: nobody writes to the operator's
//! terminal through us. Nothing here allocates once it is installed.

use alloc::boxed::Box;
use core::fmt::{self, Write};

use log::{Log, Metadata, Record, SetLoggerError};

use crate::Instant;

mod filter;
pub use filter::{Filter, FilterError};

/// The backend of crate `log`.
pub struct Logger {
    filter: Filter,
    now: fn() -> Instant,
    out: fn(&[u8]),
}

impl Logger {
    /// Prints what `filter` lets through to `out`, stamped with `now`. `out` gets a line in one or
    /// more pieces, the last of which ends in a newline.
    pub const fn new(filter: Filter, now: fn() -> Instant, out: fn(&[u8])) -> Self {
        Self { filter, now, out }
    }

    /// Makes it the program's logger, which can be done once.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let max = self.filter.max();
        log::set_logger(Box::leak(Box::new(self)))?;
        log::set_max_level(max);
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.allows(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            write_record((self.now)(), record, self.out);
        }
    }

    fn flush(&self) {}
}

fn write_record(now: Instant, record: &Record<'_>, out: fn(&[u8])) {
    let mut line = Line::new(out);
    let micros = now.as_nanos() / 1000;
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    let level = match record.level() {
        log::Level::Error => "error",
        log::Level::Warn => "warn ",
        log::Level::Info => "info ",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    };
    // Neither `Line` nor anything formatted here fails but by a Display that lies about it.
    let _ = write!(
        line,
        "[{seconds:5}.{micros:06}] {level} {}: {}",
        record.target(),
        record.args()
    );
    line.end();
}

/// Collects the pieces that formatting makes into few calls of `out`.
struct Line {
    bytes: [u8; 192],
    len: usize,
    out: fn(&[u8]),
}

impl Line {
    fn new(out: fn(&[u8])) -> Self {
        Self {
            bytes: [0; 192],
            len: 0,
            out,
        }
    }

    fn push_all(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == self.bytes.len() {
                (self.out)(&self.bytes);
                self.len = 0;
            }
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }

    fn end(mut self) {
        self.push_all(b"\n");
        (self.out)(&self.bytes[..self.len]);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' {
                // The rest of a message of several lines stands out.
                self.push_all(b"\n    ");
            } else if c.is_control() {
                // All of them are below U+00A0.
                let hex = |nibble: u32| b"0123456789abcdef"[(nibble & 15) as usize];
                let code = u32::from(c);
                self.push_all(&[b'\\', b'x', hex(code >> 4), hex(code)]);
            } else {
                self.push_all(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::string::String;
    use std::thread_local;
    use std::vec::Vec;

    use log::Level;

    use super::*;

    thread_local! {
        static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    fn out(bytes: &[u8]) {
        OUT.with_borrow_mut(|out| out.extend(bytes));
    }

    fn now() -> Instant {
        Instant::from_nanos(12_003_004_999)
    }

    fn logged(filter: &str, level: Level, target: &str, args: fmt::Arguments<'_>) -> String {
        let logger = Logger::new(Filter::parse(filter).unwrap(), now, out);
        let record = Record::builder()
            .level(level)
            .target(target)
            .args(args)
            .build();
        logger.log(&record);
        String::from_utf8(OUT.take()).unwrap()
    }

    #[test]
    fn a_line() {
        let line = logged("info", Level::Info, "net", format_args!("up, mtu {}", 1500));
        assert_eq!(line, "[   12.003004] info  net: up, mtu 1500\n");
        let line = logged("info", Level::Error, "net", format_args!("gone"));
        assert_eq!(line, "[   12.003004] error net: gone\n");
    }

    #[test]
    fn what_the_filter_holds_back_is_not_printed() {
        let args = format_args!("x");
        assert_eq!(logged("warn", Level::Info, "net", args), "");
        assert_eq!(logged("net:off", Level::Error, "net::tcp", args), "");
        assert_ne!(logged("warn,net:debug", Level::Debug, "net", args), "");
    }

    #[test]
    fn long_lines_are_whole_and_terminals_are_safe() {
        let long = "é".repeat(1000);
        let line = logged("info", Level::Info, "net", format_args!("{long}"));
        assert!(line.ends_with(&(long + "\n")));
        let line = logged(
            "info",
            Level::Info,
            "net",
            format_args!("a\x1b[2J\r\nb\x7f\u{9b}"),
        );
        assert!(
            line.ends_with("net: a\\x1b[2J\\x0d\n    b\\x7f\\x9b\n"),
            "{line:?}"
        );
    }
}
