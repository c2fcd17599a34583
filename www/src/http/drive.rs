//! The conversation with one client.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};

use super::Service;
use super::access::{Access, Sent};
use super::canned::{self, Canned};
use super::composed::Composed;
use super::input::Input;
use super::plan::{Plan, failed};
use super::request::{self, Method, Parsed, Persist, Request};
use super::seats::Seat;
use crate::seam::{Clock, Conn, ConnError};
use crate::store::{Answer, Store};
use crate::turn::pass;

/// Answers one after the other, and bytes of one, before others get their turn.
const ANSWERS_A_TURN: u32 = 64;
pub(super) const BYTES_A_TURN: usize = 256 * 1024;

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All is said.
    Close,
    /// The client is gone, or has to go.
    Abort,
}

enum Next {
    Request(Request),
    /// This is the last answer.
    Refuse(&'static Canned),
    End(End),
}

impl<S: Store, T: Clock> Service<S, T> {
    /// Serves one connection until it ends. Dropping this resets the connection.
    pub async fn serve<C: Conn>(&self, mut conn: C) {
        self.stats.connections.count();
        let full = self.seats.staying() >= self.limits.connections;
        let seat = if full && !self.reap() {
            None
        } else {
            self.seats.take()
        };
        let Some(seat) = seat else {
            self.stats.refused.count();
            return conn.abort();
        };
        let mut input = Input::default();
        let end = self.converse(&mut conn, &seat, &mut input).await;
        input.consume(usize::MAX);
        input.rest(&self.pool);
        if end == End::Close {
            conn.set_deadline(Some(self.limits.close_time));
            let closed = poll_fn(|cx| {
                // Someone who only waits for the end can be spared as well.
                if seat.wait(cx) {
                    conn.poll_close(cx)
                } else {
                    Poll::Ready(Err(ConnError::Reset))
                }
            });
            if closed.await.is_ok() {
                return;
            }
        }
        conn.abort();
    }

    async fn converse<C: Conn>(&self, conn: &mut C, seat: &Seat<'_>, input: &mut Input) -> End {
        conn.set_deadline(Some(self.limits.head_time));
        let mut first = true;
        let mut in_a_row = 0;
        loop {
            let request = match self.next(conn, seat, input, first, &mut in_a_row).await {
                Next::Request(request) => request,
                Next::Refuse(canned) => {
                    conn.set_deadline(Some(self.limits.write_time));
                    self.stats.answered(canned.status);
                    let access = self.note(conn, b"");
                    let sent = self
                        .send_canned(conn, seat, canned, Persist::Close, false)
                        .await;
                    if let Some(access) = access {
                        let head = canned.head.as_bytes();
                        self.log(access, canned.status, head, sent.is_ok(), false);
                    }
                    return if sent.is_ok() { End::Close } else { End::Abort };
                }
                Next::End(end) => return end,
            };
            first = false;
            seat.work();
            if let Err(end) = self.answer(conn, seat, input, &request).await {
                return end;
            }
            in_a_row += 1;
            if in_a_row == ANSWERS_A_TURN {
                in_a_row = 0;
                conn.set_deadline(Some(self.limits.idle_time));
                pass().await;
            }
        }
    }

