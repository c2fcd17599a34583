//! Answers that were made one by one, for stores that have no pack.

use alloc::sync::Arc;
use core::future::{Future, ready};
use core::ops::Range;

use super::{Answer, Lookup, StoreError};
use crate::encoding::Accept;
use crate::pack::Made;

/// What was made for a path, in one encoding.
pub struct MadeAnswer {
    made: Arc<Made>,
    variant: usize,
    /// What of the body is still to be given.
    left: Range<usize>,
}

/// Bytes of its body.
pub struct MadeChunk {
    made: Arc<Made>,
    variant: usize,
    part: Range<usize>,
}

impl MadeAnswer {
    /// In the encoding that the client likes best.
    pub fn of(made: Arc<Made>, accept: Accept) -> Lookup<Self> {
        let Some(variant) = made.pick(accept) else {
            return Lookup::NotAcceptable;
        };
        let left = 0..made.variants[variant].body.len();
        Lookup::Found(Self {
            made,
            variant,
            left,
        })
    }
}

impl Answer for MadeAnswer {
    type Chunk = MadeChunk;

    fn status(&self) -> u16 {
        self.made.status
    }

    fn head(&self) -> &[u8] {
        &self.made.variants[self.variant].head
    }

    fn not_modified(&self) -> &[u8] {
        &self.made.variants[self.variant].not_modified
    }

    fn etag(&self) -> &[u8] {
        self.made.variants[self.variant].etag.as_bytes()
    }

    fn modified(&self) -> Option<u64> {
        self.made.modified
    }

    fn select(&mut self, from: u64, to: u64) {
        let len = self.made.variants[self.variant].body.len();
        let place = |at: u64| usize::try_from(at).map_or(len, |at| at.min(len));
        self.left = place(from)..place(to);
    }

    fn chunk(&mut self) -> impl Future<Output = Result<Option<MadeChunk>, StoreError>> {
        let part = core::mem::take(&mut self.left);
        let chunk = (!part.is_empty()).then(|| MadeChunk {
            made: self.made.clone(),
            variant: self.variant,
            part,
        });
        ready(Ok(chunk))
    }
}

impl AsRef<[u8]> for MadeChunk {
    fn as_ref(&self) -> &[u8] {
        let body = &self.made.variants[self.variant].body;
        body.get(self.part.clone()).unwrap_or_default()
    }
}
