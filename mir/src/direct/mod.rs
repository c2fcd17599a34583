//! What a server answers from a site's folder while it is written: `--kv_ro=direct`.
//!
//! Each path is rendered when it is asked for. Without reloading, an answer is what the pack of the
//! same folder has, byte for byte, compressed when it is first asked for. With reloading, pages
//! carry a script that loads them again when the folder changes, and nothing is compressed or kept
//! by browsers. A page that is wrong answers with what is wrong. docs/writing.md tells authors.

mod cache;
mod reload;
mod said;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use www::pack::{Made, Page, WriteError};

use crate::media;
use crate::pack::{self, Effort, HeaderRule};
use crate::problem::Problem;
use crate::site::{Broken, Change, Found, Item, Live, Options, View};
use cache::Cache;
use reload::Generations;
use said::Said;

pub use reload::{EVENTS, SCRIPT};

/// A site's folder, as it is served. May be used by many threads at once.
pub struct Direct {
    live: Live,
    reload: bool,
    generations: Mutex<Generations>,
    cache: Mutex<Cache>,
    /// The generation since which header fields are what `site.toml` says.
    headers_since: AtomicU64,
    said: Mutex<Said>,
}

impl Direct {
    /// Serves the site in `folder`, right or wrong. What is wrong is logged. `run` tells this run of
    /// the server from others.
    pub fn open(folder: &Path, options: Options, reload: bool, run: u64) -> Self {
        let live = match reload {
            true => Live::open_plain(folder, options),
            false => Live::open(folder, options),
        };
        let mut said = Said::default();
        said.site(live.view().problems());
        Self {
            live,
            reload,
            generations: Mutex::new(Generations::new(run)),
            cache: Mutex::default(),
            headers_since: AtomicU64::new(0),
            said: Mutex::new(said),
        }
    }

    /// Looks what has changed in the folder; says whether anything has.
    pub fn look(&self) -> bool {
        let headers = self.live.view().headers();
        let change = self.live.look();
        if change == Change::None {
            return false;
        }
        let view = self.live.view();
        held(&self.said).site(view.problems());
        let mut generations = held(&self.generations);
        generations.add(change);
        if view.headers() != headers {
            let since = generations.current();
            self.headers_since.store(since, Ordering::Relaxed);
        }
        true
    }

