//! `mir configure`.

use super::given::{Common, Options, found};
use super::{Failed, place, report};
use crate::config::file;

/// Writes the options to the file.
pub(super) fn configure(common: &Common, options: Options, reset: bool) -> Result<(), Failed> {
    if common.no_file {
        return Err(
            Failed::usage("--no-file: there is nothing to configure without a file")
                .help("-f FILE names another than mir.toml; --reset forgets what it says"),
        );
    }
    let here = place()?;
    let path = match common.file.clone().or_else(|| found(&here)) {
        Some(path) => path,
        None => file::NAME.into(),
    };
    let there = path.symlink_metadata().is_ok();
    let mut options = options;
    file::rebase(&mut options.0, &file::folder(&path))
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))?;
    let old = there.then(|| path.clone());
    // What is forgotten cannot contradict what is said now.
    let configuration = match reset {
        true => common.reset(old, options)?,
        false => common.merged(old, options)?,
    };
    let settings = &configuration.settings;
    let changed = file::save(&path, configuration.file.as_ref(), settings)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))?;
    let shown = path.strip_prefix(&here).unwrap_or(&path).display();
    let arguments = settings.arguments();
    let what = match arguments.is_empty() {
        true => "defaults".to_owned(),
        false => arguments.join(" "),
    };
    match (changed, there) {
        (false, _) => report(format_args!("{shown}: as it was: {what}")),
        (true, true) => report(format_args!("{shown}: changed: {what}")),
        (true, false) => report(format_args!("{shown}: written: {what}")),
    }
}
