//! Reads a form from TOML, field by field, and notes everything that is wrong with its place in the file.
//!
//! A value with a mistake leaves the field as it was; never stops early, and never takes what it does not know.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeInteger, DeTable, DeValue};

use super::form::{Count, Form, Text, parse_time, spell_time};
use super::mistake::{Mistake, PROBLEMS_MAX, Problems};

/// Who reads the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBy {
    /// `ekm dev`, or a check for it: the stamp of development must be there.
    Dev,
    /// Whatever is not dev: the stamp is refused.
    Others,
}

/// Goes over `form` with what the text says.
///
/// # Errors
/// All that is wrong with the text.
pub fn read(text: &str, by: ReadBy, form: impl FnOnce(&mut Reader<'_>)) -> Result<(), Problems> {
    let (document, mut broken) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(text.len(), |span| span.start);
    broken.sort_by_key(start);
    let lines = Lines::of(text);
    let mut problems = Problems::default();
    for error in &broken {
        let line = lines.number(start(error));
        let place = if problems.told().len() < PROBLEMS_MAX {
            format!("line {line}, column {}", lines.column(text, start(error)))
        } else {
            // not told any more
            String::new()
        };
        problems.add(place, Mistake::Syntax { problem: error.message().replace('\n', "; ") });
    }
    // what is left of a line that is no TOML says nothing about what was meant there
    let broken_lines = broken.iter().map(|error| lines.number(start(error))).collect();
    let mut reader = Reader {
        lines,
        by,
        tables: vec![Open { table: Some(document.get_ref()), path: String::new(), known: Vec::new() }],
        broken_lines,
        problems,
    };
    form(&mut reader);
    reader.close();
    if reader.problems.is_empty() { Ok(()) } else { Err(reader.problems) }
}

/// The names of a text's fields and tables, as far as it is TOML.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    document.get_ref().keys().map(|key| key.get_ref().to_string()).collect()
}

/// Where each line begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self([0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line that a byte lies in, from 1.
    fn number(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }

    /// How many characters into its line a byte lies, from 1.
    fn column(&self, text: &str, at: usize) -> usize {
        let start = self.0[self.number(at) - 1];
        1 + text.get(start..at).map_or(0, |before| before.chars().count())
    }
}

/// A table that is being read.
struct Open<'a> {
    /// `None` if it is absent, or no table.
    table: Option<&'a DeTable<'a>>,
    path: String,
    known: Vec<&'static str>,
}

/// Reads; made by [`read`].
pub struct Reader<'a> {
    lines: Lines,
    by: ReadBy,
    /// The outermost first; never empty while the form is gone over.
    tables: Vec<Open<'a>>,
    broken_lines: BTreeSet<usize>,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn open(&mut self) -> &mut Open<'a> {
        self.tables.last_mut().expect("the outermost table is open as long as the form is gone over")
    }

    fn value(&mut self, name: &'static str) -> Option<&'a DeValue<'a>> {
        let open = self.open();
        open.known.push(name);
        let (key, value) = open.table?.get_key_value(name)?;
        let line = self.lines.number(key.span().start);
        if self.broken_lines.contains(&line) { None } else { Some(value.get_ref()) }
    }

    fn path_of(&mut self, name: &str) -> String {
        let path = &self.open().path;
        if path.is_empty() { spell_key(name) } else { format!("{path}.{}", spell_key(name)) }
    }

    fn note(&mut self, name: &str, mistake: Mistake) {
        let place = self.path_of(name);
        self.problems.add(place, mistake);
    }

    fn set<T>(&mut self, name: &str, value: &mut T, read: Result<T, Mistake>) {
        match read {
            Ok(read) => *value = read,
            Err(mistake) => self.note(name, mistake),
        }
    }

    /// Notes a field that must be given and is not. Where a text is no TOML, nobody knows what is missing.
    fn needs(&mut self, name: &str) {
        let is_there = self.open().table.is_some_and(|table| table.contains_key(name));
        if !is_there && self.broken_lines.is_empty() {
            self.note(name, Mistake::Missing);
        }
    }

    /// Ends the innermost table: what nobody asked for is unknown.
    fn close(&mut self) {
        let open = self.open();
        let Some(table) = open.table else {
            self.tables.pop();
            return;
        };
        let known = std::mem::take(&mut open.known);
        for (key, _) in table {
            let line = self.lines.number(key.span().start);
            if !known.contains(&key.get_ref().as_ref()) && !self.broken_lines.contains(&line) {
                self.note(key.get_ref(), Mistake::Unknown);
            }
        }
        self.tables.pop();
    }
}

