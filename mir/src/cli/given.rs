//! The options of `configure`, `describe`, `build` and `run`, and the file that they go on top of.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgMatches, FromArgMatches};

use super::{Failed, note, place};
use crate::config::value::Kind;
use crate::config::{Configuration, File, OPTIONS, Settings, Source, Unsettled, file};

/// Arguments of each command that needs a configuration.
#[derive(clap::Args, Default)]
pub(super) struct Common {
    /// The configuration [default: mir.toml, here or in a folder above]
    #[arg(id = "configuration", short = 'f', long = "file", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Look at no configuration: only arguments and defaults count
    #[arg(long, conflicts_with = "configuration")]
    pub(super) no_file: bool,
    /// Say nothing but what goes wrong
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// The options that were given as arguments.
#[derive(Clone, Default)]
pub(super) struct Options(pub(super) Settings);

impl Options {
    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        OPTIONS
            .iter()
            .any(|known| self.0.given(known.key).is_some())
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for known in &OPTIONS {
            if let Some(text) = matches.get_one::<String>(known.name) {
                self.0.set(known.key, text.clone(), Source::Argument);
            }
        }
        Ok(())
    }
}

impl clap::Args for Options {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(OPTIONS.iter().map(|known| {
            let default = format!("{} [default: {}]", known.help, known.default);
            let arg = Arg::new(known.name)
                .long(known.name)
                .help(default)
                .help_heading(known.heading);
            let arg = match known.short {
                Some(short) => arg.short(short),
                None => arg,
            };
            let kind = known.kind;
            let checked = move |text: &str| {
                let takes = |takes| format!("it takes {takes}");
                kind.check(text).map_err(takes)
            };
            match kind {
                Kind::Choice(words) => arg
                    .value_parser(PossibleValuesParser::new(words).map(|word| word))
                    .value_name(words.join("|"))
                    .hide_possible_values(true),
                Kind::Flag => arg
                    .value_parser(PossibleValuesParser::new(["yes", "no"]))
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("yes")
                    .value_name(kind.placeholder())
                    .hide_possible_values(true),
                // That a number is too small is said of it, and not of an option `-5`.
                _ => arg
                    .allow_negative_numbers(true)
                    .value_parser(checked)
                    .value_name(kind.placeholder()),
            }
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl Common {
    /// Reads the file, if there is one, and puts arguments on top.
    pub(super) fn configuration(&self, options: Options) -> Result<Configuration, Failed> {
        let here = place()?;
        let path = match &self.file {
            _ if self.no_file => None,
            Some(path) => Some(path.clone()),
            None => found(&here),
        };
        self.merged(path, options)
    }

    /// As [`Self::configuration`], with the file at this place.
    pub(super) fn merged(
        &self,
        path: Option<PathBuf>,
        options: Options,
    ) -> Result<Configuration, Failed> {
        super::quiet(self.quiet);
        let here = place()?;
        let file = read(path)?;
        let root = match &file {
            Some(file) => shorter(file.folder(), &here),
            None => PathBuf::new(),
        };
        let merged = Configuration::merge(file, options.0, root);
        let configuration = merged.map_err(|unsettled| refused(&unsettled))?;
        let name = configuration
            .file
            .as_ref()
            .map(File::name)
            .unwrap_or_default();
        for (key, given, reason) in &configuration.dropped {
            if let Source::File(line) = given.source {
                let known = key.known();
                let (key, value) = (known.name, known.kind.write(&given.text));
                note(format_args!(
                    "{name}:{line}: {key} = {value} does not count: {reason}"
                ));
            }
        }
        Ok(configuration)
    }

    /// The arguments alone, and the file at this place, to be written anew.
    pub(super) fn reset(
        &self,
        path: Option<PathBuf>,
        options: Options,
    ) -> Result<Configuration, Failed> {
        super::quiet(self.quiet);
        let merged = Configuration::merge(None, options.0, PathBuf::new());
        let mut configuration = merged.map_err(|unsettled| refused(&unsettled))?;
        configuration.file = read(path)?;
        Ok(configuration)
    }
}

/// The file that is here, or in a folder above.
pub(super) fn found(here: &Path) -> Option<PathBuf> {
    let path = file::find(here)?;
    let short = path.strip_prefix(here).map(Path::to_owned);
    Some(short.unwrap_or(path))
}

fn read(path: Option<PathBuf>) -> Result<Option<File>, Failed> {
    let file = path.as_deref().map(File::read).transpose();
    file.map_err(|lines| refused(&Unsettled::File(lines)))
}

/// What holds if no option is given.
pub(super) fn configured() -> Result<Configuration, Failed> {
    Common::default().configuration(Options::default())
}

/// The folder we are in needs no name.
fn shorter(folder: PathBuf, here: &Path) -> PathBuf {
    if folder == here || folder.as_os_str() == "." {
        PathBuf::new()
    } else {
        folder
    }
}

fn refused(unsettled: &Unsettled) -> Failed {
    match unsettled {
        Unsettled::File(lines) => {
            let mut failed = Failed(1);
            for line in lines {
                failed = Failed::say(line);
            }
            failed
        }
        Unsettled::Contradiction(path, both) => {
            let (settings, refusal) = &**both;
            let given = settings.given(refusal.culprit);
            let at = match given.map(|given| given.source) {
                Some(Source::File(line)) => format!("{}:{line}", path.display()),
                _ => path.display().to_string(),
            };
            Failed::say(format!("{at}: {refusal}")).help(nearest(&refusal.mended))
        }
        Unsettled::Refused(refusal) => Failed::usage(refusal).help(nearest(&refusal.mended)),
    }
}

fn nearest(settings: &Settings) -> String {
    format!(
        "the nearest that can be: {}",
        settings.arguments().join(" ")
    )
}
