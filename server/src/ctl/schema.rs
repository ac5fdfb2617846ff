//! The JSON schema (2020-12) of what each command prints with `--output json`, made from the types that print it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{self, RefOr};

use super::doctor::Diagnosis;
use super::error::CtlError;
use super::levels::{PolicyInForce, QuotasInForce};
use super::people::Pending;
use super::print::{Explained, Imported, KeyShown, Lineage, Me, PeopleChange, Printed};
use crate::admin::wire::{
    Answer, ClusterStatus, CryptoSpaceBody, DenyEntryBody, Founded, ImportKeyBody, KeyBody, OwnedVersionBody,
    PersonBody, ShardStatus, Status, TenantBody,
};

/// The dialect of these schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Makes the schema of one type.
type Schema = fn() -> Value;

/// What each command prints, by its words.
const COMMANDS: &[(&str, Schema)] = &[
    ("status", of::<Status>),
    ("whoami", of::<Me>),
    ("doctor", of::<Diagnosis>),
    ("cluster lineage", of::<Lineage>),
    ("cluster init", of::<Founded>),
    ("cluster join", of::<Answer>),
    ("cluster status", of::<ClusterStatus>),
    ("shard add", of::<Answer>),
    ("shard list", of::<Vec<ShardStatus>>),
    ("tenant create", of::<Answer>),
    ("tenant list", of::<Vec<TenantBody>>),
    ("tenant show", of::<TenantBody>),
    ("cryptospace create", of::<Answer>),
    ("cryptospace list", of::<Vec<CryptoSpaceBody>>),
    ("cryptospace show", of::<CryptoSpaceBody>),
    ("key create", of::<Answer>),
    ("key list", of::<Vec<KeyBody>>),
    ("key show", of::<KeyShown>),
    ("key rotate", of::<Answer>),
    ("key import", of::<Imported>),
    ("import-key create", of::<Answer>),
    ("import-key list", of::<Vec<ImportKeyBody>>),
    ("import-key show", of::<ImportKeyBody>),
    ("version show", of::<OwnedVersionBody>),
    ("version disable", of::<Answer>),
    ("version schedule-destroy", of::<Answer>),
    ("version restore", of::<Answer>),
    ("version enable", of::<Answer>),
    ("alias create", of::<Answer>),
    ("alias remove", of::<Answer>),
    ("grant", of::<Answer>),
    ("policy show", of::<PolicyInForce>),
    ("policy set", of::<Answer>),
    ("policy remove-rule", of::<Answer>),
    ("policy clear", of::<Answer>),
    ("quota set", of::<Answer>),
    ("quota show", of::<QuotasInForce>),
    ("quota clear", of::<Answer>),
    ("explain", of::<Explained>),
    ("deny caller", of::<Pending>),
    ("deny key", of::<Pending>),
    ("deny list", of::<Vec<DenyEntryBody>>),
    ("deny lift", of::<Pending>),
    ("operator enrol", of::<PeopleChange>),
    ("operator approve", of::<Answer>),
    ("operator list", of::<Vec<PersonBody>>),
    ("operator show", of::<PersonBody>),
    ("operator revoke", of::<PeopleChange>),
];

/// The schema of one command, or of all by their words.
pub(super) fn print(words: &[String]) -> Result<Printed, CtlError> {
    let command = words.join(" ");
    let value = if words.is_empty() {
        all()
    } else {
        let found = COMMANDS.iter().find(|(words, _)| *words == command);
        let (words, schema) = found.ok_or(CtlError::NoSuchCommand { command })?;
        titled(words, *schema)
    };
    Ok(Printed::text(serde_json::to_string_pretty(&value).expect("a schema is JSON")))
}

/// The schema of every command by its words, with what they share beside them.
fn all() -> Value {
    let (mut shared, mut commands) = (Map::new(), Map::new());
    for (words, schema) in COMMANDS {
        let mut schema = schema();
        if let Some(Value::Object(below)) = schema.as_object_mut().and_then(|schema| schema.remove("$defs")) {
            shared.extend(below);
        }
        commands.insert((*words).to_owned(), schema);
    }
    json!({"$schema": DIALECT, "$defs": shared, "commands": commands})
}

fn titled(words: &str, schema: Schema) -> Value {
    let mut titled = Map::new();
    titled.insert("$schema".to_owned(), json!(DIALECT));
    titled.insert("title".to_owned(), json!(format!("ekmctl {words} --output json")));
    if let Value::Object(fields) = schema() {
        titled.extend(fields);
    }
    Value::Object(titled)
}

/// A type's schema with all that it refers to beside it.
fn of<T: ToSchema>() -> Value {
    let mut below: Vec<(String, RefOr<openapi::Schema>)> = Vec::new();
    T::schemas(&mut below);
    let below: BTreeMap<_, _> = below.into_iter().collect();
    let mut schema = json!(T::schema());
    if !below.is_empty() {
        schema["$defs"] = json!(below);
    }
    moved(&mut schema);
    schema
}

/// A document of `OpenAPI` keeps the parts elsewhere than a schema of its own does.
fn moved(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/$defs/");
            }
            fields.values_mut().for_each(moved);
        }
        Value::Array(list) => list.iter_mut().for_each(moved),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::tools::tree;

    /// What prints the same in both forms.
    const WITHOUT: &[&str] = &["completions", "man", "schema"];

    #[test]
    fn every_command_has_a_schema_whose_references_lead_somewhere() {
        let mut words = Vec::new();
        for noun in tree().get_subcommands().filter(|noun| noun.get_name() != "help") {
            let below: Vec<_> = noun.get_subcommands().filter(|below| below.get_name() != "help").collect();
            words.extend(below.iter().map(|below| format!("{} {}", noun.get_name(), below.get_name())));
            if below.is_empty() && !WITHOUT.contains(&noun.get_name()) {
                words.push(noun.get_name().to_owned());
            }
        }
        let mut known: Vec<String> = COMMANDS.iter().map(|(words, _)| (*words).to_owned()).collect();
        words.sort();
        known.sort();
        assert_eq!(known, words);
        for (words, schema) in COMMANDS {
            let schema = schema();
            let text = schema.to_string();
            for reference in text.split("\"#/$defs/").skip(1) {
                let name = reference.split('"').next().expect("a split has a first part");
                assert!(schema["$defs"].get(name).is_some(), "{words}: {name}");
            }
            assert!(!text.contains("#/components/"), "{words}");
        }
    }
}
