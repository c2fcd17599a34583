use std::string::{String, ToString};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::vec::Vec;
use std::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::xenstore::codec::PAYLOAD_MAX;

/// A request as the daemon sees it.
type Seen = (Kind, u32, u32, String);

/// Takes what the connection sends, one message at a time.
fn sent(connection: &mut Connection) -> Vec<Seen> {
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    while !connection.output().is_empty() {
        let bytes = connection.output().to_vec();
        connection.sent(bytes.len());
        let mut input = &bytes[..];
        while let Some(m) = decoder.next(&mut input).unwrap() {
            let payload = String::from_utf8_lossy(m.payload).to_string();
            seen.push((m.kind, m.req_id, m.tx_id, payload));
        }
    }
    seen
}

fn say(connection: &mut Connection, kind: Kind, req_id: u32, payload: &[u8]) {
    let mut out = VecDeque::new();
    codec::encode(&mut out, kind, req_id, 0, &[payload]).unwrap();
    connection.input(out.make_contiguous());
}

fn poll(connection: &mut Connection, id: ReqId) -> Poll<Result<Vec<u8>, StoreError>> {
    connection.poll_reply(id, Waker::noop())
}

fn read(connection: &mut Connection, path: &str) -> ReqId {
    let parts = [path.as_bytes(), b"\0"];
    connection.request(Kind::Read, 0, &parts).unwrap()
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_request_and_its_answer() {
    let mut c = Connection::new();
    let id = read(&mut c, "domid");
    assert_eq!(sent(&mut c), [(Kind::Read, id.0, 0, "domid\0".to_string())]);
    assert_eq!(poll(&mut c, id), Poll::Pending);
    say(&mut c, Kind::Read, id.0, b"7");
    assert_eq!(poll(&mut c, id), Poll::Ready(Ok(b"7".to_vec())));
    assert_eq!(poll(&mut c, id), Poll::Ready(Err(StoreError::Broken)));
    assert_eq!(c.broken(), None);
}

#[test]
fn answers_come_in_any_order_and_wake_their_own() {
    let mut c = Connection::new();
    let ids: Vec<ReqId> = (0..5).map(|n| read(&mut c, &format!("k{n}"))).collect();
    let counts: Vec<Arc<Count>> = (0..5).map(|_| Arc::default()).collect();
    for (id, count) in ids.iter().zip(&counts) {
        let waker = Waker::from(Arc::clone(count));
        assert_eq!(c.poll_reply(*id, &waker), Poll::Pending);
    }
    for (turn, n) in [3, 0, 4, 1, 2].into_iter().enumerate() {
        say(&mut c, Kind::Read, ids[n].0, format!("v{n}").as_bytes());
        assert_eq!(counts[n].0.load(Ordering::Relaxed), 1);
        let woken: usize = counts.iter().map(|c| c.0.load(Ordering::Relaxed)).sum();
        assert_eq!(woken, turn + 1);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let value = format!("v{n}").into_bytes();
        assert_eq!(poll(&mut c, id), Poll::Ready(Ok(value)));
    }
}

#[test]
fn errors_are_told_by_name() {
    let mut c = Connection::new();
    for (payload, errno) in [
        (&b"ENOENT\0"[..], Errno::ENOENT),
        (b"EACCES\0", Errno::EACCES),
        (b"EWHATEVER\0", Errno::Unknown),
    ] {
        let id = read(&mut c, "x");
        say(&mut c, Kind::Error, id.0, payload);
        let refused = Err(StoreError::Refused(errno));
        assert_eq!(poll(&mut c, id), Poll::Ready(refused));
    }
}

const RING: Lie = Lie::Ring(Broken::Indices {
    produced: 5000,
    consumed: 0,
});

#[test]
fn lies_break_the_connection_and_wake_everybody() {
    let huge = codec::Header {
        kind: Kind::Read as u32,
        req_id: 1,
        tx_id: 0,
        len: u32::MAX,
    };
    let odd = codec::Header {
        kind: 0xffff,
        len: 0,
        ..huge
    };
    type Lying = (fn(&mut Connection, u32), Lie);
    let lies: [Lying; 5] = [
        (
            |c, id| say(c, Kind::Read, id + 1, b"v"),
            Lie::NoSuchRequest(2),
        ),
        (
            |c, id| say(c, Kind::Directory, id, b""),
            Lie::WrongType(Kind::Read, Kind::Directory),
        ),
        (
            |c, id| say(c, Kind::WatchEvent, id, b"path\0"),
            Lie::BadEvent,
        ),
        (
            |c, _| {
                let start = c.request(Kind::TransactionStart, 0, &[b"\0"]).unwrap();
                say(c, Kind::TransactionStart, start.0, b"0\0");
            },
            Lie::BadTransaction,
        ),
        (|c, _| c.fail(RING), RING),
    ];
    let headers = [
        (huge, DecodeError::TooLong(u32::MAX)),
        (odd, DecodeError::UnknownType(0xffff)),
    ];
    let check = |tell: &dyn Fn(&mut Connection, u32), lie: Lie| {
        let mut c = Connection::new();
        let id = read(&mut c, "x");
        let (token, watch) = c.watch(b"w").unwrap();
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        c.sent(usize::MAX);
        // Request 1 waits, request 2 is answered, so that only the lie is one.
        say(&mut c, Kind::Watch, watch.0, b"OK\0");
        assert_eq!(poll(&mut c, watch), Poll::Ready(Ok(vec![])));
        assert_eq!(c.poll_reply(id, &waker), Poll::Pending);
        assert_eq!(c.poll_watch(token, &waker), Poll::Pending);
        tell(&mut c, id.0);
        assert_eq!(c.broken(), Some(lie));
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "{lie}");
        assert_eq!(poll(&mut c, id), Poll::Ready(Err(StoreError::Broken)));
        let watched = c.poll_watch(token, Waker::noop());
        assert_eq!(watched, Poll::Ready(Err(StoreError::Broken)));
        let refused = c.request(Kind::Read, 0, &[b"x\0"]);
        assert_eq!(refused, Err(StoreError::Broken));
        assert_eq!(c.watch(b"w"), Err(StoreError::Broken));
        c.unwatch(token);
        assert!(c.output().is_empty());
        say(&mut c, Kind::Read, id.0, b"too late");
        assert_eq!(c.broken(), Some(lie), "the first lie is the one to tell");
    };
    for (tell, lie) in lies {
        check(&tell, lie);
    }
    for (header, error) in headers {
        check(&|c, _| c.input(&header.encode()), Lie::Stream(error));
    }
}

