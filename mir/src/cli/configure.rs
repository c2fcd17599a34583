//! `mir configure`.

use super::given::{Common, Options};
use super::{Failed, place, report};
use crate::config::file;

/// Writes the options to the file.
pub(super) fn configure(common: &Common, options: Options, reset: bool) -> Result<(), Failed> {
    let path = match common.file.clone().or_else(|| file::find(&place().ok()?)) {
        Some(path) => path,
        None => file::NAME.into(),
    };
    let there = path.exists();
    let mut options = options;
    file::rebase(&mut options.0, &file::folder(&path))
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))?;
    let given = options.0.clone();
    let configuration = common.merged(there.then(|| path.clone()), options)?;
    let settings = if reset {
        &given
    } else {
        &configuration.settings
    };
    let changed = file::save(&path, configuration.file.as_ref(), settings)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))?;
    let here = place()?;
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
