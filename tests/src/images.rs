//! A site as a pack and as FAT images.

use std::fs;
use std::path::{Path, PathBuf};

use mir::fat::format::Wanted;
use mir::fat::site;
use mir::pack::{Cache, Volumes};
use mir::site::{Options, render};
use tempfile::TempDir;

/// A folder with a site's pack and images.
pub struct Images(TempDir);

impl Images {
    /// Of the site in a folder.
    pub fn of(site: &Path) -> Self {
        let images = Self(tempfile::tempdir().unwrap());
        let rendered = || render(site, Options::default()).unwrap();
        let cache = Cache::new(&images.path("cache"));
        let pack = mir::pack::pack(rendered(), &cache).unwrap();
        fs::write(images.path("site.pack"), pack).unwrap();
        let Volumes { files, pages } = mir::pack::volumes(rendered(), &cache).unwrap();
        for (volume, name) in [(files, "files.img"), (pages, "pages.img")] {
            let free = site::free_for(&volume);
            let image = site::image(volume, &Wanted::default(), free).unwrap();
            image.save(&images.path(name), &mut |_| {}).unwrap();
        }
        images
    }

    /// Of a site with one page, and one static file that holds `text`.
    pub fn small(text: &[u8]) -> Self {
        let site = tempfile::tempdir().unwrap();
        fs::create_dir_all(site.path().join("content")).unwrap();
        fs::create_dir_all(site.path().join("static")).unwrap();
        fs::write(site.path().join("content/index.md"), "# Front page\n").unwrap();
        fs::write(site.path().join("static/file.bin"), text).unwrap();
        Self::of(site.path())
    }

    /// Where the file of this name is: `site.pack`, `files.img`, `pages.img`, or one of a test's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What the Unix binary serves the images by.
    pub fn arguments(&self) -> [String; 3] {
        let argument =
            |part: &str| format!("--{part}={}", self.path(&format!("{part}.img")).display());
        ["--kv_ro=fat".into(), argument("files"), argument("pages")]
    }
}