    /// Waits for the next request. `in_a_row` becomes zero if that takes waiting.
    async fn next<C: Conn>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        input: &mut Input,
        first: bool,
        in_a_row: &mut u32,
    ) -> Next {
        // The first request has its deadline since the beginning.
        let mut idle_timed = first;
        let mut head_timed = first;
        let mut unseen = !input.is_empty();
        poll_fn(|cx| {
            loop {
                if core::mem::take(&mut unseen) {
                    match request::parse(input.bytes(), &self.limits) {
                        Parsed::Request(request) => return Poll::Ready(Next::Request(request)),
                        Parsed::Refused(canned) => return Poll::Ready(Next::Refuse(canned)),
                        Parsed::Partial => {}
                    }
                }
                let idle = input.is_empty();
                let Ok(room) = input.room(&self.pool) else {
                    return Poll::Ready(Next::Refuse(&canned::UNAVAILABLE));
                };
                match conn.poll_read(cx, room) {
                    Poll::Ready(Ok(0)) if idle => return Poll::Ready(Next::End(End::Close)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Next::Refuse(&canned::BAD_REQUEST)),
                    Poll::Ready(Ok(n)) => {
                        // A head ends with a line: what ends none need not be read again.
                        let ends = |room: &[u8]| memchr::memchr(b'\n', room).is_some();
                        unseen = idle || n >= room.len() || ends(&room[..n]);
                        input.received(n);
                    }
                    Poll::Ready(Err(ConnError::TimedOut)) => {
                        self.stats.timed_out.count();
                        return Poll::Ready(match idle {
                            true => Next::End(End::Close),
                            false => Next::Refuse(&canned::TIMEOUT),
                        });
                    }
                    Poll::Ready(Err(ConnError::Reset)) => {
                        return Poll::Ready(Next::End(End::Abort));
                    }
                    Poll::Pending => {
                        *in_a_row = 0;
                        input.rest(&self.pool);
                        if !seat.wait(cx) {
                            return Poll::Ready(Next::End(End::Abort));
                        }
                        if idle {
                            if self.draining.get() {
                                return Poll::Ready(Next::End(End::Close));
                            }
                            if !core::mem::replace(&mut idle_timed, true) {
                                conn.set_deadline(Some(self.limits.idle_time));
                            }
                        } else if !core::mem::replace(&mut head_timed, true) {
                            conn.set_deadline(Some(self.limits.head_time));
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Answers one request, and takes it out of the input.
    async fn answer<C: Conn>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        input: &mut Input,
        request: &Request,
    ) -> Result<(), End> {
        let access = self.note(conn, input.bytes().get(..request.len).unwrap_or_default());
        let mut plan = self.plan(conn, input, request).await;
        let no_body = request.method == Method::Head;
        // Nothing is promised before there is a first piece to send.
        let mut first = None;
        if let Some(answer) = plan.body()
            && !no_body
        {
            match self.timed(conn, answer.chunk()).await {
                Ok(chunk) => first = chunk,
                Err(error) => plan = Plan::Canned(failed(error)),
            }
        }
        let status = plan.status();
        input.consume(request.len);
        if input.is_empty() {
            input.rest(&self.pool);
        }
        let persist = match request.persist {
            _ if self.draining.get() || request.body > self.limits.body => Persist::Close,
            persist => persist,
        };
        let sent = match &mut plan {
            Plan::Page(answer) if !no_body => {
                self.send_page(conn, seat, answer, None, first, persist)
                    .await
            }
            Plan::Part(answer, made) => {
                self.send_page(conn, seat, answer, Some(&made[0]), first, persist)
                    .await
            }
            plan => {
                let tail = self.tail(persist);
                let (head, body) = plan.at_once();
                let body = if no_body { b"" } else { body };
                self.write(conn, seat, &mut [head, tail.bytes(), body])
                    .await
            }
        };
        self.stats.answered(status);
        if let Some(access) = access {
            self.log(access, status, plan.head(), sent.is_ok(), no_body);
        }
        if let Err(error) = sent {
            if error == ConnError::TimedOut {
                self.stats.timed_out.count();
            }
            return Err(End::Abort);
        }
        if persist == Persist::Close {
            return Err(End::Close);
        }
        if request.body > 0 {
            return self.discard(conn, input, request.body).await;
        }
        Ok(())
    }

    /// What the access log will say, if there is one.
    fn note<C: Conn>(&self, conn: &C, head: &[u8]) -> Option<Access> {
        self.access_log.then(|| Access::note(conn.peer(), head))
    }

    #[cold]
    fn log(&self, access: Access, status: u16, head: &[u8], sent: bool, no_body: bool) {
        let sent = match (sent, no_body) {
            (false, _) => Sent::Part,
            (true, true) => Sent::Nothing,
            (true, false) => Sent::All,
        };
        access.log(self.clock.unix_time(), status, head, sent);
    }

    /// Waits for the store. If that takes time, the deadline of reading must not end it.
    pub(super) async fn timed<C: Conn, O>(
        &self,
        conn: &mut C,
        asked: impl Future<Output = O>,
    ) -> O {
        let mut asked = pin!(asked);
        let mut timed = false;
        poll_fn(|cx| {
            let polled = asked.as_mut().poll(cx);
            if polled.is_pending() && !core::mem::replace(&mut timed, true) {
                conn.set_deadline(None);
            }
            if polled.is_ready() && timed {
                conn.set_deadline(Some(self.limits.write_time));
            }
            polled
        })
        .await
    }

    async fn send_canned<C: Conn>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        canned: &'static Canned,
        persist: Persist,
        no_body: bool,
    ) -> Result<(), ConnError> {
        let tail = self.tail(persist);
        let body = if no_body { "" } else { canned.body };
        self.write(
            conn,
            seat,
            &mut [canned.head.as_bytes(), tail.bytes(), body.as_bytes()],
        )
        .await
    }

    /// Sends a body of the store, or the parts of it that `made` says, with what stands between them.
    /// `first` is the first piece.
    async fn send_page<C: Conn, A: Answer>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        answer: &mut A,
        made: Option<&Composed>,
        mut first: Option<A::Chunk>,
        persist: Persist,
    ) -> Result<(), ConnError> {
        let tail = self.tail(persist);
        let mut turn = 0;
        let mut begun = false;
        let mut at = 0;
        let mut lead = made.map_or(&b""[..], |made| made.lead(0));
        loop {
            let chunk = if !lead.is_empty() {
                None
            } else if let Some(first) = first.take() {
                Some(first)
            } else {
                // The head is promised by now; what fails from here on can only break off.
                let chunk = self.timed(conn, answer.chunk()).await;
                chunk.map_err(|_| ConnError::Reset)?
            };
            let bytes = match &chunk {
                Some(chunk) => chunk.as_ref(),
                None => core::mem::take(&mut lead),
            };
            if bytes.is_empty() && begun {
                // This part is at its end, or all of it.
                let Some(made) = made else { return Ok(()) };
                at += 1;
                lead = made.lead(at);
                match made.part(at) {
                    Some(part) => answer.select(part.from, part.to),
                    None if lead.is_empty() => return Ok(()),
                    None => {}
                }
                continue;
            }
            let parts = &mut [b"", b"", bytes];
            if !core::mem::replace(&mut begun, true) {
                parts[0] = made.map_or(answer.head(), Composed::head);
                parts[1] = tail.bytes();
            }
            self.write_in_turns(conn, seat, parts, answer.more(), &mut turn)
                .await?;
            if made.is_some_and(|made| made.part(at).is_none()) {
                return Ok(());
            }
        }
    }

    fn tail(&self, persist: Persist) -> super::tail::Tail {
        self.tails.get(self.clock.unix_time(), persist)
    }

    async fn write<C: Conn>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        parts: &mut [&[u8]; 3],
    ) -> Result<(), ConnError> {
        self.write_in_turns(conn, seat, parts, 0, &mut 0).await
    }

    /// Writes all parts, of a message that has `more` bytes behind them. The deadline is that of progress, once it takes more than one turn. `turn`
    /// counts the bytes of this one.
    async fn write_in_turns<C: Conn>(
        &self,
        conn: &mut C,
        seat: &Seat<'_>,
        parts: &mut [&[u8]; 3],
        more: usize,
        turn: &mut usize,
    ) -> Result<(), ConnError> {
        let mut progress = true;
        let mut stalled = false;
        poll_fn(|cx| {
            loop {
                if parts.iter().all(|p| p.is_empty()) {
                    return Poll::Ready(Ok(()));
                }
                // A kernel's socket takes megabytes at once, which takes long.
                let [head, tail, body] = *parts;
                let body = &body[..body.len().min(BYTES_A_TURN)];
                let passed = *turn >= BYTES_A_TURN;
                let polled = match passed {
                    true => Poll::Pending,
                    false => conn.poll_write_of(cx, &[head, tail, body], more),
                };
                match polled {
                    // A connection that takes nothing would keep us here for ever.
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(ConnError::Reset)),
                    Poll::Ready(Ok(n)) => {
                        self.stats.bytes.add(n as u64);
                        advance(parts, n);
                        *turn = turn.saturating_add(n);
                        progress = true;
                        if core::mem::take(&mut stalled) {
                            seat.work();
                        }
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        *turn = 0;
                        if passed {
                            cx.waker().wake_by_ref();
                        } else if !seat.stall(cx) {
                            return Poll::Ready(Err(ConnError::Reset));
                        } else {
                            stalled = true;
                        }
                        if core::mem::take(&mut progress) {
                            conn.set_deadline(Some(self.limits.write_time));
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Reads `left` bytes of a body and drops them.
    async fn discard<C: Conn>(
        &self,
        conn: &mut C,
        input: &mut Input,
        mut left: u64,
    ) -> Result<(), End> {
        conn.set_deadline(Some(self.limits.head_time));
        poll_fn(|cx: &mut Context<'_>| {
            loop {
                let held = input
                    .bytes()
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                input.consume(held);
                left -= held as u64;
                if left == 0 {
                    return Poll::Ready(Ok(()));
                }
                let room = input.room(&self.pool).map_err(|_| End::Abort)?;
                match conn.poll_read(cx, room) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(End::Close)),
                    Poll::Ready(Ok(n)) => input.received(n),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Abort)),
                    Poll::Pending => {
                        input.rest(&self.pool);
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }
}

/// Takes `n` bytes off the front.
fn advance(parts: &mut [&[u8]], mut n: usize) {
    for part in parts {
        let here = n.min(part.len());
        *part = &part[here..];
        n -= here;
    }
}
