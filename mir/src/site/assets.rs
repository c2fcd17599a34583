//! Files under names that have the hash of their content in them, so that browsers may keep them for
//! ever: `asset("/style.css")` in a template gives `/style.0123456789abcdef.css`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Error, ErrorKind, Value};

use super::escape;
use super::walk::{Source, read};
use crate::pack;

/// The files that templates may ask for.
#[derive(Default)]
pub(crate) struct Assets {
    files: BTreeMap<String, Content>,
    /// Names stay as they are: while a site is written, open pages are given other stylesheets.
    plain: bool,
    /// What was asked for, by path.
    asked: Mutex<BTreeMap<String, Result<String, String>>>,
}

/// What is in a file.
#[derive(Clone)]
pub(crate) enum Content {
    File(Source),
    BuiltIn(&'static str),
}

impl Content {
    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(source) => read(source).map_err(|why| why.to_string()),
            Self::BuiltIn(text) => Ok(text.as_bytes().to_vec()),
        }
    }
}

impl Assets {
    pub(crate) fn new(files: BTreeMap<String, Content>, plain: bool) -> Self {
        Self {
            files,
            plain,
            asked: Mutex::default(),
        }
    }

    /// The function that templates call.
    pub(crate) fn function(assets: &Arc<Self>) -> Value {
        let assets = assets.clone();
        Value::from_function(move |path: &str| {
            let name = assets.name(path);
            let name = name.map_err(|why| Error::new(ErrorKind::InvalidOperation, why));
            name.map(|name| escape::percent(&name))
        })
    }

    /// What a file is called.
    fn name(&self, path: &str) -> Result<String, String> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = asked.get(path) {
            return name.clone();
        }
        let name = match self.files.get(path) {
            None => Err(format!("there is no file {path}")),
            Some(_) if self.plain => Ok(path.to_owned()),
            Some(content) => content.read().map(|body| pack::hashed(path, &body)),
        };
        asked.insert(path.to_owned(), name.clone());
        name
    }

    /// All that templates asked for so far and that has another name: path and name.
    pub(crate) fn used(&self) -> Vec<(String, String)> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let names = asked.iter().filter_map(|(path, name)| {
            let name = name.as_ref().ok().filter(|name| *name != path)?;
            Some((path.clone(), name.clone()))
        });
        names.collect()
    }

    /// The path of the file that has this name because of its content.
    pub(crate) fn path(&self, name: &str) -> Option<String> {
        let (path, _) = pack::unhashed(name).filter(|_| !self.plain)?;
        let body = self.files.get(&path)?.read().ok()?;
        (pack::hashed(&path, &body) == name).then_some(path)
    }
}
