//! The grammar of xl's configurations, as libxlu_cfg reads them: `name = value` or `name += value`, where a value is a string
//! in one of two quotes, a number or a list; comments from `#` to the end of the line.
//!
//! Source: tools/libs/util/libxlu_cfg_l.l and libxlu_cfg_y.y of Xen 4.20.

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string or a number: xl takes the one for the other.
    Atom(String),
    /// A list.
    List(Vec<(usize, Value)>),
}

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) name: String,
    /// Whether it adds to what is there (`+=`).
    pub(super) adds: bool,
    pub(super) value: Value,
}

/// Where a text breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Lists within lists within lists: xl itself has a use for two.
const DEEPEST: usize = 8;

/// Reads a configuration. A mistake ends the reading: xl takes nothing of such a file.
pub(super) fn parse(text: &str) -> Result<Vec<Setting>, Mistake> {
    let mut reader = Reader {
        rest: text,
        line: 1,
    };
    let mut settings = Vec::new();
    loop {
        reader.blank(true)?;
        while reader.take(";") {
            reader.blank(true)?;
        }
        if reader.rest.is_empty() {
            return Ok(settings);
        }
        let line = reader.line;
        let name = reader.name()?;
        reader.blank(false)?;
        let adds = reader.take("+=");
        if !adds && !reader.take("=") {
            return Err(reader.wrong("there should be = here"));
        }
        reader.blank(false)?;
        let value = reader.value(0)?;
        settings.push(Setting {
            line,
            name,
            adds,
            value,
        });
        reader.blank(false)?;
        if !reader.rest.is_empty() && !reader.rest.starts_with(['\n', ';', '#']) {
            return Err(reader.wrong("there should be nothing more on this line"));
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &'static str) -> Mistake {
        Mistake {
            line: self.line,
            what,
        }
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Leaves out spaces, and with `lines` what ends lines, comments among it.
    fn blank(&mut self, lines: bool) -> Result<(), Mistake> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.rest.starts_with('\r') {
                return Err(self.wrong("a carriage return: lines end with a line feed alone"));
            }
            if !lines {
                return Ok(());
            }
            if self.rest.starts_with('#') {
                match self.rest.find('\n') {
                    Some(end) => self.rest = &self.rest[end..],
                    None => return Err(self.wrong("a comment that no line feed ends")),
                }
            }
            if !self.take("\n") {
                return Ok(());
            }
            self.line += 1;
        }
    }

    fn name(&mut self) -> Result<String, Mistake> {
        let is = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        if !self.rest.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(self.wrong("there should be a name in small letters here"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Mistake> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::Atom),
            Some('0'..='9') => {
                let is = |c: char| matches!(c, '0'..='9' | 'a'..='f' | 'x');
                let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
                let (number, rest) = self.rest.split_at(end);
                self.rest = rest;
                Ok(Value::Atom(number.to_owned()))
            }
            Some('[') if depth < DEEPEST => {
                self.take("[");
                self.list(depth).map(Value::List)
            }
            Some('[') => Err(self.wrong("a list too deep in others")),
            _ => Err(self.wrong("there should be a string in quotes, a number or a list here")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<(usize, Value)>, Mistake> {
        let mut values = Vec::new();
        loop {
            self.blank(true)?;
            if self.take("]") {
                return Ok(values);
            }
            if self.rest.is_empty() {
                return Err(self.wrong("a list that no ] ends"));
            }
            values.push((self.line, self.value(depth + 1)?));
            self.blank(true)?;
            if !self.take(",") && !self.rest.starts_with(']') {
                return Err(self.wrong("there should be , or ] here"));
            }
        }
    }

    fn string(&mut self, quote: char) -> Result<String, Mistake> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\n' => break,
                '\\' => out.push(match chars.next() {
                    Some((_, c @ ('"' | '\'' | '\\'))) => c,
                    Some((_, 'a')) => '\x07',
                    Some((_, 'b')) => '\x08',
                    Some((_, 'f')) => '\x0c',
                    Some((_, 'n')) => '\n',
                    Some((_, 'r')) => '\r',
                    Some((_, 't')) => '\t',
                    Some((_, 'v')) => '\x0b',
                    _ => return Err(self.wrong("an escape that xl does not know or gets wrong")),
                }),
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                c => out.push(c),
            }
        }
        Err(self.wrong("a string that no quote ends on its line"))
    }
}
