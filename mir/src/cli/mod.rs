//! The commands of the tool `mir`, a file for each.

mod base;
mod build;
mod built;
mod configure;
mod depend;
mod describe;
mod domain;
mod fat;
mod generate;
mod given;
mod look;
#[cfg(test)]
mod reference;
mod run;
mod site;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use self::build::Building;
use self::describe::Form;
use self::fat::{FatArgs, FatCommand};
use self::generate::Completed;
use self::given::{Common, Options};
use self::look::Encoding;
use self::site::Site;
use crate::config::options::of_a_run;
use crate::input;
use crate::output::{self, Shown};

/// Builds web sites into packs, and packs into the programs that serve them.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Args {
    /// Go to this folder first
    #[arg(short = 'C', value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write options to mir.toml, which the other commands read
    #[command(name = "configure")]
    Configure {
        #[command(flatten)]
        common: Common,
        /// Forget what the file says
        #[arg(long)]
        reset: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Show every option with its value and where that comes from, and the parts that result; or
    /// say what an image is: versions, arguments that are built in, its site and the site's hash
    Describe {
        /// An image, a program without a site, or a pack
        #[arg(value_name = "FILE", conflicts_with = "dot")]
        image: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
        /// The parts as a graph in Graphviz' language
        #[arg(long, conflicts_with = "json")]
        dot: bool,
        /// All of it as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Render a site to a pack
    Pack {
        #[command(flatten)]
        site: Site,
        /// The pack to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Make what the configuration says: dist/mir-www, or dist/mir-www.xen with what starts it
    Build {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        building: Building,
        /// Write the image alone, to this file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        options: Options,
    },
    /// Build, and start what was built: here, or under Xen in QEMU
    Run {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        building: Building,
        /// The port of this machine that leads to a guest [default: 8080]
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        #[command(flatten)]
        options: Options,
        /// Arguments of the program
        #[arg(last = true, value_name = "ARGUMENT")]
        words: Vec<String>,
    },
    /// Remove what build made, and nothing else
    Clean {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        options: Options,
    },
    /// See to it that what the build needs is there
    Depend {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        options: Options,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Completed,
    },
    /// Print the manual page, or write the pages of all commands
    Man {
        /// The folder for them
        folder: Option<PathBuf>,
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
    /// Say what is wrong with a domain's configuration for xl, or write one for an image that is
    /// built
    #[command(group = clap::ArgGroup::new("what").required(true))]
    Xl {
        /// Say what is wrong with this one
        #[arg(long, value_name = "FILE", group = "what")]
        check: Option<PathBuf>,
        /// Write one, which starts dist/mir-www.xen, whatever is built in, with these options
        #[arg(long, value_name = "FILE", group = "what")]
        write: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        options: Options,
    },
    /// Make FAT images, fill them and look into them
    #[command(subcommand)]
    Fat(FatCommand),
}

/// Wrong words on the command line, as for `mir-www` (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// Does what the program's arguments say.
pub fn main() -> ExitCode {
    // As `fat` the program is that command alone.
    let program = std::env::args_os().next().map(PathBuf::from);
    if program.is_some_and(|name| name.file_stem() == Some("fat".as_ref())) {
        return match FatArgs::try_parse() {
            Ok(args) => fat::fat("fat", args.command),
            Err(error) => not_parsed(&error, error.exit_code() as u8),
        };
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // The statuses of `fat` are its own, whatever it is called by.
            let fat = std::env::args_os().nth(1).is_some_and(|word| word == "fat");
            let wrong = if fat { error.exit_code() as u8 } else { USAGE };
            return not_parsed(&error, wrong);
        }
    };
    let moved = args.folder.as_deref().map(std::env::set_current_dir);
    if let (Some(Err(error)), Some(folder)) = (moved, &args.folder) {
        Failed::say(format!("{}: {error}", folder.display()));
        return ExitCode::FAILURE;
    }
    match act(args.command) {
        Ok(status) => status,
        Err(Failed(status)) => ExitCode::from(status),
    }
}

/// Says what is wrong with the arguments, or what they ask for: help, the version.
fn not_parsed(error: &clap::Error, wrong: u8) -> ExitCode {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && let Some(why) = of_a_run(word.trim_start_matches('-'))
    {
        return ExitCode::from(Failed::usage(format!("{word}: {why}")).0);
    }
    let printed = printed(error.print().and_then(|()| io::stdout().flush()));
    ExitCode::from(match printed {
        _ if error.use_stderr() => wrong,
        Ok(()) => 0,
        Err(Failed(status)) => status,
    })
}

fn act(command: Command) -> Result<ExitCode, Failed> {
    match command {
        Command::Configure {
            common,
            reset,
            options,
        } => configure::configure(&common, options, reset)?,
        Command::Describe {
            image: Some(file),
            json,
            options,
            ..
        } => {
            if options.any() {
                return Err(Failed::usage("an image has its options built in")
                    .help(format!("mir describe {}", file.display())));
            }
            look::describe(&file, json)?;
        }
        Command::Describe {
            image: None,
            common,
            dot,
            json,
            options,
        } => {
            let form = match (dot, json) {
                (true, _) => Form::Dot,
                (_, true) => Form::Json,
                _ => Form::Text,
            };
            describe::describe(&common, options, form)?;
        }
        Command::Xl {
            check: Some(file),
            options,
            ..
        } => {
            if options.any() {
                return Err(Failed::usage("the configuration has its options in it")
                    .help(format!("mir xl --check {}", file.display())));
            }
            domain::check(&file)?;
        }
        Command::Xl {
            check: None,
            write,
            common,
            options,
        } => {
            let configuration = common.configuration(options)?;
            // clap sees to it that there is one.
            domain::of_image(&configuration, &write.unwrap_or_default())?;
        }
        Command::Fat(command) => return Ok(fat::fat("mir: fat", command)),
        Command::Pack { site, output } => {
            let pack = site.pack()?;
            write(&output, &[&pack], false)?;
            report(format_args!("{}: {} bytes", output.display(), pack.len()))?;
        }
        Command::Build {
            common,
            building,
            output,
            options,
        } => {
            let configuration = common.configuration(options)?;
            build::build(&configuration, &building, output.as_deref())?;
        }
        Command::Run {
            common,
            building,
            port,
            options,
            words,
        } => return run::run(&common, options, &building, port, &words),
        Command::Clean { common, options } => {
            built::clean(&common.configuration(options)?.dist())?;
        }
        Command::Depend { common, options } => depend::depend(&common, options)?,
        Command::Completions { shell } => generate::completions(shell)?,
        Command::Man { folder } => generate::man(folder.as_deref())?,
        Command::List { file } => look::list(&file)?,
        Command::Cat {
            file,
            path,
            encoding,
        } => look::cat(&file, &path, encoding)?,
        Command::Check { site } => {
            site.render()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All commands with their arguments.
fn definitions() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// It did not work, and the user has been told why; the status says what kind of reason it was.
struct Failed(u8);

impl Failed {
    fn say(why: impl std::fmt::Display) -> Self {
        complain("error", &why);
        Self(1)
    }

    /// The command line was wrong.
    fn usage(why: impl std::fmt::Display) -> Self {
        complain("error", &why);
        Self(USAGE)
    }

    /// Says what would help, too.
    fn help(self, what: impl std::fmt::Display) -> Self {
        complain("help", &what);
        self
    }
}

fn complain(kind: &str, what: &dyn std::fmt::Display) {
    tell(format_args!("{kind}: {what}"));
}

/// A line on the standard error, whose reader may be gone. What names and files say is shown, and
/// not obeyed.
fn tell(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", Shown(line));
}

/// Whether only what goes wrong is said.
static QUIET: AtomicBool = AtomicBool::new(false);

fn quiet(quiet: bool) {
    QUIET.fetch_or(quiet, Ordering::Relaxed);
}

/// Something that the user may not expect.
fn note(what: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        complain("note", &what);
    }
}

/// The folder we are in.
fn place() -> Result<PathBuf, Failed> {
    std::env::current_dir().map_err(|error| here(&error))
}

/// Why the folder we are in, or a path from it, cannot be told.
fn here(error: &io::Error) -> Failed {
    Failed::say(format!("the folder we are in: {error}"))
}

/// Text on the standard output.
fn print(text: &str) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A line on the standard output. `println!` would panic if that is closed.
fn report(line: std::fmt::Arguments<'_>) -> Result<(), Failed> {
    if QUIET.load(Ordering::Relaxed) {
        return Ok(());
    }
    printed(writeln!(io::stdout(), "{}", Shown(line)))
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
    input::read(path, input::IMAGE)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}

fn write(path: &Path, parts: &[&[u8]], executable: bool) -> Result<(), Failed> {
    output::write(path, parts, executable)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_make_sense_together() {
        super::Args::command().debug_assert();
    }
}
