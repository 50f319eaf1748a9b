//! The problems of an operation, written down once beside it: status by status in the document.

use super::bodies::Problem;
use crate::http::problem::is_retried;
use std::collections::BTreeMap;
use utoipa::{
    ToSchema as _,
    openapi::{
        Content, Header, Ref, RefOr, Response, ResponseBuilder,
        example::{Example, ExampleBuilder},
        schema::{ObjectBuilder, Type},
    },
};
use wire::api::ProblemCode;

/// Declares the problems of one operation, beside the two that each has: a request that takes too long, and
/// a service that can not answer.
macro_rules! problems {
    ($name:ident: $($code:ident),* $(,)?) => {
        /// What this operation may refuse with.
        #[derive(Debug)]
        pub struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::http::openapi::problems::responses(&[
                    $(wire::api::ProblemCode::$code,)*
                    wire::api::ProblemCode::RequestTimeout,
                    wire::api::ProblemCode::Unavailable,
                ])
            }
        }
    };
}

pub(crate) use problems;

/// The responses of these problems: one for each status, with an example for each code.
#[must_use]
pub fn responses(codes: &[ProblemCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), RefOr::T(response(&codes))))
        .collect()
}

fn response(codes: &[ProblemCode]) -> Response {
    let said: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.code(), code.title()))
        .collect();
    let examples = codes.iter().map(|code| {
        let example = format!("#/components/examples/{}", code.code());
        (code.code(), RefOr::<Example>::Ref(Ref::new(example)))
    });
    let content = Content::builder()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(examples)
        .build();
    let mut response = ResponseBuilder::new()
        .description(said.join(" "))
        .content("application/problem+json", content);
    if codes.iter().any(|code| is_retried(*code)) {
        response = response.header(
            "Retry-After",
            header(
                "Seconds after which the same request may be sent again.",
                Type::Integer,
            ),
        );
    }
    if codes.contains(&ProblemCode::Unauthorized) {
        response = response.header("WWW-Authenticate", header("`Bearer`.", Type::String));
    }
    if codes.contains(&ProblemCode::ScopeMissing) {
        let said = "`Bearer error=\"insufficient_scope\"` (RFC 6750).";
        response = response.header("WWW-Authenticate", header(said, Type::String));
    }
    response.build()
}

/// A document of each problem, for the responses to refer to.
pub fn examples() -> impl Iterator<Item = (String, RefOr<Example>)> {
    ProblemCode::ALL.iter().map(|code| {
        let problem = wire::api::Problem::new(*code, code.title());
        let example = ExampleBuilder::new()
            .summary(code.title())
            .value(serde_json::to_value(problem).ok())
            .build();
        (code.code().to_owned(), RefOr::T(example))
    })
}

fn header(description: &str, kind: Type) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(kind).build());
    header.description = Some(description.to_owned());
    header
}