    /// The folders in which a change may matter.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.live.view().folders().map(Path::to_owned).collect()
    }

    /// What answers for a path, decoded; `None` if there is nothing.
    pub fn find(&self, path: &str) -> Option<Arc<Made>> {
        if self.reload && path == SCRIPT {
            return Some(Arc::new(reload::script()));
        }
        let now = self.moment();
        let before = match self.known(path, &now) {
            Ok(made) => return Some(made),
            Err(before) => before,
        };
        match now.view.find(path) {
            Ok(Found::Item(item, warnings)) => {
                held(&self.said).page(path, &warnings);
                Some(self.made(path, 200, item, &now, before))
            }
            Ok(Found::Redirect(redirect)) if redirect.status == 410 => {
                Some(self.gone(path, &now, before))
            }
            Ok(Found::Redirect(redirect)) => {
                // Browsers remember a permanent one, also when the site is another.
                let status = match redirect.status {
                    301 if self.reload => 302,
                    308 if self.reload => 307,
                    status => status,
                };
                let rules = now.view.headers();
                let headers = pack::redirect_headers(&rules, path, status);
                let made = Made::redirect(status, &redirect.to, &headers).map(Arc::new);
                Some(made.unwrap_or_else(|error| self.refused(path, &error, &now)))
            }
            Ok(Found::Missing) => None,
            Err(broken) => Some(self.broken(path, &broken, &now)),
        }
    }

    /// What answers for paths at which there is nothing.
    pub fn not_found(&self) -> Arc<Made> {
        // No path is empty.
        let path = "";
        let now = self.moment();
        let before = match self.known(path, &now) {
            Ok(made) => return made,
            Err(before) => before,
        };
        match now.view.not_found() {
            Ok((item, warnings)) => {
                held(&self.said).page(path, &warnings);
                self.made(path, 404, item, &now, before)
            }
            Err(broken) => self.broken(path, &broken, &now),
        }
    }

    /// What answers for what is gone: the page for paths at which there never was anything.
    fn gone(&self, path: &str, now: &Moment, before: Option<Arc<Made>>) -> Arc<Made> {
        match now.view.not_found() {
            Ok((item, _)) => self.made(path, 410, pack::gone(path, Some(&item)), now, before),
            Err(broken) => self.broken(path, &broken, now),
        }
    }

    /// What tells a page that has the generation `since` what happened after that; `None`: nothing.
    pub fn event(&self, since: &str) -> Option<Made> {
        let generations = held(&self.generations);
        let change = generations.since(since)?;
        Some(generations.event(change))
    }

    /// What tells a page that nothing happened, so that it asks again.
    pub fn no_event(&self) -> Made {
        held(&self.generations).event(Change::None)
    }

    /// Whether pages load themselves again.
    pub fn reloads(&self) -> bool {
        self.reload
    }

    /// The site as it is now. A page of it is no older than its generation says.
    fn moment(&self) -> Moment {
        let generations = held(&self.generations);
        let (generation, name) = (generations.current(), generations.name());
        drop(generations);
        Moment {
            generation,
            name,
            view: self.live.view(),
        }
    }

    /// What was made for a path, if it is still right; else what was made last, unless its header fields
    /// may be others by now.
    fn known(&self, path: &str, now: &Moment) -> Result<Arc<Made>, Option<Arc<Made>>> {
        match held(&self.cache).get(path) {
            Some((made, generation)) if generation == now.generation => Ok(made),
            before => {
                let since = self.headers_since.load(Ordering::Relaxed);
                let before = before.filter(|(_, generation)| *generation >= since);
                Err(before.map(|(made, _)| made))
            }
        }
    }

    /// An answer made of an item; `before` is what was made of the same one last.
    fn made(
        &self,
        path: &str,
        status: u16,
        item: Item,
        now: &Moment,
        before: Option<Arc<Made>>,
    ) -> Arc<Made> {
        let same = before.filter(|made| !self.reload && is_made_of(made, status, &item));
        let made = match same {
            Some(same) => Ok(same),
            None => {
                let rules = now.view.headers();
                let page = match self.reload {
                    true => plain(item, &rules, now),
                    false => {
                        let effort = Effort::of(now.view.text_bytes());
                        pack::page(item, &rules, effort, &pack::Cache::none())
                    }
                };
                Made::page(status, page).map(Arc::new)
            }
        };
        match made {
            Ok(made) => {
                held(&self.cache).put(path, &made, now.generation);
                made
            }
            Err(error) => self.refused(path, &error, now),
        }
    }

    /// The page that says what is wrong, which is logged too.
    fn broken(&self, path: &str, broken: &Broken, now: &Moment) -> Arc<Made> {
        held(&self.said).broken(path, &broken.0);
        let text = now.view.explain(broken).into_bytes();
        let body = match self.reload {
            true => reload::insert(text, &now.name),
            false => text,
        };
        let mut headers = pack::headers(&[], path, media::HTML, &body);
        pack::set(&mut headers, "Cache-Control", "no-store");
        let page = Page {
            media_type: media::HTML.to_owned(),
            body,
            headers,
            ..Page::default()
        };
        // It has the media type and the field that are written here: there is nothing to refuse.
        Arc::new(Made::page(500, page).unwrap_or(Made {
            status: 500,
            modified: None,
            variants: Vec::new(),
        }))
    }

    /// The same for what was rendered, and cannot be served.
    fn refused(&self, path: &str, error: &WriteError, now: &Moment) -> Arc<Made> {
        self.broken(path, &Broken(vec![Problem::refused(path, error)]), now)
    }
}

/// The site at one time.
struct Moment {
    generation: u64,
    name: String,
    view: View,
}

/// An item that the browser is to show as it is now, and again when it has changed.
fn plain(item: Item, rules: &[HeaderRule], now: &Moment) -> Page {
    let html = item.media_type == media::HTML;
    let keep = if html { "no-store" } else { "no-cache" };
    let body = match html {
        true => reload::insert(item.body, &now.name),
        false => item.body,
    };
    let mut headers = pack::headers(rules, &item.path, item.media_type, &body);
    pack::set(&mut headers, "Cache-Control", keep);
    Page {
        media_type: item.media_type.to_owned(),
        modified: Some(item.modified),
        body,
        headers,
        ..Page::default()
    }
}

fn is_made_of(made: &Made, status: u16, item: &Item) -> bool {
    let plain = made.variants.first().map(|variant| &variant.body);
    made.status == status && made.modified == Some(item.modified) && plain == Some(&item.body)
}

/// What a lock guards. Whoever panicked with it left it usable: each change is one assignment.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
