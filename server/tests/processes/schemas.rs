//! The JSON schemas that `ekmctl schema` prints: pinned as a file, and held against real outputs.
//!
//! The judge knows the words of JSON Schema that these schemas use, and refuses a schema with any other: what it does not know, it would
//! not hold.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::harness::{asked, finish};

/// Set to write the pinned file anew instead of comparing it.
const REWRITE: &str = "EKM_REWRITE_HELP";

/// All schemas.
pub(crate) struct Schemas(Value);

impl Schemas {
    pub(crate) async fn load() -> Self {
        let ended = finish(Command::new(env!("CARGO_BIN_EXE_ekmctl")).arg("schema")).await;
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
        Self(serde_json::from_str(&ended.out).expect("schemas are JSON"))
    }

    fn commands(&self) -> &serde_json::Map<String, Value> {
        self.0["commands"].as_object().expect("schemas stand by the words of their commands")
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.commands().keys().map(String::as_str)
    }

    pub(crate) fn know(&self, words: &str) -> bool {
        self.commands().contains_key(words)
    }

    /// Whether a value is as a command's schema says; if not, where and why.
    pub(crate) fn judge(&self, words: &str, value: &Value) -> Result<(), String> {
        self.check(&self.commands()[words], value, "$")
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(schema) = schema.as_object() else { return Err(format!("{at}: no schema: {schema}")) };
        for (word, says) in schema {
            match word.as_str() {
                "$ref" => {
                    let name = says.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                    self.check(&self.0["$defs"][name.ok_or("a foreign reference")?], value, at)?;
                }
                "properties" => {
                    for (name, schema) in fields(says) {
                        if let Some(value) = value.get(name) {
                            self.check(schema, value, &format!("{at}.{name}"))?;
                        }
                    }
                    self.check_names(schema, value, at)?;
                }
                "items" => {
                    for (number, item) in items(value).enumerate() {
                        self.check(says, item, &format!("{at}[{number}]"))?;
                    }
                }
                "additionalProperties" if says.is_object() => {
                    let known = &schema.get("properties").unwrap_or(&Value::Null);
                    for (name, value) in fields(value).filter(|(name, _)| known.get(name).is_none()) {
                        self.check(says, value, &format!("{at}.{name}"))?;
                    }
                }
                "allOf" => items(says).try_for_each(|one| self.check(one, value, at))?,
                "oneOf" | "anyOf" => {
                    let failed: Vec<String> = items(says).filter_map(|one| self.check(one, value, at).err()).collect();
                    if failed.len() == items(says).count() {
                        return Err(format!("{at}: no form fits: {failed:?}"));
                    }
                }
                other => check_word(other, says, value, at)?,
            }
        }
        Ok(())
    }

    /// What is printed beyond what is described is not described. Parts of a whole know each other's names no more than their own.
    fn check_names(&self, schema: &serde_json::Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        let known = &schema["properties"];
        let is_part = at.is_empty() || schema.contains_key("additionalProperties") || self.is_part_of_a_whole(schema);
        let foreign = value.as_object().into_iter().flatten().find(|(name, _)| known.get(name).is_none());
        match foreign {
            Some((name, _)) if !is_part => Err(format!("{at}: {name} is not described")),
            _ => Ok(()),
        }
    }

    /// Whether some `allOf` names it, by itself or by reference.
    fn is_part_of_a_whole(&self, schema: &serde_json::Map<String, Value>) -> bool {
        let name = fields(&self.0["$defs"]).find(|(_, known)| known.as_object() == Some(schema)).map(|(name, _)| name);
        let reference = name.map(|name| Value::String(format!("#/$defs/{name}")));
        let is_it = |one: &Value| {
            one.as_object() == Some(schema) || reference.as_ref().is_some_and(|reference| one["$ref"] == *reference)
        };
        let names = |whole: &Value| items(&whole["allOf"]).any(is_it);
        self.commands().values().any(names) || fields(&self.0["$defs"]).any(|(_, known)| names(known))
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A word that speaks of the value alone, not of what is in it.
fn check_word(word: &str, says: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fits = match word {
        "type" if says.is_array() => items(says).filter_map(Value::as_str).any(|name| is_a(name, value)),
        "type" => says.as_str().is_some_and(|name| is_a(name, value)),
        "enum" => items(says).any(|known| known == value),
        "required" => items(says).filter_map(Value::as_str).all(|name| value.get(name).is_some()),
        "minimum" => value.as_f64().zip(says.as_f64()).is_none_or(|(value, least)| value >= least),
        "maxLength" => value.as_str().zip(says.as_u64()).is_none_or(|(text, most)| text.len() as u64 <= most),
        // patterns are those of the parsers, which have tests of their own
        "pattern"
        | "format"
        | "description"
        | "additionalProperties"
        | "propertyNames"
        | "uniqueItems"
        | "default"
        | "maximum"
        | "minLength"
        | "maxItems"
        | "minItems" => true,
        _ => return Err(format!("{at}: the judge does not know the word {word}")),
    };
    if fits { Ok(()) } else { Err(format!("{at}: {word} is {says}, and this is {value}")) }
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_judge_finds_what_is_wrong() {
    let part =
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": ["integer", "null"], "minimum": 0}}});
    let schemas = Schemas(
        json!({"$defs": {"Part": part}, "commands": {"x": {"type": "array", "items": {"$ref": "#/$defs/Part"}}}}),
    );
    for good in [json!([]), json!([{"a": 1}, {"a": null}])] {
        assert_eq!(schemas.judge("x", &good), Ok(()));
    }
    for bad in [json!({}), json!([{}]), json!([{"a": "1"}]), json!([{"a": -1}]), json!([{"a": 1, "b": 2}])] {
        assert!(schemas.judge("x", &bad).is_err(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_stand_as_pinned() {
    let schemas = Schemas::load().await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/processes/schemas.json");
    let text = serde_json::to_string_pretty(&schemas.0).expect("schemas are JSON") + "\n";
    if asked(REWRITE).is_some() {
        std::fs::write(&file, &text).expect("the pinned file can be written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(text == known, "{} differs (set {REWRITE}=1 to pin it anew)", file.display());
}
