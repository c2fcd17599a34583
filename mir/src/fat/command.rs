//! The `fat` command, as `mir fat` and as `fat`.

mod show;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};

use super::boot::Kind;
use super::edit::{EditError, Editor, Progress, Serial, Times, now, parts};
use super::extract::extract;
use super::format::{self, Wanted};
use super::gather::gather;
use super::record::Stamp;
use super::size;
use super::volume::{Tree, Volume, show};

/// What `fat` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an empty image
    Create {
        /// The image, which must not exist
        image: PathBuf,
        /// Its size: bytes, or with K, M, G or T behind
        #[arg(value_parser = size::parse, default_value = "16MiB")]
        size: u64,
        /// How it is laid out.
        #[command(flatten)]
        layout: Layout,
        /// The volume's label: up to 11 characters
        #[arg(long, value_parser = format::label)]
        label: Option<[u8; 11]>,
        /// Which times files get.
        #[command(flatten)]
        times: TimeArgs,
        /// Replace an image that exists
        #[arg(long)]
        force: bool,
    },
    /// Put files and folders, with all that is in them, into an image
    Add {
        /// The image
        image: PathBuf,
        /// Files and folders: each keeps its path, `a/b.txt` becomes `/a/b.txt`
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Take the files from this folder
        #[arg(
            short = 'C',
            long,
            value_name = "DIR",
            default_value = ".",
            hide_default_value = true
        )]
        directory: PathBuf,
        /// Put them into this folder of the image
        #[arg(
            long,
            value_name = "PATH",
            default_value = "/",
            hide_default_value = true
        )]
        to: String,
        /// Which times files get.
        #[command(flatten)]
        times: TimeArgs,
    },
    /// Say what is in an image: path, kind and size, one line each
    List {
        /// The image
        image: PathBuf,
        /// Only this, and what is in it
        #[arg(default_value = "/", hide_default_value = true)]
        path: String,
    },
    /// Write a file's bytes to the standard output
    Cat {
        /// The image
        image: PathBuf,
        /// The file's path
        path: String,
    },
    /// Write files and folders of an image to a folder
    Extract {
        /// The image
        image: PathBuf,
        /// What to extract [default: everything]
        #[arg(default_value = "/", hide_default_value = true)]
        path: String,
        /// The folder, made if it is not there
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Remove files and folders
    Rm {
        /// The image
        image: PathBuf,
        /// Their paths
        #[arg(required = true)]
        paths: Vec<String>,
        /// Folders with all that is in them
        #[arg(short, long)]
        recursive: bool,
    },
    /// Make folders
    Mkdir {
        /// The image
        image: PathBuf,
        /// Their paths
        #[arg(required = true)]
        paths: Vec<String>,
        /// Those above them as well; no error if they exist
        #[arg(short, long)]
        parents: bool,
        /// Which times files get.
        #[command(flatten)]
        times: TimeArgs,
    },
    /// Say what an image is: type, sizes, what is free, label, serial number
    Info {
        /// The image
        image: PathBuf,
    },
    /// Say all that is wrong with an image: exit status 0 for nothing, 1 for something, 2 if it
    /// cannot be looked at
    Check {
        /// The image
        image: PathBuf,
    },
}

/// How an image is laid out.
#[derive(Clone, Debug, Args)]
pub struct Layout {
    /// The type [default: by size]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Type>,
    /// Bytes in a cluster [default: by size]
    #[arg(long, value_name = "SIZE", value_parser = small_size)]
    cluster_size: Option<u32>,
    /// Bytes in a sector: 512, 1024, 2048 or 4096
    #[arg(long, value_name = "SIZE", value_parser = small_size, default_value = "512")]
    sector_size: u32,
}

/// The types, as arguments.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    Fat12,
    Fat16,
    Fat32,
}

/// Which times files get.
#[derive(Clone, Copy, Debug, Args)]
pub struct TimeArgs {
    /// The same bytes for the same input: all times are SOURCE_DATE_EPOCH, or 1980-01-01 without
    /// it, and the serial number comes from the content
    #[arg(long)]
    deterministic: bool,
}

fn small_size(text: &str) -> Result<u32, String> {
    size::parse(text).and_then(|size| u32::try_from(size).map_err(|_| "too large".to_owned()))
}

impl Layout {
    /// The same, for [`format::layout`].
    pub fn wanted(&self) -> Wanted {
        Wanted {
            kind: self.kind.map(|kind| match kind {
                Type::Fat12 => Kind::Fat12,
                Type::Fat16 => Kind::Fat16,
                Type::Fat32 => Kind::Fat32,
            }),
            sector_size: self.sector_size,
            cluster_size: self.cluster_size,
            ..Wanted::default()
        }
    }
}

/// SOURCE_DATE_EPOCH, if it is set.
pub fn source_date_epoch() -> Result<Option<u64>, String> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(format!(
                "SOURCE_DATE_EPOCH is {text:?}, not a number of seconds"
            )),
        },
        Err(_) => Ok(None),
    }
}

