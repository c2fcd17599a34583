//! Templates: the site's own, and behind them the ones that are built in.

use std::collections::BTreeMap;
use std::io::{self, Write};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value, escape_formatter,
};

use super::data::one_line;
use super::escape;
use crate::problem::{Problem, What};

/// Steps that filling in a template for one page may take: a second or so, and many times what lists of all
/// pages of a large site do.
const FUEL: u64 = 20_000_000;

/// The largest page that a template may make.
const MAX_PAGE: usize = 64 << 20;

/// The folder of a site's templates.
pub(crate) const FOLDER: &str = "templates";
/// The stylesheet that the built-in templates use, and where it is served unless the site has a
/// file of its own there.
pub(crate) const STYLE: (&str, &str) = ("/style.css", include_str!("../../theme/style.css"));

const BUILT_IN: &[(&str, &str)] = &[
    ("404.html", include_str!("../../theme/404.html")),
    ("atom.xml", include_str!("../../theme/atom.xml")),
    ("base.html", include_str!("../../theme/base.html")),
    ("links.html", include_str!("../../theme/links.html")),
    ("list.html", include_str!("../../theme/list.html")),
    ("page.html", include_str!("../../theme/page.html")),
    ("parts.html", include_str!("../../theme/parts.html")),
    ("robots.txt", include_str!("../../theme/robots.txt")),
    ("search.html", include_str!("../../theme/search.html")),
    ("sitemap.xml", include_str!("../../theme/sitemap.xml")),
];

/// The templates of one site.
pub(crate) struct Theme {
    engine: Environment<'static>,
    /// What does not parse.
    pub(crate) problems: Vec<Problem>,
}

impl Theme {
    /// Compiles all templates of the site.
    pub(crate) fn new(own: BTreeMap<String, String>) -> Self {
        let names: Vec<_> = own.keys().cloned().collect();
        let mut engine = Environment::new();
        engine.set_fuel(Some(FUEL));
        engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // The engine's own escape makes entities of slashes, which fill pages with `&#x2f;`.
        engine.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
                out.write_str(&escape::html(text)).map_err(Error::from)
            }
            _ => escape_formatter(out, state, value),
        });
        engine.set_loader(move |name| {
            let built_in = || {
                let found = BUILT_IN.iter().find(|(known, _)| *known == name);
                found.map(|(_, source)| (*source).to_owned())
            };
            Ok(own.get(name).cloned().or_else(built_in))
        });
        let mut problems = Vec::new();
        for name in names {
            if let Err(error) = engine.get_template(&name) {
                problems.push(problem(&name, &error));
            }
        }
        Self { engine, problems }
    }

    /// The name under which a template is found: as it is, or with `.html` added.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        [name.to_owned(), format!("{name}.html")]
            .into_iter()
            .find(|name| match self.engine.get_template(name) {
                Ok(_) => true,
                Err(error) => error.kind() != ErrorKind::TemplateNotFound,
            })
    }

    /// Fills in a template for a page.
    pub(crate) fn render(&self, name: &str, context: &Value) -> Result<Vec<u8>, Problem> {
        let mut page = Bounded::default();
        let filled = self
            .engine
            .get_template(name)
            .and_then(|template| template.render_captured_to(context, &mut page).map(|_| ()));
        if page.full {
            let (what, limit) = ("the page that this makes", MAX_PAGE as u64);
            let file = format!("{FOLDER}/{name}");
            return Err(Problem::new(file, None, What::TooLarge { what, limit }));
        }
        filled.map_err(|error| problem(name, &error))?;
        Ok(page.bytes)
    }
}

/// A page that does not grow for ever.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.full |= self.bytes.len() + bytes.len() > MAX_PAGE;
        if self.full {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The innermost cause is what the author can mend; the outer ones say "error in include".
fn problem(name: &str, error: &Error) -> Problem {
    let mut cause = error;
    while let Some(inner) = std::error::Error::source(cause).and_then(|e| e.downcast_ref::<Error>())
    {
        cause = inner;
    }
    let place = if cause.name().is_some() { cause } else { error };
    let file = place.name().unwrap_or(name);
    let what = match cause.detail() {
        Some(detail) => format!("{}: {detail}", cause.kind()),
        None => cause.kind().to_string(),
    };
    Problem::new(
        format!("{FOLDER}/{file}"),
        place.line(),
        What::Template(one_line(&what)),
    )
}
