//! One site, served in three ways.

use std::rc::Rc;
use std::sync::OnceLock;

use mir::direct::Direct;
use mir::pack::{Cache as Compressed, Volumes};
use mir::site::{Options, Rendered};
use tempfile::TempDir;
use tests::disk::{Disk, run};
use tests::fat::{Hand, NOW, ask, volume};
use www::cache::Cache;
use www::encoding::Accept;
use www::fat::{FatStore, Limits};
use www::http::{self, Service};
use www::pack::names::Part;
use www::pack::{NewVolume, Pack};
use www::stats::Stats;
use www::store::{Lookup, MadeAnswer, Site, Store, StoreError};

/// When all of it changed: FAT tells every second one.
pub(crate) const MODIFIED: u64 = NOW - 100;

/// Bytes of `/data.bin`: some blocks of the cache, and some more.
pub(crate) const DATA: usize = 100_003;

/// The three of them.
pub(crate) struct Stores {
    pack: Service<Site<'static, Disk>, Hand>,
    fat: Service<Site<'static, Disk>, Hand>,
    direct: Service<Folder, Hand>,
    pub(crate) disks: [Disk; 2],
}

/// The site's folder, as the Unix program serves it, but without its threads.
struct Folder(Direct);

impl Store for Folder {
    type Answer<'s> = MadeAnswer;

    async fn find(&self, path: &[u8], accept: Accept) -> Result<Lookup<MadeAnswer>, StoreError> {
        let found = str::from_utf8(path).ok().and_then(|path| self.0.find(path));
        Ok(found.map_or(Lookup::Missing, |made| MadeAnswer::of(made, accept)))
    }

    async fn not_found(&self, accept: Accept) -> Result<Lookup<MadeAnswer>, StoreError> {
        Ok(MadeAnswer::of(self.0.not_found(), accept))
    }
}

impl Stores {
    pub(crate) fn new() -> Self {
        let clock = Hand::new();
        let store = FatStore::new(&Cache::new(1 << 20), clock.clone());
        let disks = images().clone().map(Disk::new);
        for (part, disk) in Part::ALL.into_iter().zip(&disks) {
            run(store.mount(part, disk.clone(), Limits::default())).unwrap();
        }
        let direct = Direct::open(folder().path(), options(), false, 1);
        Self {
            pack: service(Site::Pack(pack()), clock.clone()),
            fat: service(Site::Fat(store), clock.clone()),
            direct: service(Folder(direct), clock),
            disks,
        }
    }

    /// What all of them answer.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let answers = [
            ask(&self.pack, request),
            ask(&self.fat, request),
            ask(&self.direct, request),
        ];
        let [(pack, aborted), fat, direct] = answers;
        assert!(!aborted, "{request}");
        for (name, (other, aborted)) in [("fat", fat), ("direct", direct)] {
            assert!(!aborted, "{name}: {request}");
            assert!(
                other == pack,
                "{name}: {request}\n{}\n{}",
                String::from_utf8_lossy(&other),
                String::from_utf8_lossy(&pack)
            );
        }
        Answer(pack)
    }

    pub(crate) fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"))
    }
}

fn service<S: Store>(store: S, clock: Hand) -> Service<S, Hand> {
    let stats = Rc::new(Stats::default());
    Service::new(store, clock, http::Limits::default(), stats)
}

/// An answer, whole.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head()[9..12].parse().unwrap()
    }

    pub(crate) fn head(&self) -> &str {
        std::str::from_utf8(&self.0[..self.end()]).unwrap()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.0[self.end() + 4..]
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head().lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn end(&self) -> usize {
        let end = self.0.windows(4).position(|w| w == b"\r\n\r\n");
        end.expect("a head")
    }
}

/// Pages, a file that shrinks, one that does not, one without bytes; what moved and what is gone.
fn folder() -> &'static TempDir {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        put(
            "site.toml",
            b"[[redirects]]\nfrom = \"/old\"\nto = \"/page\"\n\
              [[redirects]]\nfrom = \"/gone\"\nstatus = 410\n\
              [[headers]]\npath = \"/data.bin\"\nvalues = { X-Own = \"1\" }\n",
        );
        put(
            "content/page.md",
            &b"# Page\n\nAll work and no play.\n".repeat(60),
        );
        put("static/data.bin", &data());
        put("static/empty.txt", b"");
        put("static/text.txt", &b"The same line again.\n".repeat(2000));
        folder
    })
}

/// The body of `/data.bin`.
pub(crate) fn data() -> Vec<u8> {
    (0..DATA).map(|at| ((at * at) >> 7) as u8).collect()
}

fn options() -> Options {
    Options {
        modified: Some(MODIFIED),
        ..Options::default()
    }
}

fn rendered() -> Rendered {
    mir::site::render(folder().path(), options()).expect("a good site")
}

fn pack() -> Pack<'static> {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = PACK.get_or_init(|| mir::pack::pack(rendered(), &Compressed::none()).unwrap());
    Pack::load(bytes).unwrap()
}

fn images() -> &'static [Vec<u8>; 2] {
    static IMAGES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let Volumes { files, pages } = mir::pack::volumes(rendered(), &Compressed::none()).unwrap();
        [files, pages].map(|volume| image(&volume))
    })
}

fn image(from: &NewVolume) -> Vec<u8> {
    let files = from.files.iter().chain([&from.manifest]);
    let files = files.map(|file| (&*file.name, MODIFIED, &*file.body));
    volume(4 << 20, &files.collect::<Vec<_>>())
}