impl TimeArgs {
    fn times(self) -> Result<Times, String> {
        if !self.deterministic {
            return Ok(Times::Real);
        }
        let fixed = source_date_epoch()?.map(|seconds| Stamp::from_unix(seconds as i64));
        Ok(Times::Fixed(fixed.unwrap_or(Stamp::FIRST)))
    }
}

/// The exit statuses.
pub mod status {
    /// Done.
    pub const DONE: u8 = 0;
    /// Not done, or not all of it; something is wrong with the image.
    pub const FAILED: u8 = 1;
    /// The arguments make no sense; `check` cannot look at the image.
    pub const UNUSABLE: u8 = 2;
}

/// Where a command writes.
pub struct Terminal<'a> {
    /// What begins a line that says an error: `fat` or `mir: fat`.
    pub name: &'a str,
    /// The standard output.
    pub out: &'a mut dyn Write,
    /// The standard error.
    pub err: &'a mut dyn Write,
}

/// It did not work, and the user has been told why.
struct Failed;

impl Terminal<'_> {
    fn say(&mut self, image: &Path, why: impl Display) -> Failed {
        // There is nobody to be told that this cannot be written.
        let _ = writeln!(self.err, "{}: {}: {why}", self.name, image.display());
        Failed
    }

    /// What became of writing to the standard output. Whoever reads it may have seen enough: that
    /// is no failure.
    fn written(&mut self, done: io::Result<()>) -> Result<(), Failed> {
        match done {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(self.err, "{}: standard output: {error}", self.name);
                Err(Failed)
            }
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Failed> {
        let done = self.out.flush();
        self.written(done)
    }
}

/// Does what is asked and returns the exit status.
pub fn run(command: &Command, terminal: &mut Terminal<'_>) -> u8 {
    let done = match command {
        Command::Create {
            image,
            size,
            layout,
            label,
            times,
            force,
        } => {
            let wanted = Wanted {
                label: *label,
                ..layout.wanted()
            };
            create(terminal, image, *size, &wanted, *times, *force)
        }
        Command::Add {
            image,
            files,
            directory,
            to,
            times,
        } => add(terminal, image, files, directory, to, *times),
        Command::List { image, path } => list(terminal, image, path),
        Command::Cat { image, path } => cat(terminal, image, path),
        Command::Extract {
            image,
            path,
            output,
        } => take_out(terminal, image, path, output),
        Command::Rm {
            image,
            paths,
            recursive,
        } => change(terminal, image, Times::Real, |editor| {
            paths
                .iter()
                .try_for_each(|path| editor.remove(path, *recursive))
        }),
        Command::Mkdir {
            image,
            paths,
            parents,
            times,
        } => {
            let times = times.times().map_err(|why| terminal.say(image, why));
            times.and_then(|times| {
                change(terminal, image, times, |editor| {
                    paths
                        .iter()
                        .try_for_each(|path| editor.mkdir(path, *parents))
                })
            })
        }
        Command::Info { image } => info(terminal, image),
        Command::Check { image } => return check(terminal, image),
    };
    match done.and_then(|()| terminal.flush()) {
        Ok(()) => status::DONE,
        Err(Failed) => status::FAILED,
    }
}

fn create(
    terminal: &mut Terminal<'_>,
    image: &Path,
    size: u64,
    wanted: &Wanted,
    times: TimeArgs,
    force: bool,
) -> Result<(), Failed> {
    let times = times.times().map_err(|why| terminal.say(image, why))?;
    match image.symlink_metadata() {
        Ok(there) if !there.is_file() && !image.is_file() => {
            return Err(terminal.say(image, EditError::NotFile));
        }
        Ok(_) if !force => return Err(terminal.say(image, "exists; --force replaces it")),
        _ => {}
    }
    let boot = format::layout(size, wanted);
    let boot = boot.map_err(|why| terminal.say(image, why))?;
    let mut editor = Editor::create(boot, times, now());
    editor.set_serial(match times {
        Times::Fixed(_) => Serial::Content,
        Times::Real => Serial::Set(random()),
    });
    save(terminal, image, editor)
}

/// A serial number that no other volume has, as good as can be.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now()) as u32
}

fn add(
    terminal: &mut Terminal<'_>,
    image: &Path,
    files: &[PathBuf],
    directory: &Path,
    to: &str,
    times: TimeArgs,
) -> Result<(), Failed> {
    let times = times.times().map_err(|why| terminal.say(image, why))?;
    let found = gather(files, directory, &parts(to)).map_err(|why| terminal.say(image, why))?;
    for path in &found.skipped {
        let what = "left out: neither a file nor a folder";
        terminal.say(image, format_args!("{}: {what}", path.display()));
    }
    change(terminal, image, times, |editor| {
        if times != Times::Real {
            editor.set_serial(Serial::Content);
        }
        editor.add(found.items)
    })
}

fn change(
    terminal: &mut Terminal<'_>,
    image: &Path,
    times: Times,
    act: impl FnOnce(&mut Editor) -> Result<(), EditError>,
) -> Result<(), Failed> {
    let volume = open(terminal, image)?;
    let mut editor = Editor::open(volume, times).map_err(|why| terminal.say(image, why))?;
    act(&mut editor).map_err(|why| terminal.say(image, why))?;
    save(terminal, image, editor)
}

