//! A store that takes its time, gives its bodies in pieces, and fails.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};
use core::time::Duration;

use super::super::{Limits, Service};
use super::script::{Client, NOW, Now, Task};
use crate::encoding::Accept;
use crate::stats::Stats;
use crate::store::{Answer, Lookup, Store, StoreError};

/// What the store was asked for and has not given, one after the other.
#[derive(Clone, Default)]
struct Gate(Rc<RefCell<Option<Waker>>>, Rc<RefCell<u32>>);

impl Gate {
    /// Lets `n` waits pass.
    fn open(&self, n: u32) {
        *self.1.borrow_mut() += n;
        if let Some(waker) = self.0.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn pass(&self) {
        poll_fn(|cx| {
            let mut open = self.1.borrow_mut();
            if *open > 0 {
                *open -= 1;
                return Poll::Ready(());
            }
            *self.0.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Slow(Gate);

struct Pieces {
    gate: Gate,
    all: Vec<Piece>,
    left: Vec<Piece>,
}

type Piece = Result<&'static [u8], StoreError>;

impl Store for Slow {
    type Answer<'s> = Pieces;

    async fn find(&self, path: &[u8], _: Accept) -> Result<Lookup<Pieces>, StoreError> {
        let path = path.to_vec();
        self.0.pass().await;
        let all: Vec<Piece> = match &path[..] {
            b"/whole" => Vec::from([Ok(&b"one "[..]), Ok(b"two "), Ok(b"six\n")]),
            b"/broken" => Vec::from([Ok(&b"one "[..]), Err(StoreError::Failed)]),
            b"/full" => return Err(StoreError::OutOfMemory),
            b"/failed" => return Err(StoreError::Failed),
            _ => return Ok(Lookup::Missing),
        };
        Ok(Lookup::Found(Pieces {
            gate: self.0.clone(),
            left: all.clone(),
            all,
        }))
    }

    fn not_found(&self, _: Accept) -> impl Future<Output = Result<Lookup<Pieces>, StoreError>> {
        core::future::ready(Ok(Lookup::Missing))
    }
}

impl Answer for Pieces {
    type Chunk = Box<[u8]>;

    fn status(&self) -> u16 {
        200
    }

    fn head(&self) -> &[u8] {
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nETag: \"1\"\r\n"
    }

    fn not_modified(&self) -> &[u8] {
        b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n"
    }

    fn etag(&self) -> &[u8] {
        b"\"1\""
    }

    fn modified(&self) -> Option<u64> {
        None
    }

    fn select(&mut self, from: u64, to: u64) {
        let mut at = 0;
        let pieces = self.all.iter().map(|piece| {
            let piece = (*piece)?;
            let inside = |place: u64| (place.max(at) - at).min(piece.len() as u64) as usize;
            let part = &piece[inside(from)..inside(to)];
            at += piece.len() as u64;
            Ok(part)
        });
        self.left = pieces.filter(|piece| *piece != Ok(&b""[..])).collect();
    }

    async fn chunk(&mut self) -> Result<Option<Box<[u8]>>, StoreError> {
        self.gate.pass().await;
        if self.left.is_empty() {
            return Ok(None);
        }
        self.left.remove(0).map(|piece| Some(piece.into()))
    }
}

struct Talk {
    client: Client,
    gate: Gate,
    task: Task,
}

fn talk(path: &str) -> Talk {
    talk_with(path, "")
}

fn talk_with(path: &str, headers: &str) -> Talk {
    let (client, gate) = (Client::default(), Gate::default());
    let stats = Rc::new(Stats::default());
    let site = Service::new(Slow(gate.clone()), Now(NOW), Limits::default(), stats);
    let conn = client.conn();
    let task = Task::new(Box::pin(async move { site.serve(conn).await }));
    client.send(std::format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
    let mut talk = Talk { client, gate, task };
    talk.task.run();
    talk
}

impl Talk {
    fn open(&mut self, n: u32) -> String {
        self.gate.open(n);
        self.task.run();
        self.client.received()
    }
}

#[test]
fn a_body_in_pieces() {
    let mut talk = talk("/whole");
    assert_eq!(talk.client.received(), "");
    // However long the store takes, it is not the client who is late.
    talk.client.later(Duration::from_secs(1000));
    assert_eq!(talk.open(1), "");
    talk.client.later(Duration::from_secs(1000));
    let said = talk.open(1);
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\none "));
    assert!(talk.open(1).ends_with("\r\n\r\none two "));
    talk.client.later(Duration::from_secs(1000));
    assert!(talk.open(2).ends_with("\r\n\r\none two six\n"));
    // And the connection stays.
    talk.client
        .send(b"GET /whole HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"1\"\r\n\r\n");
    talk.task.run();
    assert!(
        talk.open(1)
            .contains("six\nHTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nDate: ")
    );
    assert!(!talk.task.over());
}

#[test]
fn a_body_that_breaks_off_ends_the_connection() {
    let mut talk = talk("/broken");
    let said = talk.open(9);
    assert!(said.ends_with("\r\n\r\none "));
    assert!(talk.task.over() && talk.client.aborted());
}

#[test]
fn a_store_that_fails() {
    for (path, status) in [("/full", 503), ("/failed", 500), ("/other", 404)] {
        let mut talk = talk(path);
        // What is not there is looked for in its folder, too.
        let said = talk.open(if status == 404 { 2 } else { 1 });
        assert!(
            said.starts_with(&std::format!("HTTP/1.1 {status} ")),
            "{said}"
        );
        assert!(!talk.task.over());
    }
}

/// Each piece waits for the store; nothing is promised before the first is there.
#[test]
fn parts_in_pieces() {
    let mut talk = talk_with("/whole", "Range: bytes=2-8\r\n");
    assert_eq!(talk.open(1), "");
    let text = talk.open(1);
    assert!(text.starts_with("HTTP/1.1 206 "), "{text}");
    assert!(text.ends_with("\r\n\r\ne "), "{text}");
    assert!(talk.open(1).ends_with("\r\n\r\ne two "));
    assert!(talk.open(2).ends_with("\r\n\r\ne two s"));
    assert!(!talk.task.over());

    let mut talk = talk_with("/whole", "Range: bytes=10-,0-1,4-4\r\n");
    let text = talk.open(100);
    let bodies: Vec<_> = text.split("/12\r\n\r\n").skip(1).collect();
    let bodies: Vec<_> = bodies
        .iter()
        .map(|b| b.split("\r\n").next().unwrap())
        .collect();
    assert_eq!(bodies, ["x\n", "on", "t"], "{text}");
    assert!(!talk.task.over());
}

#[test]
fn a_part_that_breaks() {
    let mut talk = talk_with("/broken", "Range: bytes=0-0,8-9\r\n");
    let text = talk.open(100);
    assert!(text.starts_with("HTTP/1.1 206 "), "{text}");
    assert!(talk.client.aborted() && talk.task.over());

    let mut talk = talk_with("/broken", "Range: bytes=8-9\r\n");
    assert!(talk.open(100).starts_with("HTTP/1.1 500 "));
    assert!(!talk.task.over());
}
