//! Who looks at a page, in which language; signing in and out.

use super::{Frame, Trouble, page, status_of, texts};
use crate::{app::App, caller};
use askama::Template;
use axum::{
    Form,
    extract::{FromRequestParts, State},
    http::{Extensions, HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use ledger::{Holder, Language};
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc};
use wire::api::ProblemCode;

/// Somebody at a page, signed in or not.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Language of the pages: the switch, else the cookie, else the browser's wish.
    pub(super) language: Language,
    /// Whoever the session cookie names.
    pub(super) holder: Option<Holder>,
}

impl Visitor {
    pub(super) fn texts(&self) -> &'static texts::Texts {
        texts::texts(self.language)
    }

    /// The holder, or the way to the sign-in page.
    pub(super) fn signed_in(&self) -> Result<&Holder, Redirect> {
        self.holder.as_ref().ok_or_else(|| Redirect::to("/"))
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let jar = CookieJar::from_headers(&parts.headers);
        let switch = parts.uri.query().and_then(|query| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("lang="))
                .and_then(Language::from_code)
        });
        let wish = || {
            let accept = parts.headers.get(header::ACCEPT_LANGUAGE);
            texts::from_accept(accept.and_then(|v| v.to_str().ok()).unwrap_or_default())
        };
        let kept = || {
            jar.get("lang")
                .and_then(|cookie| Language::from_code(cookie.value()))
        };
        let language = switch.or_else(kept).unwrap_or_else(wish);
        let token = jar
            .get(cookie_name(app))
            .map(|cookie| cookie.value().to_owned());
        let holder = match token {
            Some(token) => app.office.whole_holder(&token).await.ok().flatten(),
            None => None,
        };
        Ok(Self { language, holder })
    }
}

/// With https the name binds the cookie to this host, path and transport (RFC 6265bis, `__Host-`).
fn cookie_name(app: &App) -> &'static str {
    if app.settings.public_origin.starts_with("https://") {
        "__Host-tegata"
    } else {
        "tegata"
    }
}

fn cookie(app: &App, name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .secure(app.settings.public_origin.starts_with("https://"))
        .same_site(SameSite::Strict)
        .build()
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    t: &'static texts::Texts,
    frame: Frame,
}

/// `GET /`: the sign-in page, or the orders of whoever is signed in. Keeps the language switch.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    jar: CookieJar,
) -> Response {
    let jar = jar.add(cookie(&app, "lang", visitor.language.code().to_owned()));
    if visitor.holder.is_some() {
        return (jar, Redirect::to("/orders")).into_response();
    }
    let frame = Frame::new(&app, false);
    (
        jar,
        page(
            &SignIn {
                t: visitor.texts(),
                frame,
            },
            StatusCode::OK,
        ),
    )
        .into_response()
}

/// The sign-in form.
#[derive(Deserialize)]
pub(super) struct Token {
    token: String,
}

/// `POST /sign-in`: a known token becomes the session.
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    jar: CookieJar,
    headers: HeaderMap,
    extensions: Extensions,
    Form(form): Form<Token>,
) -> Response {
    let caller = caller::address(&headers, &extensions, app.settings.trusted_hops);
    if app.limits.sign_in(caller).is_err() {
        return notice(ProblemCode::RateLimited, &visitor, &app);
    }
    let token = form.token.trim();
    match app.office.whole_holder(token).await {
        Ok(Some(_)) => {
            // No lifetime: the session ends with the browser.
            let session = cookie(&app, cookie_name(&app), token.to_owned());
            (jar.add(session), Redirect::to("/orders")).into_response()
        }
        Ok(None) => {
            let t = visitor.texts();
            let code = ProblemCode::Unauthorized.code();
            let error = Trouble {
                what: t.token_wrong,
                next: t.token_wrong_next,
                code,
            };
            let frame = Frame::new(&app, false).with(Some(error));
            page(&SignIn { t, frame }, StatusCode::UNAUTHORIZED)
        }
        Err(_) => notice(ProblemCode::Unavailable, &visitor, &app),
    }
}

/// `POST /sign-out`: forgets the session.
pub(super) async fn sign_out(State(app): State<Arc<App>>, jar: CookieJar) -> Response {
    let gone = cookie(&app, cookie_name(&app), String::new());
    (jar.remove(gone), Redirect::to("/")).into_response()
}

/// A page that says what is wrong and leads back.
pub(super) fn notice(code: ProblemCode, visitor: &Visitor, app: &App) -> Response {
    let error = Some(Trouble::new(code, visitor.language));
    let frame = Frame::new(app, visitor.holder.is_some()).with(error);
    page(
        &Notice {
            t: visitor.texts(),
            frame,
        },
        status_of(code),
    )
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice {
    t: &'static texts::Texts,
    frame: Frame,
}