#[test]
fn a_second_answer_is_a_lie() {
    let mut c = Connection::new();
    let id = read(&mut c, "x");
    say(&mut c, Kind::Read, id.0, b"1");
    say(&mut c, Kind::Read, id.0, b"2");
    assert_eq!(c.broken(), Some(Lie::NoSuchRequest(id.0)));
    assert_eq!(poll(&mut c, id), Poll::Ready(Ok(b"1".to_vec())));
}

#[test]
fn the_answer_to_an_abandoned_request_is_discarded() {
    let mut c = Connection::new();
    let id = read(&mut c, "x");
    c.abandon(id);
    say(&mut c, Kind::Read, id.0, b"1");
    assert_eq!(c.broken(), None);
    assert!(c.pending.is_empty());
    let id = read(&mut c, "x");
    say(&mut c, Kind::Read, id.0, b"1");
    c.abandon(id);
    assert!(c.pending.is_empty());
}

#[test]
fn a_transaction_that_nobody_waits_for_is_ended() {
    for late in [false, true] {
        let mut c = Connection::new();
        let id = c.request(Kind::TransactionStart, 0, &[b"\0"]).unwrap();
        sent(&mut c);
        if late {
            say(&mut c, Kind::TransactionStart, id.0, b"23\0");
            c.abandon(id);
        } else {
            c.abandon(id);
            say(&mut c, Kind::TransactionStart, id.0, b"23\0");
        }
        let seen = sent(&mut c);
        let end = (Kind::TransactionEnd, id.0 + 1, 23, "F\0".to_string());
        assert_eq!(seen, [end]);
        say(&mut c, Kind::TransactionEnd, id.0 + 1, b"OK\0");
        assert_eq!(c.broken(), None);
        assert!(c.pending.is_empty());
    }
}

