//! `mir describe`.

use serde::Serialize;

use super::given::{Common, Options};
use super::{Failed, here, print};
use crate::config::{Configuration, File, OPTIONS, Source, parts};
use crate::image;
use crate::output::Shown;

/// An option, for whoever reads JSON.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    /// The value that holds, or in words what does.
    value: String,
    /// `argument`, `mir.toml:LINE` or `default`.
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    does_not_count: Option<String>,
}

#[derive(Serialize)]
struct Description {
    file: Option<String>,
    options: Vec<Row>,
    words: Vec<String>,
    parts: parts::Part,
}

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Dot,
    Json,
}

/// Shows every option, and the parts that result.
pub(super) fn describe(common: &Common, options: Options, form: Form) -> Result<(), Failed> {
    let configuration = common.configuration(options)?;
    let tree = parts::tree(&configuration);
    if form == Form::Dot {
        return print(&tree.dot());
    }
    let words = configuration.words();
    let description = Description {
        file: configuration
            .file
            .as_ref()
            .map(|file| file.path.display().to_string()),
        options: rows(&configuration),
        words: words.map_err(|error| here(&error))?,
        parts: tree,
    };
    if form == Form::Json {
        let json = serde_json::to_string_pretty(&description);
        return print(&(json.map_err(Failed::say)? + "\n"));
    }
    print(&text(&description))
}

fn rows(configuration: &Configuration) -> Vec<Row> {
    let file = configuration
        .file
        .as_ref()
        .map(File::name)
        .unwrap_or_default();
    let settings = &configuration.settings;
    let rows = OPTIONS.iter().map(|known| {
        let dropped = configuration
            .dropped
            .iter()
            .find(|(key, ..)| *key == known.key);
        let (value, from) = match settings.given(known.key) {
            Some(given) => match given.source {
                Source::Argument => (given.text.clone(), "argument".to_owned()),
                Source::File(line) => (given.text.clone(), format!("{file}:{line}")),
            },
            None => (configuration.default(known.key), "default".to_owned()),
        };
        let left_out = dropped.and_then(|(_, given, reason)| match given.source {
            Source::File(line) => Some(format!("{file}:{line}: {}: {reason}", given.text)),
            Source::Argument => None,
        });
        Row {
            name: known.name,
            value,
            from,
            does_not_count: left_out,
        }
    });
    rows.collect()
}

fn text(description: &Description) -> String {
    let mut out = match &description.file {
        Some(file) => format!("Configuration  {}\n", Shown(file)),
        None => "Configuration  defaults: no mir.toml here or above\n".to_owned(),
    };
    let words = match description.words.is_empty() {
        true => "none".to_owned(),
        false => Shown(image::join(&description.words)).to_string(),
    };
    out.push_str(&format!("Built-in words {words}\n\nOptions\n"));
    let value = |row: &Row| Shown(&row.value).to_string();
    let wide = |row: &Row| value(row).chars().count();
    let width = description
        .options
        .iter()
        .map(wide)
        .max()
        .unwrap_or(0)
        .min(32);
    for row in &description.options {
        let (name, value, from) = (row.name, value(row), Shown(&row.from));
        out.push_str(&format!("  {name:<16} {value:<width$}  {from}\n"));
    }
    out.push_str("\nParts\n");
    for line in description.parts.drawn().lines() {
        out.push_str(&format!("  {line}\n"));
    }
    out
}
