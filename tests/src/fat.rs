//! FAT volumes made by a writer of others, and a service that is asked without a network.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use www::http::Service;
use www::{Clock, Conn, ConnError, Store};

use crate::disk::run;

/// 1994-11-06 08:49:36, which FAT can name.
pub const NOW: u64 = 784_111_776;

/// A file to be written: name from the root, time, content.
pub type NewFile<'a> = (&'a str, u64, &'a [u8]);

/// A volume of `size` bytes with these files, by the crate `fatfs`.
pub fn volume(size: usize, files: &[NewFile<'_>]) -> Vec<u8> {
    let mut image = vec![0; size];
    let options = fatfs::FormatVolumeOptions::new();
    fatfs::format_volume(Cursor::new(&mut image), options).expect("a volume");
    let options = fatfs::FsOptions::new();
    let fs = fatfs::FileSystem::new(Cursor::new(&mut image), options).expect("a volume");
    for (name, modified, content) in files {
        let mut folder = fs.root_dir();
        let (folders, last) = name.rsplit_once('/').unwrap_or(("", name));
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            folder = folder.create_dir(part).expect("a folder");
        }
        let mut file = folder.create_file(last).expect(name);
        file.truncate().expect("an empty file");
        file.write_all(content).expect("room");
        file.flush().expect("room");
        #[expect(deprecated, reason = "one time for all files is not what is wanted")]
        file.set_modified(date_time(*modified));
    }
    fs.unmount().expect("a volume");
    image
}

fn date_time(unix: u64) -> fatfs::DateTime {
    let text = www::date::imf_fixdate(unix);
    let text = std::str::from_utf8(&text).expect("ASCII");
    // `Sun, 06 Nov 1994 08:49:36 GMT`
    let number = |from: usize, to: usize| text[from..to].parse::<u16>().expect("a number");
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(&text[8..11]).expect("a month") / 3 + 1;
    let date = fatfs::Date {
        year: number(12, 16),
        month: month as u16,
        day: number(5, 7),
    };
    let time = fatfs::Time {
        hour: number(17, 19),
        min: number(20, 22),
        sec: number(23, 25),
        millis: 0,
    };
    fatfs::DateTime { date, time }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub struct Hand(pub Rc<Cell<u64>>);

impl Hand {
    /// It shows [`NOW`].
    pub fn new() -> Self {
        Self(Rc::new(Cell::new(NOW)))
    }
}

impl Default for Hand {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Hand {
    fn unix_time(&self) -> u64 {
        self.0.get()
    }
}

/// Polls once, with nobody to wake.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A client that has said all that it will say.
#[derive(Clone, Default)]
pub struct Client(Rc<RefCell<Wire>>);

#[derive(Default)]
struct Wire {
    sent: VecDeque<u8>,
    received: Vec<u8>,
    room: usize,
    aborted: bool,
}

impl Client {
    /// One that sends these bytes, and takes whatever comes.
    pub fn new(sent: &[u8]) -> Self {
        Self::slow(sent, usize::MAX)
    }

    /// One that takes so many bytes.
    pub fn slow(sent: &[u8], room: usize) -> Self {
        let sent = sent.iter().copied().collect();
        Self(Rc::new(RefCell::new(Wire {
            sent,
            room,
            ..Wire::default()
        })))
    }

    /// Takes more bytes.
    pub fn take(&self, room: usize) {
        self.0.borrow_mut().room = room;
    }

    /// What came.
    pub fn received(&self) -> Vec<u8> {
        self.0.borrow().received.clone()
    }

    /// Whether the connection was reset.
    pub fn aborted(&self) -> bool {
        self.0.borrow().aborted
    }
}

impl Conn for Client {
    fn peer(&self) -> SocketAddr {
        ([10, 0, 0, 1], 1024).into()
    }

    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, ConnError>> {
        let mut wire = self.0.borrow_mut();
        let n = buf.len().min(wire.sent.len());
        for (to, from) in buf.iter_mut().zip(wire.sent.drain(..n)) {
            *to = from;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>> {
        let mut wire = self.0.borrow_mut();
        let mut written = 0;
        for part in parts {
            let n = part.len().min(wire.room - written);
            wire.received.extend_from_slice(&part[..n]);
            written += n;
        }
        wire.room -= if wire.room == usize::MAX { 0 } else { written };
        match written {
            0 => Poll::Pending,
            n => Poll::Ready(Ok(n)),
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnError>> {
        Poll::Ready(Ok(()))
    }

    fn set_deadline(&mut self, _: Option<Duration>) {}

    fn abort(&mut self) {
        self.0.borrow_mut().aborted = true;
    }
}

/// What a service answers, and whether it broke off.
pub fn ask<S: Store, T: Clock>(service: &Service<S, T>, request: &str) -> (Vec<u8>, bool) {
    let client = Client::new(request.as_bytes());
    run(service.serve(client.clone()));
    (client.received(), client.aborted())
}

/// The status of an answer to `GET path`.
pub fn status<S: Store, T: Clock>(service: &Service<S, T>, path: &str) -> u16 {
    let (answer, _) = ask(service, &get(path));
    let line = String::from_utf8_lossy(&answer);
    let status = line.get(9..12).and_then(|status| status.parse().ok());
    status.unwrap_or_default()
}

/// A request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}