#[test]
fn watches_fire_once_for_a_storm() {
    let mut c = Connection::new();
    let (token, id) = c.watch(b"device/vif").unwrap();
    assert_eq!(
        sent(&mut c),
        [(Kind::Watch, id.0, 0, "device/vif\x001\0".to_string())]
    );
    let count = Arc::<Count>::default();
    let waker = Waker::from(Arc::clone(&count));
    say(&mut c, Kind::Watch, id.0, b"OK\0");
    assert_eq!(poll(&mut c, id), Poll::Ready(Ok(vec![])));
    assert_eq!(c.poll_watch(token, &waker), Poll::Pending);
    for _ in 0..10_000 {
        say(&mut c, Kind::WatchEvent, 0, b"device/vif/0\x001\0");
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(c.poll_watch(token, &waker), Poll::Ready(Ok(())));
    assert_eq!(c.poll_watch(token, &waker), Poll::Pending);
    assert!(c.pending.is_empty() && c.out.is_empty());
}

#[test]
fn events_of_unknown_tokens_are_nobodys() {
    let mut c = Connection::new();
    let (first, id) = c.watch(b"a").unwrap();
    say(&mut c, Kind::Watch, id.0, b"OK\0");
    assert_eq!(poll(&mut c, id), Poll::Ready(Ok(vec![])));
    c.unwatch(first);
    let seen = sent(&mut c);
    let unwatch = (Kind::Unwatch, id.0 + 1, 0, "a\x001\0".to_string());
    assert_eq!(seen.last(), Some(&unwatch));
    for token in ["1", "FE", "", "99999999999"] {
        say(
            &mut c,
            Kind::WatchEvent,
            0,
            format!("a\0{token}\0").as_bytes(),
        );
    }
    say(&mut c, Kind::Unwatch, id.0 + 1, b"OK\0");
    assert_eq!(c.broken(), None);
    let (second, _) = c.watch(b"a").unwrap();
    assert_ne!(first, second);
}

#[test]
fn everything_is_bounded() {
    let mut c = Connection::new();
    let ids: Vec<ReqId> = (0..PENDING_MAX).map(|_| read(&mut c, "x")).collect();
    let refused = c.request(Kind::Read, 0, &[b"x\0"]);
    assert_eq!(refused, Err(StoreError::Busy));
    for _ in PENDING_MAX..CLEANING_MAX {
        c.send(Kind::TransactionEnd, 1, &[b"F\0"]).unwrap();
    }
    let refused = c.send(Kind::TransactionEnd, 1, &[b"F\0"]);
    assert_eq!(refused, Err(StoreError::Busy));
    say(&mut c, Kind::Read, ids[9].0, b"v");
    assert!(poll(&mut c, ids[9]).is_ready());

    let mut c = Connection::new();
    for _ in 0..WATCHES_MAX {
        let (_, id) = c.watch(b"x").unwrap();
        say(&mut c, Kind::Watch, id.0, b"OK\0");
        assert!(poll(&mut c, id).is_ready());
    }
    assert_eq!(c.watch(b"x"), Err(StoreError::Busy));

    let mut c = Connection::new();
    let long = vec![b'x'; PAYLOAD_MAX];
    let refused = c.request(Kind::Write, 0, &[b"p\0", &long]);
    assert_eq!(refused, Err(StoreError::Unsendable));
    assert!(c.pending.is_empty() && c.out.is_empty());
}

#[test]
fn request_numbers_wrap_around_those_in_use() {
    let mut c = Connection::new();
    let old = read(&mut c, "x");
    c.last_req_id = u32::MAX - 1;
    let ids = [read(&mut c, "a"), read(&mut c, "b"), read(&mut c, "c")];
    assert_eq!(ids.map(|id| id.0), [u32::MAX, 0, 2]);
    assert_eq!(old.0, 1);
    let mut digits = [0; 10];
    assert_eq!(decimal(u32::MAX, &mut digits), b"4294967295");
    assert_eq!(decimal(0, &mut digits), b"0");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), asked in 0usize..5) {
        let mut c = Connection::new();
        let ids: Vec<ReqId> = (0..asked).map(|_| read(&mut c, "x")).collect();
        for chunk in bytes.chunks(7) {
            c.input(chunk);
        }
        for id in ids {
            let _ = poll(&mut c, id);
        }
    }

    /// Messages that are well-formed, but in any order and about anything.
    #[test]
    fn no_messages_make_it_panic_or_grow(
        messages in prop::collection::vec((0u32..23, 0u32..6, prop::sample::select(vec![
            &b""[..], b"OK\0", b"1\0", b"EAGAIN\0", b"a\x001\0", b"\xff",
        ])), 0..40),
    ) {
        let mut c = Connection::new();
        let (token, _) = c.watch(b"a").unwrap();
        let start = c.request(Kind::TransactionStart, 0, &[b"\0"]).unwrap();
        let id = read(&mut c, "x");
        for (kind, req_id, payload) in messages {
            let Some(kind) = Kind::from_u32(kind) else { continue };
            say(&mut c, kind, req_id, payload);
            let _ = c.poll_watch(token, Waker::noop());
        }
        c.abandon(start);
        let _ = poll(&mut c, id);
        prop_assert!(c.pending.len() <= 3 && c.out.len() < 100);
    }
}
