//! Where content lives: the seam between HTTP and the pack, or the volumes that hold a site
//! instead.
//!
//! A store finds what answers for a path, and hands out its body in pieces. Everything that it says
//! is in the form in which it is sent: see [`pack`](crate::pack) for what heads are.

mod made;

use core::fmt;
use core::future::{Future, poll_fn, ready};
use core::ops::Range;
use core::task::{Context, Poll, ready};

use crate::encoding::{Accept, Encoding};
use crate::fat::{FatAnswer, FatChunk, FatStore, Finding, Waiting};
use crate::pack::{Entry, Pack};
use crate::sectors::Sectors;

pub use made::{MadeAnswer, MadeChunk};

/// A site.
pub trait Store {
    /// What answers for one request.
    type Answer<'s>: Answer
    where
        Self: 's;

    /// Looks for what answers for `path`, in the encoding that the client likes best. The path is
    /// decoded and absolute, without `.` and `..` segments and without NUL; it may have empty
    /// segments and need not be UTF-8. Cancelling it loses nothing.
    fn find(
        &self,
        path: &[u8],
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<Self::Answer<'_>>, StoreError>>;

    /// The page for paths that are not there, if the site has one.
    fn not_found(
        &self,
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<Self::Answer<'_>>, StoreError>>;

    /// Writes what it has counted behind what the service has, each with `; ` before it.
    fn report(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// What looking for a path comes to.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<A> {
    /// This answers.
    Found(A),
    /// There is nothing at this path.
    Missing,
    /// There is something, in no encoding that the client accepts.
    NotAcceptable,
}

/// Why a store does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// What it stands on failed, or holds what it should not.
    Failed,
    /// What it stands on is away: it may come back.
    Away,
    /// It has no memory for it now.
    OutOfMemory,
}

/// One representation, ready to be sent.
pub trait Answer {
    /// A piece of the body.
    type Chunk: AsRef<[u8]>;

    /// 200, 301, 302, 307, 308, 404 or 410; 500 for a page that its author has to mend.
    fn status(&self) -> u16;
    /// Status line and header lines, without `Date`, `Connection` and the empty line.
    fn head(&self) -> &[u8];
    /// The same for a 304; empty unless the status is 200.
    fn not_modified(&self) -> &[u8];
    /// The strong entity tag with its quotes; empty unless the status is 200.
    fn etag(&self) -> &[u8];
    /// When it was last modified, in seconds since 1970.
    fn modified(&self) -> Option<u64>;
    /// From now on, the pieces are those of the body's bytes `from` to before `to`, from their
    /// beginning. They are bytes of the body, and there is one at least. Others are not read.
    fn select(&mut self, from: u64, to: u64);
    /// The next piece of the body, `None` at its end. All pieces together are as long as the head
    /// says. Cancelling it may lose the piece.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Self::Chunk>, StoreError>>;
    /// Bytes of the body that are still to come, as far as is known, once a piece was given.
    fn more(&self) -> usize {
        0
    }
}

impl<A> Lookup<A> {
    fn map<B>(self, f: impl FnOnce(A) -> B) -> Lookup<B> {
        match self {
            Self::Found(answer) => Lookup::Found(f(answer)),
            Self::Missing => Lookup::Missing,
            Self::NotAcceptable => Lookup::NotAcceptable,
        }
    }
}

impl<'a> Store for Pack<'a> {
    type Answer<'s>
        = PackAnswer<'a>
    where
        Self: 's;

    fn find(
        &self,
        path: &[u8],
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<PackAnswer<'a>>, StoreError>> {
        ready(Ok(PackAnswer::of(Pack::find(self, path), accept)))
    }

    fn not_found(
        &self,
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<PackAnswer<'a>>, StoreError>> {
        ready(Ok(PackAnswer::of(Pack::not_found(self), accept)))
    }
}

/// An entry of a pack, in one encoding.
#[derive(Clone)]
pub struct PackAnswer<'a> {
    head: &'a [u8],
    not_modified: &'a [u8],
    etag: &'a [u8],
    body: &'a [u8],
    modified: Option<u64>,
    /// What of the body is still to be given: it has less than 4 GiB.
    left: Range<u32>,
    status: u16,
    encoding: Encoding,
}

impl<'a> PackAnswer<'a> {
    #[inline]
    fn of(entry: Option<Entry<'a>>, accept: Accept) -> Lookup<Self> {
        let Some(entry) = entry else {
            return Lookup::Missing;
        };
        // A redirect has no content that could be encoded.
        let accept = if entry.status() / 100 == 3 {
            Accept::IDENTITY
        } else {
            accept
        };
        let Some(variant) = entry.pick(accept) else {
            return Lookup::NotAcceptable;
        };
        // A pack that was loaded has all bodies in it.
        let body = variant.body.here().unwrap_or_default();
        Lookup::Found(Self {
            head: variant.head,
            not_modified: variant.not_modified,
            etag: variant.etag,
            body,
            modified: entry.modified(),
            left: 0..body.len() as u32,
            status: entry.status(),
            encoding: variant.encoding,
        })
    }

    /// All that was asked for of the body, once.
    fn take(&mut self) -> Option<&'a [u8]> {
        let Range { start, end } = core::mem::take(&mut self.left);
        let piece = self.body.get(start as usize..end as usize)?;
        (!piece.is_empty()).then_some(piece)
    }

    /// The encoding that was chosen.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }
}

impl<'a> Answer for PackAnswer<'a> {
    type Chunk = &'a [u8];

