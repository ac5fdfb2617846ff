//! The description of the API, made from the table of routes and the types of the bodies: a change of either changes it.
//! `server/openapi/admin-v1.json` holds it for whoever reviews such a change.

use std::borrow::Cow;

use utoipa::openapi::info::LicenseBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
    Ref, RefOr, Required, Response, ResponseBuilder, ResponsesBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use replication::ids::{ImportKeyId, KeyName, KeyVersionId, SignerId, TenantId};
use replication::machine::policy::Principal;

use super::pages::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGE_TOKEN_BYTES_MAX};
use super::routes::{Endpoint, Takes, endpoints};
use super::wire::{Failure, FailureCode, SIGNATURE_HEADER, SIGNER_HEADER};

const ABOUT: &str = "Every call is made over mutual TLS with the certificate of an enrolled person. A change is a request that this \
    person signs, with the key of that certificate; it stands in the log as it came, and every replica verifies it again. Every \
    failure has the same body, whose message says what to do.";
const SIGNATURE: &str = "Ed25519 over the 14 bytes `ekm request 1`, NUL, and then the body as sent; standard base64.";

/// The type of a body: its name in the document and how it is described.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    name: fn() -> Cow<'static, str>,
    schema: fn() -> RefOr<Schema>,
    nested: fn(&mut Vec<(String, RefOr<Schema>)>),
    is_page: bool,
}

/// The shape of a type.
pub(super) fn shape<T: ToSchema>() -> Shape {
    Shape { name: T::name, schema: T::schema, nested: T::schemas, is_page: false }
}

/// A page of a list of such things.
pub(super) fn page_of(item: Shape) -> Shape {
    Shape { is_page: true, ..item }
}

impl Shape {
    /// Any JSON object.
    pub(super) const ANY: Self = Self {
        name: || "Any".into(),
        schema: || ObjectBuilder::new().description(Some("A JSON object.")).into(),
        nested: |_| {},
        is_page: false,
    };

    fn name(&self) -> String {
        let name = (self.name)();
        if self.is_page { format!("{name}Page") } else { name.into_owned() }
    }

    /// The type, those it is made of, and their names.
    fn described(&self) -> Vec<(String, RefOr<Schema>)> {
        let item = (self.name)().into_owned();
        let mut all = vec![(item.clone(), (self.schema)())];
        (self.nested)(&mut all);
        if self.is_page {
            all.push((self.name(), page_schema(&item)));
        }
        all
    }

    fn reference(&self) -> RefOr<Schema> {
        Ref::from_schema_name(self.name()).into()
    }
}

fn page_schema(item: &str) -> RefOr<Schema> {
    let token = string().description(Some("Asks for what follows, as page_token; absent at the end."));
    ObjectBuilder::new()
        .description(Some(
            "A part of a list. It may be shorter than was asked for, and even empty, where more follows.",
        ))
        .property("items", ArrayBuilder::new().items(Ref::from_schema_name(item)))
        .required("items")
        .property("next_page_token", token)
        .into()
}

/// The document, as it is served and kept.
pub(super) fn text() -> String {
    let mut text =
        document().to_pretty_json().expect("a document is made of texts and numbers, which have a JSON form");
    text.push('\n');
    text
}

fn document() -> OpenApi {
    let endpoints = endpoints();
    let info = InfoBuilder::new()
        .title("Admin API of the external key manager")
        .version("1")
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let paths = endpoints.iter().fold(PathsBuilder::new(), |paths, endpoint| {
        let method = if endpoint.is_post() { HttpMethod::Post } else { HttpMethod::Get };
        paths.path(&endpoint.path, PathItem::new(method, operation(endpoint)))
    });
    let mutual = SecurityScheme::MutualTls {
        description: Some("The certificate of an enrolled person.".to_owned()),
        extensions: None,
    };
    let components = ComponentsBuilder::new()
        .schemas_from_iter(endpoints.iter().flat_map(schemas))
        .schemas_from_iter(shape::<Failure>().described())
        .responses_from_iter(FailureCode::ALL.into_iter().map(|code| (spelt(code), failure(code))))
        .security_scheme("mutual_tls", mutual);
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new("mutual_tls", [""; 0])]))
        .build()
}

fn schemas(endpoint: &Endpoint) -> Vec<(String, RefOr<Schema>)> {
    let mut all = endpoint.gives.described();
    if let Takes::Signed(body) | Takes::Body(body) = &endpoint.takes {
        all.extend(body.described());
    }
    all
}

fn operation(endpoint: &Endpoint) -> OperationBuilder {
    let mut parameters: Vec<Parameter> = named_in(&endpoint.path).map(in_path).collect();
    let body = match &endpoint.takes {
        Takes::Nothing => None,
        Takes::Page => {
            parameters.extend(page_parameters());
            None
        }
        Takes::Signed(body) => {
            parameters.extend(signature_parameters());
            Some(body)
        }
        Takes::Body(body) => Some(body),
    };
    let json = |shape: &Shape| ContentBuilder::new().schema(Some(shape.reference())).build();
    let body = body.map(|body| {
        RequestBodyBuilder::new().content("application/json", json(body)).required(Some(Required::True)).build()
    });
    let done = ResponseBuilder::new().description("Done.").content("application/json", json(&endpoint.gives));
    // whoever is not enrolled, or has not the role, is told so everywhere
    let fails = std::iter::once(&FailureCode::Denied).chain(endpoint.fails);
    let responses = fails.fold(ResponsesBuilder::new().response("200", done), |responses, code| {
        responses.response(code.http().to_string(), Ref::from_response_name(spelt(*code)))
    });
    OperationBuilder::new()
        .operation_id(Some(endpoint.id))
        .summary(Some(endpoint.says))
        .parameters((!parameters.is_empty()).then_some(parameters))
        .request_body(body)
        .responses(responses)
}

