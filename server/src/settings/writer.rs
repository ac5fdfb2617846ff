//! Writes a form as TOML, each field with a comment that says what it is for and what it may be. Never leaves a field out.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::form::{Count, Form, Text, spell_time};
use super::mistake::Mistake;

/// Why a field that a file must give can be written.
const HELD: &str = "settings that are written hold all that a file must give";

/// Writes what the form holds.
pub fn write(opening: &str, form: impl FnOnce(&mut Writer)) -> String {
    let mut writer = Writer { text: String::new(), tables: Vec::new() };
    for line in opening.lines() {
        writer.comment(line);
    }
    writer.text.push('\n');
    form(&mut writer);
    writer.text
}

/// Writes; made by [`write()`].
pub struct Writer {
    text: String,
    tables: Vec<&'static str>,
}

impl Writer {
    fn comment(&mut self, says: &str) {
        self.line(&["# ", says]);
    }

    fn line(&mut self, parts: &[&str]) {
        self.text.extend(parts.iter().copied());
        self.text.push('\n');
    }

    fn field(&mut self, name: &str, says: &str, value: &str) {
        self.comment(says);
        self.line(&[name, " = ", value]);
    }
}

/// A string in quotes, with what must be escaped.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Form for Writer {
    fn table(&mut self, name: &'static str, says: &str, inside: impl FnOnce(&mut Self)) {
        self.tables.push(name);
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        self.comment(says);
        let path = self.tables.join(".");
        self.line(&["[", &path, "]"]);
        inside(self);
        self.tables.pop();
    }

    fn stamp(&mut self, says: &str) {
        self.field("dev", says, "true");
    }

    fn no_stamp(&mut self) {}

    fn gives(&mut self, _name: &'static str) -> bool {
        true
    }

    fn required_count<T: Count>(
        &mut self,
        name: &'static str,
        says: &str,
        value: &mut Option<T>,
        range: RangeInclusive<T>,
    ) {
        let mut value = value.expect(HELD);
        self.count(name, says, &mut value, range);
    }

    fn count<T: Count>(&mut self, name: &'static str, says: &str, value: &mut T, range: RangeInclusive<T>) {
        let says = format!("{says} From {} to {}.", range.start().wide(), range.end().wide());
        self.field(name, &says, &value.wide().to_string());
    }

    fn time(&mut self, name: &'static str, says: &str, value: &mut Duration, range: RangeInclusive<Duration>) {
        let says = format!("{says} From {} to {}.", spell_time(*range.start()), spell_time(*range.end()));
        self.field(name, &says, &quoted(&spell_time(*value)));
    }

    fn choice<T: Copy + PartialEq>(&mut self, name: &'static str, says: &str, value: &mut T, words: &[(&str, T)]) {
        let word = words.iter().find(|(_, meant)| meant == value).expect("every value of a choice has its word").0;
        self.field(name, says, &quoted(word));
    }

    fn text<T: Text>(&mut self, name: &'static str, says: &str, value: &mut T) {
        self.field(name, says, &quoted(&value.spell()));
    }

    fn required<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Option<T>) {
        self.text(name, says, value.as_mut().expect(HELD));
    }

    fn optional<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Option<T>, example: &str) {
        if let Some(value) = value {
            self.field(name, says, &quoted(&value.spell()));
        } else {
            self.comment(says);
            self.line(&["# ", name, " = ", &quoted(example)]);
        }
    }

    fn texts<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Vec<T>, most: usize) {
        let texts: Vec<String> = value.iter().map(|text| quoted(&text.spell())).collect();
        self.field(name, &format!("{says} At most {most}."), &format!("[{}]", texts.join(", ")));
    }

    fn required_texts<T: Text>(&mut self, name: &'static str, says: &str, value: &mut Vec<T>, most: usize) {
        self.texts(name, says, value, most);
    }

    /// What is written was checked when it was read, or stated in code.
    fn object(&mut self, _name: &'static str, _mistake: Mistake) {}
}
