//! The `mir` tool.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use mir::pack::Cache;
use mir::site::{self, Options, Rendered};
use mir::{fat, link, output, pack};
use www::pack::{Body, MANIFEST_VERSION, NewVolume, Pack, PackError};

/// Builds web sites into packs, and packs into the programs that serve them.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render a site to a pack
    Pack {
        #[command(flatten)]
        site: Site,
        /// The pack to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Render a site and join it with a program built without one
    Build {
        /// What the program runs on
        #[arg(short, long, value_enum)]
        target: Target,
        /// The program: mir-www for Unix, mir-www-xen for Xen, or an image made of one
        #[arg(long, value_name = "FILE")]
        base: PathBuf,
        #[command(flatten)]
        site: Site,
        /// The image to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Say what is in a pack, a manifest, or an image that carries a pack: status, media type,
    /// encodings with their lengths, path, and where a redirect leads
    List {
        /// The pack or image
        file: PathBuf,
    },
    /// Write the body of one path of a pack, or of an image that carries one
    Cat {
        /// The pack or image
        file: PathBuf,
        /// The path, decoded: `/blog/a b`
        path: String,
        /// The encoding of the body
        #[arg(long, value_enum, default_value_t = Encoding::Identity)]
        encoding: Encoding,
    },
    /// Render a site and say what is wrong with it; write nothing
    Check {
        #[command(flatten)]
        site: Site,
    },
    /// Make FAT images, fill them and look into them
    #[command(subcommand)]
    Fat(FatCommand),
}

#[derive(Subcommand)]
enum FatCommand {
    #[command(flatten)]
    Image(fat::command::Command),
    /// Render a site to two images, `files.img` with its static files and `pages.img` with the
    /// rest, each as large as it must be
    #[command(name = "site")]
    Images {
        #[command(flatten)]
        site: Site,
        /// The folder for the images
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        layout: fat::command::Layout,
        /// Leave so much free in each [default: a 32nd, 64 KiB at least]
        #[arg(long, value_name = "SIZE", value_parser = fat::size::parse)]
        free: Option<u64>,
        /// The same bytes for the same site: all times are SOURCE_DATE_EPOCH, or 1980-01-01
        /// without it. If SOURCE_DATE_EPOCH is set they are so anyway
        #[arg(long)]
        deterministic: bool,
    },
}

/// Makes FAT images, fills them and looks into them.
#[derive(Parser)]
#[command(name = "fat", version, max_term_width = 100)]
struct FatArgs {
    #[command(subcommand)]
    command: FatCommand,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Unix,
    Xen,
}

#[derive(Clone, Copy, ValueEnum)]
enum Encoding {
    Identity,
    Gzip,
    Br,
}

#[derive(clap::Args)]
struct Site {
    /// The site's folder
    #[arg(long, value_name = "DIR")]
    site: PathBuf,
    /// Keep compressed pages in this folder [default: mir-www in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Compress everything anew
    #[arg(long)]
    no_cache: bool,
}

/// How many broken links are shown; the rest are counted.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    // As `fat` the program is that command alone.
    let program = std::env::args_os().next().map(PathBuf::from);
    if program.is_some_and(|name| name.file_stem() == Some("fat".as_ref())) {
        return fat("fat", FatArgs::parse().command);
    }
    let done = match Args::parse().command {
        Command::Fat(command) => return fat("mir: fat", command),
        Command::Pack { site, output } => site.pack().and_then(|pack| {
            write(&output, &[&pack], false)?;
            report(format_args!("{}: {} bytes", output.display(), pack.len()))
        }),
        Command::Build {
            target,
            base,
            site,
            output,
        } => build(target, &base, &site, &output),
        Command::List { file } => list(&file),
        Command::Cat {
            file,
            path,
            encoding,
        } => cat(&file, &path, encoding),
        Command::Check { site } => site.render().map(|_| ()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn fat(name: &str, command: FatCommand) -> ExitCode {
    let command = match command {
        FatCommand::Image(command) => command,
        FatCommand::Images {
            site,
            output,
            layout,
            free,
            deterministic,
        } => {
            let first = deterministic.then_some(FIRST_OF_1980);
            let made = site.render_at(first).and_then(|rendered| {
                let volumes = pack::volumes(rendered, &site.cache()).map_err(Failed::say)?;
                let parts = [("files", volumes.files), ("pages", volumes.pages)];
                parts.into_iter().try_for_each(|(part, volume)| {
                    fat_image(&output, part, volume, layout.wanted(), free)
                })
            });
            return made.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut err = io::stderr();
    let mut terminal = fat::command::Terminal {
        name,
        out: &mut out,
        err: &mut err,
    };
    fat::command::run(&command, &mut terminal).into()
}

/// The first moment that FAT has, in seconds since 1970.
const FIRST_OF_1980: u64 = 315_532_800;

fn fat_image(
    folder: &Path,
    part: &str,
    volume: NewVolume,
    mut wanted: fat::format::Wanted,
    free: Option<u64>,
) -> Result<(), Failed> {
    let path = folder.join(part).with_extension("img");
    let refused = |why: &dyn std::fmt::Display| Failed::say(format!("{}: {why}", path.display()));
    wanted.label = fat::format::label(part).ok();
    let free = free.unwrap_or_else(|| fat::site::free_for(&volume));
    let files = volume.files.len() + 1;
    let editor = fat::site::image(volume, &wanted, free).map_err(|why| refused(&why))?;
    let (kind, size, free) = (editor.boot().kind, editor.image_len(), editor.free());
    std::fs::create_dir_all(folder).map_err(|why| refused(&why))?;
    editor
        .save(&path, &mut |_| ())
        .map_err(|why| refused(&why))?;
    report(format_args!(
        "{}: {kind}, {size} bytes, {files} files, {free} bytes free",
        path.display()
    ))
}

/// It did not work, and the user has been told why.
struct Failed;

impl Failed {
    fn say(why: impl std::fmt::Display) -> Self {
        eprintln!("mir: {why}");
        Self
    }
}

impl Site {
    fn render(&self) -> Result<Rendered, Failed> {
        self.render_at(None)
    }

    /// Renders it; all of it changed at SOURCE_DATE_EPOCH, without that at `modified`, without
    /// that when it did.
    fn render_at(&self, modified: Option<u64>) -> Result<Rendered, Failed> {
        let modified = fat::command::source_date_epoch()
            .map_err(Failed::say)?
            .or(modified);
        let rendered = site::render(&self.site, Options { modified });
        let rendered = rendered.map_err(|problems| {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            let (count, s) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
            Failed::say(format!(
                "{}: {count} error{s}, nothing written",
                self.site.display()
            ))
        })?;
        for problem in rendered.warnings.iter().take(SHOWN) {
            eprintln!("warning: {problem}");
        }
        if let Some(more) = rendered.warnings.len().checked_sub(SHOWN + 1) {
            eprintln!("warning: {} more broken links", more + 1);
        }
        let (site, count) = (self.site.display(), rendered.items.len());
        report(format_args!("{site}: {count} pages and files"))?;
        Ok(rendered)
    }

    fn pack(&self) -> Result<Vec<u8>, Failed> {
        let rendered = self.render()?;
        pack::pack(rendered, &self.cache()).map_err(Failed::say)
    }

    fn cache(&self) -> Cache {
        if self.no_cache {
            return Cache::none();
        }
        let folder = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let users = || {
            folder("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(Path::new(&folder("HOME")?).join(".cache")))
                .map(|folder| folder.join("mir-www"))
        };
        match self.cache.clone().or_else(users) {
            Some(folder) => Cache::new(&folder),
            None => Cache::none(),
        }
    }
}

fn build(target: Target, base: &Path, site: &Site, output: &Path) -> Result<(), Failed> {
    let program = read(base)?;
    let pack = site.pack()?;
    let refused = |error| Failed::say(format!("{}: {error}", base.display()));
    let (total, without_site) = match target {
        Target::Unix => {
            let image = link::unix::link(&program, &pack).map_err(refused)?;
            write(output, &image.parts(), true)?;
            let total: usize = image.parts().iter().map(|part| part.len()).sum();
            (total, total - pack.len())
        }
        Target::Xen => {
            let image = link::xen::link(&program, &pack).map_err(refused)?;
            write(output, &[&image.bytes], false)?;
            (image.bytes.len(), image.without_site as usize)
        }
    };
    report(format_args!(
        "{}: {total} bytes, {without_site} without its site",
        output.display()
    ))
}

fn list(file: &Path) -> Result<(), Failed> {
    with_pack(file, |pack, out| {
        for entry in pack.entries() {
            let variants = entry.variants();
            let variants = variants.map(|v| format!("{}={}", v.encoding.name(), v.body.len()));
            let variants = variants.collect::<Vec<_>>().join(",");
            let (status, path) = (entry.status(), entry.path());
            match entry.location() {
                "" => writeln!(
                    out,
                    "{status} {} {variants} {path}",
                    field(entry.media_type())
                )?,
                location => writeln!(out, "{status} - - {path} -> {location}")?,
            }
        }
        Ok(Ok(()))
    })
}

/// Without spaces, so that each line has the same number of words before the path.
fn field(media_type: &str) -> String {
    media_type.replace(' ', "")
}

fn cat(file: &Path, path: &str, encoding: Encoding) -> Result<(), Failed> {
    let encoding = match encoding {
        Encoding::Identity => www::encoding::Encoding::Identity,
        Encoding::Gzip => www::encoding::Encoding::Gzip,
        Encoding::Br => www::encoding::Encoding::Br,
    };
    with_pack(file, |pack, out| {
        let found = pack.find(path.as_bytes());
        let found = found.and_then(|entry| entry.variants().find(|v| v.encoding == encoding));
        match found {
            Some(variant) => match variant.body {
                Body::Here(body) => out.write_all(body).map(|()| Ok(())),
                Body::File { name, .. } => Ok(Err(Refused::File(name.to_owned()))),
            },
            None => Ok(Err(Refused::NoPath)),
        }
    })
}

/// Why a pack does not have what was asked for.
enum Refused {
    NoPath,
    /// The body is in a file of this name, on the manifest's volume.
    File(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPath => f.write_str("there is no such path, or not in this encoding"),
            Self::File(name) => write!(
                f,
                "this is a manifest: the body is in the file /{name} of its volume"
            ),
        }
    }
}

/// Does something with the pack or manifest in a file and the standard output.
fn with_pack(
    file: &Path,
    act: impl FnOnce(Pack<'_>, &mut dyn Write) -> io::Result<Result<(), Refused>>,
) -> Result<(), Failed> {
    let refused =
        |error: &dyn std::fmt::Display| Failed::say(format!("{}: {error}", file.display()));
    let bytes = read(file)?;
    let at = link::find(&bytes).map_err(|error| refused(&error))?;
    let pack = match Pack::load(&bytes[at.clone()]) {
        Err(PackError::Version {
            found: MANIFEST_VERSION,
            ..
        }) => Pack::load_manifest(&bytes[at]),
        loaded => loaded,
    };
    let pack = pack.map_err(|error| refused(&error))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match act(pack, &mut out).and_then(|found| out.flush().map(|()| found)) {
        Ok(found) => found.map_err(|why| refused(&why)),
        Err(error) => printed(Err(error)),
    }
}

/// A line on the standard output. `println!` would panic if that is closed.
fn report(line: std::fmt::Arguments<'_>) -> Result<(), Failed> {
    printed(writeln!(io::stdout(), "{line}"))
}

/// What became of writing to the standard output.
fn printed(done: io::Result<()>) -> Result<(), Failed> {
    match done {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Failed::say(format!("standard output: {error}"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}

fn write(path: &Path, parts: &[&[u8]], executable: bool) -> Result<(), Failed> {
    output::write(path, parts, executable)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}
