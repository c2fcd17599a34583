//! Files of which no manifest speaks: heads are made when they are asked for, and the hash of the
//! content, which is what takes long, is kept.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::hash::Hasher;
use core::task::{Context, Poll, Waker};

use hashbrown::HashMap;
use twox_hash::xxhash3_64::{RawHasher, SecretBuffer};

use super::answer::FatAnswer;
use super::content::{Content, encoded_at};
use crate::date;
use crate::encoding::{Accept, Encoding};
use crate::fat::File;
use crate::pack::{Head, is_worth};
use crate::sectors::Sectors;
use crate::store::{Lookup, StoreError};
use crate::turn::pass;

/// Chunks that are hashed before others get their turn.
const CHUNKS_A_TURN: u32 = 64;

/// What is said of all files: to ask again before one is used, and not to guess what it is.
const EXTRA: [(&str, &str); 2] = [
    ("Cache-Control", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
];

/// A file that is served by what it is.
pub(super) struct Plain<S: Sectors + 'static> {
    content: Rc<Content<S>>,
    file: File,
    /// The same in gzip and in br.
    encoded: [Option<File>; 2],
    media_type: &'static str,
    status: u16,
}

/// Heads that were made for one answer.
pub(super) struct Made {
    pub(super) status: u16,
    pub(super) head: Vec<u8>,
    pub(super) not_modified: Vec<u8>,
    pub(super) etag: String,
    pub(super) modified: Option<u64>,
}

impl<S: Sectors + 'static> Plain<S> {
    /// `encoded` are files that are called as encodings of `file`; those that are older, broken
    /// or not worth it are passed over.
    pub(super) fn new(
        content: &Rc<Content<S>>,
        file: File,
        encoded: [Option<File>; 2],
        media_type: &'static str,
        status: u16,
    ) -> Self {
        let plain = usize::try_from(file.size()).unwrap_or(usize::MAX);
        let good = |other: &File| {
            let len = usize::try_from(other.size()).unwrap_or(usize::MAX);
            !other.is_broken() && other.modified() >= file.modified() && is_worth(plain, len)
        };
        Self {
            content: content.clone(),
            file,
            encoded: encoded.map(|other| other.filter(good)),
            media_type,
            status,
        }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn file(&self, encoding: Encoding) -> Option<File> {
        match encoded_at(encoding) {
            None => Some(self.file),
            Some(at) => self.encoded[at],
        }
    }

    /// Makes the answer, in the encoding that the client likes best. If the content was not hashed
    /// before, that reads all of it. Cancelling it leaves that to whoever else waits for it.
    pub(super) async fn answer(self, accept: Accept) -> Result<Lookup<FatAnswer<S>>, StoreError> {
        let there = Encoding::ALL
            .into_iter()
            .filter_map(|encoding| Some((encoding, self.file(encoding)?)));
        let wanted = there.filter(|(encoding, _)| accept.weight(*encoding) > 0);
        // Of two that are liked as much, the later.
        let Some((encoding, file)) = wanted.max_by_key(|(encoding, _)| accept.weight(*encoding))
        else {
            return Ok(Lookup::NotAcceptable);
        };
        let hash = match self.status {
            200 => self.content.hash(self.file).await?,
            _ => 0,
        };
        let etag = match (self.status, encoding) {
            (200, Encoding::Identity) => format!("\"{hash:016x}\""),
            (200, other) => format!("\"{hash:016x}-{}\"", other.name()),
            _ => String::new(),
        };
        let modified = self.file.modified().map(|at| at.min(date::MAX));
        let modified = modified.filter(|_| self.status == 200);
        let head = Head {
            status: self.status,
            media_type: self.media_type,
            length: usize::try_from(file.size()).unwrap_or(usize::MAX),
            etag: &etag,
            modified,
            encoding,
            varies: self.encoded.iter().any(Option::is_some),
            location: "",
            extra: &EXTRA,
        };
        let not_modified = match self.status {
            200 => head.not_modified(),
            _ => Vec::new(),
        };
        let made = Made {
            status: self.status,
            head: head.full(),
            not_modified,
            modified,
            etag,
        };
        let answer = FatAnswer::made(&self.content, file, Box::new(made));
        Ok(Lookup::Found(answer))
    }
}

/// The hashes of contents, by the numbers of the files: at most one for each file that there is.
#[derive(Default)]
pub(super) struct Hashes(RefCell<HashMap<u32, Hash>>);

enum Hash {
    Known(u64),
    /// It could not be read in this second: it is not tried again before the next.
    Failed(u64),
    /// Somebody reads it; these wait.
    Running(Vec<Waker>),
}

impl<S: Sectors + 'static> Content<S> {
    /// The XXH3-64 of a file, as the entity tags of a pack have it. It is read once, however many
    /// ask.
    async fn hash(&self, file: File) -> Result<u64, StoreError> {
        let known = poll_fn(|cx| self.known(file, cx)).await?;
        if let Some(hash) = known {
            return Ok(hash);
        }
        let mut lead = Lead {
            hashes: &self.hashes,
            number: file.number,
            outcome: None,
        };
        let hashed = self.read_hash(file).await;
        lead.outcome = match hashed {
            Ok(hash) => Some(Hash::Known(hash)),
            Err(StoreError::Failed) => Some(Hash::Failed(self.clock.unix_time())),
            // That may be otherwise at once.
            Err(StoreError::Away | StoreError::OutOfMemory) => None,
        };
        hashed
    }

    /// What is known of a file's hash; nothing if the caller is to find out.
    fn known(&self, file: File, cx: &mut Context<'_>) -> Poll<Result<Option<u64>, StoreError>> {
        let mut hashes = self.hashes.0.borrow_mut();
        if hashes.try_reserve(1).is_err() {
            return Poll::Ready(Err(StoreError::OutOfMemory));
        }
        match hashes.get_mut(&file.number) {
            Some(Hash::Known(hash)) => Poll::Ready(Ok(Some(*hash))),
            Some(Hash::Failed(at)) if *at == self.clock.unix_time() => {
                Poll::Ready(Err(StoreError::Failed))
            }
            Some(Hash::Running(waiting)) => {
                if waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    return Poll::Pending;
                }
                if waiting.try_reserve(1).is_err() {
                    return Poll::Ready(Err(StoreError::OutOfMemory));
                }
                waiting.push(cx.waker().clone());
                Poll::Pending
            }
            Some(Hash::Failed(_)) | None => {
                hashes.insert(file.number, Hash::Running(Vec::new()));
                Poll::Ready(Ok(None))
            }
        }
    }

    async fn read_hash(&self, file: File) -> Result<u64, StoreError> {
        let mut hasher = RawHasher::new(SecretBuffer::default());
        let mut reader = self.volume.open(file);
        let mut turn = 0;
        loop {
            match reader.chunk().await {
                Ok(Some(chunk)) => hasher.write(&chunk),
                Ok(None) => return Ok(hasher.finish()),
                Err(error) => return Err(self.failed(file, error)),
            }
            turn += 1;
            if turn % CHUNKS_A_TURN == 0 {
                pass().await;
            }
        }
    }
}

/// Whoever reads a file for its hash. If that is cancelled, one of those who wait goes on.
struct Lead<'a> {
    hashes: &'a Hashes,
    number: u32,
    outcome: Option<Hash>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut hashes = self.hashes.0.borrow_mut();
        let before = match self.outcome.take() {
            Some(hash) => hashes.insert(self.number, hash),
            None => hashes.remove(&self.number),
        };
        drop(hashes);
        if let Some(Hash::Running(waiting)) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
