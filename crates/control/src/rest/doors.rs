//! The one way to add an operation: with the permission it takes. What is added here is authenticated and
//! checked before the handler sees the request, and described in the OpenAPI document; so no route can exist
//! without a permission (trust.md T04).

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use keyward_core::permission::Permission;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Content, Header, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Type};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::caller::admit;
use super::query::refuse_query;
use crate::site::Site;
use crate::use_cases::Control;

/// The state of every handler.
pub(crate) type Rest = Arc<Control>;

/// What an operation takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Demand {
    /// Any of these permissions; the use case says which part of the request takes which.
    OneOf(&'static [Permission]),
    /// Only to be somebody.
    Anybody,
}

impl Demand {
    /// How the OpenAPI document names it, as `x-scope`.
    fn scope(self) -> String {
        match self {
            Demand::OneOf(permissions) => permissions.first().map_or("", |first| first.scope()).to_owned(),
            Demand::Anybody => "any".to_owned(),
        }
    }
}

/// What is to be known of an operation beside what it takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Whether it makes something: a repetition is told by its `Idempotency-Key`.
    makes: bool,
    /// Whether it may take something away: the caller may prefer not to wait until that is in force.
    pub restricts: bool,
}

/// Operations, gathered.
pub(super) struct Doors {
    control: Rest,
    site: Arc<Site>,
    router: OpenApiRouter<Rest>,
}

impl Doors {
    pub fn new(control: Rest, site: Arc<Site>) -> Self {
        Doors { control, site, router: OpenApiRouter::with_openapi(super::document::head()) }
    }

    /// Adds an operation that takes a permission.
    pub fn open(self, permissions: &'static [Permission], operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::OneOf(permissions), operation, Manner::default())
    }

    /// Adds an operation that may take something away.
    pub fn restrict(self, permissions: &'static [Permission], operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::OneOf(permissions), operation, Manner { makes: false, restricts: true })
    }

    /// Adds an operation that makes something in another's place, and takes an `Idempotency-Key`.
    pub fn replace(self, permissions: &'static [Permission], operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::OneOf(permissions), operation, Manner { makes: true, restricts: true })
    }

    /// Adds an operation that tells everybody who is let in how a change of theirs took force.
    pub fn ask_again(self, operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::Anybody, operation, Manner { makes: false, restricts: true })
    }

    /// Adds an operation that makes something and takes an `Idempotency-Key`.
    pub fn make(self, permissions: &'static [Permission], operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::OneOf(permissions), operation, Manner { makes: true, restricts: false })
    }

    /// Adds an operation for everybody who is let in at all.
    pub fn open_to_all(self, operation: UtoipaMethodRouter<Rest>) -> Self {
        self.add(Demand::Anybody, operation, Manner::default())
    }

    fn add(mut self, demand: Demand, operation: UtoipaMethodRouter<Rest>, manner: Manner) -> Self {
        let (schemas, mut paths, mut methods) = operation;
        let mut has_query = false;
        for item in paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                has_query |= is_asked_with_query(operation);
                describe(operation, demand, manner);
            }
        }
        if !has_query {
            let refuse = from_fn_with_state(Arc::clone(&self.control), refuse_query);
            methods = methods.route_layer(refuse);
        }
        let state = (Arc::clone(&self.control), Arc::clone(&self.site), demand, manner);
        let admit = from_fn_with_state(state, admit);
        self.router = self.router.routes((schemas, paths, methods.route_layer(admit)));
        self
    }

    /// The routes, and their description.
    pub fn split(self) -> (axum::Router<Rest>, OpenApi) {
        let (router, mut document) = self.router.split_for_parts();
        super::document::complete(&mut document);
        (router, document)
    }
}

/// Whether an operation has query parameters; one that has none refuses them all.
fn is_asked_with_query(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => true,
    })
}

/// What every operation has in common.
fn describe(operation: &mut Operation, demand: Demand, manner: Manner) {
    let extension = ExtensionsBuilder::new().add("x-scope", json!(demand.scope())).build();
    operation.extensions.get_or_insert_default().merge(extension);
    operation.security =
        Some(["management_key", "session"].map(|name| SecurityRequirement::new(name, [] as [&str; 0])).to_vec());
    let problem = ResponseBuilder::new()
        .description("A problem, told by its code")
        .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
        .build();
    operation.responses.responses.insert("default".into(), RefOr::T(problem));
    if manner.restricts {
        describe_waiting(operation);
    }
    if manner.makes {
        operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        let repeated = operation.responses.responses.get("201").cloned();
        if let Some(RefOr::T(mut repeated)) = repeated {
            repeated.description = "The same request was answered before; no secret is shown again".into();
            operation.responses.responses.insert("200".into(), RefOr::T(repeated));
        }
    }
}

/// That the caller may prefer not to wait, and what the answer is then.
fn describe_waiting(operation: &mut Operation) {
    operation.parameters.get_or_insert_default().push(RefOr::T(prefer()));
    let responses = &mut operation.responses.responses;
    let Some(RefOr::T(mut pending)) = responses.get("200").or_else(|| responses.get("201")).cloned() else {
        return;
    };
    pending.description =
        "Written, and not known to be in force on every node yet: ask at Location. Only with Prefer: respond-async"
            .into();
    for (name, description) in
        [("Location", "Where to ask whether it is in force"), ("Preference-Applied", "respond-async")]
    {
        let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
        header.description = Some(description.into());
        pending.headers.insert(name.into(), RefOr::T(header));
    }
    responses.insert("202".into(), RefOr::T(pending));
}

fn prefer() -> Parameter {
    ParameterBuilder::new()
        .name("Prefer")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "respond-async (RFC 7240): to be answered once the change is written, without waiting until it is in force",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}

fn idempotency_key() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Makes a repetition of the request harmless: it is answered, not done again"))
        .schema(Some(schema.build()))
        .build()
}
