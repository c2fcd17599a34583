//! `site.toml`: what the site as a whole is called, and what its bar of links holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::front::{from_toml, one_line};
use crate::problem::{Problem, What};

/// The file's name, in the site's folder.
pub(crate) const FILE: &str = "site.toml";

/// What `site.toml` may hold; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) language: Option<String>,
    pub(crate) nav: Option<Vec<NavItem>>,
    extra: toml::Table,
}

/// One link of the navigation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NavItem {
    pub(crate) title: String,
    pub(crate) url: String,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = &text.as_bytes()[..span.start.min(text.len())];
                1 + before.iter().filter(|&&byte| byte == b'\n').count()
            });
            Problem::new(FILE, line, What::Config(one_line(error.message())))
        })
    }

    /// The table `[extra]`, for templates.
    pub(crate) fn extra(&self) -> minijinja::Value {
        let pairs = self.extra.clone().into_iter();
        pairs
            .map(|(key, value)| (key, from_toml(value)))
            .collect::<BTreeMap<_, _>>()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_has_a_line() {
        let config =
            Config::parse("title = \"T\"\n[[nav]]\ntitle = \"A\"\nurl = \"/a\"\n").unwrap();
        assert_eq!(config.nav.unwrap()[0].url, "/a");
        let problem = Config::parse("title = \"T\"\ntitel = \"U\"\n").unwrap_err();
        assert!(
            problem
                .to_string()
                .starts_with("site.toml:2: unknown field `titel`"),
            "{problem}"
        );
    }
}
