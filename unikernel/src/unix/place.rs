//! Wherever the site is, as one store.

use std::fmt;

use www::encoding::Accept;
use www::store::{Answer, Lookup, MadeAnswer, MadeChunk, SiteAnswer, SiteChunk, Store, StoreError};

use crate::folder::Folder;
use crate::image::Image;
use crate::images::Watched;

/// A site.
pub(crate) enum Place {
    /// In a pack or on images.
    Made(Watched),
    /// In its folder.
    Folder(Folder),
}

/// An answer of it.
pub(crate) enum PlaceAnswer {
    Made(SiteAnswer<'static, Image>),
    Folder(MadeAnswer),
}

/// A piece of that.
pub(crate) enum PlaceChunk {
    Made(SiteChunk<'static, Image>),
    Folder(MadeChunk),
}

impl Place {
    /// Lets nobody wait any longer for what may never happen.
    pub(crate) fn stop(&self) {
        if let Self::Folder(folder) = self {
            folder.stop();
        }
    }
}

fn map<A, B>(found: Lookup<A>, f: impl FnOnce(A) -> B) -> Lookup<B> {
    match found {
        Lookup::Found(answer) => Lookup::Found(f(answer)),
        Lookup::Missing => Lookup::Missing,
        Lookup::NotAcceptable => Lookup::NotAcceptable,
    }
}

impl Store for Place {
    type Answer<'s> = PlaceAnswer;

    async fn find(&self, path: &[u8], accept: Accept) -> Result<Lookup<PlaceAnswer>, StoreError> {
        Ok(match self {
            Self::Made(site) => map(site.find(path, accept).await?, PlaceAnswer::Made),
            Self::Folder(site) => map(site.find(path, accept).await?, PlaceAnswer::Folder),
        })
    }

    async fn not_found(&self, accept: Accept) -> Result<Lookup<PlaceAnswer>, StoreError> {
        Ok(match self {
            Self::Made(site) => map(site.not_found(accept).await?, PlaceAnswer::Made),
            Self::Folder(site) => map(site.not_found(accept).await?, PlaceAnswer::Folder),
        })
    }

    fn report(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(site) => site.report(f),
            Self::Folder(_) => Ok(()),
        }
    }
}

impl Answer for PlaceAnswer {
    type Chunk = PlaceChunk;

    fn status(&self) -> u16 {
        match self {
            Self::Made(answer) => answer.status(),
            Self::Folder(answer) => answer.status(),
        }
    }

    fn head(&self) -> &[u8] {
        match self {
            Self::Made(answer) => answer.head(),
            Self::Folder(answer) => answer.head(),
        }
    }

    fn not_modified(&self) -> &[u8] {
        match self {
            Self::Made(answer) => answer.not_modified(),
            Self::Folder(answer) => answer.not_modified(),
        }
    }

    fn etag(&self) -> &[u8] {
        match self {
            Self::Made(answer) => answer.etag(),
            Self::Folder(answer) => answer.etag(),
        }
    }

    fn modified(&self) -> Option<u64> {
        match self {
            Self::Made(answer) => answer.modified(),
            Self::Folder(answer) => answer.modified(),
        }
    }

    fn select(&mut self, from: u64, to: u64) {
        match self {
            Self::Made(answer) => answer.select(from, to),
            Self::Folder(answer) => answer.select(from, to),
        }
    }

    async fn chunk(&mut self) -> Result<Option<PlaceChunk>, StoreError> {
        Ok(match self {
            Self::Made(answer) => answer.chunk().await?.map(PlaceChunk::Made),
            Self::Folder(answer) => answer.chunk().await?.map(PlaceChunk::Folder),
        })
    }

    fn more(&self) -> usize {
        match self {
            Self::Made(answer) => answer.more(),
            Self::Folder(answer) => answer.more(),
        }
    }
}

impl AsRef<[u8]> for PlaceChunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Made(chunk) => chunk.as_ref(),
            Self::Folder(chunk) => chunk.as_ref(),
        }
    }
}
