//! One representation that is on a volume.

use alloc::boxed::Box;
use alloc::rc::Rc;

use super::content::Content;
use super::plain::Made;
use crate::cache::Chunk;
use crate::fat::{File, Reader};
use crate::pack::{Body, Variant};
use crate::sectors::Sectors;
use crate::store::{Answer, StoreError};

/// What is sent for a path. It keeps the volume that it is on.
pub struct FatAnswer<S: Sectors + 'static> {
    content: Rc<Content<S>>,
    what: What,
    file: Option<File>,
    body: Bytes<S>,
}

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
    Reading(Reader<S>),
    Done,
}

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
            body: Bytes::New,
        }
    }

    pub(super) fn made(content: &Rc<Content<S>>, file: File, made: Box<Made>) -> Self {
        Self {
            content: content.clone(),
            what: What::Made(made),
            file: Some(file),
            body: Bytes::New,
        }
    }
}

/// What the manifest of a volume says of a variant.
fn variant<S: Sectors + 'static>(content: &Content<S>, number: u32) -> Option<Variant<'_>> {
    content.manifest.as_ref()?.pack().variant(number)
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
            What::Listed { variant: v, .. } => {
                variant(&self.content, *v).map_or(&[], |variant| variant.head)
            }
            What::Made(made) => &made.head,
        }
    }

    fn not_modified(&self) -> &[u8] {
        match &self.what {
            What::Listed { variant: v, .. } => {
                variant(&self.content, *v).map_or(&[], |variant| variant.not_modified)
            }
            What::Made(made) => &made.not_modified,
        }
    }

    fn etag(&self) -> &[u8] {
        match &self.what {
            What::Listed { variant: v, .. } => {
                variant(&self.content, *v).map_or(&[], |variant| variant.etag)
            }
            What::Made(made) => made.etag.as_bytes(),
        }
    }

    fn modified(&self) -> Option<u64> {
        match &self.what {
            What::Listed { modified, .. } => *modified,
            What::Made(made) => made.modified,
        }
    }

    async fn chunk(&mut self) -> Result<Option<FatChunk<S>>, StoreError> {
        if let Bytes::New = self.body {
            self.body = match (self.file, &self.what) {
                (Some(file), _) => Bytes::Reading(self.content.volume.open(file)),
                (None, What::Listed { variant, .. }) => {
                    let chunk = FatChunk::Here(self.content.clone(), *variant);
                    self.body = Bytes::Done;
                    return Ok((!chunk.as_ref().is_empty()).then_some(chunk));
                }
                (None, What::Made(_)) => Bytes::Done,
            };
        }
        let (Bytes::Reading(reader), Some(file)) = (&mut self.body, self.file) else {
            return Ok(None);
        };
        match reader.chunk().await {
            Ok(chunk) => Ok(chunk.map(FatChunk::Cached)),
            Err(error) => Err(self.content.failed(file, error)),
        }
    }
}

/// A piece of a body.
pub enum FatChunk<S: Sectors + 'static> {
    /// A slice of the cache.
    Cached(Chunk),
    /// The body of a variant of the manifest, which has it itself.
    #[expect(private_interfaces, reason = "it is looked at through AsRef")]
    Here(Rc<Content<S>>, u32),
}

impl<S: Sectors + 'static> AsRef<[u8]> for FatChunk<S> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Cached(chunk) => chunk.as_ref(),
            Self::Here(content, number) => match variant(content, *number).map(|v| v.body) {
                Some(Body::Here(bytes)) => bytes,
                _ => &[],
            },
        }
    }
}
