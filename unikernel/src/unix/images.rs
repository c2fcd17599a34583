//! The images of a site on FAT volumes: mounted at the start, and again when they are replaced.

use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use www::cache::Cache;
use www::config::Config;
use www::encoding::Accept;
use www::fat::{FatStore, Limits};
use www::pack::names::Part;
use www::store::{Lookup, Site, SiteAnswer, Store, StoreError};

use crate::clock::Clock;
use crate::image::{Identity, Image};

/// Bytes of the cache, if nothing is said. The system has the images in memory as well.
const CACHE: usize = 32 << 20;

/// What one volume may ask for: more than a guest has, but with an end.
const LIMITS: Limits = Limits {
    entries: 1 << 20,
    depth: 64,
    memory: 256 << 20,
};

/// How often it is looked whether an image was replaced, when somebody asks for something.
const LOOK: Duration = Duration::from_secs(1);

/// A site, and the images that it comes from, if it does.
pub(crate) struct Watched {
    site: Site<'static, Image>,
    images: Option<Images>,
}

struct Images {
    fat: FatStore<Image>,
    watched: Vec<File>,
    clock: Clock,
    looked: Cell<Instant>,
}

/// An image file.
struct File {
    part: Part,
    path: PathBuf,
    /// What was there when it was last looked at, mounted or not.
    seen: Cell<Option<Identity>>,
}

/// None of the images can be used. Why not was logged.
#[derive(Debug)]
pub(crate) struct NoImages;

impl fmt::Display for NoImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no image that can be served")
    }
}

impl std::error::Error for NoImages {}

impl Watched {
    /// A site that stays as it is.
    pub(crate) fn fixed(site: Site<'static, Image>) -> Self {
        Self { site, images: None }
    }

    /// The site on the images that `config` names. A part whose image cannot be used is away, until
    /// it can.
    pub(crate) async fn images(config: &Config, clock: &Clock) -> Result<Self, NoImages> {
        let cache = Cache::new(config.cache.unwrap_or(CACHE));
        let fat = FatStore::new(&cache, clock.clone());
        let named = [(Part::Files, &config.files), (Part::Pages, &config.pages)];
        let watched = named.into_iter().filter_map(|(part, path)| {
            Some(File {
                part,
                path: path.as_ref()?.into(),
                seen: Cell::new(None),
            })
        });
        let images = Images {
            fat,
            watched: watched.collect(),
            clock: clock.clone(),
            looked: Cell::new(clock.now()),
        };
        for file in &images.watched {
            images.mount(file).await;
        }
        let ready = |file: &File| images.fat.is_ready(file.part);
        if !images.watched.iter().any(ready) {
            return Err(NoImages);
        }
        Ok(Self {
            site: Site::Fat(images.fat.clone()),
            images: Some(images),
        })
    }
}

impl Images {
    /// Looks whether images were replaced, if nobody did lately, and mounts those that were. Others
    /// who ask meanwhile get what was there before.
    async fn look(&self) {
        let now = self.clock.now();
        if now.duration_since(self.looked.get()) < LOOK {
            return;
        }
        self.looked.set(now);
        for file in &self.watched {
            match Identity::at(&file.path) {
                Ok(identity) if file.seen.get() != Some(identity) => self.mount(file).await,
                Ok(_) => {}
                // What is mounted stays: it was removed, perhaps to be made anew.
                Err(_) => file.seen.set(None),
            }
        }
    }

    async fn mount(&self, file: &File) {
        let (part, path) = (file.part.name(), file.path.display());
        let opened = Image::open(&file.path).and_then(|image| Ok((image.identity()?, image)));
        let (identity, image) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                log::error!(target: "fat", "{part}: cannot read {path}: {why}");
                file.seen.set(Identity::at(&file.path).ok());
                return self.fat.away(file.part, why);
            }
        };
        file.seen.set(Some(identity));
        log::info!(target: "fat", "{part}: {path}");
        // What comes of it is logged there.
        let _ = self.fat.mount(file.part, image, LIMITS).await;
    }
}

impl Store for Watched {
    type Answer<'s> = SiteAnswer<'static, Image>;

    async fn find(
        &self,
        path: &[u8],
        accept: Accept,
    ) -> Result<Lookup<SiteAnswer<'static, Image>>, StoreError> {
        if let Some(images) = &self.images {
            images.look().await;
        }
        self.site.find(path, accept).await
    }

    async fn not_found(
        &self,
        accept: Accept,
    ) -> Result<Lookup<SiteAnswer<'static, Image>>, StoreError> {
        self.site.not_found(accept).await
    }

    fn report(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.site.report(f)
    }
}