impl Form for Reader<'_> {
    fn table(&mut self, name: &'static str, _says: &str, inside: impl FnOnce(&mut Self)) {
        let table = match self.value(name) {
            None => None,
            Some(DeValue::Table(table)) => Some(table),
            Some(other) => {
                self.note(name, wrong_type("a table", other));
                None
            }
        };
        let path = self.path_of(name);
        self.tables.push(Open { table, path, known: Vec::new() });
        inside(self);
        self.close();
    }

    fn stamp(&mut self, _says: &str) {
        match (self.value("dev"), self.by) {
            (Some(DeValue::Boolean(true)), ReadBy::Dev) => {}
            (Some(DeValue::Boolean(true)), ReadBy::Others) => self.note("dev", Mistake::StampedDev),
            (None | Some(DeValue::Boolean(false)), _) => self.note("dev", Mistake::NotStamped),
            (Some(other), _) => self.note("dev", wrong_type("a boolean", other)),
        }
    }

    fn no_stamp(&mut self) {
        match self.value("dev") {
            None => {}
            Some(DeValue::Boolean(true)) => self.note("dev", Mistake::StampedDev),
            Some(_) => self.note("dev", Mistake::Unknown),
        }
    }

    fn gives(&mut self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    fn required_count<T: Count>(
        &mut self,
        name: &'static str,
        _says: &str,
        value: &mut Option<T>,
        range: RangeInclusive<T>,
    ) {
        match self.value(name) {
            Some(given) => self.set(name, value, read_count(given, &range).map(Some)),
            None if value.is_none() => self.needs(name),
            None => {}
        }
    }

    fn count<T: Count>(&mut self, name: &'static str, _says: &str, value: &mut T, range: RangeInclusive<T>) {
        let Some(given) = self.value(name) else { return };
        self.set(name, value, read_count(given, &range));
    }

    fn time(&mut self, name: &'static str, _says: &str, value: &mut Duration, range: RangeInclusive<Duration>) {
        let Some(given) = self.value(name) else { return };
        let read = read_text("a time such as \"500ms\"", given).and_then(parse_time).and_then(|time| {
            if time < *range.start() {
                Err(Mistake::Below { value: spell_time(time), least: spell_time(*range.start()) })
            } else if time > *range.end() {
                Err(Mistake::Above { value: spell_time(time), most: spell_time(*range.end()) })
            } else {
                Ok(time)
            }
        });
        self.set(name, value, read);
    }

    fn choice<T: Copy + PartialEq>(&mut self, name: &'static str, _says: &str, value: &mut T, words: &[(&str, T)]) {
        let Some(given) = self.value(name) else { return };
        let read = read_text("a string", given).and_then(|text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
            let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| Mistake::NotAChoice { value: shown(text), known: known() })
        });
        self.set(name, value, read);
    }

    fn text<T: Text>(&mut self, name: &'static str, _says: &str, value: &mut T) {
        let Some(given) = self.value(name) else { return };
        self.set(name, value, read_text("a string", given).and_then(T::parse));
    }

    fn required<T: Text>(&mut self, name: &'static str, _says: &str, value: &mut Option<T>) {
        match self.value(name) {
            Some(given) => self.set(name, value, read_text("a string", given).and_then(T::parse).map(Some)),
            None if value.is_none() => self.needs(name),
            None => {}
        }
    }

    fn optional<T: Text>(&mut self, name: &'static str, _says: &str, value: &mut Option<T>, _example: &str) {
        let Some(given) = self.value(name) else {
            *value = None;
            return;
        };
        self.set(name, value, read_text("a string", given).and_then(T::parse).map(Some));
    }

    fn texts<T: Text>(&mut self, name: &'static str, _says: &str, value: &mut Vec<T>, most: usize) {
        let Some(given) = self.value(name) else { return };
        let DeValue::Array(items) = given else { return self.note(name, wrong_type("an array of strings", given)) };
        if items.len() > most {
            return self.note(name, Mistake::TooMany { count: items.len(), most });
        }
        let mut texts = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match read_text("a string", item.get_ref()).and_then(T::parse) {
                Ok(text) => texts.push(text),
                Err(mistake) => {
                    let place = format!("{}[{at}]", self.path_of(name));
                    self.problems.add(place, mistake);
                }
            }
        }
        *value = texts;
    }

    fn required_texts<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Vec<T>, most: usize) {
        match self.value(name) {
            None => self.needs(name),
            Some(DeValue::Array(items)) if items.is_empty() => self.note(name, Mistake::Missing),
            Some(_) => self.texts(name, says, value, most),
        }
    }

    fn object(&mut self, name: &'static str, mistake: Mistake) {
        // as of a field that must be given
        let may_stand_there = matches!(mistake, Mistake::MissingBoth { .. }) && !self.broken_lines.is_empty();
        if !may_stand_there {
            self.note(name, mistake);
        }
    }
}

fn read_text<'v>(expected: &'static str, given: &'v DeValue<'_>) -> Result<&'v str, Mistake> {
    given.as_str().ok_or_else(|| wrong_type(expected, given))
}

fn read_count<T: Count>(given: &DeValue<'_>, range: &RangeInclusive<T>) -> Result<T, Mistake> {
    let DeValue::Integer(integer) = given else { return Err(wrong_type("a whole number", given)) };
    let (least, most) = (range.start().wide(), range.end().wide());
    let below = || Mistake::Below { value: shown(&integer.to_string()), least: least.to_string() };
    let above = || Mistake::Above { value: shown(&integer.to_string()), most: most.to_string() };
    match wide(integer) {
        _ if integer.as_str().starts_with('-') => Err(below()),
        Some(wide) if wide < least => Err(below()),
        Some(wide) if wide <= most => T::of(wide).ok_or_else(above),
        Some(_) | None => Err(above()),
    }
}

/// `None` if it is negative, or more than any field may be.
fn wide(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn wrong_type(expected: &'static str, found: &DeValue<'_>) -> Mistake {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    Mistake::WrongType { expected, found }
}

/// The most characters of a wrong value that a mistake repeats.
const SHOWN_MAX: usize = 80;

/// A value as a mistake repeats it: on one line, and not without end.
pub(super) fn shown(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() { shown + "…" } else { shown }
}

/// A key as it stands in a path: bare if it can be.
fn spell_key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("\"{}\"", shown(name)) }
}