    fn status(&self) -> u16 {
        self.status
    }

    fn head(&self) -> &[u8] {
        self.head
    }

    fn not_modified(&self) -> &[u8] {
        self.not_modified
    }

    fn etag(&self) -> &[u8] {
        self.etag
    }

    fn modified(&self) -> Option<u64> {
        self.modified
    }

    fn select(&mut self, from: u64, to: u64) {
        let place = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        self.left = place(from)..place(to);
    }

    fn chunk(&mut self) -> impl Future<Output = Result<Option<&'a [u8]>, StoreError>> {
        ready(Ok(self.take()))
    }
}

/// A site, wherever it is: one type, so that a program has the code of the service only once.
pub enum Site<'a, S: Sectors + 'static> {
    /// In a pack.
    Pack(Pack<'a>),
    /// On volumes.
    Fat(FatStore<S>),
}

impl<'a, S: Sectors + 'static> Store for Site<'a, S> {
    type Answer<'s>
        = SiteAnswer<'a, S>
    where
        Self: 's;

    fn find(
        &self,
        path: &[u8],
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<SiteAnswer<'a, S>>, StoreError>> {
        let mut waiting = None;
        poll_fn(move |cx| match self {
            Self::Pack(pack) => {
                let found = PackAnswer::of(Pack::find(pack, path), accept);
                Poll::Ready(Ok(found.map(SiteAnswer::Pack)))
            }
            Self::Fat(fat) => go_on(&mut waiting, || fat.start_find(path, accept), cx),
        })
    }

    fn not_found(
        &self,
        accept: Accept,
    ) -> impl Future<Output = Result<Lookup<SiteAnswer<'a, S>>, StoreError>> {
        let mut waiting = None;
        poll_fn(move |cx| match self {
            Self::Pack(pack) => {
                let found = PackAnswer::of(Pack::not_found(pack), accept);
                Poll::Ready(Ok(found.map(SiteAnswer::Pack)))
            }
            Self::Fat(fat) => go_on(&mut waiting, || fat.start_not_found(accept), cx),
        })
    }

    fn report(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pack(pack) => pack.report(f),
            Self::Fat(fat) => fat.report(f),
        }
    }
}

/// Begins a look-up on volumes, or goes on with it. Out of the way of packs, which need none of
/// it.
#[inline(never)]
fn go_on<'a, S: Sectors + 'static>(
    waiting: &mut Option<Waiting<S>>,
    start: impl FnOnce() -> Finding<S>,
    cx: &mut Context<'_>,
) -> Poll<Result<Lookup<SiteAnswer<'a, S>>, StoreError>> {
    let found = match waiting {
        Some(waiting) => ready!(waiting.as_mut().poll(cx)),
        None => match start() {
            Finding::Ready(found) => found,
            Finding::Waiting(begun) => ready!(waiting.insert(begun).as_mut().poll(cx)),
        },
    };
    Poll::Ready(found.map(|found| found.map(SiteAnswer::Fat)))
}

/// One representation of a [`Site`].
pub enum SiteAnswer<'a, S: Sectors + 'static> {
    /// In a pack.
    Pack(PackAnswer<'a>),
    /// On a volume.
    Fat(FatAnswer<S>),
}

impl<'a, S: Sectors + 'static> Answer for SiteAnswer<'a, S> {
    type Chunk = SiteChunk<'a, S>;

    fn status(&self) -> u16 {
        match self {
            Self::Pack(answer) => answer.status(),
            Self::Fat(answer) => answer.status(),
        }
    }

    fn head(&self) -> &[u8] {
        match self {
            Self::Pack(answer) => answer.head(),
            Self::Fat(answer) => answer.head(),
        }
    }

    fn not_modified(&self) -> &[u8] {
        match self {
            Self::Pack(answer) => answer.not_modified(),
            Self::Fat(answer) => answer.not_modified(),
        }
    }

    fn etag(&self) -> &[u8] {
        match self {
            Self::Pack(answer) => answer.etag(),
            Self::Fat(answer) => answer.etag(),
        }
    }

    fn modified(&self) -> Option<u64> {
        match self {
            Self::Pack(answer) => answer.modified(),
            Self::Fat(answer) => answer.modified(),
        }
    }

    fn select(&mut self, from: u64, to: u64) {
        match self {
            Self::Pack(answer) => answer.select(from, to),
            Self::Fat(answer) => answer.select(from, to),
        }
    }

    fn chunk(&mut self) -> impl Future<Output = Result<Option<SiteChunk<'a, S>>, StoreError>> {
        poll_fn(|cx| match self {
            Self::Pack(answer) => Poll::Ready(Ok(answer.take().map(SiteChunk::Pack))),
            Self::Fat(answer) => answer
                .poll_chunk(cx)
                .map(|read| read.map(|chunk| chunk.map(SiteChunk::Fat))),
        })
    }

    fn more(&self) -> usize {
        match self {
            Self::Pack(_) => 0,
            Self::Fat(answer) => answer.more(),
        }
    }
}

/// A piece of a body of a [`Site`].
pub enum SiteChunk<'a, S: Sectors + 'static> {
    /// Of a pack.
    Pack(&'a [u8]),
    /// Of a file.
    Fat(FatChunk<S>),
}

impl<S: Sectors + 'static> AsRef<[u8]> for SiteChunk<'_, S> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Pack(body) => body,
            Self::Fat(chunk) => chunk.as_ref(),
        }
    }
}
