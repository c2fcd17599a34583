//! Conversations over HTTP.

pub(super) mod http_conversation {
    use std::cell::RefCell;
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::Duration;

    use www::http::{Limits, Service};
    use www::pack::Pack;
    use www::stats::Stats;
    use www::{Clock, Conn, ConnError};

    use super::super::pack::sample;
    use crate::input::Input;

    struct Stopped;

    impl Clock for Stopped {
        fn unix_time(&self) -> u64 {
            784_111_777
        }
    }

    /// How a client behaves who says the same.
    #[derive(Clone, Copy)]
    struct Manner {
        /// Bytes that arrive at once.
        chunk: usize,
        /// Bytes of an answer that it takes at once.
        window: usize,
        /// It says that it has said all, and does not fall silent.
        finishes: bool,
    }

    struct Talk<'a> {
        left: &'a [u8],
        got: Vec<u8>,
        manner: Manner,
        /// Every second operation has to wait.
        wait: bool,
        timed: bool,
        late: bool,
        over: bool,
    }

    struct Script<'a>(Rc<RefCell<Talk<'a>>>);

    impl Script<'_> {
        fn ready(&self, cx: &Context<'_>) -> Poll<Result<(), ConnError>> {
            let mut talk = self.0.borrow_mut();
            assert!(!talk.over, "used after the end");
            talk.wait = !talk.wait;
            if talk.late {
                Poll::Ready(Err(ConnError::TimedOut))
            } else if talk.wait {
                cx.waker().wake_by_ref();
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        }
    }

    impl Conn for Script<'_> {
        fn peer(&self) -> SocketAddr {
            ([127, 0, 0, 1], 1).into()
        }

        fn poll_read(
            &mut self,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<Result<usize, ConnError>> {
            std::task::ready!(self.ready(cx))?;
            let talk = &mut *self.0.borrow_mut();
            if talk.left.is_empty() && !talk.manner.finishes {
                return Poll::Pending;
            }
            let len = talk.manner.chunk.min(buf.len()).min(talk.left.len());
            let (now, later) = talk.left.split_at(len);
            buf[..len].copy_from_slice(now);
            talk.left = later;
            Poll::Ready(Ok(len))
        }

        fn poll_write(
            &mut self,
            cx: &mut Context<'_>,
            parts: &[&[u8]],
        ) -> Poll<Result<usize, ConnError>> {
            std::task::ready!(self.ready(cx))?;
            let talk = &mut *self.0.borrow_mut();
            let mut room = talk.manner.window;
            for part in parts {
                let len = part.len().min(room);
                talk.got.extend_from_slice(&part[..len]);
                room -= len;
            }
            Poll::Ready(Ok(talk.manner.window - room))
        }

        fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnError>> {
            std::task::ready!(self.ready(cx))?;
            Poll::Ready(Ok(()))
        }

        fn set_deadline(&mut self, after: Option<Duration>) {
            let mut talk = self.0.borrow_mut();
            talk.timed = after.is_some();
            talk.late = false;
        }

        fn abort(&mut self) {
            self.0.borrow_mut().over = true;
        }
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// All that the service says to someone who sends and takes as much as there is at once.
    pub(super) fn answered(said: &[u8]) -> Vec<u8> {
        let manner = Manner {
            chunk: usize::MAX,
            window: usize::MAX,
            finishes: true,
        };
        answers(said, manner)
    }

    /// All that the service says to it.
    fn answers(said: &[u8], manner: Manner) -> Vec<u8> {
        let pack = Pack::load(sample()).expect("a good pack");
        let stats = Rc::new(Stats::default());
        let service = Service::new(pack, Stopped, Limits::default(), Rc::clone(&stats));
        let talk = Rc::new(RefCell::new(Talk {
            left: said,
            got: Vec::new(),
            manner,
            wait: false,
            timed: false,
            late: false,
            over: false,
        }));
        let mut serving = pin!(service.serve(Script(Rc::clone(&talk))));
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let mut deadlines = 0;
        let mut turns = 0;
        while serving
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            turns += 1;
            let bound = 1000 + 8 * (said.len() + talk.borrow().got.len());
            assert!(turns < bound, "{turns} turns for {} bytes", said.len());
            if !flag.0.swap(false, Ordering::Relaxed) {
                let mut talk = talk.borrow_mut();
                assert!(talk.timed, "waits for ever");
                talk.late = true;
                deadlines += 1;
                assert!(deadlines < 5, "never gives up");
            }
        }
        assert_eq!(service.active(), 0);
        let got = std::mem::take(&mut talk.borrow_mut().got);
        assert_eq!(stats.bytes.get(), got.len() as u64);
        got
    }

    /// Whatever a client says, the conversation ends, and how the bytes arrive changes no answer.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let (manner, chunk, window) = (input.u8(), input.u8(), input.u8());
        let said = input.rest();
        let finishes = manner & 1 == 0;
        let at_once = Manner {
            chunk: usize::MAX,
            window: usize::MAX,
            finishes,
        };
        let in_pieces = Manner {
            chunk: usize::from(chunk) + 1,
            window: (usize::from(window) + 1) * 16,
            finishes,
        };
        let got = answers(said, at_once);
        assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 "));
        let pieces = answers(said, in_pieces);
        if got == pieces {
            return;
        }
        // Why a head is refused that has no end may depend on how much of it was there to see.
        let last = b"HTTP/1.1 ";
        let split = |got: &[u8]| {
            let at = got.windows(last.len()).rposition(|window| window == last);
            let (before, refusal) = got.split_at(at.unwrap_or(0));
            let refused = refusal
                .get(last.len())
                .is_some_and(|digit| b"45".contains(digit));
            (before.to_vec(), refused)
        };
        let text = String::from_utf8_lossy;
        assert!(
            split(&got) == split(&pieces) && split(&got).1,
            "{:?}: {:?} and {:?}",
            text(said),
            text(&got),
            text(&pieces)
        );
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "\0\0\0GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /old HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{1}\u{9}\u{1}HEAD /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "\0\u{1}\u{7}POST /page HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcdeGET / HTTP/1.0\r\n\r\n",
            "\0\u{3}\u{3}GET http://a/a%20b?x=y HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br;q=0.5, gzip\r\n\
             If-None-Match: W/\"x\", \"y\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
            "\u{1}\u{2}\0OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nExpect: 100-continue\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
            "\0\u{5}\u{2}GET /page HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,2-3,-1\r\nIf-Range: \"x\"\r\n\r\n\
             GET /page HTTP/1.1\r\nHost: a\r\nRange: bytes=9999-\r\nAccept-Encoding: gzip\r\n\r\n",
            "\0\u{9}\u{9}GET /page/?x=%20/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /page/index.html HTTP/1.1\r\n\
             Host: a\r\nRange: bytes=1-1\r\n\r\nGET /gone HTTP/1.1\r\nHost: a\r\n\r\n",
            "\0\u{20}\u{20}GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\nRange: bytes=0-1\r\n\r\n",
        ])
    }
}

