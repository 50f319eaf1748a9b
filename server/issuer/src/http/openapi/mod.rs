//! The OpenAPI document of the API, made of the routes that the server answers.
//!
//! A route is added with its description or not at all: [`utoipa_axum`] takes both from the handler.
//! `docs/openapi.json` is this document as it was last looked at; a test holds it against the code.

pub mod bodies;
pub mod get;
pub mod problems;

use bodies::Problem;
use utoipa::openapi::{
    Components, Info, OpenApi, OpenApiBuilder, Server,
    security::{Http, HttpAuthScheme, SecurityScheme},
    tag::{Tag, TagBuilder},
};
use utoipa::{PartialSchema as _, ToSchema as _};

/// Version of the API: its path has the first number.
const API_VERSION: &str = "1.0.0";

/// Name of the security scheme: a holder's token.
pub const BEARER: &str = "bearer";

/// What the document says beside its paths.
pub fn frame() -> OpenApi {
    let mut info = Info::new("Tegata", API_VERSION);
    info.description = Some(
        "E-money that travels as a signed program: order, watch and cancel remittances. Amounts are whole numbers of minor \
         units beside their currency's code, times are RFC 3339 in UTC. Every refusal is a problem document (RFC 9457) with a \
         stable `code`, whose page is its `type`. Readers pass over members and values that they do not know."
            .to_owned(),
    );
    let token = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A holder's token, `tgt_…`."))
        .build();
    let mut components = Components::new();
    components
        .schemas
        .insert(Problem::name().into_owned(), Problem::schema());
    components.examples.extend(problems::examples());
    components.add_security_scheme(BEARER, SecurityScheme::Http(token));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .components(Some(components))
        .tags(Some([
            tag("orders", "What a sender orders and watches."),
            tag("webhooks", "Who is told what happens to orders."),
            tag(
                "programs",
                "What a program, its terminal and its reader ask.",
            ),
            tag("issuer", "Who this issuer is and what it has withdrawn."),
            tag("service", "The server itself."),
        ]))
        .build()
}

fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new()
        .name(name)
        .description(Some(description))
        .build()
}

/// The document: of every path under `/v1` and `/.well-known`, and of the health checks.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = super::api().into_openapi();
    for item in document.paths.paths.values_mut() {
        let methods = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in methods.into_iter().flatten() {
            // Comments on handlers are for readers of the code.
            operation.description = None;
        }
    }
    document
}

/// The document as it is served, printed and kept in `docs/openapi.json`.
///
/// # Errors
/// Never with what [`document`] makes; the writer can tell of none.
pub fn written() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&document())?;
    text.push('\n');
    Ok(text)
}