fn save(terminal: &mut Terminal<'_>, image: &Path, editor: Editor) -> Result<(), Failed> {
    let mut bar = Bar::new(image);
    let saved = editor.save(image, &mut |progress| bar.tell(progress));
    bar.done();
    saved.map_err(|why| terminal.say(image, why))
}

fn open(terminal: &mut Terminal<'_>, image: &Path) -> Result<Volume, Failed> {
    Volume::open(image).map_err(|why| terminal.say(image, why))
}

fn walk(terminal: &mut Terminal<'_>, image: &Path, volume: &Volume) -> Result<Tree, Failed> {
    volume.walk().map_err(|why| terminal.say(image, why))
}

fn find(
    terminal: &mut Terminal<'_>,
    image: &Path,
    tree: &Tree,
    path: &str,
) -> Result<usize, Failed> {
    let found = tree.find(path);
    found.map_err(|_| {
        let parts: Vec<_> = parts(path).iter().map(|part| show(part)).collect();
        terminal.say(image, EditError::NotFound(format!("/{}", parts.join("/"))))
    })
}

fn list(terminal: &mut Terminal<'_>, image: &Path, path: &str) -> Result<(), Failed> {
    let volume = open(terminal, image)?;
    let tree = walk(terminal, image, &volume)?;
    let at = find(terminal, image, &tree, path)?;
    let done = show::list(&tree, at, terminal.out);
    terminal.written(done)?;
    told(terminal, image, &tree)
}

/// Reports what could not be read.
fn told(terminal: &mut Terminal<'_>, image: &Path, tree: &Tree) -> Result<(), Failed> {
    let lost: Vec<_> = tree
        .problems
        .iter()
        .filter(|problem| problem.what.loses())
        .collect();
    for problem in &lost {
        terminal.say(image, problem);
    }
    if lost.is_empty() { Ok(()) } else { Err(Failed) }
}

fn cat(terminal: &mut Terminal<'_>, image: &Path, path: &str) -> Result<(), Failed> {
    let volume = open(terminal, image)?;
    let tree = walk(terminal, image, &volume)?;
    let at = find(terminal, image, &tree, path)?;
    let node = &tree.nodes[at];
    if node.is_directory() {
        return Err(terminal.say(image, EditError::IsFolder(tree.path(at))));
    }
    let broken = tree.problems.iter().find(|problem| {
        problem.what.loses() && problem.place == super::problem::Place::Path(tree.short_path(at))
    });
    if let Some(problem) = broken {
        return Err(terminal.say(image, problem));
    }
    let mut unwritten = false;
    let read = volume.read(node, |bytes| {
        let done = terminal.out.write_all(bytes);
        unwritten = done.is_err();
        done
    });
    match read {
        Err(error) if !unwritten => Err(terminal.say(image, error)),
        done => terminal.written(done),
    }
}

fn take_out(
    terminal: &mut Terminal<'_>,
    image: &Path,
    path: &str,
    output: &Path,
) -> Result<(), Failed> {
    let volume = open(terminal, image)?;
    let tree = walk(terminal, image, &volume)?;
    let at = find(terminal, image, &tree, path)?;
    let mut bar = Bar::new(image);
    let failed = extract(&volume, &tree, at, output, &mut |progress| {
        bar.tell(progress)
    });
    bar.done();
    for (path, why) in &failed {
        terminal.say(image, format_args!("{path}: {why}"));
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failed)
    }
}

fn info(terminal: &mut Terminal<'_>, image: &Path) -> Result<(), Failed> {
    let volume = open(terminal, image)?;
    let tree = walk(terminal, image, &volume)?;
    let done = show::info(&volume, &tree, terminal.out);
    terminal.written(done)
}

fn check(terminal: &mut Terminal<'_>, image: &Path) -> u8 {
    let Ok(volume) = open(terminal, image) else {
        return status::UNUSABLE;
    };
    let Ok(tree) = walk(terminal, image, &volume) else {
        return status::UNUSABLE;
    };
    let said = show::check(image, &volume, &tree, terminal.out).and_then(|()| terminal.out.flush());
    match terminal.written(said) {
        Err(Failed) => status::UNUSABLE,
        Ok(()) if tree.problems.is_empty() => status::DONE,
        Ok(()) => status::FAILED,
    }
}

/// How far a long copy is, on a terminal.
struct Bar {
    image: String,
    shown: bool,
    next: Option<Instant>,
}

impl Bar {
    fn new(image: &Path) -> Self {
        let wait = Duration::from_millis(500);
        Self {
            image: image.display().to_string(),
            shown: false,
            next: io::stderr().is_terminal().then(|| Instant::now() + wait),
        }
    }

    fn tell(&mut self, progress: Progress) {
        let Some(next) = self.next.filter(|next| *next <= Instant::now()) else {
            return;
        };
        self.next = Some(next.max(Instant::now()) + Duration::from_millis(100));
        self.shown = true;
        let percent = progress.done * 100 / progress.all.max(1);
        eprint!(
            "\r{}: {percent:3} % of {}\x1b[K",
            self.image,
            size::say(progress.all)
        );
    }

    fn done(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