pub(super) mod http_ranges {
    use super::super::pack::long;
    use super::http_conversation::answered;

    /// Whatever stands in `Range`: the bytes that the answer says it has, or all, or a refusal.
    pub(in super::super) fn run(bytes: &[u8]) {
        let line_ends = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        let value: Vec<u8> = bytes
            .iter()
            .filter(|byte| !line_ends(byte))
            .copied()
            .collect();
        let asked = [
            b"GET /a%20b HTTP/1.1\r\nHost: a\r\nRange: ",
            &value[..],
            b"\r\n\r\n",
        ];
        let got = answered(&asked.concat());
        let head = got
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a head");
        let (head, body) = (&got[..head], &got[head + 4..]);
        let head = std::str::from_utf8(head).expect("a head");
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        assert_eq!(field("Content-Length"), Some(&*body.len().to_string()));
        let whole = long();
        match &head[9..12] {
            "206" => match field("Content-Range") {
                Some(range) => assert!(body == part(range)),
                None => parts(body, field("Content-Type").expect("a type")),
            },
            "200" => assert!(body == whole),
            "416" => assert_eq!(field("Content-Range"), Some("bytes */3000")),
            // What no header field may hold.
            status => assert!(matches!(status, "400" | "431"), "{status}"),
        }
    }

    /// The bytes that `Content-Range` speaks of.
    fn part(range: &str) -> Vec<u8> {
        let range = range
            .strip_prefix("bytes ")
            .and_then(|r| r.strip_suffix("/3000"));
        let (first, last) = range.and_then(|r| r.split_once('-')).expect("a range");
        let number = |digits: &str| digits.parse::<usize>().expect("a number");
        long()[number(first)..=number(last)].to_vec()
    }

    fn parts(body: &[u8], media_type: &str) {
        let boundary = media_type.split("boundary=").nth(1).expect("a boundary");
        let mut rest = body;
        let mut sent = 0;
        loop {
            let delimiter = format!("\r\n--{boundary}");
            rest = rest
                .strip_prefix(delimiter.as_bytes())
                .expect("a delimiter");
            if rest == b"--\r\n" {
                break;
            }
            let end = rest
                .windows(4)
                .position(|w| w == b"\r\n\r\n")
                .expect("a head");
            let head = std::str::from_utf8(&rest[..end]).expect("a head");
            let range = head.split("Content-Range: ").nth(1).expect("a range");
            let bytes = part(range);
            rest = rest[end + 4..].strip_prefix(&bytes[..]).expect("its bytes");
            sent += bytes.len();
        }
        // Nobody gets more than there is.
        assert!(sent <= 3000);
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "bytes=0-0",
            "bytes=0-0,2-2,4-5,-1",
            "bytes=2990-, -100, 5-4",
            "bytes=3000-,99999999999999999999-",
            "bytes=0-,0-,0-,1-2999",
            "Bytes=, 1-2 ,,3-4",
        ])
    }
}
