//! One representation that is on a volume.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::future::{Future, poll_fn};
use core::mem::replace;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use super::content::Content;
use super::plain::Made;
use crate::cache::{Chunk, boxed, heap_has};
use crate::fat::{File, ReadError, Reader};
use crate::pack::{Manifest, Pack};
use crate::sectors::Sectors;
use crate::store::{Answer, StoreError};

/// Memory that has to be free for a wait for the device.
const FOR_READ: usize = 1024;

/// What is sent for a path. It keeps the volume that it is on.
pub struct FatAnswer<S: Sectors + 'static> {
    content: Rc<Content<S>>,
    what: What,
    file: Option<File>,
    /// Which bytes of the body: no file has more than 4 GiB.
    part: (u32, u32),
    body: Bytes<S>,
}

/// Of a body.
const ALL: (u32, u32) = (0, u32::MAX);

enum What {
    /// A variant of the manifest, by its number.
    Listed {
        variant: u32,
        status: u16,
        modified: Option<u64>,
    },
    Made(Box<Made>),
}

/// How far the body is.
enum Bytes<S: Sectors + 'static> {
    New,
    /// On the heap, so that a connection that waits for its next request needs no room for it.
    Reading(Box<[Reader<S>; 1]>),
    /// For the device.
    Waiting(Waiting<S>),
    Done,
}

type Waiting<S> = Pin<Box<dyn Future<Output = (Box<[Reader<S>; 1]>, Read)>>>;
type Read = Result<Option<Chunk>, ReadError>;

impl<S: Sectors + 'static> FatAnswer<S> {
    pub(super) fn listed(
        content: &Rc<Content<S>>,
        variant: u32,
        file: Option<File>,
        status: u16,
        modified: Option<u64>,
    ) -> Self {
        let what = What::Listed {
            variant,
            status,
            modified,
        };
        Self {
            content: content.clone(),
            what,
            file,
            part: ALL,
            body: Bytes::New,
        }
    }

    pub(super) fn made(content: &Rc<Content<S>>, file: File, made: Box<Made>) -> Self {
        Self {
            content: content.clone(),
            what: What::Made(made),
            file: Some(file),
            part: ALL,
            body: Bytes::New,
        }
    }
}

impl<S: Sectors + 'static> FatAnswer<S> {
    /// The next piece of the body, as [`chunk`](Answer::chunk) gives it.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<FatChunk<S>>, StoreError>> {
        loop {
            let read = match &mut self.body {
                Bytes::New => match self.begin() {
                    Ok(Some(chunk)) => return Poll::Ready(Ok(Some(chunk))),
                    Ok(None) => continue,
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Bytes::Reading(reader) => match reader[0].at_hand(cx) {
                    Some(read) => read,
                    None if !heap_has(FOR_READ) => {
                        return Poll::Ready(Err(StoreError::OutOfMemory));
                    }
                    None => {
                        if let Bytes::Reading(mut reader) = replace(&mut self.body, Bytes::Done) {
                            self.body = Bytes::Waiting(Box::pin(async move {
                                let read = reader[0].chunk().await;
                                (reader, read)
                            }));
                        }
                        continue;
                    }
                },
                Bytes::Waiting(waiting) => {
                    let (reader, read) = ready!(waiting.as_mut().poll(cx));
                    self.body = Bytes::Reading(reader);
                    read
                }
                Bytes::Done => return Poll::Ready(Ok(None)),
            };
            return Poll::Ready(match (read, self.file) {
                (Ok(chunk), _) => Ok(chunk.map(FatChunk::Cached)),
                (Err(error), Some(file)) => Err(self.content.failed(file, error)),
                (Err(_), None) => Err(StoreError::Failed),
            });
        }
    }

    fn manifest(&self) -> Option<Pack<'_>> {
        self.content.manifest.as_ref().map(Manifest::pack)
    }

    /// Opens the file; a body that the manifest has itself is there at once.
    fn begin(&mut self) -> Result<Option<FatChunk<S>>, StoreError> {
        let (from, to) = self.part;
        if let Some(file) = self.file {
            let reader = self.content.volume.open_part(file, from.into(), to.into());
            let reader = boxed(reader).ok_or(StoreError::OutOfMemory)?;
            self.body = Bytes::Reading(reader);
            return Ok(None);
        }
        self.body = Bytes::Done;
        let What::Listed { variant, .. } = &self.what else {
            return Ok(None);
        };
        let chunk = FatChunk::Here(self.content.clone(), *variant, from..to);
        Ok((!chunk.as_ref().is_empty()).then_some(chunk))
    }
}

impl<S: Sectors + 'static> Answer for FatAnswer<S> {
    type Chunk = FatChunk<S>;

    fn status(&self) -> u16 {
        match &self.what {
            What::Listed { status, .. } => *status,
            What::Made(made) => made.status,
        }
    }

    fn head(&self) -> &[u8] {
        match &self.what {
            What::Listed { variant, .. } => self.manifest().map_or(&[], |pack| pack.head(*variant)),
            What::Made(made) => &made.head,
        }
    }

    fn not_modified(&self) -> &[u8] {
        match &self.what {
            What::Listed { variant, .. } => self
                .manifest()
                .map_or(&[], |pack| pack.not_modified(*variant)),
            What::Made(made) => &made.not_modified,
        }
    }

    fn etag(&self) -> &[u8] {
        match &self.what {
            What::Listed { variant, .. } => self.manifest().map_or(&[], |pack| pack.etag(*variant)),
            What::Made(made) => made.etag.as_bytes(),
        }
    }

    fn modified(&self) -> Option<u64> {
        match &self.what {
            What::Listed { modified, .. } => *modified,
            What::Made(made) => made.modified,
        }
    }

    fn select(&mut self, from: u64, to: u64) {
        let place = |at: u64| u32::try_from(at).unwrap_or(u32::MAX);
        self.part = (place(from), place(to));
        self.body = Bytes::New;
    }

    fn chunk(&mut self) -> impl Future<Output = Result<Option<FatChunk<S>>, StoreError>> {
        poll_fn(|cx| self.poll_chunk(cx))
    }

    fn more(&self) -> usize {
        match &self.body {
            Bytes::Reading(reader) => usize::try_from(reader[0].left()).unwrap_or(usize::MAX),
            Bytes::New | Bytes::Waiting(_) | Bytes::Done => 0,
        }
    }
}

/// A piece of a body.
pub enum FatChunk<S: Sectors + 'static> {
    /// A slice of the cache.
    Cached(Chunk),
    /// Bytes of the body of a variant of the manifest, which has it itself.
    #[expect(private_interfaces, reason = "it is looked at through AsRef")]
    Here(Rc<Content<S>>, u32, Range<u32>),
}

impl<S: Sectors + 'static> AsRef<[u8]> for FatChunk<S> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Cached(chunk) => chunk.as_ref(),
            Self::Here(content, number, part) => {
                let manifest = content.manifest.as_ref().map(Manifest::pack);
                let variant = manifest.and_then(|pack| pack.variant(*number));
                let body = variant.and_then(|v| v.body.here()).unwrap_or_default();
                let end = body.len().min(part.end as usize);
                body.get(part.start as usize..end).unwrap_or_default()
            }
        }
    }
}