/// The names in braces.
fn named_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Parameter {
    let schema = match name {
        "tenant" => TenantId::schema(),
        "name" => KeyName::schema(),
        "version" => KeyVersionId::schema(),
        "import_key" => ImportKeyId::schema(),
        "person" => SignerId::schema(),
        "caller" => Principal::schema(),
        "request" => string().pattern(Some("^[0-9a-f]{32}$")).description(Some("A request's id.")).into(),
        other => unreachable!("no route has a part named {other}"),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(schema))
        .build()
}

fn page_parameters() -> [Parameter; 2] {
    let size = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(1))
        .maximum(Some(PAGE_SIZE_MAX))
        .default(Some(PAGE_SIZE_DEFAULT.into()));
    let token = string().max_length(Some(PAGE_TOKEN_BYTES_MAX));
    let query = |name, says, schema: ObjectBuilder| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .description(Some(says))
            .schema(Some(schema))
            .build()
    };
    [
        query("page_size", "Items at most.", size),
        query("page_token", "The next_page_token of the page before, as it came.", token),
    ]
}

fn signature_parameters() -> [Parameter; 2] {
    let header = |name, says, schema: RefOr<Schema>| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(says))
            .schema(Some(schema))
            .build()
    };
    let signature = string().pattern(Some("^[A-Za-z0-9+/]{85}[AQgw]==$"));
    [
        header(SIGNER_HEADER, "Who signs: the person whose certificate it is.", SignerId::schema()),
        header(SIGNATURE_HEADER, SIGNATURE, signature.into()),
    ]
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

fn failure(code: FailureCode) -> Response {
    let content = ContentBuilder::new().schema(Some(shape::<Failure>().reference())).build();
    ResponseBuilder::new().description(meaning(code)).content("application/json", content).build()
}

/// A kind of failure as bodies spell it.
fn spelt(code: FailureCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(text)) => text,
        _ => unreachable!("a kind of failure is a text in JSON"),
    }
}

const fn meaning(code: FailureCode) -> &'static str {
    match code {
        FailureCode::Invalid => "It cannot be read, or asks for something impossible. Nothing was changed.",
        FailureCode::Denied => "The certificate, the signature or the role does not allow it. Nothing was changed.",
        FailureCode::NotFound => "What it names is not there, or out of reach. Nothing was changed.",
        FailureCode::Conflict => {
            "It collides with what is there, or was planned on an older revision; current_revision then is the one to plan on. \
             Nothing was changed."
        }
        FailureCode::Method => "The path takes other methods; the header allow lists them.",
        FailureCode::TooLarge => "The body is longer than any request may be. Nothing was changed.",
        FailureCode::TooSlow => "The body did not arrive in time. Nothing was changed.",
        FailureCode::Unavailable => "This replica cannot do it now. Send the same request again under the same id.",
        FailureCode::NoRoom => {
            "The disk is nearly full. Nothing was changed; make room and send the same request again."
        }
        FailureCode::Unknown => {
            "It may have been carried out. Send the same request again under the same id: it is not done twice."
        }
        FailureCode::Internal => "A fault of this program.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/admin-v1.json");

    #[test]
    #[expect(clippy::disallowed_methods, reason = "whoever changes the API has the document written anew")]
    fn the_document_in_the_repository_is_that_of_the_code() {
        let now = text();
        if std::env::var_os("EKM_WRITE_OPENAPI").is_some() {
            std::fs::write(KEPT, &now).expect("the repository can be written");
        }
        let kept = std::fs::read_to_string(KEPT).expect("the repository has the document");
        let first = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
        assert!(
            kept == now,
            "the API and its document differ, first in {first:?}; if the change is meant, write it with \
             EKM_WRITE_OPENAPI=1 cargo test -p server --lib openapi"
        );
    }

    #[test]
    fn every_route_stands_in_the_document_and_the_other_way_round() {
        let document: serde_json::Value = serde_json::from_str(&text()).expect("the document is JSON");
        let mut described = Vec::new();
        for (path, item) in document["paths"].as_object().expect("the document has paths") {
            for (method, operation) in item.as_object().expect("a path has methods") {
                let id = operation["operationId"].as_str().expect("an operation has a name");
                described.push((path.clone(), method == "post", id.to_owned()));
            }
        }
        let mut routes: Vec<_> =
            endpoints().iter().map(|one| (one.path.clone(), one.is_post(), one.id.to_owned())).collect();
        routes.sort();
        described.sort();
        assert_eq!(described, routes);
    }

    #[test]
    fn every_name_that_the_document_refers_to_is_in_it() {
        fn walk(value: &serde_json::Value, document: &serde_json::Value) {
            match value {
                serde_json::Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(serde_json::Value::as_str) {
                        let at = reference.strip_prefix('#').expect("all is in one document");
                        assert!(document.pointer(at).is_some(), "{reference} is not there");
                    }
                    fields.values().for_each(|value| walk(value, document));
                }
                serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, document)),
                _ => {}
            }
        }
        let document = serde_json::from_str(&text()).expect("the document is JSON");
        walk(&document, &document);
    }
}
